"""Stage pretrain: token shards to a language model.  Run: ``python -m flows.pretrain``."""

from pathlib import Path

from flows.runtime.stage import run_stage
from tasks.context.environment import Environment
from tasks.context.parameters import Parameters
from tasks.pretrain import pretrain_language_model


def pretrain(parameters: Parameters) -> None:
    """Train the language model."""
    pretrain_language_model(
        parameters.pretrain,
        Environment(),
        tokens=Path("data/tokens"),
        model_folder=Path("models/language-model"),
        curves=Path("reports/pretrain"),
    )


if __name__ == "__main__":
    run_stage(pretrain)
