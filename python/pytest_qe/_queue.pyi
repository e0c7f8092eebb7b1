"""The extension for runs across machines; see csrc/queue for what each call promises.

It is loaded where a queue is asked for, by ``queues.extension()``, and nowhere else.
"""

from collections.abc import Sequence
from typing import Any, Literal, NamedTuple, TypedDict

class End(NamedTuple):
    """What came of a node's part."""

    over: bool
    stopped: bool
    last: bool
    counted: int
    late: int
    untold: int
    left: int

class Queue:
    text: str
    foreign: bool
    source: Any
    end: End | None
    def __init__(
        self,
        url: str,
        ids: Sequence[bytes | str],
        scopes: Sequence[int],
        flags: Sequence[int],
        expected_ns: Sequence[int],
        *,
        project: str,
        run: str,
        node: str,
        workers: int,
        user: str | None = None,
        password: str | None = None,
        ca_file: str | None = None,
        prefix: str | None = None,
        maxfail: int = 0,
        lease_ns: int = 0,
        kept_s: int = 0,
        timeout_ns: int = 0,
        patience_ns: int = 0,
    ) -> None: ...
    def join(self) -> None: ...
    def cancel(self) -> None: ...
    def start(self) -> None: ...
    def tell(
        self,
        place: int,
        attempt: int,
        outcome: int,
        again: bool,
        failed: bool,
        payload: bytes | None,
        /,
    ) -> None: ...
    def stop(self) -> None: ...
    def finish(self) -> End: ...

class _Node(TypedDict):
    name: str
    age_s: float | None
    workers: int
    waiting: int
    claimed: int

class Status(TypedDict):
    state: Literal["laying", "open", "stopped", "over"]
    units: int
    left: int
    failures: int
    maxfail: int
    open: int
    claimed: int
    attempts: int
    age_s: float
    idle_s: float
    laid_by: str
    nodes: list[_Node]

class Reader:
    """Runs as people and reports see them."""

    def __init__(
        self,
        url: str,
        project: str,
        prefix: str = "qe",
        user: str | None = None,
        password: str | None = None,
        ca_file: str | None = None,
        timeout_ns: int = 5_000_000_000,
    ) -> None: ...
    def close(self) -> None: ...
    def status(self, run: str, /) -> Status: ...
    def outcomes(self, run: str, units: int, /) -> tuple[list[int], int]: ...
    def units(self, run: str, from_: int, n: int, /) -> list[tuple[bytes, int]]: ...
    def tries(
        self, run: str, units: int, after: str, /
    ) -> tuple[list[tuple[int, int, int, str, bool, bytes]], str]: ...
    def runs(self) -> list[str]: ...
    def stop(self, run: str, /) -> bool: ...
    def delete(self, runs: Sequence[bytes], /) -> int: ...
    def log_append(self, name: str, run: bytes, keep: int, /) -> bool: ...
    def log_read(self, log: str, after: str, /) -> tuple[str, list[tuple[str, str, bytes]]]: ...
    def held(self) -> list[tuple[bytes, bytes]]: ...
    def hold(self, id: bytes, entry: bytes, /) -> None: ...
    def release(self, id: bytes, /) -> bool: ...

# Of Queue.source, for a host that claims for itself; see qe_source.h.
def take(source: Any, /) -> tuple[int, int, int, int] | None: ...
def room(source: Any, units: int, expected_ns: int, idle: int, /) -> None: ...
def back(source: Any, first: int, count: int, /) -> None: ...
def wrong_names(prefix: str, project: str, run: str | None, /) -> str | None: ...
