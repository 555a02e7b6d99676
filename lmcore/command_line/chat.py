"""Conversations with a language model: a template renders the messages as one prompt."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal

from lmcore.config.base import Config
from lmcore.config.generation import GenerationConfig

RoleName = Literal["system", "user", "assistant"]


class Role(Config):
    """The text before and after every message of one role."""

    prefix: str
    suffix: str


class ChatTemplate(Config):
    """How a conversation is rendered as text."""

    system: Role
    user: Role
    assistant: Role

    @property
    def stops(self) -> tuple[str, ...]:
        """Stop strings that end the assistant's turn."""
        return tuple(dict.fromkeys(stop for stop in (self.assistant.suffix, self.user.prefix) if stop))

    def role(self, name: RoleName) -> Role:
        """The role of that name."""
        role: Role = getattr(self, name)
        return role


PLAIN_TEMPLATE = ChatTemplate(
    system=Role(prefix="", suffix="\n\n"),
    user=Role(prefix="User: ", suffix="\n"),
    assistant=Role(prefix="Assistant:", suffix="\n"),
)
"""For models that were not trained on conversations."""


@dataclass(frozen=True)
class Message:
    """One message of a conversation."""

    role: RoleName
    content: str


def render(messages: Sequence[Message], template: ChatTemplate) -> str:
    """The conversation as a prompt for the assistant's next message."""
    turns = [
        template.role(message.role).prefix + message.content + template.role(message.role).suffix
        for message in messages
    ]
    return "".join(turns) + template.assistant.prefix


def render_within(
    messages: Sequence[Message], template: ChatTemplate, n_tokens: Callable[[str], int], max_prompt_tokens: int | None
) -> str:
    """As :func:`render`, but drops the oldest turns until the prompt has at most ``max_prompt_tokens``.

    The system message and the last message are never dropped. A user's message is dropped together with its answers,
    so that the history never begins with the assistant.
    """
    system = [message for message in messages[:1] if message.role == "system"]
    history = list(messages[len(system) :])
    while True:
        text = render([*system, *history], template)
        if max_prompt_tokens is None or len(history) <= 1 or n_tokens(text) <= max_prompt_tokens:
            return text
        history.pop(0)
        while len(history) > 1 and history[0].role == "assistant":
            history.pop(0)


def chat_config(config: GenerationConfig, template: ChatTemplate) -> GenerationConfig:
    """``config`` with the template's stop strings added to its own."""
    return config.model_copy(update={"stop_strings": tuple(dict.fromkeys((*config.stop_strings, *template.stops)))})
