"""What is printed and logged while tests run: ``-s``, live logs, the log file."""

from __future__ import annotations

import os
import re
import signal

import pytest
from _pytest.logging import LoggingPlugin

from conftest import HUNG, Qe, wait_for

STARTS = pytest.mark.parametrize("start", ["--qe-start=fork", "--qe-start=spawn"])


# -------------------------------------------------------------------------- -s


@STARTS
@pytest.mark.parametrize("how", ["-s", "-pno:capture", "--capture=tee-sys"])
def test_lines_have_the_name_of_their_worker(qe: Qe, start: str, how: str) -> None:
    qe.files(
        test_it="""
        import os, pytest, subprocess, sys
        @pytest.mark.parametrize("value", range(20))
        def test_it(value, worker_id):
            for i in range(30):
                print(worker_id, "out", value, i)
                print(worker_id, "err", value, i, file=sys.stderr)
            if HOW != "--capture=tee-sys":
                os.write(1, f"{worker_id} write {value}\\n".encode())
                subprocess.run(["echo", worker_id, "child", str(value)])
    """.replace("HOW", repr(how))
    )
    result = qe.run("--qe-parallel=3", start, how)
    result.assert_outcomes(passed=20)
    for stream, kind in ((result.outlines, "out"), (result.errlines, "err")):
        found = [line for line in stream if f" {kind} " in line]
        expected = {f"{kind} {value} {i}" for value in range(20) for i in range(30)}
        assert len(found) == len(expected)
        assert {re.sub(r"^\[(gw\d)\] \1 ", "", line) for line in found} == expected
    if how != "--capture=tee-sys":
        for kind in ("write", "child"):
            found = [line for line in result.outlines if f" {kind} " in line]
            wanted = {f"{kind} {value}" for value in range(20)}
            assert {re.sub(r"^\[(gw\d)\] \1 ", "", line) for line in found} == wanted


@pytest.mark.parametrize("args", [(), ("-v",), ("-q",)], ids=["plain", "verbose", "quiet"])
def test_lines_do_not_mix_with_the_reporters(qe: Qe, args: tuple[str, ...]) -> None:
    qe.files(
        test_it="""
        import pytest, time
        @pytest.mark.parametrize("value", range(40))
        def test_it(value):
            print("before", value)
            time.sleep(0.002)
            print("after", value)
    """
    )
    result = qe.run("--qe-parallel=3", "-s", *args)
    text = result.stdout.str()
    start = text.index("collected 40 items") + 18 if "-q" not in args else 0
    body = text[start : text.index("qe: 3 workers,")].splitlines()
    ours = r"\[gw\d\] (before|after) \d+"
    theirs = r"\.+|\[gw\d\] PASSED test_it.py::test_it\[\d+\] |qe: 3 workers by .*|"
    assert [line for line in body if not re.fullmatch(f"{ours}|{theirs}", line)] == []
    assert sum(bool(re.fullmatch(ours, line)) for line in body) == 80


@STARTS
def test_lines_appear_while_the_test_runs(qe: Qe, start: str) -> None:
    qe.files(
        test_it="""
        import os, time
        def test_it():
            print("asks")
            while not os.path.exists("answer"): time.sleep(0.01)
        def test_other(): pass
    """
    )
    process = qe.popen("--qe-parallel=2", "--qe-timeout=40", "-s", start)
    wait_for(lambda: "] asks\n" in qe.output(), "the line")
    (qe.path / "answer").touch()
    assert process.wait(timeout=HUNG) == 0


def test_lines_that_are_not_ended(qe: Qe) -> None:
    qe.files(
        test_it=r"""
        import sys
        def test_1(): print("one", end="")
        def test_2():
            print("two", end="", flush=True)
            print(" more", end="")
            print("err", end="", file=sys.stderr)
        def test_3(): print("  0 %\r 50 %\r100 %\r")
        def test_4():
            sys.stdout.buffer.write(b"bytes \xff\xfe\n")
            print("x" * 300_000)
    """
    )
    result = qe.popen("--qe-parallel=1", "-s")
    assert result.wait(timeout=HUNG) == 0
    written = (qe.path / "out.txt").read_bytes().split(b"\n")
    ours = [line for line in written if line.startswith(b"[gw0] ")]
    long = [line for line in ours if b"xx" in line]
    # The last part of what is too long may be its end alone.
    assert [line for line in ours if b"xx" not in line and line != b"[gw0] "] == [
        b"[gw0] one", b"[gw0] two moreerr",
        b"[gw0]   0 %\r[gw0]  50 %\r[gw0] 100 %\r",
        b"[gw0] bytes \xff\xfe",
    ]  # fmt: skip
    # What is too long is printed in parts, each with the name.
    assert sum(line.count(b"x") for line in long) == 300_000


