"""Conversations: lists of turns, each with a role and content."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from lmcore.text.documents.document import InputError
from lmcore.text.documents.messages import Message

ROLE_KEYS = ("role", "from", "speaker", "author")
CONTENT_KEYS = ("content", "value", "text", "utterance", "message")
"""The keys of OpenAI and Hugging Face (first), ShareGPT (second) and others."""

USERS = frozenset({"user", "human", "prompter", "customer"})
ASSISTANTS = frozenset({"assistant", "gpt", "chatgpt", "bot", "model", "ai"})
SYSTEM = frozenset({"system"})
TOOLS = frozenset({"tool", "function", "ipython", "function_call", "function_response", "observation"})


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


def messages_of(value: Any) -> list[Message]:
    """The messages in a list of turns, strictly: what a model cannot be trained on is an error, not left out.

    Roles and keys of ShareGPT and others are accepted under their usual names; messages after the last answer, which
    nothing answers, are left out.

    Raises:
        InputError: ``not_a_conversation``; ``empty_conversation``; ``unknown_role``; ``tool_call``; ``empty_message``;
            ``misplaced_system_message`` for a second one or one that is not the first; ``no_answer``.
    """
    if not isinstance(value, Sequence) or isinstance(value, str | bytes):
        raise InputError("not_a_conversation", f"expected a list of messages, found {type(value).__name__}")
    if not value:
        raise InputError("empty_conversation", "the list of messages is empty")
    messages = [_message(number, item) for number, item in enumerate(value, start=1)]
    for number, message in enumerate(messages[1:], start=2):
        if message.role == "system":
            detail = f"message {number} is a system message: a conversation has at most one, at its beginning"
            raise InputError("misplaced_system_message", detail)
    n_answered = max((number for number, item in enumerate(messages, start=1) if item.role == "assistant"), default=0)
    if not n_answered:
        raise InputError("no_answer", "no message is the assistant's: there is nothing to learn")
    return messages[:n_answered]


def shown(messages: Sequence[Message]) -> str:
    """Messages as readable text, see :func:`rendered`."""
    return rendered([Turn(role.capitalize(), content) for role, content in messages])


def prompt_shown(messages: Sequence[Message]) -> str:
    """Messages as the prompt of an answer: a single question as it is, a longer conversation as :func:`rendered`."""
    if len(messages) == 1:
        return messages[0].content
    return f"{shown(messages)}\nAssistant:"


def _message(number: int, item: Any) -> Message:
    if not isinstance(item, Mapping):
        raise InputError("not_a_conversation", f"message {number} is not an object but {type(item).__name__}")
    if item.get("tool_calls") or item.get("function_call"):
        raise InputError("tool_call", f"message {number} calls a tool; conversations with tools are not supported")
    role = next((item[key] for key in ROLE_KEYS if item.get(key) is not None), None)
    content = next((item[key] for key in CONTENT_KEYS if item.get(key) is not None), None)
    name = role.strip().lower() if isinstance(role, str) else None
    known = SYSTEM | USERS | ASSISTANTS
    if name in TOOLS:
        raise InputError("tool_call", f"message {number} is the answer of a tool ({role!a:.40}); tools are unsupported")
    if name not in known:
        detail = f"message {number} has the role {role!a:.40}; expected one of {', '.join(sorted(known))}"
        raise InputError("unknown_role", detail)
    text = _content(content)
    if text is None:
        raise InputError("not_a_conversation", f"the content of message {number} is neither a text nor a list of parts")
    if not text.strip():
        raise InputError("empty_message", f"message {number} ({name}) has no content")
    return Message("system" if name in SYSTEM else "user" if name in USERS else "assistant", text.strip())
