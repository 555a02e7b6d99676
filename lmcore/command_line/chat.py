"""Conversations with a model that continues texts: a template makes one text of what was said."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal

from lmcore.config.base import Config
from lmcore.config.generation import GenerationConfig

RoleName = Literal["system", "user", "assistant"]


class Role(Config):
    """What stands before and behind everything that one side says."""

    prefix: str
    suffix: str


class ChatTemplate(Config):
    """How a conversation is written down."""

    system: Role
    user: Role
    assistant: Role

    @property
    def stops(self) -> tuple[str, ...]:
        """Where the assistant's turn is over."""
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
"""For models that were trained on no conversations."""


@dataclass(frozen=True)
class Message:
    """What one side said."""

    role: RoleName
    content: str


def render(messages: Sequence[Message], template: ChatTemplate) -> str:
    """The conversation as a text after which the assistant speaks."""
    turns = [
        template.role(message.role).prefix + message.content + template.role(message.role).suffix
        for message in messages
    ]
    return "".join(turns) + template.assistant.prefix


def render_within(
    messages: Sequence[Message], template: ChatTemplate, n_tokens: Callable[[str], int], max_new_tokens: int | None
) -> str:
    """As :func:`render`, without as many of the oldest turns as it takes to fit ``max_new_tokens``.

    What the system says at the beginning and the last message always stay. A turn goes together with its answers, so
    that the history never begins with the assistant.
    """
    system = [message for message in messages[:1] if message.role == "system"]
    history = list(messages[len(system) :])
    while True:
        text = render([*system, *history], template)
        if max_new_tokens is None or len(history) <= 1 or n_tokens(text) <= max_new_tokens:
            return text
        history.pop(0)
        while len(history) > 1 and history[0].role == "assistant":
            history.pop(0)


def chat_config(config: GenerationConfig, template: ChatTemplate) -> GenerationConfig:
    """``config`` with the template's ends of a turn among its stop strings."""
    return config.model_copy(update={"stop_strings": tuple(dict.fromkeys((*config.stop_strings, *template.stops)))})
