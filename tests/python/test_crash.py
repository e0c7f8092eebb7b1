"""Tests that take their process down: named, shown, and survived by all others."""

from __future__ import annotations

import pytest

from conftest import Qe

DEATHS = {
    "os.kill(os.getpid(), signal.SIGSEGV)": ("killed by SIGSEGV", {"signal": "SIGSEGV"}),
    "os.abort()": ("killed by SIGABRT", {"signal": "SIGABRT"}),
    "os.kill(os.getpid(), signal.SIGKILL)": ("killed by SIGKILL", {"signal": "SIGKILL"}),
    "os.kill(os.getpid(), signal.SIGTERM)": ("killed by SIGTERM", {"signal": "SIGTERM"}),
    "os._exit(0)": ("exited with status 0", {"exit_status": 0}),
    "os._exit(3)": ("exited with status 3", {"exit_status": 3}),
    "ctypes.string_at(0)": ("killed by SIGSEGV", {"signal": "SIGSEGV"}),
    "os.killpg(0, signal.SIGKILL)": ("killed by SIGKILL", {"signal": "SIGKILL"}),
}


@pytest.mark.parametrize(
    ("death", "start"),
    [*((death, "fork") for death in DEATHS), *((death, "spawn") for death in list(DEATHS)[:5:4])],
)
def test_death_of_a_worker(qe: Qe, death: str, start: str) -> None:
    qe.files(
        test_it=f"""
        import ctypes, os, signal, sys
        def test_before(): pass
        def test_dies():
            print("last words")
            {death}
        def test_after(): pass
        def test_fails():
            print("words of another")
            assert 0
    """
    )
    result, written = qe.json("--qe-parallel=1", f"--qe-start={start}")
    assert result.ret == pytest.ExitCode.TESTS_FAILED
    result.assert_outcomes(passed=2, failed=2)
    assert written.outcomes() == {
        "test_before": "passed",
        "test_dies": "crashed",
        "test_after": "passed",
        "test_fails": "failed",
    }
    words, fields = DEATHS[death]
    text = result.stdout.str()
    assert f"Crashed: {words} in call (worker gw0)" in text
    dies, fails = text.split("_ test_fails _")
    assert "last words" in dies
    assert "words of another" not in dies
    assert "words of another" in fails
    assert "last words" not in fails.split("short test summary")[0]
    attempt = written["test_dies"]["attempts"][0]
    assert {k: attempt[k] for k in ("signal", "exit_status") if k in attempt} == fields


@pytest.mark.smoke
def test_stack_of_a_crash(qe: Qe) -> None:
    qe.files(
        test_it="""
        import os, signal
        def deep():
            os.kill(os.getpid(), signal.SIGSEGV)  # here it ends
        def test_it():
            deep()
    """
    )
    text = qe.run("--qe-parallel=2").stdout.str()
    assert "Segmentation fault" in text
    assert "line 3 in deep" in text
    assert "# here it ends" in text


@pytest.mark.smoke
def test_phases_that_were_finished_are_kept(qe: Qe) -> None:
    qe.files(
        conftest="""
        def pytest_runtest_logreport(report):
            with open("reports", "a") as file:
                file.write(f"{report.nodeid.split('::')[1]} {report.when} {report.outcome}\\n")
        """,
        test_it="""
        import os
        import pytest

        @pytest.fixture
        def dies_after():
            yield
            os.abort()

        @pytest.fixture
        def dies_before():
            os.abort()

        def test_1(dies_after): pass
        def test_2(dies_after): assert 0
        def test_3(dies_before): pass
        def test_4(): os.abort()
        """,
    )
    result, written = qe.json("--qe-parallel=1")
    assert set(written.outcomes().values()) == {"crashed"}
    assert sorted(qe.lines("reports"), key=lambda line: line.split()[0]) == [
        "test_1 setup passed",
        "test_1 call passed",
        "test_1 teardown failed",
        "test_2 setup passed",
        "test_2 call failed",
        "test_2 teardown failed",
        "test_3 setup failed",
        "test_4 setup passed",
        "test_4 call failed",
    ]
    result.assert_outcomes(passed=1, failed=2, errors=3)
    result.stdout.fnmatch_lines(["*in teardown (worker gw0)*", "*in setup (worker gw0)*"])


@pytest.mark.parametrize("plugins", [(), ("xdist",)], ids=["without xdist", "with xdist"])
def test_handlecrashitem_is_called(qe: Qe, plugins: tuple[str, ...]) -> None:
    qe.use(*plugins)
    qe.files(
        conftest="""
        import pytest
        @pytest.hookimpl(optionalhook=True)
        def pytest_handlecrashitem(crashitem, report, sched):
            with open("crashed", "a") as file:
                file.write(f"{crashitem} {report.outcome} {report.when}\\n")
        """,
        test_it="""
        import os, time
        def test_1(): pass
        def test_2(): os._exit(1)
        def test_3(): os.abort()
        def test_4(): pass
        """,
    )
    qe.run("--qe-parallel=2").assert_outcomes(passed=2, failed=2)
    assert sorted(qe.lines("crashed")) == [
        "test_it.py::test_2 failed call",
        "test_it.py::test_3 failed call",
    ]


def test_logfinish_follows_a_crash(qe: Qe) -> None:
    qe.files(
        conftest="""
        def write(text):
            with open("hooks", "a") as file:
                file.write(text + "\\n")
        def pytest_runtest_logstart(nodeid): write("start " + nodeid)
        def pytest_runtest_logfinish(nodeid): write("finish " + nodeid)
        """,
        test_it="import os\ndef test_1(): os.abort()\ndef test_2(): pass",
    )
    qe.run("--qe-parallel=1")
    assert qe.lines("hooks") == [
        f"{word} test_it.py::test_{n}" for n in (1, 2) for word in ("start", "finish")
    ]