@STARTS
@pytest.mark.parametrize("end", ["os.abort()", "os._exit(3)", "time.sleep(600)"])
def test_what_a_dead_worker_had_printed(qe: Qe, start: str, end: str) -> None:
    qe.files(
        test_it=f"""
        import os, time
        def test_it():
            for i in range(1000): print("line", i)
            os.write(1, b"last words")
            {end}
        def test_other(): print("other")
    """
    )
    result = qe.run("--qe-parallel=2", "--qe-timeout=3", "-s", start)
    result.assert_outcomes(failed=1, passed=1)
    text = result.stdout.str()
    for i in range(1000):
        assert re.search(rf"^\[gw\d\] line {i}$", text, re.M), i
    assert re.search(r"^\[gw\d\] last words$", text, re.M)
    assert re.search(r"^\[gw\d\] other$", text, re.M)


def test_much_output_waits_for_nobody(qe: Qe) -> None:
    qe.files(
        test_it="""
        import pytest
        @pytest.mark.parametrize("value", range(3))
        def test_it(value):
            for i in range(4000): print("x" * 1000)
    """
    )
    result = qe.run("--qe-parallel=3", "--qe-timeout=50", "-s")
    result.assert_outcomes(passed=3)
    assert len([line for line in result.outlines if line.endswith("] " + "x" * 1000)]) == 12000


def test_one_worker_that_was_not_asked_for_has_no_name(qe: Qe) -> None:
    qe.files(test_it="def test_it(): print('printed')")
    result = qe.run("--qe-timeout=50", "-s")
    assert "printed" in result.outlines


# ------------------------------------------------------------------- live logs

LOGS = """
    import logging, time
    import pytest
    log = logging.getLogger("some")
    @pytest.fixture(scope="session")
    def shared():
        yield
    @pytest.fixture
    def fixture():
        log.info("up\\nin two lines")
        yield
        log.warning("down")
    @pytest.mark.parametrize("value", range(6))
    def test_it(value, shared, fixture):
        log.info("first of %s", value)
        log.debug("not shown")
        time.sleep(0.01)
        log.error("second of %s", value)
        print("captured")
    def test_silent(): pass
    def test_down_only(fixture): assert 0
"""


def blocks(lines: list[str]) -> list[list[str]]:
    """Each test's lines of a live log, from its id on."""
    found: list[list[str]] = []
    for line in [re.sub("==+", "=", line) for line in lines]:
        line = line.rstrip()
        if line.endswith("= FAILURES ="):
            break
        if re.fullmatch(r"test_it\.py::\S+", line):
            found.append([line])
        elif found and re.match(r"-+ live log|[A-Z]+ +some:|in two", line):
            found[-1].append(re.sub("-+", "-", line))
    return sorted(found)


@STARTS
def test_live_logs(qe: Qe, start: str) -> None:
    qe.files(test_it=LOGS)
    serial = qe.run("--log-cli-level=INFO")
    result = qe.run("--qe-parallel=3", "--log-cli-level=INFO", start)
    assert result.parseoutcomes() == serial.parseoutcomes()
    expected = blocks(serial.outlines)
    assert len(expected) == 7
    assert [len(block) for block in expected[:2]] == [6, 9]
    found = []
    for worker in range(3):
        name = f"[gw{worker}] "
        lines = [line[len(name) :] for line in result.outlines if line.startswith(name)]
        found += blocks(lines)
    assert sorted(found) == expected
    # No line of a log is without a name, and each test's result has a line.
    assert not [line for line in result.outlines if re.match("-+ live log", line)]
    assert len(re.findall(r"(?m)^\[gw\d\] \[.*%\] PASSED ", result.stdout.str())) == 7


def test_live_logs_of_a_session_fixture(qe: Qe) -> None:
    qe.files(
        test_it="""
        import logging, pytest
        @pytest.fixture(scope="session")
        def shared():
            yield
            logging.warning("the end")
        def test_it(shared): logging.warning("the test")
    """
    )
    lines = qe.run("--qe-parallel=2", "-o", "log_cli=true").outlines
    logged = [
        re.sub("-+ ?", "", line).rstrip() for line in lines if re.match(r"\[gw0\] [^\[]", line)
    ]
    assert logged == [
        "[gw0] test_it.py::test_it",
        "[gw0] live log call",
        "[gw0] WARNING  root:test_it.py:6 the test",
        "[gw0] live log teardown",
        "[gw0] WARNING  root:test_it.py:5 the end",
    ]


