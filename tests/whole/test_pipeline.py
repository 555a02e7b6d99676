"""The pipeline over real DVC stages with a real Prefect server."""

import signal
from collections.abc import Callable
from subprocess import CompletedProcess
from typing import Any

import psutil
import pytest

from tests.sample_project import Sample, Servers, wait_until

Completed = CompletedProcess[str]


def states(servers: Servers, flow_run: dict[str, Any]) -> dict[str, str]:
    return {name: run["state_name"] for name, run in servers.task_runs(flow_run).items()}


def is_running(pid: int) -> bool:
    return psutil.pid_exists(pid) and psutil.Process(pid).status() != psutil.STATUS_ZOMBIE


@pytest.fixture(scope="module")
def first(sample: Sample, servers: Servers) -> tuple[Completed, dict[str, Any]]:
    """A run in which every stage has to run, and its flow run."""
    return sample.run("flows.pipeline"), servers.latest("pipeline")


def test_every_stage_runs_after_those_it_depends_on(first: tuple[Completed, dict[str, Any]], sample: Sample) -> None:
    done, _ = first
    assert done.returncode == 0, done.stderr
    rows = [line.split("│")[1:3] for line in done.stdout.splitlines() if line.startswith("│")]
    assert [[cell.strip() for cell in row] for row in rows] == [
        ["collect", "ran"],
        ["clean", "ran"],
        ["tokenize", "ran"],
    ]
    assert (sample.folder / "tokens.txt").read_text() == " ".join("documentsen")


def test_the_page_shows_one_run_with_a_child_per_stage(
    first: tuple[Completed, dict[str, Any]], servers: Servers
) -> None:
    _, pipeline = first
    assert pipeline["state_name"] == "Completed"
    tasks = servers.task_runs(pipeline)
    assert {name: run["state_name"] for name, run in tasks.items()} == dict.fromkeys(
        ("refresh", "collect", "clean", "tokenize"), "Completed"
    )
    del tasks["refresh"]
    runs = servers.flow_runs().values()
    for name, task in tasks.items():
        (child,) = [run for run in runs if run["parent_task_run_id"] == task["id"]]
        assert child["name"] == f"{name} {pipeline['name']}"
        assert child["state_name"] == "Completed"
    (collect,) = [run for run in runs if run["parent_task_run_id"] == tasks["collect"]["id"]]
    assert states(servers, collect) == {"gather": "Completed"}


def test_a_log_line_of_a_stage_appears_once_on_the_terminal_and_once_in_its_run(
    first: tuple[Completed, dict[str, Any]], servers: Servers
) -> None:
    done, pipeline = first
    assert done.stderr.count("gathering the documents") == 1
    task = servers.task_runs(pipeline)["collect"]
    (child,) = [run for run in servers.flow_runs().values() if run["parent_task_run_id"] == task["id"]]
    assert servers.messages(child).count("gathering the documents") == 1


def test_a_second_run_finds_everything_cached_and_says_so(
    first: tuple[Completed, dict[str, Any]], sample: Sample, servers: Servers
) -> None:
    n_runs = len(servers.flow_runs())
    done = sample.run("flows.pipeline")
    assert done.returncode == 0, done.stderr
    assert "Nothing has changed" in done.stderr
    pipeline = servers.latest("pipeline")
    assert pipeline["state_name"] == "Cached"
    assert states(servers, pipeline) == dict.fromkeys(("refresh", "collect", "clean", "tokenize"), "Cached")
    assert len(servers.flow_runs()) == n_runs + 1


@pytest.fixture(scope="module")
def failed(
    first: tuple[Completed, dict[str, Any]], sample: Sample, servers: Servers
) -> tuple[Completed, dict[str, Any]]:
    """A run with a changed parameter of clean, which tokenize cannot work with."""
    sample.set_language("unknown")
    return sample.run("flows.pipeline"), servers.latest("pipeline")


def test_a_changed_parameter_runs_its_stage_and_those_after_it_only(
    failed: tuple[Completed, dict[str, Any]], servers: Servers
) -> None:
    _, pipeline = failed
    unchanged = {"refresh": "Cached", "collect": "Cached"}
    assert states(servers, pipeline) == unchanged | {"clean": "Completed", "tokenize": "Failed"}


