"""The loss of group relative policy optimization (Shao et al. 2024, https://arxiv.org/abs/2402.03300)."""

import copy
from collections.abc import Sequence
from dataclasses import dataclass, fields

import torch
from torch import Tensor

from lmcore.config.grpo import GRPOTrainingConfig
from lmcore.finetuning.grpo.prompts import VerifiablePrompt
from lmcore.finetuning.grpo.rollouts import Sampler
from lmcore.finetuning.policy import Objective, as_example, target_log_probabilities
from lmcore.models.generative import GenerativeModel
from lmcore.models.state import RecurrentState
from lmcore.models.trainable import StatefulModel, TrainableModel
from lmcore.tokens.batches.batches import IGNORED, padded

SMALLEST_DEVIATION = 1e-4
"""Added to the standard deviation of a group's rewards."""
MEASURED = ("reward", "reward_deviation", "answer_tokens", "finished")
"""Metrics of sampled answers: means of the reward, of its deviation within a group, of the length, and of whether the
model ended the answer."""


@dataclass(frozen=True, slots=True)
class Answers:
    """Sampled answers, as the loss reads them.

    Attributes:
        tokens: int64 (n_answers, length).
        targets: int64 (n_answers, target length), -100 outside of the answers.
        advantages: float32 (n_answers,).
        old: float32 as the targets, their log-probabilities when they were sampled.
        reference: their log-probabilities under the reference model.
        measured: float64, what :data:`MEASURED` names.
    """

    tokens: Tensor
    targets: Tensor
    advantages: Tensor
    old: Tensor
    reference: Tensor
    measured: Tensor


class GroupRelativeObjective(Objective, StatefulModel):
    """Raises the probability of answers that are better than others to the same prompt.

    The first batch of prompts samples the answers, with random numbers that depend on the step and the prompt; batches
    that continue it learn from the same answers. The answers are the state that is carried from batch to batch, so a
    checkpoint has them. In evaluation, the loss is 1 minus the reward of the most probable answer.

    Args:
        policy: the model, trained in place.
        config: the settings.
        sampler: samples and rewards answers.
        prompts: the prompts, to which the targets of batches are indices.
        reference: a copy of the model at the start; it is not trained.
    """

    def __init__(
        self,
        policy: TrainableModel,
        config: GRPOTrainingConfig,
        sampler: Sampler,
        prompts: Sequence[VerifiablePrompt],
        reference: TrainableModel,
    ) -> None:
        super().__init__(policy)
        self._settings, self._sampler, self._prompts = config, sampler, prompts
        # In a tuple, so that its weights are not this module's.
        self._reference = (reference.eval().requires_grad_(requires_grad=False),)

    def compute_in(self, dtype: torch.dtype) -> None:
        """Compute the activations of policy and reference in ``dtype`` from now on."""
        super().compute_in(dtype)
        self._reference[0].compute_in(dtype)

    def loss(
        self, tokens: Tensor, targets: Tensor, *, label_smoothing: float = 0.0, document_ids: Tensor | None = None
    ) -> Tensor:
        """As :meth:`loss_and_state`, without a state."""
        return self.loss_and_state(tokens, targets, None)[0]

    def loss_and_state(
        self, tokens: Tensor, targets: Tensor, state: RecurrentState | None, *, label_smoothing: float = 0.0
    ) -> tuple[Tensor, RecurrentState]:
        """The summed loss of prompts, and the answers to them.

        Args:
            tokens: not used.
            targets: int64 (batch,), indices of prompts.
            state: the answers of the batch that this one continues; None: new ones are sampled.
            label_smoothing: not used.
        """
        prompts = [self._prompts[index] for index in targets.tolist()]
        if not self.training:
            return self._validation_loss(prompts, targets.device), RecurrentState({})
        answers = self._sample(prompts) if state is None else Answers(**state.tensors)
        losses, measured = group_relative_losses(
            target_log_probabilities(self.policy, answers.tokens, answers.targets),
            answers,
            beta=self._settings.beta,
            epsilon=self._settings.epsilon,
        )
        self._measured = dict(zip(MEASURED, answers.measured.tolist(), strict=True)) | measured
        carried = RecurrentState({field.name: getattr(answers, field.name) for field in fields(answers)})
        return losses.sum() / self._settings.num_generations, carried

    def _validation_loss(self, prompts: Sequence[VerifiablePrompt], device: torch.device) -> Tensor:
        rewards = [found.reward for found in self._sampler.most_probable(self._generative, prompts)]
        self._measured = {"reward": sum(rewards) / len(rewards)}
        return torch.tensor(len(rewards) - sum(rewards), device=device)

    @torch.no_grad()
    def _sample(self, prompts: Sequence[VerifiablePrompt]) -> Answers:
        num_generations = self._settings.num_generations
        # The loop seeds every step anew, so that the seed identifies the step.
        rollouts = self._sampler.sample(self._generative, prompts, num_generations, seed=torch.initial_seed())
        examples = [
            as_example(found.prompt.tokens, found.tokens, reads_source=self._generative.reads_source)
            for found in rollouts
        ]
        batch = padded(examples, self.vocabulary.padding_id).to(self.device)
        rewards = torch.tensor([found.reward for found in rollouts], device=self.device)
        old = target_log_probabilities(self.policy, batch.tokens, batch.targets)
        reference = target_log_probabilities(self._reference[0], batch.tokens, batch.targets)
        measured = [
            rewards.mean().item(),
            rewards.view(-1, num_generations).std(dim=1).mean().item(),
            sum(len(found.tokens) for found in rollouts) / len(rollouts),
            sum(found.is_finished for found in rollouts) / len(rollouts),
        ]
        return Answers(
            tokens=batch.tokens,
            targets=batch.targets,
            advantages=advantages_of(rewards, num_generations),
            old=old,
            reference=reference,
            measured=torch.tensor(measured, dtype=torch.float64),
        )

    @property
    def _generative(self) -> GenerativeModel:
        assert isinstance(self.policy, GenerativeModel)
        return self.policy


