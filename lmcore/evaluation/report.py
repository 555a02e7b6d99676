"""The report: one self-contained page that shows what a model is worth, beside what it had to beat."""

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

from lmcore.config.evaluate import EvaluateConfig
from lmcore.evaluation.plots import Curve, curve_plot, interval_plot
from lmcore.evaluation.views import ClassifierView, CompletionView, LanguageModelView
from lmcore.training.record import TrainingRecord

TEMPLATE = "report.html.jinja"
SURPRISE_BOUNDS_BITS = (0.5, 1.0, 2.0, 3.0, 4.5, 6.0, 8.0)
"""Between the shades in which a token's bits are shown."""
STRONG_SHADE_PERCENT = 55
"""On darker cells, text is light."""


@dataclass(frozen=True)
class Training:
    """A training as the report shows it.

    Attributes:
        title: what was trained.
        record: the training record in the model folder.
        curves: training and validation loss by step.
        loss_unit: what the loss is measured in.
    """

    title: str
    record: TrainingRecord
    curves: Sequence[Curve]
    loss_unit: str


@dataclass(frozen=True)
class ModelTitle:
    """What the language model is.

    Attributes:
        family: its name.
        size: the family with its size.
        data: what it was trained on, and for how long.
    """

    family: str
    size: str
    data: str


@dataclass(frozen=True)
class ReportContent:
    """Everything on the page; mappings as the files of the same names hold them.

    ``classifier`` and ``completion`` may instead hold the reason ``skipped``.
    """

    model: ModelTitle
    contamination: Mapping[str, Any]
    language_model: Mapping[str, Any]
    classifier: Mapping[str, Any]
    completion: Mapping[str, Any]
    samples: Sequence[Mapping[str, str]]
    trainings: Sequence[Training]
    clean_summary: Mapping[str, Any]
    token_summary: Mapping[str, Any]
    parameters: Mapping[str, Any]


def render_report(content: ReportContent, config: EvaluateConfig) -> str:
    """The page as HTML; equal content gives equal bytes.

    Whatever comes from documents, models or parameters is escaped, so that a hostile text stays text.
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
        "fixed": _fixed,
        "percent": _percent,
        "thousands": _thousands,
        "surprise": _surprise_level,
    }
    language_model = LanguageModelView(content.language_model)
    page = environment.get_template(TEMPLATE).render(
        content=content,
        config=config,
        style=Markup((folder / "report.css").read_text(encoding="utf-8")),
        language=language_model,
        classifier=ClassifierView(content.classifier) if "figures" in content.classifier else None,
        completion=CompletionView(content.completion) if "figures" in content.completion else None,
        intervals_figure=_intervals_figure(language_model),
        curve_figures=[
            _curve_figure(f"curve-{place}", item) for place, item in enumerate(content.trainings) if _is_curve(item)
        ],
        shown_completions=_evenly(content.completion.get("completions", []), config.report.n_completions),
        flat_parameters={section: dict(_flatten(values)) for section, values in content.parameters.items()},
        strong=STRONG_SHADE_PERCENT,
    )
    return page + "\n"


def render_figures(content: ReportContent) -> dict[str, str]:
    """The figures of the page by file name, each as a file of its own."""
    curves = {
        f"loss-{item.title.lower().replace(' ', '-')}.svg": str(_curve_figure(f"curve-{place}", item))
        for place, item in enumerate(content.trainings)
        if _is_curve(item)
    }
    language_model = LanguageModelView(content.language_model)
    return {f"{language_model.headline.file_name}.svg": str(_intervals_figure(language_model)), **curves}


def _intervals_figure(language_model: LanguageModelView) -> Markup:
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


def _is_curve(training: Training) -> bool:
    return any(len(curve.points) > 1 for curve in training.curves)


def _curve_figure(name: str, training: Training) -> Markup:
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


def _evenly(items: Sequence[Any], count: int) -> list[Any]:
    """``count`` of the items at even distances: none of them picked by hand."""
    count = min(count, len(items))
    return [items[place * len(items) // count] for place in range(count)]


def _flatten(value: Any, path: str = "") -> Iterator[tuple[str, str]]:
    """Dotted names and values of nested mappings, for a table."""
    if not isinstance(value, Mapping):
        yield path, json.dumps(value, ensure_ascii=False)
        return
    for key, nested in value.items():
        yield from _flatten(nested, f"{path}.{key}" if path else str(key))


def _fixed(value: float, digits: int) -> str:
    return f"{round(value, digits) + 0.0:.{digits}f}".replace("-", "\N{MINUS SIGN}")


def _percent(value: float) -> str:
    return f"{_fixed(100 * value, 1)}\N{NARROW NO-BREAK SPACE}%"


def _thousands(value: float) -> str:
    return f"{value:,.0f}"


def _surprise_level(bits: float) -> int:
    return sum(bits >= bound for bound in SURPRISE_BOUNDS_BITS)
