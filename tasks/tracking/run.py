"""The row of a model while it trains."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from tasks.environment import Environment


class ModelRun:
    """The MLflow row of one model in training; :func:`model_run` makes one."""

    def log_metrics(self, step: int, metrics: Mapping[str, float]) -> None:
        """Record figures of one step; returns at once, the row follows from another thread.

        ``validation_loss`` becomes ``validation/loss``, a name without such a prefix ``train/<name>``.
        A step that the row already has (the training was resumed from an earlier checkpoint) is skipped.
        """
        raise NotImplementedError

    def finish(self, folder: Path) -> None:
        """Log the finished model folder as a servable MLflow model; call it last in the block."""
        raise NotImplementedError


@contextmanager
def model_run(
    environment: Environment,
    *,
    stage: str,
    model: str,
    parameters: Mapping[str, Any],
    datasets: Sequence[Path],
    work_folder: Path,
    resumed_from_step: int | None,
) -> Iterator[ModelRun]:
    """Open the row of a model for as long as it trains.

    Args:
        environment: where the tracking store is.
        stage: the DVC stage, "pretrain" or "finetune".
        model: "language-model", "classifier" or "completion"; also its name in the model registry.
        parameters: nested values; logged under dotted names.
        datasets: what DVC tracks and this model is trained on, such as ``data/tokens``.
        work_folder: where the training keeps its checkpoints; the row's identity is kept beside them.
        resumed_from_step: the step of the checkpoint the training continues from, None when it starts afresh.
            A resumed training continues its row.

    An exception leaves the row FAILED with the tag ``error``; an interrupt (Ctrl-C, SIGTERM) leaves it KILLED.
    A tracking server that goes away is a warning: the figures wait in ``work_folder`` and are delivered later.
    """
    raise NotImplementedError
    yield
