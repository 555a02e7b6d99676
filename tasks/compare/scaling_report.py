"""The page of a scaling study: forecast and truth, the law, its check, and accuracy by size."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from lmcore.config.comparisons import ScalingConfig
from lmcore.evaluation.names import short_number
from lmcore.evaluation.report.comparison_plots import AccuracyLine, SizeLine, plot_accuracy, plot_scaling
from lmcore.evaluation.result import Estimate
from lmcore.evaluation.scaling_law import COEFFICIENTS, FittedLaw
from lmcore.runtime.files import write_json, write_text
from lmcore.tokens.corpus.shards import TokenShards
from tasks.compare.tables import machine_note, markdown_table, with_interval

MEBIBYTE = 2**20
FORECAST_COLUMNS = ("size", "seconds, forecast", "memory, forecast")


@dataclass(frozen=True)
class ScalingReport:
    """What a scaling study has found.

    Attributes:
        config: the settings of the study.
        forecasts: ``seconds`` and ``memory_bytes`` of each size, forecast before its training.
        measured: what was measured of each size, the held-out one last.
        law: the law of all sizes but the last.
        chance: the accuracy of guessing.
        n_questions: the number of questions.
    """

    config: ScalingConfig
    forecasts: Mapping[int, dict[str, Any]]
    measured: Sequence[dict[str, Any]]
    law: FittedLaw
    chance: float
    n_questions: int

    @property
    def held_out(self) -> dict[str, Any]:
        """The held-out size."""
        return self.measured[-1]

    @property
    def held_out_prediction(self) -> Estimate:
        """The predicted loss of the held-out size at the end of its training."""
        last = self.held_out["points"][-1]
        return self.law.predict(last["n_parameters"], last["n_tokens"])

    @property
    def held_out_error(self) -> float:
        """The predicted loss minus the measured one, as a fraction of it."""
        measured = float(self.held_out["points"][-1]["loss"])
        return (self.held_out_prediction.value - measured) / measured


def forecast_table(forecasts: Mapping[int, dict[str, Any]]) -> str:
    """What all trainings will take, as Markdown."""
    rows = [[str(size), f"{found['seconds']:.0f}", _memory(found["memory_bytes"])] for size, found in forecasts.items()]
    rows.append(["all", f"{sum(found['seconds'] for found in forecasts.values()):.0f}", ""])
    return markdown_table(FORECAST_COLUMNS, rows)


def write_scaling_report(folder: Path, report: ScalingReport, tokens: Path) -> None:
    """Write ``scaling.md``, ``scaling.json``, and the figures ``scaling`` and ``accuracy``."""
    coefficients = {name: report.law.coefficient(name).as_json() for name in COEFFICIENTS}
    values = {"law": coefficients, "forecasts": dict(report.forecasts), "sizes": list(report.measured)}
    write_json(folder / "scaling.json", values)
    plot_scaling(folder / "scaling", [_size_line(report, entry) for entry in report.measured])
    plot_accuracy(folder / "accuracy", _accuracy_lines(report), chance=report.chance)
    write_text(folder / "scaling.md", _page(report, TokenShards.open(tokens)))


def _page(report: ScalingReport, shards: TokenShards) -> str:
    config, law = report.config, report.law
    return f"""# Scaling of {config.preset}

Sizes {", ".join(map(str, config.sizes))} of one dial, each trained on {config.tokens:,} tokens
of {shards.offsets("train")[-1]:,} at a constant learning rate ({machine_note()}).

![Measured and predicted losses](scaling.png)

## The law

`loss = E + A / N^alpha + B / D^beta` in nats per token, N parameters (embeddings included), D tokens; fitted to the
validations of all sizes but the last (Hoffmann et al. 2022), intervals by bootstrap over the validations.

{_law_table(law)}

**{_check(report)}**

The intervals say how well these points determine the law. N and D span little more than one order of magnitude here, so
E, the loss of an infinite model on infinite text, is an extrapolation: do not read it as a property of the language.

## Forecast and truth

Each training was forecast by {config.calibration_steps} of its steps before the first one started. Memory is what a
training adds to the process.

