"""The stages of ``dvc.yaml``: their order, whether DVC finds one changed, and running one through DVC."""

import json
import os
import sys
import time
from collections.abc import Mapping
from dataclasses import dataclass
from graphlib import TopologicalSorter
from pathlib import Path
from typing import Literal

from flows.sessions import run_in_session
from tasks.environment import Environment


@dataclass(frozen=True)
class StageResult:
    """What became of a stage in one execution of the pipeline."""

    name: str
    state: Literal["ran", "cached"]
    seconds: float
    peak_memory_bytes: int | None

    @property
    def is_cached(self) -> bool:
        """Whether it did not have to run."""
        return self.state == "cached"


class StageGraph:
    """The stage graph as DVC sees it now."""

    def __init__(self) -> None:
        from dvc.repo import Repo

        self._repo = Repo(_wait_for_lock=True)

    def names(self) -> list[str]:
        """Every stage after those it depends on; independent ones as they follow in ``dvc.yaml``."""
        index = self._repo.index
        needs = {stage: list(index.graph.successors(stage)) for stage in index.stages}
        return [stage.addressing for stage in TopologicalSorter(needs).static_order()]

    def is_unchanged(self, name: str) -> bool:
        """Whether DVC finds the stage's dependencies, parameters, command and outputs as it left them."""
        return not self._repo.status(targets=[name])


def bring_up_to_date(
    graph: StageGraph, name: str, environment: Environment, variables: Mapping[str, str]
) -> StageResult:
    """Run a stage through DVC unless nothing that it depends on has changed.

    Args:
        graph: the stages.
        name: the stage.
        environment: where the stage leaves its record.
        variables: environment variables for the stage's process.

    Raises:
        RuntimeError: if the stage fails.
    """
    start = time.time()
    if graph.is_unchanged(name):
        return StageResult(name, "cached", time.time() - start, None)
    command = [sys.executable, "-m", "dvc", "--wait-for-lock", "repro", "--single-item", name]
    if run_in_session(command, {**variables, "PATH": _path_with_this_python()}) != 0:
        raise RuntimeError(f"stage {name!r} failed; its own lines say why")
    record = environment.stage_record(name)
    # Without a new record DVC found the result of an earlier run in its cache.
    if not record.exists() or record.stat().st_mtime < start:
        return StageResult(name, "cached", time.time() - start, None)
    peak = json.loads(record.read_text(encoding="utf-8"))["peak_memory_bytes"]
    return StageResult(name, "ran", time.time() - start, peak)


def _path_with_this_python() -> str:
    return os.pathsep.join([str(Path(sys.executable).parent), os.environ.get("PATH", os.defpath)])