MANY = "import os\nimport pytest\n" + "".join(
    f"def test_{i}(): os._exit(1)\ndef test_ok_{i}(): pass\n" for i in range(5)
)


def test_crashes_have_no_limit_by_default(qe: Qe) -> None:
    qe.files(test_it=MANY)
    qe.run("--qe-parallel=2").assert_outcomes(passed=5, failed=5)


@pytest.mark.parametrize("limit", [0, 2])
def test_max_worker_restart(qe: Qe, limit: int) -> None:
    qe.files(test_it=MANY)
    result, written = qe.json("--qe-parallel=1", f"--qe-max-worker-restart={limit}")
    assert result.ret not in (0, pytest.ExitCode.INTERNAL_ERROR)
    outcomes = written.outcomes()
    crashed = [name for name, outcome in outcomes.items() if outcome == "crashed"]
    assert crashed == [f"test_{i}" for i in range(limit + 1)]
    assert outcomes["test_4"] == "none"
    text = result.stdout.str()
    line = next(line for line in text.splitlines() if "--qe-max-worker-restart" in line)
    for name in crashed:
        assert f"test_it.py::{name}" in line
    assert f"more than {limit} " in line


def test_max_worker_restart_that_is_not_reached(qe: Qe) -> None:
    qe.files(test_it=MANY)
    result = qe.run("--qe-parallel=2", "--qe-max-worker-restart=5")
    result.assert_outcomes(passed=5, failed=5)
    assert "--qe-max-worker-restart" not in result.stdout.str()


def test_crashes_amid_many_tests_lose_none(qe: Qe) -> None:
    qe.files(
        test_it="""
        import os
        import pytest
        @pytest.mark.parametrize("value", range(300))
        def test_it(value):
            with open("ran", "a") as file:
                file.write(f"{value}\\n")
            if value % 30 == 7:
                os.kill(os.getpid(), 9)
    """
    )
    result = qe.run("--qe-parallel=3")
    result.assert_outcomes(passed=290, failed=10)
    assert sorted(map(int, qe.lines("ran"))) == list(range(300))


def test_crash_in_the_tear_down_of_the_session(qe: Qe) -> None:
    qe.files(
        test_it="""
        import os
        import pytest
        @pytest.fixture(scope="session")
        def shared():
            yield
            os.abort()
        def test_1(shared): pass
        def test_2(shared): pass
    """
    )
    result = qe.run("--qe-parallel=1")
    assert result.ret == pytest.ExitCode.TESTS_FAILED
    result.assert_outcomes(passed=2, errors=1)
    assert "Crashed: killed by SIGABRT in " in result.stdout.str()


def test_the_module_fixture_is_set_up_again_after_a_crash(qe: Qe) -> None:
    qe.files(
        test_it="""
        import os
        import pytest
        @pytest.fixture(scope="module")
        def shared():
            return os.getpid()
        def test_1(shared): assert shared == os.getpid()
        def test_2(shared): os._exit(1)
        def test_3(shared): assert shared == os.getpid()
    """
    )
    qe.run("--qe-parallel=1").assert_outcomes(passed=2, failed=1)


KILLS_PARENT = """
    import os, signal, time
    import pytest
    @pytest.mark.parametrize("value", range(6))
    def test_it(value):
        if value == 2 and UNLESS:
            open("killed", "w").close()
            os.kill(os.getppid(), signal.SIGKILL)
            time.sleep(0.5)
"""


def test_the_death_of_the_workers_parent_loses_nothing(qe: Qe) -> None:
    """It is a process like any other, and has a standby: what ran, runs again."""
    qe.files(test_it=KILLS_PARENT.replace("UNLESS", "not os.path.exists('killed')"))
    qe.run("--qe-parallel=2").assert_outcomes(passed=6)


def test_a_test_that_always_kills_the_parent_of_its_worker(qe: Qe) -> None:
    """It may not run again for ever: the run ends, and the others have results."""
    qe.files(test_it=KILLS_PARENT.replace("UNLESS", "True"))
    result = qe.run("--qe-parallel=2", timeout=20)
    assert result.ret == pytest.ExitCode.TESTS_FAILED
    outcomes = result.parseoutcomes()
    assert outcomes["passed"] == 5, result.stdout.str()


def test_sys_exit_is_a_failure_as_serially(qe: Qe) -> None:
    qe.files(
        test_it="""
        import sys
        def test_1(): sys.exit(3)
        def test_2(): raise SystemExit
        def test_3(): pass
    """
    )
    serial = qe.run()
    result = qe.run("--qe-parallel=1")
    assert result.ret == serial.ret
    assert result.parseoutcomes() == serial.parseoutcomes()


def test_stack_overflow_and_out_of_descriptors(qe: Qe) -> None:
    qe.files(
        test_it="""
        import os, sys
        def test_overflow():
            sys.setrecursionlimit(10**8)
            import ctypes
            def down(): return eval("down()", {"down": down})
            down()
        def test_descriptors():
            keep = []
            while True:
                keep.append(open(os.devnull))
        def test_closes_everything():
            os.closerange(3, 4096)
        def test_after(): pass
    """
    )
    _, written = qe.json("--qe-parallel=1")
    outcomes = written.outcomes()
    assert outcomes["test_overflow"] in ("crashed", "failed")
    assert outcomes["test_descriptors"] in ("crashed", "failed")
    # As serially: pytest's capture files are among what was closed.
    assert outcomes["test_after"] == "error"
