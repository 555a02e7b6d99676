"""Names of weights, here and in ``transformers``."""

from collections.abc import Sequence

Replacements = Sequence[tuple[str, str]]
"""Parts of a name here and there, in the order in which they are replaced."""


def replaced(name: str, replacements: Replacements) -> str:
    """The name with all parts replaced."""
    for ours, theirs in replacements:
        name = name.replace(ours, theirs)
    return name


def divided(name: str, fused: str, parts: Sequence[str]) -> tuple[str, ...]:
    """The names of the weights that are concatenated under ``name``, which has ``fused`` in the place of each part."""
    return tuple(name.replace(fused, part) for part in parts)
