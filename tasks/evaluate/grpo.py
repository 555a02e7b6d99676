"""Compares the model that was trained with rewards with its base model on test prompts."""

from pathlib import Path

import numpy as np

from lmcore.config.evaluate import EvaluateConfig
from lmcore.config.grpo import GRPOTrainingConfig
from lmcore.evaluation.names import BASE, MODEL
from lmcore.evaluation.preferences import evaluate_rewards
from lmcore.evaluation.result import EvaluationResult
from lmcore.finetuning.chat.examples import Conversation
from lmcore.finetuning.chat.preparation import chat_template_of
from lmcore.finetuning.examples import choose_examples
from lmcore.finetuning.grpo.prompts import VerifiablePrompt, verifiable_prompts
from lmcore.finetuning.grpo.rewards import combined_reward
from lmcore.finetuning.grpo.rollouts import Rollout, Sampler
from lmcore.models.device import pick_device
from lmcore.models.generative import GenerativeModel
from tasks.base_models import BaseModel
from tasks.evaluate.chat import row_of
from tasks.evaluate.contamination import read_is_clean


def compare_rewards(
    own: BaseModel,
    base: BaseModel,
    found: list[Conversation],
    settings: GRPOTrainingConfig,
    config: EvaluateConfig,
    output: Path,
) -> EvaluationResult:
    """Rewards of the most probable answers of a model and its base, and every answer with its reward."""
    chosen = choose_examples(found, config.completion.max_documents, config.seed)
    used, prompts = _prompts(chosen, own, settings)
    if not prompts:
        return EvaluationResult(skipped="no test document has a short prompt and an answer")
    answers = {name: _answers(model, prompts, settings, config) for name, model in ((MODEL, own), (BASE, base))}
    rows = [
        row_of(conversation)
        | {name: rollouts[index].text for name, rollouts in answers.items()}
        | {f"{name}_reward": rollouts[index].reward for name, rollouts in answers.items()}
        for index, conversation in enumerate(used)
    ]
    rewards = {name: np.array([rollout.reward for rollout in rollouts]) for name, rollouts in answers.items()}
    is_clean = read_is_clean(output, [conversation.id for conversation in used])
    names = {MODEL: f"{own.model.config.display_name} trained with rewards", BASE: "its base model"}
    return evaluate_rewards(names, rewards[MODEL], rewards[BASE], is_clean, config, rows)


def _prompts(
    chosen: list[Conversation], own: BaseModel, settings: GRPOTrainingConfig
) -> tuple[list[Conversation], list[VerifiablePrompt]]:
    """The conversations whose prompts are short enough, and these prompts."""
    template = chat_template_of(own.folder, None, own.tokenizer)
    pairs = [
        (conversation, prompt)
        for conversation in chosen
        for prompt in verifiable_prompts([conversation], template, max_prompt_tokens=settings.max_prompt_tokens)
    ]
    return [conversation for conversation, _ in pairs], [prompt for _, prompt in pairs]


def _answers(
    base: BaseModel, prompts: list[VerifiablePrompt], settings: GRPOTrainingConfig, config: EvaluateConfig
) -> list[Rollout]:
    model = base.model.to(pick_device())
    assert isinstance(model, GenerativeModel)
    template = chat_template_of(base.folder, None, base.tokenizer)
    sampler = Sampler(
        base.tokenizer,
        template,
        combined_reward(settings.rewards),
        max_new_tokens=settings.max_new_tokens,
        temperature=settings.temperature,
    )
    size = config.completion.batch_size
    parts = (prompts[start : start + size] for start in range(0, len(prompts), size))
    return [rollout for part in parts for rollout in sampler.most_probable(model, part)]
