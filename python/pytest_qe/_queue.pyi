"""The extension for runs across machines; see csrc/queue for what each call promises.

It is loaded where a queue is asked for, by ``queues.extension()``, and nowhere else.
"""

from collections.abc import Sequence
from typing import Any, NamedTuple

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
    source: Any
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
