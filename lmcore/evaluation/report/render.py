"""The report: one self-contained HTML page with a model's metrics, compared with those of its baselines."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

from lmcore.config.evaluate import EvaluateConfig
from lmcore.evaluation.names import MODEL, UNCALIBRATED
from lmcore.evaluation.probes.probe import Probe
from lmcore.evaluation.report.plots import Curve, curve_plot, interval_plot, reliability_plot
from lmcore.evaluation.report.shown import fixed, flatten, percent, shown_value
from lmcore.evaluation.report.views import ClassifierView, CompletionView, LanguageModelView, ProbeView
from lmcore.evaluation.result import Estimate, EvaluationResult
from lmcore.training.record import TrainingRecord

TEMPLATE = "report.html.jinja"
SURPRISAL_BOUNDS_BITS = (0.5, 1.0, 2.0, 3.0, 4.5, 6.0, 8.0)
"""Bounds between the shades that show a token's surprisal."""


@dataclass(frozen=True)
class Training:
    """A training as the report shows it.

    Attributes:
        title: what was trained.
        record: the training record in the model folder.
        curves: training and validation loss by step.
        loss_unit: unit of the loss.
    """

    title: str
    record: TrainingRecord
    curves: Sequence[Curve]
    loss_unit: str

    @property
    def has_curve(self) -> bool:
        """Whether there is a line to draw."""
        return any(len(curve.points) > 1 for curve in self.curves)


@dataclass(frozen=True)
class ModelTitle:
    """What the language model is.

    Attributes:
        family: its name.
        size: the family with the number of parameters.
        data: what it was trained on, and for how many steps.
    """

    family: str
    size: str
    data: str


@dataclass(frozen=True)
class CompletionPart:
    """A model that answers prompts, as the report shows it.

    Attributes:
        name: its key in results.
        title: heading of its section.
        lead: what it does, in one sentence.
        result: its metrics, or why there are none.
    """

    name: str
    title: str
    lead: str
    result: EvaluationResult


@dataclass(frozen=True)
class ReportContent:
    """Everything on the page.

    Attributes:
        model: title of the page.
        contamination: totals of ``contamination.json``.
        language_model: metrics of the language model.
        classifier: metrics of the classifier, or why there are none.
        completions: the models that answer prompts.
        probes: what the probes of all models found.
        samples: prompts and their continuations.
        trainings: the trainings of the models that were trained.
        clean_summary: totals of the cleaning.
        token_summary: sizes of the splits.
        parameters: all settings by stage.
    """

    model: ModelTitle
    contamination: Mapping[str, Any]
    language_model: EvaluationResult
    classifier: EvaluationResult
    completions: Sequence[CompletionPart]
    probes: Sequence[Probe]
    samples: Sequence[Mapping[str, str]]
    trainings: Sequence[Training]
    clean_summary: Mapping[str, Any]
    token_summary: Mapping[str, Any]
    parameters: Mapping[str, Any]


