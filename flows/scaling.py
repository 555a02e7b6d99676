"""Fits a scaling law to sizes of one family: ``python -m flows.scaling``, after the tokens have been made.

Settings are in ``comparisons/scaling.yaml``. Tables and figures are written to ``reports/scaling`` and logged to
MLflow, where every size is a child of one run. A study that is interrupted continues where it stopped.
"""

import argparse
from pathlib import Path

from flows.paths import PARAMETERS, SCALING, TOKENS
from flows.runtime.commands import run_command
from flows.runtime.settings_file import read_settings
from flows.runtime.study_output import require_tokens, show_study
from lmcore.config.comparisons import ScalingConfig
from tasks.context.environment import Environment
from tasks.context.parameters import Parameters, load_parameters
from tasks.context.prefect import flow

SETTINGS = Path("comparisons/scaling.yaml")
QUICK = {
    "sizes": (1, 2, 3),
    "held_out_size": 4,
    "tokens": 60_000,
    "validations": 6,
    "calibration_steps": 12,
    "resamples": 50,
    "questions": 40,
}
"""What ``--quick`` changes: a trial run of a minute, whose numbers say little."""


@flow
def scaling(config: ScalingConfig, parameters: Parameters, environment: Environment, is_new: bool) -> None:
    """Train every size, fit the law, and check it with the held-out size."""
    # This imports torch, which a command that only checks its settings does not need.
    from tasks.compare.scaling import ScalingFiles, study_scaling

    study_scaling(
        config,
        parameters.pretrain,
        parameters.evaluate,
        environment,
        ScalingFiles(TOKENS, SCALING),
        is_new=is_new,
    )


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(prog="python -m flows.scaling", description=__doc__.split(":")[0] + ".")
    parser.add_argument("--settings", type=Path, default=SETTINGS, help="file of settings (default: %(default)s)")
    parser.add_argument("--quick", action="store_true", help="try it out: small sizes, few tokens, rough numbers")
    parser.add_argument("--again", action="store_true", help="measure everything again")
    arguments = parser.parse_args()
    run_command("scaling", lambda: _run(arguments.settings, is_quick=arguments.quick, is_new=arguments.again))


def _run(settings: Path, *, is_quick: bool, is_new: bool) -> None:
    config = read_settings(settings, ScalingConfig)
    if is_quick:
        config = ScalingConfig.model_validate(config.model_dump() | QUICK)
    parameters = load_parameters(PARAMETERS, preset=config.preset)
    require_tokens(TOKENS)
    environment = Environment()
    scaling.showing(config)(config, parameters, environment, is_new)
    show_study(SCALING / "scaling.md", environment)


if __name__ == "__main__":
    main()
