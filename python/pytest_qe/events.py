"""The tuples that ``_core.Session.events`` returns, by name.

Times are seconds: ``start`` since the epoch, ``duration`` elapsed. ``unit`` is
the number of the unit in the plan, ``slot`` the worker's (``gw<slot>``).
``status`` is as from ``os.wait``. Kinds of DATA are ours (``DataKind``).
"""

from __future__ import annotations

from typing import NamedTuple


class Start(NamedTuple):
    kind: int
    slot: int
    unit: int
    attempt: int
    start: float


class Passed(NamedTuple):
    kind: int
    slot: int
    unit: int
    attempt: int
    phase: int
    start: float
    duration: float


class Data(NamedTuple):
    kind: int
    slot: int
    unit: int
    attempt: int
    data_kind: int
    data: bytes | None


class Finish(NamedTuple):
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


class Lost(NamedTuple):
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


class Exit(NamedTuple):
    kind: int
    slot: int
    unit: int
    attempt: int
    outcome: int
    phase: int
    status: int
    stack: bytes | None


class DataKind:
    """What a worker sends besides fixed records."""

    REPORT = 1  # a test report, encoded
    WARNING = 2  # a recorded warning
    SESSION_REPORT = 3  # a teardown report after the last test
    STOP = 4  # a plugin or test asked to stop: (shouldstop, shouldfail or interrupt, message)
    EXIT = 5  # pytest.exit: (reason, return code)
    COLLECTED = 6  # a spawned worker collected something else
    INTERNAL = 7  # an internal error: text
    ONCE = 8  # record_testsuite_property and its like
    WORKER_OUTPUT = 9  # config.workeroutput at the end
    XML = 10  # an attribute or property of the test in the JUnit report
    COVERAGE = 11  # where the worker saved its coverage
    LOCATION = 12  # the running item's location, which is dear to find
