"""Signals to the controller while workers run."""

from __future__ import annotations

import signal
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .controller import Controller


class Signals:
    """Notes signals during the run instead of raising in the middle of a hook.

    SIGINT: see the guide. SIGTERM and SIGHUP end the run at once; what is
    finished is still reported.
    """

    def __init__(self, controller: Controller) -> None:
        self.controller = controller
        self.previous: dict[int, Any] = {}

    def __enter__(self) -> None:
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            try:
                before = signal.getsignal(number)
                if before not in (signal.SIG_IGN, None):
                    signal.signal(number, self._on_signal)
                    self.previous[number] = before
            except ValueError:
                return  # not the main thread: signals are not ours

    def _on_signal(self, number: int, frame: object) -> None:
        if number == signal.SIGINT:
            self.controller.interrupts += 1
        else:
            self.controller.ended_by = signal.Signals(number)

    def __exit__(self, *exc: object) -> None:
        for number, handler in self.previous.items():
            signal.signal(number, handler)
