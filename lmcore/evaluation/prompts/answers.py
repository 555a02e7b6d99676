"""Answers prompts with a causal language model: by the likelihood of choices, or by greedy decoding."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch

from lmcore.config.generation import greedy_decoding
from lmcore.config.prompts import PromptsConfig
from lmcore.errors import UserError
from lmcore.finetuning.completion.examples import CompletionExample
from lmcore.generation import Generator
from lmcore.models.generative import CausalModel
from lmcore.models.prompt import PromptFormat, encode_prompt, encode_prompt_and_count
from lmcore.models.prompt_template import check_field
from lmcore.progress import progress
from lmcore.tokens.tokenizer.tokenizer import Tokenizer

LONGEST_WITHOUT_LIMIT = 4096
"""Tokens of a prompt for a model whose context has no limit."""
MAX_CHOICES = 200
BATCH_SIZE = 16


@dataclass(frozen=True)
class PromptAnswers:
    """The answers to prompts.

    Attributes:
        texts: the answer to each.
        n_dropped_examples: how many examples in total did not fit into the prompts.
    """

    texts: list[str]
    n_dropped_examples: int


class PromptedModel:
    """A causal language model that answers prompts.

    Args:
        model: the model, on its device.
        tokenizer: its tokenizer.
        config: how answers are found, and how long they may be.
        choices: the possible answers.

    Raises:
        UserError: if the context has no room for an answer, or there are too many choices.
    """

    def __init__(self, model: CausalModel, tokenizer: Tokenizer, config: PromptsConfig, choices: Sequence[str]) -> None:
        self._model, self._tokenizer, self._config = model.eval(), tokenizer, config
        self._choices = sorted(set(choices))
        if config.answer == "choice" and len(self._choices) > MAX_CHOICES:
            raise UserError(
                f"there are {len(self._choices)} different answers, more than the {MAX_CHOICES} that can be chosen "
                "from: set answer to generate"
            )
        context = model.max_position_embeddings or LONGEST_WITHOUT_LIMIT
        self._max_prompt_tokens = context - 1 - config.max_answer_tokens
        if self._max_prompt_tokens < 1:
            raise UserError(f"max_answer_tokens {config.max_answer_tokens} leaves no room in a context of {context}")

    def answer(
        self, template: str, asked: Sequence[CompletionExample], examples: Sequence[Sequence[CompletionExample]]
    ) -> PromptAnswers:
        """Answer prompts, each with its examples.

        Raises:
            UserError: if the template is not valid, or uses a variable that an example does not have.
        """
        check_field(template, self._config.truncated_field)
        prompt_format = PromptFormat(
            template=template,
            truncated_field=self._config.truncated_field,
            truncation_side="right",
            max_prompt_tokens=self._max_prompt_tokens,
            max_completion_tokens=self._config.max_answer_tokens,
        )
        prompts, n_dropped = [], 0
        for example, shown in zip(asked, examples, strict=True):
            values, n_left_out = self._fitting(example, shown, prompt_format)
            prompts.append(values)
            n_dropped += n_left_out
        answer = self._choose if self._config.answer == "choice" else self._generate
        return PromptAnswers(answer(prompts, prompt_format), n_dropped)

    def _fitting(
        self, asked: CompletionExample, shown: Sequence[CompletionExample], prompt_format: PromptFormat
    ) -> tuple[Mapping[str, Any], int]:
        """The values of a prompt with as many of the last examples as fit, and how many do not."""
        entries = [{**example.values, "answer": example.completion} for example in shown]
        for n_left_out in range(len(entries) + 1):
            values = {**asked.values, "examples": entries[n_left_out:]}
            if encode_prompt_and_count(self._tokenizer, values, prompt_format)[1] <= prompt_format.max_prompt_tokens:
                break
        return values, n_left_out

    def _generate(self, prompts: Sequence[Mapping[str, Any]], prompt_format: PromptFormat) -> list[str]:
        config = greedy_decoding(self._config.max_answer_tokens, stop_strings=("\n",))
        generator, texts = Generator(self._model, self._tokenizer, prompt_format), list[str]()
        with progress("Answer", len(prompts), "prompts") as bar:
            for start in range(0, len(prompts), BATCH_SIZE):
                batch = prompts[start : start + BATCH_SIZE]
                texts += [(completion.text or "").strip() for completion in generator.complete(batch, config)]
                bar.advance(len(batch))
        return texts

    def _choose(self, prompts: Sequence[Mapping[str, Any]], prompt_format: PromptFormat) -> list[str]:
        texts = []
        generator = Generator(self._model, self._tokenizer, prompt_format)
        with progress("Answer", len(prompts), "prompts") as bar:
            for prompt in prompts:
                # The space is part of the answer, as in its tokens.
                space = "" if generator.prompt_text(prompt)[-1:].isspace() else " "
                choices = [
                    self._tokenizer.encode(space + choice)[: self._config.max_answer_tokens] for choice in self._choices
                ]
                found = choice_log_probabilities(
                    self._model, encode_prompt(self._tokenizer, prompt, prompt_format), choices
                )
                texts.append(self._choices[int(found.argmax())])
                bar.advance(1)
        return texts


@torch.inference_mode()
def choice_log_probabilities(
    model: CausalModel, prompt: Sequence[int], choices: Sequence[Sequence[int]]
) -> torch.Tensor:
    """The natural logarithm of the probability of each choice after the prompt, float32 (n_choices,).

    The prompt is read once, and all choices continue its state.
    """
    device, longest = model.device, max(map(len, choices))
    tokens = torch.zeros((len(choices), longest), dtype=torch.int64)
    is_choice = torch.zeros(tokens.shape, dtype=torch.bool)
    for row, choice in enumerate(choices):
        tokens[row, : len(choice)] = torch.tensor(choice, dtype=torch.int64)
        is_choice[row, : len(choice)] = True
    tokens, is_choice = tokens.to(device), is_choice.to(device)
    state = model.new_state(1)
    logits = model(torch.tensor([prompt], device=device), state=state)[:, -1:].expand(len(choices), -1, -1)
    if longest > 1:
        state.select(torch.zeros(len(choices), dtype=torch.int64, device=device))
        logits = torch.cat((logits, model(tokens[:, :-1], state=state)), dim=1)
    chosen = logits.float().log_softmax(dim=-1).gather(-1, tokens.unsqueeze(-1))[..., 0]
    return torch.where(is_choice, chosen, 0.0).sum(dim=1).cpu()
