"""The stages of ``dvc.yaml``: their order, whether DVC finds one changed, and running one through DVC."""

import os
import sys
import time
from collections.abc import Mapping
from dataclasses import dataclass
from graphlib import TopologicalSorter
from pathlib import Path
from typing import Any, Literal

from flows.runtime.dvc_locks import repair_locks, wait_for_others
from flows.runtime.dvc_repository import explained, open_repository
from flows.runtime.processes import run_in_session
from flows.runtime.stage_record import StageRecord
from tasks.context.environment import Environment
from tasks.context.errors import ShownError


@dataclass(frozen=True)
class StageResult:
    """The outcome of a stage in one run of the pipeline."""

    name: str
    state: Literal["ran", "restored", "cached"]
    """``cached``: nothing it depends on has changed. ``restored``: outputs were replaced from DVC's cache."""
    seconds: float
    peak_memory_bytes: int | None
    restored: tuple[str, ...] = ()
    """For each output that was replaced from DVC's cache: which one, and why."""

    @property
    def is_cached(self) -> bool:
        """Whether its outputs are unchanged."""
        return self.state == "cached"

    @property
    def note(self) -> str:
        """What the user should know about it, if anything."""
        return f"from DVC's cache: {'; '.join(self.restored)}" if self.restored else ""


class StageGraph:
    """The stage graph as DVC reads it."""

    def __init__(self) -> None:
        wait_for_others(Path.cwd())
        self._repo = open_repository()

    def names(self) -> list[str]:
        """Every stage, after those it depends on; independent stages in the order of ``dvc.yaml``."""
        with explained():
            index = self._repo.index
            needs = {stage: list(index.graph.successors(stage)) for stage in index.stages}
        return [stage.addressing for stage in TopologicalSorter(needs).static_order()]

    def changes(self, name: str) -> list[Any]:
        """What DVC reports as changed since the stage's last run; waits for other DVC processes."""
        from dvc.lock import LockError

        while True:
            wait_for_others(Path.cwd())
            try:
                with explained():
                    changed: list[Any] = self._repo.status(targets=[name]).get(name, [])
            except LockError:  # another process was first
                repair_locks(Path.cwd())
                continue
            return changed

    def outputs(self, name: str) -> dict[str, str | None]:
        """The hash of each output in ``dvc.lock``, by the output's path."""
        with explained():
            self._repo._reset()
            stage = self._repo.stage.load_one(name=name)
        return {out.def_path: out.hash_info.value for out in stage.outs}


def bring_up_to_date(
    graph: StageGraph, name: str, environment: Environment, variables: Mapping[str, str]
) -> StageResult:
    """Run a stage through DVC unless nothing it depends on has changed.

    Args:
        graph: the stage graph.
        name: the name of the stage.
        environment: locates the stage's record.
        variables: environment variables for the stage's process.

    Raises:
        ShownError: if the stage fails, with the message that the stage has shown.
    """
    start = time.monotonic()
    changes = graph.changes(name)
    if not changes:
        return StageResult(name, "cached", time.monotonic() - start, None)
    before = graph.outputs(name)
    environment.stage_record(name).unlink(missing_ok=True)  # what is there afterwards is from this execution
    command = [sys.executable, "-m", "flows.runtime.reproduce", name]
    code = run_in_session(command, {**variables, "PATH": _path_with_this_python()})
    record = StageRecord.read(environment.stage_record(name))
    seconds = time.monotonic() - start
    if code != 0:
        reason = record.message if record and record.message else f"it exited with code {code}"
        raise ShownError(f"stage {name!r} failed: {reason}", f"stage {name!r} failed; see its log above")
    if record is None or record.state == "ran":
        return StageResult(name, "ran", seconds, record.peak_memory_bytes if record else None)
    restored = tuple(_restoration_notes(changes, before, graph.outputs(name)))
    return StageResult(name, "restored" if restored else "cached", seconds, None, restored)


def _restoration_notes(
    changes: list[Any], before: Mapping[str, str | None], after: Mapping[str, str | None]
) -> list[str]:
    found = {path: state for change in changes if isinstance(change, dict) for path, state in _outputs_of(change)}
    notes = []
    for path, content in after.items():
        if before.get(path) != content:
            notes.append(f"{path} is from an earlier run with the same inputs")
        elif found.get(path) == "deleted":
            notes.append(f"{path} was missing and has been restored")
        elif path in found:
            notes.append(f"{path} was changed or damaged and has been restored")
    return notes


def _outputs_of(change: dict[str, Any]) -> list[tuple[str, str]]:
    return list(change.get("changed outs", {}).items())


def _path_with_this_python() -> str:
    return os.pathsep.join([str(Path(sys.executable).parent), os.environ.get("PATH", os.defpath)])
