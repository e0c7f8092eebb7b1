"""Ctrl-Z and fg, in a shell with job control on a real terminal."""

from __future__ import annotations

import os
import signal
import time
from pathlib import Path

import pytest

from conftest import HUNG, Qe, processes_with, wait_for
from shell import Shell

TICKS = """
    import time
    def test_it():
        for _ in range(20):
            with open("ticks", "a") as file: file.write("x\\n")
            time.sleep(0.05)
"""


def states(mark: str, word: str) -> list[str]:
    """The states (R, S, T, ...) of the run's processes with a word in their command."""
    found = []
    for pid, command in processes_with(mark).items():
        try:
            stat = Path(f"/proc/{pid}/stat").read_text("utf-8", "replace")
        except OSError:
            continue
        if word in command:
            found.append(stat.rsplit(")", 1)[1].split()[0])
    return found


def mark_of() -> str:
    return "QE_TESTS_MARK=" + os.environ["QE_TESTS_MARK"]


@pytest.mark.parametrize("start", ["--qe-start=fork", "--qe-start=spawn"])
def test_ctrl_z_holds_workers_and_deadlines(qe: Qe, shell: Shell, start: str) -> None:
    """A test is stopped for longer than its limit, twice, and passes."""
    qe.files(test_it=TICKS)
    shell.run("--qe-parallel=2", "--qe-timeout=3", start)
    for count in (3, 8):
        wait_for(lambda count=count: len(qe.lines("ticks")) >= count, "the test")
        shell.type("\x1a")
        shell.wait("topped")
        time.sleep(0.3)
        ticks = len(qe.lines("ticks"))
        assert ticks < 20
        time.sleep(3.2)
        assert len(qe.lines("ticks")) == ticks, "the worker is stopped, too"
        # The controller and its workers; the supervisor and its standby only wait.
        assert states(mark_of(), "pytest").count("T") >= 2
        shell.type("fg\n")
    shell.wait("1 passed")
    assert len(qe.lines("ticks")) == 20


def test_a_limit_holds_after_fg(qe: Qe, shell: Shell) -> None:
    qe.files(
        test_it="""
        import time
        def test_it():
            open("started", "w").write("x\\n")
            while True: time.sleep(0.1)
    """
    )
    shell.run("--qe-parallel=2", "--qe-timeout=2")
    wait_for(lambda: qe.lines("started"), "the test")
    shell.type("\x1a")
    shell.wait("topped")
    time.sleep(1)
    began = time.monotonic()
    shell.type("fg\n")
    shell.wait("Timeout: exceeded 2 s in call")
    assert time.monotonic() - began > 0.5, "what was left of the limit"
    shell.wait("1 failed")


def test_ctrl_c_after_ctrl_z(qe: Qe, shell: Shell) -> None:
    qe.files(test_it=TICKS.replace("range(20)", "range(2000)"))
    shell.run("--qe-parallel=2")
    wait_for(lambda: qe.lines("ticks"), "the test")
    shell.type("\x1a")
    shell.wait("topped")
    ticks = len(qe.lines("ticks"))
    shell.type("fg\n")
    wait_for(lambda: len(qe.lines("ticks")) > ticks + 1, "the test, again")
    shell.type("\x03")
    shell.wait("test_it.py:5: KeyboardInterrupt")


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGHUP])
def test_a_stopped_run_can_be_killed(qe: Qe, shell: Shell, number: int) -> None:
    """No process is left: the fixture looks."""
    qe.files(test_it=TICKS.replace("range(20)", "range(2000)"))
    shell.run("--qe-parallel=2")
    wait_for(lambda: qe.lines("ticks"), "the test")
    shell.type("\x1a")
    shell.wait("topped")
    if number == signal.SIGKILL:
        shell.type("kill -9 %1; fg\n")
    else:
        shell.close()
        shell.fd = os.open(os.devnull, os.O_RDWR)
    wait_for(lambda: not states(mark_of(), "pytest"), "its end")


def test_a_stop_that_nobody_could_undo_is_none(qe: Qe) -> None:
    """Without a shell above it the kernel does not stop the group."""
    qe.files(test_it=TICKS)
    process = qe.popen("--qe-parallel=1")
    wait_for(lambda: qe.lines("ticks"), "the test")
    os.kill(process.pid, signal.SIGTSTP)
    assert process.wait(timeout=HUNG) == 0, qe.output()
    assert len(qe.lines("ticks")) == 20
