"""Stage clean: raw to clean documents.  Run: ``python -m flows.clean``."""

from flows.paths import CLEAN, LOCK, RAW
from flows.runtime.stage import run_stage
from tasks.clean import clean_documents
from tasks.context.environment import Environment
from tasks.context.named_files import check_named_files
from tasks.context.parameters import Parameters
from tasks.context.prefect import flow


@flow
def clean(parameters: Parameters, environment: Environment) -> None:
    """Normalize, filter and annotate the documents."""
    check_named_files(parameters, "clean", lock=LOCK)
    clean_documents(parameters.clean, parameters.tokenize.split, environment, raw=RAW, clean_folder=CLEAN)


if __name__ == "__main__":
    run_stage(clean)
