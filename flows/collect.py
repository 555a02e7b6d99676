"""Stage collect: sources to raw documents.  Run: ``python -m flows.collect``."""

from pathlib import Path

from flows.runtime.stage import run_stage
from tasks.collect import collect_documents
from tasks.context.environment import Environment
from tasks.context.parameters import Parameters


def collect(parameters: Parameters) -> None:
    """Read every source, as it is pinned."""
    collect_documents(parameters.collect, Environment(), lock=Path("sources.lock"), raw=Path("data/raw"))


if __name__ == "__main__":
    run_stage(collect)
