"""The extension's types; see csrc/include/qe.h for what each call promises."""

from collections.abc import Sequence
from typing import Any, Literal

VERSION: str
DIGEST_INIT: int
NONE: int
PASSED: int
FAILED: int
SKIPPED: int
ERROR: int
TIMEOUT: int
CRASHED: int
FLAKY: int
SETUP: int
CALL: int
TEARDOWN: int
SESSION: int
SERIAL: int
TOGETHER: int
FRESH: int
EV_WORKER: int
EV_START: int
EV_PASSED: int
EV_DATA: int
EV_FINISH: int
EV_PLAIN: int
EV_LOST: int
EV_EXIT: int
EV_GIVE_UP: int
EV_DONE: int

_Claim = tuple[int, int, int, int]

class Plan:
    def add(
        self,
        id: bytes,
        scope: bytes,
        item: int,
        pass_: int,
        flags: int,
        retries: int,
        timeout_ns: int,
        expected_ns: int,
        /,
    ) -> None: ...
    def seal(self) -> None: ...
    def __len__(self) -> int: ...

class Worker:
    def job(self) -> dict[str, Any]: ...
    def peek(self) -> _Claim | None: ...
    def claim(self, wait: bool, /) -> _Claim | Literal[False] | None: ...
    def start(self, claim: _Claim, /) -> bool: ...
    def phase(self, phase: int, /) -> None: ...
    def passed(self, phase: int, start_s: float, duration_s: float, /) -> None: ...
    def send(self, kind: int, data: bytes, /) -> None: ...
    def finish(self, outcome: int, last: bool, data: bytes | None = None, /) -> None: ...
    def is_last(self) -> bool: ...
    def count_failure(self) -> None: ...
    def stop(self) -> None: ...
    def hold(self) -> None: ...
    def bye(self) -> None: ...

class Session:
    def events(self, timeout_ms: int, /) -> list[tuple[Any, ...]]: ...
    def settle(
        self, unit: int, attempt: int, outcome: int, retryable: bool, /
    ) -> tuple[bool, int]: ...
    def stop(self, interrupt: bool = False, /) -> None: ...
    def kill(self) -> None: ...
    def running(self) -> list[tuple[int, int, int, int, float]]: ...
    def progress(self) -> tuple[int, int]: ...
    def close(self) -> None: ...

class Record:
    def add_test(self, id: bytes, /) -> None: ...
    def add_attempt(
        self,
        item: int,
        pass_: int,
        attempt: int,
        worker: int,
        outcome: int,
        start_s: float,
        duration_s: float,
        cpu_s: float,
        peak_bytes: int,
        status: int,
        message: str | None,
        /,
    ) -> None: ...
    def add_passed(
        self,
        item: int,
        pass_: int,
        attempt: int,
        worker: int,
        start_s: float,
        duration_s: float,
        cpu_s: float,
        peak_bytes: int,
        /,
    ) -> None: ...
    def set_outcome(self, item: int, outcome: int, message: str | None, /) -> None: ...
    def flakiness(self, item: int, /) -> dict[str, Any] | None: ...
    def write_json(self, path: bytes, run_json: str | None, flaky: bool, /) -> None: ...

class History:
    def __init__(self, path: bytes, /) -> None: ...
    def close(self) -> None: ...
    def save(self, record: Record, started_s: float, wall_s: float, workers: int, /) -> int: ...
    def durations(self, ids: list[bytes], /) -> list[int]: ...
    def gc(self, keep_runs: int, /) -> None: ...

def start(
    plan: Plan,
    workers: int,
    argv: Sequence[bytes] | None = None,
    isolate: bool = False,
    func_only: bool = False,
    steal_scopes: bool = False,
    in_order: bool = False,
    peak_memory: bool = False,
    maxfail: int = 0,
    max_restarts: int = 0xFFFFFFFF,
    session_timeout_ns: int = 0,
    backoff_ns: int = 0,
    seed: int = 0,
) -> tuple[Session, None] | tuple[None, Worker]: ...
def attach() -> Worker: ...
def cpu_count() -> int: ...
def outcome_name(outcome: int, /) -> str: ...
def flakiness_of(results: bytes, /) -> dict[str, Any]: ...
def digest(value: int, data: bytes, /) -> int: ...
def shard_assign(keys: list[bytes], durations_ns: list[int] | None, of: int, /) -> list[int]: ...
