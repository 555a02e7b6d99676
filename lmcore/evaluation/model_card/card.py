"""The model card as Markdown.

It has the sections of Mitchell et al. (2019), "Model Cards for Model Reporting", https://arxiv.org/abs/1810.03993, as
the Hugging Face Hub uses them. Equal content gives equal bytes: time, machine and cost are not part of it.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined

from lmcore.evaluation.names import INTERPOLATION, MODEL, UNCALIBRATED
from lmcore.evaluation.probes.probe import Probe
from lmcore.evaluation.report.render import Training, capitalized, uncapitalized
from lmcore.evaluation.report.shown import fixed, flatten, shown_value
from lmcore.evaluation.report.views import ProbeView
from lmcore.evaluation.result import CLEAN, Estimate, EvaluationResult, Metric, pair_name
from lmcore.models.folder import ModelDescription

TEMPLATE = "model_card.md.jinja"
MAX_SAMPLES = 3
MAX_SAMPLE_CHARACTERS = 600
TASKS = {"language_model": "text-generation", "classifier": "text-classification"}
"""The Hub's names of what models do; the others generate text too."""
ITEMS = {"classifier": "texts"}
"""What a model is evaluated on, where this is neither prompts nor documents."""


@dataclass(frozen=True)
class ModelCard:
    """Everything on a card.

    Attributes:
        part: which of the pipeline's models it is, such as ``classifier``.
        title: its name, with family and size.
        summary: what it does, in one or two sentences.
        example_call: Python code that uses the loaded ``model``.
        architecture: the model's configuration by name.
        settings: those of its training, by dotted name.
        training: its record, and its curves.
        curves: file name of the picture of the curves; None without one.
        result: its metrics.
        confidence: that of the intervals.
        samples: what it writes, by the heading of each part of a sample.
        probes: what its probes found.
        data: the data card.
    """

    part: str
    title: str
    summary: str
    example_call: str
    architecture: Mapping[str, Any]
    settings: Mapping[str, Any]
    training: Training
    curves: str | None
    result: EvaluationResult
    confidence: float
    samples: Sequence[Mapping[str, str]]
    probes: Sequence[Probe]
    data: Mapping[str, Any]


def render_model_card(card: ModelCard) -> str:
    """The card as Markdown."""
    environment = Environment(
        loader=FileSystemLoader(Path(__file__).parent),
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    environment.filters |= {
        "capitalized": capitalized,
        "cell": cell,
        "fenced": fenced,
        "fixed": fixed,
        "thousands": lambda value: f"{value:,.0f}",
        "uncapitalized": uncapitalized,
        "with_interval": with_interval,
    }
    metrics = [_on_clean(metric, card.result) for metric in card.result.reported]
    models = card.result.metrics.models
    systems = [name for name in card.result.names if metrics[0].name in models.get(name, {})]
    text = environment.get_template(TEMPLATE).render(
        card=card,
        task=TASKS.get(card.part, "text-generation"),
        items=ITEMS.get(card.part, "prompts" if "completions" in card.result.details else "documents"),
        metrics=metrics,
        columns=metrics[:3],
        systems=systems,
        uncalibrated=models.get(UNCALIBRATED, {}),
        comparisons=_comparisons(card.result, metrics[0]),
        probes=[ProbeView(probe) for probe in card.probes if probe.rows],
        samples=[_shortened(sample) for sample in card.samples[:MAX_SAMPLES]],
        settings=[*flatten(card.architecture), *flatten(card.settings)],
    )
    return re.sub(r"\n{3,}", "\n\n", text)


def example_call(description: ModelDescription) -> str:
    """Python code that uses a model of the library, whose name is ``model``."""
    if description.kind == "classifier":
        return 'model.predict("A text.")'
    if description.kind == "chat":
        return 'model.chat([{"role": "user", "content": "Hello!"}])'
    fields = description.prompt_format.fields if description.prompt_format else ()
    if len(fields) < 2:
        return 'model.generate("A prompt")'
    values = ", ".join(f'"{field}": "..."' for field in fields)
    return f"model.generate({{{values}}})"


def cell(text: object) -> str:
    """A text escaped for a cell of a Markdown table."""
    return re.sub(r"([\\|<>*_`\[\]])", r"\\\1", " ".join(str(text).split()))


def fenced(text: str) -> str:
    """A text as a block of Markdown that shows it as it is."""
    longest = max((len(ticks) for ticks in re.findall("`+", text)), default=0)
    fence = "`" * max(3, longest + 1)
    return f"{fence}text\n{text}\n{fence}"


def with_interval(found: Estimate, metric: Metric) -> str:
    """A value with its interval: ``0.760 (0.722 to 0.795)``."""
    value, low, high = (shown_value(number, metric) for number in (found.value, found.low, found.high))
    return f"{value} ({low} to {high})"


def _on_clean(metric: Metric, result: EvaluationResult) -> Metric:
    """The metric on clean documents, where some are."""
    clean = metric.labeled("clean", CLEAN)
    return clean if result.metrics.is_partly_clean and clean.name in result.metrics.models[MODEL] else metric


def _comparisons(result: EvaluationResult, metric: Metric) -> list[dict[str, Any]]:
    """The differences of the headline: which system, its reference, the difference and the verdict."""
    systems = [MODEL, *([INTERPOLATION] if INTERPOLATION in result.names else [])]
    return [
        {
            "system": result.names[system],
            "reference": result.names[reference],
            "difference": found[metric.name],
            "verdict": found[metric.name].verdict(lower_is_better=metric.lower_is_better),
        }
        for system in systems
        for reference in result.names
        if (found := result.metrics.differences.get(pair_name(system, reference))) and metric.name in found
    ]


def _shortened(sample: Mapping[str, str]) -> dict[str, str]:
    return {
        heading: text if len(text) <= MAX_SAMPLE_CHARACTERS else f"{text[:MAX_SAMPLE_CHARACTERS].rstrip()} …"
        for heading, text in sample.items()
    }
