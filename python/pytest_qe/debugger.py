"""A debugger in a test: its worker owns the terminal, the others wait.

``breakpoint()`` and ``pytest.set_trace()`` ask the controller for the terminal.
It prints nothing more, lends standard input and, on a terminal, the foreground,
and takes both back when the test has ended or its worker has died. Other workers
go on; what they print and report is shown after that.
"""

from __future__ import annotations

import fcntl
import os
import select
import signal
import sys
import termios
from collections import deque
from os import getpid
from typing import TYPE_CHECKING, Any, NamedTuple

import pytest

from . import _core, reports
from .events import DataKind

if TYPE_CHECKING:
    from .controller import Controller
    from .worker import Worker

_YES, _BACKGROUND, _NO_INPUT = b"y", b"b", b"i"

_REFUSALS = {
    _BACKGROUND: "a debugger needs the terminal, and this run is in the background",
    _NO_INPUT: "a debugger needs standard input, which is closed",
}


class Desk(NamedTuple):
    """Descriptors that the controller makes and workers inherit."""

    stdin: int  # -1: there is none
    stdout: int
    stderr: int
    lock: int  # a file: who locks it may ask
    answer: tuple[int, int]  # the second is the controller's

    def of_workers(self) -> list[int]:
        """What workers use of it."""
        fds = [self.stdin, self.stdout, self.stderr, self.lock, self.answer[0]]
        return [fd for fd in fds if fd >= 0]


def _copy(fd: int) -> int:
    try:
        return fcntl.fcntl(fd, fcntl.F_DUPFD_CLOEXEC, 10)
    except OSError:
        return -1


def _put_away(config: pytest.Config) -> int | None:
    """Where capturing has put standard input, None where it has not."""
    manager: Any = config.pluginmanager.get_plugin("capturemanager")
    capture = getattr(getattr(manager, "_global_capturing", None), "in_", None)
    fd: int | None = getattr(capture, "targetfd_save", None)
    return fd


class Lender:
    """The controller's side."""

    def __init__(self, controller: Controller) -> None:
        self._controller = controller
        self._owner = -1
        self._kept: deque[tuple[Any, ...]] = deque()
        self._modes: list[Any] | None = None  # of the terminal, while it is lent
        put_away = _put_away(controller.config)
        self.desk = Desk(
            stdin=_copy(0 if put_away is None else put_away),
            stdout=_copy(1),
            stderr=_copy(2),
            lock=os.memfd_create("qe-debugger"),
            answer=os.pipe(),
        )

    def set_inheritable(self, on: bool) -> None:
        """Lets spawned workers have it."""
        for fd in self.desk.of_workers():
            os.set_inheritable(fd, on)

    @property
    def lent(self) -> bool:
        return self._owner >= 0

    def keeps(self, event: tuple[Any, ...], pending: deque[tuple[Any, ...]]) -> bool:
        """Whether an event has to wait, or was for this alone. What waited for the
        terminal is pending again once it is back."""
        kind = event[0]
        if not self.lent:
            if kind == _core.EV_DATA and event[4] == DataKind.DEBUGGER:
                self._lend(event[1], *reports.loads(event[5]))
                return True
            return False
        own = kind not in (_core.EV_DONE, _core.EV_GIVE_UP) and event[1] == self._owner
        ended = own and kind == _core.EV_DATA and event[4] == DataKind.DEBUGGER_END
        died = own and kind in (_core.EV_LOST, _core.EV_EXIT)
        if not ended:
            self._kept.append(event)
        if ended or died:
            self._take_back()
            pending.extendleft(reversed(self._kept))
            self._kept.clear()
        return True

    def _lend(self, slot: int, group: int, nodeid: str) -> None:
        answer = _YES
        if self.desk.stdin < 0:
            answer = _NO_INPUT
        elif os.isatty(self.desk.stdin):
            try:
                if os.tcgetpgrp(self.desk.stdin) != os.getpgrp():
                    answer = _BACKGROUND
                else:
                    self._modes = termios.tcgetattr(self.desk.stdin)
            except OSError:
                answer = _BACKGROUND  # another session's terminal
        if answer == _YES:
            self._owner = slot
            terminal = self._controller.terminal
            terminal.own_line()
            terminal.file.write(f"qe: gw{slot} has the terminal: {nodeid}\n")
            terminal.file.flush()
            self._controller.live.hold(True)
            if self._modes is not None:
                os.tcsetpgrp(self.desk.stdin, group)
        os.write(self.desk.answer[1], answer)

    def _take_back(self) -> None:
        self._owner = -1
        if self._modes is not None:
            # From the background this would stop us.
            signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTTOU})
            try:
                os.tcsetpgrp(self.desk.stdin, os.getpgrp())
                termios.tcsetattr(self.desk.stdin, termios.TCSADRAIN, self._modes)
            except OSError:
                pass  # the terminal is gone
            signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGTTOU})
            self._modes = None
        if select.select([self.desk.answer[0]], [], [], 0)[0]:
            os.read(self.desk.answer[0], 1)  # who asked is dead and has not read it
        self._controller.live.hold(False)

    def close(self) -> None:
        """The end of the run."""
        if self.lent:
            self._take_back()
        for fd in (*self.desk.of_workers(), self.desk.answer[1]):
            os.close(fd)


