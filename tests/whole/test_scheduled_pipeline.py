"""A schedule: runs start by themselves, one at a time, end quickly where nothing has changed, and never outlive it."""

import signal
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import psutil
import pytest

from tests.sample_project import Sample, Servers, wait_until

EVERY_FIVE_SECONDS = "* * * * * */5"
ONCE_A_YEAR = "0 3 1 1 *"


def start_schedule(sample: Sample, cron: str, **variables: str) -> "subprocess.Popen[str]":
    variables |= {"LMCORE_SCHEDULE_CRON": cron, "PREFECT_RUNNER_POLL_FREQUENCY": "1"}
    return sample.start("flows.schedule", **variables)


def runs_of_schedule(servers: Servers, *states: str) -> list[dict[str, Any]]:
    runs = servers.ask("/flow_runs/filter", {"deployments": {"name": {"any_": ["scheduled"]}}})
    return [run for run in runs if run["state_name"] in states]


def deployment(servers: Servers) -> dict[str, Any]:
    (found,) = servers.ask("/deployments/filter", {"deployments": {"name": {"any_": ["scheduled"]}}})
    return dict(found)


def slow_stage(sample: Sample) -> psutil.Process:
    """The process of a stage that does not end by itself, once a scheduled run has come to it."""
    started = sample.folder / "started"
    return psutil.Process(int(wait_until(lambda: started.exists() and started.read_text())))


def is_running(process: psutil.Process) -> bool:
    return process.is_running() and process.status() != psutil.STATUS_ZOMBIE


@pytest.fixture(scope="module")
def scheduled(make_sample: Callable[..., Sample], servers: Servers) -> Sample:
    sample = make_sample(LMCORE_WORK_FOLDER=str(servers.work_folder))
    sample.keep_stages("collect")
    assert sample.run("flows.pipeline", LMCORE_WORK_FOLDER=str(sample.folder / ".work")).returncode == 0
    return sample


def test_a_scheduled_run_starts_by_itself_and_ends_as_cached_where_nothing_has_changed(
    scheduled: Sample, servers: Servers
) -> None:
    schedule = start_schedule(scheduled, EVERY_FIVE_SECONDS, LMCORE_SCHEDULE_TIMEZONE="Europe/Berlin")
    run = wait_until(lambda: runs_of_schedule(servers, "Cached"))[0]
    wait_until(lambda: any("Nothing has changed" in message for message in servers.messages(run)))
    schedule.send_signal(signal.SIGINT)
    _, said = schedule.communicate()
    assert schedule.returncode == 128 + signal.SIGINT
    assert "'* * * * * */5' (cron), time zone Europe/Berlin" in said
    assert deployment(servers)["schedules"][0]["schedule"]["timezone"] == "Europe/Berlin"
    assert run["auto_scheduled"]
    assert run["total_run_time"] < 30
    assert set(servers.task_runs(run)) == {"refresh", "collect"}


def test_sigterm_ends_a_schedule_and_all_it_started_and_sigkill_ends_what_it_started(
    scheduled: Sample, servers: Servers
) -> None:
    scheduled.keep_stages("collect", "clean")
    scheduled.set_language("slow")
    schedule = start_schedule(scheduled, EVERY_FIVE_SECONDS)
    stage = slow_stage(scheduled)
    schedule.terminate()
    _, said = schedule.communicate(timeout=60)
    assert schedule.returncode == 128 + signal.SIGTERM
    assert not is_running(stage)
    assert "Traceback" not in said
    assert "RuntimeWarning" not in said
    assert deployment(servers)["paused"]
    assert runs_of_schedule(servers, "Running", "Pending") == []
    assert runs_of_schedule(servers, "Crashed")

    (scheduled.folder / "started").unlink()
    schedule = start_schedule(scheduled, EVERY_FIVE_SECONDS)
    stage = slow_stage(scheduled)
    schedule.kill()
    schedule.communicate(timeout=60)
    wait_until(lambda: not is_running(stage), 30)


def test_runs_that_were_due_while_no_schedule_ran_do_not_start_later(scheduled: Sample, servers: Servers) -> None:
    if not runs_of_schedule(servers, "Late", "Scheduled"):
        pytest.skip("nothing was left by a schedule that was killed")
    (scheduled.folder / "started").unlink(missing_ok=True)
    schedule = start_schedule(scheduled, ONCE_A_YEAR)
    wait_until(lambda: deployment(servers)["schedules"][0]["schedule"]["cron"] == ONCE_A_YEAR)
    wait_until(lambda: runs_of_schedule(servers, "Late") == [])
    schedule.terminate()
    _, said = schedule.communicate(timeout=60)
    assert schedule.returncode == 128 + signal.SIGTERM
    assert "Traceback" not in said
    assert not (scheduled.folder / "started").exists()


def test_a_second_schedule_is_refused(scheduled: Sample, servers: Servers) -> None:
    flow_id = servers.ask("/flows/", {"name": "pipeline"})["id"]
    nightly = {"name": "nightly", "flow_id": flow_id, "entrypoint": "flows.pipeline.pipeline"}
    cron = {"schedule": {"cron": "0 3 * * *", "timezone": "UTC"}, "active": True}
    servers.ask("/deployments/", {**nightly, "schedules": [cron]})
    refused = scheduled.run("flows.schedule")
    servers.ask("/deployments/", {**nightly, "schedules": []})
    assert refused.returncode == 1
    assert "pipeline/nightly runs the pipeline on a schedule as well" in refused.stderr
    assert "Traceback" not in refused.stderr


def test_a_schedule_without_a_server_or_with_an_unknown_time_zone_says_what_to_do(
    make_sample: Callable[..., Sample], tmp_path: Path
) -> None:
    done = make_sample().run("flows.schedule", LMCORE_WORK_FOLDER=str(tmp_path))
    assert done.returncode == 1
    assert "a schedule needs a Prefect server, and none is running; start one with `make up`" in done.stderr
    assert "Traceback" not in done.stderr
    done = make_sample().run("flows.schedule", LMCORE_WORK_FOLDER=str(tmp_path), LMCORE_SCHEDULE_TIMEZONE="Mars/Base")
    assert "'Mars/Base' is not a time zone" in done.stderr
