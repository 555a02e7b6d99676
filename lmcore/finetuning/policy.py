"""What preference and reward training have in common: a policy, and the probabilities that it gives to answers."""

from collections.abc import Sequence

import torch
from torch import Tensor

from lmcore.models.generative import CausalModel, GenerativeModel
from lmcore.models.sequence_to_sequence import SequenceToSequenceModel
from lmcore.models.trainable import TrainableModel
from lmcore.tokens.batches.batches import IGNORED


class Objective(TrainableModel):
    """A model (the policy) with a loss other than the likelihood of its targets.

    Args:
        policy: a model that generates text, trained in place.

    Attributes:
        policy: the model.
    """

    is_compilable = False

    def __init__(self, policy: TrainableModel) -> None:
        super().__init__(policy.config, policy.vocabulary)
        self.policy = policy
        self._measured: dict[str, float] = {}

    def measured(self) -> dict[str, float]:
        """Metrics of the last batch, see :class:`~lmcore.models.trainable.TrainableModel`."""
        return self._measured

    def flops_per_token(self) -> float:
        """That of the policy, see :class:`~lmcore.models.trainable.TrainableModel`."""
        return self.policy.flops_per_token()

    def compute_in(self, dtype: torch.dtype) -> None:
        """Compute the policy's activations in ``dtype`` from now on."""
        self.compute_dtype = dtype
        self.policy.compute_in(dtype)


def target_log_probabilities(model: TrainableModel, tokens: Tensor, targets: Tensor) -> Tensor:
    """The natural logarithm of the probability of each target, float32 of the shape of the targets; 0 where ignored.

    Args:
        model: a causal model or an encoder-decoder.
        tokens: int64 (batch, length), right-padded: the sequences, or the sources of an encoder-decoder.
        targets: int64 (batch, target length): the next token at each position, or the target sequences.
    """
    if isinstance(model, SequenceToSequenceModel):
        logits = model.target_logits(tokens, targets)
    else:
        assert isinstance(model, CausalModel)
        logits = model(tokens)
    is_target = targets != IGNORED
    chosen = logits.float().log_softmax(dim=-1).gather(2, targets.where(is_target, 0).unsqueeze(2)).squeeze(2)
    return chosen.where(is_target, 0.0)


def as_example(prompt: Sequence[int], answer: Sequence[int], *, reads_source: bool) -> tuple[list[int], list[int]]:
    """A prompt with its answer as input tokens and targets, as :func:`target_log_probabilities` reads them."""
    if reads_source:
        return list(prompt), list(answer)
    tokens = [*prompt, *answer]
    return tokens[:-1], [IGNORED] * (len(prompt) - 1) + list(answer)


def is_policy(model: object) -> bool:
    """Whether a model can be trained on preferences or rewards."""
    return isinstance(model, TrainableModel) and isinstance(model, GenerativeModel)
