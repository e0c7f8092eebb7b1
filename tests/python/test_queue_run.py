"""pytest as a node of a run that several share: every test once, whatever happens to nodes."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import queue_help
from conftest import Qe
from pytest_qe import queuerun
from queue_help import WORD, RedisServer, make_server, redis  # noqa: F401

#: Notes who ran what, in files that nobody else can have made.
RUNS = """
import os, pathlib, time
import pytest

def ran(name, seconds=0.0):
    n = 0
    while True:
        try:
            os.close(os.open(f"ran-{name}.{n}", os.O_CREAT | os.O_EXCL | os.O_WRONLY))
            break
        except FileExistsError:
            n += 1
    pathlib.Path(f"by-{name}.{n}").write_text(f"{os.environ['NODE']} {os.getpid()}")
    time.sleep(seconds)
    return n
"""


class Nodes(queue_help.Nodes):
    """Nodes of one run, each a pytest of its own."""

    def __init__(self, qe: Qe, server: RedisServer) -> None:
        super().__init__(qe.path, server)
        self.qe = qe

    def start(self, name: str, *args: str, **env: str) -> subprocess.Popen[bytes]:
        return self.spawn(
            name, sys.executable, "-m", "pytest", f"--qe-queue={self.server.url}",
            f"--qe-run={self.run}", "--qe-queue-project=shop", "--qe-no-history",
            "-p", "no:cacheprovider", *args, **env,
        )  # fmt: skip

    def by(self) -> dict[str, list[str]]:
        """Who ran each test, in turn."""
        found: dict[str, list[str]] = {}
        for path in sorted(self.qe.path.glob("by-*")):
            found.setdefault(path.name[3:].rpartition(".")[0], []).append(path.read_text())
        return {name: [text.split(" ")[0] for text in texts] for name, texts in found.items()}


@pytest.fixture
def nodes(qe: Qe, redis: RedisServer) -> Iterator[Nodes]:  # noqa: F811
    made = Nodes(qe, redis)
    yield made
    made.close()


def proven(nodes: Nodes, tests: int) -> dict[str, Any]:
    """The whole run, with one outcome for each test."""
    _, data, text = nodes.report()
    assert data["run"]["queue"]["complete"], text
    assert data["run"]["queue"]["missing"] == data["run"]["queue"]["troubles"] == []
    assert len(data["tests"]) == tests
    return data


def test_nodes_share_a_run(nodes: Nodes, qe: Qe) -> None:
    for file in "abcd":
        qe.files(
            **{
                f"test_{file}": f"""{RUNS}
@pytest.mark.parametrize("n", range(15))
def test_x(n):
    ran(f"{file}{{n}}", 0.05)
