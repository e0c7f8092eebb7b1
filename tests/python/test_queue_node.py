"""The binding of a node's part: what it takes, what it says, what it keeps alive."""

from __future__ import annotations

import gc
import os
import socket
import subprocess
import threading
from typing import Any

import pytest

from cli_help import QE
from conftest import HUNG
from pytest_qe import _core, queues
from pytest_qe.errors import InvalidArgument, OtherPlan, QueueGone, RunEnded
from queue_help import PROJECT, RedisServer, redis, share

__all__ = ["redis"]

_queue = queues.extension()


def queue(url: str = "redis://127.0.0.1:1", *ids: Any, **more: Any) -> Any:
    n = len(ids)
    options: dict[str, Any] = {"project": PROJECT, "run": "1", "node": "n", "workers": 1}
    return _queue.Queue(url, ids, [0] * n, [0] * n, [0] * n, **{**options, **more})


@pytest.mark.parametrize(
    "options",
    [
        {"project": ""}, {"run": ""}, {"node": ""}, {"node": "n" * 64}, {"workers": 5000},
        {"lease_ns": 1}, {"project": "p" * 2000}, {"project": "p/q"}, {"run": "1}:plan"},
        {"run": "a\nb"}, {"prefix": "qe{"},
    ],
    ids=str,
)  # fmt: skip
def test_what_makes_no_sense_is_a_line(options: dict[str, Any]) -> None:
    with pytest.raises(InvalidArgument) as caught:
        queue("redis://127.0.0.1:1", "a", **options)
    assert str(caught.value) and "\n" not in str(caught.value)


@pytest.mark.parametrize("url", ["http://host", "redis://", "redis://ann:secret%@host", "host"])
def test_an_address_that_is_none_is_a_line_without_its_password(url: str) -> None:
    with pytest.raises(InvalidArgument) as caught:
        queue(url, "a")
    assert "secret" not in str(caught.value)


def test_units_are_sequences_of_one_length_and_of_their_types() -> None:
    options = {"project": "p", "run": "1", "node": "n", "workers": 1}
    with pytest.raises(ValueError, match="differ in their lengths"):
        _queue.Queue("redis://h", ["a", "b"], [0], [0, 0], [0, 0], **options)
    with pytest.raises(ValueError, match="null byte"):
        _queue.Queue("redis://h", ["a\0b"], [0], [0], [0], **options)
    with pytest.raises(TypeError):
        _queue.Queue("redis://h", [7], [0], [0], [0], **options)
    with pytest.raises(OverflowError):
        _queue.Queue("redis://h", ["a"], [1 << 40], [0], [0], **options)
    with pytest.raises(OverflowError):
        _queue.Queue("redis://h", ["a"], [0], [0], [-1], **options)
    with pytest.raises(TypeError, match="required"):
        _queue.Queue("redis://h", ["a"], [0], [0], [0], project="p", run="1", node="n")
    with pytest.raises(TypeError):
        _queue.Queue("redis://h", 5, [0], [0], [0], **options)


def test_a_source_keeps_its_queue(redis: RedisServer) -> None:
    one = queue(redis.url, "a", "\udc80", b"\xff")
    source = one.source
    assert "qe_source" in repr(source)
    one.join()
    del one
    gc.collect()
    plan = _core.Plan()
    for name in (b"a", b"b", b"c"):
        plan.add_command(name, ["true"])
    plan.seal()
    session, _ = _core.start(plan, 1, commands=True, source=source)
    assert session is not None
    session.close()
    with pytest.raises(ValueError):
        _core.start(plan, 1, commands=True, source=object())


def test_a_plan_that_differs_is_foreign_and_says_where(redis: RedisServer) -> None:
    first = queue(redis.url, "a", "b", "c")
    first.join()
    assert not first.foreign
    other = queue(redis.url, "a", "x", "c", node="m")
    with pytest.raises(OtherPlan) as caught:
        other.join()
    assert other.foreign and other.text == str(caught.value)
    assert "b" in other.text and "x" in other.text and "\n" not in other.text


def test_a_run_that_is_over_is_not_joined(redis: RedisServer) -> None:
    share(redis, "1", "a=0")
    plan = queue(redis.url, "a", node="m")
    with pytest.raises(RunEnded):
        plan.join()
    assert plan.foreign and plan.end.over and not plan.end.stopped and plan.end.left == 0


