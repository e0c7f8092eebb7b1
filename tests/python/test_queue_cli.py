"""`qe queue`: what becomes of runs across machines, on a real server."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import jsonschema
import pytest

from cli_help import QE, Cli, cli
from pytest_qe import htmlreport, queues
from pytest_qe.payloads import MOST_BYTES
from queue_help import PROJECT, WORD, RedisServer, make_server, redis, share

__all__ = ["cli", "redis"]

SCHEMA = Path(__file__).resolve().parent.parent.parent / "docs" / "result.schema.json"
KEY = f"qe:{{{PROJECT}/1}}:"


class Queue:
    """`qe queue` with a server, by the environment."""

    def __init__(self, cli: Cli, server: RedisServer, monkeypatch: pytest.MonkeyPatch) -> None:
        self.cli, self.server = cli, server
        monkeypatch.setenv("QE_QUEUE", server.url)
        monkeypatch.setenv("QE_QUEUE_PROJECT", PROJECT)
        for name in ("BUILDKITE_BUILD_ID", "CIRCLE_WORKFLOW_ID", "BUILD_TAG"):
            monkeypatch.delenv(name, raising=False)

    def __call__(self, *args: str) -> subprocess.CompletedProcess[str]:
        return self.cli.run("queue", *args)

    def json(self, *args: str) -> Any:
        done = self(*args, "--json")
        assert done.returncode == 0, done.stderr
        return json.loads(done.stdout)

    def refused(self, *args: str, status: int) -> str:
        return self.cli.refused("queue", *args, status=status)

    def report(self, *args: str, status: int = 0) -> dict[str, Any]:
        done = self("report", "1", "--json=whole.json", *args)
        assert done.returncode == status, done.stdout + done.stderr
        value: dict[str, Any] = json.loads(Path("whole.json").read_text())
        jsonschema.validate(value, json.loads(SCHEMA.read_text()))
        self.said = done.stdout
        return value


@pytest.fixture
def qe(cli: Cli, redis: RedisServer, monkeypatch: pytest.MonkeyPatch) -> Queue:
    return Queue(cli, redis, monkeypatch)


def lay(server: RedisServer, run: str = "1", *ids: str, project: str = PROJECT) -> Any:
    """A run that is open, with one node that has not begun anything."""
    names = ids or ("t.py::a", "t.py::b")
    n = len(names)
    target = queues.target(server.url, run=run, project=project, root=Path.cwd(), environ={})
    queue = queues.open_queue(target, names, [0] * n, [0] * n, [0] * n, workers=2, name="n1")
    queue.join()
    return queue


# ---------------------------------------------------------------------- status


def test_a_status_tells_what_has_come_of_a_run(qe: Queue) -> None:
    share(qe.server, "1", "t.py::a=0", "t.py::b=1,0", "t.py::c=1")
    found = qe.json("status", "1")
    assert (found["state"], found["units"], found["left"]) == ("over", 3, 0)
    assert (found["failures"], found["attempts"]) == (1, 4)
    counts = {name: count for name, count in found["outcomes"].items() if count}
    assert counts == {"passed": 1, "flaky": 1, "failed": 1}
    lines = qe("status", "1").stdout.splitlines()
    assert lines[0] == "run 1: over, laid by a"
    assert lines[1] == "3 of 3 tests done: 1 passed, 1 failed, 1 flaky; 4 attempts"


def test_a_status_tells_who_works_on_a_run(qe: Queue) -> None:
    queue = lay(qe.server)
    found = qe.json("status", "1")
    assert (found["state"], found["left"], found["open"]) == ("open", 2, 2)
    (node,) = found["nodes"]
    assert (node["name"], node["workers"]) == ("n1", 2) and node["age_s"] < 60
    assert "  n1: 2 workers" in qe("status", "1").stdout
    assert not queue.foreign


def test_without_a_run_all_of_the_project_are_told(qe: Queue) -> None:
    assert qe("status").stdout == "the project has no runs on this server\n"
    for run in ("2", "10/1/test"):
        lay(qe.server, run)
    lay(qe.server, "1", project="another")
    rows = qe.json("status")
    assert [(row["run"], row["state"]) for row in rows] == [("10/1/test", "open"), ("2", "open")]
    assert [line.split()[-1] for line in qe("status").stdout.splitlines()[1:]] == ["10/1/test", "2"]
    assert qe("status", "--project=nobody").stdout.startswith("the project has no runs")


def test_the_ci_names_the_run(qe: Queue, monkeypatch: pytest.MonkeyPatch) -> None:
    lay(qe.server, "7/1/test")
    monkeypatch.setenv("GITHUB_RUN_ID", "7")
    monkeypatch.setenv("GITHUB_RUN_ATTEMPT", "1")
    monkeypatch.setenv("GITHUB_JOB", "test")
    assert qe.json("status")["run"] == "7/1/test"
    assert qe.json("abort") == {"run": "7/1/test", "stopped": True}


def test_the_project_is_that_of_the_folder(qe: Queue, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("QE_QUEUE_PROJECT")
    lay(qe.server, "1", project=Path.cwd().name)
    assert [row["run"] for row in qe.json("status")] == ["1"]


# ----------------------------------------------------------------- abort and gc


def test_an_abort_stops_a_run_once(qe: Queue) -> None:
    lay(qe.server)
    assert qe("abort", "1").stdout == "run 1 is stopped\n"
    assert qe.json("status", "1")["state"] == "stopped"
    assert qe("abort", "1").stdout == "run 1 had ended already\n"


def test_gc_deletes_what_is_over_or_left_behind(qe: Queue) -> None:
    share(qe.server, "over", "a=0")
    lay(qe.server, "open")
    lay(qe.server, "open", project="another")
    assert qe.json("gc") == {"deleted": [], "keys": 0}
    assert qe.json("gc", "--over-age=0")["deleted"] == ["over"]
    assert [row["run"] for row in qe.json("status")] == ["open"]
    assert qe("gc", "--age=0").stdout.splitlines()[0] == "deleted open"
    assert qe.server.order("KEYS", f"qe:{{{PROJECT}/*") == "*0\r\n"
    assert qe.json("status", "--project=another")[0]["run"] == "open"


def test_gc_leaves_alone_what_nodes_work_on(qe: Queue) -> None:
    lay(qe.server)
    lay(qe.server, "11")
    assert "--force" in qe.refused("gc", "1", status=2)
    assert qe.json("gc", "1", "--force")["deleted"] == ["1"]
    assert [row["run"] for row in qe.json("status")] == ["11"]


# ---------------------------------------------------------------------- report


def test_a_report_is_one_result_of_all_nodes(qe: Queue) -> None:
    share(qe.server, "1", "t.py::a=0", "t.py::b=1,0", "t.py::c=3", "d.sh=0", marks=["slow"])
    result = qe.report("--junit=whole.xml", "--html=whole.html", status=1)
    assert {t["id"]: t["outcome"] for t in result["tests"]} == {
        "t.py::a": "passed", "t.py::b": "flaky", "t.py::c": "failed", "d.sh": "passed",
    }  # fmt: skip
    (failed,) = (t for t in result["tests"] if t["outcome"] == "failed")
    assert failed["message"] == "t.py::c ended badly" and failed["marks"] == ["slow"]
    (attempt,) = failed["attempts"]
    assert attempt["texts"][0] == {
        "kind": "failure", "name": "call", "text": "exit status of t.py::c",
    }  # fmt: skip
    assert attempt["texts"][1]["text"] == "printed by 1-2\n"
    (flaky,) = (t for t in result["tests"] if t["outcome"] == "flaky")
    assert [(a["attempt"], a["outcome"]) for a in flaky["attempts"]] == [
        (1, "failed"), (2, "passed"),
    ]  # fmt: skip
    queue = result["run"]["queue"]
    assert (queue["complete"], queue["missing"], queue["nodes"]) == (True, [], {"a": 5})
    assert set(result["run"]["lanes"].values()) <= {f"a/gw{n}" for n in range(8)}
    assert qe.said.splitlines()[0] == "FAILED   t.py::c: t.py::c ended badly"
    assert "4 tests: 2 passed, 1 failed, 1 flaky; 1 node" in qe.said.splitlines()[-1]

    root = ElementTree.parse("whole.xml").getroot()
    assert (root.get("tests"), root.get("failures"), root.get("errors")) == ("4", "1", "0")
    cases = {case.get("name"): case for case in root.iter("testcase")}
    assert set(cases) == {"a", "b", "c", "d.sh"}
    assert cases["b"].find("flakyFailure") is not None
    failure = cases["c"].find("failure")
    assert failure is not None and "exit status of t.py::c" in (failure.text or "")
    assert htmlreport.MARKER not in Path("whole.html").read_text()


def test_a_report_of_what_all_passed_is_0(qe: Queue) -> None:
    share(qe.server, "1", "t.py::a=0", "t.py::b=0")
    qe.report()
    done = qe("report", "1", "--json=-")
    assert done.returncode == 0 and json.loads(done.stdout)["summary"]["passed"] == 2
    assert "2 tests: 2 passed" in done.stderr


def test_a_run_of_more_than_a_piece_is_whole(qe: Queue) -> None:
    share(qe.server, "1", "t.py::a=0")
    # As many more units as take several pieces, each with its outcome and its attempt.
    script = (
        "for i = 1, 12000 do redis.call('RPUSH', KEYS[1], 't.py::' .. i)\n"
        "redis.call('HSET', KEYS[2], i, 1)\n"
        "redis.call('XADD', KEYS[3], '*', 'u', i, 'a', 1, 'o', 1, 'n', 'b', 'p', '') end\n"
        "redis.call('HSET', KEYS[4], 'count', 12001)"
    )
    keys = [f"{KEY}{name}" for name in ("ids", "out", "tries", "plan")]
    qe.server.order("EVAL", script, "4", *keys)
    result = qe.report()
    assert result["summary"]["passed"] == 12001
    assert result["run"]["queue"]["nodes"] == {"a": 1, "b": 12000}


def test_tests_without_an_outcome_are_named_and_4(qe: Queue) -> None:
    share(qe.server, "1", "t.py::a=1", "t.py::b=0", "t.py::c=0")
    qe.server.order("HDEL", f"{KEY}out", "1", "2")
    result = qe.report("--junit=whole.xml", status=4)
    assert result["run"]["queue"]["missing"] == ["t.py::b", "t.py::c"]
    assert not result["run"]["queue"]["complete"]
    assert "no outcome: t.py::b\nno outcome: t.py::c\n" in qe.said
    assert "2 without an outcome" in qe.said
    cases = ElementTree.parse("whole.xml").getroot().iter("testcase")
    skipped = [case.get("name") for case in cases if case.find("skipped") is not None]
    assert skipped == ["b", "c"]


def test_a_run_that_was_stopped_is_not_complete(qe: Queue) -> None:
    lay(qe.server)
    qe("abort", "1")
    result = qe.report(status=4)
    assert result["run"]["stopped"].startswith("the run was stopped")
    assert result["run"]["queue"]["missing"] == ["t.py::a", "t.py::b"]


@pytest.mark.parametrize(
    ("order", "said"),
    [
        (["DEL", f"{KEY}tries"], "no attempt told the outcome of t.py::a"),
        (["HSET", f"{KEY}out", "77", "1"], "1 outcomes of units that the plan does not have"),
        (["RPOP", f"{KEY}ids"], "the plan has 2 units, and the names of 1 of them"),
        (["HSET", f"{KEY}out", "0", "2"], "no attempt told the outcome of t.py::a"),
    ],
)
def test_what_does_not_prove_itself_is_4(qe: Queue, order: list[str], said: str) -> None:
    share(qe.server, "1", "t.py::a=0", "t.py::b=0")
    if order[0] == "RPOP":
        qe.server.order("DEL", f"{KEY}tries")
    qe.server.order(*order)
    result = qe.report(status=4)
    assert any(said in trouble for trouble in result["run"]["queue"]["troubles"])
    assert said in qe.said


def test_what_is_quarantined_fails_no_run(qe: Queue) -> None:
    share(qe.server, "1", "t.py::a=1", quarantined=True)
    result = qe.report()
    assert result["tests"][0]["quarantined"] and result["tests"][0]["outcome"] == "failed"


def test_output_without_end_is_cut_on_its_way(qe: Queue) -> None:
    share(qe.server, "1", "t.py::a=1", output=[("stdout", "x" * (4 << 20))])
    (test,) = qe.report(status=1)["tests"]
    text = test["attempts"][0]["texts"][-1]["text"]
    assert "left out]" in text and len(text) < 1 << 19


def test_what_nobody_can_read_is_a_warning(qe: Queue) -> None:
    share(qe.server, "1", "t.py::a=0")
    for payload in (b"\xff\xfe", b"[" * 100_000, b'{"v":1,"outcome":"\x1b[2J"}', b"x" * MOST_BYTES):
        qe.server.order(
            "XADD", f"{KEY}tries", "*", "u", "0", "a", "2", "o", "0", "n", "evil", "p", payload
        )
    result = qe.report()
    assert len(result["run"]["warnings"]) == 4
    assert all("evil told" in line for line in result["run"]["warnings"])
    assert "\x1b" not in qe.said and qe.said.count("warning: what evil told") == 4


@pytest.mark.parametrize(
    "order",
    [
        ["SET", f"{KEY}plan", "a string"], ["HSET", f"{KEY}plan", "state", "\x1b[2J"],
        ["HSET", f"{KEY}plan", "count", "99999999999"], ["HDEL", f"{KEY}plan", "count"],
        ["SET", f"{KEY}out", "a string"], ["HSET", f"{KEY}out", "0", "\n\n"],
        ["SET", f"{KEY}nodes", "a string"], ["HSET", f"{KEY}nodes", "a\nb", "1 1 1"],
        ["SET", f"{KEY}tries", "a string"], ["XADD", f"{KEY}tries", "*", "u", "1e9"],
        ["SET", f"{KEY}ids", "a string"], ["SET", f"{KEY}work", "a string"],
    ],
    ids=str,
)  # fmt: skip
def test_hostile_values_are_one_line_and_3(qe: Queue, order: list[str]) -> None:
    share(qe.server, "1", "t.py::a=0")
    qe.server.order(*order)
    line = qe.refused("report", "1", status=3)
    assert "no run of ours" in line and line.isprintable()
    # What cannot be read can still be deleted.
    assert qe("gc", "1").returncode == 0
    assert qe.server.order("DBSIZE") == ":0\r\n"


# ------------------------------------------------------------------ refused


def test_a_run_that_there_is_not_is_2(qe: Queue) -> None:
    for command in ("status", "abort", "gc", "report"):
        assert qe.refused(command, "9", status=2) == "there is no run 9"


def test_what_is_asked_for_must_make_sense(qe: Queue, monkeypatch: pytest.MonkeyPatch) -> None:
    assert "no run is given" in qe.refused("report", status=2)
    assert "take one of them" in qe.refused("report", "1", "--run=2", status=2)
    assert "no braces" in qe.refused("status", "a}b", status=2)
    assert "no slash" in qe.refused("status", "--project=a/b", status=2)
    assert "is a folder" in qe.refused("report", "1", "--json=.", status=2)
    assert "of its own" in qe.refused("report", "1", "--html=x", "--junit=x", status=2)
    assert "does not begin with redis://" in qe.refused("status", "--queue=http://h", status=2)
    monkeypatch.delenv("QE_QUEUE")
    assert "no queue is given" in qe.refused("status", status=2)


def test_no_server_is_3(qe: Queue) -> None:
    qe.server.stop()
    for command in (["status"], ["abort", "1"], ["gc"], ["report", "1"]):
        line = qe.refused(*command, status=3)
        assert f"127.0.0.1:{qe.server.port}" in line


def test_a_password_is_asked_for_and_never_shown(
    cli: Cli, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    server = make_server(tmp_path / "redis", "--requirepass", WORD)
    qe = Queue(cli, server, monkeypatch)
    try:
        assert "NOAUTH" in qe.refused("status", status=3)
        monkeypatch.setenv("QE_QUEUE_PASSWORD", "wrong-" + WORD)
        line = qe.refused("status", status=3)
        assert "WRONGPASS" in line and WORD not in line
        monkeypatch.delenv("QE_QUEUE_PASSWORD")
        line = qe.refused(
            "status", f"--queue=redis://:bad-{WORD}@127.0.0.1:{server.port}", status=3
        )
        assert WORD not in line
        line = qe.refused("status", f"--queue=redis://:{WORD}%@127.0.0.1:{server.port}", status=2)
        assert WORD not in line
        given = f"--queue=redis://:{WORD}@127.0.0.1:{server.port}"
        assert qe("status", given).stdout.startswith("the project has no runs")
        file = tmp_path / "word"
        file.write_text(WORD + "\n")
        file.chmod(0o600)
        assert qe("status", f"--queue-password-file={file}").returncode == 0
        file.chmod(0o644)
        line = qe.refused("status", f"--queue-password-file={file}", status=2)
        assert "others may read it (mode 0644): chmod 600 it" in line
        monkeypatch.setenv("QE_QUEUE_PASSWORD", WORD)
        process = subprocess.Popen(
            [*QE, "queue", "status", "--json"], stdout=subprocess.PIPE, text=True
        )
        # What others see of the process.
        words = Path(f"/proc/{process.pid}/cmdline").read_text()
        assert process.communicate()[0] == "[]\n" and WORD not in words
    finally:
        server.stop()


LOOKS = """
import pathlib
import time


