"""Conversations: lists of turns, each with a role and content."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

ROLE_KEYS = ("role", "from", "speaker", "author")
CONTENT_KEYS = ("content", "value", "text", "utterance", "message")
"""The keys of OpenAI and Hugging Face (first), ShareGPT (second) and others."""

USERS = frozenset({"user", "human", "prompter", "customer"})
ASSISTANTS = frozenset({"assistant", "gpt", "chatgpt", "bot", "model", "ai"})


@dataclass(frozen=True, slots=True)
class Turn:
    """The role of a speaker (``User``, ``Assistant``, ``System`` or another one) and what was said."""

    role: str
    content: str


def turns_of(value: Sequence[Any]) -> list[Turn] | None:
    """The turns in a list; None if it is not a conversation.

    Turns without content, such as tool calls, are left out.
    """
    turns = []
    for item in value:
        if not isinstance(item, Mapping):
            return None
        role = next((item[key] for key in ROLE_KEYS if key in item), None)
        keys = [key for key in CONTENT_KEYS if key in item]
        content = _content(item[keys[0]]) if keys else None
        if not isinstance(role, str) or content is None:
            return None
        if content:
            turns.append(Turn(_role(role.strip()), content))
    return turns


def rendered(turns: Sequence[Turn]) -> str:
    """A conversation in the form of the chat command: the system message, then a line ``Speaker: content`` per turn."""
    lines = [
        f"{turn.content}\n\n" if turn.role == "System" else f"{turn.role}: {turn.content.strip()}\n" for turn in turns
    ]
    return "".join(lines).strip()


def prompt_and_answer(turns: Sequence[Turn]) -> tuple[str, str | None]:
    """Everything before the assistant's last turn, and that turn; everything and None if there is none.

    Turns after the last answer are left out.
    """
    last = max((index for index, turn in enumerate(turns) if turn.role == "Assistant"), default=None)
    if not last:
        return rendered(turns), None
    return f"{rendered(turns[:last])}\nAssistant:", turns[last].content.strip()


def _role(role: str) -> str:
    lowered = role.lower()
    return "User" if lowered in USERS else "Assistant" if lowered in ASSISTANTS else lowered.capitalize()


def _content(value: Any) -> str | None:
    """The content of a turn: a string, or the joined texts of a message in parts; empty if it is null."""
    if value is None or isinstance(value, str):
        return value or ""
    if isinstance(value, Sequence) and all(isinstance(part, Mapping) for part in value):
        return "\n".join(part["text"] for part in value if isinstance(part.get("text"), str))
    return None
