"""Stage tokenize: clean documents to token shards.  Run: ``python -m flows.tokenize``."""

from flows.paths import CLEAN, LOCK, TOKENS
from flows.runtime.stage import run_stage
from tasks.context.environment import Environment
from tasks.context.named_files import check_named_files
from tasks.context.parameters import Parameters
from tasks.context.prefect import flow
from tasks.tokenize import tokenize_documents


@flow
def tokenize(parameters: Parameters, environment: Environment) -> None:
    """Train the tokenizer and encode the documents."""
    check_named_files(parameters, "tokenize", lock=LOCK)
    weights = {source.name: source.weight for source in parameters.collect.sources}
    tokenize_documents(parameters.tokenize, environment, weights=weights, clean_folder=CLEAN, tokens=TOKENS)


if __name__ == "__main__":
    run_stage(tokenize)
