"""What is seen: worker names, live progress, the last line."""

from __future__ import annotations

import fcntl
import os
import pty
import re
import select
import struct
import subprocess
import sys
import termios
import time

import pytest

from conftest import HUNG, Qe

SUITE = """
    import pytest
    def test_passes(): pass
    def test_fails():
        print("printed")
        assert 0
    def test_skips(): pytest.skip("why")
"""


@pytest.mark.smoke
def test_verbose_lines_name_the_worker(qe: Qe) -> None:
    qe.files(test_it=SUITE)
    result = qe.run("--qe-parallel=2", "-v")
    for name, word in (("passes", "PASSED"), ("fails", "FAILED"), ("skips", "SKIPPED")):
        pattern = rf"^\[gw[01]\] \[ *\d+%\] {word} test_it\.py::test_{name} "
        lines = [line for line in result.outlines if re.match(pattern, line)]
        assert len(lines) == 1, name
    percents = [int(p) for p in re.findall(r"^\[gw\d\] \[ *(\d+)%\]", result.stdout.str(), re.M)]
    assert percents == [33, 66, 100]


def test_failures_name_the_worker(qe: Qe) -> None:
    qe.files(test_it=SUITE)
    text = qe.run("--qe-parallel=2").stdout.str()
    assert re.search(r"_ test_fails _+\n\[gw[01]\] linux -- Python ", text)


def test_last_line(qe: Qe) -> None:
    qe.files(
        test_it="import time\n" + "".join(f"def test_{i}(): time.sleep(0.4)\n" for i in range(4))
    )
    result = qe.run("--qe-parallel=4", "--qe-seed=7")
    line = [line for line in result.outlines if line.startswith("qe: 4 workers, ")]
    assert len(line) == 1
    found = re.fullmatch(
        r"qe: 4 workers, (\d+\.\d\d)s wall, (\d+\.\d\d)s of tests, speed-up (\d+\.\d\d), seed 7",
        line[0],
    )
    assert found is not None, line[0]
    wall, tests, speed = map(float, found.groups())
    assert tests >= 1.6
    assert wall >= 0.4
    assert speed == pytest.approx(tests / wall, rel=0.1)
    assert result.outlines.index(line[0]) >= len(result.outlines) - 3


def test_dots_when_not_verbose(qe: Qe) -> None:
    qe.files(test_it=SUITE)
    result = qe.run("--qe-parallel=2")
    [line] = [line for line in result.outlines if line.endswith("[100%]")]
    assert sorted(line.split()[0]) == sorted(".Fs")


def test_no_terminal_sequences_in_a_file(qe: Qe) -> None:
    qe.files(test_it="import time\ndef test_1(): time.sleep(1.5)\ndef test_2(): time.sleep(1.5)")
    for verbose in ((), ("-v",)):
        result = qe.run("--qe-parallel=2", *verbose)
        assert "\x1b" not in result.stdout.str()
        assert "longest" not in result.stdout.str()


def on_a_terminal(qe: Qe, *args: str, columns: int = 100) -> str:
    """What a run writes to a terminal."""
    main, other = pty.openpty()
    fcntl.ioctl(other, termios.TIOCSWINSZ, struct.pack("HHHH", 40, columns, 0, 0))
    environment = {**os.environ, "TERM": "xterm", "COLUMNS": str(columns), "PY_COLORS": "1"}
    process = subprocess.Popen(
        [sys.executable, "-m", "pytest", *args], cwd=qe.path, env=environment,
        stdin=other, stdout=other, stderr=other, start_new_session=True,
    )  # fmt: skip
    os.close(other)
    data = b""
    deadline = time.monotonic() + HUNG
    while time.monotonic() < deadline:
        if select.select([main], [], [], 0.5)[0]:
            try:
                read = os.read(main, 65536)
            except OSError:  # the last writer has closed it
                break
            if not read:
                break
            data += read
        elif process.poll() is not None:
            break
    else:
        process.kill()
    os.close(main)
    assert process.wait(timeout=HUNG) in (0, 1), data
    return data.decode("utf-8", "replace")


LONG = """
    import time
    def test_the_longest(): time.sleep(2.6)
    def test_short_1(): time.sleep(0.1)
    def test_short_2(): time.sleep(0.1)
    def test_middle(): time.sleep(2.2)
"""


