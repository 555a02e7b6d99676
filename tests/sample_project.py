"""Real servers and a small real DVC project, whose stages the project's own pipeline runs."""

import io
import json
import os
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.request import Request, urlopen

import pytest
from ruamel.yaml import YAML

PROJECT = Path(__file__).parents[1]
COMMIT = ("-c", "user.name=tests", "-c", "user.email=tests@localhost", "commit", "--quiet", "--message", "all")
KEPT = ("PATH", "HOME", "LANG", "SHELL", "TMPDIR")

# collect -> clean -> tokenize, each output a line of text; a harmless parameter controls what a stage does.
STAGES = {
    "collect": """
import logging
from pathlib import Path

from flows.runtime.stage import run_stage
from tasks.context.prefect import flow, task

logger = logging.getLogger("tasks.collect")

@task
def gather(output: Path) -> None:
    logger.info("gathering the documents")
    output.write_text("documents")

@flow
def collect(parameters, environment) -> None:
    gather(Path("raw.txt"))

if __name__ == "__main__":
    run_stage(collect)
""",
    "clean": """
import os
import signal
import time
from pathlib import Path

from flows.runtime.stage import run_stage
from tasks.context.prefect import flow, task

@task
def wait(started: Path) -> None:
    started.write_text(str(os.getpid()))
    for _ in range(2400):
        if not started.exists():
            return
        time.sleep(0.05)
    raise TimeoutError("the stage was not released for two minutes")

@flow
def clean(parameters, environment) -> None:
    if parameters.clean.language.startswith("deaf"):
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
    if parameters.clean.language.startswith(("slow", "deaf")):
        wait(Path("started"))
    Path("clean.txt").write_text(Path("raw.txt").read_text() + parameters.clean.language)

if __name__ == "__main__":
    run_stage(clean)
""",
    "tokenize": """
from pathlib import Path

from flows.runtime.stage import run_stage
from lmcore.errors import UserError
from tasks.context.prefect import flow

@flow
def tokenize(parameters, environment) -> None:
    text = Path("clean.txt").read_text()
    if text.endswith("unknown"):
        raise UserError("language 'unknown' has no tokenizer; choose another one")
    Path("tokens.txt").write_text(" ".join(text))

if __name__ == "__main__":
    run_stage(tokenize)
""",
}

GRAPH: dict[str, dict[str, Any]] = {
    "collect": {"cmd": "python -m sample.collect", "deps": ["sample/collect.py"], "outs": ["raw.txt"]},
    "clean": {
        "cmd": "python -m sample.clean",
        "deps": ["raw.txt"],
        "params": ["clean.language"],
        "outs": ["clean.txt"],
    },
    "tokenize": {"cmd": "python -m sample.tokenize", "deps": ["clean.txt"], "outs": ["tokens.txt"]},
}


@dataclass(frozen=True)
class Servers:
    """The project's servers, running in a work folder of the tests."""

    work_folder: Path
    prefect: str
    mlflow: str
    taken_ports: tuple[int, int]

    def ask(self, path: str, body: dict[str, Any] | None = None) -> Any:
        """The answer of Prefect's API to a POST."""
        request = Request(f"{self.prefect}/api{path}", json.dumps(body or {}).encode(), method="POST")
        request.add_header("Content-Type", "application/json")
        with urlopen(request, timeout=30) as answer:
            return json.load(answer)

    def flow_runs(self) -> dict[str, dict[str, Any]]:
        """Every flow run by its id."""
        return {run["id"]: run for run in self.ask("/flow_runs/filter")}

    def latest(self, flow: str) -> dict[str, Any]:
        """The flow run of that flow that was made last."""
        chosen = {"flows": {"name": {"any_": [flow]}}, "sort": "START_TIME_DESC", "limit": 1}
        run: dict[str, Any] = self.ask("/flow_runs/filter", chosen)[0]
        return run

    def task_runs(self, flow_run: dict[str, Any]) -> dict[str, dict[str, Any]]:
        """The task runs of a flow run by their names."""
        runs = self.ask("/task_runs/filter", {"flow_runs": {"id": {"any_": [flow_run["id"]]}}})
        return {run["name"]: run for run in runs}

    def messages(self, flow_run: dict[str, Any]) -> list[str]:
        """What the page shows as the log of a flow run."""
        logs = self.ask("/logs/filter", {"logs": {"flow_run_id": {"any_": [flow_run["id"]]}}})
        return [log["message"] for log in logs]


