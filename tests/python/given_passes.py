"""A conftest.py for suites under test: the hunt runs the passes of ``passes.json`` and no
others, (seed, items, around) each, where an item is a number or the end of an id.

At the end ``seen.json`` has what the controller knows: the results, and what was refused.
"""

from __future__ import annotations

import ctypes
import json
import os
import struct
from collections.abc import Generator
from pathlib import Path
from typing import Any

import pytest

from pytest_qe import hunting

HERE = Path(__file__).parent


class Given(hunting.Hunt):
    made: Given

    def __init__(self, items: list[pytest.Item], *args: Any, **kwargs: Any) -> None:
        Given.made = self
        super().__init__(items, *args, **kwargs)
        self.ids = [item.nodeid for item in items]
        self.seen: list[tuple[int, str, int]] = []

    def number(self, item: int | str) -> int:
        if isinstance(item, int):
            return item
        (found,) = (n for n, name in enumerate(self.ids) if name.endswith(item))
        return found

    def feed(self, session: Any, units: list[tuple[int, int]]) -> None:
        if self._over:
            return
        self._over = True
        for number, (seed, items, around) in enumerate(
            json.loads((HERE / "passes.json").read_text("utf-8"))
        ):
            numbers = [self.number(item) for item in items]
            self.given.give(session, units, numbers, seed, number=number, around=around)
        session.no_more()

    def add(self, item: int, pass_: int, attempt: Any, outcome: int) -> None:
        self.seen.append((pass_, self.ids[item], self.keep(item, pass_, attempt, outcome)))


hunting.Hunt = Given  # type: ignore[misc]


def pytest_configure() -> None:
    """As on a system that forbids spaces, or for a user without privileges."""
    libc = ctypes.CDLL(None, use_errno=True)
    wish = os.environ.get("QE_TEST_SPACES")
    if wish == "none":
        uid, gid = os.getuid(), os.getgid()
        assert libc.unshare(0x10000000) == 0  # CLONE_NEWUSER
        for name, text in (
            ("/proc/self/setgroups", "deny"),
            ("/proc/self/uid_map", f"0 {uid} 1"),
            ("/proc/self/gid_map", f"0 {gid} 1"),
            ("/proc/sys/user/max_mnt_namespaces", "0"),
            ("/proc/sys/user/max_net_namespaces", "0"),
        ):
            Path(name).write_text(text)
    elif wish == "own" and os.getuid() == 0:
        head = struct.pack("Ii", 0x20080522, 0)  # version 3, this process
        data = ctypes.create_string_buffer(24)
        capget, capset = (125, 126) if os.uname().machine == "x86_64" else (90, 91)
        assert libc.syscall(capget, head, data) == 0
        sets = list(struct.unpack("6I", data.raw))
        for at in range(3):
            sets[at] &= ~(1 << 21)  # CAP_SYS_ADMIN
        assert libc.syscall(capset, head, struct.pack("6I", *sets)) == 0


@pytest.hookimpl(wrapper=True)
def pytest_sessionfinish(session: pytest.Session) -> Generator[None, object, object]:
    result = yield
    controller = session.config.pluginmanager.get_plugin("qe-controller")
    if controller is not None and hasattr(Given, "made"):
        seen = {"results": Given.made.seen, "refused": controller.surroundings.refused}
        (HERE / "seen.json").write_text(json.dumps(seen), "utf-8")
    return result
