"""`--qe-trace`, and the timeline of `qe show`: who ran what, and when."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

from conftest import Qe

SUITE = """\
import os, time
def test_long(): time.sleep(0.5)
def test_short(): pass
def test_fails(): assert 0, "because"
def test_crashes(): os.abort()
"""


def slices(path: Path) -> dict[str, dict[str, Any]]:
    events = json.loads(path.read_text())["traceEvents"]
    return {event["name"]: event for event in events if event["ph"] == "X"}


def test_a_trace_has_each_attempt_on_its_workers_track(qe: Qe) -> None:
    qe.files(test_a=SUITE)
    qe.run("--qe-parallel=2", "--qe-trace=traces/out.json", "--qe-json=out.json")
    found = slices(qe.path / "traces/out.json")
    assert {name: event["cat"] for name, event in found.items()} == {
        "test_a.py::test_long": "passed", "test_a.py::test_short": "passed",
        "test_a.py::test_fails": "failed", "test_a.py::test_crashes": "crashed",
    }  # fmt: skip
    result = json.loads((qe.path / "out.json").read_text())
    for test in result["tests"]:
        (attempt,) = test["attempts"]
        event = found[test["id"]]
        assert f"gw{event['tid']}" == attempt["worker"]
        assert abs(event["dur"] / 1e6 - attempt["duration"]) < 1e-5
        assert abs(event["ts"] / 1e6 - (attempt["start"] - result["run"]["started"])) < 1e-5
        assert event["args"]["peak_memory"] == attempt["peak_memory"] > 0
    long = found["test_a.py::test_long"]
    assert long["dur"] >= 500_000
    assert "because" in found["test_a.py::test_fails"]["args"]["message"]


def test_the_timeline_of_a_remembered_run(qe: Qe) -> None:
    said = show(qe, "last", "--timeline")
    assert said.returncode == 3 and "there is no .qe/history.db" in said.stderr
    qe.files(test_a=SUITE)
    qe.run("--qe-parallel=2")
    told = show(qe, "last", "--timeline")
    assert told.returncode == 0, told.stderr
    head, first, second, legend, *_ = told.stdout.splitlines()
    assert head.startswith("     0") and head.endswith(" s")
    assert first.startswith("gw0  ") and second.startswith("gw1  ")
    assert "█" * 10 in first + second and "F" in first + second
    assert legend.split() == ["█", "passed", "F", "failed", "C", "crashed"]
    assert "passed  test_a.py::test_long" in told.stdout
    assert "2 attempts that failed:" in told.stdout
    attempts = json.loads(show(qe, "--timeline", "--json").stdout)
    assert {one["id"] for one in attempts} == {
        f"test_a.py::test_{name}" for name in ("long", "short", "fails", "crashes")
    }
    assert [one["start"] for one in attempts] == sorted(one["start"] for one in attempts)
    assert "no run 99 is remembered" in show(qe, "99", "--timeline").stderr
    assert "--timeline: takes `last`, or the number" in show(qe, "x", "--timeline").stderr


def show(qe: Qe, *words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "pytest_qe", "show", *words],
        cwd=qe.path, capture_output=True, text=True, check=False,
    )  # fmt: skip
