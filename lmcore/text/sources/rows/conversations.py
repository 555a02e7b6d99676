"""Conversations in data sets: lists of turns, each with a role and content."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

ROLE_KEYS = ("role", "from", "speaker", "author")
CONTENT_KEYS = ("content", "value", "text", "utterance", "message")
"""What the two are called by OpenAI and Hugging Face (the first), ShareGPT (the second), and others."""

USERS = frozenset({"user", "human", "prompter", "customer"})
ASSISTANTS = frozenset({"assistant", "gpt", "chatgpt", "bot", "model", "ai"})


@dataclass(frozen=True, slots=True)
class Turn:
    """Who speaks (``User``, ``Assistant``, ``System``, or as the data set says) and what."""

    role: str
    content: str


def turns_of(value: Sequence[Any]) -> list[Turn] | None:
    """The turns of a list; ``None`` where it is none of them.

    Those without anything said are left out: calls of tools, say.
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
    """A conversation as the ``chat`` command writes one: what the system says, then every turn behind its speaker."""
    lines = [
        f"{turn.content}\n\n" if turn.role == "System" else f"{turn.role}: {turn.content.strip()}\n" for turn in turns
    ]
    return "".join(lines).strip()


def prompt_and_answer(turns: Sequence[Turn]) -> tuple[str, str | None]:
    """Everything before the assistant's last turn, and that turn; everything if there is none.

    Turns after the last answer are left out, since they have no answer.
    """
    last = max((place for place, turn in enumerate(turns) if turn.role == "Assistant"), default=None)
    if not last:
        return rendered(turns), None
    return f"{rendered(turns[:last])}\nAssistant:", turns[last].content.strip()


def _role(role: str) -> str:
    lowered = role.lower()
    return "User" if lowered in USERS else "Assistant" if lowered in ASSISTANTS else lowered.capitalize()


def _content(value: Any) -> str | None:
    """What is said: a string, or the texts among the parts of a message; nothing where it is null."""
    if value is None or isinstance(value, str):
        return value or ""
    if isinstance(value, Sequence) and all(isinstance(part, Mapping) for part in value):
        return "\n".join(part["text"] for part in value if isinstance(part.get("text"), str))
    return None
