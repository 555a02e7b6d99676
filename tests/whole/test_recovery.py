"""DVC commands and pipelines that run at the same time, are killed, or find damage: repeating the command is enough."""

import itertools
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import psutil
import pytest

from tests.sample_project import Sample, plain_environment, wait_until

NUMBERS = itertools.count()
PYTHON_FIRST = os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])


@pytest.fixture(scope="module")
def sample(make_sample: Callable[..., Sample]) -> Sample:
    """A small project without servers whose stages have run."""
    sample = make_sample(PATH=PYTHON_FIRST)
    done = sample.run("flows.pipeline")
    assert done.returncode == 0, done.stderr
    return sample


@pytest.fixture
def slow(sample: Sample) -> Iterator[Sample]:
    """The same, with one stage that has to run and takes its time."""
    sample.set_language(f"slow {next(NUMBERS)}")  # one that has not run, or DVC would find its result
    yield sample
    sample.set_language("en")


def is_running(pid: int) -> bool:
    return psutil.pid_exists(pid) and psutil.Process(pid).status() != psutil.STATUS_ZOMBIE


def test_a_pipeline_waits_for_a_dvc_repro_and_says_so(slow: Sample) -> None:
    by_hand = slow.start("dvc", "repro")
    slow.started()
    pipeline = slow.start("flows.pipeline")
    assert pipeline.stderr is not None
    said = next(line for line in pipeline.stderr if "waiting" in line)
    assert f"waiting for process {by_hand.pid}" in said
    slow.release()
    by_hand.communicate()
    output, error = pipeline.communicate()
    assert (by_hand.returncode, pipeline.returncode) == (0, 0), error
    assert output.count("cached") == 3
    assert "waiting" not in error


def test_a_dvc_repro_that_meets_a_pipeline_says_so_and_disturbs_nothing(slow: Sample) -> None:
    pipeline = slow.start("flows.pipeline")
    slow.started()
    second = slow.start("flows.pipeline")
    assert second.stderr is not None
    assert any("Another pipeline is running" in line for line in second.stderr)
    by_hand = slow.run("dvc", "repro")
    assert by_hand.returncode == 255
    assert "is busy, it is being blocked by" in by_hand.stderr
    assert "python -m flows.pipeline, stage clean" in by_hand.stderr
    slow.release()
    assert pipeline.communicate()[0].count("ran ") == 2
    assert second.communicate()[0].count("cached") == 3
    assert (pipeline.returncode, second.returncode) == (0, 0)


def test_after_damage_everywhere_the_same_command_recovers_and_reports_it(sample: Sample) -> None:
    assert sample.run("flows.pipeline").returncode == 0
    (sample.folder / ".dvc" / "tmp" / "rwlock").write_text("")
    (hashes,) = (sample.folder / ".work" / "dvc").glob("repo/*/hashes/local/cache.db")
    hashes.write_bytes(b"no database" * 1000)
    (sample.folder / ".work" / "stages" / "clean.json").write_text("{")
    (sample.folder / "sources.lock").write_text("")
    (sample.folder / "tokens.txt").write_text("damaged")
    (sample.folder / "raw.txt").unlink()
    done = sample.run("flows.pipeline")
    assert done.returncode == 0, done.stderr
    assert "Traceback" not in done.stderr
    for name in (".dvc/tmp/rwlock was damaged", "hashes/local/cache.db was damaged", "sources.lock is empty"):
        assert done.stderr.count(name) == 1, done.stderr
    put_right = "tokens.txt was changed or damaged and has been restored"
    for shown in (done.stderr, done.stdout):
        assert f"tokenize: from DVC's cache: {put_right}" in shown
        assert "collect: from DVC's cache: raw.txt was missing and has been restored" in shown
    assert "Nothing has changed" not in done.stderr
    assert sample.run("dvc", "status").returncode == 0
    assert "Nothing has changed" in sample.run("flows.pipeline").stderr


def test_results_of_an_earlier_run_are_not_called_unchanged(sample: Sample) -> None:
    sample.set_language("de")
    assert sample.run("flows.pipeline").returncode == 0
    sample.set_language("en")
    done = sample.run("flows.pipeline")
    for stage, output in (("clean", "clean.txt"), ("tokenize", "tokens.txt")):
        assert f"{stage}: restored" in done.stderr
        assert f"{stage}: from DVC's cache: {output} is from an earlier run with the same inputs" in done.stdout
    assert "collect: unchanged" in done.stderr
    assert "Nothing has changed" not in done.stderr


def test_an_error_in_the_parameters_is_truthful_about_what_dvc_removed(sample: Sample) -> None:
    right = (sample.folder / "params.yaml").read_text()
    try:
        sample.set_language("fr")
        with (sample.folder / "params.yaml").open("a") as file:
            file.write("extra: 1\n")
        done = sample.run("dvc", "repro")
        assert done.returncode != 0
        assert "params.yaml has 1 error; clean was not run, and `dvc checkout` restores the outputs" in done.stderr
        assert not (sample.folder / "clean.txt").exists()
    finally:
        (sample.folder / "params.yaml").write_text(right)
    assert sample.run("dvc", "checkout").returncode == 0
    assert (sample.folder / "clean.txt").exists()


@pytest.mark.parametrize(("language", "seconds"), [("slow", 5), ("deaf", 25)])
def test_a_stage_ends_within_seconds_when_dvc_was_killed(language: str, seconds: float, slow: Sample) -> None:
    """Also one that does not listen; and what starts it next finds the stage alone."""
    slow.set_language(language)
    # With this shell, and without any in the environment, a shell stays between DVC and the stage.
    dvc = slow.start("dvc", "repro", "clean", SHELL="/bin/sh")
    stage = slow.started()
    dvc.kill()
    start = time.monotonic()
    dvc.communicate()
    wait_until(lambda: not is_running(stage))
    assert time.monotonic() - start < seconds
    slow.release()


def test_a_pipeline_that_was_killed_resumes_after_the_stage_it_left_running(slow: Sample, tmp_path: Path) -> None:
    pipeline = slow.start("flows.pipeline")
    stage = slow.started()
    children = psutil.Process(pipeline.pid).children()
    (reproducing,) = (child for child in children if "flows.runtime.reproduce" in child.cmdline())
    os.kill(stage, signal.SIGSTOP)  # what is left cannot end by itself
    for process in (pipeline, reproducing):
        process.kill()
        process.wait()
    slow.set_language("it")
    said = tmp_path / "said"
    with said.open("w") as file:
        command = [sys.executable, "-m", "flows.pipeline"]
        variables = {**plain_environment(), **slow.variables}
        again = subprocess.Popen(command, cwd=slow.folder, env=variables, stdout=subprocess.DEVNULL, stderr=file)
    try:
        wait_until(
            lambda: "clean is still running in another process; waiting for it to finish" in said.read_text(),
            seconds=60,
        )
    finally:
        os.kill(stage, signal.SIGCONT)
    assert again.wait(timeout=60) == 0, said.read_text()
    assert "Released DVC locks of killed processes" in said.read_text()
    pipeline.communicate()
    slow.release()
