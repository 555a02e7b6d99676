"""Shows documents that a cleaning rule dropped or changed.  Run: ``python -m flows.inspect [RULE]``."""

import argparse
import difflib
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.panel import Panel
from rich.table import Table
from rich.text import Text

from flows.paths import CLEAN
from flows.runtime.commands import run_command

EXCERPT_CHARACTERS = 800


def main() -> None:
    """The command line."""
    description = "Show documents that a cleaning rule dropped or changed."
    parser = argparse.ArgumentParser(prog="python -m flows.inspect", description=description)
    parser.add_argument("rule", nargs="?", help="the cleaning rule; if omitted, all rules are listed")
    parser.add_argument("-n", "--count", type=int, default=20, help="documents to show (default: %(default)s)")
    parser.add_argument("--seed", type=int, default=1, help="seed of the random sample (default: %(default)s)")
    arguments = parser.parse_args()
    console = Console()
    if arguments.rule is None:
        run_command("inspect", lambda: list_rules(console))
    run_command("inspect", lambda: show_decisions(console, arguments.rule, arguments.count, arguments.seed))


def list_rules(console: Console) -> None:
    """Print a table of all rules that dropped or changed a document."""
    # Imported here, so that --help does not wait for it.
    from lmcore.text.describing.ledger import rules_of

    # Without borders the table fits into 80 columns.
    table = Table(title=f"Decisions in {_ledger()}", title_justify="left", box=None, pad_edge=False)
    for name in ("action", "rule"):
        table.add_column(name, no_wrap=True)
    for name in ("documents", "lowest", "highest", "threshold"):
        table.add_column(name, justify="right", no_wrap=True)
    for rule in rules_of(_ledger()):
        values = (rule["lowest_score"], rule["highest_score"], rule["threshold"])
        table.add_row(rule["action"], rule["rule"], f"{rule['count']:,}", *map(_number, values))
    console.print(table)


def show_decisions(console: Console, rule: str, count: int, seed: int) -> None:
    """Print a random sample of the documents that a rule dropped or changed."""
    from lmcore.text.describing.ledger import decisions_of

    for row in decisions_of(_ledger(), rule, count, seed):
        location = row["path"] if row["line"] is None else f"{row['path']}, line {row['line']}"
        facts = [f"score {_number(row['score'])}", f"threshold {_number(row['threshold'])}", row["detail"] or ""]
        shown = [] if row["action"] == "unreadable" else [fact for fact in facts if fact and not fact.endswith(" -")]
        subtitle = " · ".join(shown)
        title = f"{row['action']} · {row['source']} · {row['name'] or location}"
        console.print(Panel(_content(row), title=title, title_align="left", subtitle=subtitle, subtitle_align="right"))


def _content(row: dict[str, Any]) -> Text:
    if row["action"] == "unreadable":
        return Text(row["detail"])
    # Masked personal data are masked in the ledger, too: then both texts are equal.
    if row["action"] == "changed" and row["text"] != row["changed_to"]:
        return _difference(row["text"] or "", row["changed_to"] or "")
    return Text(_excerpt(row["text"] or ""))


def _difference(before: str, after: str) -> Text:
    """The lines that differ, marked with a sign and a color."""
    shown = Text()
    for line in difflib.unified_diff(before.splitlines(), after.splitlines(), n=1, lineterm=""):
        if not line.startswith(("---", "+++", "@@")):
            style = {"-": "red", "+": "green"}.get(line[:1], "dim")
            shown.append(f"{line[:EXCERPT_CHARACTERS]}\n", style=style)
    return shown


def _excerpt(text: str) -> str:
    return text if len(text) <= EXCERPT_CHARACTERS else f"{text[:EXCERPT_CHARACTERS]} …"


def _number(value: float | None) -> str:
    return "-" if value is None else f"{value:.4g}"


def _ledger() -> Path:
    ledger = CLEAN / "ledger.parquet"
    if not ledger.exists():
        raise FileNotFoundError(f"{ledger} is missing: run `dvc repro clean` first")
    return ledger


if __name__ == "__main__":
    main()