def test_a_run_that_was_stopped_is_not_joined(redis: RedisServer) -> None:
    first = queue(redis.url, "stopped", "over")
    first.join()
    first.start()
    first.stop()
    first.finish()
    late = queue(redis.url, "stopped", "over", node="m")
    with pytest.raises(RunEnded):
        late.join()
    assert late.foreign and late.end.stopped and not late.end.over and late.end.left == 2


def test_no_server_is_told_in_time() -> None:
    one = queue("redis://127.0.0.1:1", "a", patience_ns=10_000_000, timeout_ns=100_000_000)
    with pytest.raises(QueueGone) as caught:
        one.join()
    assert "127.0.0.1" in str(caught.value) and not one.foreign


def test_what_is_told_is_checked(redis: RedisServer) -> None:
    one = queue(redis.url, "a")
    with pytest.raises(RunEnded):
        one.tell(0, 1, _core.PASSED, False, False, None)
    one.join()
    one.start()
    for place, outcome in ((0, 99), (0, -1), (7, _core.PASSED)):
        with pytest.raises(InvalidArgument):
            one.tell(place, 1, outcome, False, False, b"")
    with pytest.raises(TypeError):
        one.tell(0, 1, _core.PASSED, False, False, 7)
    one.finish()


def test_its_end_is_a_record_with_names(redis: RedisServer) -> None:
    one = queue(redis.url, "a")
    one.join()
    one.start()
    one.stop()
    end = one.finish()
    assert (end.over, end.last, end.counted, end.late, end.untold) == (False, False, 0, 0, 0)
    assert end.stopped and end.left == 1
    assert "stopped=True" in repr(end)


def test_a_fork_has_no_part_in_it(redis: RedisServer) -> None:
    one = queue(redis.url, "a")
    one.join()
    one.start()
    pid = os.fork()
    if pid == 0:
        status = 1
        try:
            one.finish()
        except RunEnded:
            status = 0
        del one
        gc.collect()
        os._exit(status)
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0
    assert one.finish().left == 1


def test_a_queue_that_nobody_finished_ends_its_thread(redis: RedisServer) -> None:
    before = len(os.listdir("/proc/self/task"))
    one = queue(redis.url, "a")
    one.join()
    one.start()
    assert len(os.listdir("/proc/self/task")) == before + 1
    del one
    gc.collect()
    assert len(os.listdir("/proc/self/task")) == before


class Liar(threading.Thread):
    """Between a client and a real server: answers what has the words itself."""

    def __init__(self, server: RedisServer, words: tuple[bytes, ...], lie: bytes) -> None:
        super().__init__(daemon=True)
        self.server, self.words, self.lie = server, words, lie
        self.listening = socket.create_server(("127.0.0.1", 0))
        self.url = f"redis://127.0.0.1:{self.listening.getsockname()[1]}"

    def run(self) -> None:
        client, _ = self.listening.accept()
        with client, socket.create_connection(("127.0.0.1", self.server.port)) as there:
            while asked := client.recv(1 << 16):
                if all(word in asked for word in self.words):
                    client.sendall(self.lie)
                else:
                    there.sendall(asked)
                    client.sendall(there.recv(1 << 16))


@pytest.mark.parametrize(
    ("words", "lie"),
    [
        ((b"LRANGE", b"HMGET"), b"*1\r\n$1\r\na\r\n*0\r\n"),
        ((b"LRANGE", b"HMGET"), b"no reply\r\n"),
        ((b"HMGET", b":out"), b"*0\r\n"),
    ],
)
def test_answers_of_no_redis_are_a_line(
    redis: RedisServer,
    words: tuple[bytes, ...],
    lie: bytes,
) -> None:
    share(redis, "1", "t.py::a=0")
    liar = Liar(redis, words, lie)
    liar.start()
    command = "report" if b"LRANGE" in words else "status"
    done = subprocess.run(
        [*QE, "queue", command, "1", f"--queue={liar.url}", f"--project={PROJECT}"],
        capture_output=True, text=True, timeout=HUNG, check=False,
    )  # fmt: skip
    assert done.returncode == 3, done
    assert done.stderr.count("\n") == 1 and done.stderr.startswith("error: ")
    liar.join(HUNG)
