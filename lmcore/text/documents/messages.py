"""The messages of a conversation, and the JSON text in which a document stores them."""

import json
from collections.abc import Callable, Sequence
from typing import Literal, NamedTuple

RoleName = Literal["system", "user", "assistant"]


class Message(NamedTuple):
    """One message of a conversation, as in the chat templates of ``transformers``."""

    role: RoleName
    content: str


def to_json(messages: Sequence[Message]) -> str:
    """The messages as JSON; equal messages give equal texts."""
    return json.dumps([message._asdict() for message in messages], ensure_ascii=False)


def from_json(text: str) -> list[Message]:
    """The messages in the JSON text of a document."""
    return [Message(message["role"], message["content"]) for message in json.loads(text)]


def with_contents(text: str, change: Callable[[str], str]) -> str:
    """The JSON text of the same conversation, with every content changed."""
    return to_json([Message(role, change(content)) for role, content in from_json(text)])
