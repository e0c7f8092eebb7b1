"""What the tuples that ``_core.Session.events`` returns hold, by name.

Plain classes: named tuples would cost every start of pytest a millisecond.

Times are seconds: ``start`` since the epoch, ``duration`` elapsed. ``unit`` is
the number of the unit in the plan, ``slot`` the worker's (``gw<slot>``).
``status`` is as from ``os.wait``. Kinds of DATA are ours (``DataKind``).
"""

from __future__ import annotations

from typing import Any, ClassVar

from . import _core


class _Event:
    """Its fields are its annotations, in the order of the core's tuple."""

    _fields: ClassVar[tuple[str, ...]]

    def __init_subclass__(cls) -> None:
        cls._fields = tuple(cls.__annotations__)

    def __init__(self, *values: Any) -> None:
        self.__dict__.update(zip(self._fields, values, strict=True))


class Start(_Event):
    kind: int
    slot: int
    unit: int
    attempt: int
    start: float


class Passed(_Event):
    kind: int
    slot: int
    unit: int
    attempt: int
    phase: int
    start: float
    duration: float


class Data(_Event):
    kind: int
    slot: int
    unit: int
    attempt: int
    data_kind: int
    data: bytes | None


class Finish(_Event):
    kind: int
    slot: int
    unit: int
    attempt: int
    outcome: int
    settled: int
    last: int
    duration: float
    cpu: float
    peak_bytes: int
    location: bytes | None  # of the item, which is dear to find; what a command printed
    status: int  # of a command
    stdout_bytes: int  # how much of that is standard output


class Plain(_Event):
    """A whole attempt: it passed and has nothing to tell."""

    kind: int
    slot: int
    unit: int
    attempt: int
    last: int
    start: float
    duration: float
    cpu: float
    peak_bytes: int
    location: bytes | None
    setup_start: float
    setup_duration: float
    call_start: float
    call_duration: float
    teardown_start: float
    teardown_duration: float

    def phases(self) -> tuple[tuple[int, float, float], ...]:
        """(phase, start, duration) of each."""
        return (
            (_core.SETUP, self.setup_start, self.setup_duration),
            (_core.CALL, self.call_start, self.call_duration),
            (_core.TEARDOWN, self.teardown_start, self.teardown_duration),
        )


class Lost(_Event):
    kind: int
    slot: int
    unit: int
    attempt: int
    outcome: int
    phase: int
    status: int
    start: float
    duration: float
    peak_bytes: int
    stack: bytes | None
    stdout: bytes  # what it had printed in its last phase, from the end
    stderr: bytes


class Exit(_Event):
    kind: int
    slot: int
    unit: int
    attempt: int
    outcome: int
    phase: int
    status: int
    stack: bytes | None


class Server(_Event):
    """It cannot serve: ``error`` is an errno, or 0, ``stderr`` what collecting printed."""

    kind: int
    server: int
    status: int
    error: int
    stderr: bytes


class DataKind:
    """What a worker sends besides fixed records."""

    REPORT = 1  # a test report, encoded
    WARNING = 2  # a recorded warning
    SESSION_REPORT = 3  # a teardown report after the last test
    STOP = 4  # a plugin or test asked to stop: (shouldstop or shouldfail, message)
    EXIT = 5  # pytest.exit: (reason, return code)
    COLLECTED = 6  # a spawned worker collected something else
    INTERNAL = 7  # an internal error: text
    ONCE = 8  # record_testsuite_property and its like
    WORKER_OUTPUT = 9  # config.workeroutput at the end
    XML = 10  # an attribute or property of the test in the JUnit report
    COVERAGE = 11  # where the worker saves its coverage
    KEEPER = 12  # how far the keeper is: (word, ...)
    INTERRUPT = 13  # KeyboardInterrupt: where it was raised
    DEBUGGER = 14  # a test asks for the terminal: (process group, test)
    DEBUGGER_END = 15  # and gives it back
    LASTING = 17  # the failure of this attempt is none that a retry could undo
    REFUSED = 18  # what could not be changed around a pass: (pass, names)
    UNCAUGHT = 16  # exceptions that pytest warns of at its end
    SERVER = 20  # why a server cannot serve
    RENAMED = 21  # tests whose ids are others in this process: their numbers
