import json
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread

import pytest

from tasks.context.environment import Environment
from tasks.tracking.store.experiment import experiment_page


class Answers(BaseHTTPRequestHandler):
    """MLflow's answer to the question for an experiment, or that there is none."""

    status = 200

    def do_GET(self) -> None:
        self.send_response(self.status)
        self.end_headers()
        self.wfile.write(json.dumps({"experiment": {"experiment_id": "7"}}).encode())

    def log_message(self, *_: object) -> None:
        """Nothing."""


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    server = ThreadingHTTPServer(("127.0.0.1", 0), Answers)
    Thread(target=server.serve_forever, daemon=True).start()
    address = f"http://127.0.0.1:{server.server_port}"
    monkeypatch.setenv("MLFLOW_TRACKING_URI", address)
    yield address
    server.shutdown()
    server.server_close()


@pytest.mark.parametrize(
    ("status", "page"), [(200, "/#/experiments/7/runs?workflowType=machine_learning"), (404, ""), (401, "")]
)
def test_the_page_is_that_of_the_experiment_or_else_of_the_server(
    server: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, status: int, page: str
) -> None:
    monkeypatch.setattr(Answers, "status", status)
    assert experiment_page(Environment(work_folder=tmp_path)) == server + page
