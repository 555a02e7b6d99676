"""A server that outlives the command that started it, known by its recorded process and never by its name."""

import logging
import os
import socket
import subprocess
import time
from collections.abc import Callable, Mapping, Sequence, Set
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import psutil

from flows.runtime.processes import session_members, stop_processes
from lmcore.errors import UserError
from lmcore.runtime.files import write_json
from tasks.context.environment import answers
from tasks.context.process import ProcessIdentity
from tasks.context.server_record import HOST, ServerRecord, read_recorded_server, read_server_record

logger = logging.getLogger(__name__)

PROJECT = Path(__file__).resolve().parents[2]
START_SECONDS = 180.0  # a fresh database on a slow and busy machine
SECONDS_BETWEEN_CHECKS = 0.2
LAUNCHES = 3


@dataclass(frozen=True)
class Daemon:
    """A server: how to start it, where it leaves its record and log, and how it shows that it is ready."""

    name: str
    title: str
    preferred_port: int
    health_path: str
    command: Callable[[int], Sequence[str]]
    variables: Callable[[int], Mapping[str, str]]
    data_folder: Path
    record: Path
    log: Path

    def running(self) -> ServerRecord | None:
        """The recorded process, if it is there."""
        return read_server_record(self.record)

    def is_ready(self, running: ServerRecord) -> bool:
        """Whether it answers, and it is really this process that listens on the port."""
        return answers(f"{running.url}{self.health_path}") and running.port in _listening_ports(running.process)

    def launch(self, avoid: int | None = None) -> ServerRecord:
        """Start the server on its preferred port, or on another one if that is taken or to be avoided."""
        self.stop()  # what a server that was killed may have left behind
        port = _free_port(self.preferred_port, avoid)
        url = f"http://{HOST}:{port}"
        taken = "" if port == self.preferred_port else f" (port {self.preferred_port} is taken)"
        logger.info("Starting %s on %s%s", self.title, url, taken)
        self.data_folder.mkdir(parents=True, exist_ok=True)

        def record_itself() -> None:
            # Done by the new process before it becomes the server: there is never a server without a record.
            write_json(self.record, ServerRecord.of(ProcessIdentity.current(), url, self.record).model_dump())

        with self.log.open("ab") as log:
            process = subprocess.Popen(
                self.command(port),
                cwd=self.data_folder,
                env={**os.environ, **self.variables(port), "PYTHONPATH": _path_with_project()},
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
                preexec_fn=record_itself,
            )
        identity = ProcessIdentity.of(psutil.Process(process.pid))
        process.returncode = 0  # it is meant to outlive this process, which must not warn about that
        return ServerRecord.of(identity, url, self.record)

    def wait_until_ready(self, running: ServerRecord) -> ServerRecord:
        """Wait for a started server; one that lost its port to another program is started again elsewhere.

        Raises:
            UserError: if it ends or stays silent; the message holds the end of its log.
        """
        deadline = time.monotonic() + START_SECONDS
        launches = 1
        while time.monotonic() < deadline:
            if self.is_ready(running):
                return running
            if running.process.is_gone():
                if launches == LAUNCHES or not _is_taken(running.port):
                    raise UserError(self._failure("exited during startup"))
                launches += 1
                running = self.launch(avoid=running.port)
            time.sleep(SECONDS_BETWEEN_CHECKS)
        self.stop()
        raise UserError(self._failure(f"did not answer within {START_SECONDS:.0f} s"))

    def stop(self) -> bool:
        """Stop the recorded process and what it started; return whether there was anything to stop.

        A server whose record was lost, damaged or written under another host name is known by its log, which nothing
        else writes.
        """
        recorded = read_recorded_server(self.record)
        members = session_members(recorded.process) if recorded else []
        was_there = stop_processes([*members, *self._writers_of_log({member.pid for member in members})])
        self.record.unlink(missing_ok=True)
        return was_there

    def _writers_of_log(self, known: Set[int]) -> list[psutil.Process]:
        log, others = str(self.log.resolve()), {*known, os.getpid()}
        return [process for process in psutil.process_iter() if process.pid not in others and _writes(process, log)]

    def describe(self) -> str:
        """In words, what the server does now."""
        if (running := self.running()) is None:
            return "not running"
        state = "ready" if self.is_ready(running) else "not answering"
        return f"{state} on {running.url} (process {running.process.pid}, log {self.log})"

    def _failure(self, what: str) -> str:
        end = "\n".join(self.log.read_text(encoding="utf-8", errors="replace").splitlines()[-15:])
        return f"the {self.title} server {what}; the end of {self.log}:\n{end}"


def _path_with_project() -> str:
    """The server's own modules are those of this project, wherever its folder has been moved to."""
    return os.pathsep.join(filter(None, [str(PROJECT), os.environ.get("PYTHONPATH")]))


def _writes(process: psutil.Process, file: str) -> bool:
    with suppress(psutil.Error):
        return any(opened.path == file and _is_for_writing(opened) for opened in process.open_files())
    return False


def _is_for_writing(opened: object) -> bool:
    """As far as the system tells: on macOS it does not, and somebody may just be reading."""
    return str(getattr(opened, "mode", "r")).startswith(("a", "w"))


def _listening_ports(leader: ProcessIdentity) -> set[int]:
    ports: set[int] = set()
    for member in session_members(leader):
        with suppress(psutil.Error):
            connections = member.net_connections(kind="tcp")
            ports |= {connection.laddr.port for connection in connections if connection.status == psutil.CONN_LISTEN}
    return ports


def _free_port(preferred: int, avoid: int | None) -> int:
    if preferred != avoid and not _is_taken(preferred):
        return preferred
    with socket.socket() as probe:
        probe.bind((HOST, 0))
        return int(probe.getsockname()[1])


def _is_taken(port: int) -> bool:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((HOST, port))
        except OSError:
            return True
        return False
