"""Repairs DVC's lock file (``.dvc/tmp/rwlock``) after a kill, and waits for other DVC processes.

DVC rewrites the file in place, so a kill may leave it empty, after which every DVC command fails. It also keeps the
locks of a killed process, and takes any later process with the same id for their owner.
"""

import fcntl
import logging
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TextIO

import psutil
from pydantic import BaseModel, ConfigDict, ValidationError

from lmcore.runtime.damaged_files import set_aside

logger = logging.getLogger(__name__)

TEMPORARY = Path(".dvc/tmp")
GUARD_SECONDS = 3.0  # DVC holds the guard while it rewrites a small file
SECONDS_BETWEEN_CHECKS = 0.2
SILENT_SECONDS = 1.0  # about the duration of a `dvc status`, which is not worth a message


class Owner(BaseModel):
    """The owner of a lock, as DVC writes it."""

    model_config = ConfigDict(frozen=True, strict=True)

    pid: int
    cmd: str


class Locks(BaseModel):
    """The content of DVC's lock file: owners by the path that they write or read."""

    model_config = ConfigDict(frozen=True, strict=True, extra="forbid")

    write: dict[str, Owner] = {}
    read: dict[str, list[Owner]] = {}

    def owners(self) -> set[Owner]:
        """Every process that holds a lock."""
        return {*self.write.values(), *(owner for owners in self.read.values() for owner in owners)}

    def without(self, owners: set[Owner]) -> "Locks":
        """The locks of all other owners."""
        read = {path: [owner for owner in readers if owner not in owners] for path, readers in self.read.items()}
        return Locks(
            write={path: owner for path, owner in self.write.items() if owner not in owners},
            read={path: readers for path, readers in read.items() if readers},
        )


@dataclass(frozen=True)
class Holder:
    """A process that DVC waits for."""

    pid: int
    command: str

    def __str__(self) -> str:
        return f"process {self.pid} ({self.command})"


def repair_locks(root: Path) -> None:
    """Move a damaged lock file aside and remove the locks of processes that have ended, so that DVC can continue.

    Call this only while this process holds no DVC lock.
    """
    folder = root / TEMPORARY
    if not folder.is_dir():
        return
    with _hold_guard(folder) as is_ours:
        if is_ours:
            _repair_locks_file(folder / "rwlock")


def wait_for_others(root: Path) -> None:
    """Wait until no other process uses DVC in this project; log which process is waited for."""
    start = time.monotonic()
    reported: set[int] = set()
    while holder := _holder(root / TEMPORARY):
        if holder.pid not in reported and time.monotonic() - start >= SILENT_SECONDS:
            reported.add(holder.pid)
            logger.info("Another DVC process is running in this folder; waiting for %s", holder)
        time.sleep(SECONDS_BETWEEN_CHECKS)
        repair_locks(root)


def _repair_locks_file(file: Path) -> None:
    try:
        locks = Locks.model_validate_json(file.read_bytes())
    except FileNotFoundError:
        return
    except (OSError, ValidationError):
        logger.warning("DVC's lock file %s was damaged, probably by a kill; renamed to %s", file, set_aside(file).name)
        return
    if gone := {owner for owner in locks.owners() if owner.pid == os.getpid() or _is_gone(owner)}:
        temporary = file.with_name(f"{file.name}.{os.getpid()}")
        temporary.write_text(locks.without(gone).model_dump_json(), encoding="utf-8")
        temporary.replace(file)
        names = ", ".join(sorted({f"{owner.pid} ({owner.cmd})" for owner in gone}))
        logger.info("Released DVC locks of killed processes: %s", names)


def _is_gone(owner: Owner) -> bool:
    """Whether the owner has ended; its process id may now belong to a process with another command."""
    try:
        process = psutil.Process(owner.pid)
        words = process.cmdline()
        if process.status() == psutil.STATUS_ZOMBIE or not words:
            return True
    except psutil.NoSuchProcess:
        return True
    except psutil.Error:
        return False  # a process of another user, about which nothing is known
    # DVC writes ``sys.argv``, which ends like the command line but has the file of a module instead of its name.
    last = words[-1]
    return "-c" not in words and not owner.cmd.endswith(last) and last.replace(".", "/") not in owner.cmd


def _holder(folder: Path) -> Holder | None:
    """Another process that holds DVC's lock on the project or on some of its files."""
    try:
        locks = Locks.model_validate_json((folder / "rwlock").read_bytes())
    except (OSError, ValidationError):  # missing, or being rewritten
        locks = Locks()
    for owner in locks.owners():
        if owner.pid != os.getpid() and not _is_gone(owner):
            return Holder(owner.pid, owner.cmd)
    return _holder_of_project_lock(folder / "lock")


def _holder_of_project_lock(file: Path) -> Holder | None:
    """The process that holds DVC's lock on the project, which DVC releases while a stage runs."""
    try:
        with file.open("r+") as lock:
            if _try_to_lock(lock):
                return None
            pid = int(lock.read())
            return Holder(pid, " ".join(psutil.Process(pid).cmdline()))
    except (OSError, ValueError, psutil.Error):
        return None


@contextmanager
def _hold_guard(folder: Path) -> Iterator[bool]:
    """Keep DVC from rewriting its lock file; yields False if another process does not release the guard."""
    deadline = time.monotonic() + GUARD_SECONDS
    with (folder / "rwlock.lock").open("a+") as guard:
        while not (is_ours := _try_to_lock(guard)) and time.monotonic() < deadline:
            time.sleep(SECONDS_BETWEEN_CHECKS)
        yield is_ours


def _try_to_lock(file: TextIO) -> bool:
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True