def test_it():
    until = time.monotonic() + 30
    while not (found := list(pathlib.Path(".qe/live").glob("*.json"))):
        assert time.monotonic() < until
        time.sleep(0.05)
    print(found[0].read_text())
"""


def test_who_looks_on_sees_no_password(cli: Cli, tmp_path: Path) -> None:
    server = make_server(tmp_path / "redis", "--requirepass", WORD)
    cli.write("test_it.py", LOOKS)
    given = f"--qe-queue=redis://:{WORD}@127.0.0.1:{server.port}"
    words = ["-p", "pytest_qe.plugin", "-c", os.devnull, "--rootdir=.", "-s", "--qe-parallel=1"]
    try:
        done = subprocess.run(
            [sys.executable, "-m", "pytest", *words, given, "--qe-run=1"],
            capture_output=True, text=True,
        )  # fmt: skip
    finally:
        server.stop()
    assert done.returncode == 0, done.stdout + done.stderr
    assert f"--qe-queue=redis://:***@127.0.0.1:{server.port}" in done.stdout
    assert WORD not in done.stdout + done.stderr


def test_tls_is_asked_for_and_vouched_for(
    cli: Cli, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    server = make_server(tmp_path / "redis", tls=True)
    qe = Queue(cli, server, monkeypatch)
    try:
        line = qe.refused("status", f"--queue=redis://localhost:{server.port}", status=3)
        assert "TLS (rediss://)" in line
        assert "certificate" in qe.refused("status", status=3)
        assert qe("status", f"--queue-ca-file={server.ca_file}").returncode == 0
        monkeypatch.setenv("QE_QUEUE_CA_FILE", server.ca_file)
        assert qe("status").returncode == 0
        assert "there is no file" in qe.refused("status", "--queue-ca-file=none", status=2)
        wrong = f"--queue=rediss://127.0.0.1:{server.port}"
        assert "certificate" in qe.refused("status", wrong, status=3)
    finally:
        server.stop()


def test_another_projects_runs_are_refused_by_the_server(
    qe: Queue, monkeypatch: pytest.MonkeyPatch
) -> None:
    lay(qe.server, "1", project="another")
    lay(qe.server)
    qe.server.order(
        "ACL", "SETUSER", "ann", "on", f">{WORD}", f"~qe:{{{PROJECT}/*", "+@all", "-@dangerous"
    )
    monkeypatch.setenv("QE_QUEUE_USER", "ann")
    monkeypatch.setenv("QE_QUEUE_PASSWORD", WORD)
    assert qe.json("status", "1")["units"] == 2
    for command in ("status", "abort", "report"):
        assert "NOPERM" in qe.refused(command, "1", "--project=another", status=3)


def test_what_is_no_redis_is_3(qe: Queue) -> None:
    with socket.create_server(("127.0.0.1", 0)) as one:
        process = subprocess.Popen(
            [*QE, "queue", "status", f"--queue=redis://127.0.0.1:{one.getsockname()[1]}"],
            stderr=subprocess.PIPE, text=True,
        )  # fmt: skip
        there, _ = one.accept()
        there.recv(100)
        there.sendall(b"HTTP/1.1 400 Bad Request\r\n\r\n")
        assert "no Redis server" in process.communicate()[1]
        there.close()
    assert process.returncode == 3


def test_help_tells_how_a_password_is_given_and_how_it_ends(cli: Cli) -> None:
    text = cli.run("queue", "--help").stdout
    assert "QE_QUEUE_PASSWORD" in text and "seen by all who may list" in text.replace("\n  ", " ")
    for command in ("status", "abort", "gc", "report"):
        done = cli.run("queue", command, "--help")
        assert done.returncode == 0 and "Exit status:" in done.stdout
    assert "queue" in cli.run("--help").stdout


def test_a_shell_completes_runs(qe: Queue, monkeypatch: pytest.MonkeyPatch) -> None:
    lay(qe.server, "77/1")
    monkeypatch.setenv("_QE_COMPLETE", "bash_complete")
    monkeypatch.setenv("COMP_CWORD", "3")
    for start, found in (("7", "plain,77/1"), ("8", "")):
        monkeypatch.setenv("COMP_WORDS", f"qe queue status {start}")
        done = subprocess.run([sys.executable, "-c", COMPLETE], capture_output=True, text=True)
        assert done.stdout.strip() == found


COMPLETE = "from pytest_qe.cli.app import commands; commands(prog_name='qe')"
