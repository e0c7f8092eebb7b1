"""What `qe ui` answers of the history: numbers that the core has counted."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from cli_help import Cli
from pytest_qe import _core, stats
from pytest_qe.errors import NotFound
from ui_help import Ui, cli, run_pytest, ui

__all__ = ["cli", "ui"]

Start = Callable[..., Ui]

ODD = "<script>alert(1)</script> a/b?c#d%20&x=y+z"


def saved(
    history: Any, run: int, revision: str, outcomes: dict[str, int], seconds: float = 0.5
) -> None:
    """A run in which each test has one attempt."""
    record = _core.Record()
    for item, (name, outcome) in enumerate(outcomes.items()):
        record.add_test(name.encode("utf-8", "surrogateescape"))
        message = None if outcome == _core.PASSED else "assert 0"
        record.add_attempt(item, 0, 1, 0, outcome, 1.7e9 + run, seconds, seconds, 4096, 0, message)
        record.set_outcome(item, outcome, message)
    record.set_code(revision, "main")
    history.save(record, 1.7e9 + run, 1.0, 2)


def test_runs_and_one_of_them(cli: Cli, ui: Start) -> None:
    cli.write(
        "test_it.py",
        f"""
import pytest
@pytest.mark.parametrize("name", [{ODD!r}, "x"], ids=lambda name: name)
def test_odd(name): assert name != "x", "why\\nnot"
@pytest.mark.qe(retries=1)
def test_again():
    import os
    with open("turn", "a") as file: file.write("x")
    assert os.path.getsize("turn") > 1
""",
    )
    run_pytest("test_it.py")
    server = ui()
    (run,) = server.get("runs")
    assert run["id"] == 1 and run["workers"] == 2 and 0 < run["wall"] < 60
    assert run["outcomes"] == {"passed": 1, "failed": 1, "flaky": 1}
    full = server.get("run?id=1")
    tests = {name: (outcome, message) for name, outcome, message in full["tests"]}
    names = sorted(tests)
    assert f"test_it.py::test_odd[{ODD}]" in names
    assert tests["test_it.py::test_again"][0] == "flaky"
    failed = next(name for name in names if tests[name][0] == "failed")
    assert "why" in tests[failed][1]
    again = [row for row in full["attempts"] if full["tests"][row[0]][0].endswith("test_again")]
    assert [(row[2], row[4]) for row in sorted(again)] == [(1, "failed"), (2, "passed")]
    for name in names:
        assert server.get("test?id=" + percent(name))["id"] == name
    assert server.refused("run?id=2") == (404, "the history does not know it (any more)")
    assert server.refused("test?id=other") == (404, "the history knows no run of this test")


def test_names_that_are_no_text(cli: Cli, ui: Start) -> None:
    history = _core.History(os.fsencode(cli.path / ".qe" / "history.db"))
    odd = "raw \udcff bytes é"
    saved(history, 0, "r", {odd: _core.PASSED})
    history.close()
    server = ui()
    assert server.get("slowest")["tests"][0]["id"] == odd
    assert server.get("test?id=" + percent(odd))["id"] == odd
    assert server.get("run?id=1")["tests"] == [[odd, "passed", None]]


def percent(name: str) -> str:
    """Each byte of an id."""
    return "".join(f"%{byte:02x}" for byte in os.fsencode(name))


def test_one_test_over_time_and_where_it_changed(cli: Cli, ui: Start) -> None:
    history = _core.History(os.fsencode(cli.path / ".qe" / "history.db"))
    for run in range(20):
        worse = _core.FAILED if run >= 12 else _core.PASSED
        saved(history, run, "old" if run < 12 else "new", {"worse": worse, "good": _core.PASSED},
              1.0 + run)  # fmt: skip
    history.close()
    server = ui()
    known = server.get("test?id=worse")
    low, high = stats.jeffreys(8, 12)
    assert known["all"] == {"runs": 20, "failures": 8, "rate": 0.4, "low": low, "high": high}
    assert known["clean"] == 0
    old, new = known["commits"]
    assert (old["label"], old["runs"], old["failures"], old["mean_s"]) == ("old", 12, 0, 6.5)
    assert old["longest_s"] == 12 and old["low"] == 0
    assert (new["label"], new["failures"], new["mean_s"], new["high"]) == ("new", 8, None, 1)
    assert [one["run"] for one in known["executions"]] == list(range(20, 0, -1))
    first = known["executions"][0]
    assert (first["outcome"], first["message"], first["duration"]) == ("failed", "assert 0", 20)
    change = known["change"]
    assert (change["run"], change["from"], change["to"]) == (13, "old", "new")
    assert (change["before"], change["after"]) == (0, 1) and change["p"] < 0.001
    good = server.get("test?id=good")
    assert good["change"] is None and good["clean"] == 20


def test_those_that_stand_out(cli: Cli, ui: Start) -> None:
    history = _core.History(os.fsencode(cli.path / ".qe" / "history.db"))
    passed, failed = _core.PASSED, _core.FAILED
    for run in range(6):
        saved(history, run, "a", {
            "even": failed if run % 2 else passed, "bad": failed, "good": passed,
            "seldom": failed if run == 3 else passed,
        })  # fmt: skip
    saved(history, 7, "a", {"slow": passed}, 30.0)
    history.close()
    server = ui()
    flaky = server.get("flakiest")
    assert (flaky["known"], flaky["found"]) == (5, 2)
    assert [one["id"] for one in flaky["tests"]] == ["even", "seldom"]
    low, high = stats.jeffreys(3, 3)
    assert flaky["tests"][0] == {
        "id": "even", "test": "even", "runs": 6, "failures": 3, "rate": 0.5, "low": low,
        "high": high, "median_s": 0.5,
    }  # fmt: skip
    assert [one["id"] for one in server.get("failing")["tests"]] == ["bad", "even", "seldom"]
    slowest = server.get("slowest?most=1")
    assert slowest["found"] == 4
    assert [(one["id"], one["median_s"]) for one in slowest["tests"]] == [("slow", 30)]


def test_the_core_says_what_it_does_not_know(tmp_path: Path) -> None:
    history = _core.History(os.fsencode(tmp_path / "history.db"))
    assert history.executions(b"x", 9) == [] and history.top(_core.TOP_SLOWEST, 9) == (0, 0, [])
    for ask in (history.run, history.outcomes, history.attempts):
        with pytest.raises(NotFound):
            ask(1)
    with pytest.raises(ValueError):
        history.top(7, 9)
    saved(history, 1, "r", {"a": _core.PASSED})
    assert history.run(1) == history.runs(9)[0]
    assert history.outcomes(1) == [(b"a", "passed", None)]
    assert history.executions(b"a", 9) == [
        (1, 1.7e9 + 1, b"r", b"main", 0, 1, "passed", 1.7e9 + 1, 0.5, 4096, None)
    ]
    history.close()
