"""How well a completion model answers its validation prompts while it is trained."""

from collections.abc import Sequence

from sacrebleu.metrics.chrf import CHRF

from lmcore.config.generation import greedy_decoding
from lmcore.config.training import MetricName
from lmcore.finetuning.completion.answers import normalize_answer
from lmcore.finetuning.completion.examples import CompletionExample
from lmcore.generation import Generator
from lmcore.training.validation import MeasureModel

BATCH_SIZE = 32


def completion_measure(generator: Generator, examples: Sequence[CompletionExample], name: MetricName) -> MeasureModel:
    """A function that measures a model's greedy answers to prompts.

    Args:
        generator: generates with the model in training, which is a completion model.
        examples: prompts and expected completions.
        name: ``exact_match``, the fraction of answers that equal the completion as in the evaluation (case,
            punctuation and articles do not count); or ``chrf``, from 0 to 100 (Popović 2015,
            https://aclanthology.org/W15-3049).
    """
    prompt_format = generator.prompt_format
    assert prompt_format is not None
    config = greedy_decoding(prompt_format.max_completion_tokens)
    # Prompts of similar length share a batch.
    ordered = sorted(examples, key=lambda example: len(generator.encode(example.values)))
    references = [example.completion.strip() for example in ordered]

    def measure() -> float:
        answers = [
            (completion.text or "").strip()
            for start in range(0, len(ordered), BATCH_SIZE)
            for completion in generator.complete(
                [example.values for example in ordered[start : start + BATCH_SIZE]], config
            )
        ]
        if name == "exact_match":
            pairs = zip(answers, references, strict=True)
            return sum(normalize_answer(own) == normalize_answer(right) for own, right in pairs) / len(references)
        return float(CHRF().corpus_score(answers, [references]).score)

    return measure
