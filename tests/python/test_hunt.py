"""``--qe-flaky-mode=adaptive``: verdicts, orders that differ, and budgets."""

from __future__ import annotations

import json
import os
import re
import signal
from collections import Counter
from typing import Any

import pytest

from conftest import HUNG, Qe, wait_for
from pytest_qe.hunting import Beside

ADAPTIVE = "--qe-flaky-mode=adaptive"

ORDERED = """
    state = []

    def test_pollutes(): state.append(1)
    def test_victim(): assert not state
    def test_fails(): assert 0
    def test_brittle(): assert state
"""
OTHERS = """
    import os
    import random
    import signal

    import pytest

    seen = set()

    def test_twice():
        assert "twice" not in seen
        seen.add("twice")
    def test_random(): assert random.random() > .4
    def test_crashes():
        if random.random() < .4:
            os.kill(os.getpid(), signal.SIGKILL)
    @pytest.mark.parametrize("n", range(12))
    def test_fine(n): pass
    @pytest.mark.skip
    def test_skipped(): pass
    @pytest.mark.xfail
    def test_expected(): assert 0
"""


def hunt(qe: Qe, *args: str) -> tuple[pytest.RunResult, dict[str, Any]]:
    """The run, and what its JSON says of the hunt."""
    result, written = qe.json(*args)
    found: dict[str, Any] = written.run["hunt"]
    return result, found


@pytest.mark.parametrize("start", ["fork", "spawn"])
def test_each_kind_has_its_verdict(qe: Qe, start: str) -> None:
    qe.files(test_a=ORDERED, test_b=OTHERS)
    result, found = hunt(
        qe, "--qe-flaky=14", ADAPTIVE, "--qe-parallel=2", f"--qe-start={start}", "--qe-seed=5",
        "--qe-flaky-causes=off",
    )  # fmt: skip
    verdicts = {name.split("::")[1]: one["verdict"] for name, one in found["tests"].items()}
    assert verdicts.pop("test_fails") == "stable-fail"
    # Whether chance has shown enough of these to confirm them is chance, too.
    assert verdicts.pop("test_random") in ("confirmed", "suspect")
    assert verdicts.pop("test_crashes", "suspect") in ("confirmed", "suspect")
    assert set(verdicts) == {"test_victim", "test_brittle", "test_twice"}
    assert set(verdicts.values()) <= {"confirmed", "suspect"}
    assert verdicts["test_twice"] == "confirmed"
    assert result.ret == 1
    total = 4 + 17
    assert found["executions"] <= 14 * total
    result.stdout.fnmatch_lines(["CONFIRMED FLAKY *test_b.py::test_twice *", "*failed: twice*"])
    assert "failing" in result.stdout.str()
    outcomes = result.parseoutcomes()
    assert outcomes["skipped"] == 1 and outcomes["xfailed"] == 1
    assert outcomes["failed"] == len(found["tests"])
    assert sum(outcomes.values()) == total


def test_passes_are_told_with_their_seeds_and_orders(qe: Qe) -> None:
    qe.files(
        test_a="""
        import pytest
        @pytest.mark.parametrize("n", range(8))
        def test_it(n): pass
    """
    )
    result, found = hunt(qe, "--qe-flaky=6", ADAPTIVE, "--qe-parallel=1", "--qe-seed=5")
    passes = found["passes"]
    assert [one["condition"] for one in passes[:3]] == ["defined", "reversed", "twice"]
    assert {one["condition"] for one in passes[3:]} == {"shuffled"}
    assert len({one["seed"] for one in passes}) == len(passes)
    assert [one["tests"] for one in passes[:3]] == [8, 8, 16]
    assert found["executions"] == 48 == sum(one["tests"] for one in passes)
    assert found["tests"] == {}
    result.stdout.re_match_lines([r"nothing seen in 8 tests: by 6 runs .* 1 time in 2 .* 95%"])
    assert result.parseoutcomes() == {"passed": 8}
    again = hunt(qe, "--qe-flaky=6", ADAPTIVE, "--qe-parallel=1", "--qe-seed=5")[1]
    assert again["passes"] == passes


