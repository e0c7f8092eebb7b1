"""A debugger in a test: one worker owns the terminal, the others wait."""

from __future__ import annotations

import time

import pytest

from conftest import Qe, wait_for
from shell import Shell

STOPS = """
    import time
    def test_stops():
        value = 42
        breakpoint()
        print("went on")
        assert value == 43
    def test_other(): time.sleep(0.5)
"""


@pytest.mark.parametrize(
    "args",
    [
        (), ("-s",), ("--capture=sys",), ("--capture=tee-sys",), ("--log-cli-level=INFO",),
        ("--qe-start=spawn",), ("--qe-start=spawn", "-s"),
    ],
    ids=" ".join,
)  # fmt: skip
def test_breakpoint(qe: Qe, shell: Shell, args: tuple[str, ...]) -> None:
    """For longer than the limit, with a prompt, and the shell is in order after it."""
    qe.files(test_it=STOPS)
    shell.run("--qe-parallel=2", "--qe-timeout=2", *args)
    shell.wait("has the terminal: test_it.py::test_stops")
    shell.wait("(Pdb) ")
    time.sleep(2.5)
    shell.type("p value + 1000\n")
    shell.wait("1042")
    shell.type("value = 43\n")
    shell.wait("(Pdb) ")
    shell.type("c\n")
    shell.wait("2 passed")
    shell.wait("status=0")
    shell.type("echo $((6 * 7))\n")
    shell.wait("\n42")


def test_the_second_waits_for_the_first(qe: Qe, shell: Shell) -> None:
    qe.files(
        test_it="""
        import pytest
        def test_1(): pytest.set_trace(); x = 1
        def test_2(): pytest.set_trace(); x = 2
    """
    )
    shell.run("--qe-parallel=2", "--qe-dist=loadgroup", "--qe-timeout=2")
    for _ in range(2):
        shell.wait("has the terminal")
        shell.wait("(Pdb) ")
        time.sleep(1.5)
        shell.type("p 40 + 2\n")
        shell.wait("42")
        assert "has the terminal" not in shell.seen
        shell.type("c\n")
    shell.wait("2 passed")


def test_what_others_print_is_shown_later(qe: Qe, shell: Shell) -> None:
    qe.files(
        test_it="""
        import os, pytest, time
        def test_stops():
            breakpoint()
            breakpoint()
        @pytest.mark.parametrize("value", range(5))
        def test_it(value):
            while not os.path.exists("go"): time.sleep(0.01)
            print("printed by", value)
            open(f"ran-{value}", "w").close()
    """
    )
    shell.run("--qe-parallel=2", "--qe-dist=loadgroup", "-s", "-v")
    shell.wait("(Pdb) ")
    (qe.path / "go").touch()
    wait_for(lambda: len(list(qe.path.glob("ran-*"))) == 5, "the others")
    time.sleep(0.5)
    shell.type("p 40 + 2\n")
    shell.wait("42")
    assert "printed" not in shell.seen
    shell.type("c\n")
    shell.wait("(Pdb) ")
    assert "printed" not in shell.seen, "the terminal is the test's until it ends"
    shell.type("c\n")
    shell.wait("printed by 4")
    shell.wait("6 passed")


def test_quit(qe: Qe, shell: Shell) -> None:
    qe.files(test_it=STOPS)
    shell.run("--qe-parallel=2")
    shell.wait("(Pdb) ")
    shell.type("q\n")
    shell.wait("Exit: Quitting debugger")
    shell.wait("status=2")


def test_keys_of_the_terminal(qe: Qe, shell: Shell) -> None:
    """Ctrl-C is the debugger's; Ctrl-Z does nothing, as nobody could undo it."""
    qe.files(test_it=STOPS)
    shell.run("--qe-parallel=2")
    shell.wait("(Pdb) ")
    shell.type("\x1a")
    shell.type("while True: pass\n")
    time.sleep(0.5)
    shell.type("\x03")
    shell.wait("KeyboardInterrupt")
    shell.wait("(Pdb) ")
    shell.type("value = 43\n")
    shell.wait("(Pdb) ")
    shell.type("c\n")
    shell.wait("2 passed")


def test_a_worker_that_dies_gives_the_terminal_back(qe: Qe, shell: Shell) -> None:
    qe.files(test_it=STOPS)
    shell.run("--qe-parallel=2")
    shell.wait("(Pdb) ")
    shell.type("import os; os.abort()\n")
    shell.wait("Crashed: killed by SIGABRT in call")
    shell.wait("1 failed, 1 passed")
    shell.wait("status=1")
    shell.type("echo $((6 * 7))\n")
    shell.wait("\n42")


def test_a_run_in_the_background(qe: Qe, shell: Shell) -> None:
    qe.files(test_it=STOPS)
    shell.run("--qe-parallel=2", "&")
    shell.wait("a debugger needs the terminal, and this run is in the background")
    shell.wait("1 failed, 1 passed")


@pytest.mark.parametrize("option", ["--pdb", "--trace"])
def test_options_that_need_one_process(qe: Qe, shell: Shell, option: str) -> None:
    qe.files(test_it="def test_it():\n    value = 42\n    assert value == 43\n")
    shell.run("--qe-parallel=2", option)
    shell.wait(f"qe: {option} needs one process: running serially")
    shell.wait("(Pdb) ")
    shell.type("c\n")
    shell.wait("1 failed")


@pytest.mark.parametrize("args", [(), ("-s",)], ids=["captured", "not captured"])
def test_without_a_terminal(qe: Qe, args: tuple[str, ...]) -> None:
    """Input that is at its end ends the debugger, as serially."""
    qe.files(test_it=STOPS)
    serial = qe.run(*args)
    result = qe.run("--qe-parallel=2", "--qe-timeout=30", *args)
    assert result.ret == serial.ret
    assert result.parseoutcomes() == serial.parseoutcomes()
    assert "Timeout" not in result.stdout.str()


def test_commands_from_a_file(qe: Qe) -> None:
    qe.files(test_it=STOPS)
    (qe.path / "commands").write_text("p value + 1000\nvalue = 43\nc\n", "utf-8")
    with open(qe.path / "commands", "rb") as commands:
        process = qe.popen("--qe-parallel=2", stdin=commands)
        assert process.wait(timeout=60) == 0, qe.output()
    assert "1042" in qe.output()


def test_a_debugger_of_somebody_elses_does_not_hang(qe: Qe) -> None:
    """It does not ask, and reads an empty input."""
    qe.files(
        test_it="""
        import pdb
        def test_it(): pdb.Pdb().set_trace(); x = 1
        def test_other(): pass
    """
    )
    result = qe.run("--qe-parallel=2", "--qe-timeout=30")
    result.assert_outcomes(failed=1, passed=1)
    assert "Timeout" not in result.stdout.str()


def test_breakpoints_that_are_off(qe: Qe) -> None:
    qe.setenv("PYTHONBREAKPOINT", "0")
    qe.files(test_it=STOPS.replace("value = 42", "value = 43"))
    qe.run("--qe-parallel=2").assert_outcomes(passed=2)