def _redirect(old: int, new: int, keep: frozenset[int]) -> None:
    """Lets all descriptors of this process that are open on the file of ``old``
    be open on that of ``new``: also those that capturing has put away."""
    file = os.fstat(old)
    for name in os.listdir("/proc/self/fd"):
        fd = int(name)
        try:
            if fd not in keep and os.path.samestat(os.fstat(fd), file):
                os.dup2(new, fd, inheritable=fd < 3)
        except OSError:
            pass  # it listed the folder


class Borrower:
    """A worker's side; from here on pytest's debugger asks for the terminal."""

    def __init__(self, worker: Worker, desk: Desk) -> None:
        from _pytest.debugging import pytestPDB

        self._worker = worker
        self._desk = desk
        self._lock = -1
        self._stdin: dict[int, int] = {}  # what was there before, by descriptor
        if desk.answer[1] >= 0:
            os.close(desk.answer[1])
        for fd in desk.of_workers():
            os.set_inheritable(fd, False)
        begin: Any = pytestPDB._init_pdb

        def init_pdb(method: str, *args: Any, **kwargs: Any) -> Any:
            self.borrow()
            return begin(method, *args, **kwargs)

        pytestPDB._init_pdb = init_pdb  # type: ignore[method-assign]

    def borrow(self) -> None:
        """Waits for the terminal; what then runs has no time limit."""
        worker = self._worker
        if self._lock >= 0 or getpid() != worker.pid:
            return
        worker.core.unlimited()
        lock = os.open(f"/proc/self/fd/{self._desk.lock}", os.O_RDWR | os.O_CLOEXEC)
        try:
            fcntl.flock(lock, fcntl.LOCK_EX)
            item = worker.item or worker.last_item
            request = (os.getpgrp(), "?" if item is None else item.nodeid)
            worker._send(DataKind.DEBUGGER, reports.dumps(request))
            answer = os.read(self._desk.answer[0], 1)
        except BaseException:
            os.close(lock)
            raise
        if answer != _YES:
            os.close(lock)
            pytest.fail(_REFUSALS.get(answer, "a debugger needs the terminal"), pytrace=False)
        self._lock = lock
        self._redirect_input()
        self._redirect_output(to_terminal=True)
        try:
            # The shell does not know this group: nobody could let it go on.
            signal.signal(signal.SIGTSTP, signal.SIG_IGN)
        except ValueError:
            pass  # a thread's

    def give_back(self) -> None:
        """The test has ended."""
        if self._lock < 0 or getpid() != self._worker.pid:
            return
        sys.stdout.flush()
        for fd, before in self._stdin.items():
            os.dup2(before, fd)
            os.close(before)
        self._stdin.clear()
        self._redirect_output(to_terminal=False)
        signal.signal(signal.SIGTSTP, signal.SIG_DFL)
        self._worker._send(DataKind.DEBUGGER_END, b"")
        os.close(self._lock)  # after that: the next one's request follows
        self._lock = -1

    def _redirect_input(self) -> None:
        for fd in (0, _put_away(self._worker.config)):
            if fd is not None:
                self._stdin[fd] = _copy(fd)
                os.dup2(self._desk.stdin, fd)

    def _redirect_output(self, to_terminal: bool) -> None:
        own = self._worker.own
        if own is None:
            return  # what is not captured goes to the terminal anyway
        keep = frozenset((*self._desk.of_workers(), own.out, own.err))
        for pipe, file in ((own.out, self._desk.stdout), (own.err, self._desk.stderr)):
            if file >= 0 and to_terminal:
                _redirect(pipe, file, keep)
            elif file >= 0:
                _redirect(file, pipe, keep)