{_truth_table(report)}

## Zero and few examples

Which of {config.options} first paragraphs belongs to the rest of a text? {report.n_questions} questions from the test
split, answered by likelihood, after none or some solved examples; chance is {report.chance:.0%}.

![Accuracy by size](accuracy.png)

{_accuracy_table(report)}
"""


def _check(report: ScalingReport) -> str:
    """What the law predicts for the held-out size, and the truth."""
    predicted, measured = report.held_out_prediction, float(report.held_out["points"][-1]["loss"])
    side = "inside" if predicted.low <= measured <= predicted.high else "outside"
    return (
        f"Size {report.held_out['size']}, not used in the fit: predicted {with_interval(predicted.as_json())}, "
        f"measured {measured:.3f} ({report.held_out_error:+.1%}; the measured loss is {side} the interval)."
    )


def _law_table(law: FittedLaw) -> str:
    rows = []
    for name in COEFFICIENTS:
        found = law.coefficient(name)
        rows.append([name, f"{found.value:.4g}", f"{found.low:.4g} to {found.high:.4g}"])
    return markdown_table(["coefficient", "value", "interval"], rows)


def _truth_table(report: ScalingReport) -> str:
    rows = []
    for entry in report.measured:
        forecast = report.forecasts[entry["size"]]
        rows.append(
            [
                str(entry["size"]),
                f"{entry['hidden_size']} by {entry['num_hidden_layers']}",
                short_number(entry["n_parameters"]),
                f"{entry['points'][-1]['loss']:.3f}",
                f"{forecast['seconds']:.0f}",
                f"{entry['seconds']:.0f} ({_difference(forecast['seconds'], entry['seconds'])})",
                _memory(forecast["memory_bytes"]),
                f"{_memory(entry['memory_bytes'])} ({_difference(*_memories(forecast, entry))})",
            ]
        )
    columns = ["size", "width, layers", "parameters", "loss", *FORECAST_COLUMNS[1:2], "measured"]
    return markdown_table([*columns, *FORECAST_COLUMNS[2:], "measured"], rows)


def _memories(*found: Mapping[str, Any]) -> list[float]:
    return [float(one["memory_bytes"] or 0) for one in found]


def _difference(forecast: float, measured: float) -> str:
    """How far the truth is from the forecast."""
    return f"{measured / forecast - 1.0:+.0%}" if forecast else "-"


def _memory(n_bytes: int | None) -> str:
    return "unknown" if n_bytes is None else f"{n_bytes / MEBIBYTE:,.0f} MiB"


def _accuracy_table(report: ScalingReport) -> str:
    rows = [
        [
            str(entry["size"]),
            short_number(entry["n_parameters"]),
            *(with_interval(entry["accuracies"][str(shots)]) for shots in report.config.examples),
        ]
        for entry in report.measured
    ]
    shown = [f"{shots} examples" if shots != 1 else "1 example" for shots in report.config.examples]
    return markdown_table(["size", "parameters", *shown], rows)


def _size_line(report: ScalingReport, entry: dict[str, Any]) -> SizeLine:
    points = [(point["n_tokens"], point["loss"]) for point in entry["points"]]
    first = round(report.config.skipped_ratio * len(points))
    n_parameters = entry["n_parameters"]
    is_held_out = entry is report.held_out
    return SizeLine(
        name=f"size {entry['size']}, {short_number(n_parameters)}{' (held out)' if is_held_out else ''}",
        measured=points,
        predicted=[(n_tokens, report.law.law.predict(n_parameters, n_tokens)) for n_tokens, _ in points[first:]],
        n_parameters=n_parameters,
        is_held_out=is_held_out,
    )


def _accuracy_lines(report: ScalingReport) -> list[AccuracyLine]:
    return [
        AccuracyLine(
            name=f"{shots} examples" if shots != 1 else "1 example",
            points=[(entry["n_parameters"], Estimate(**entry["accuracies"][str(shots)])) for entry in report.measured],
        )
        for shots in report.config.examples
    ]
