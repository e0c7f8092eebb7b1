"""What every reporter and plugin may rely on, compared with a serial run."""

from __future__ import annotations

import json
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from conftest import Qe

STARTS = pytest.mark.parametrize("start", ["fork", "spawn"])

#: Writes one line for each report, with the types that reporters depend on.
TELL = """
    import json
    import pytest

    def kind(value):
        if isinstance(value, (list, tuple)):
            return [type(value).__name__, *map(kind, value)]
        if hasattr(value, "toterminal"):  # its class may differ, not what can be asked of it
            return ["shown", hasattr(value, "reprcrash"), hasattr(value, "reprtraceback")]
        return type(value).__name__

    IDS = set()

    def pytest_collection_finish(session):
        if not hasattr(session.config, "workerinput"):
            IDS.update(getattr(item, "id", None) for item in session.items)

    def pytest_runtest_logreport(report):
        line = {
            "id": report.nodeid,
            "known": getattr(report, "id", None) in IDS or type(report).__name__ != "TestReport",
            "when": report.when,
            "location": [kind(report.location), report.location],
            "longrepr": kind(report.longrepr),
            "keywords": sorted(report.keywords.items()),
            "sections": kind(report.sections),
            "properties": [kind(report.user_properties), report.user_properties],
            "attributes": sorted(set(vars(report)) - {"node", "worker_id", "testrun_uid"}),
            "times": [kind(report.start), kind(report.stop), report.duration >= 0],
            "texts": [report.head_line, report.caplog, report.capstdout, report.capstderr],
        }
        with open("told", "a") as file: file.write(json.dumps(line, sort_keys=True) + "\\n")
"""

# Without unittest's subtests: pytest 9 prints its progress into what it captures there.
EVERYTHING = r"""
    import logging, sys
    import pytest

    def test_passes(): pass
    def test_fails(): assert [1, 2] == [1, 3]
    def test_message(): pytest.fail("a message", pytrace=False)
    @pytest.mark.skip(reason="marked")
    def test_marked(): pass
    def test_skips(): pytest.skip("in the test")
    @pytest.mark.xfail(reason="known")
    def test_xfails(): assert 0
    @pytest.mark.xfail(strict=True)
    def test_xpasses(): pass
    @pytest.fixture
    def broken(): raise RuntimeError("set-up")
    def test_error(broken): pass
    def test_missing(no_such_fixture): pass
    @pytest.fixture
    def late():
        yield
        raise RuntimeError("tear-down")
    def test_late(late): print("printed")
    def test_prints():
        print("out"); print("err", file=sys.stderr); logging.warning("log")
    def test_properties(record_property): record_property("key", ("a", 1, None, [2.5]))
    def test_subtests(subtests):
        for i in range(3):
            with subtests.test("part", i=i): assert i != 1
    @pytest.mark.parametrize("value", ["", "::", "[x]", "a/b", "\n", "\x00", "\udc80", "é", "::["])
    def test_odd(value): assert value != "::"
"""


def told(qe: Qe) -> list[dict[str, Any]]:
    lines = [json.loads(line) for line in qe.lines("told")]
    (qe.path / "told").unlink()
    assert lines
    return sorted(lines, key=lambda line: (line["id"], line["when"], json.dumps(line)))


@STARTS
@pytest.mark.smoke
def test_reports_are_of_the_same_shape(qe: Qe, start: str) -> None:
    source = EVERYTHING
    if not hasattr(pytest, "Subtests"):  # pytest 8 has none of its own
        source = source.replace("def test_subtests(subtests)", "def without(subtests)")
    qe.files(conftest=TELL, test_it=source)
    serial = qe.run()
    expected = told(qe)
    result = qe.run("--qe-parallel=3", f"--qe-start={start}")
    found = told(qe)
    assert [line["id"] for line in found] == [line["id"] for line in expected]
    for one, other in zip(expected, found, strict=True):
        assert other == one
    assert all(line["known"] for line in found)
    assert result.parseoutcomes() == serial.parseoutcomes()


