"""Runs benchmarks, prints a table, and updates benchmarks/results.json.  Run: ``python -m benchmarks [NAME ...]``."""

import argparse
import json
from pathlib import Path

from rich.console import Console
from rich.table import Table

from benchmarks.character_model import character_model
from benchmarks.data_speed import cleaning, duplicates, encoding
from benchmarks.generation_speed import generation
from benchmarks.large_corpus import growing_corpus, large_corpus
from benchmarks.large_model import large_model
from benchmarks.line import Line
from benchmarks.ngram_speed import penn_treebank
from benchmarks.precision import precision
from benchmarks.tracking_cost import tracking_cost
from benchmarks.training_speed import memory, packing, speed
from lmcore.runtime.files import write_json
from tasks.context.machine import machine_facts

BENCHMARKS = {
    "training": speed,
    "packing": packing,
    "memory": memory,
    "precision": precision,
    "generation": generation,
    "ngram": penn_treebank,
    "tracking": tracking_cost,
    "characters": character_model,
    "cleaning": cleaning,
    "growing": growing_corpus,
    "duplicates": duplicates,
    "encoding": encoding,
    "large": large_model,
    "scale": large_corpus,
}
ONLY_BY_NAME = ("scale",)
"""Benchmarks that take an hour and 30 GB of disk space: they run only if they are named."""
WIDTH = 150
RESULTS = Path(__file__).with_name("results.json")


def main() -> None:
    """Run the named benchmarks, or all except the longest ones; the others keep their last results."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("names", nargs="*", metavar="NAME", help=", ".join(BENCHMARKS))
    names = parser.parse_args().names or [name for name in BENCHMARKS if name not in ONLY_BY_NAME]
    if unknown := sorted(set(names) - set(BENCHMARKS)):
        parser.error(f"{', '.join(unknown)}: no such benchmark; choose from {', '.join(BENCHMARKS)}")
    console, machine = Console(width=WIDTH), machine_facts()
    results = {line["name"]: line for line in json.loads(RESULTS.read_text("utf-8"))} if RESULTS.exists() else {}
    lines = []
    for name in names:
        with console.status(f"Measuring {name} ..."):
            found = BENCHMARKS[name]()
        lines += found
        results |= {line.name: line.as_dict(machine) for line in found}
        write_json(RESULTS, list(results.values()))
    console.print(_table(lines))


def _table(lines: list[Line]) -> Table:
    table = Table(title="Benchmarks on this machine")
    for name in ("benchmark", "ours", "baseline", "unit", "ratio", "target", "met"):
        table.add_column(name, justify="left" if name in ("benchmark", "unit") else "right")
    for line in lines:
        relation = "≥" if line.better == "higher" else "≤"
        missing = "not measured" if line.ratio is None else ""
        met = {None: missing, True: "yes", False: "NO"}[line.holds]
        target = "" if line.target is None else f"{relation} {line.target:g}"
        name = f"{line.name}\n[dim]{line.note}" if line.note else line.name
        values = [_number(line.ours), _number(line.theirs), line.unit, _number(line.ratio)]
        table.add_row(name, *values, target, met)
    return table


def _number(value: float | None) -> str:
    if value is None:
        return ""
    return f"{value:,.0f}" if abs(value) >= 100 else f"{value:.3g}"


if __name__ == "__main__":
    main()
