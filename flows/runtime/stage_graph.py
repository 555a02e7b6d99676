"""The stages of ``dvc.yaml``: their order, whether DVC finds one changed, and running one through DVC."""

import os
import sys
import time
from collections.abc import Mapping
from dataclasses import dataclass
from graphlib import TopologicalSorter
from pathlib import Path
from typing import Any, Literal

from flows.runtime.dvc_locks import mend_locks, wait_for_others
from flows.runtime.dvc_repository import explained, open_repository
from flows.runtime.errors import ShownError
from flows.runtime.sessions import run_in_session
from flows.runtime.stage_record import StageRecord
from tasks.context.environment import Environment


@dataclass(frozen=True)
class StageResult:
    """What became of a stage in one execution of the pipeline."""

    name: str
    state: Literal["ran", "restored", "cached"]
    """``cached``: nothing that it depends on has changed. ``restored``: its outputs came from DVC's cache."""
    seconds: float
    peak_memory_bytes: int | None
    restored: tuple[str, ...] = ()
    """For each output that was exchanged for one from DVC's cache: which, and why."""

    @property
    def is_cached(self) -> bool:
        """Whether its outputs are those that were there."""
        return self.state == "cached"

    @property
    def note(self) -> str:
        """What a person has to know, if anything."""
        return f"from DVC's cache: {'; '.join(self.restored)}" if self.restored else ""


class StageGraph:
    """The stage graph as DVC sees it now."""

    def __init__(self) -> None:
        wait_for_others(Path.cwd())
        self._repo = open_repository()

    def names(self) -> list[str]:
        """Every stage after those it depends on; independent ones as they follow in ``dvc.yaml``."""
        with explained():
            index = self._repo.index
            needs = {stage: list(index.graph.successors(stage)) for stage in index.stages}
        return [stage.addressing for stage in TopologicalSorter(needs).static_order()]

    def changes(self, name: str) -> list[Any]:
        """What DVC finds other than the stage's last run left it; it waits for other DVC processes."""
        from dvc.lock import LockError

        while True:
            wait_for_others(Path.cwd())
            try:
                with explained():
                    changed: list[Any] = self._repo.status(targets=[name]).get(name, [])
            except LockError:  # another process came first
                mend_locks(Path.cwd())
                continue
            return changed

    def outputs(self, name: str) -> dict[str, str | None]:
        """The hash of each output as ``dvc.lock`` holds it, by its path."""
        with explained():
            self._repo._reset()
            stage = self._repo.stage.load_one(name=name)
        return {out.def_path: out.hash_info.value for out in stage.outs}


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
        ShownError: if the stage fails; the message is the stage's own.
    """
    start = time.time()
    changes = graph.changes(name)
    if not changes:
        return StageResult(name, "cached", time.time() - start, None)
    before = graph.outputs(name)
    command = [sys.executable, "-m", "flows.reproduce", name]
    code = run_in_session(command, {**variables, "PATH": _path_with_this_python()})
    record = StageRecord.read(environment.stage_record(name), since=start)
    if code != 0:
        reason = record.message if record and record.message else f"it ended with exit code {code}"
        raise ShownError(f"stage {name!r} failed: {reason}", f"stage {name!r} failed; see its log above")
    if record is not None:
        return StageResult(name, "ran", time.time() - start, record.peak_memory_bytes)
    # Without a new record DVC found the result of an earlier run in its cache.
    restored = tuple(_restored(changes, before, graph.outputs(name)))
    return StageResult(name, "restored" if restored else "cached", time.time() - start, None, restored)


def _restored(changes: list[Any], before: Mapping[str, str | None], after: Mapping[str, str | None]) -> list[str]:
    found = {path: state for change in changes if isinstance(change, dict) for path, state in _outputs_of(change)}
    notes = []
    for path, content in after.items():
        if before.get(path) != content:
            notes.append(f"{path} is from an earlier run with the same inputs")
        elif found.get(path) == "deleted":
            notes.append(f"{path} was missing and has been restored")
        elif path in found:
            notes.append(f"{path} had been changed or damaged and has been restored")
    return notes


def _outputs_of(change: dict[str, Any]) -> list[tuple[str, str]]:
    return list(change.get("changed outs", {}).items())


def _path_with_this_python() -> str:
    return os.pathsep.join([str(Path(sys.executable).parent), os.environ.get("PATH", os.defpath)])