def render_report(content: ReportContent, config: EvaluateConfig) -> str:
    """The page as HTML; equal content gives equal bytes.

    Everything that comes from documents, models or parameters is escaped.
    """
    folder = Path(__file__).parent / "templates"
    environment = Environment(
        loader=FileSystemLoader(folder),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {
        "capitalized": capitalized,
        "fixed": fixed,
        "percent": percent,
        "shade": _surprisal_shade,
        "thousands": _thousands,
        "uncapitalized": uncapitalized,
        "value": shown_value,
    }
    language_model = LanguageModelView(content.language_model)
    page = environment.get_template(TEMPLATE).render(
        content=content,
        config=config,
        style=Markup((folder / "report.css").read_text(encoding="utf-8")),
        language=language_model,
        classifier=None if content.classifier.skipped else ClassifierView(content.classifier),
        completions=[_completion_section(part, config) for part in content.completions if not part.result.skipped],
        probes=[ProbeView(probe) for probe in content.probes if probe.rows],
        skipped=_skipped(content),
        reliability_plot=_reliability_plot(content.classifier),
        intervals_plot=_intervals_plot(language_model),
        curve_plots=[
            _curve_plot(f"curve-{index}", item) for index, item in enumerate(content.trainings) if item.has_curve
        ],
        flat_parameters={section: dict(flatten(values)) for section, values in content.parameters.items()},
    )
    return page + "\n"


def render_plots(content: ReportContent) -> dict[str, str]:
    """The plots of the page by file name, each as an SVG file of its own."""
    curves = {
        curves_file(item.title): str(_curve_plot(f"curve-{index}", item))
        for index, item in enumerate(content.trainings)
        if item.has_curve
    }
    name = content.language_model.reported[0].name.replace("_", "-")
    reliability = _reliability_plot(content.classifier)
    return {
        f"{name}.svg": str(_intervals_plot(LanguageModelView(content.language_model))),
        **curves,
        **({} if reliability is None else {"reliability.svg": str(reliability)}),
    }


def curves_file(title: str) -> str:
    """The name of the file with the curves of a training."""
    return f"loss-{title.lower().replace(' ', '-')}.svg"


def uncapitalized(text: str) -> str:
    """The text with a small first letter."""
    return text[:1].lower() + text[1:]


def capitalized(text: str) -> str:
    """The text with a capital first letter; the rest is unchanged."""
    return text[:1].upper() + text[1:]


def _completion_section(part: CompletionPart, config: EvaluateConfig) -> dict[str, Any]:
    examples = _evenly_spaced(part.result.details.get("completions", []), config.report.num_completions)
    return {
        "name": part.name.replace("_", "-"),
        "title": part.title,
        "lead": part.lead,
        "view": CompletionView(part.result),
        "examples": examples,
    }


def _skipped(content: ReportContent) -> dict[str, str]:
    """Why models were not evaluated, by title."""
    parts = [("Classifier", content.classifier), *((part.title, part.result) for part in content.completions)]
    return {title: result.skipped for title, result in parts if result.skipped is not None}


def _reliability_plot(classifier: EvaluationResult) -> Markup | None:
    by_model = classifier.details.get("reliability")
    if not by_model:
        return None
    curves = {
        label: [(row["confidence"], Estimate(**row["accuracy"])) for row in by_model[name]]
        for name, label in ((MODEL, "with the temperature"), (UNCALIBRATED, "without"))
        if name in by_model
    }
    errors = [
        f"{label} {100 * classifier.metrics.models[name]['calibration_error'].value:.1f} %"
        for name, label in ((MODEL, "with the temperature"), (UNCALIBRATED, "without"))
        if "calibration_error" in classifier.metrics.models.get(name, {})
    ]
    description = f"How often predictions of a given probability are right. Calibration error: {', '.join(errors)}."
    return Markup(reliability_plot("reliability", curves, description=description))


def _intervals_plot(language_model: LanguageModelView) -> Markup:
    estimates, headline = language_model.estimates, language_model.headline
    spoken = "; ".join(f"{name} {e.value:.3f}, from {e.low:.3f} to {e.high:.3f}" for name, e in estimates.items())
    return Markup(
        interval_plot(
            "bits",
            estimates,
            label=f"{headline.title.lower()} (lower is better)",
            description=f"{headline.title} with intervals: {spoken}.",
        )
    )


def _curve_plot(name: str, training: Training) -> Markup:
    ends = [f"{curve.name} ends at {curve.points[-1][1]:.3f}" for curve in training.curves if curve.points]
    return Markup(
        curve_plot(
            name,
            training.curves,
            title=training.title,
            label=f"loss ({training.loss_unit})",
            description=f"Loss of the {training.title.lower()} by step: {', '.join(ends)}.",
        )
    )


def _evenly_spaced(items: Sequence[Any], count: int) -> list[Any]:
    """``count`` evenly spaced items, so that none is picked by hand."""
    count = min(count, len(items))
    return [items[index * len(items) // count] for index in range(count)]


def _thousands(value: float) -> str:
    return f"{value:,.0f}"


def _surprisal_shade(bits: float) -> int:
    return sum(bits >= bound for bound in SURPRISAL_BOUNDS_BITS)
