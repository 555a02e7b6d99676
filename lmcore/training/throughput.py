"""How fast a training runs, in tokens per second, and how much memory of a GPU it takes."""

import time

import torch


class Throughput:
    """Tokens per second over about the last ten seconds, validations and checkpoints excluded."""

    WINDOW_SECONDS = 10.0

    def __init__(self) -> None:
        self._started = time.monotonic()
        self._n_tokens = 0
        self._last_window: float | None = None

    def add(self, n_tokens: int) -> None:
        """Count tokens that the model was just trained on."""
        self._n_tokens += n_tokens
        if (seconds := time.monotonic() - self._started) >= self.WINDOW_SECONDS:
            self._last_window = self._n_tokens / seconds
            self._started, self._n_tokens = time.monotonic(), 0

    def exclude(self, seconds: float) -> None:
        """Do not count the last ``seconds``, which were not spent on training steps."""
        self._started += seconds

    def metrics(self, device: torch.device) -> dict[str, float]:
        """Speed and memory of a training on ``device``, which are not part of its record."""
        metrics = {"tokens_per_second": self.tokens_per_second()}
        if device.type == "cuda":
            metrics["gpu_memory_gib"] = torch.cuda.max_memory_allocated(device) / 2**30
        return metrics

    def tokens_per_second(self) -> float:
        """The current rate: that of the last full window, or of the time since the start before one is full."""
        if self._last_window is not None:
            return self._last_window
        return self._n_tokens / max(time.monotonic() - self._started, 1e-9)
