"""A Prefect server that is lost while a stage runs costs neither the results nor, later, the outcome on its page."""

import json
import socket
import threading
from collections.abc import Iterator
from contextlib import suppress
from urllib.parse import urlsplit

import pytest

from tasks.context.flow_runs import Outcome
from tests.sample_project import Sample, Servers, wait_until


class Relay:
    """Passes connections on to a server until it is cut, and names the server's own port, which it insists on."""

    def __init__(self, target: str) -> None:
        self._target = (urlsplit(target).hostname, urlsplit(target).port)
        self._listener = socket.create_server(("127.0.0.1", 0))
        self._open = [self._listener]
        self.url = f"http://127.0.0.1:{self._listener.getsockname()[1]}/api"
        threading.Thread(target=self._accept, daemon=True).start()

    def cut(self) -> None:
        """Close every connection and accept no more."""
        for connection in self._open:
            with suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)
            connection.close()

    def _accept(self) -> None:
        while True:
            try:
                client, _ = self._listener.accept()
            except OSError:
                return
            server = socket.create_connection(self._target)
            self._open += [client, server]
            own, other = (f"Host: {end.getsockname()[0]}:{end.getsockname()[1]}" for end in (client, server))
            target = other.replace(str(server.getsockname()[1]), str(self._target[1]))
            for source, sink in ((client, server), (server, client)):
                arguments = (source, sink, own.lower().encode(), target.lower().encode())
                threading.Thread(target=self._pass_on, args=arguments, daemon=True).start()

    def _pass_on(self, source: socket.socket, sink: socket.socket, own: bytes, target: bytes) -> None:
        try:
            while data := source.recv(65536):
                sink.sendall(data.replace(own, target).replace(own.capitalize(), target.capitalize()))
            sink.shutdown(socket.SHUT_WR)
        except OSError:
            return


@pytest.fixture
def relay(servers: Servers) -> Iterator[Relay]:
    relay = Relay(servers.prefect)
    yield relay
    relay.cut()


def test_the_work_is_done_and_the_page_learns_of_it_later(sample: Sample, servers: Servers, relay: Relay) -> None:
    (sample.folder / "raw.txt").write_text("documents")
    sample.set_language("slow")
    started, output = sample.folder / "started", sample.folder / "clean.txt"
    stage = sample.start("sample.clean", PREFECT_API_URL=relay.url, PREFECT_CLIENT_MAX_RETRIES="0")
    wait_until(lambda: started.exists() and started.read_text())
    relay.cut()
    started.unlink()
    _, said = stage.communicate()

    assert stage.returncode == 0, said
    assert output.read_text() == "documentsslow"
    assert said.count("Prefect could not track this run") == 1
    assert "Traceback" not in said
    run = servers.latest("clean")
    assert run["state_name"] == "Running"
    record = json.loads((servers.work_folder / "flow-runs" / f"{run['id']}.json").read_text())
    outcome: Outcome = record["outcome"]
    assert outcome == "completed"

    assert sample.run("sample.collect").returncode == 0
    closed = servers.flow_runs()[run["id"]]
    assert closed["state_name"] == "Completed"
    assert "while this server was unreachable" in closed["state"]["message"]
