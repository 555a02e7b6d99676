"""How fast a training goes."""

import time


class Rate:
    """Tokens per second of training proper, over about the last ten seconds."""

    SPAN_SECONDS = 10.0

    def __init__(self) -> None:
        self._started = time.monotonic()
        self._n_tokens = 0
        self._last: float | None = None

    def add(self, n_tokens: int) -> None:
        """Count tokens that were just trained on."""
        self._n_tokens += n_tokens
        if (seconds := time.monotonic() - self._started) >= self.SPAN_SECONDS:
            self._last = self._n_tokens / seconds
            self._started, self._n_tokens = time.monotonic(), 0

    def pause(self, seconds: float) -> None:
        """Do not count the last ``seconds``, which went into something else than training."""
        self._started += seconds

    def tokens_per_second(self) -> float:
        """The rate now."""
        if self._last is not None:
            return self._last
        return self._n_tokens / max(time.monotonic() - self._started, 1e-9)