def test_a_failed_tear_down_before_that_of_the_session_is_one_report(qe: Qe) -> None:
    """A worker that runs dry tears its session down later than its last test."""
    qe.files(
        conftest=TELL,
        test_it="""
        import os, time
        import pytest
        @pytest.fixture(scope="session", autouse=True)
        def shared():
            yield
            print("printed by the session")
        @pytest.fixture
        def late():
            yield
            raise RuntimeError("tear-down")
        def test_late(late):
            deadline = time.monotonic() + 30  # beside the other, where there are two workers
            while ("PYTEST_XDIST_WORKER" in os.environ and not os.path.exists("other")
                   and time.monotonic() < deadline):
                time.sleep(0.01)
            print("printed by the test")
        """,
        test_other="""
        import os, time
        def test_slow():
            if "PYTEST_XDIST_WORKER" in os.environ: open("other", "w").close()
            time.sleep(1)
        """,
    )
    serial = qe.run()
    expected = [(line["id"], line["when"]) for line in told(qe)]
    result = qe.run("--qe-parallel=2")
    assert [(line["id"], line["when"]) for line in told(qe)] == expected
    assert result.parseoutcomes() == serial.parseoutcomes() == {"passed": 2, "errors": 1}
    assert "printed by the session" in result.stdout.str()


def test_the_crash_report_is_an_ordinary_one(qe: Qe) -> None:
    qe.files(conftest=TELL, test_it="import os\ndef test_1(): os.abort()\ndef test_2(): pass")
    qe.run("--qe-parallel=1")
    (crash,) = (
        line for line in told(qe) if line["id"].endswith("test_1") and line["when"] == "call"
    )
    assert crash["known"]
    assert crash["location"][0] == ["tuple", "str", "int", "str"]
    assert crash["times"] == ["float", "float", True]


@pytest.mark.smoke
def test_wrappers_of_the_protocol_are_called(qe: Qe) -> None:
    """Assertion diffs, warnings as errors and a plugin's wrapper live there."""
    qe.files(
        conftest="""
        import pytest
        @pytest.hookimpl(wrapper=True)
        def pytest_runtest_protocol(item, nextitem):
            item.wrapped = True
            return (yield)
        def pytest_assertrepr_compare(op, left, right):
            if isinstance(left, str) and left.startswith("special"):
                return ["compared by the conftest"]
        """,
        test_it="""
        import warnings
        import pytest
        def test_wrapped(request): assert request.node.wrapped
        def test_list(): assert [1, 2, 3] == [1, 2, 4]
        def test_dict(): assert {"a": 1, "b": 2} == {"a": 1, "b": 3}
        def test_text(): assert "one\\ntwo" == "one\\n2"
        def test_special(): assert "special" == "other"
        @pytest.mark.filterwarnings("error")
        def test_warning(): warnings.warn("an error")
    """,
    )
    texts = []
    for options in ((), ("--qe-parallel=2",)):
        result = qe.run(*options)
        result.assert_outcomes(passed=1, failed=5)
        errors = [line for line in result.outlines if line.startswith("E ")]
        texts.append(sorted(errors))
    assert texts[0] == texts[1]
    assert any("compared by the conftest" in line for line in texts[0])


@STARTS
@pytest.mark.smoke
def test_the_stack_of_a_crash_is_in_its_report_alone(qe: Qe, start: str) -> None:
    qe.files(
        conftest="""
        import faulthandler
        def pytest_unconfigure(config):
            with open("enabled", "w") as file: file.write(f"{faulthandler.is_enabled()}\\n")
        """,
        test_it="import os\ndef test_1(): os.abort()\ndef test_2(): pass",
    )
    qe.run()  # is killed
    result = qe.run("--qe-parallel=2", f"--qe-start={start}")
    assert result.stdout.str().count("Fatal Python error: Aborted") == 1
    assert result.stderr.str() == ""
    serial = qe.run("-k", "test_2")
    serial.assert_outcomes(passed=1, deselected=1)
    enabled = qe.lines("enabled")
    qe.run("-k", "test_2", "--qe-parallel=2").assert_outcomes(passed=1, deselected=1)
    assert qe.lines("enabled") == enabled


