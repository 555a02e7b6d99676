"""Answers that a model samples, with their rewards."""

from collections.abc import Sequence
from dataclasses import dataclass

import torch

from lmcore.config.generation import GenerationConfig
from lmcore.finetuning.grpo.prompts import VerifiablePrompt
from lmcore.finetuning.grpo.rewards import Reward
from lmcore.generation.completion import Completion
from lmcore.generation.decoding import decode
from lmcore.generation.decoding_state import DecodingState
from lmcore.models.chat_template import ChatTemplate
from lmcore.models.generative import GenerativeModel
from lmcore.tokens.tokenizer.tokenizer import Tokenizer


@dataclass(frozen=True, slots=True)
class Rollout:
    """An answer to a prompt.

    Attributes:
        prompt: the prompt.
        tokens: the answer's tokens, with the token that ended it, if one did.
        text: the answer.
        reward: how good it is, from 0 to 1.
        is_finished: whether the model ended it; else it was cut off.
    """

    prompt: VerifiablePrompt
    tokens: list[int]
    text: str
    reward: float
    is_finished: bool


class Sampler:
    """Samples answers to prompts, and rewards them.

    Args:
        tokenizer: the model's tokenizer.
        template: its chat template, which defines what ends an answer.
        reward: rewards an answer.
        max_new_tokens: the longest answer.
        temperature: the sampling temperature.
    """

    def __init__(
        self, tokenizer: Tokenizer, template: ChatTemplate, reward: Reward, *, max_new_tokens: int, temperature: float
    ) -> None:
        self._tokenizer, self._reward = tokenizer, reward
        self._end = template.end_of_turn_id
        self._config = GenerationConfig(
            max_new_tokens=max_new_tokens,
            num_beams=1,
            do_sample=True,
            temperature=temperature,
            top_k=None,
            top_p=None,
            min_p=None,
            seed=0,
            length_penalty=None,
            repetition_penalty=1.0,
            stop_strings=(),
            stop_token_ids=(self._end,),
        )

    def sample(
        self, model: GenerativeModel, prompts: Sequence[VerifiablePrompt], num_generations: int, *, seed: int
    ) -> list[Rollout]:
        """Several answers to each prompt, next to each other; randomness depends only on the seed and the prompt."""
        config = self._config.model_copy(update={"seed": seed})
        return self._rollouts(model, [prompt for prompt in prompts for _ in range(num_generations)], config)

    def most_probable(self, model: GenerativeModel, prompts: Sequence[VerifiablePrompt]) -> list[Rollout]:
        """The answer of greedy decoding to each prompt."""
        return self._rollouts(model, prompts, self._config.greedy())

    def _rollouts(
        self, model: GenerativeModel, prompts: Sequence[VerifiablePrompt], config: GenerationConfig
    ) -> list[Rollout]:
        was_training = model.training
        model.eval()
        tokens = [prompt.tokens for prompt in prompts]
        with torch.inference_mode():
            state = DecodingState.from_prompts(model, tokens, config.max_new_tokens)
            completions = decode(state, tokens, config, model.vocabulary)
        model.train(was_training)
        return [self._rollout(prompt, found[0]) for prompt, found in zip(prompts, completions, strict=True)]

    def _rollout(self, prompt: VerifiablePrompt, completion: Completion) -> Rollout:
        ends = {"stop": [self._end], "end_of_text": [self._tokenizer.vocabulary.end_of_text_id]}
        end = ends.get(completion.finish_reason or "", [])
        text = self._tokenizer.decode(completion.tokens).strip()
        return Rollout(prompt, completion.tokens + end, text, self._reward(text, prompt.expected), bool(end))
