"""The search of a sweep: asks Optuna for trials, runs them as experiments, reports their curves, and stops bad ones.

With one job at a time, the search is a pure function of its settings: the sampler is seeded anew for every trial, and
a trial is judged by its own values at its own steps, however late they are seen.
"""

import logging
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import optuna
from optuna.trial import FrozenTrial, Trial, TrialState

from flows.runtime.sweep_settings import SweepConfig
from flows.runtime.sweep_trial import (
    TrialProcess,
    experiment_names,
    read_curve,
    read_metric,
    remove_leftovers,
    start_trial,
)
from tasks.compare.live_curve import live_curve
from tasks.context.environment import Environment

logger = logging.getLogger(__name__)

DATABASE = "optuna.db"
STUDY = "sweep"
SECONDS_BETWEEN_LOOKS = 0.5
LOG_LINES = 5


@dataclass
class RunningTrial:
    """A trial and the process that runs it; None if its experiment had ended before the sweep was continued."""

    trial: Trial
    experiment: str
    process: TrialProcess | None


class Search:
    """The trials of a sweep, kept in a database.

    Args:
        config: the settings of the sweep.
        folder: the folder of the database and of the trials' logs.
        name: the beginning of the experiments' names.
        environment: where the work folder is.
        variables: environment variables for the trials.
    """

    def __init__(
        self, config: SweepConfig, *, folder: Path, name: str, environment: Environment, variables: Mapping[str, str]
    ) -> None:
        optuna.logging.set_verbosity(optuna.logging.WARNING)
        self._config, self._folder, self._name = config, folder, name
        self._environment, self._variables = environment, variables
        folder.mkdir(parents=True, exist_ok=True)
        pruning = config.pruning
        self._study = optuna.create_study(
            study_name=STUDY,
            storage=f"sqlite:///{folder / DATABASE}",
            load_if_exists=True,
            direction=config.metric.direction,
            pruner=optuna.pruners.MedianPruner(pruning.startup_trials, pruning.warmup_steps)
            if pruning
            else optuna.pruners.NopPruner(),
        )

    @property
    def trials(self) -> list[FrozenTrial]:
        """All trials, in the order in which they were started."""
        return self._study.get_trials(deepcopy=False)

    def experiment(self, trial: FrozenTrial | Trial) -> str:
        """The name of a trial's experiment."""
        return f"{self._name}-{trial.number:03d}"

    def run(self, n_jobs: int) -> None:
        """Run trials, at most ``n_jobs`` at a time, until there are as many as configured.

        Trials of an earlier process that was stopped are continued first.
        """
        waiting = [Trial(self._study, found._trial_id) for found in self.trials if found.state == TrialState.RUNNING]
        running: list[RunningTrial] = []
        try:
            while waiting or running or len(self.trials) < self._config.trials:
                while len(running) < n_jobs and (waiting or len(self.trials) < self._config.trials):
                    running.append(self._start(waiting.pop(0) if waiting else self._ask()))
                time.sleep(SECONDS_BETWEEN_LOOKS)
                running = [one for one in running if not self._is_over(one)]
        finally:
            for one in running:
                if one.process is not None:
                    one.process.stop()

    def _ask(self) -> Trial:
        """A new trial; what is drawn depends on the seed, its number and the trials before."""
        self._study.sampler = optuna.samplers.TPESampler(
            n_startup_trials=self._config.random_trials, seed=self._config.seed * 1_000_003 + len(self.trials)
        )
        return self._study.ask(self._config.distributions())

    def _start(self, trial: Trial) -> RunningTrial:
        experiment = self.experiment(trial)
        logger.info("Trial %d of %d: %s", trial.number + 1, self._config.trials, _values(trial.params))
        if experiment in experiment_names():
            return RunningTrial(trial, experiment, None)
        remove_leftovers(experiment)
        process = start_trial(
            experiment,
            trial.params,
            stage=self._config.stage,
            variables=self._variables,
            log=self._log(experiment),
        )
        return RunningTrial(trial, experiment, process)

    def _is_over(self, running: RunningTrial) -> bool:
        """Check a trial; returns whether it has ended, on its own or because it was stopped as a bad one."""
        code = 0 if running.process is None else running.process.exit_code()
        if code is None:
            if self._is_bad(running.trial, self._live_curve(running.experiment)) and running.process is not None:
                running.process.stop()
                self._end(running.trial, TrialState.PRUNED)
                return True
            return False
        if running.process is not None:
            running.process.close()
        if code != 0:
            self._show_failure(running, code)
            self._end(running.trial, TrialState.FAIL)
        elif self._is_bad(running.trial, self._whole_curve(running.experiment)):
            self._end(running.trial, TrialState.PRUNED)  # it ended before it was found to be bad
        else:
            self._end(running.trial, TrialState.COMPLETE, read_metric(running.experiment, self._config.metric))
        return True

    def _is_bad(self, trial: Trial, curve: list[tuple[int, float]]) -> bool:
        """Report the new values, one after another; returns whether the trial should have stopped at one of them."""
        known = self._study.get_trials(deepcopy=False)[trial.number].intermediate_values
        for step, value in curve:
            if step in known:
                continue
            trial.report(value, step)
            if trial.should_prune():
                return True
        return False

    def _live_curve(self, experiment: str) -> list[tuple[int, float]]:
        pruning = self._config.pruning
        if pruning is None:
            return []
        return live_curve(self._environment, experiment=experiment, model=pruning.model, metric=pruning.metric)

    def _whole_curve(self, experiment: str) -> list[tuple[int, float]]:
        """The curve of an experiment that has ended, if pruning is by the metric that trials are compared by."""
        pruning, metric = self._config.pruning, self._config.metric
        is_same = pruning is not None and metric.name == pruning.metric and metric.file.suffix == ".csv"
        return read_curve(experiment, metric) if is_same else []

    def _end(self, trial: Trial, state: TrialState, value: float | None = None) -> None:
        self._study.tell(trial, value, state)
        shown = f"{self._config.metric.name} {value:.4f}" if value is not None else state.name.lower()
        logger.info("Trial %d: %s", trial.number + 1, shown)

    def _log(self, experiment: str) -> Path:
        return self._folder / "logs" / f"{experiment}.log"

    def _show_failure(self, running: RunningTrial, code: int) -> None:
        log = self._log(running.experiment)
        last = log.read_text(encoding="utf-8", errors="replace").splitlines()[-LOG_LINES:]
        logger.warning(
            "%s exited with code %d; the last lines of %s:\n%s", running.experiment, code, log, "\n".join(last)
        )


def _values(parameters: Mapping[str, Any]) -> str:
    return ", ".join(
        f"{path} = {value:.4g}" if isinstance(value, float) else f"{path} = {value}"
        for path, value in parameters.items()
    )
