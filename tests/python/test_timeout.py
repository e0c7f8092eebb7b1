"""``--qe-timeout``: what hangs is shown and killed; nothing else is harmed."""

from __future__ import annotations

import time

import pytest

from conftest import Qe


def block(text: str, name: str) -> str:
    """The part of the output below the heading of a test."""
    lines = text.splitlines()
    heads = [i for i, line in enumerate(lines) if line.startswith("___") and f" {name} " in line]
    assert heads, f"no heading for {name}"
    end = heads[0] + 1
    while end < len(lines) and not lines[end].startswith(("___", "===")):
        end += 1
    return "\n".join(lines[heads[0] : end])


HANG = """
    import sys, time

    def helper():
        time.sleep(600)  # the hanging line

    def test_before(): pass

    def test_hangs():
        print("to standard output")
        print("to standard error", file=sys.stderr)
        helper()

    def test_after(): pass
"""


@pytest.mark.parametrize("start", ["fork", "spawn"])
@pytest.mark.smoke
def test_the_report_has_stack_source_and_output(qe: Qe, start: str) -> None:
    qe.files(test_it=HANG)
    began = time.monotonic()
    result, written = qe.json("--qe-parallel=2", "--qe-timeout=0.7", f"--qe-start={start}")
    assert time.monotonic() - began < 60
    result.assert_outcomes(passed=2, failed=1)
    assert result.ret == pytest.ExitCode.TESTS_FAILED
    text = block(result.stdout.str(), "test_hangs")
    assert "Timeout: exceeded 0.7 s in call" in text
    assert 'test_it.py", line 4 in helper' in text
    assert "time.sleep(600)  # the hanging line" in text
    assert 'test_it.py", line 11 in test_hangs' in text
    assert "to standard output" in text
    assert "to standard error" in text
    assert "_pytest" not in text, "frames of the machinery"
    assert result.stderr.str().strip() == ""
    assert written.outcomes() == {
        "test_before": "passed",
        "test_hangs": "timeout",
        "test_after": "passed",
    }
    attempt = written["test_hangs"]["attempts"][0]
    assert attempt["outcome"] == "timeout"
    assert 0.6 < attempt["duration"] < 2.50
    assert "Timeout" in attempt["message"]


def test_timeout_alone_takes_the_core(qe: Qe) -> None:
    qe.files(test_it=HANG)
    result = qe.run("--qe-timeout=0.7")
    result.assert_outcomes(passed=2, failed=1)
    assert "the hanging line" in result.stdout.str()


def test_all_threads_are_shown(qe: Qe) -> None:
    qe.files(
        test_it="""
        import threading, time
        def in_thread():
            time.sleep(600)  # line of the thread
        def test_it():
            threading.Thread(target=in_thread, daemon=True).start()
            time.sleep(600)  # line of the test
    """
    )
    text = qe.run("--qe-parallel=1", "--qe-timeout=0.7").stdout.str()
    assert "# line of the thread" in text
    assert "# line of the test" in text


@pytest.mark.parametrize(
    "body",
    [
        "while True: pass",
        "time.sleep(600)",
        "threading.Lock().acquire(), threading.Event().wait()",
        "l = threading.Lock(); l.acquire(); l.acquire()",
        "sum(range(10**15))",
        "subprocess.run(['sleep', '600'])",
        "os.read(os.pipe()[0], 1)",
        "__import__('ctypes').PyDLL(None).usleep(600000000)",
    ],
)
def test_whatever_it_is_that_hangs(qe: Qe, body: str) -> None:
    qe.files(
        test_it=f"""
        import os, subprocess, threading, time
        def test_hangs():
            {body}
        def test_after(): pass
    """
    )
    result, written = qe.json("--qe-parallel=1", "--qe-timeout=0.7")
    assert written.outcomes() == {"test_hangs": "timeout", "test_after": "passed"}
    assert 'test_it.py", line 3 in test_hangs' in result.stdout.str()


