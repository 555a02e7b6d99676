"""How well a model completes prompts, compared with other systems."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from lmcore.config.evaluate import CompletionEvaluationConfig, EvaluateConfig
from lmcore.evaluation.completion_baselines import Pairs, completion_baselines
from lmcore.evaluation.held_out_contamination import Indices, measure_all_and_clean
from lmcore.evaluation.intervals import Bootstrap, Flags
from lmcore.evaluation.names import MODEL, WHOLE_PROMPT
from lmcore.evaluation.result import BY_LABEL, HEADLINE, EvaluationResult, Metrics, pair_name
from lmcore.evaluation.texts.metrics import TextMetrics
from lmcore.generation import Generator
from lmcore.models.prompt import Prompt
from lmcore.progress import progress


@dataclass(frozen=True)
class HeldOutPrompts:
    """Prompts of test documents.

    Attributes:
        ids: the ids of the documents.
        shown: their whole prompts, for readers.
        prompts: the part of them that the baselines read and copy.
        references: the expected completions.
        labels: the labels of the documents; empty if they have none.
    """

    ids: Sequence[str]
    shown: Sequence[str]
    prompts: Sequence[str]
    references: Sequence[str]
    labels: Sequence[str] = field(default=())


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


def compare_with_baselines(
    name: str,
    completions: Sequence[str],
    test: HeldOutPrompts,
    *,
    training: Pairs,
    validation: Pairs,
    is_clean: Flags,
    config: EvaluateConfig,
    others: Mapping[str, tuple[str, Sequence[str]]] | None = None,
) -> EvaluationResult:
    """Evaluate a model's completions, and compare them with those of the baselines.

    Args:
        name: the name of the model in text.
        completions: its completion of each test prompt.
        test: the prompts and what is expected.
        training: prompts and completions that the model was trained on, from which the baselines copy.
        validation: prompts and completions that select among the baselines.
        is_clean: which test documents share nothing with the training split, bool (n_documents,).
        config: seed, confidence intervals, and the settings of completions.
        others: by key, more systems that the model is compared with: their names in text and their completions.
    """
    baselines = completion_baselines(training, validation, test.prompts, config.completion)
    more = others or {}
    answers = {MODEL: list(completions), **{key: list(own) for key, (_, own) in more.items()}, **baselines.completions}
    systems = {key: TextMetrics(texts, test.references) for key, texts in answers.items()}
    metrics, signatures = _evaluate_systems(systems, test.ids, is_clean, config), systems[MODEL].signatures
    columns = {"id": test.ids, "prompt": test.shown, "reference": test.references} | {
        name: texts for name, texts in answers.items() if name != WHOLE_PROMPT
    }
    rows = [dict(zip(columns, row, strict=True)) for row in zip(*columns.values(), strict=True)]
    details = {
        HEADLINE: config.completion.metric,
        "strongest_baseline": baselines.strongest,
        "validation": {system: round(value, 4) for system, value in baselines.validation.items()},
        "signatures": signatures,
        BY_LABEL: metric_by_label(
            {key: systems[key] for key in (MODEL, baselines.strongest)}, test.labels, test.ids, config
        ),
        "completions": rows,
    }
    names = {MODEL: name, **{key: title for key, (title, _) in more.items()}, **baselines.names}
    return EvaluationResult(names, metrics, details)


def evaluate_completions(
    completions: Mapping[str, Sequence[str]],
    references: Sequence[str],
    documents: Sequence[str],
    is_clean: Flags,
    config: EvaluateConfig,
) -> tuple[Metrics, dict[str, str]]:
    """Metrics of the completions of a model and of other systems, and the model's differences to the others.

    Args:
        completions: texts by system, the evaluated one under :data:`~lmcore.evaluation.names.MODEL`; one for each
            reference.
        references: the expected completions.
        documents: the id of the document of each; completions of one document are resampled together.
        is_clean: which of their documents share nothing with the training split, bool (n_documents,).
        config: seed and confidence intervals.

    Returns:
        the metrics, and for each metric a signature that states exactly how it is computed.
    """
    systems = {name: TextMetrics(texts, references) for name, texts in completions.items()}
    return _evaluate_systems(systems, documents, is_clean, config), systems[MODEL].signatures


def _evaluate_systems(
    systems: Mapping[str, TextMetrics], documents: Sequence[str], is_clean: Flags, config: EvaluateConfig
) -> Metrics:
    def measure(indices: Indices) -> Metrics:
        bootstrap = Bootstrap(len(indices), config.bootstrap, config.seed, [documents[index] for index in indices])
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

    return measure_all_and_clean(is_clean, measure)


def metric_by_label(
    systems: Mapping[str, TextMetrics], labels: Sequence[str], documents: Sequence[str], config: EvaluateConfig
) -> list[dict[str, Any]]:
    """The metric by which systems are compared on the documents of each label, where there are several labels.

    Args:
        systems: metrics of the texts by system.
        labels: the label of the document of each text; empty if they have none.
        documents: the id of that document; texts of one document are resampled together.
        config: the metric, seed and confidence intervals.

    Returns:
        JSON values: ``label``, ``n_documents``, and by system ``value``, ``low`` and ``high``; labels that begin with
        numbers are in numeric order.
    """
    if len(names := set(labels)) < 2:
        return []
    label_of, metric, rows = np.array(labels), config.completion.metric, []
    for label in sorted(names, key=_numeric_order):
        indices = np.flatnonzero(label_of == label).astype(np.int64)
        bootstrap = Bootstrap(
            len(indices), config.bootstrap, config.seed, [documents[index] for index in indices.tolist()]
        )
        found = {name: system.select(indices).estimate(metric, bootstrap) for name, system in systems.items()}
        estimates = {name: estimate.as_json() for name, estimate in found.items()}
        rows.append({"label": label, "n_documents": len(indices), **estimates})
    return rows


def _numeric_order(label: str) -> tuple[int, str]:
    number = label.partition(" ")[0]
    return (int(number) if number.isdecimal() else 0), label
