"""Compares families of models on one time budget: ``python -m flows.ladder``, after the tokens have been made.

Settings are in ``comparisons/ladder.yaml``, models in the presets of ``params.yaml``. Table and figure are written to
``reports/ladder`` and logged to MLflow, where every family is a child of one run. A ladder that is interrupted
continues where it stopped.
"""

import argparse
from pathlib import Path

from flows.paths import LADDER, PARAMETERS, TOKENS
from flows.runtime.commands import run_command
from flows.runtime.settings_file import read_settings
from flows.runtime.study_output import require_tokens, show_study
from lmcore.config.comparisons import LadderConfig
from tasks.context.environment import Environment
from tasks.context.parameters import Parameters, load_parameters
from tasks.context.prefect import flow

SETTINGS = Path("comparisons/ladder.yaml")


@flow
def ladder(config: LadderConfig, parameters: dict[str, Parameters], environment: Environment, is_new: bool) -> None:
    """Train every family for the same time, and compare them."""
    # This imports torch, which a command that only checks its settings does not need.
    from tasks.compare.ladder import LadderFiles, compare_families

    compare_families(
        config,
        {preset: own.pretrain for preset, own in parameters.items()},
        next(iter(parameters.values())).evaluate,
        environment,
        LadderFiles(TOKENS, LADDER),
        is_new=is_new,
    )


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(prog="python -m flows.ladder", description=__doc__.split(":")[0] + ".")
    parser.add_argument("--settings", type=Path, default=SETTINGS, help="file of settings (default: %(default)s)")
    parser.add_argument("--again", action="store_true", help="measure everything again")
    arguments = parser.parse_args()
    run_command("ladder", lambda: _run(arguments.settings, arguments.again))


def _run(settings: Path, is_new: bool) -> None:
    config = read_settings(settings, LadderConfig)
    parameters = {preset: load_parameters(PARAMETERS, preset=preset) for preset in config.presets}
    require_tokens(TOKENS)
    environment = Environment()
    ladder.showing(config)(config, parameters, environment, is_new)
    show_study(LADDER / "ladder.md", environment)


if __name__ == "__main__":
    main()
