"""The generated suites that the benchmarks run."""

from __future__ import annotations

from pathlib import Path


def trivial(folder: Path, files: int = 100) -> None:
    """Files of 50 tests that do nothing to speak of."""
    for i in range(files):
        body = "".join(f"def test_{j}():\n    assert {j} + 1 == {j + 1}\n\n" for j in range(50))
        (folder / f"test_m{i:05}.py").write_text(body)


def sleeping(folder: Path, files: int = 50, seconds: float = 1.0) -> None:
    """Files of one test that sleeps."""
    for i in range(files):
        (folder / f"test_s{i:03}.py").write_text(
            f"import time\n\ndef test_sleep():\n    time.sleep({seconds})\n"
        )


def skewed(folder: Path) -> None:
    """40 files of 0.1 s and, last in file order, one of 4 s."""
    sleeping(folder, 40, 0.1)
    (folder / "test_z.py").write_text("import time\n\ndef test_long():\n    time.sleep(4)\n")


def single(folder: Path) -> None:
    """One trivial test."""
    (folder / "test_one.py").write_text("def test_one():\n    pass\n")


_WATCHED = """
import os
import time
import pytest

_seen = []

def _dirty():
    with open("/proc/self/smaps_rollup") as file:
        return next(int(x.split()[1]) for x in file if x.startswith("Private_Dirty"))

def _note(what, value):
    with open(os.environ["BENCH_NOTES"], "a") as file:
        file.write(f"{what} {value}\\n")

@pytest.fixture(scope="session", autouse=True)
def _last():
    _note("began", time.time())
    yield
    _note("end", _dirty())

@pytest.fixture(autouse=True)
def _first(_last):
    yield
    if not _seen:
        _seen.append(True)
        _note("first", _dirty())
"""


def watched(folder: Path) -> None:
    """The trivial suite, whose workers note when they begin and their private
    dirty memory (KiB) after the first test and at the end."""
    trivial(folder)
    (folder / "conftest.py").write_text(_WATCHED)


_FAILING = """
import pathlib
import pytest

@pytest.mark.parametrize("number", range({tests}))
def test_it(number):
    path = pathlib.Path(f"ran-{{number}}")
    runs = len(path.read_bytes()) if path.exists() else 0
    if runs < {failures}:
        path.write_bytes(b"." * (runs + 1))
        pytest.fail("not yet")
    path.unlink(missing_ok=True)
"""


def failing(folder: Path, tests: int, failures: int) -> None:
    """Tests that pass once they have failed so often, and then begin anew."""
    (folder / "test_failing.py").write_text(_FAILING.format(tests=tests, failures=failures))
