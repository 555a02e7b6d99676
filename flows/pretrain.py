"""Stage pretrain: token shards to a language model.  Run: ``python -m flows.pretrain``."""

from flows.paths import LANGUAGE_MODEL, LOCK, PRETRAIN_CURVES, TOKENS
from flows.runtime.stage import run_stage
from tasks.context.environment import Environment
from tasks.context.named_files import check_named_files
from tasks.context.parameters import Parameters
from tasks.context.prefect import flow
from tasks.pretrain import pretrain_language_model


@flow
def pretrain(parameters: Parameters, environment: Environment) -> None:
    """Train the language model."""
    pinned = check_named_files(parameters, "pretrain", lock=LOCK)
    pretrain_language_model(
        parameters.pretrain,
        environment,
        tokens=TOKENS,
        model_folder=LANGUAGE_MODEL,
        curves=PRETRAIN_CURVES,
        pinned=pinned,
    )


if __name__ == "__main__":
    run_stage(pretrain)
