"""A server process that outlives the command that started it, identified by its record and never by its name."""

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
class ServerProcess:
    """A server: how to start it and check that it is ready, and where its record and log are."""

    name: str
    label: str
    preferred_port: int
    health_path: str
    command: Callable[[int], Sequence[str]]
    environment: Callable[[int], Mapping[str, str]]
    data_folder: Path
    record: Path
    log: Path

    def running(self) -> ServerRecord | None:
        """The record of the running process, or None if there is none."""
        return read_server_record(self.record)

    def is_ready(self, running: ServerRecord) -> bool:
        """Whether the server answers, and its own process listens on the port."""
        return answers(f"{running.url}{self.health_path}") and running.port in _listening_ports(running.process)

    def launch(self, avoid: int | None = None) -> ServerRecord:
        """Start the server on its preferred port, or on another port if that one is taken or to be avoided."""
        self.stop()  # what may be left of a killed server
        port = _free_port(self.preferred_port, avoid)
        url = f"http://{HOST}:{port}"
        taken = "" if port == self.preferred_port else f" (port {self.preferred_port} is taken)"
        logger.info("Starting %s on %s%s", self.label, url, taken)
        self.data_folder.mkdir(parents=True, exist_ok=True)

        def record_itself() -> None:
            # The new process does this before it becomes the server, so that no server is without a record.
            write_json(self.record, ServerRecord.of(ProcessIdentity.current(), url, self.record).model_dump())

        with self.log.open("ab") as log:
            process = subprocess.Popen(
                self.command(port),
                cwd=self.data_folder,
                env={**os.environ, **self.environment(port), "PYTHONPATH": _path_with_project()},
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
                preexec_fn=record_itself,
            )
        identity = ProcessIdentity.of(psutil.Process(process.pid))
        process.returncode = 0  # it outlives this process, which Python would warn about otherwise
        return ServerRecord.of(identity, url, self.record)

    def wait_until_ready(self, running: ServerRecord) -> ServerRecord:
        """Wait until the server answers; if another program took its port meanwhile, start it again on another port.

        Raises:
            UserError: if the server exits or does not answer; the message contains the end of its log.
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
        """Stop the recorded process and its children; return whether anything was running.

        A server whose record is lost, damaged or from another host name is found by its log, which no other process
        writes.
        """
        recorded = read_recorded_server(self.record)
        members = session_members(recorded.process) if recorded else []
        was_there = stop_processes([*members, *self._writers_of_log({member.pid for member in members})])
        self.record.unlink(missing_ok=True)
        return was_there

    def _writers_of_log(self, known: Set[int]) -> list[psutil.Process]:
        log, others = str(self.log.resolve()), {*known, os.getpid()}
        return [
            process
            for process in psutil.process_iter()
            if process.pid not in others and _has_open_for_writing(process, log)
        ]

    def describe(self) -> str:
        """The state of the server, in words."""
        if (running := self.running()) is None:
            return "not running"
        state = "ready" if self.is_ready(running) else "not answering"
        return f"{state} on {running.url} (process {running.process.pid}, log {self.log})"

    def _failure(self, what: str) -> str:
        end = "\n".join(self.log.read_text(encoding="utf-8", errors="replace").splitlines()[-15:])
        return f"the {self.label} server {what}; the last lines of {self.log}:\n{end}"


def _path_with_project() -> str:
    """The server imports this project's modules, wherever the folder has been moved to."""
    return os.pathsep.join(filter(None, [str(PROJECT), os.environ.get("PYTHONPATH")]))


def _has_open_for_writing(process: psutil.Process, file: str) -> bool:
    with suppress(psutil.Error):
        return any(opened.path == file and _is_for_writing(opened) for opened in process.open_files())
    return False


def _is_for_writing(opened: object) -> bool:
    """Whether a file was opened for writing, if the system reports it; macOS does not."""
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