@dataclass(frozen=True)
class Sample:
    """A small DVC project."""

    folder: Path
    variables: dict[str, str] = field(default_factory=dict)

    def keep_stages(self, *names: str) -> None:
        """Write the stage graph with these stages only."""
        YAML(typ="safe", pure=True).dump({"stages": {name: GRAPH[name] for name in names}}, self.folder / "dvc.yaml")

    def set_language(self, language: str) -> None:
        """Change a parameter of the stage clean."""
        yaml = YAML(typ="safe", pure=True)
        values = yaml.load(self.folder / "params.yaml")
        values["clean"]["language"] = language
        yaml.dump(values, self.folder / "params.yaml")

    def started(self) -> int:
        """Wait until the slow stage runs; its process id."""
        file = self.folder / "started"
        return int(wait_until(lambda: file.exists() and file.read_text()))

    def release(self) -> None:
        """Let the slow stage finish."""
        (self.folder / "started").unlink()

    def start(self, *command: str, **variables: str) -> "subprocess.Popen[str]":
        """Start a Python module in the project."""
        return subprocess.Popen(
            [sys.executable, "-m", *command],
            cwd=self.folder,
            env={**plain_environment(), **self.variables, **variables},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def run(self, *command: str, **variables: str) -> "subprocess.CompletedProcess[str]":
        """Run a Python module in the project to its end."""
        process = self.start(*command, **variables)
        output, error = process.communicate()
        return subprocess.CompletedProcess(command, process.returncode, output, error)


@pytest.fixture(scope="session")
def servers(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Servers]:
    """Both servers, started while other programs hold the ports they prefer; stopped at the end."""
    work_folder = tmp_path_factory.mktemp("servers")
    with socket.socket() as first, socket.socket() as second:
        for holder in (first, second):
            holder.bind(("127.0.0.1", 0))
            holder.listen()
        ports = (first.getsockname()[1], second.getsockname()[1])
        variables = {
            **plain_environment(),
            "LMCORE_WORK_FOLDER": str(work_folder),
            "LMCORE_MLFLOW_PORT": str(ports[0]),
            "LMCORE_PREFECT_PORT": str(ports[1]),
        }

        def command(action: str) -> None:
            subprocess.run(
                [sys.executable, "-m", "flows.runtime.servers", action], env=variables, cwd=PROJECT, check=True
            )

        command("up")
        records = [json.loads((work_folder / "servers" / f"{name}.json").read_text()) for name in ("mlflow", "prefect")]
        try:
            yield Servers(work_folder, mlflow=records[0]["url"], prefect=records[1]["url"], taken_ports=ports)
        finally:
            command("down")


@pytest.fixture(scope="session")
def make_sample(tmp_path_factory: pytest.TempPathFactory) -> Callable[..., Sample]:
    """Makes small projects with the project's own DVC settings."""

    def make(**variables: str) -> Sample:
        folder = tmp_path_factory.mktemp("sample")
        subprocess.run(["git", "init", "--quiet", str(folder)], check=True)
        (folder / ".dvc").mkdir()
        shutil.copy(PROJECT / ".dvc" / "config", folder / ".dvc" / "config")
        (folder / "params.yaml").write_text(parameters_of_small_project())
        (folder / "notes.txt").write_text("A text to refresh.\n")
        (folder / ".gitignore").write_text(".work/\n")
        (folder / "sample").mkdir()
        for name, program in STAGES.items():
            (folder / "sample" / f"{name}.py").write_text(program)
        sample = Sample(folder, variables)
        sample.keep_stages(*GRAPH)
        return sample

    return make


@pytest.fixture(scope="module")
def sample(make_sample: Callable[..., Sample], servers: Servers) -> Sample:
    """A small project of a test file's own that uses the servers."""
    return make_sample(LMCORE_WORK_FOLDER=str(servers.work_folder))


@pytest.fixture
def committed_project(make_sample: Callable[..., Sample], monkeypatch: pytest.MonkeyPatch) -> Sample:
    """A committed project with the project's recipes; its folder is the current one."""
    sample = make_sample()
    shutil.copytree(PROJECT / "recipes", sample.folder / "recipes")
    monkeypatch.chdir(sample.folder)
    commit_all()
    return sample


def commit_all() -> None:
    """Commit every file of the current folder."""
    subprocess.run(["git", "add", "--all"], check=True)
    subprocess.run(["git", *COMMIT], check=True)


def parameters_of_small_project() -> str:
    """The project's own parameters with one small source, which is refreshed at once."""
    yaml = YAML()
    values = yaml.load(PROJECT / "params.yaml")
    source = values["collect"]["sources"][0]
    source["location"] = {"kind": "local", "paths": ["notes.txt"]}
    source["reader"] = {"kind": "whole_files", "encoding": None, "divide": None}
    values["collect"]["sources"] = [source]
    text = io.StringIO()
    yaml.dump(values, text)
    return text.getvalue()


def plain_environment() -> dict[str, str]:
    """The variables of a user who has set nothing."""
    kept = {name: os.environ[name] for name in KEPT if name in os.environ}
    return kept | {"PYTHONPATH": str(PROJECT)}


def wait_until(condition: Callable[[], Any], seconds: float = 120.0) -> Any:
    """The first true value of ``condition``, however slow the machine is."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        if value := condition():
            return value
        time.sleep(0.05)
    raise TimeoutError(f"still not so after {seconds:.0f} s")
