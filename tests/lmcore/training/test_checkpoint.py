"""A killed training resumes bit-identically, and corrupt checkpoints are skipped."""

import multiprocessing
import random
import time
from collections.abc import Callable
from multiprocessing.context import ForkServerProcess
from pathlib import Path

import pytest
import torch

from lmcore.training.checkpoint import Checkpoint, load_checkpoint, save_checkpoint
from tests.lmcore.training.trainer import MAKERS, main

SECONDS = 120
# Between two kills lie three steps at least, and seldom more than six, however fast the machine.
N_STEPS = 240
N_KILLS = {"gpt": 20, "lstm": 20, "bert": 20}


@pytest.fixture(scope="module")
def start() -> Callable[[Path, str], ForkServerProcess]:
    """Starts the training as a process of its own; the server has imported torch once for all of them."""
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["tests.lmcore.training.trainer"])

    def start(folder: Path, family: str) -> ForkServerProcess:
        folder.mkdir(exist_ok=True)
        process = context.Process(target=main, args=(folder, family, N_STEPS))
        process.start()
        return process

    return start


def finish(process: ForkServerProcess) -> None:
    process.join(SECONDS)
    assert process.exitcode == 0


def newest_checkpoint(folder: Path) -> str:
    return max((path.name for path in (folder / "work").glob("step-*")), default="")


def wait_for_another(folder: Path, checkpoint: str, process: ForkServerProcess, seconds: float) -> str:
    """The newest checkpoint, as soon as it is another one, or else after some seconds."""
    deadline = time.monotonic() + seconds
    while newest_checkpoint(folder) == checkpoint and process.is_alive() and time.monotonic() < deadline:
        time.sleep(0.001)
    return newest_checkpoint(folder)


def kill_somewhere(process: ForkServerProcess, folder: Path, moment: random.Random) -> None:
    """Kill a training shortly after it has made progress."""
    reached = wait_for_another(folder, newest_checkpoint(folder), process, SECONDS)
    wait_for_another(folder, reached, process, moment.uniform(0, 0.05))
    process.kill()
    process.join()


def result(folder: Path) -> tuple[bytes, bytes]:
    return (folder / "weights.safetensors").read_bytes(), (folder / "record.json").read_bytes()


@pytest.mark.parametrize("family", MAKERS)
def test_a_training_that_is_killed_again_and_again_ends_as_if_it_had_not_been(
    tmp_path: Path, family: str, start: Callable[[Path, str], ForkServerProcess]
) -> None:
    clean, killed = tmp_path / "clean", tmp_path / "killed"
    finish(start(clean, family))
    moment = random.Random(family)
    for _ in range(N_KILLS.get(family, 4)):
        kill_somewhere(start(killed, family), killed, moment)
    assert not (killed / "weights.safetensors").exists()
    finish(start(killed, family))
    assert result(killed) == result(clean)


def checkpoint(step: int) -> Checkpoint:
    return Checkpoint(step, {"weight": torch.full((3,), float(step))}, {"note": step, "losses": [step + 0.25]})


@pytest.fixture
def checkpoints(tmp_path: Path) -> Path:
    for step in (3, 6, 9):
        save_checkpoint(tmp_path, checkpoint(step))
    return tmp_path


def assert_skipped(folder: Path, caplog: pytest.LogCaptureFixture) -> None:
    caplog.clear()
    loaded = load_checkpoint(folder)
    assert loaded is not None
    assert (loaded.step, loaded.facts) == (6, {"note": 6, "losses": [6.25]})
    assert loaded.tensors["weight"].tolist() == [6.0, 6.0, 6.0]
    assert "step-00000009 is corrupt" in caplog.text


@pytest.mark.parametrize("file", ["tensors.safetensors", "state.json"])
def test_a_checkpoint_with_any_byte_altered_is_reported_and_the_previous_one_used(
    checkpoints: Path, file: str, caplog: pytest.LogCaptureFixture
) -> None:
    path, draw = checkpoints / "step-00000009" / file, random.Random(file)
    whole = path.read_bytes()
    for index in {0, len(whole) - 1, *draw.sample(range(len(whole)), 60)}:
        damaged = bytearray(whole)
        damaged[index] ^= 1 << draw.randrange(8)
        path.write_bytes(damaged)
        assert_skipped(checkpoints, caplog)


@pytest.mark.parametrize(
    "damage",
    [
        lambda text: text.replace('"note": 9', '"note": 8'),
        lambda text: text.replace('"note": 9', '"note":  9'),
        lambda text: text.replace("9.25", "9.250"),
        lambda text: text.replace('"facts"', '"fakts"'),
        lambda text: text[: len(text) // 2],
        lambda text: text + text,
        lambda _: "",
        lambda _: "[]",
        lambda _: "null",
        lambda _: "3",
        lambda _: "{}",
        lambda _: "[" * 100_000,
        lambda _: '{"step": 9}',
    ],
)
def test_whatever_else_state_json_holds_is_skipped(
    checkpoints: Path, damage: Callable[[str], str], caplog: pytest.LogCaptureFixture
) -> None:
    path = checkpoints / "step-00000009" / "state.json"
    path.write_text(damage(path.read_text()))
    assert_skipped(checkpoints, caplog)


def test_a_missing_file_and_a_file_instead_of_a_folder_are_skipped(
    checkpoints: Path, caplog: pytest.LogCaptureFixture
) -> None:
    for file in ("state.json", "tensors.safetensors"):
        (checkpoints / "step-00000009" / file).unlink()
        assert_skipped(checkpoints, caplog)
    (checkpoints / "step-00000009").rmdir()
    (checkpoints / "step-00000009").write_text("")
    assert_skipped(checkpoints, caplog)
    save_checkpoint(checkpoints, checkpoint(8))
    assert sorted(path.name for path in checkpoints.iterdir()) == ["step-00000006", "step-00000008"]


def test_an_interrupted_checkpoint_is_resumed_from_but_never_rolled_back_to(checkpoints: Path) -> None:
    save_checkpoint(checkpoints, checkpoint(11), is_interrupted=True)
    save_checkpoint(checkpoints, checkpoint(12), is_interrupted=True)
    steps = [load_checkpoint(checkpoints), load_checkpoint(checkpoints, skip_interrupted=True)]
    assert [found.step for found in steps if found] == [12, 9]
    before = load_checkpoint(checkpoints, skip_interrupted=True, before_step=9)
    assert before is not None
    assert before.step == 6
    save_checkpoint(checkpoints, checkpoint(15))
    assert sorted(path.name for path in checkpoints.iterdir()) == ["step-00000009", "step-00000015"]


def test_two_checkpoints_are_kept(tmp_path: Path) -> None:
    for step in (3, 6, 9):
        save_checkpoint(tmp_path, checkpoint(step))
    assert sorted(path.name for path in tmp_path.iterdir()) == ["step-00000006", "step-00000009"]


def test_without_a_checkpoint_there_is_none(tmp_path: Path) -> None:
    assert load_checkpoint(tmp_path / "absent") is None