@pytest.mark.parametrize("args", [(), ("-v",), ("-q",)], ids=["plain", "verbose", "quiet"])
def test_live_progress_on_a_terminal(qe: Qe, args: tuple[str, ...]) -> None:
    qe.files(test_it=LONG)
    text = on_a_terminal(qe, "--qe-parallel=2", *args)
    shown = re.findall(r"\[(\d)/4\] (\d) running, longest (\d+)s: ([^ ]+)", text)
    assert shown, text
    assert ("2", "test_it.py::test_the_longest") in {(n, name) for _, n, _, name in shown}
    assert "4 passed" in text
    # What remains on the screen holds no progress line.
    assert "running, longest" not in screen(text, 100)
    assert "[100%]" in screen(text, 100)


def screen(text: str, columns: int) -> str:
    """What a terminal shows in the end: just the sequences that we send."""
    rows: list[list[str]] = [[]]
    row = column = 0
    for part in re.findall(
        r"\x1b\[[0-9;?]*[A-Za-z]|\x1b\][^\x07\x1b]*(?:\x07|\x1b\\)|[\s\S]", text
    ):
        if part.startswith("\x1b]"):
            continue
        if part.startswith("\x1b["):
            number = int(re.sub(r"\D", "", part) or 1)
            if part.endswith("A"):
                row = max(0, row - number)
            elif part.endswith("G"):
                column = number - 1
            elif part.endswith("K"):
                rows[row] = rows[row][: 0 if part == "\x1b[2K" else column]
        elif part == "\n":
            row += 1
            while len(rows) <= row:
                rows.append([])
        elif part == "\r":
            column = 0
        else:
            if column >= columns:
                row, column = row + 1, 0
                while len(rows) <= row:
                    rows.append([])
            line = rows[row]
            line.extend(" " * (column + 1 - len(line)))
            line[column] = part
            column += 1
    return "\n".join("".join(line) for line in rows)


def test_progress_fits_a_narrow_terminal(qe: Qe) -> None:
    name = "test_" + "x" * 150
    qe.files(test_it=f"import time\ndef {name}(): time.sleep(2)\ndef test_other(): pass")
    text = on_a_terminal(qe, "--qe-parallel=2", columns=60)
    parts = [part for part in re.split(r"[\r\n]|\x1b\[[0-9;?]*[A-Za-z]", text) if "longest" in part]
    assert parts, text
    assert all(len(part) < 60 for part in parts)


def test_terminal_sequences_in_ids_are_not_sent(qe: Qe) -> None:
    qe.files(
        test_it="""
        import pytest, time
        @pytest.mark.parametrize("value", [1], ids=["\\x1b[31mred\\u202e"])
        def test_it(value): time.sleep(2)
        def test_other(): pass
    """
    )
    text = on_a_terminal(qe, "--qe-parallel=2")
    lines = [part for part in text.split("\n") if "longest" in part]
    assert lines
    assert not any("\x1b[31mred" in line for line in lines)


def test_quick_runs_show_no_progress(qe: Qe) -> None:
    qe.files(test_it=SUITE)
    assert "longest" not in on_a_terminal(qe, "--qe-parallel=2")


def test_without_a_terminal_reporter(qe: Qe) -> None:
    qe.files(test_it=SUITE)
    result = qe.run("--qe-parallel=2", "-p", "no:terminal", "--qe-json=out.json")
    assert result.ret == pytest.ExitCode.TESTS_FAILED
    assert "Traceback" not in result.stderr.str() + result.stdout.str()


@pytest.mark.parametrize("args", [("-q",), ("-qq",), ("-vv",), ("--tb=no",), ("--tb=line",),
                                  ("-rA",), ("--durations=3",), ("--show-capture=no",),
                                  ("--color=yes",), ("-s",), ("--no-header",), ("--no-summary",),
                                  ("--capture=sys",), ("--capture=tee-sys",),
                                  ("--disable-warnings",), ("--log-cli-level=INFO",),
                                  ("--setup-show",)], ids=" ".join)  # fmt: skip
def test_every_kind_of_output_works(qe: Qe, args: tuple[str, ...]) -> None:
    qe.files(test_it=SUITE)
    serial = qe.run(*args)
    result = qe.run("--qe-parallel=2", *args)
    assert result.ret == serial.ret == pytest.ExitCode.TESTS_FAILED
    text = result.stdout.str() + result.stderr.str()
    assert "INTERNALERROR" not in text
    if "passed" in serial.stdout.str():
        assert result.parseoutcomes() == serial.parseoutcomes()
    if args == ("--setup-show",):
        assert "running serially" in text
    if args == ("-s",):
        assert "printed" in text
