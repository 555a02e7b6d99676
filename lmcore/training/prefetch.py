"""Batches on the device where they are needed, the next one on its way while one is worked on."""

from collections.abc import Sequence
from concurrent.futures import Future, ThreadPoolExecutor

import torch

from lmcore.tokens.batches.batches import Batch, Batches


class Feed:
    """Gives the batches of each step, which are a pure function of its number.

    On a GPU the next step's batches are cut, pinned and copied by a thread of their own. On a processor there is
    nothing to be gained: it would take from the training what it gives.

    Args:
        batches: where they come from.
        n_parts: batches of one step, whose gradients are summed.
        device: where they go.
    """

    def __init__(self, batches: Batches, n_parts: int, device: torch.device) -> None:
        self._batches, self._n_parts, self._device = batches, n_parts, device
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="feed") if device.type == "cuda" else None
        self._coming: tuple[int, Future[list[Batch]]] | None = None

    def batches_of(self, step: int) -> Sequence[Batch]:
        """The batches of a step, on the device."""
        if self._thread is None:
            return [batch.to(self._device) for batch in self._cut(step)]
        if self._coming is None or self._coming[0] != step:
            self._coming = (step, self._thread.submit(self._cut_pinned, step))
        parts = self._coming[1].result()
        self._coming = (step + 1, self._thread.submit(self._cut_pinned, step + 1))
        return [batch.to(self._device) for batch in parts]

    def close(self) -> None:
        """Let the thread end."""
        if self._thread is not None:
            self._thread.shutdown(cancel_futures=True)

    def _cut(self, step: int) -> list[Batch]:
        first = step * self._n_parts
        return [self._batches.training_batch(place) for place in range(first, first + self._n_parts)]

    def _cut_pinned(self, step: int) -> list[Batch]:
        return [batch.pinned() for batch in self._cut(step)]
