"""Searches for better parameters: ``python -m flows.sweep sweeps/learning-rate.yaml --jobs 2``.

Optuna proposes the trials; each is a DVC experiment in a folder of its own (``dvc exp show`` lists it, ``dvc exp
apply`` applies it) and a child of one MLflow run. A trial that is worse than the median of the others is stopped
early. A sweep that is interrupted continues where it stopped; with a larger number of trials in its file, it goes on.
"""

import argparse
import hashlib
import json
from pathlib import Path
from typing import TYPE_CHECKING

from flows.paths import PARAMETERS, SWEEPS
from flows.runtime.commands import run_command
from flows.runtime.settings_file import read_settings
from flows.runtime.study_output import show_study
from flows.runtime.sweep_search import Search
from flows.runtime.sweep_settings import SweepConfig, check_paths
from tasks import tracking
from tasks.compare.sweep_report import COMPLETE, TrialResult, write_sweep_report
from tasks.context.environment import Environment
from tasks.context.exclusive import exclusive
from tasks.context.parameters import load_parameters
from tasks.context.prefect import flow
from tasks.context.process import ProcessIdentity
from tasks.context.stage_code import stage_code

if TYPE_CHECKING:
    from optuna.trial import FrozenTrial

KEY_CHARACTERS = 6


@flow
def sweep(config: SweepConfig, name: str, environment: Environment, n_jobs: int) -> None:
    """Run the trials of a sweep, and write its page."""
    key = sweep_key(config)
    folder = environment.work_folder / "checkpoints" / f"sweep-{key}"
    notice = "The same sweep is running in another process; waiting for it to end"
    with (
        exclusive(folder.parent / f"{folder.name}.lock", notice),
        tracking.model_run(
            environment,
            stage="sweep",
            model="sweep",
            family=None,
            parameters=config.model_dump(mode="json"),
            datasets=[],
            work_folder=folder,
            resumed_from_step=0,
        ) as run,
    ):
        variables = {
            "LMCORE_COMPARISON_RUN": run.name,
            "LMCORE_PIPELINE_PROCESS": ProcessIdentity.current().to_text(),
        }
        search = Search(config, folder=folder, name=f"{name}-{key}", environment=environment, variables=variables)
        search.run(n_jobs)
        trials = [
            TrialResult(search.experiment(trial), trial.state.name.lower(), _value(trial), trial.params)
            for trial in search.trials
        ]
        is_minimized = config.metric.direction == "minimize"
        output = SWEEPS / name
        write_sweep_report(output, trials, name=name, metric=config.metric.name, is_minimized=is_minimized)
        complete = [trial.value for trial in trials if trial.state == COMPLETE and trial.value is not None]
        if complete:
            run.log_metrics(0, {f"test/best_{config.metric.name}": config.metric.best(complete)})
        run.finish_comparison(output)


def _value(trial: "FrozenTrial") -> float | None:
    """The metric of a trial; of one that was stopped early, its last intermediate value."""
    if trial.value is not None:
        return trial.value
    return trial.intermediate_values[max(trial.intermediate_values)] if trial.intermediate_values else None


def sweep_key(config: SweepConfig) -> str:
    """What identifies a sweep: everything that its trials depend on, except their number."""
    parts = [
        config.model_dump_json(exclude={"trials"}),
        load_parameters(PARAMETERS).model_dump_json(),
        stage_code(config.stage),
    ]
    return hashlib.sha256(json.dumps(parts).encode()).hexdigest()[:KEY_CHARACTERS]


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(prog="python -m flows.sweep", description=__doc__.split(":")[0] + ".")
    parser.add_argument("settings", type=Path, help="a file in sweeps/")
    parser.add_argument("--jobs", type=int, default=1, help="trials at the same time (default: %(default)s)")
    arguments = parser.parse_args()
    run_command("sweep", lambda: _run(arguments.settings, arguments.jobs))


def _run(settings: Path, n_jobs: int) -> None:
    config = read_settings(settings, SweepConfig)
    check_paths(config, PARAMETERS)
    environment = Environment()
    sweep.showing(config)(config, settings.stem, environment, max(1, n_jobs))
    show_study(SWEEPS / settings.stem / "sweep.md", environment)


if __name__ == "__main__":
    main()
