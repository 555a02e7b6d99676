"""A training that is killed, however often and wherever, ends as one that was not."""

import multiprocessing
import random
import time
from collections.abc import Callable
from multiprocessing.context import ForkServerProcess
from pathlib import Path

import pytest
import torch

from lmcore.training.checkpoint import Checkpoint, load_checkpoint, save_checkpoint
from tests.training.trainer import MAKERS, main

SECONDS = 120
# Between two kills lie three steps at least, and seldom more than six, however fast the machine.
N_STEPS = 240
N_KILLS = {"gpt": 20, "lstm": 20, "bert": 20}


@pytest.fixture(scope="module")
def start() -> Callable[[Path, str], ForkServerProcess]:
    """Starts the training as a process of its own; the server has imported torch once for all of them."""
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["tests.training.trainer"])

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
    """Kill a training that has gone on from where it was, a little later, wherever it then is."""
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
    return Checkpoint(step, {"weight": torch.full((3,), float(step))}, {"note": step})


@pytest.mark.parametrize("file", ["tensors.safetensors", "state.json"])
def test_a_damaged_checkpoint_is_named_and_the_one_before_it_is_used(
    tmp_path: Path, file: str, caplog: pytest.LogCaptureFixture
) -> None:
    for step in (3, 6, 9):
        save_checkpoint(tmp_path, checkpoint(step))
    damaged = tmp_path / "step-00000009" / file
    content = bytearray(damaged.read_bytes())
    content[-2] ^= 0xFF
    damaged.write_bytes(content)
    loaded = load_checkpoint(tmp_path)
    assert loaded is not None
    assert loaded.step == 6
    assert loaded.tensors["weight"].tolist() == [6.0, 6.0, 6.0]
    assert "step-00000009 is damaged" in caplog.text


def test_two_checkpoints_are_kept(tmp_path: Path) -> None:
    for step in (3, 6, 9):
        save_checkpoint(tmp_path, checkpoint(step))
    assert sorted(path.name for path in tmp_path.iterdir()) == ["step-00000006", "step-00000009"]


def test_without_a_checkpoint_there_is_none(tmp_path: Path) -> None:
    assert load_checkpoint(tmp_path / "absent") is None
