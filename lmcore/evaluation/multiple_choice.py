"""A multiple-choice task made from any documents: which first paragraph belongs to the rest of a text?

A causal model chooses by the likelihood of each answer after the question, divided by its likelihood after an empty
question, so that a common answer has no advantage (Brown et al. 2020, https://arxiv.org/abs/2005.14165). Solved
examples before the question show the format.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from lmcore.config.evaluate import LikelihoodConfig
from lmcore.errors import UserError
from lmcore.evaluation.intervals import Flags
from lmcore.evaluation.language_models.likelihood import Tokens
from lmcore.evaluation.language_models.scoring import NeuralScorer
from lmcore.models.generative import CausalModel
from lmcore.tokens.tokenizer.tokenizer import Tokenizer

PARAGRAPH = "\n\n"
BEFORE_ANSWER = "\n\nSummary: "
AFTER_ANSWER = "\n\n"
MIN_ANSWER_CHARACTERS, MAX_ANSWER_CHARACTERS, MIN_REST_CHARACTERS = 20, 200, 60
QUESTION_SHARES = 2
"""A question may be as long as this many examples."""


@dataclass(frozen=True)
class SolvedQuestion:
    """The rest of a text and its first paragraph."""

    question: str
    answer: str


@dataclass(frozen=True)
class Choice:
    """A question with the answers to choose from, as tokens.

    Attributes:
        question: what is before the answer, (n_tokens,).
        options: the answers, each (n_tokens,).
        right: the index of the right one.
    """

    question: Tokens
    options: tuple[Tokens, ...]
    right: int


def solved_questions(texts: Sequence[str]) -> list[SolvedQuestion]:
    """Question and answer of each text that has a short first paragraph and enough after it."""
    found = []
    for text in texts:
        first, _, rest = text.partition(PARAGRAPH)
        is_short = MIN_ANSWER_CHARACTERS <= len(first.strip()) <= MAX_ANSWER_CHARACTERS
        if is_short and len(rest.strip()) >= MIN_REST_CHARACTERS:
            found.append(SolvedQuestion(rest.strip(), " ".join(first.split())))
    return found


class MultipleChoice:
    """Questions with drawn wrong answers, each after the same number of solved examples.

    Args:
        tokenizer: the models' tokenizer.
        questions: the questions to ask; the wrong answers are those of other questions.
        examples: solved questions to show; none of them is asked.
        n_options: answers to choose from.
        max_examples: the largest number of examples that will be shown.
        context: tokens that the models read at once; examples, question and answer must fit.
        seed: the seed of the wrong answers, their order, and the examples.

    Raises:
        UserError: if there are too few questions or examples, or the context is too short.
    """

    def __init__(
        self,
        tokenizer: Tokenizer,
        questions: Sequence[SolvedQuestion],
        examples: Sequence[SolvedQuestion],
        *,
        n_options: int,
        max_examples: int,
        context: int,
        seed: int,
    ) -> None:
        if len(questions) < n_options or len(examples) < max_examples:
            raise UserError(
                f"the documents give {len(questions)} questions and {len(examples)} examples, too few for "
                f"{n_options} options and {max_examples} examples: use a corpus of texts with a first paragraph"
            )
        self._tokenizer, self._examples, self._seed = tokenizer, examples, seed
        self._frame = len(tokenizer.encode(BEFORE_ANSWER)) + len(tokenizer.encode(AFTER_ANSWER))
        self._share = context // (max_examples + QUESTION_SHARES)
        if self._share <= 2 * self._frame:
            raise UserError(f"a context of {context} tokens is too short for {max_examples} examples: show fewer")
        self.choices = [self._choice(number, questions, n_options) for number in range(len(questions))]
        self.chance = 1.0 / n_options

    def answer(self, model: CausalModel, *, n_examples: int, config: LikelihoodConfig) -> Flags:
        """Which questions a model answers right, bool (n_questions,).

        Args:
            model: the model, on its device.
            n_examples: solved examples before each question.
            config: how many tokens are scored at once.
        """
        empty = np.array(self._tokenizer.encode(BEFORE_ANSWER))
        prompts = [
            np.concatenate((self._shown(number, n_examples), choice.question))
            for number, choice in enumerate(self.choices)
        ]
        after_question = self._scores(model, prompts, config)
        after_nothing = self._scores(model, [empty] * len(prompts), config)
        best = np.argmax(after_question - after_nothing, axis=1)
        return np.asarray(best == np.array([choice.right for choice in self.choices]))

    def _scores(self, model: CausalModel, prompts: Sequence[Tokens], config: LikelihoodConfig) -> np.ndarray:
        """The log-likelihood of every option after its prompt, (n_questions, n_options)."""
        pairs = [
            (prompt, option) for prompt, choice in zip(prompts, self.choices, strict=True) for option in choice.options
        ]
        scores = NeuralScorer(model, config=config).log_probabilities([np.concatenate(pair) for pair in pairs])
        totals = [score[len(prompt) :].sum() for score, (prompt, _) in zip(scores, pairs, strict=True)]
        return np.array(totals).reshape(len(self.choices), -1)

    def _choice(self, number: int, questions: Sequence[SolvedQuestion], n_options: int) -> Choice:
        generator = np.random.default_rng([self._seed, number])
        own = questions[number]
        others = [index for index in generator.permutation(len(questions)) if questions[index].answer != own.answer]
        answers = [own.answer, *(questions[index].answer for index in others[: n_options - 1])]
        order = generator.permutation(len(answers))
        options = tuple(self._encode(f"{answers[index]}", self._share // 3) for index in order)
        question = self._encode(own.question, QUESTION_SHARES * self._share - self._share // 3 - self._frame)
        before = np.array(self._tokenizer.encode(BEFORE_ANSWER))
        return Choice(np.concatenate((question, before)), options, int(np.flatnonzero(order == 0)[0]))

    def _shown(self, number: int, n_examples: int) -> Tokens:
        """The solved examples before a question, drawn anew for each question, (n_tokens,)."""
        generator = np.random.default_rng([self._seed, number, 1])
        chosen = generator.choice(len(self._examples), size=n_examples, replace=False)
        parts = [self._shown_example(self._examples[index]) for index in chosen]
        return np.concatenate(parts) if parts else np.empty(0, dtype=np.int64)

    def _shown_example(self, example: SolvedQuestion) -> Tokens:
        answer = self._encode(example.answer, self._share // 3)
        question = self._encode(example.question, self._share - len(answer) - self._frame)
        frame = [np.array(self._tokenizer.encode(text)) for text in (BEFORE_ANSWER, AFTER_ANSWER)]
        return np.concatenate((question, frame[0], answer, frame[1]))

    def _encode(self, text: str, max_tokens: int) -> Tokens:
        return np.array(self._tokenizer.encode(text)[: max(1, max_tokens)], dtype=np.int64)