def test_what_runs_twice_in_a_row_begins_anew(qe: Qe) -> None:
    """Fixtures, unittest's set-up and the names of doctests: as for any two tests."""
    qe.files(
        test_a="""
        '''
        >>> helper()
        4
        '''
        import unittest
        import pytest

        ups = []
        def helper(): return 4

        class TestCase(unittest.TestCase):
            def setUp(self):
                assert not hasattr(self, "x")
                self.x = 1
            def test_case(self): assert self.x == 1

        @pytest.fixture(scope="module")
        def shared():
            ups.append(1)
            yield len(ups)

        @pytest.fixture
        def own(tmp_path):
            (tmp_path / "a").mkdir()
            yield
            (tmp_path / "a").rmdir()

        class TestThem:
            def test_own(self, own, tmp_path, capsys, monkeypatch):
                assert not vars(self)
                self.x = 1
                (tmp_path / "b").mkdir()
                print("x")
                assert capsys.readouterr().out == "x\\n"
            def test_shared(self, shared): assert shared == 1
    """
    )
    result, found = hunt(qe, "--qe-flaky=6", ADAPTIVE, "--doctest-modules")
    assert found["tests"] == {}, result.stdout.str()
    assert "twice" in [one["condition"] for one in found["passes"]]
    assert result.parseoutcomes() == {"passed": 4}


def test_seconds_go_to_what_is_quick(qe: Qe) -> None:
    qe.files(
        test_a="""
        import time, pytest
        def test_slow(): time.sleep(.3)
        @pytest.mark.parametrize("n", range(5))
        def test_quick(n): pass
        state = set()
        def test_twice():
            assert not state
            state.add(1)
    """
    )
    result, found = hunt(qe, "--qe-flaky-budget=5", "--qe-parallel=2")
    runs = Counter(found["passes"][i]["condition"] for i in range(3))
    assert runs == {"defined": 1, "reversed": 1, "twice": 1} or len(found["passes"]) > 3
    assert found["tests"]["test_a.py::test_twice"]["verdict"] == "confirmed"
    slow = re.search(r"(\d+) runs in \d+ passes", result.stdout.str())
    assert slow is not None
    written = qe.json("--qe-flaky-budget=5", "--qe-parallel=2")[1]
    counts = {test["id"].split("::")[1]: len(test["attempts"]) for test in written.tests}
    assert counts["test_quick[0]"] > counts["test_slow"]


def test_seconds_beside_tests_count_once() -> None:
    beside = Beside()
    # A first pass during which the other worker waits, many short ones, a long test.
    passes = [(5.0, 2.5), *((5 + i / 10, 2.5 + i / 20) for i in range(1, 41)), (12.0, 4.5)]
    told = [beside.more(spent, tests) for spent, tests in passes]
    assert told[0] == 2.5
    assert told[1:41] == pytest.approx([0.05] * 40)
    assert sum(told) == pytest.approx(7.5)
    assert beside.more(13.0, 8.0) == 0  # the test was under way, and took 3.5 s
    assert beside.more(16.0, 8.0) == pytest.approx(0.5)


def test_a_suite_that_fails_is_not_run_on(qe: Qe) -> None:
    qe.files(
        test_a="""
        import pytest
        @pytest.mark.parametrize("n", range(20))
        def test_it(n): assert 0
    """
    )
    result, found = hunt(qe, "--qe-flaky=50", ADAPTIVE, "--qe-parallel=1")
    assert found["executions"] <= 20 * 10
    assert Counter(one["verdict"] for one in found["tests"].values()) == {"stable-fail": 20}
    result.stdout.fnmatch_lines(["every test fails each time*", "20 failing; * runs in * passes"])


def test_it_stops_at_the_first_failure_if_asked(qe: Qe) -> None:
    qe.files(test_a="def test_fails(): assert 0\ndef test_passes(): pass\n")
    result = qe.run("--qe-flaky=10", ADAPTIVE, "-x", "--qe-parallel=1")
    assert result.ret == 1
    result.stdout.fnmatch_lines(["*stopping after 1 failures*"])


