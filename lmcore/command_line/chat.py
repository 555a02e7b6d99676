"""``lmcore chat``: a conversation with a model in the terminal."""

import sys
from collections.abc import Iterator

from lmcore.config.generation import GenerationConfig
from lmcore.generation.chat import ChatGenerator
from lmcore.text.documents.messages import Message


def chat(generator: ChatGenerator, config: GenerationConfig, system: str | None) -> None:
    """Answer every line of the input until it ends.

    If the conversation is longer than the context, the oldest messages are left out; each time, a line says so.
    """
    if not generator.is_trained:
        sys.stderr.write("this model was not trained on conversations: it continues a dialogue as plain text\n")
    messages = [Message("system", system)] if system else []
    n_dropped = 0
    while (line := _read_line()) is not None:
        if not line.strip():
            continue
        messages.append(Message("user", line.strip()))
        prompt = generator.prompt(messages, config.max_new_tokens)
        if prompt.n_dropped > n_dropped:
            n_dropped = prompt.n_dropped
            sys.stderr.write(f"(the context is full: the oldest {n_dropped} messages are left out)\n")
        answer = show_stream(generator.stream(prompt, config)).strip()
        if answer:
            messages.append(Message("assistant", answer))


def show_stream(parts: Iterator[str]) -> str:
    """Write the parts of a text as they arrive, and a line end; returns the text."""
    shown = []
    for part in parts:
        sys.stdout.write(part)
        sys.stdout.flush()
        shown.append(part)
    sys.stdout.write("\n")
    return "".join(shown)


def _read_line() -> str | None:
    """The next line of the user; None at the end of the input."""
    try:
        return input("> ")
    except (EOFError, RuntimeError):  # RuntimeError: there is no standard input
        sys.stdout.write("\n")
        return None
