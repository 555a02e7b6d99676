"""Stage clean: raw to clean documents.  Run: ``python -m flows.clean``."""

from pathlib import Path

from flows.runtime.stage import run_stage
from tasks.clean import clean_documents
from tasks.context.environment import Environment
from tasks.context.named_files import check_named_file
from tasks.context.parameters import Parameters


def clean(parameters: Parameters) -> None:
    """Normalize, filter and analyze the documents."""
    check_named_file(parameters, "clean", lock=Path("sources.lock"))
    clean_documents(
        parameters.clean,
        parameters.tokenize.split,
        Environment(),
        raw=Path("data/raw"),
        clean_folder=Path("data/clean"),
    )


if __name__ == "__main__":
    run_stage(clean)
