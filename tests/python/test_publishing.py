"""What runs tell other processes while they go on: the files beside the history."""

from __future__ import annotations

import json
import signal
import subprocess
import time
from pathlib import Path
from typing import Any

import pytest

from cli_help import QE, SH, Cli, cli
from conftest import Qe, wait_for

__all__ = ["cli"]

_QUIET: dict[str, Any] = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
SUITE = """\
import os, time, pytest
def wait():
    for _ in range(6000):
        if os.path.exists("go"): return
        time.sleep(0.01)
    assert 0, "nobody let it go"
def test_passes(): pass
def test_fails(): assert 0
@pytest.mark.parametrize("n", [1, 2])
def test_waits(n): wait()
"""
WAIT = "for i in $(seq 600); do test -e go && exit 0; sleep 0.1; done; exit 1"


def states(folder: Path) -> list[dict[str, Any]]:
    found = []
    for path in folder.glob(".qe/live/*.json"):
        try:
            found.append(json.loads(path.read_text()))
        except FileNotFoundError:
            pass  # it has ended meanwhile
    return found


def running(folder: Path) -> list[str]:
    return [one["id"] for state in states(folder) for one in state["running"]]


def test_pytest_tells_what_runs(qe: Qe) -> None:
    qe.files(test_a=SUITE)
    run = qe.popen("--qe-parallel=2", "-k", "not nothing")
    try:
        wait_for(lambda: len(running(qe.path)) == 2, "both to run")
        wait_for(lambda: states(qe.path)[0]["done"] == 2, "the others to be told")
        (state,) = states(qe.path)
        assert sorted(running(qe.path)) == ["test_a.py::test_waits[1]", "test_a.py::test_waits[2]"]
        assert state["about"] == {
            "kind": "pytest", "command": ["pytest", "--qe-parallel=2", "-k", "not nothing"],
            "folder": str(qe.path),
        }  # fmt: skip
        assert (state["pid"], state["workers"], state["all"]) == (run.pid, 2, 4)
        assert state["outcomes"] == {"passed": 1, "failed": 1}
        assert state["left_s"] is None
        stat = Path(f"/proc/{run.pid}/stat").read_text().rpartition(")")[2].split()
        assert state["pid_start"] == int(stat[19])
        assert abs(state["told_at"] - time.time()) < 60
        first = state["running"][0]
        assert first["phase"] == "call"
        assert Path(f"/proc/{first['pid']}").exists()
        assert first["seconds"] >= state["running"][1]["seconds"] > 0
    finally:
        (qe.path / "go").touch()
        run.wait(60)
    assert states(qe.path) == []

    (qe.path / "go").unlink()  # the history knows their time now
    run = qe.popen("--qe-parallel=2")
    try:
        wait_for(lambda: len(running(qe.path)) == 2, "both to run")
        state = states(qe.path)[0]
        assert all(one["expected_s"] > 0 for one in state["running"])
        assert state["left_s"] >= 0
    finally:
        (qe.path / "go").touch()
        run.wait(60)


def test_a_run_that_was_killed_is_still_told_of(qe: Qe) -> None:
    qe.files(test_a=SUITE)
    run = qe.popen("--qe-parallel=2")
    wait_for(lambda: len(running(qe.path)) == 2, "both to run")
    run.send_signal(signal.SIGKILL)
    run.wait(60)
    (state,) = states(qe.path)
    assert state["pid"] == run.pid
    assert len(state["running"]) == 2


@pytest.mark.parametrize("ended_by", [signal.SIGINT, signal.SIGTERM])
def test_a_run_that_is_ended_takes_its_file_with_it(qe: Qe, ended_by: signal.Signals) -> None:
    qe.files(test_a=SUITE)
    run = qe.popen("--qe-parallel=2")
    wait_for(lambda: len(running(qe.path)) == 2, "both to run")
    run.send_signal(ended_by)
    run.wait(60)
    assert states(qe.path) == []


def test_nothing_is_told_without_a_history(qe: Qe) -> None:
    qe.files(test_a=SUITE)
    run = qe.popen("--qe-parallel=2", "--qe-no-history", "--qe-json=out.json", "-v")
    wait_for(lambda: "FAILED" in qe.output(), "the first ones to be shown")
    time.sleep(1.1)  # two times that something would be told
    assert not (qe.path / ".qe").exists()
    (qe.path / "go").touch()
    assert run.wait(60) == 1


def test_a_hunt_names_its_tests(qe: Qe) -> None:
    qe.files(test_a=SUITE)
    run = qe.popen("--qe-flaky=2", "--qe-parallel=2")
    try:
        wait_for(lambda: "test_a.py::test_waits[1]" in running(qe.path), "a pass to run")
        assert states(qe.path)[0]["all"] >= 4
    finally:
        (qe.path / "go").touch()
        run.wait(60)


@pytest.mark.parametrize("kind", ["exec", "hunt"])
def test_commands_tell_their_files(cli: Cli, kind: str) -> None:
    cli.files(a=WAIT, b="exit 1")
    run = subprocess.Popen([*QE, kind, SH, "a.sh", "b.sh"], **_QUIET)
    try:
        wait_for(lambda: "a.sh" in running(cli.path), "a file to run")
        wanted = [one for one in states(cli.path) if one["running"]]
        assert {one["about"]["kind"] for one in wanted} == {f"qe {kind}"}
        assert wanted[0]["about"]["command"][:2] == ["qe", kind]
        assert wanted[0]["about"]["folder"] == str(cli.path)
    finally:
        (cli.path / "go").touch()
        run.wait(60)
    assert states(cli.path) == []


def test_layers_tell_their_categories(cli: Cli) -> None:
    cli.files(a=WAIT)
    cli.write(
        "test_layers.yaml",
        "version: 1\nlayers:\n  unit:\n    execution_mode: parallel\n    categories:\n"
        "      - {name: one, command: sh a.sh}\n      - {name: two, command: sh a.sh}\n",
    )
    run = subprocess.Popen([*QE, "layer", "unit"], **_QUIET)
    try:
        wait_for(lambda: sorted(running(cli.path)) == ["unit/one", "unit/two"], "both to run")
        found = {one["about"]["name"]: one["about"]["kind"] for one in states(cli.path)}
        assert found == {"unit/one": "qe layer", "unit/two": "qe layer"}
    finally:
        (cli.path / "go").touch()
        run.wait(60)
