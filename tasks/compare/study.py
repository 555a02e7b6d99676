"""A study: several trainings that are compared, in one tracked run with a child each.

A study that is interrupted keeps what is finished and continues with the rest. The result of a finished study is kept
as well: the same study is not measured again, because times would differ.
"""

import json
import logging
import shutil
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from lmcore.runtime.files import atomic_folder, write_json
from tasks import tracking
from tasks.context.checkpoints import WorkFolder, checkpoint_folder
from tasks.context.environment import Environment
from tasks.context.stage_code import stage_code

logger = logging.getLogger(__name__)

RESULTS = "results"


class Study:
    """A study in progress; :func:`study` makes one."""

    def __init__(self, environment: Environment, work: WorkFolder, run: tracking.ModelRun, output: Path) -> None:
        self._work, self._run, self._output = work, run, output
        self.environment = environment.model_copy(update={"comparison_run": run.name})
        """The environment of the trainings, whose runs become children of the study's run."""
        self.folder = work.path
        """A folder for models and curves while the study runs."""

    def kept(self, name: str, compute: Callable[[], dict[str, Any]]) -> dict[str, Any]:
        """What ``compute`` returns, as JSON values; computed once, even if the study is interrupted afterwards."""
        path = self.folder / RESULTS / f"{name}.json"
        if not path.exists():
            write_json(path, compute())
        found: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
        return found

    def log_metrics(self, metrics: Mapping[str, float]) -> None:
        """Log the study's own metrics."""
        self._run.log_metrics(0, metrics)

    def finish(self, write: Callable[[Path], None]) -> None:
        """Let ``write`` fill a folder with table and figures; copy it to the output folder, and log it to the run."""
        result = self._work.save_result(write)
        _copy(result, self._output)
        self._run.finish_comparison(result)


@contextmanager
def study(
    environment: Environment,
    *,
    kind: str,
    settings: Mapping[str, Any],
    inputs: Sequence[Path],
    output: Path,
    is_new: bool,
) -> Iterator[Study | None]:
    """Open a study, which ends with :meth:`Study.finish`, or yield None where its result is known and copied.

    Args:
        environment: where the work folder and the tracking store are.
        kind: its name: "ladder" or "scaling".
        settings: all values that its result depends on.
        inputs: the data.
        output: the folder of its table and figures.
        is_new: measure everything again.
    """
    code = stage_code("pretrain") + stage_code("evaluate")
    parent = environment.work_folder / "checkpoints"
    with checkpoint_folder(parent, kind, config=settings, inputs=inputs, code=code) as work:
        if is_new:
            work.remove_result()
            work.remove_checkpoints()
        if (result := work.result()) is not None:
            logger.info(
                "%s: measured before with the same settings, data and code; --again measures everything again", kind
            )
            _copy(result, output)
            yield None
            return
        with tracking.model_run(
            environment,
            stage=kind,
            model=kind,
            family=None,
            parameters=settings,
            datasets=inputs,
            work_folder=work.path,
            resumed_from_step=0,
        ) as run:
            yield Study(environment, work, run, output)


def _copy(result: Path, output: Path) -> None:
    with atomic_folder(output) as temporary:
        shutil.copytree(result, temporary, dirs_exist_ok=True)
