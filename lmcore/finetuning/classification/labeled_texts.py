"""Texts with their labels."""

from dataclasses import dataclass, field

LabeledText = tuple[str, tuple[str, ...]]
"""A text and its labels: one, or any number of them."""


@dataclass(frozen=True, slots=True)
class LabeledTexts:
    """The ids, texts and labels of examples, in the same order.

    Attributes:
        ids: the ids of the documents that the texts are from; a document may give several examples.
        texts: the texts.
        label_sets: the labels of each text: one, or any number of them.
    """

    ids: list[str] = field(default_factory=list)
    texts: list[str] = field(default_factory=list)
    label_sets: list[tuple[str, ...]] = field(default_factory=list)

    @property
    def labels(self) -> list[str]:
        """The label of each text, where each has one."""
        return [label for (label,) in self.label_sets]

    def add(self, identity: str, text: str, labels: tuple[str, ...]) -> None:
        """Add an example of a document."""
        self.ids.append(identity)
        self.texts.append(text)
        self.label_sets.append(labels)