def test_a_stage_that_fails_fails_the_pipeline_which_names_it(failed: tuple[Completed, dict[str, Any]]) -> None:
    done, pipeline = failed
    assert done.returncode == 1
    assert pipeline["state_name"] == "Failed"
    assert (
        "stage 'tokenize' failed: language 'unknown' has no tokenizer; choose another one"
        in (pipeline["state"]["message"])
    )
    assert "pipeline failed: stage 'tokenize' failed" in done.stderr


def test_the_users_mistake_is_shown_once_and_without_a_traceback(
    failed: tuple[Completed, dict[str, Any]], servers: Servers
) -> None:
    done, _ = failed
    assert done.stderr.count("language 'unknown' has no tokenizer; choose another one") == 1
    assert "Traceback" not in done.stderr
    for flow in ("tokenize", "pipeline"):
        messages = servers.messages(servers.latest(flow))
        assert any("has no tokenizer" in message for message in messages)
        assert not any("Traceback" in message for message in messages)


def test_the_page_names_outputs_that_were_replaced_by_those_of_an_earlier_run(
    failed: tuple[Completed, dict[str, Any]], sample: Sample, servers: Servers
) -> None:
    sample.set_language("en")
    assert sample.run("flows.pipeline").returncode == 0
    pipeline = servers.latest("pipeline")
    assert pipeline["state_name"] == "Restored"
    restored = {name: run["state_name"] for name, run in servers.task_runs(pipeline).items()}
    assert restored == {"refresh": "Cached", "collect": "Cached", "clean": "Restored", "tokenize": "Restored"}
    message = "clean.txt is from an earlier run with the same inputs"
    assert message in pipeline["state"]["message"]
    assert message in servers.task_runs(pipeline)["clean"]["state"]["message"]


def test_an_error_in_the_parameters_is_reported_before_a_flow_run_is_created(sample: Sample, servers: Servers) -> None:
    n_runs = len(servers.flow_runs())
    right = (sample.folder / "params.yaml").read_text()
    (sample.folder / "params.yaml").write_text(right + "\nextra: 1\n")
    done = sample.run("flows.pipeline")
    (sample.folder / "params.yaml").write_text(right)
    assert done.returncode == 1
    assert "extra: unknown key" in done.stderr
    assert len(servers.flow_runs()) == n_runs


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGKILL])
def test_a_stage_ends_with_the_pipeline_and_the_page_shows_both_as_crashed(
    number: signal.Signals, sample: Sample, servers: Servers
) -> None:
    sample.set_language("slow")
    started = sample.folder / "started"
    pipeline_process = sample.start("flows.pipeline")
    stage = int(wait_until(lambda: started.exists() and started.read_text()))
    pipeline_process.send_signal(number)
    pipeline_process.communicate()
    wait_until(lambda: not is_running(stage))
    started.unlink()

    pipeline, clean = servers.latest("pipeline"), servers.latest("clean")
    if number == signal.SIGKILL:
        assert pipeline["state_name"] == "Running"
        assert "whose process had ended" in sample.run("sample.collect", DVC_EXP_NAME="puffy-raps").stderr
        assert servers.latest("collect")["name"] == "collect puffy-raps"
    runs = servers.flow_runs()
    assert runs[pipeline["id"]]["state_name"] == runs[clean["id"]]["state_name"] == "Crashed"
    assert servers.task_runs(pipeline)["clean"]["state_name"] in ("Crashed", "Failed")


def test_without_a_server_the_stages_run_plainly_and_one_line_says_how_to_get_one(
    make_sample: Callable[..., Sample],
) -> None:
    sample = make_sample()
    done = sample.run("flows.pipeline")
    assert done.returncode == 0, done.stderr
    assert done.stderr.count("No Prefect server answers") == 1
    assert done.stderr.count("make up") == 1
    assert "Traceback" not in done.stderr
    assert (sample.folder / "tokens.txt").exists()
    assert {path.name for path in sample.folder.iterdir() if path.is_dir()} == {".dvc", ".git", ".work", "sample"}


def test_a_terminated_pipeline_ends_its_stage_also_without_a_server(make_sample: Callable[..., Sample]) -> None:
    sample = make_sample()
    sample.set_language("slow")
    started = sample.folder / "started"
    process = sample.start("flows.pipeline")
    stage = int(wait_until(lambda: started.exists() and started.read_text()))
    process.terminate()
    process.communicate()
    assert process.returncode == 128 + signal.SIGTERM
    assert not is_running(stage)
