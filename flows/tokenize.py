"""Stage tokenize: clean documents to token shards.  Run: ``python -m flows.tokenize``."""

from pathlib import Path

from flows.runtime.stage import run_stage
from tasks.context.environment import Environment
from tasks.context.named_files import check_named_file
from tasks.context.parameters import Parameters
from tasks.tokenize import tokenize_documents


def tokenize(parameters: Parameters) -> None:
    """Learn the tokenizer and encode the documents."""
    check_named_file(parameters, "tokenize", lock=Path("sources.lock"))
    weights = {source.name: source.weight for source in parameters.collect.sources}
    tokenize_documents(
        parameters.tokenize, Environment(), weights=weights, clean_folder=Path("data/clean"), tokens=Path("data/tokens")
    )


if __name__ == "__main__":
    run_stage(tokenize)