@pytest.mark.parametrize(
    "prepare",
    [
        "signal.pthread_sigmask(signal.SIG_BLOCK, range(1, 65))",
        "[signal.signal(s, signal.SIG_IGN) for s in range(1, 65)"
        " if s not in (9, 19, 32, 33) and s < 32]",
        "faulthandler.disable()",
        "os.setsid() if os.getpid() != os.getpgrp() else None",
    ],
)
def test_a_test_that_defends_itself(qe: Qe, prepare: str) -> None:
    qe.files(
        test_it=f"""
        import faulthandler, os, signal, time
        def test_hangs():
            {prepare}
            while True:
                time.sleep(1)
        def test_after(): pass
    """
    )
    result, written = qe.json("--qe-parallel=1", "--qe-timeout=0.7")
    assert written.outcomes() == {"test_hangs": "timeout", "test_after": "passed"}
    text = block(result.stdout.str(), "test_hangs")
    assert "Timeout: exceeded" in text
    if "SIG_BLOCK" in prepare:
        assert "no stack: signal blocked" in text


PHASES = """
    import time
    import pytest

    @pytest.fixture
    def slow_setup():
        print("in set-up")
        time.sleep(600)

    @pytest.fixture
    def slow_teardown():
        yield
        print("in tear-down")
        time.sleep(600)

    def test_setup(slow_setup): pass
    def test_teardown(slow_teardown): print("in call")
    def test_other(): pass
"""


def test_set_up_and_tear_down_are_limited(qe: Qe) -> None:
    qe.files(test_it=PHASES)
    result, written = qe.json("--qe-parallel=1", "--qe-timeout=0.7")
    assert written.outcomes() == {
        "test_setup": "timeout",
        "test_teardown": "timeout",
        "test_other": "passed",
    }
    # As serially: what fails outside of the call is an error; the call passed.
    result.assert_outcomes(passed=2, errors=2)
    text = result.stdout.str()
    assert "0.7 s in setup" in text
    assert "0.7 s in teardown" in text
    assert "in set-up" in text
    assert "in tear-down" in text


def test_func_only_leaves_set_up_alone(qe: Qe) -> None:
    qe.files(
        test_it="""
        import time
        import pytest

        @pytest.fixture
        def slow():
            time.sleep(1)
            yield
            time.sleep(1)

        def test_slow_fixture(slow): pass
        def test_hangs(): time.sleep(600)
    """
    )
    qe.pytester.makeini("[pytest]\nqe_timeout_func_only = true\n")
    _, written = qe.json("--qe-parallel=2", "--qe-timeout=0.7")
    assert written.outcomes() == {"test_slow_fixture": "passed", "test_hangs": "timeout"}
    override = ("-o", "qe_timeout_func_only=false")
    _, written = qe.json("--qe-parallel=2", "--qe-timeout=0.7", *override)
    assert written.outcomes() == {"test_slow_fixture": "timeout", "test_hangs": "timeout"}


@pytest.mark.parametrize("scope", ["module", "session"])
def test_tear_down_at_the_end_is_limited(qe: Qe, scope: str) -> None:
    qe.files(
        test_it=f"""
        import time
        import pytest

        @pytest.fixture(scope="{scope}")
        def shared():
            yield
            print("ending")
            time.sleep(600)  # ends never

        def test_1(shared): pass
        def test_2(shared): pass
    """
    )
    began = time.monotonic()
    result = qe.run("--qe-parallel=1", "--qe-timeout=0.7")
    assert time.monotonic() - began < 60
    assert result.ret == pytest.ExitCode.TESTS_FAILED
    result.assert_outcomes(passed=2, errors=1)
    text = result.stdout.str()
    assert "Timeout: exceeded 0.7 s" in text
    assert "# ends never" in text


def test_markers_override_the_option(qe: Qe) -> None:
    qe.files(
        test_it="""
        import time
        import pytest

        @pytest.mark.qe(timeout=60)
        def test_longer(): time.sleep(1.5)

        @pytest.mark.qe(timeout=0.3)
        def test_shorter(): time.sleep(600)

        @pytest.mark.qe(timeout=None)
        def test_without(): time.sleep(1.5)

        @pytest.mark.qe(timeout=0.3)
        class TestClass:
            def test_inherits(self): time.sleep(600)
            @pytest.mark.qe(timeout=60)
            def test_nearest(self): time.sleep(1.5)
    """
    )
    result, written = qe.json("--qe-parallel=4", "--qe-timeout=1")
    assert written.outcomes() == {
        "test_longer": "passed",
        "test_shorter": "timeout",
        "test_without": "passed",
        "TestClass::test_inherits": "timeout",
        "TestClass::test_nearest": "passed",
    }
    assert "exceeded 0.3 s" in result.stdout.str()


