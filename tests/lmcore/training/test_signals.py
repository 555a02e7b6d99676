"""A terminating signal leaves the last complete step in a checkpoint, whenever it arrives."""

import contextlib
import json
import random
import signal
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import torch

from lmcore.config.training import TrainingConfig
from lmcore.models.trainable import TrainableModel
from lmcore.training import checkpoint_manager, loop
from lmcore.training.checkpoint import load_checkpoint
from lmcore.training.loop import train
from lmcore.training.optimizer import ModelOptimizer
from lmcore.training.record import TrainingRecord
from lmcore.training.signals import DeferredSignals
from lmcore.training.state import TrainerState
from lmcore.training.validation import Validator
from tests.lmcore.training.trainer import CHANGES, CONFIG, MAKERS, batches_for

N_STEPS = 16
N_INTERRUPTIONS = 5
MOMENTS = [
    (ModelOptimizer, "step"),
    (checkpoint_manager, "save_checkpoint"),
    (loop, "learning_rate_factor"),
    (loop, "reason_to_skip"),
    (loop, "copy_weights"),
]
"""Functions around whose calls signals are sent."""


@pytest.fixture(autouse=True)
def terminated_as_commands_are() -> Iterator[None]:
    """SIGTERM is an exit, as the project's commands have it."""
    before = signal.signal(signal.SIGTERM, lambda number, _frame: sys.exit(128 + number))
    yield
    signal.signal(signal.SIGTERM, before)


def run(folder: Path, family: str, **changes: Any) -> tuple[TrainingRecord, TrainableModel]:
    torch.manual_seed(1)
    model = MAKERS[family]()
    settings = CONFIG | {"max_steps": N_STEPS} | CHANGES.get(family, {}) | changes
    record = train(
        model,
        batches_for(model),
        TrainingConfig.model_validate_json(json.dumps(settings)),
        seed=1,
        checkpoints=folder,
        on_metrics=lambda _step, _metrics: None,
        description="Train",
    )
    return record, model


class Sender:
    """Wraps functions and sends a signal twice at one of the calls, before or after it."""

    def __init__(self, moment: random.Random, number: int) -> None:
        self.calls_left = moment.randint(1, 25)
        self.is_before = moment.random() < 0.5
        self.number = number

    def around(self, function: Callable[..., Any]) -> Callable[..., Any]:
        def called(*arguments: Any, **options: Any) -> Any:
            self.calls_left -= 1
            if self.calls_left == 0 and self.is_before:
                self.send()
            result = function(*arguments, **options)
            if self.calls_left == 0 and not self.is_before:
                self.send()
            return result

        return called

    def send(self) -> None:
        for _ in range(2):
            signal.raise_signal(self.number)


def reached(folder: Path) -> int:
    checkpoint = load_checkpoint(folder)
    return checkpoint.step if checkpoint else -1


@pytest.fixture
def last_step(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """The last step that changed the weights, if one did."""
    steps: list[int] = []
    update_weights = TrainerState.update_weights

    def noted(state: TrainerState, *arguments: Any) -> None:
        update_weights(state, *arguments)
        steps[:] = [state.progress.step]

    monkeypatch.setattr(TrainerState, "update_weights", noted)
    return steps


@pytest.mark.parametrize("family", MAKERS)
def test_an_interrupted_training_ends_as_one_that_was_not(
    tmp_path: Path, family: str, monkeypatch: pytest.MonkeyPatch, last_step: list[int]
) -> None:
    record, model = run(tmp_path / "whole", family)
    moment, folder, n_interrupted = random.Random(family), tmp_path / "parts", 0
    for _ in range(N_INTERRUPTIONS):
        number = moment.choice([signal.SIGINT, signal.SIGTERM])
        sender = Sender(moment, number)
        last_step.clear()
        with monkeypatch.context() as patch:
            for owner, name in MOMENTS:
                patch.setattr(owner, name, sender.around(getattr(owner, name)))
            with contextlib.suppress(KeyboardInterrupt if number == signal.SIGINT else SystemExit):
                run(folder, family)
                break
        n_interrupted += 1
        if last_step:
            assert reached(folder) == last_step[0]
    assert n_interrupted > 0
    found, again = run(folder, family)
    assert found.model_dump_json() == record.model_dump_json()
    for name, weight in model.state_dict().items():
        assert torch.equal(again.state_dict()[name], weight), name


def test_a_signal_during_validation_does_not_wait_for_its_end(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The averaged weights, which the model has during validation, are not saved as its weights."""
    family = "gpt with dropout"
    record, _ = run(tmp_path / "whole", family)
    record_validation = loop._Trainer._record_validation
    monkeypatch.setattr(
        loop._Trainer, "_record_validation", lambda *_: pytest.fail("the validation went on to its end")
    )
    validation = Validator.validated_weights
    monkeypatch.setattr(
        Validator,
        "validated_weights",
        lambda validator: (signal.raise_signal(signal.SIGTERM), validation(validator))[1],
    )
    with pytest.raises(SystemExit):
        run(tmp_path / "parts", family)
    monkeypatch.setattr(Validator, "validated_weights", validation)
    monkeypatch.setattr(loop._Trainer, "_record_validation", record_validation)
    assert reached(tmp_path / "parts") == CONFIG["eval_steps"]
    assert run(tmp_path / "parts", family)[0] == record


def test_a_handler_that_returns_lets_the_training_continue(tmp_path: Path) -> None:
    record, _ = run(tmp_path / "whole", "gpt")
    came: list[int] = []
    signal.signal(signal.SIGTERM, lambda number, _frame: came.append(number))
    timer = threading.Timer(0.05, signal.raise_signal, [signal.SIGTERM])
    timer.start()
    assert run(tmp_path / "signalled", "gpt")[0] == record
    timer.join()
    assert came == [signal.SIGTERM]


def test_outside_the_main_thread_nothing_is_deferred(tmp_path: Path) -> None:
    record, _ = run(tmp_path / "whole", "gpt")
    found: list[TrainingRecord] = []
    thread = threading.Thread(target=lambda: found.append(run(tmp_path / "thread", "gpt")[0]))
    thread.start()
    thread.join()
    assert found == [record]


def test_handlers_are_restored() -> None:
    before = [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)]
    with DeferredSignals() as deferred:
        assert signal.getsignal(signal.SIGTERM) != before[1]
        assert not deferred.are_pending
    assert [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)] == before
