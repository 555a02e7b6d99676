"""Generates text with a model and its tokenizer."""

import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import torch

from lmcore.config.generation import GenerationConfig
from lmcore.errors import UserError
from lmcore.generation.completion import Completion
from lmcore.generation.decoding import decode, sample
from lmcore.generation.decoding_state import DecodingState
from lmcore.generation.drafts import AssistantModel
from lmcore.generation.streaming import TextStreamer, stop_string_check, truncate_at_stop_string
from lmcore.generation.surprisal import TextScore, span_surprisals
from lmcore.models.generative import GenerativeModel
from lmcore.models.prompt import Prompt, PromptFormat, encode_prompt, prompt_values
from lmcore.models.prompt_template import render_template
from lmcore.tokens.tokenizer.tokenizer import Tokenizer

AnyPrompt = Prompt | list[int]
"""What a model continues or answers; a list holds the tokens that it reads."""
BYTE_TOKEN = re.compile("<0x[0-9A-F]{2}>")
"""The names of tokens for single bytes, which some tokenizers use for rare characters."""


@dataclass(frozen=True)
class Generator:
    """Generates text for text prompts.

    A causal model continues its prompt, which is the beginning of a document. A sequence-to-sequence model reads its
    prompt as the source.

    Args:
        model: a model that text can be generated with.
        tokenizer: the tokenizer that the model was trained with.
        prompt_format: how the prompts of a completion model are encoded; None for other models.
        assistant_model: an n-gram model with the same tokenizer, whose drafts make the completion of a single prompt
            faster and do not change it.
    """

    model: GenerativeModel
    tokenizer: Tokenizer
    prompt_format: PromptFormat | None = None
    assistant_model: AssistantModel | None = None

    def complete(
        self, prompts: Sequence[AnyPrompt], config: GenerationConfig, *, n_top_logprobs: int = 0
    ) -> list[Completion]:
        """The best completion of each prompt, with its text.

        Args:
            prompts: any number of prompts, each completed independently of the others: a text, or for a completion
                model the values of its prompt's fields by name; a list of token ids is read as it is.
            config: how tokens are chosen, and when a completion ends.
            n_top_logprobs: how many of the most probable tokens to report at each position.

        Raises:
            UserError: ``max_new_tokens`` leaves no room in the context for any prompt.
        """
        return [completions[0] for completions in self.complete_n_best(prompts, config, n_top_logprobs=n_top_logprobs)]

    def complete_n_best(
        self, prompts: Sequence[AnyPrompt], config: GenerationConfig, *, n_top_logprobs: int = 0
    ) -> list[list[Completion]]:
        """As :meth:`complete`, with all completions that a beam search has found, best first."""
        if not prompts:
            return []
        encoded = [self.encode(prompt) for prompt in prompts]
        completions = decode(
            self._decoding_state(encoded, config),
            encoded,
            config,
            self.model.vocabulary,
            ends_text=stop_string_check(config.stop_strings, self._decoder(prompts[0])),
            n_top_logprobs=n_top_logprobs,
        )
        for prompt, candidates in zip(prompts, completions, strict=True):
            for completion in candidates:
                text = truncate_at_stop_string(self._decoder(prompt)(completion.tokens), config.stop_strings)
                completion.text = self._joint(prompt) + text if text else ""
        return completions

    def stream(self, prompt: AnyPrompt, config: GenerationConfig) -> Iterator[str]:
        """Yield the text of the completion in chunks; joined, they are the text of :meth:`complete`.

        Raises:
            UserError: as :meth:`complete`, and if tokens are not sampled: the result of a beam search is known only at
                its end.
        """
        encoded, decode = [self.encode(prompt)], self._decoder(prompt)
        streamer = TextStreamer(decode, config.stop_strings, lambda token: may_join_bytes(self.tokenizer, token))
        n_seen, joint = 0, self._joint(prompt)
        for (completion,) in sample(
            self._decoding_state(encoded, config),
            encoded,
            config,
            self.model.vocabulary,
            ends_text=stop_string_check(config.stop_strings, decode),
        ):
            for token in completion.tokens[n_seen:]:
                if chunk := streamer.put(token):
                    yield joint + chunk
                    joint = ""
            n_seen = len(completion.tokens)
        if rest := streamer.end():
            yield joint + rest

    def score(self, text: str) -> TextScore:
        """How probable the model finds ``text`` as the beginning of a document.

        Raises:
            UserError: the model assigns no probability to a text without a source.
        """
        tokens = self.tokenizer.encode(text)
        logprobs = self.model.token_log_probabilities(tokens)
        return TextScore(tokens, logprobs, span_surprisals(tokens, logprobs, self.tokenizer.decode))

    def encode(self, prompt: AnyPrompt) -> list[int]:
        """The tokens that the model reads for ``prompt``: those of a text, or the given ones."""
        if isinstance(prompt, list):
            return prompt
        if self.prompt_format is not None:
            return encode_prompt(self.tokenizer, prompt, self.prompt_format)
        if not isinstance(prompt, str):
            raise UserError(f"the prompt of this model is one text, not the fields {', '.join(map(str, prompt))}")
        return self.model.framed(self.tokenizer.encode(prompt))

    def prompt_text(self, prompt: Prompt) -> str:
        """The text of a prompt, whole: for a completion model, its rendered template."""
        if self.prompt_format is None:
            return str(prompt)
        return render_template(self.prompt_format.template, prompt_values(prompt, self.prompt_format))

    def _joint(self, prompt: AnyPrompt) -> str:
        """What joins a completion to its prompt."""
        return self.tokenizer.token_separator if self._continues(prompt) else ""

    def _decoder(self, prompt: AnyPrompt) -> Callable[[Sequence[int]], str]:
        """Decodes completions of ``prompt``, without the space that separates them from it."""
        decode = self.tokenizer.decode_continuation if self._continues(prompt) else self.tokenizer.decode
        before = self.prompt_format.before_completion if self.prompt_format else ""
        return (lambda tokens: decode(tokens).removeprefix(before)) if before else decode

    def _continues(self, prompt: AnyPrompt) -> bool:
        """Whether a completion is the rest of the text that the prompt begins."""
        is_text = isinstance(prompt, str) and prompt != ""
        return is_text and not self.model.reads_source and self.prompt_format is None

    def _decoding_state(self, encoded: Sequence[Sequence[int]], config: GenerationConfig) -> DecodingState:
        self.model.eval()
        with torch.inference_mode():
            return DecodingState.from_prompts(self.model, encoded, config.max_new_tokens, self.assistant_model)


def may_join_bytes(tokenizer: Tokenizer, token: int) -> bool:
    """Whether a token is one byte of a character that has no token of its own, or a special token, which has no text
    and so does not separate such bytes."""
    is_special = token in tokenizer.vocabulary.special_ids
    return is_special or BYTE_TOKEN.fullmatch(tokenizer.name_of(token)) is not None
