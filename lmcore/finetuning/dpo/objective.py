"""The loss of direct preference optimization (Rafailov et al. 2023, https://arxiv.org/abs/2305.18290)."""

from torch import Tensor
from torch.nn.functional import logsigmoid

from lmcore.config.dpo import DPOTrainingConfig
from lmcore.finetuning.policy import Objective, target_log_probabilities
from lmcore.models.trainable import TrainableModel
from lmcore.tokens.batches.batches import IGNORED


class DirectPreferenceObjective(Objective):
    """Raises the probability of chosen answers over that of rejected ones, relative to a reference.

    Args:
        policy: the model, trained in place.
        config: ``beta``, ``label_smoothing`` and ``sft_weight``.
    """

    def __init__(self, policy: TrainableModel, config: DPOTrainingConfig) -> None:
        super().__init__(policy)
        self._settings = config

    def loss(
        self,
        tokens: Tensor,
        targets: Tensor,
        *,
        label_smoothing: float = 0.0,
        document_ids: Tensor | None = None,
        references: Tensor | None = None,
    ) -> Tensor:
        """The summed loss of pairs, see :class:`~lmcore.finetuning.dpo.pairs.PreferenceBatch`.

        ``label_smoothing`` of the training is not used: this loss has its own.
        """
        assert references is not None
        config = self._settings
        log_probabilities = target_log_probabilities(self.policy, tokens, targets).sum(dim=1)
        rewards = config.beta * (log_probabilities - references).reshape(-1, 2)
        margins = rewards[:, 0] - rewards[:, 1]
        losses = preference_losses(margins, config.label_smoothing)
        if config.sft_weight:
            lengths = (targets[::2] != IGNORED).sum(dim=1)
            losses = losses - config.sft_weight * log_probabilities[::2] / lengths
        self._measured = {
            "accuracy": (margins > 0).float().mean().item(),
            "margin": margins.mean().item(),
            "chosen_reward": rewards[:, 0].mean().item(),
            "rejected_reward": rewards[:, 1].mean().item(),
        }
        return losses.sum()


def preference_losses(margins: Tensor, label_smoothing: float) -> Tensor:
    """The loss of each pair, float32 (n_pairs,).

    Args:
        margins: the reward of the chosen answer minus that of the rejected one: ``beta`` times the difference of their
            log-probabilities relative to the reference.
        label_smoothing: the probability that a preference is wrong (https://ericmitchell.ai/cdpo.pdf).
    """
    return -(1 - label_smoothing) * logsigmoid(margins) - label_smoothing * logsigmoid(-margins)
