"""Signals to the controller: Ctrl-C, an end that is asked for, and Ctrl-Z."""

from __future__ import annotations

import os
import signal
import time
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .controller import Controller


class Signals:
    """Notes signals during the run instead of raising in the middle of a hook.

    SIGINT: see the guide. SIGTERM and SIGHUP end the run at once; what is
    finished is still reported. SIGTSTP stops the workers, which are in groups of
    their own, and then this process; when it goes on, so do they, and no time
    has passed for their deadlines.
    """

    def __init__(self, controller: Controller) -> None:
        self.controller = controller
        self.previous: dict[int, Any] = {}

    def __enter__(self) -> None:
        handlers = {
            signal.SIGINT: self._on_signal,
            signal.SIGTERM: self._on_signal,
            signal.SIGHUP: self._on_signal,
            signal.SIGTSTP: self._on_stop,
        }
        for number, handler in handlers.items():
            try:
                before = signal.getsignal(number)
                if before not in (signal.SIG_IGN, None):
                    signal.signal(number, handler)
                    self.previous[number] = before
            except ValueError:
                return  # not the main thread: signals are not ours

    def _on_signal(self, number: int, frame: object) -> None:
        if number == signal.SIGINT:
            self.controller.interrupts += 1
        else:
            self.controller.ended_by = signal.Signals(number)

    def _on_stop(self, number: int, frame: object) -> None:
        """Here and now: the reporter's hook that runs may take long."""
        began = time.monotonic()
        self.controller.core.pause(True)
        signal.signal(signal.SIGTSTP, signal.SIG_DFL)
        # Stops, unless the kernel sees nobody who could let this group go on.
        os.kill(os.getpid(), signal.SIGTSTP)
        signal.signal(signal.SIGTSTP, self._on_stop)
        self.controller.core.pause(False)
        self.controller.stopped += time.monotonic() - began

    def __exit__(self, *exc: object) -> None:
        for number, handler in self.previous.items():
            signal.signal(number, handler)
