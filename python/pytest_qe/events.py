"""What the tuples that ``_core.Session.events`` returns hold, by name.

Plain classes: named tuples would cost every start of pytest a millisecond.

Times are seconds: ``start`` since the epoch, ``duration`` elapsed. ``unit`` is
the number of the unit in the plan, ``slot`` the worker's (``gw<slot>``).
``status`` is as from ``os.wait``. Kinds of DATA are ours (``DataKind``).
"""

from __future__ import annotations

from . import _core


class Start:
    __slots__ = ("kind", "slot", "unit", "attempt", "start")

    def __init__(self, kind: int, slot: int, unit: int, attempt: int, start: float) -> None:
        self.kind = kind
        self.slot = slot
        self.unit = unit
        self.attempt = attempt
        self.start = start


class Passed:
    __slots__ = ("kind", "slot", "unit", "attempt", "phase", "start", "duration")

    def __init__(
        self,
        kind: int,
        slot: int,
        unit: int,
        attempt: int,
        phase: int,
        start: float,
        duration: float,
    ) -> None:
        self.kind = kind
        self.slot = slot
        self.unit = unit
        self.attempt = attempt
        self.phase = phase
        self.start = start
        self.duration = duration


class Data:
    __slots__ = ("kind", "slot", "unit", "attempt", "data_kind", "data")

    def __init__(
        self, kind: int, slot: int, unit: int, attempt: int, data_kind: int, data: bytes | None
    ) -> None:
        self.kind = kind
        self.slot = slot
        self.unit = unit
        self.attempt = attempt
        self.data_kind = data_kind
        self.data = data


class Finish:
    __slots__ = (
        "kind",
        "slot",
        "unit",
        "attempt",
        "outcome",
        "settled",
        "last",
        "duration",
        "cpu",
        "peak_bytes",
        "location",
    )

    def __init__(
        self,
        kind: int,
        slot: int,
        unit: int,
        attempt: int,
        outcome: int,
        settled: int,
        last: int,
        duration: float,
        cpu: float,
        peak_bytes: int,
        location: bytes | None,
    ) -> None:
        self.kind = kind
        self.slot = slot
        self.unit = unit
        self.attempt = attempt
        self.outcome = outcome
        self.settled = settled
        self.last = last
        self.duration = duration
        self.cpu = cpu
        self.peak_bytes = peak_bytes
        self.location = location  # of the item, which is dear to find


class Plain:
    """A whole attempt: it passed and has nothing to tell."""

    __slots__ = (
        "kind",
        "slot",
        "unit",
        "attempt",
        "last",
        "start",
        "duration",
        "cpu",
        "peak_bytes",
        "location",
        "setup_start",
        "setup_duration",
        "call_start",
        "call_duration",
        "teardown_start",
        "teardown_duration",
    )

    def __init__(
        self,
        kind: int,
        slot: int,
        unit: int,
        attempt: int,
        last: int,
        start: float,
        duration: float,
        cpu: float,
        peak_bytes: int,
        location: bytes | None,
        setup_start: float,
        setup_duration: float,
        call_start: float,
        call_duration: float,
        teardown_start: float,
        teardown_duration: float,
    ) -> None:
        self.kind = kind
        self.slot = slot
        self.unit = unit
        self.attempt = attempt
        self.last = last
        self.start = start
        self.duration = duration
        self.cpu = cpu
        self.peak_bytes = peak_bytes
        self.location = location
        self.setup_start = setup_start
        self.setup_duration = setup_duration
        self.call_start = call_start
        self.call_duration = call_duration
        self.teardown_start = teardown_start
        self.teardown_duration = teardown_duration

    def phases(self) -> tuple[tuple[int, float, float], ...]:
        """(phase, start, duration) of each."""
        return (
            (_core.SETUP, self.setup_start, self.setup_duration),
            (_core.CALL, self.call_start, self.call_duration),
            (_core.TEARDOWN, self.teardown_start, self.teardown_duration),
        )


class Lost:
    __slots__ = (
        "kind",
        "slot",
        "unit",
        "attempt",
        "outcome",
        "phase",
        "status",
        "start",
        "duration",
        "peak_bytes",
        "stack",
        "stdout",
        "stderr",
    )

    def __init__(
        self,
        kind: int,
        slot: int,
        unit: int,
        attempt: int,
        outcome: int,
        phase: int,
        status: int,
        start: float,
        duration: float,
        peak_bytes: int,
        stack: bytes | None,
        stdout: bytes,
        stderr: bytes,
    ) -> None:
        self.kind = kind
        self.slot = slot
        self.unit = unit
        self.attempt = attempt
        self.outcome = outcome
        self.phase = phase
        self.status = status
        self.start = start
        self.duration = duration
        self.peak_bytes = peak_bytes
        self.stack = stack
        self.stdout = stdout  # what it had printed in its last phase, from the end
        self.stderr = stderr


class Exit:
    __slots__ = ("kind", "slot", "unit", "attempt", "outcome", "phase", "status", "stack")

    def __init__(
        self,
        kind: int,
        slot: int,
        unit: int,
        attempt: int,
        outcome: int,
        phase: int,
        status: int,
        stack: bytes | None,
    ) -> None:
        self.kind = kind
        self.slot = slot
        self.unit = unit
        self.attempt = attempt
        self.outcome = outcome
        self.phase = phase
        self.status = status
        self.stack = stack


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
