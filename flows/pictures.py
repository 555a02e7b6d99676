"""Regenerates every picture of the documentation from the last run.  Run: ``python -m flows.pictures``.

The servers must be up (``make up``); the screenshots need Chromium or Chrome.
"""

import json
import logging
import shutil
import subprocess
import tempfile
import urllib.request
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from jinja2 import Environment as Templates
from jinja2 import FileSystemLoader, StrictUndefined
from PIL import Image

from flows.paths import CLEAN, EVALUATION, LANGUAGE_MODEL, METRICS, RAW, TOKENS
from flows.runtime.commands import check_arguments, run_command
from lmcore.errors import UserError
from lmcore.runtime.files import folder_digest, write_text
from tasks.context.environment import Environment
from tasks.tracking import experiment_page

logger = logging.getLogger(__name__)

PICTURES = Path("docs/pictures")
BROWSERS = ("chromium", "chromium-browser", "google-chrome", "chrome")
OPTIONS = ("--headless", "--no-sandbox", "--disable-gpu", "--hide-scrollbars", "--virtual-time-budget=30000")
PAGES = ((EVALUATION, "report.html"), (CLEAN, "statistics.html"))
GRAY, VIOLET, GREEN = ("#f1f5f9", "#cbd5e1"), ("#f5f3ff", "#c4b5fd"), ("#f0fdf4", "#86efac")
"""Fill and stroke of a stage's box."""


@dataclass(frozen=True)
class Stage:
    """The box of a stage: what it does, and what came out in the last run."""

    name: str
    colors: tuple[str, str]
    does: tuple[str, ...]
    result: tuple[str, str]


@dataclass(frozen=True)
class Screenshot:
    """A page and the part of it that is shown."""

    name: str
    address: str
    width: int
    height: int
    cropped_right: float = 0.0
    """The fraction of the width to cut off on the right."""


def make_pictures() -> None:
    """Draw the pipeline with its numbers, and take screenshots of the pages of the last run.

    Raises:
        UserError: if there is no browser, no MLflow server, or no finished run.
    """
    browser = next((path for name in BROWSERS if (path := shutil.which(name))), None)
    if browser is None:
        raise UserError(f"no browser found ({', '.join(BROWSERS)}): install one, such as `apt-get install chromium`")
    write_text(PICTURES / "pipeline.svg", draw_pipeline(stages()))
    for screenshot in screenshots(Environment()):
        picture = take(screenshot, browser)
        logger.info("%s: %s", picture, screenshot.address)


def draw_pipeline(boxes: list[Stage]) -> str:
    """The picture of the pipeline as SVG."""
    loader = FileSystemLoader(PICTURES)
    templates = Templates(
        loader=loader, autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    return templates.get_template("pipeline.svg.jinja").render(stages=boxes)


def stages() -> list[Stage]:
    """The boxes of the pipeline, with the numbers of the last run."""
    raw, clean, tokens = (_read(folder / "summary.json") for folder in (RAW, CLEAN, TOKENS))
    record, metrics = _read(LANGUAGE_MODEL / "record.json"), _read(METRICS)
    n_tokens = sum(split["n_tokens"] for split in tokens["splits"].values())
    return [
        Stage(
            "collect",
            GRAY,
            ("files, archives,", "hubs, packages"),
            (f"{raw['documents']:,} documents", _megabytes(raw)),
        ),
        Stage(
            "clean",
            GRAY,
            ("filters, masking,", "deduplication,", "a ledger of drops"),
            (f"{clean['kept']:,} kept", _megabytes(clean)),
        ),
        Stage(
            "tokenize",
            GRAY,
            ("byte pairs, words", "or characters"),
            (f"{n_tokens / 1e6:.2f} M tokens", f"vocabulary {tokens['vocabulary_size']:,}"),
        ),
        Stage(
            "pretrain",
            VIOLET,
            ("any model family,", "exact resume", "after a kill"),
            (f"{record['n_parameters'] / 1e6:.2f} M parameters", f"{record['n_steps']:,} steps"),
        ),
        Stage(
            "finetune",
            VIOLET,
            ("classify, answer,", "chat; preferences", "and rewards"),
            (f"exact match {metrics['exact_match_clean']:.3f}", f"accuracy {metrics['accuracy_clean']:.3f}"),
        ),
        Stage(
            "evaluate",
            GREEN,
            ("baselines, intervals,", "contamination,", "an HTML report"),
            (f"{metrics['bits_per_byte_clean']:.3f}", "bits per byte"),
        ),
    ]


def _megabytes(summary: Mapping[str, Any]) -> str:
    return f"{summary['bytes'] / 1e6:.1f} MB"


def screenshots(environment: Environment) -> list[Screenshot]:
    """The pages of the last run.

    Raises:
        UserError: if no MLflow server shows the language model's run.
    """
    run = run_page(environment, LANGUAGE_MODEL)
    if run is None:
        raise UserError(f"no MLflow server shows the run of {LANGUAGE_MODEL}: run `make up`, then `make run`")
    report, corpus = (
        Path(path).absolute().as_uri() for path in ("reports/evaluate/report.html", "data/clean/statistics.html")
    )
    return [
        Screenshot("report", report, 1160, 820),
        Screenshot("corpus", corpus, 1160, 820),
        Screenshot("mlflow", run, 1900, 1000, cropped_right=0.26),  # where MLflow opens its assistant
    ]


def take(screenshot: Screenshot, browser: str) -> Path:
    """Write a screenshot to ``docs/pictures``; returns its path."""
    path = PICTURES / f"{screenshot.name}.png"
    with tempfile.TemporaryDirectory(prefix="pictures-") as folder:
        page = Path(folder) / "page.png"
        chosen = (
            f"--user-data-dir={folder}/profile",
            f"--window-size={screenshot.width},{screenshot.height}",
            f"--screenshot={page}",
        )
        subprocess.run([browser, *OPTIONS, *chosen, screenshot.address], capture_output=True, check=True)
        with Image.open(page) as image:
            shown = image.crop((0, 0, round(image.width * (1 - screenshot.cropped_right)), image.height))
            shown.quantize(128).save(path, optimize=True)
    return path


def run_page(environment: Environment, model: Path) -> str | None:
    """The address of a model's run in the MLflow UI; None if no server has it."""
    page = experiment_page(environment)
    if page is None or "/#/experiments/" not in page:
        return None
    server, _, rest = page.partition("/#/experiments/")
    experiment_id = rest.partition("/")[0]
    search = {
        "experiment_ids": [experiment_id],
        "filter": f"tags.`model.digest` = '{folder_digest(model)}' and attributes.status = 'FINISHED'",
        "order_by": ["attributes.start_time DESC"],
        "max_results": 1,
    }
    request = urllib.request.Request(
        f"{server}/api/2.0/mlflow/runs/search",
        json.dumps(search).encode(),
        {"Content-Type": "application/json"},
    )
    with urllib.request.urlopen(request, timeout=10) as answer:
        runs = json.load(answer).get("runs", [])
    if not runs:
        return None
    return f"{server}/#/experiments/{experiment_id}/runs/{runs[0]['info']['run_id']}?workflowType=machine_learning"


def _read(path: Path) -> Any:
    return json.loads(path.read_text(encoding="utf-8"))


if __name__ == "__main__":
    check_arguments("flows.pictures", "Make the pictures of the documentation from the last run.")
    run_command("pictures", make_pictures)
