"""Conversations with a model: a chat template renders the messages as tokens, and the model writes the answer."""

import logging
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from lmcore.config.generation import GenerationConfig
from lmcore.generation.generator import Generator
from lmcore.models.chat_template import ChatTemplate
from lmcore.models.generative import prompt_limit
from lmcore.text.documents.messages import Message

logger = logging.getLogger(__name__)

PLAIN_TEMPLATE = """\
{{- eos_token }}
{%- for message in messages %}
    {%- if message.role == 'system' %}
        {{- message.content + '\\n\\n' }}
    {%- elif message.role == 'user' %}
        {{- 'User: ' + message.content + '\\n' }}
    {%- else %}
        {{- 'Assistant: ' + message.content + '\\n' }}
    {%- endif %}
{%- endfor %}
{%- if add_generation_prompt %}
    {{- 'Assistant:' }}
{%- endif %}
"""
"""For models that were not trained on conversations: a dialogue as text, in which every line is a turn."""
PLAIN_STOPS = ("\n", "User:")
"""Where the answer of such a model ends."""


@dataclass(frozen=True, slots=True)
class ChatPrompt:
    """What a model reads before its next message.

    Attributes:
        tokens: the token ids.
        n_dropped: how many of the oldest messages are left out, because the context has no room for them.
    """

    tokens: list[int]
    n_dropped: int


class ChatGenerator:
    """Answers the last message of conversations.

    Args:
        generator: the model with its tokenizer.
        template: the model's chat template; None for a model that was not trained on conversations, which is shown a
            dialogue as plain text.
    """

    def __init__(self, generator: Generator, template: ChatTemplate | None) -> None:
        self.generator = generator
        self.is_trained = template is not None
        self.template = template or ChatTemplate(PLAIN_TEMPLATE, generator.tokenizer)

    def prompt(self, messages: Sequence[Message], max_new_tokens: int) -> ChatPrompt:
        """The prompt of a conversation, without its oldest messages where the context has no room for them.

        The system message and the last message always stay. A user's message is left out together with its answers, so
        that the rest never begins with the assistant.

        Raises:
            UserError: ``max_new_tokens`` leaves no room for any prompt.
        """
        model = self.generator.model
        # The encoder of an encoder-decoder has a context of its own.
        n_reserved = 0 if model.reads_source else max_new_tokens
        limit = prompt_limit(model.max_position_embeddings, n_reserved)
        system = [message for message in messages[:1] if message.role == "system"]
        history = list(messages[len(system) :])
        while True:
            tokens = self.template.prompt([*system, *history])
            if limit is None or len(history) <= 1 or len(tokens) <= limit:
                return ChatPrompt(tokens, len(messages) - len(system) - len(history))
            history.pop(0)
            while len(history) > 1 and history[0].role == "assistant":
                history.pop(0)

    def reply(self, conversations: Sequence[Sequence[Message]], config: GenerationConfig) -> list[str]:
        """The assistant's next message in each conversation, stripped."""
        prompts = [self.prompt(messages, config.max_new_tokens) for messages in conversations]
        if n_shortened := sum(prompt.n_dropped > 0 for prompt in prompts):
            logger.warning(
                "%d of %d conversations are longer than the context: their oldest messages are left out",
                n_shortened,
                len(prompts),
            )
        answers = self.generator.complete([prompt.tokens for prompt in prompts], self.configured(config))
        return [(answer.text or "").strip() for answer in answers]

    def stream(self, prompt: ChatPrompt, config: GenerationConfig) -> Iterator[str]:
        """Yield the assistant's next message in chunks."""
        return self.generator.stream(prompt.tokens, self.configured(config))

    def configured(self, config: GenerationConfig) -> GenerationConfig:
        """The settings, with the token or the texts that end the assistant's turn."""
        if not self.is_trained:
            stops = tuple(dict.fromkeys((*config.stop_strings, *PLAIN_STOPS)))
            return config.model_copy(update={"stop_strings": stops})
        stop_ids = tuple(dict.fromkeys((*config.stop_token_ids, self.template.end_of_turn_id)))
        return config.model_copy(update={"stop_token_ids": stop_ids})