def test_the_stack_of_a_slow_test_is_shown_as_serially(qe: Qe) -> None:
    qe.files(test_it="import time\ndef test_slow(): time.sleep(1)")
    options = ("-o", "faulthandler_timeout=0.3")
    serial, result = qe.run(*options), qe.run("--qe-parallel=1", *options)
    for run in (serial, result):
        run.assert_outcomes(passed=1)
        assert "in test_slow" in run.stderr.str()


def test_no_lock_is_left_in_temporary_folders(qe: Qe) -> None:
    qe.files(
        test_it="""
        import os
        import pytest
        @pytest.mark.parametrize("value", range(6))
        def test_it(value, tmp_path): (tmp_path / "file").write_text("x")
        def test_dies(tmp_path): os.abort()
    """
    )
    qe.setenv("PYTEST_DEBUG_TEMPROOT", str(qe.path))
    for start in ("fork", "spawn"):
        # An own --basetemp has no lock; the one that pytest numbers has.
        qe.pytester.run(sys.executable, "-m", "pytest", "--qe-parallel=2", f"--qe-start={start}")
    kept = list(qe.path.glob("pytest-of-*/pytest-*"))
    assert any(path.name == "pytest-1" for path in kept)
    assert list(qe.path.rglob(".lock")) == []


@STARTS
def test_workers_draw_different_numbers_from_numpy_too(qe: Qe, start: str) -> None:
    qe.files(
        test_it="""
        import os, random, time
        import numpy
        import pytest
        @pytest.mark.parametrize("value", range(2))
        def test_it(value, worker_id):
            drawn = (numpy.random.randint(1 << 30), random.getrandbits(30))
            with open(f"drawn-{worker_id}", "w") as file: file.write(f"{drawn}\\n")
            deadline = time.monotonic() + 30  # each worker is to have one
            while not (os.path.exists("drawn-gw0") and os.path.exists("drawn-gw1")):
                assert time.monotonic() < deadline
                time.sleep(0.01)
    """
    )
    drawn = []
    for seed in (7, 7, 8):
        qe.run("--qe-parallel=2", f"--qe-seed={seed}", f"--qe-start={start}").assert_outcomes(
            passed=2
        )
        files = [qe.path / "drawn-gw0", qe.path / "drawn-gw1"]
        drawn.append([file.read_text() for file in files])
        for file in files:
            file.unlink()
    first, again, other = drawn
    assert first == again
    assert len({*first, *other}) == 4


@STARTS
def test_changed_code_is_seen_by_the_next_run(qe: Qe, start: str, tmp_path: Path) -> None:
    (tmp_path / "elsewhere.py").write_text("def answer(): return 42\n")
    qe.setenv("PYTHONPATH", str(tmp_path))
    qe.files(
        test_it="""
        import elsewhere
        def test_1(): assert elsewhere.answer() == 42
        def test_2(): pass
    """
    )
    options = ("--qe-parallel=2", f"--qe-start={start}")
    qe.run(*options).assert_outcomes(passed=2)
    time.sleep(1.1)  # byte code is told apart by whole seconds
    (tmp_path / "elsewhere.py").write_text("def answer(): return 43\n")
    qe.run(*options).assert_outcomes(passed=1, failed=1)


def test_a_child_that_returns_from_its_test_is_named(qe: Qe) -> None:
    qe.files(
        test_it="""
        import os
        def test_forks():
            if os.fork() == 0: return
            os.wait()
        def test_raises():
            if os.fork() == 0: raise ValueError
            os.wait()
        def test_exits():
            if os.fork() == 0: raise SystemExit(3)
            os.wait()
        def test_other(): pass
    """
    )
    result = qe.run("--qe-parallel=2")
    result.assert_outcomes(passed=4)
    shown = result.stdout.str() + result.stderr.str()
    for name in ("test_forks", "test_raises", "test_exits"):
        line = f"qe: a process forked by test_it.py::{name} returned from the test; it ends here"
        assert shown.count(line) == 1
