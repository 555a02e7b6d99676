"""Conversations from documents."""

from collections.abc import Iterator
from dataclasses import dataclass

import pyarrow as pa

from lmcore.config.base import Split
from lmcore.config.tokenize import SplitFractions
from lmcore.finetuning.examples import rows_by_split
from lmcore.text.documents.messages import Message, from_json
from lmcore.text.split import SPLITS

CHAT_COLUMNS = ("id", "split", "text", "target", "messages", "rejected")


@dataclass(frozen=True, slots=True)
class Conversation:
    """A conversation that ends with the assistant's answer, and the id of its document.

    Attributes:
        id: the id of the document.
        messages: the messages.
        rejected: an answer that is worse than the last one, if there is one.
    """

    id: str
    messages: tuple[Message, ...]
    rejected: str | None = None

    @property
    def prompt(self) -> tuple[Message, ...]:
        """The messages before the last answer."""
        return self.messages[:-1]

    @property
    def answer(self) -> str:
        """The last answer."""
        return self.messages[-1].content

    def answers(self) -> Iterator[tuple[tuple[Message, ...], str]]:
        """Yield every answer of the assistant, after the messages before it."""
        for index, message in enumerate(self.messages):
            if message.role == "assistant":
                yield self.messages[:index], message.content


def conversations(documents: pa.Table, fractions: SplitFractions) -> dict[Split, list[Conversation]]:
    """The conversations by split, in the order of the documents.

    A document's ``messages`` are a conversation; without them its text is a question and its target the answer.

    Args:
        documents: clean documents with the columns :data:`CHAT_COLUMNS`.
        fractions: fractions of held-out documents, as for the language model.
    """
    found: dict[Split, list[Conversation]] = {split: [] for split in SPLITS}
    columns = ("id", "text", "target", "messages", "rejected")
    for split, identity, text, target, messages, rejected in rows_by_split(documents, fractions, *columns):
        if messages is not None:
            found[split].append(Conversation(identity, tuple(from_json(messages)), rejected))
        elif target is not None:
            pair = (Message("user", text), Message("assistant", target))
            found[split].append(Conversation(identity, pair, rejected))
    return found
