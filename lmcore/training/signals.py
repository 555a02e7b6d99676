"""Defers terminating signals until a training has saved a checkpoint."""

import signal
import threading
from collections.abc import Callable
from types import FrameType, TracebackType
from typing import Any, Self

ENDING = [getattr(signal, name) for name in ("SIGINT", "SIGTERM", "SIGHUP") if hasattr(signal, name)]


class HeldSignals:
    """While this context is open, signals that would end the process are deferred.

    What it would have done (whatever the process has set up for it) happens at the next :meth:`let_in`, or at the end.
    Outside the main thread, where Python handles no signals, nothing is held.
    """

    def __init__(self) -> None:
        self._handlers: dict[int, Callable[[int, FrameType | None], Any] | int] = {}
        self._waiting: list[int] = []

    @property
    def are_waiting(self) -> bool:
        """Whether one has come."""
        return bool(self._waiting)

    def let_in(self) -> None:
        """Let those that wait do what they would have done; mostly that is an exception, which leaves from here."""
        self._give_back()
        self._deliver()
        self._take()

    def __enter__(self) -> Self:
        self._take()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._give_back()
        self._deliver()

    def _take(self) -> None:
        if threading.current_thread() is not threading.main_thread():
            return
        for number in ENDING:
            handler = signal.getsignal(number)
            # None: it is handled by something other than Python, and cannot be given back.
            if handler is not None and handler != signal.SIG_IGN:
                self._handlers[number] = handler
                signal.signal(number, self._hold)

    def _give_back(self) -> None:
        for number, handler in self._handlers.items():
            signal.signal(number, handler)
        self._handlers.clear()

    def _hold(self, number: int, _frame: FrameType | None) -> None:
        if number not in self._waiting:
            self._waiting.append(number)

    def _deliver(self) -> None:
        while self._waiting:
            signal.raise_signal(self._waiting.pop(0))
