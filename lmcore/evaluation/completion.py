"""How well a model completes prompts, compared with other systems."""

import re
from collections.abc import Mapping, Sequence

from lmcore.config.evaluate import CompletionEvaluationConfig, EvaluateConfig
from lmcore.evaluation.held_out_contamination import Indices, measure_all_and_clean
from lmcore.evaluation.intervals import Bootstrap, Flags
from lmcore.evaluation.names import MODEL
from lmcore.evaluation.result import Metrics, pair_name
from lmcore.evaluation.texts.metrics import TextMetrics
from lmcore.generation import Generator
from lmcore.models.prompt import Prompt
from lmcore.progress import progress

SENTENCE_END = re.compile(r"(?<=[.!?])(?<!e\.g\.)(?<!i\.e\.)\s|\n\s*\n|(?<=[\u3002\uff01\uff1f])(?![\u201d\u300d])")


def first_sentence(text: str) -> str:
    """A text up to its first sentence end or blank line, with collapsed white space."""
    return " ".join(SENTENCE_END.split(text.strip(), maxsplit=1)[0].split())


def complete_prompts(generator: Generator, prompts: Sequence[Prompt], config: CompletionEvaluationConfig) -> list[str]:
    """The model's completion of each prompt, stripped; prompts of similar length share a batch."""
    by_length = sorted(range(len(prompts)), key=lambda index: len(generator.encode(prompts[index])))
    completions = [""] * len(prompts)
    with progress("Complete", len(prompts), "prompts") as bar:
        for start in range(0, len(prompts), config.batch_size):
            batch = by_length[start : start + config.batch_size]
            answers = generator.complete([prompts[index] for index in batch], config.generation)
            for index, answer in zip(batch, answers, strict=True):
                completions[index] = (answer.text or "").strip()
            bar.advance(len(batch))
    return completions


def evaluate_completions(
    completions: Mapping[str, Sequence[str]], references: Sequence[str], is_clean: Flags, config: EvaluateConfig
) -> tuple[Metrics, dict[str, str]]:
    """Metrics of the completions of a model and of other systems, and the model's differences to the others.

    Args:
        completions: texts by system, the evaluated one under :data:`~lmcore.evaluation.names.MODEL`; one for each
            reference.
        references: the expected completions.
        is_clean: which of their documents share nothing with the training split, bool (n_documents,).
        config: seed and confidence intervals.

    Returns:
        the metrics, and for each metric a signature that tells how exactly it is computed.
    """
    systems = {name: TextMetrics(texts, references) for name, texts in completions.items()}

    def measure(indices: Indices) -> Metrics:
        bootstrap = Bootstrap(len(indices), config.bootstrap, config.seed)
        chosen = {name: system.select(indices) for name, system in systems.items()}
        return Metrics(
            {name: system.metrics(bootstrap) for name, system in chosen.items()},
            {
                pair_name(MODEL, name): chosen[MODEL].differences(system, bootstrap)
                for name, system in chosen.items()
                if name != MODEL
            },
            {"n_documents": len(indices)},
        )

    return measure_all_and_clean(is_clean, measure), systems[MODEL].signatures
