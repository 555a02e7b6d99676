"""The section ``presets`` of ``params.yaml``: settings of pretraining that belong together, chosen by one word.

``pretrain.model`` is the name of a preset, whose settings pretraining has unless ``pretrain`` sets them itself; or a
section with a model's own settings, and then no preset is used.
"""

import copy
import difflib
from typing import Any

from tasks.context.trainer_section import Location, override, value_at

PRESETS = "presets"
MODEL: Location = ("pretrain", "model")
"""The key that names a preset."""


def with_preset(sections: dict[str, Any]) -> dict[str, Any]:
    """The sections without ``presets``, with the settings of the chosen preset in ``pretrain``.

    If there is no preset of that name, ``pretrain.model`` stays as it is, which the check refuses.
    """
    merged = {name: copy.deepcopy(section) for name, section in sections.items() if name != PRESETS}
    preset = _chosen(sections)
    if preset is not None:
        written = {key: value for key, value in merged["pretrain"].items() if key != "model"}
        merged["pretrain"] = override(preset, written)
    return merged


def _chosen(sections: dict[str, Any]) -> dict[str, Any] | None:
    """The preset that is named; None if there is none of that name, or none is named."""
    name = value_at(sections, MODEL)
    preset = value_at(sections, (PRESETS, name)) if isinstance(name, str) else None
    return preset if isinstance(preset, dict) else None


def is_unknown(sections: dict[str, Any]) -> bool:
    """Whether ``pretrain.model`` names a preset that does not exist."""
    return isinstance(value_at(sections, MODEL), str) and _chosen(sections) is None


def describe_unknown(sections: dict[str, Any]) -> str:
    """What to write instead of a name that no preset has."""
    presets = sections.get(PRESETS)
    names = list(presets) if isinstance(presets, dict) else []
    nearest = difflib.get_close_matches(str(value_at(sections, MODEL)), names, n=1)
    hint = f"; did you mean {nearest[0]!r}?" if nearest else ""
    known = ", ".join(names) or f"none: there is no section {PRESETS}"
    return f"expected a preset ({known}), or a section with a family{hint}"


def preset_location(location: Location, sections: dict[str, Any]) -> Location:
    """Where a value of the merged ``pretrain`` is written, or where a missing one should be: there or in the preset."""
    if location[:1] != ("pretrain",) or _chosen(sections) is None:
        return location
    name, missing = str(value_at(sections, MODEL)), object()
    in_preset = (PRESETS, name, *location[1:])
    if location[:2] == MODEL:
        return in_preset
    if value_at(sections, location, missing) is not missing:
        return location
    is_of_presets = any(
        value_at(sections, (PRESETS, other, *location[1:]), missing) is not missing for other in sections[PRESETS]
    )
    return in_preset if is_of_presets else location