def test_the_marker_needs_no_option(qe: Qe) -> None:
    qe.files(
        test_it="""
        import time
        import pytest
        @pytest.mark.qe(timeout=0.5)
        def test_it(): time.sleep(600)
    """
    )
    _, written = qe.json("--qe-parallel=1")
    assert written.outcomes() == {"test_it": "timeout"}


def test_other_tests_are_unharmed(qe: Qe) -> None:
    """Module state, fixtures and results on both sides of many hangs."""
    qe.files(
        test_it="""
        import time
        import pytest

        @pytest.fixture(scope="module")
        def shared():
            return []

        @pytest.mark.parametrize("value", range(30))
        def test_it(value, shared):
            shared.append(value)
            if value % 10 == 5:
                time.sleep(600)
    """
    )
    result, written = qe.json("--qe-parallel=2", "--qe-timeout=0.7")
    result.assert_outcomes(passed=27, failed=3)
    late = [name for name, outcome in written.outcomes().items() if outcome == "timeout"]
    assert late == ["test_it[5]", "test_it[15]", "test_it[25]"]
    assert all(len(t["attempts"]) == 1 for t in written.tests)


def test_what_a_killed_test_started_is_killed_too(qe: Qe) -> None:
    qe.files(
        test_it="""
        import subprocess, sys, time
        def test_it():
            subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"])
            subprocess.Popen(["sleep", "600"], start_new_session=True)
            time.sleep(600)
    """
    )
    qe.run("--qe-parallel=1", "--qe-timeout=1").assert_outcomes(failed=1)
    # The fixture looks whether any process is left.


def test_a_slow_reporter_does_not_delay_the_kill(qe: Qe) -> None:
    qe.files(
        conftest="""
        import time
        def pytest_runtest_logreport(report):
            if report.nodeid.endswith("test_quick") and report.when == "call":
                time.sleep(3)
        """,
        test_it="""
        import time
        def test_quick(): pass
        def test_hangs():
            began = time.monotonic()
            while True:
                with open("alive", "a") as file: file.write(f"{time.monotonic() - began}\\n")
                time.sleep(0.05)
        """,
    )
    _, written = qe.json("--qe-parallel=2", "--qe-timeout=1")
    assert float(qe.lines("alive")[-1]) < 2.5
    assert written["test_hangs"]["attempts"][0]["duration"] < 2.5


def test_a_test_that_is_within_its_limit_passes(qe: Qe) -> None:
    qe.files(test_it="import time\ndef test_it(): time.sleep(0.5)")
    qe.run("--qe-parallel=1", "--qe-timeout=30").assert_outcomes(passed=1)


def test_c_code_cannot_go_on_while_it_is_killed(qe: Qe) -> None:
    """The signal that asks for the stacks interrupts sleep(3) with EINTR."""
    qe.files(
        test_it="""
        import ctypes
        def test_it():
            ctypes.CDLL(None).sleep(60)
            open("after", "w").close()
        def test_next(): pass
        """
    )
    result = qe.run("--qe-timeout=1")
    result.assert_outcomes(failed=1, passed=1)
    result.stdout.fnmatch_lines(["*Timeout: exceeded 1 s in call*", "*CDLL(None).sleep*"])
    assert not (qe.path / "after").exists()


@pytest.mark.parametrize("ini", ["", "[pytest]\nqe_timeout_func_only = true\n"])
def test_session_teardown_is_limited_also_after_a_test_without_limit(qe: Qe, ini: str) -> None:
    (qe.path / "pytest.ini").write_text(ini or "[pytest]\n")
    qe.files(
        test_it="""
        import time, pytest
        @pytest.fixture(scope="session")
        def session():
            yield
            time.sleep(600)
        def test_it(session): pass
        @pytest.mark.qe(timeout=None)
        def test_last(): pass
        """
    )
    result = qe.run("--qe-timeout=1")
    result.assert_outcomes(passed=2, errors=1)
    result.stdout.fnmatch_lines(["*Timeout: exceeded 1 s in session teardown*"])