"""
            }
        )
    qe.files(test_e=f"{RUNS}\ndef test_bad():\n    print('said this')\n    assert ran('bad') < 0\n")
    for name in "123":
        nodes.start(name)
    statuses = nodes.wait()
    assert len(nodes.ran()) == 61
    assert set(nodes.ran().values()) == {1}
    assert {name for names in nodes.by().values() for name in names} == {"1", "2", "3"}
    # The one that ran the failure, and the last, which tells the whole.
    last = [name for name in "123" if "this was the last node of 3" in nodes.output(name)]
    assert len(last) == 1
    assert "in the whole run 60 passed, 1 failed" in nodes.output(last[0])
    bad = {nodes.by()["bad"][0], last[0]}
    assert {name for name, status in zip("123", statuses, strict=True) if status == 1} == bad
    assert set(statuses) <= {0, 1}
    status, data, _ = nodes.report(f"--junit={qe.path / 'j.xml'}", f"--html={qe.path / 'h.html'}")
    assert status == 1
    proven(nodes, 61)
    found = next(test for test in data["tests"] if test["outcome"] == "failed")
    assert found["id"] == "test_e.py::test_bad"
    texts = "".join(one["text"] for one in found["attempts"][0]["texts"])
    assert "assert ran('bad') < 0" in texts and "said this" in texts
    assert 'failures="1"' in (qe.path / "j.xml").read_text()


def test_one_that_comes_late_has_nothing_to_do(nodes: Nodes, qe: Qe) -> None:
    qe.files(test_a=f"{RUNS}\ndef test_one():\n    ran('one')\n")
    nodes.start("1")
    assert nodes.wait() == [0]
    nodes.start("2")
    assert nodes.wait() == [0, 0]
    assert "the run is over; nothing was left for this node" in nodes.output("2")
    assert nodes.ran() == {"one": 1}


def test_a_last_node_that_cannot_read_the_whole_does_not_pass(nodes: Nodes, qe: Qe) -> None:
    qe.files(test_a=f"{RUNS}\ndef test_one():\n    ran('one')\n")
    nodes.server.order("HSET", "qe:{shop/one}:nodes", "x" * 200, "1 1 1")
    nodes.start("1")
    assert nodes.wait() == [queuerun.EXIT_STATUS]
    assert "the whole run could not be read: what the server has" in nodes.output("1")


def test_one_that_comes_late_does_not_pass_for_a_run_that_failed(nodes: Nodes, qe: Qe) -> None:
    qe.files(test_a=f"{RUNS}\ndef test_one():\n    ran('one')\n    assert 0\n")
    nodes.start("1")
    assert nodes.wait() == [1]
    nodes.start("2")
    assert nodes.wait() == [1, 1]
    text = nodes.output("2")
    assert "the run is over; nothing was left for this node" in text
    assert "FAILED on some node: test_a.py::test_one" in text
    assert "qe: in the whole run 1 failed" in text
    assert nodes.ran() == {"one": 1}


def test_another_plan_is_refused(nodes: Nodes, qe: Qe) -> None:
    qe.files(test_a=f"{RUNS}\ndef test_one():\n    ran('one', 8)\ndef test_two(): pass\n")
    nodes.start("1")
    nodes.began(1)
    nodes.start("2", "-k", "test_two")
    assert nodes.wait("2") == [4]
    text = nodes.output("2")
    assert "the run has 2 tests, this node 1" in text
    assert '"test_a.py::test_one" there, "test_a.py::test_two" here' in text
    nodes.start("3", "-k", "test_one")
    assert nodes.wait("3") == [4]
    assert "another order" not in nodes.output("3")
    qe.files(test_a=f"{RUNS}\ndef test_two(): pass\ndef test_one():\n    ran('one', 3)\n")
    nodes.start("4")
    assert nodes.wait("4") == [4]
    assert "They are the same in another order" in nodes.output("4")
    assert nodes.wait("1") == [0]


def test_a_killed_node_loses_nothing(nodes: Nodes, qe: Qe) -> None:
    qe.files(
        test_a=f"""{RUNS}
@pytest.mark.parametrize("n", range(40))
def test_x(n):
    ran(str(n), 0.1)
"""
    )
    nodes.start("1", "--qe-queue-lease=1")
    nodes.start("2", "--qe-queue-lease=1")
    nodes.began(8)
    nodes.processes["1"].kill()
    assert nodes.wait("2") == [0]
    data = proven(nodes, 40)
    assert {test["outcome"] for test in data["tests"]} == {"passed"}
    again = [name for name, n in nodes.ran().items() if n > 1]
    assert len(again) <= 2 and max(nodes.ran().values()) <= 2  # what it had begun


def test_a_frozen_node_is_done_without(nodes: Nodes, qe: Qe) -> None:
    qe.files(
        test_a=f"""{RUNS}
@pytest.mark.parametrize("n", range(30))
def test_x(n):
    ran(str(n), 0.1)
