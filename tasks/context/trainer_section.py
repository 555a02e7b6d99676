"""The section ``trainer`` of ``params.yaml``, whose settings every training has unless it sets them itself."""

import copy
from collections.abc import Sequence
from typing import Any

TRAINER = "trainer"
"""The section that all trainings share."""
TRAININGS = (
    ("pretrain", "training"),
    ("finetune", "classification", "training"),
    ("finetune", "completion", "training"),
)
KIND_KEYS = frozenset({"family", "kind", "name"})
"""Keys that set the kind of a section, on which its other keys depend."""

Location = tuple[int | str, ...]


def with_trainer(sections: dict[str, Any]) -> dict[str, Any]:
    """The sections without ``trainer``, whose keys every training has that does not set them itself."""
    merged = {name: copy.deepcopy(section) for name, section in sections.items() if name != TRAINER}
    for *parents, name in TRAININGS:
        parent = value_at(merged, parents)
        if isinstance(parent, dict) and isinstance(parent.get(name), dict):
            parent[name] = override(sections.get(TRAINER), parent[name])
    if not isinstance(sections.get(TRAINER), dict):
        merged[TRAINER] = sections.get(TRAINER)  # refused by the check
    return merged


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
    for training in TRAININGS:
        key = location[len(training) :]
        is_written = value_at(written, location, missing) is not missing
        if location[: len(training)] != training or not key or is_written:
            continue
        sections = [section for other in TRAININGS if isinstance(section := value_at(written, other), dict)]
        is_in_none = len(sections) > 1 and all(value_at(section, key, missing) is missing for section in sections)
        if is_in_none or value_at(written, (TRAINER, *key), missing) is not missing:
            return (TRAINER, *key)
    return location


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
