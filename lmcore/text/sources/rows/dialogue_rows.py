"""Conversations and preferences in the rows of the usual data sets, recognized by their fields, row by row."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from lmcore.text.documents.document import InputError
from lmcore.text.documents.messages import Message, to_json
from lmcore.text.sources.rows.conversations import messages_of, prompt_shown, shown
from lmcore.text.sources.rows.nested_rows import Row, listed

LISTS = ("messages", "conversations", "conversation")
"""Fields with all messages: of OpenAI and TRL, of ShareGPT, of others."""
PAIRS = (
    ("instruction", "output"),
    ("instruction", "response"),
    ("prompt", "completion"),
    ("prompt", "response"),
    ("question", "answer"),
    ("input", "output"),
)
"""Fields with a request and its answer: of Alpaca (first), with more context in ``input``, and of others."""
CHOSEN, REJECTED = "chosen", "rejected"
FIELDS = (*LISTS, CHOSEN, REJECTED, "system", *dict.fromkeys(name for pair in PAIRS for name in pair))
"""All fields that are read."""


@dataclass(frozen=True, slots=True)
class Dialogue:
    """The content of a row, as the fields of a document.

    Attributes:
        text: the conversation for a reader; if two answers are compared, without the answer.
        target: the better answer, if two are compared.
        rejected: the worse one.
        messages: the conversation with its (better) answer, as JSON.
    """

    text: str
    target: str | None
    rejected: str | None
    messages: str


def dialogue_of(row: Row) -> Dialogue:
    """The conversation in a row, or the question and two answers that are compared.

    Known are: a list of messages (``messages``, ``conversations``); Alpaca (``instruction``, ``input``, ``output``) and
    plain pairs (``prompt`` and ``completion``, ``question`` and ``answer``); ``chosen`` and ``rejected``, each a text
    after a ``prompt`` or a whole conversation, as in TRL and UltraFeedback. A field ``system`` is a system message.

    Raises:
        InputError: ``not_a_conversation`` if there is none, and the errors of
            :func:`~lmcore.text.sources.rows.conversations.messages_of`.
    """
    if row.get(CHOSEN) is not None or row.get(REJECTED) is not None:
        return _preference(row)
    messages = _with_system(row, _conversation(row))
    return Dialogue(shown(messages), None, None, to_json(messages))


def _conversation(row: Row) -> list[Message]:
    for name in LISTS:
        if row.get(name) is not None:
            return messages_of(row[name])
    for request, answer in PAIRS:
        if row.get(request) is not None and row.get(answer) is not None:
            return messages_of(
                [
                    {"role": "user", "content": _request(row, request)},
                    {"role": "assistant", "content": row[answer]},
                ]
            )
    pairs = ", ".join(f"{request} and {answer}" for request, answer in PAIRS)
    expected = f"{', '.join(LISTS)}, {CHOSEN} and {REJECTED}, or {pairs}"
    raise InputError("not_a_conversation", f"expected the fields {expected}; there are {listed(row)}")


def _request(row: Row, name: str) -> Any:
    context = row.get("input")
    if name == "instruction" and isinstance(context, str) and context.strip() and isinstance(row[name], str):
        return f"{row[name].strip()}\n\n{context.strip()}"
    return row[name]


def _with_system(row: Row, messages: list[Message]) -> list[Message]:
    system = row.get("system")
    if not isinstance(system, str) or not system.strip() or messages[0].role == "system":
        return messages
    return [Message("system", system.strip()), *messages]


def _preference(row: Row) -> Dialogue:
    before = _prompt(row.get("prompt"))
    chosen, rejected = (_answered(row, name, before) for name in (CHOSEN, REJECTED))
    if chosen[:-1] != rejected[:-1]:
        raise InputError("different_prompts", "chosen and rejected do not answer the same prompt")
    if chosen[-1] == rejected[-1]:
        raise InputError("equal_answers", "chosen and rejected are the same answer: there is nothing to prefer")
    chosen, rejected = _with_system(row, chosen), _with_system(row, rejected)
    return Dialogue(prompt_shown(chosen[:-1]), chosen[-1].content, rejected[-1].content, to_json(chosen))


def _prompt(value: Any) -> list[Any]:
    """The turns before the answers, unchanged."""
    if value is None:
        return []
    if isinstance(value, str):
        return [{"role": "user", "content": value}]
    return list(value) if isinstance(value, Sequence) else [value]


def _answered(row: Row, name: str, before: list[Any]) -> list[Message]:
    """The conversation that one of the two answers ends."""
    value = row.get(name)
    if value is None:
        raise InputError("no_answer", f"the field {name!r} is missing or null")
    if isinstance(value, str):
        if not before:
            raise InputError("no_prompt", f"the field {name!r} is a text, but no field 'prompt' says what it answers")
        return messages_of([*before, {"role": "assistant", "content": value}])
    turns = list(value) if isinstance(value, Sequence) else [value]
    # Some data sets repeat the prompt in the lists, others give the answer alone.
    is_answer_alone = len(turns) == 1 and isinstance(turns[0], Mapping) and bool(before)
    messages = messages_of([*before, *turns] if is_answer_alone else turns)
    if len(messages) < 2:
        raise InputError("no_prompt", f"the field {name!r} holds an answer, but nothing that it answers")
    return messages
