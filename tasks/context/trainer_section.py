"""The section ``trainer`` of ``params.yaml``, whose settings every training has unless it sets them itself."""

import copy
from collections.abc import Sequence
from typing import Any

TRAINER = "trainer"
"""The section that all trainings share."""
KIND_KEYS = frozenset({"family", "kind", "name"})
"""Keys that set the kind of a section, on which its other keys depend."""

Location = tuple[int | str, ...]


def with_trainer(sections: dict[str, Any]) -> dict[str, Any]:
    """The sections without ``trainer``, with its keys in every training that does not set them itself."""
    merged = {name: copy.deepcopy(section) for name, section in sections.items() if name != TRAINER}
    for *parents, name in trainings(merged):
        parent = value_at(merged, parents)
        parent[name] = override(sections.get(TRAINER), parent[name])
    if not isinstance(sections.get(TRAINER), dict):
        merged[TRAINER] = sections.get(TRAINER)  # refused by the check
    return merged


def shared_training(sections: dict[str, Any]) -> dict[str, Any] | None:
    """A training with every setting of ``trainer``, even those that all trainings override; None without trainings.

    A setting that it lacks is missing in a section of ``trainer`` that no training uses, since theirs are of other
    kinds.
    """
    shared, paths = sections.get(TRAINER), trainings(sections)
    if not isinstance(shared, dict) or not paths:
        return None
    values: dict[str, Any] = override(override(shared, value_at(sections, paths[0])), shared)
    return values


def trainings(sections: dict[str, Any]) -> list[Location]:
    """The paths of all trainings: of ``pretrain``, and of every model that is fine-tuned."""
    models = sections.get("finetune")
    kinds = [name for name in models if isinstance(name, str)] if isinstance(models, dict) else []
    paths: list[Location] = [("pretrain", "training"), *(("finetune", kind, "training") for kind in kinds)]
    return [path for path in paths if isinstance(value_at(sections, path), dict)]


def training_of(location: Location) -> Location | None:
    """The path of the training that ``location`` lies in; None if it lies in none."""
    for depth in (2, 3):
        path = location[:depth]
        if len(path) == depth and path[-1] == "training" and path[0] == ("pretrain", "finetune")[depth - 2]:
            return path
    return None


def override(base: Any, changes: Any) -> Any:
    """``base`` with the keys of ``changes``, section by section; a section of another kind replaces all of ``base``."""
    if not isinstance(base, dict) or not isinstance(changes, dict):
        return copy.deepcopy(changes)
    if any(changes[key] != base.get(key) for key in KIND_KEYS & changes.keys()):
        return copy.deepcopy(changes)
    values = copy.deepcopy(base)
    for key, change in changes.items():
        values[key] = override(base.get(key), change)
    return values


def written_at(location: Location, written: dict[str, Any]) -> Location:
    """Where the value at ``location`` of the merged sections is written, or where a missing one should be.

    A setting that no training has belongs to ``trainer``.
    """
    missing = object()
    training = training_of(location)
    key = location[len(training or ()) :]
    if training is None or not key or value_at(written, location, missing) is not missing:
        return location
    if any(_replaces(written, training, key[:depth]) for depth in range(1, len(key))):
        return location
    sections = [value_at(written, other) for other in trainings(written)]
    is_in_none = len(sections) > 1 and all(value_at(section, key, missing) is missing for section in sections)
    is_shared = value_at(written, (TRAINER, *key), missing) is not missing
    return (TRAINER, *key) if is_in_none or is_shared else location


def _replaces(written: dict[str, Any], training: Location, key: Location) -> bool:
    """Whether a section of a training is of another kind than that of ``trainer``, and so takes nothing from it."""
    own, shared = value_at(written, (*training, *key)), value_at(written, (TRAINER, *key))
    if not isinstance(own, dict) or not isinstance(shared, dict):
        return False
    return any(own[kind] != shared.get(kind) for kind in KIND_KEYS & own.keys())


def value_at(values: Any, location: Sequence[int | str], default: Any = None) -> Any:
    """The value at a path of nested sections and lists; ``default`` if there is none."""
    for part in location:
        if not has_part(values, part):
            return default
        values = values[part]
    return values


def has_part(values: Any, part: int | str) -> bool:
    """Whether a section has a key, or a list an index."""
    if isinstance(values, dict):
        return part in values
    return isinstance(values, list) and isinstance(part, int) and part < len(values)