"""
    )
    nodes.start("1", "--qe-queue-lease=1")
    nodes.start("2", "--qe-queue-lease=1")
    nodes.began(6)
    frozen = nodes.processes["1"]
    # All of it: its workers are in groups of their own.
    family = [frozen.pid, *_descendants(frozen.pid)]
    for pid in family:
        os.kill(pid, signal.SIGSTOP)
    assert nodes.wait("2") == [0]
    before = proven(nodes, 30)
    for pid in family:
        os.kill(pid, signal.SIGCONT)
    assert nodes.wait("1")[0] in (0, 1)
    after = proven(nodes, 30)
    # What it tells late is kept, and counts nothing.
    assert [t["outcome"] for t in after["tests"]] == [t["outcome"] for t in before["tests"]]
    late = after["run"]["queue"]["late"]
    assert len(late) < 10  # what it begins until it has heard that its lease has ended
    assert len({one["node"] for one in late}) <= 1


def _descendants(pid: int) -> list[int]:
    found = []
    for task in Path(f"/proc/{pid}/task").iterdir():
        for child in (task / "children").read_text().split():
            found += [int(child), *_descendants(int(child))]
    return found


def test_maxfail_is_of_the_whole_run(nodes: Nodes, qe: Qe) -> None:
    qe.files(
        test_a=f"""{RUNS}
@pytest.mark.parametrize("n", range(60))
def test_x(n):
    ran(str(n), 0.2)
    assert n != 9
"""
    )
    nodes.start("1", "-x")
    nodes.start("2", "-x")
    statuses = dict(zip("12", nodes.wait(), strict=True))
    assert sum(nodes.ran().values()) < 40
    failed = nodes.by()["9"][0]
    other = "2" if failed == "1" else "1"
    assert statuses[failed] == 1
    assert statuses[other] == 2
    assert "the run was stopped on another node" in nodes.output(other)
    status, data, _ = nodes.report()
    assert status != 0
    assert not data["run"]["queue"]["complete"]
    nodes.start("3")
    assert nodes.wait("3") == [2]
    assert "the run was stopped; nothing was left for this node" in nodes.output("3")


def test_a_retry_runs_on_another_node(nodes: Nodes, qe: Qe) -> None:
    qe.files(
        test_a=f"""{RUNS}
@pytest.mark.parametrize("n", range(30))
def test_x(n):
    first = ran(str(n), 0.1) == 0
    assert n != 3 or not first
"""
    )
    nodes.start("1", "--qe-retries=2")
    nodes.start("2", "--qe-retries=2")
    assert nodes.wait() == [0, 0]
    first, second = nodes.by()["3"]
    assert first != second
    data = proven(nodes, 30)
    flaky = next(test for test in data["tests"] if test["outcome"] == "flaky")
    assert [one["outcome"] for one in flaky["attempts"]] == ["failed", "passed"]


def test_alone_means_on_all_nodes(nodes: Nodes, qe: Qe) -> None:
    qe.files(
        test_a=f"""{RUNS}
@pytest.mark.parametrize("n", range(20))
def test_x(n):
    began = time.time()
    ran(str(n), 0.05)
    pathlib.Path(f"span-{{n}}").write_text(f"{{began}} {{time.time()}}")

@pytest.mark.qe(serial=True)
@pytest.mark.parametrize("n", range(3))
def test_alone(n):
    began = time.time()
    ran(f"alone{{n}}", 0.2)
    pathlib.Path(f"span-alone{{n}}").write_text(f"{{began}} {{time.time()}}")
"""
    )
    for name in "123":
        nodes.start(name)
    assert nodes.wait() == [0, 0, 0]
    spans = {
        path.name[5:]: tuple(map(float, path.read_text().split()))
        for path in qe.path.glob("span-*")
    }
    assert len(spans) == 23
    for name in ("alone0", "alone1", "alone2"):
        begin, end = spans[name]
        others = [span for other, span in spans.items() if other != name]
        assert all(b >= end or e <= begin for b, e in others)


def test_a_server_that_comes_back(nodes: Nodes, qe: Qe, tmp_path_factory: Any) -> None:
    server = make_server(
        tmp_path_factory.mktemp("lasting"), "--appendonly", "yes", "--appendfsync", "always"
    )
    nodes.server = server
    qe.files(
        test_a=f"""{RUNS}
@pytest.mark.parametrize("n", range(40))
def test_x(n):
    ran(str(n), 0.1)
"""
    )
    try:
        for name in "12":
            nodes.start(name)
        nodes.began(8)
        server.stop()
        time.sleep(0.5)
        server.start()
        assert nodes.wait() == [0, 0]
        proven(nodes, 40)
        assert set(nodes.ran().values()) == {1}
    finally:
        server.stop()


def test_a_server_that_is_gone(nodes: Nodes, qe: Qe) -> None:
    qe.files(
        test_a=f"""{RUNS}