def test_ctrl_c_tells_what_is_known(qe: Qe) -> None:
    qe.files(
        test_a="""
        import time
        def test_fails(): assert 0
        def test_slow():
            with open("ran", "a") as file: file.write("x\\n")
            time.sleep(.1)
    """
    )
    args = ("--qe-flaky=1000", ADAPTIVE, "--qe-json=out.json", "--qe-parallel=2")
    process = qe.popen(*args)
    wait_for(lambda: len(qe.lines("ran")) >= 8 or process.poll() is not None, "some passes")
    os.kill(process.pid, signal.SIGINT)
    assert process.wait(timeout=HUNG) == pytest.ExitCode.INTERRUPTED, qe.output()
    whole = (qe.path / "out.json").read_text()
    written = json.loads(whole)["run"]
    assert written["interrupted"]
    assert 8 <= written["hunt"]["executions"] < 1000
    ran = sum(len(test.get("attempts", ())) for test in json.loads(whole)["tests"])
    assert f"; {ran} runs in " in qe.output()
    assert written["hunt"]["tests"]["test_a.py::test_fails"]["verdict"] == "stable-fail"
    assert "1 failing, 1 nothing seen" in qe.output()


def test_limits_hold_in_each_pass(qe: Qe) -> None:
    qe.files(
        test_a="""
        import time
        state = []
        def test_hangs_later():
            state.append(1)
            if len(state) > 1:
                time.sleep(60)
        def test_other(): pass
    """
    )
    result, found = hunt(qe, "--qe-flaky=6", ADAPTIVE, "--qe-timeout=1", "--qe-parallel=2")
    assert set(found["tests"]) == {"test_a.py::test_hangs_later"}
    result.stdout.fnmatch_lines(["*Timeout*"])
    assert result.parseoutcomes() == {"passed": 1, "failed": 1}


def test_a_budget_below_one_pass_is_told(qe: Qe) -> None:
    qe.files(test_a="def test_a(): pass\ndef test_b(): pass\n")
    result, found = hunt(qe, "--qe-flaky-budget=0.001", "--qe-parallel=1")
    assert [one["tests"] for one in found["passes"]] == [2]
    assert result.ret == 0
    result.stdout.fnmatch_lines(
        [
            "nothing seen in 2 tests: by 1 run (the median) few that fail now and then *",
            "qe: warning: the budget is below what two passes need *",
        ]
    )


def test_failures_are_told_apart_by_where_they_are(qe: Qe) -> None:
    qe.files(
        test_a="""
        import os, signal, unittest
        import pytest
        class Test(unittest.TestCase):
            def test_equal(self):
                self.assertEqual(1, 2)
            def test_error(self):
                raise KeyError("x")
        @pytest.mark.xfail(strict=True)
        def test_passes(): pass
        def test_killed(): os.kill(os.getpid(), signal.SIGKILL)
        def test_exits(): os._exit(3)
        """
    )
    result, _ = hunt(qe, "--qe-flaky=4", ADAPTIVE, "--qe-parallel=2", "--qe-flaky-causes=off")
    for line in (
        r" +\d+x in 1 test: AssertionError at test_a.py:5 in test_equal - ",
        r" +\d+x in 1 test: KeyError at test_a.py:7 in test_error - ",
        r" +\d+x in 1 test: \[XPASS\(strict\)\] - ",
        r" +\d+x in 1 test: killed by SIGKILL - ",
        r" +\d+x in 1 test: exited with status 3 - ",
    ):
        result.stdout.re_match_lines([line + ".*"])


@pytest.mark.parametrize(
    ("args", "line"),
    [
        (["--qe-flaky=3", "--qe-flaky-mode=some"], "mode=some: takes one of fixed, adaptive"),
        (["--qe-flaky-budget=x"], "budget=x: takes a number of seconds from 0.001 to 1e7, *"),
        (["--qe-flaky=3", "--qe-flaky-budget=9"], "budget: is instead of --qe-flaky"),
        (["--qe-flaky=3", "--qe-flaky-alpha=2"], "alpha=2: takes a number from 1e-9 to 0.5, *"),
        (["--qe-flaky-budget=9", "--qe-flaky-mode=fixed"], "budget: is of a hunt that decides *"),
        (["--qe-flaky-causes=9"], "causes: is of a hunt: give --qe-flaky=N or *"),
        (["--qe-flaky-mode=fixed", "--qe-parallel"], "mode: is of a hunt: give --qe-flaky=N or *"),
    ],
)  # fmt: skip
def test_what_makes_no_sense_is_refused_in_one_line(qe: Qe, args: list[str], line: str) -> None:
    qe.files(test_a="def test_a(): pass\n")
    result = qe.run(*args)
    assert result.ret == 4
    result.stderr.fnmatch_lines([f"ERROR: --qe-flaky-{line}"])
