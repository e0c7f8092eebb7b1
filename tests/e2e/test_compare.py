"""The comparison itself: it finds what differs, and only that."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from compare import Recorded, compare, load, normalise

JUNIT = """<testsuites><testsuite tests="1" failures="0" errors="0" skipped="0">
<testcase classname="t" name="test_a" time="{time}">{inside}</testcase>
</testsuite></testsuites>"""


def lines(**changes: Any) -> list[dict[str, Any]]:
    """What is recorded of a run of one passing test."""
    report = {
        "kind": "report",
        "id": "t.py::test_a",
        "when": "call",
        "outcome": "passed",
        "longrepr": "",
        "sections": [["Captured stdout call", "at 0x7f0012345678"]],
    }
    return [
        {"kind": "start", "id": "t.py::test_a"},
        {**report, **changes},
        {"kind": "finish", "id": "t.py::test_a"},
        {"kind": "session", "exit": 0, "failed": 0},
        {"kind": "summary", "stats": {"passed": 1}},
    ]


@pytest.fixture
def run(tmp_path: Path) -> Any:
    def make(
        entries: list[dict[str, Any]] | None = None,
        inside: str = "",
        time: str = "0.1",
        output: str = "",
        exit_status: int = 0,
        failed: tuple[str, ...] = (),
    ) -> Recorded:
        record, junit = tmp_path / "record.jsonl", tmp_path / "junit.xml"
        last_failed = tmp_path / "cache" / "v" / "cache" / "lastfailed"
        last_failed.parent.mkdir(parents=True, exist_ok=True)
        last_failed.write_text(json.dumps(dict.fromkeys(failed, True)), encoding="utf-8")
        text = "".join(json.dumps(entry) + "\n" for entry in entries or lines())
        record.write_text(text, encoding="utf-8")
        junit.write_text(JUNIT.format(inside=inside, time=time), encoding="utf-8")
        return load(record, junit, tmp_path / "cache", output, exit_status)

    return make


def found(serial: Recorded, parallel: Recorded) -> list[str]:
    return [difference.what for difference in compare(serial, parallel)]


def test_equal_runs_have_no_difference(run: Any) -> None:
    assert found(run(), run()) == []


def test_addresses_and_times_do_not_count(run: Any) -> None:
    other = lines(sections=[["Captured stdout call", "at 0x7fffffffffff"]])
    assert found(run(), run(other, time="9.9")) == []


@pytest.mark.parametrize(
    "change",
    [
        {"outcome": "failed"},
        {"when": "setup"},
        {"longrepr": "E assert 0"},
        {"sections": []},
        {"more": {"rerun": "1"}},
        {"crash": "t.py:1: assert 0"},
        {"id": "t.py::test_a", "user_properties": [["a", 1]]},
    ],
    ids=lambda change: "-".join(change),
)
def test_a_changed_report_is_found(run: Any, change: dict[str, Any]) -> None:
    assert found(run(), run(lines(**change))) == ["report"]


def test_a_lost_test_is_found(run: Any) -> None:
    assert found(run(), run(lines()[3:])) == ["missing"]


def test_a_test_that_ran_twice_is_found(run: Any) -> None:
    twice = lines()[:3] + lines()
    assert found(run(), run(twice)) == ["ran too often"]


def test_a_lost_finish_is_found(run: Any) -> None:
    assert found(run(), run(lines()[:2] + lines()[3:])) == ["report"]


def test_a_report_to_a_worker_is_found(run: Any) -> None:
    stray = {"kind": "stray", "what": "report", "id": "t.py::test_a"}
    assert found(run(), run([*lines(), stray])) == ["a reporter was called in a worker"]


def test_a_lost_warning_is_found(run: Any) -> None:
    warning = {"kind": "warning", "id": "t.py::test_a", "message": "old"}
    serial = run([*lines(), warning, warning])
    assert found(serial, run([*lines(), warning])) == ["warning"]
    assert found(serial, run([*lines(), warning, warning])) == []


def test_exit_status_junit_and_summary_are_compared(run: Any) -> None:
    assert found(run(), run(exit_status=1)) == ["exit status"]
    assert found(run(), run(inside="<skipped message='x'/>")) == ["junit test case"]
    output = "= short test summary info =\nFAILED t.py::test_a - x\n"
    assert found(run(), run(output=output)) == ["summary line"]


def test_the_cache_is_compared_but_for_its_order(run: Any) -> None:
    assert found(run(failed=("t.py::a", "t.py::b")), run(failed=("t.py::a",))) == ["cache"]
    assert found(run(failed=("t.py::a", "t.py::b")), run(failed=("t.py::b", "t.py::a"))) == []


TERMINAL = """===== test session starts =====
{progress}
===== FAILURES =====
_____ {first} _____
{worker}    def test(): assert 0
_____ {second} _____
    def test(): assert 0
===== warnings summary =====
{warnings}
===== short test summary info =====
"""


def terminal(
    progress: str = "..",
    first: str = "test_a",
    second: str = "test_b",
    worker: str = "",
    warnings: str = "t.py::a",
) -> str:
    return TERMINAL.format(
        progress=progress, first=first, second=second, worker=worker, warnings=warnings
    )


def test_what_the_terminal_shows_is_compared(run: Any) -> None:
    serial = run(output=terminal(warnings="t.py::a\nt.py::b"))
    same = terminal("...", "test_b", "test_a", "[gw1] linux -- Python 3 /x\n", "t.py::b\nt.py::a")
    assert found(serial, run(output=same)) == []
    assert found(serial, run(output=terminal(warnings="t.py::a"))) == ["terminal block"]
    assert found(run(output=terminal()), run(output=terminal(second="x"))) == ["terminal block"]
    assert found(run(output=terminal()), run(output=terminal(worker="> 1\n"))) == ["terminal block"]


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("<C object at 0x7f3b5c0d1e20>", "<C object at 0x7f00000000a0>"),
        (
            "in /tmp/pytest-of-me/pytest-7/test_a0/x",
            "in /tmp/pytest-of-me/pytest-8/popen-gw1/test_a3/x",
        ),
        ("took 0.12s", "took 1.5s"),
        ("/tmp/tmpab12cd_3", "/tmp/tmpzzzzzzzz"),
        ("pid=123", "pid=45678"),
    ],
)
def test_what_differs_between_serial_runs_is_made_equal(one: str, other: str) -> None:
    assert normalise(one) == normalise(other)


@pytest.mark.parametrize(
    ("one", "other"),
    [("1 passed", "2 passed"), ("test_a[1]", "test_a[2]"), ("0x10", "0x20"), ("x 1.5", "x 2.5")],
)
def test_what_counts_is_kept(one: str, other: str) -> None:
    assert normalise(one) != normalise(other)
