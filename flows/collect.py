"""Stage collect: sources to raw documents.  Run: ``python -m flows.collect``."""

from flows.paths import LOCK, RAW
from flows.runtime.stage import run_stage
from tasks.collect import collect_documents
from tasks.context.environment import Environment
from tasks.context.parameters import Parameters
from tasks.context.prefect import flow


@flow
def collect(parameters: Parameters, environment: Environment) -> None:
    """Read the documents of every source, as pinned in ``sources.lock``."""
    collect_documents(parameters.collect, environment, lock=LOCK, raw=RAW)


if __name__ == "__main__":
    run_stage(collect)