def reference_of(model: TrainableModel) -> TrainableModel:
    """A copy of a model, to compare it with while it is trained."""
    return copy.deepcopy(model)


def advantages_of(rewards: Tensor, num_generations: int) -> Tensor:
    """How much better each answer is than those to the same prompt, in standard deviations, float32 (n_answers,).

    Args:
        rewards: float32 (n_answers,), those of a prompt's answers next to each other.
        num_generations: answers to each prompt.
    """
    groups = rewards.view(-1, num_generations)
    deviations = groups.std(dim=1, keepdim=True) + SMALLEST_DEVIATION
    return ((groups - groups.mean(dim=1, keepdim=True)) / deviations).view(-1)


def group_relative_losses(
    log_probabilities: Tensor, answers: Answers, *, beta: float, epsilon: float
) -> tuple[Tensor, dict[str, float]]:
    """The loss of each answer, the mean over its tokens, float32 (n_answers,), and metrics.

    Args:
        log_probabilities: float32 (n_answers, target length), of the targets under the policy.
        answers: the answers.
        beta: weight of the divergence from the reference, by the estimator k3 (http://joschu.net/blog/kl-approx.html).
        epsilon: how far from 1 the ratio of probabilities is clipped.
    """
    is_target = answers.targets != IGNORED
    n_tokens = is_target.sum(dim=1).clamp_min(1)
    ratios = (log_probabilities - answers.old).exp()
    clipped = ratios.clamp(1 - epsilon, 1 + epsilon)
    advantages = answers.advantages.unsqueeze(1)
    gains = torch.minimum(ratios * advantages, clipped * advantages)
    distance = answers.reference - log_probabilities
    divergence = distance.exp() - distance - 1
    losses = ((beta * divergence - gains) * is_target).sum(dim=1) / n_tokens
    n_all = is_target.sum().clamp_min(1)
    measured = {
        "kl": ((divergence * is_target).sum() / n_all).item(),
        "clip_ratio": (((ratios - clipped).abs() > 0) & is_target).sum().item() / n_all.item(),
    }
    return losses, measured