@pytest.mark.parametrize("n", range(60))
def test_x(n):
    ran(str(n), 0.1)
"""
    )
    nodes.start("1", "--qe-queue-lease=1", "--qe-json=result.json")
    nodes.began(3)
    nodes.server.stop()
    assert nodes.wait() == [queuerun.EXIT_STATUS]
    text = nodes.output("1")
    assert text.count("qe: error: the server could not be used") == 1
    assert "could not be told to the server" in text
    ran = nodes.ran()
    assert len(ran) < 60
    data = json.loads((qe.path / "result.json").read_text())
    assert sum(test["outcome"] == "passed" for test in data["tests"]) == len(ran)


@pytest.mark.parametrize(
    ("url", "run", "status", "says"),
    [
        ("http://127.0.0.1:1/", "one", 4, "does not begin with redis://"),
        ("redis://127.0.0.1:PORT/", "", 4, "--qe-run names it"),
        ("redis://127.0.0.1:PORT/", "a{b}", 4, "--qe-run: takes at most"),
        ("redis://:wrong-secret@127.0.0.1:PORT/", "one", 7, "--qe-queue: 127.0.0.1:"),
    ],
)
def test_what_is_refused(
    qe: Qe,
    redis: RedisServer,  # noqa: F811
    url: str,
    run: str,
    status: int,
    says: str,
) -> None:
    qe.files(test_a="def test_one(): pass")
    for name in ("GITHUB_RUN_ID", "CI_PIPELINE_ID", "BUILDKITE_BUILD_ID", "CIRCLE_WORKFLOW_ID",
                 "BUILD_TAG", "QE_QUEUE_RUN"):  # fmt: skip
        qe.monkeypatch.delenv(name, raising=False)
    words = [f"--qe-queue={url.replace('PORT', str(redis.port))}"]
    result = qe.run(*words, *([f"--qe-run={run}"] if run else []))
    assert result.ret == status
    text = result.stdout.str() + result.stderr.str()
    assert says in text
    assert "wrong-secret" not in text
    assert "passed" not in text


def test_a_password(qe: Qe, tmp_path: Path) -> None:
    server = make_server(tmp_path / "redis", "--requirepass", WORD)
    try:
        qe.files(
            test_a="""
            import os
            def test_one():
                assert "QE_QUEUE_PASSWORD" not in os.environ
        """
        )
        words = [f"--qe-queue={server.url}", "--qe-run=one"]
        result = qe.run(*words)
        assert result.ret == queuerun.EXIT_STATUS
        qe.setenv("QE_QUEUE_PASSWORD", WORD)
        result = qe.run(*words)
        assert result.ret == 0
        assert WORD not in result.stdout.str()
    finally:
        server.stop()


@pytest.mark.parametrize("other", ["--qe-shard=1/2", "--qe-flaky-budget=5", "--qe-replay=x"])
def test_one_run_of_every_test(qe: Qe, other: str) -> None:
    qe.files(test_a="def test_one(): pass")
    result = qe.run("--qe-queue=redis://127.0.0.1:1/", "--qe-run=one", other)
    assert result.ret == 4
    result.stderr.fnmatch_lines(["*--qe-queue: shares one run*"])


@pytest.mark.parametrize("other", ["--pdb", "--trace", "--setup-show"])
def test_what_needs_one_process_is_no_node(qe: Qe, other: str) -> None:
    qe.files(test_a="def test_one(): pass")
    result = qe.run("--qe-queue=redis://127.0.0.1:1/", "--qe-run=one", other)
    assert result.ret == 4
    result.stderr.fnmatch_lines([f"*--qe-queue: shares a run*takes no {other}*"])


def test_its_options_need_it(qe: Qe) -> None:
    qe.files(test_a="def test_one(): pass")
    result = qe.run("--qe-run=one")
    assert result.ret == 4
    result.stderr.fnmatch_lines(["*--qe-run: is of a run that is shared*"])
