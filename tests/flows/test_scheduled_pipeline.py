"""A schedule: runs start by themselves, one at a time, and end in seconds where nothing has changed."""

import signal

from tests.flows.conftest import Sample, Servers, wait_until

EVERY_FIVE_SECONDS = "* * * * * */5"


def test_a_scheduled_run_starts_by_itself_and_ends_as_cached_where_nothing_has_changed(
    sample: Sample, servers: Servers
) -> None:
    sample.keep_stages("collect")
    assert sample.run("flows.pipeline", LMCORE_WORK_FOLDER=str(sample.folder / ".work")).returncode == 0
    schedule = sample.start(
        "flows.schedule", LMCORE_SCHEDULE_CRON=EVERY_FIVE_SECONDS, PREFECT_RUNNER_POLL_FREQUENCY="1"
    )

    def finished() -> list[dict[str, object]]:
        runs = servers.ask("/flow_runs/filter", {"deployments": {"name": {"any_": ["scheduled"]}}})
        return [run for run in runs if run["state_name"] == "Cached"]

    run = wait_until(finished)[0]
    schedule.send_signal(signal.SIGINT)
    schedule.communicate()
    assert run["auto_scheduled"]
    assert run["total_run_time"] < 30
    assert any("Nothing has changed" in message for message in servers.messages(run))
    assert set(servers.task_runs(run)) == {"refresh", "collect"}


def test_a_schedule_without_a_server_says_what_to_do(sample: Sample) -> None:
    done = sample.run("flows.schedule", LMCORE_WORK_FOLDER=str(sample.folder / ".work"))
    assert done.returncode == 1
    assert "a schedule needs a Prefect server and none answers; start one with `make up`" in done.stderr
    assert "Traceback" not in done.stderr
