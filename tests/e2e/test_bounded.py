"""What runs programs for the tests: bounded in time, with all that they started."""

from __future__ import annotations

import sys
import time
from pathlib import Path

import pytest

from runs import bounded

HANGS = """
import os, subprocess, sys, time
child = subprocess.Popen(["sleep", "600"])
print(child.pid, flush=True)
time.sleep(600)
"""


def test_status_and_both_streams_are_returned(tmp_path: Path) -> None:
    code = "import os, sys; print(os.getcwd()); sys.exit('to standard error')"
    status, output = bounded.run([sys.executable, "-c", code], 30, tmp_path)
    assert (status, sorted(output.split("\n"))) == (
        1,
        sorted([str(tmp_path), "to standard error", ""]),
    )


def test_the_group_is_killed_when_time_is_up() -> None:
    status, output = bounded.run([sys.executable, "-c", HANGS], 1.0)
    assert status == -9
    child, *_, last = output.split("\n", 1)
    assert last.strip() == "killed after 1 s"
    deadline = time.monotonic() + 10
    while (stat := Path(f"/proc/{child}/stat")).exists() and ") Z " not in stat.read_text():
        if time.monotonic() > deadline:
            pytest.fail(f"process {child} lives on")
        time.sleep(0.02)
