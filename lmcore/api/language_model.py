"""Language models: from text to text, and from a conversation to the next message."""

import math
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, get_args

from lmcore.api.defaults import generation_config
from lmcore.api.models import PretrainedModel
from lmcore.api.training import checked_text
from lmcore.config.generation import GenerationConfig
from lmcore.errors import UserError
from lmcore.generation.chat import ChatGenerator
from lmcore.generation.generator import Generator
from lmcore.generation.surprisal import TextScore
from lmcore.models.chat_template import ChatTemplate
from lmcore.models.generative import GenerativeModel
from lmcore.models.prompt import Prompt, PromptFormat
from lmcore.text.documents.messages import Message, RoleName
from lmcore.tokens.tokenizer.tokenizer import Tokenizer


class LanguageModel(PretrainedModel):
    """A model that continues texts, answers prompts (a completion model) or holds conversations (a chat model).

    Arguments are those of :class:`~lmcore.api.models.PretrainedModel`.
    """

    def __init__(
        self,
        model: GenerativeModel,
        tokenizer: Tokenizer,
        record: Any = None,
        prompt_format: PromptFormat | None = None,
        chat_template: str | None = None,
    ) -> None:
        super().__init__(model, tokenizer, record, prompt_format, chat_template)
        template = None if chat_template is None else ChatTemplate(chat_template, tokenizer)
        self._generator = Generator(model, tokenizer, prompt_format)
        self._chat = ChatGenerator(self._generator, template)

    def generate(
        self,
        prompt: Prompt,
        *,
        max_new_tokens: int | None = None,
        temperature: float | None = None,
        top_k: int | None = 50,
        top_p: float | None = None,
        num_beams: int = 1,
        seed: int = 0,
    ) -> str:
        """The text that follows ``prompt``.

        Args:
            prompt: the beginning of a text; it may be empty. For a completion model whose prompt has several fields,
                the value of each by its name.
            max_new_tokens: the longest answer; by default, a completion model's limit in training, else 128 tokens, or
                half the context if that is less.
            temperature: 0 always takes the most probable token; higher values are more varied. By default 0 for a
                completion or chat model, whose most probable answer is the best one, else 0.8.
            top_k: sample only from the k most probable tokens; None from all.
            top_p: sample only from the most probable tokens that together have this probability; None from all.
            num_beams: with more than 1, beam search instead of sampling.
            seed: the same seed gives the same text.

        Raises:
            UserError: naming an argument whose value is not allowed.
        """
        config = self._generation_config(max_new_tokens, temperature, top_k, top_p, num_beams, seed)
        (completion,) = self._generator.complete([_checked_prompt(prompt)], config)
        return completion.text or ""

    def stream(
        self,
        prompt: Prompt,
        *,
        max_new_tokens: int | None = None,
        temperature: float | None = None,
        top_k: int | None = 50,
        top_p: float | None = None,
        seed: int = 0,
    ) -> Iterator[str]:
        """Yield the text that :meth:`generate` returns for the same arguments, part by part as it is generated."""
        config = self._generation_config(max_new_tokens, temperature, top_k, top_p, 1, seed)
        return self._generator.stream(_checked_prompt(prompt), config)

    def chat(
        self,
        messages: Sequence[Mapping[str, str]],
        *,
        max_new_tokens: int | None = None,
        temperature: float | None = None,
        top_k: int | None = 50,
        top_p: float | None = None,
        seed: int = 0,
    ) -> dict[str, str]:
        """The assistant's answer to a conversation, as a message that can be appended to it.

        A model that was not trained on conversations continues the dialogue as plain text. If the conversation is
        longer than the context, its oldest messages are left out, and a warning is logged.

        Args:
            messages: the conversation so far, each message a mapping with ``role`` (system, user or assistant) and
                ``content``, as in ``transformers``; the last one is the user's.
            max_new_tokens: as for :meth:`generate`.
            temperature: how varied the answer is.
            top_k: sample only from the k most probable tokens.
            top_p: sample only from the most probable tokens that together have this probability.
            seed: the same seed gives the same answer.

        Raises:
            UserError: if the messages are not valid, or an argument has a value that is not allowed.
        """
        config = self._generation_config(max_new_tokens, temperature, top_k, top_p, 1, seed)
        (answer,) = self._chat.reply([_checked_messages(messages)], config)
        return {"role": "assistant", "content": answer}

    def score(self, text: str) -> TextScore:
        """The tokens of ``text`` and the log-probability of each; errors as for :meth:`perplexity`."""
        if not checked_text(text, "text"):
            raise UserError("the text is empty: there is nothing to score")
        return self._generator.score(text)

    def perplexity(self, text: str) -> float:
        """The perplexity per token of ``text``: lower means that the model finds it more probable.

        It depends on the tokenizer: compare models with different tokenizers by :meth:`bits_per_byte`.

        Raises:
            UserError: if the text is empty, or the model does not score texts.
        """
        return self.score(text).perplexity

    def bits_per_byte(self, text: str) -> float:
        """The information in ``text`` for this model, in bits per byte of UTF-8; errors as for :meth:`perplexity`."""
        return -sum(self.score(text).logprobs) / math.log(2) / len(text.encode())

    @property
    def _default_temperature(self) -> float:
        is_trained_to_answer = self.prompt_format is not None or self.chat_template is not None
        return 0.0 if is_trained_to_answer else 0.8

    def _generation_config(
        self,
        max_new_tokens: int | None,
        temperature: float | None,
        top_k: int | None,
        top_p: float | None,
        num_beams: int,
        seed: int,
    ) -> GenerationConfig:
        return generation_config(
            max_new_tokens=max_new_tokens,
            answer_tokens=None if self.prompt_format is None else self.prompt_format.max_completion_tokens,
            context=self._generator.model.max_position_embeddings,
            temperature=self._default_temperature if temperature is None else temperature,
            top_k=top_k,
            top_p=top_p,
            num_beams=num_beams,
            seed=seed,
        )


def _checked_prompt(prompt: Prompt) -> Prompt:
    """Return the prompt unchanged.

    Raises:
        UserError: if it is neither a string nor strings by name.
    """
    if not isinstance(prompt, Mapping):
        return checked_text(prompt, "prompt")
    return {str(name): checked_text(value, f"prompt[{name!r}]") for name, value in prompt.items()}


def _checked_messages(messages: Sequence[Mapping[str, str]]) -> list[Message]:
    """The messages of a conversation.

    Raises:
        UserError: naming the first message that is not as :meth:`LanguageModel.chat` describes.
    """
    if isinstance(messages, str | Mapping) or not isinstance(messages, Sequence) or not messages:
        raise UserError('messages: expected a list such as [{"role": "user", "content": "Hello"}]')
    found = []
    for index, message in enumerate(messages):
        if not isinstance(message, Mapping) or {"role", "content"} - message.keys():
            raise UserError(f"messages[{index}] is {message!r:.80}, expected a mapping with role and content")
        role: Any = message["role"]
        if role not in get_args(RoleName):
            raise UserError(f"messages[{index}] has the role {role!r}, expected system, user or assistant")
        found.append(Message(role, checked_text(message["content"], f"messages[{index}]['content']")))
    if found[-1].role != "user":
        raise UserError(f"the last message is the {found[-1].role}'s: there is nothing to answer; append the user's")
    return found
