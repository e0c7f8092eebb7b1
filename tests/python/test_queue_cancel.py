"""Ctrl-C while a node waits for its server: for one that does not answer nobody waits on."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from conftest import HUNG, wait_for
from pytest_qe import queues
from pytest_qe.errors import QueueGone
from queue_help import RedisServer, redis  # noqa: F401

#: Far below the two leases that a server is waited for.
LEASE = 60
SOON = 40.0

TESTS = """
import pathlib, time
def test_x():
    pathlib.Path("began").touch()
    while not pathlib.Path("go").exists():
        time.sleep(0.01)
"""


class Server:
    """One that can be frozen; it goes on at the end."""

    def __init__(self, redis: RedisServer) -> None:  # noqa: F811
        assert redis.process is not None
        self.url, self._process = redis.url, redis.process
        self.order = redis.order

    def freeze(self) -> None:
        self._process.send_signal(signal.SIGSTOP)

    def go_on(self) -> None:
        self._process.send_signal(signal.SIGCONT)


@pytest.fixture
def server(redis: RedisServer) -> Iterator[Server]:  # noqa: F811
    made = Server(redis)
    yield made
    made.go_on()


class Node:
    """A node as a user has it, in a process group of its own."""

    def __init__(self, folder: Path, server: Server, kind: str) -> None:
        (folder / "test_a.py").write_text(TESTS)
        (folder / "a.sh").write_text("touch began\nuntil test -e go; do sleep 0.02; done\n")
        self.folder = folder
        words = {
            "pytest": ["pytest", "test_a.py", "-p", "no:cacheprovider", "--qe-no-history",
                       f"--qe-queue={server.url}", "--qe-run=one", f"--qe-queue-lease={LEASE}",
                       "--qe-queue-project=shop"],
            "exec": ["pytest_qe", "exec", "--command=sh {file}", "a.sh", "--attempts=1",
                     f"--queue={server.url}", "--run=one", f"--queue-lease={LEASE}",
                     "--project=shop"],
        }[kind]  # fmt: skip
        with open(folder / "out.txt", "wb") as out:
            self.process = subprocess.Popen(
                [sys.executable, "-m", *words], cwd=folder, stdin=subprocess.DEVNULL, stdout=out,
                stderr=subprocess.STDOUT, start_new_session=True,
            )  # fmt: skip

    def began(self) -> None:
        wait_for((self.folder / "began").exists, "the test to begin")

    def end(self) -> None:
        """What it runs is over."""
        (self.folder / "go").touch()

    def interrupt(self) -> int:
        """Ctrl-C, until it has ended: its status."""
        began = time.monotonic()
        os.kill(self.process.pid, signal.SIGINT)
        status = self.process.wait(HUNG)
        assert time.monotonic() - began < SOON
        return status

    def output(self) -> str:
        return (self.folder / "out.txt").read_text("utf-8", "replace")

    def sockets(self) -> int:
        """How many it has: one is to the server."""
        folder = f"/proc/{self.process.pid}/fd"
        try:
            return sum(
                os.readlink(f"{folder}/{fd}").startswith("socket:") for fd in os.listdir(folder)
            )
        except OSError:
            return 0

    def children(self) -> list[str]:
        found = Path(f"/proc/{self.process.pid}/task").glob("*/children")
        return [pid for path in found for pid in path.read_text().split()]

    def close(self) -> None:
        if self.process.poll() is None:
            os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait()


@pytest.fixture
def start(tmp_path: Path, server: Server) -> Iterator[Any]:
    made: list[Node] = []

    def one(kind: str) -> Node:
        made.append(Node(tmp_path, server, kind))
        return made[-1]

    yield one
    for node in made:
        node.close()


@pytest.mark.parametrize(("kind", "status"), [("pytest", 2), ("exec", 130)])
def test_who_comes(start: Any, server: Server, kind: str, status: int) -> None:
    server.freeze()
    node = start(kind)
    wait_for(lambda: node.sockets() > 0, "the node to connect")
    assert node.interrupt() == status
    assert "Traceback" not in node.output()
    server.go_on()
    # Nobody waits for it, nor for a plan that it has begun to lay.
    assert server.order("KEYS", "*") == "*0\r\n"


@pytest.mark.parametrize(("kind", "status"), [("pytest", 2), ("exec", 130)])
def test_who_ends_says_what_it_could_not_tell(
    start: Any, server: Server, kind: str, status: int
) -> None:
    node = start(kind)
    node.began()
    server.freeze()
    node.end()
    wait_for(lambda: not node.children(), "all that ran to end")
    assert node.interrupt() == status
    assert "1 result of this node could not be told to the server" in node.output()
    assert "Traceback" not in node.output()


def opened(url: str, **more: Any) -> Any:
    target = queues.target(url, run="one", project="shop", root=Path.cwd(), environ={})
    return queues.open_queue(target, ["a"], [0], [0], [0], workers=1, lease=LEASE, **more)


def test_another_thread_may_cancel(server: Server) -> None:
    server.freeze()
    queue = opened(server.url)
    began = time.monotonic()
    threading.Timer(0.2, queue.cancel).start()
    with pytest.raises(QueueGone, match="waited for no longer"):
        queue.join()
    assert time.monotonic() - began < SOON
    assert queue.end is None


def test_what_a_handler_raises_is_raised(server: Server) -> None:
    """And what came of the node is known for all that."""

    def on_signal(number: int, frame: object) -> None:
        raise LookupError("of a handler's")

    queue = opened(server.url)
    queue.join()
    queue.start()
    server.freeze()
    before = signal.signal(signal.SIGUSR1, on_signal)
    try:
        threading.Timer(0.2, os.kill, (os.getpid(), signal.SIGUSR1)).start()
        began = time.monotonic()
        with pytest.raises(LookupError, match="of a handler's"):
            queue.finish()
        assert time.monotonic() - began < SOON
    finally:
        signal.signal(signal.SIGUSR1, before)
    assert queue.end.untold == 0 and not queue.end.over


def test_a_handler_that_returns_ends_nothing(server: Server) -> None:
    queue = opened(server.url)
    queue.join()
    queue.start()
    server.freeze()
    heard = []
    before = signal.signal(signal.SIGUSR1, lambda *_: heard.append(1))
    try:
        for delay in (0.1, 0.2):
            threading.Timer(delay, os.kill, (os.getpid(), signal.SIGUSR1)).start()
        threading.Timer(0.5, server.go_on).start()
        end = queue.finish()
    finally:
        signal.signal(signal.SIGUSR1, before)
    assert heard and end == queue.end
    assert server.order("EXISTS", "qe:{shop/one}:nodes") == ":0\r\n"
