"""Ends that are asked for: -x, pytest.exit, Ctrl-C. No process is left by any."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import time

import pytest

from conftest import HUNG, Qe, wait_for

RUNS = """
    import os, time
    import pytest

    @pytest.fixture(scope="session", autouse=True)
    def shared(worker_id):
        open(f"up-{worker_id}", "w").close()
        yield
        open(f"down-{worker_id}", "w").close()

    @pytest.fixture
    def torn_down(request):
        yield
        with open("torn-down", "a") as file: file.write(request.node.name + "\\n")

    @pytest.mark.parametrize("value", range(20))
    def test_it(value, torn_down):
        with open("started", "a") as file: file.write(f"{value}\\n")
        if value == 0:
            return
        HANG
"""


def begin(qe: Qe, hang: str, *args: str) -> subprocess.Popen[bytes]:
    qe.files(test_it=RUNS.replace("HANG", hang))
    process = qe.popen("--qe-parallel=2", *args)
    wait_for(lambda: len(qe.lines("started")) >= 3 or process.poll() is not None, "two tests")
    assert process.poll() is None, qe.output()
    time.sleep(0.2)  # well within the tests
    return process


@pytest.mark.parametrize("whole", [False, True], ids=["the process", "the group"])
@pytest.mark.smoke
def test_ctrl_c(qe: Qe, whole: bool) -> None:
    process = begin(qe, "time.sleep(600)")
    began = time.monotonic()
    (os.killpg if whole else os.kill)(process.pid, signal.SIGINT)
    assert process.wait(timeout=HUNG) == pytest.ExitCode.INTERRUPTED, qe.output()
    assert time.monotonic() - began < 25, "it did not wait for the grace to end"
    text = qe.output()
    assert "KeyboardInterrupt" in text
    assert "1 passed" in text
    assert "INTERNALERROR" not in text
    assert len(qe.lines("started")) == 3, "nothing is started after it"
    assert sorted(path.name for path in qe.path.glob("down-*")) == ["down-gw0", "down-gw1"]
    assert len(qe.lines("torn-down")) == 3, "running tests were torn down"


def test_ctrl_c_twice(qe: Qe) -> None:
    """The tests catch the first; the second does not wait."""
    process = begin(
        qe,
        """
        for _ in range(600):
            try: time.sleep(1)
            except KeyboardInterrupt: pass
    """,
    )
    os.kill(process.pid, signal.SIGINT)
    time.sleep(1)
    assert process.poll() is None
    began = time.monotonic()
    os.kill(process.pid, signal.SIGINT)
    assert process.wait(timeout=HUNG) == pytest.ExitCode.INTERRUPTED, qe.output()
    assert time.monotonic() - began < 20
    assert "1 passed" in qe.output()


def test_grace_ends_by_itself(qe: Qe) -> None:
    process = begin(
        qe,
        """
        for _ in range(600):
            try: time.sleep(1)
            except KeyboardInterrupt: pass
    """,
        "--qe-grace=1",
    )
    began = time.monotonic()
    os.kill(process.pid, signal.SIGINT)
    assert process.wait(timeout=HUNG) == pytest.ExitCode.INTERRUPTED, qe.output()
    assert 0.8 < time.monotonic() - began < 20


def test_ctrl_c_leaves_nothing_that_tests_started(qe: Qe) -> None:
    process = begin(qe, "__import__('subprocess').run(['sleep', '600'], start_new_session=True)")
    os.kill(process.pid, signal.SIGINT)
    assert process.wait(timeout=HUNG) == pytest.ExitCode.INTERRUPTED
    # The fixture looks whether any process is left.


def test_ctrl_c_with_spawned_workers(qe: Qe) -> None:
    process = begin(qe, "time.sleep(600)", "--qe-start=spawn")
    os.kill(process.pid, signal.SIGINT)
    assert process.wait(timeout=HUNG) == pytest.ExitCode.INTERRUPTED, qe.output()
    assert len(qe.lines("started")) == 3


def test_ctrl_c_writes_the_json(qe: Qe) -> None:
    import json

    process = begin(qe, "time.sleep(600)", "--qe-json=out.json")
    os.kill(process.pid, signal.SIGINT)
    process.wait(timeout=HUNG)
    written = json.loads((qe.path / "out.json").read_text())
    assert written["run"]["interrupted"] is True
    outcomes = [test["outcome"] for test in written["tests"]]
    assert outcomes.count("passed") == 1
    assert outcomes.count("none") >= 17


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM, signal.SIGHUP])
def test_whatever_kills_the_controller_no_process_is_left(qe: Qe, number: int) -> None:
    process = begin(qe, "__import__('subprocess').run(['sleep', '600'], start_new_session=True)")
    os.kill(process.pid, number)
    assert process.wait(timeout=HUNG) != 0
    # The fixture looks whether any process is left.


def test_ctrl_c_in_a_hunt_reports_what_it_saw(qe: Qe) -> None:
    qe.files(
        test_it="""
        import time
        def test_1():
            with open("started", "a") as file: file.write("x\\n")
        def test_2(): time.sleep(0.3)
    """
    )
    process = qe.popen("--qe-flaky=1000", "--qe-flaky-mode=fixed", "--qe-parallel=2")
    wait_for(lambda: len(qe.lines("started")) > 6, "passes")
    os.kill(process.pid, signal.SIGINT)
    assert process.wait(timeout=HUNG) == pytest.ExitCode.INTERRUPTED
    assert "STABLE_PASS" in qe.output() or "2 passing" in qe.output()


# -------------------------------------------------------------- -x, --maxfail


@pytest.mark.parametrize(("args", "failures"), [(("-x",), 1), (("--maxfail=3",), 3)])
def test_maxfail_starts_nothing_after(qe: Qe, args: tuple[str, ...], failures: int) -> None:
    qe.files(
        test_it="""
        import time
        import pytest
        @pytest.mark.parametrize("value", range(60))
        def test_it(value):
            with open("started", "a") as file: file.write(f"{value}\\n")
            time.sleep(0.03)
            assert value % 10 != 5
    """
    )
    result, written = qe.json("--qe-parallel=2", *args)
    assert result.ret == pytest.ExitCode.TESTS_FAILED
    assert re.search(rf"stopping after [{failures}-{failures + 1}] failures", result.stdout.str())
    outcomes = list(written.outcomes().values())
    # What the other worker was at when the last failure was known may end.
    assert failures <= outcomes.count("failed") <= failures + 1
    assert len(qe.lines("started")) < 10 * failures * 2 + 6
    assert outcomes.count("none") == 60 - len(qe.lines("started"))


@pytest.mark.parametrize(
    "args",
    [("--qe-flaky=4",), ("--qe-retries=2",), ("--qe-isolate",), ("--qe-dist=loadfile",)],
    ids=" ".join,
)
def test_x_starts_nothing_after_whatever_runs(qe: Qe, args: tuple[str, ...]) -> None:
    """One worker: nothing runs beside the failure, and so nothing after it."""
    qe.files(test_it="""
        import pytest
        @pytest.fixture(scope="session", autouse=True)
        def up():
            with open("up", "a") as file: file.write("up\\n")
            yield
            with open("up", "a") as file: file.write("down\\n")
        @pytest.mark.parametrize("n", range(10))
        def test_it(n):
            with open("ran", "a") as file: file.write(f"{n}\\n")
            assert n != 3
    """)  # fmt: skip
    result = qe.run("--qe-parallel=1", "-x", *args)
    assert result.ret == pytest.ExitCode.TESTS_FAILED
    assert result.parseoutcomes()["failed"] == 1
    result.stdout.fnmatch_lines(["*stopping after 1 failures*"])
    ran = qe.lines("ran")
    if args == ("--qe-retries=2",):
        # What may still pass is no failure yet, and what else there is goes on.
        assert ran.count("3") == 3
    else:
        assert ran == ["0", "1", "2", "3"]
    assert qe.lines("up").count("up") == qe.lines("up").count("down") >= 1


def test_maxfail_tears_every_worker_down(qe: Qe) -> None:
    qe.files(
        test_it="""
        import time
        import pytest
        @pytest.fixture(scope="session", autouse=True)
        def shared(worker_id):
            open(f"up-{worker_id}", "w").close()
            yield
            open(f"down-{worker_id}", "w").close()
        @pytest.mark.parametrize("value", range(20))
        def test_it(value):
            time.sleep(0.1)
            assert value != 5
    """
    )
    qe.run("--qe-parallel=3", "-x")
    ups = {path.name[3:] for path in qe.path.glob("up-*")}
    downs = {path.name[5:] for path in qe.path.glob("down-*")}
    assert ups == downs
    assert len(ups) == 3


@pytest.mark.parametrize("body", ["pytest.exit('enough')", "pytest.exit('enough', returncode=17)"])
def test_exit(qe: Qe, body: str) -> None:
    qe.files(
        test_it=f"""
        import time
        import pytest
        @pytest.mark.parametrize("value", range(20))
        def test_it(value):
            with open("started", "a") as file: file.write(f"{{value}}\\n")
            if value == 2: {body}
            time.sleep(0.05)
    """
    )
    serial = qe.run()
    (qe.path / "started").unlink()
    result = qe.run("--qe-parallel=2")
    assert result.ret == serial.ret
    assert len(qe.lines("started")) < 15
    assert "enough" in result.stdout.str()
    assert "INTERNALERROR" not in result.stdout.str()


@pytest.mark.parametrize("kind", ["shouldstop", "shouldfail"])
def test_a_conftest_that_stops_the_session(qe: Qe, kind: str) -> None:
    qe.files(
        conftest=f"""
        def pytest_runtest_teardown(item):
            if item.name == "test_it[2]":
                item.session.{kind} = "asked by the conftest"
        """,
        test_it="""
        import pytest, time
        @pytest.mark.parametrize("value", range(30))
        def test_it(value):
            with open("started", "a") as file: file.write("x\\n")
            time.sleep(0.05)
        """,
    )
    serial = qe.run()
    (qe.path / "started").unlink()
    result = qe.run("--qe-parallel=2")
    assert result.ret == serial.ret
    assert "asked by the conftest" in result.stdout.str()
    assert len(qe.lines("started")) < 20


def test_a_test_that_raises_keyboard_interrupt(qe: Qe) -> None:
    qe.files(
        test_it="""
        import pytest, time
        @pytest.mark.parametrize("value", range(30))
        def test_it(value):
            with open("started", "a") as file: file.write("x\\n")
            if value == 2: raise KeyboardInterrupt
            time.sleep(0.05)
    """
    )
    result = qe.run("--qe-parallel=2")
    assert result.ret == pytest.ExitCode.INTERRUPTED
    assert len(qe.lines("started")) < 20


def test_python_dash_c_in_process_twice(qe: Qe) -> None:
    qe.files(test_it="import time\ndef test_1(): pass\ndef test_2(): assert 0\n")
    code = (
        "import pytest, os\n"
        "args = ['--qe-parallel=2', '-p', 'no:cacheprovider']\n"
        "print('first', int(pytest.main(args)))\n"
        "print('second', int(pytest.main([*args, '-k', 'test_1'])))\n"
        "print('fds', len(os.listdir('/proc/self/fd')))\n"
        "for _ in range(3): pytest.main(args)\n"
        "print('fds', len(os.listdir('/proc/self/fd')))\n"
    )
    result = qe.pytester.run(sys.executable, "-c", code, timeout=HUNG)
    lines = result.outlines
    assert "first 1" in lines
    assert "second 0" in lines
    counts = [line for line in lines if line.startswith("fds ")]
    assert len(counts) == 2
    assert counts[0] == counts[1], "descriptors leak"