def test_live_log_formats(qe: Qe) -> None:
    qe.files(test_it="import logging\ndef test_it(): logging.warning('text'); logging.warning('')")
    args = ["--log-cli-level=INFO", "--log-cli-format=%(message)s|", "--color=yes"]
    serial = qe.run(*args).stdout.str()
    text = qe.run("--qe-parallel=1", *args).stdout.str()
    assert "\ntext|\n|\n" in serial
    assert "\n[gw0] text|\n[gw0] |\n" in text
    assert re.search(r"\n\[gw0\] \x1b\[1m-+ live log call -+\x1b\[0m\n", text)


# ---------------------------------------------------------------- the log file

RECORDS = """
    import logging, os, pytest
    @pytest.mark.parametrize("value", range(24))
    def test_it(value):
        for i in range(20):
            logging.info("record %s-%s %s end", value, i, "x" * (50_000 if i == 7 else 10))
        logging.debug("not written")
        if value == DIES: os.kill(os.getpid(), 9)
"""


@STARTS
@pytest.mark.parametrize("mode", ["w", "a"])
def test_the_log_file(qe: Qe, start: str, mode: str) -> None:
    """Each record of each worker once, whole, and those of a killed one, too."""
    qe.files(
        conftest="""
        import logging
        def pytest_sessionstart(): logging.warning("session starts")
        def pytest_collection_finish(): logging.warning("collected")
        def pytest_sessionfinish(): logging.warning("session ends")
        """,
        test_it=RECORDS.replace("DIES", "11"),
    )
    if mode == "a" and not hasattr(LoggingPlugin(qe.pytester.parseconfig()), "log_file_mode"):
        pytest.skip("this pytest has no log_file_mode")
    (qe.path / "log").mkdir()
    (qe.path / "log" / "file.txt").write_text("of an earlier run\n", "utf-8")
    args = ["--log-file=log/file.txt", "--log-file-level=INFO", "-o", f"log_file_mode={mode}"]
    result = qe.run("--qe-parallel=4", start, *args)
    result.assert_outcomes(passed=23, failed=1)
    lines = qe.lines("log/file.txt")
    if mode == "a":
        assert lines.pop(0) == "of an earlier run"
    pattern = r"INFO +root:test_it\.py:\d+ record (\d+)-(\d+) x+ end"
    found = [re.fullmatch(pattern, line) for line in lines]
    assert sorted((int(m[1]), int(m[2])) for m in found if m) == [
        (value, i) for value in range(24) for i in range(20)
    ]
    others = [re.sub("^.*:[0-9]+ ", "", line) for line in lines if "record" not in line]
    if start == "--qe-start=fork":
        assert others == ["session starts", "collected", "session ends"]
    else:  # its workers are sessions of their own, which write from their first test on
        assert others[:2] == ["session starts", "collected"]
        assert others[-1] == "session ends"


def test_a_log_file_of_each_test(qe: Qe) -> None:
    qe.files(
        conftest="""
        import pytest
        @pytest.hookimpl(wrapper=True)
        def pytest_runtest_setup(item):
            plugin = item.config.pluginmanager.get_plugin("logging-plugin")
            plugin.set_log_path(f"logs/{item.name}.txt")
            yield
        """,
        test_it="""
        import logging, pytest
        @pytest.mark.parametrize("value", range(12))
        def test_it(value): logging.warning("record of %s", value)
        """,
    )
    qe.run("--qe-parallel=3").assert_outcomes(passed=12)
    for value in range(12):
        [line] = qe.lines(f"logs/test_it[{value}].txt")
        assert line.endswith(f"record of {value}")


def test_a_log_file_without_captured_logs(qe: Qe) -> None:
    """Ctrl-C keeps what was written."""
    qe.files(
        test_it="""
        import logging, time
        def test_it():
            logging.warning("begins")
            open("started", "w").write("x\\n")
            time.sleep(600)
    """
    )
    process = qe.popen("--qe-parallel=2", "--log-file=log.txt", "--show-capture=no")
    wait_for(lambda: qe.lines("started"), "the test")
    os.kill(process.pid, signal.SIGINT)
    assert process.wait(timeout=HUNG) == pytest.ExitCode.INTERRUPTED
    assert [line.split()[-1] for line in qe.lines("log.txt")] == ["begins"]
