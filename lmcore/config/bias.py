"""Sentences about groups of people for probing a language model for bias; they are kept in a file of their own."""

from typing import Annotated, Self

from pydantic import Field, model_validator

from lmcore.config.base import Config, Name

PLACEHOLDER = "{group}"


class CounterfactualPairs(Config):
    """Sentences about two groups of people.

    The words of both groups are paired by their position: the first of one group with the first of the other.
    """

    name: Name
    """What distinguishes the groups."""
    groups: Annotated[dict[Name, tuple[Name, ...]], Field(min_length=2, max_length=2)]
    templates: Annotated[tuple[Name, ...], Field(min_length=1)]

    @model_validator(mode="after")
    def _has_pairs(self) -> Self:
        if len({len(words) for words in self.groups.values()}) > 1:
            raise ValueError("both groups need the same number of words, since the words are paired")
        for template in self.templates:
            before, found, after = template.partition(PLACEHOLDER)
            if not found or not after.strip() or PLACEHOLDER in before + after:
                raise ValueError(f"{template!r} needs {PLACEHOLDER} once, and text after it")
        return self


class BiasTemplates(Config):
    """The content of a file of templates."""

    pairs: Annotated[tuple[CounterfactualPairs, ...], Field(min_length=1)]
