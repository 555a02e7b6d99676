"""Models that read a source sequence and write a target sequence."""

from abc import abstractmethod
from collections.abc import Sequence

import torch
from torch import Tensor

from lmcore.errors import UserError
from lmcore.models.generative import GenerationInputs, GenerativeModel, prompt_limit
from lmcore.models.state import ModelState
from lmcore.models.trainable import TextEncoder


class SequenceToSequenceModel(GenerativeModel, TextEncoder):
    """A model that reads a source sequence and writes a target sequence."""

    objective = "corrupted_spans"
    reads_source = True
    max_position_embeddings: int

    @property
    def decoder_start_id(self) -> int:
        """The token that precedes the first token of a target."""
        return self.vocabulary.end_of_text_id

    @abstractmethod
    def new_state(self, source: Tensor) -> ModelState:
        """The state before the first token of the targets.

        Args:
            source: int64 of shape (batch, source length), right-padded with the padding token.
        """

    @abstractmethod
    def target_logits(self, source: Tensor, targets: Tensor) -> Tensor:
        """Logits of every token of whole targets, float32 of shape (batch, length, vocabulary).

        Args:
            source: int64 of shape (batch, source length), right-padded with the padding token.
            targets: int64 of shape (batch, length), right-padded with -100.
        """

    def framed(self, tokens: Sequence[int]) -> list[int]:
        """The tokens alone; a family whose sources end with a token adds it."""
        return list(tokens)

    def prepare_inputs(self, prompts: Sequence[Sequence[int]], max_new_tokens: int) -> GenerationInputs:
        """The prompts as sources, see :meth:`GenerativeModel.prepare_inputs`; a too long one loses its last tokens."""
        prompt_limit(self.max_position_embeddings, max_new_tokens)
        padding, end = self.vocabulary.padding_id, self.vocabulary.end_of_text_id
        # Attention to an empty source would be undefined.
        kept = [list(prompt[: self.max_position_embeddings]) or [end] for prompt in prompts]
        longest = max(map(len, kept))
        source = torch.tensor([[*prompt, *[padding] * (longest - len(prompt))] for prompt in kept], device=self.device)
        tokens = torch.full((len(kept), 1), self.decoder_start_id, device=self.device)
        return GenerationInputs(tokens, None, self.new_state(source))

    def token_log_probabilities(self, tokens: Sequence[int]) -> list[float]:
        """Not defined without a source: always raises a :class:`UserError`."""
        raise UserError(f"a model of class {type(self).__name__} cannot score a text without a source")
