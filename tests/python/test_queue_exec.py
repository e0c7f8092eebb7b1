"""``qe exec`` as a node of a run that several share."""

from __future__ import annotations

import asyncio
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import queue_help
from conftest import HUNG, wait_for
from queue_help import RedisServer, redis  # noqa: F401

#: Notes that it ran, and by whom, in a file that nobody else can have made.
_SCRIPT = """
n=0
until mkdir "ran-{name}.$n" 2>/dev/null; do n=$((n + 1)); done
echo "$NODE" > "ran-{name}.$n/by"
{rest}
"""


class Nodes(queue_help.Nodes):
    def script(self, name: str, rest: str) -> None:
        (self.folder / f"{name}.sh").write_text(_SCRIPT.format(name=name, rest=rest))

    def start(self, name: str, *words: str, files: list[str] | None = None) -> None:
        found = files or sorted(path.name for path in self.folder.glob("*.sh"))
        self.spawn(
            name, sys.executable, "-m", "pytest_qe", "exec", "--command=sh {file}", *found,
            f"--queue={self.server.url}", "--run=one", "--project=shop", "--max-concurrent=1",
            "--throttle=0", "--backoff=0", f"--json={name}.json", *words,
        )  # fmt: skip

    def whole(self) -> dict[str, Any]:
        """The result of all nodes, which is proven."""
        found = self.report()[1]
        assert found["run"]["queue"]["complete"]
        return found


@pytest.fixture
def nodes(tmp_path: Path, redis: RedisServer) -> Iterator[Nodes]:  # noqa: F811
    made = Nodes(tmp_path, redis)
    yield made
    made.close()


def test_nodes_share_files(nodes: Nodes) -> None:
    for number in range(9):
        nodes.script(f"good{number}", "sleep 0.3")
    nodes.script("bad", "echo why; exit 3")
    for name in "123":
        nodes.start(name, "--attempts=1")
    statuses = nodes.wait()
    assert set(nodes.ran().values()) == {1} and len(nodes.ran()) == 10
    results = [nodes.result(name) for name in "123"]
    assert sum(one["total"] for one in results) == 10
    assert sum(one["failed"] for one in results) == 1
    assert all(one["total"] > 0 for one in results)
    last = [name for name in "123" if "this was the last node of 3" in nodes.output(name)]
    assert len(last) == 1
    assert "in the whole run 9 passed, 1 failed" in nodes.output(last[0])
    bad = next(name for name in "123" if nodes.result(name)["failed"])
    assert {n for n, status in zip("123", statuses, strict=True) if status == 1} == {bad, last[0]}
    found = next(test for test in nodes.whole()["tests"] if test["outcome"] == "failed")
    assert found["id"] == "bad.sh"
    assert "why" in str(found["attempts"][0]["texts"])


def test_a_killed_node_loses_nothing(nodes: Nodes) -> None:
    for number in range(8):
        nodes.script(f"good{number}", "sleep 0.4")
    nodes.start("1", "--queue-lease=1")
    wait_for(lambda: len(nodes.ran()) >= 1, "the first file to begin")
    nodes.start("2", "--queue-lease=1")
    wait_for(lambda: len(nodes.ran()) >= 4, "both to be at work")
    nodes.processes["1"].kill()
    assert nodes.wait("2") == [0]
    assert {test["outcome"] for test in nodes.whole()["tests"]} == {"passed"}
    assert max(nodes.ran().values()) <= 2


def test_what_an_interrupt_ends_runs_on_another_node(nodes: Nodes) -> None:
    for number in range(3):
        nodes.script(f"good{number}", "until [ -e gate ]; do sleep 0.02; done")
    nodes.start("1", "--attempts=1", "--queue-lease=3600")
    wait_for(lambda: len(nodes.ran()) == 1, "the first file to begin")
    nodes.start("2", "--attempts=1")
    wait_for(lambda: len(nodes.ran()) == 2, "both to be at work")
    nodes.processes["1"].send_signal(signal.SIGINT)
    assert nodes.wait("1") == [130]
    (nodes.folder / "gate").touch()
    assert nodes.wait("2") == [0]  # long before the lease would have ended
    assert "in the whole run 3 passed" in nodes.output("2")


def test_another_attempt_is_another_nodes(nodes: Nodes) -> None:
    for number in range(6):
        nodes.script(f"good{number}", "sleep 0.4")
    nodes.script("a-flaky", "[ $n -gt 0 ] || { sleep 0.5; exit 1; }")
    nodes.start("1", "--attempts=3")
    nodes.start("2", "--attempts=3")
    assert nodes.wait() == [0, 0]
    by = [(nodes.folder / f"ran-a-flaky.{n}" / "by").read_text().strip() for n in range(2)]
    assert sorted(by) == ["1", "2"]
    flaky = next(t for t in nodes.whole()["tests"] if t["id"] == "a-flaky.sh")
    assert flaky["outcome"] == "flaky"
    assert [one["outcome"] for one in flaky["attempts"]] == ["failed", "passed"]


def test_what_is_refused(nodes: Nodes) -> None:
    nodes.script("a", "sleep 2")
    nodes.script("b", "true")
    nodes.start("1")
    wait_for(lambda: nodes.ran(), "the first file to begin")
    nodes.start("2", files=["b.sh"])
    assert nodes.wait("2") == [2]
    assert 'the run has 2 tests, this node 1; number 1 is "a.sh" there' in nodes.output("2")
    assert nodes.wait("1") == [0]
    nodes.start("3")
    assert nodes.wait("3") == [0]
    assert "the run is over; nothing was left for this node" in nodes.output("3")


def test_a_server_that_is_gone(nodes: Nodes) -> None:
    for number in range(20):
        nodes.script(f"good{number:02}", "sleep 0.3")
    nodes.start("1", "--queue-lease=1")
    wait_for(lambda: len(nodes.ran()) >= 2, "two files to begin")
    nodes.server.stop()
    assert nodes.wait() == [3]
    assert "error: --queue: the server could not be used" in nodes.output("1")
    assert nodes.result("1")["passed"] == len(nodes.ran())


def test_options_need_a_queue(nodes: Nodes) -> None:
    nodes.script("a", "true")
    done = subprocess.run(
        [sys.executable, "-m", "pytest_qe", "exec", "--command=sh {file}", "a.sh", "--run=x"],
        cwd=nodes.folder, capture_output=True, text=True, timeout=HUNG, check=False,
    )  # fmt: skip
    assert done.returncode == 2
    assert "--run: is of a run that is shared: --queue" in done.stderr


def test_agents_say_what_they_share(tmp_path: Path) -> None:
    from pytest_qe import queues
    from pytest_qe.agents import FlakyTestHunterAgent, Shared, TestExecutorAgent
    from pytest_qe.queuenode import NoServer

    (tmp_path / "a.sh").write_text("true")
    with pytest.raises(TypeError, match="shared: takes Shared, not 'redis://x'"):
        TestExecutorAgent(shared="redis://x")
    target = queues.target("redis://127.0.0.1:1", run="one", project="shop", root=tmp_path)
    hunter = FlakyTestHunterAgent(
        shared=Shared(target, lease=1.0), cwd=tmp_path, template=["sh", "{file}"]
    )  # fmt: skip
    with pytest.raises(NoServer, match="Connection refused"):
        asyncio.run(hunter.detect_flaky_tests(["a.sh"], framework="command"))
