"""Defers terminating signals until a training has saved a checkpoint."""

import signal
import threading
from collections.abc import Callable
from types import FrameType, TracebackType
from typing import Any, Self

TERMINATING = [getattr(signal, name) for name in ("SIGINT", "SIGTERM", "SIGHUP") if hasattr(signal, name)]


class DeferredSignals:
    """A context in which signals that would end the process (Ctrl-C, SIGTERM, SIGHUP) are deferred.

    The process's own handler runs at the next :meth:`deliver`, or at the end of the context. Outside the main thread,
    where Python handles no signals, nothing is deferred.
    """

    def __init__(self) -> None:
        self._handlers: dict[int, Callable[[int, FrameType | None], Any] | int] = {}
        self._pending: list[int] = []

    @property
    def are_pending(self) -> bool:
        """Whether a signal has arrived that is not yet delivered."""
        return bool(self._pending)

    def deliver(self) -> None:
        """Run the process's handlers of the pending signals; most of them raise an exception."""
        self._restore_handlers()
        self._raise_pending()
        self._replace_handlers()

    def __enter__(self) -> Self:
        self._replace_handlers()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._restore_handlers()
        self._raise_pending()

    def _replace_handlers(self) -> None:
        if threading.current_thread() is not threading.main_thread():
            return
        for number in TERMINATING:
            handler = signal.getsignal(number)
            # None: the handler was not installed from Python, so it could not be restored.
            if handler is not None and handler != signal.SIG_IGN:
                self._handlers[number] = handler
                signal.signal(number, self._defer)

    def _restore_handlers(self) -> None:
        for number, handler in self._handlers.items():
            signal.signal(number, handler)
        self._handlers.clear()

    def _defer(self, number: int, _frame: FrameType | None) -> None:
        if number not in self._pending:
            self._pending.append(number)

    def _raise_pending(self) -> None:
        while self._pending:
            signal.raise_signal(self._pending.pop(0))
