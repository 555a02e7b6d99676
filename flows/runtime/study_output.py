"""What a comparison needs before it starts, and what it shows at its end."""

from pathlib import Path

from lmcore.errors import UserError
from tasks.context.environment import Environment
from tasks.tracking import experiment_page


def require_tokens(tokens: Path) -> None:
    """Check that the stage tokenize has run.

    Raises:
        UserError: if it has not.
    """
    if not (tokens / "tokenizer.json").exists():
        raise UserError(f"{tokens} has no tokens: make them with `dvc repro tokenize`")


def show_study(page: Path, environment: Environment) -> None:
    """Print the tables of a comparison's page, and where to find the rest."""
    from rich.console import Console

    console = Console(highlight=False)
    lines = page.read_text(encoding="utf-8").splitlines()
    console.print("\n".join(line for line in lines if line.startswith(("#", "|", "**"))), soft_wrap=True, markup=False)
    console.print(f"\nPage     {page}", soft_wrap=True)
    console.print(
        f"MLflow   {experiment_page(environment) or 'no server answers; `make up` starts one'}", soft_wrap=True
    )
