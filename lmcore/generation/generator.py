"""Text from a model and its tokenizer."""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import torch

from lmcore.config.generation import GenerationConfig
from lmcore.errors import UserError
from lmcore.generation.completion import Completion
from lmcore.generation.continuation import Continuation, behind_prompts, behind_sources
from lmcore.generation.decoding import decode, sample
from lmcore.generation.scores import TextScore, pieces_of, score_tokens
from lmcore.generation.text import TextStream, ends_at, until_stop
from lmcore.models.causal import CausalModel
from lmcore.models.families import WritingModel
from lmcore.models.prompt import PromptFormat, encode_prompt
from lmcore.tokens.tokenizer.tokenizer import Tokenizer

BYTE_TOKEN = re.compile("<0x[0-9A-F]{2}>")
"""How tokenizers that spell rare characters by their bytes name these."""


@dataclass(frozen=True)
class Generator:
    """A model that is given text and gives text.

    A model of the next token continues its prompt as a document from its beginning; an encoder-decoder writes what
    belongs to its prompt.

    Args:
        model: of either kind.
        tokenizer: that the model was trained with.
        prompt_format: how a completion model is asked.
    """

    model: WritingModel
    tokenizer: Tokenizer
    prompt_format: PromptFormat | None = None

    def complete(self, prompts: Sequence[str], config: GenerationConfig, *, n_likeliest: int = 0) -> list[Completion]:
        """The answer to each prompt, the best one where there are several, with its text.

        Args:
            prompts: any number, answered together, each as if it were alone.
            config: how tokens are chosen and when an answer ends.
            n_likeliest: of how many of the likeliest tokens of each position the log-probabilities are wanted.

        Raises:
            ValueError: if ``max_new_tokens`` leaves no room in the context for any prompt.
        """
        return [answers[0] for answers in self.complete_n_best(prompts, config, n_likeliest=n_likeliest)]

    def complete_n_best(
        self, prompts: Sequence[str], config: GenerationConfig, *, n_likeliest: int = 0
    ) -> list[list[Completion]]:
        """As :meth:`complete`, all answers that the beams of a search found, best first."""
        if not prompts:
            return []
        encoded = [self.encode(prompt) for prompt in prompts]
        answers = decode(
            self._continuation(encoded, config),
            encoded,
            config,
            self.model.vocabulary,
            ends_text=ends_at(config.stop_strings, self.tokenizer.decode),
            n_likeliest=n_likeliest,
        )
        for prompt, candidates in zip(prompts, answers, strict=True):
            for completion in candidates:
                text = until_stop(self.tokenizer.decode(completion.tokens), config.stop_strings)
                completion.text = self._joint(prompt) + text if text else ""
        return answers

    def stream(self, prompt: str, config: GenerationConfig) -> Iterator[str]:
        """The text of the answer in pieces, as it comes; joined, they are what :meth:`complete` gives.

        Raises:
            ValueError: as :meth:`complete`, and if the tokens are not sampled: beams are known only at their end.
        """
        encoded = [self.encode(prompt)]
        stream = TextStream(
            self.tokenizer.decode, config.stop_strings, lambda token: may_join_bytes(self.tokenizer, token)
        )
        n_seen, joint = 0, self._joint(prompt)
        for (completion,) in sample(
            self._continuation(encoded, config),
            encoded,
            config,
            self.model.vocabulary,
            ends_text=ends_at(config.stop_strings, self.tokenizer.decode),
        ):
            for token in completion.tokens[n_seen:]:
                if piece := stream.push(token):
                    yield joint + piece
                    joint = ""
            n_seen = len(completion.tokens)
        if rest := stream.finish():
            yield joint + rest

    def score(self, text: str) -> TextScore:
        """How probable the model finds ``text`` as a document's beginning.

        Raises:
            ValueError: if the model does not predict next tokens from those before alone.
        """
        if not isinstance(self.model, CausalModel):
            raise UserError(f"a {type(self.model).__name__} cannot score a text without a source")
        tokens = self.tokenizer.encode(text)
        values = score_tokens(self.model, tokens)
        return TextScore(tokens, values, pieces_of(tokens, values, self.tokenizer.decode))

    def encode(self, prompt: str) -> list[int]:
        """The tokens that the model is given for ``prompt``."""
        if self.prompt_format is not None:
            return encode_prompt(self.tokenizer, prompt, self.prompt_format)
        if not isinstance(self.model, CausalModel):
            return self.tokenizer.encode(prompt)
        # Every document of the training came after an end token.
        return [self.tokenizer.vocabulary.end_of_text_id, *self.tokenizer.encode(prompt)]

    def _joint(self, prompt: str) -> str:
        """What has to stand before an answer for it to be the continuation of its prompt."""
        is_continued = isinstance(self.model, CausalModel) and self.prompt_format is None
        return self.tokenizer.token_separator if prompt and is_continued else ""

    def _continuation(self, encoded: Sequence[Sequence[int]], config: GenerationConfig) -> Continuation:
        with torch.inference_mode():
            if isinstance(self.model, CausalModel):
                self.model.eval()
                return behind_prompts(self.model, encoded, config.max_new_tokens)
            return behind_sources(self.model, encoded, config.max_new_tokens)


def may_join_bytes(tokenizer: Tokenizer, token: int) -> bool:
    """Whether a token is one byte of a character that has no token of its own, or a special one, which has no text
    and so does not part the bytes beside it."""
    vocabulary = tokenizer.vocabulary
    is_special = token in (vocabulary.end_of_text_id, vocabulary.padding_id, vocabulary.mask_id)
    return is_special or BYTE_TOKEN.fullmatch(tokenizer.name_of(token)) is not None
