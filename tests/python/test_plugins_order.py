"""Plugins that choose which tests run, and in which order."""

from __future__ import annotations

import re
from collections import defaultdict

import pytest

from conftest import Qe

STARTS = pytest.mark.parametrize("start", ["fork", "spawn"])


def ran(qe: Qe, *args: str) -> list[str]:
    """The lines that a run's tests wrote, in order."""
    (qe.path / "ran").unlink(missing_ok=True)
    assert qe.run(*args).ret == 0
    return qe.lines("ran")


ORDERED = """
    import os, random
    import pytest
    @pytest.mark.parametrize("value", range(5))
    def test_it(request, value):
        with open("ran", "a") as file:
            file.write(f"{request.node.nodeid} {random.random()}\\n")
    class TestClass:
        def test_1(self, request): test_it.__wrapped__ if 0 else None
        def test_2(self, request):
            with open("ran", "a") as file: file.write(f"{request.node.nodeid} 0\\n")
"""


def by_file(lines: list[str]) -> dict[str, list[str]]:
    found = defaultdict(list)
    for line in lines:
        found[line.split("::", 1)[0]].append(line)
    return dict(found)


@STARTS
@pytest.mark.parametrize("plugins", [("randomly",), ("randomly", "xdist")], ids=str)
def test_randomly(qe: Qe, plugins: tuple[str, ...], start: str) -> None:
    """The seed gives the order within each file, and every test's numbers; with one
    worker the whole order. (Which worker takes which file is a matter of time.)"""
    qe.use(*plugins)
    qe.files(test_a=ORDERED, test_b=ORDERED, test_c=ORDERED)
    seed = "--randomly-seed=1234"
    serial = ran(qe, seed)
    assert serial != sorted(serial)
    assert ran(qe, seed, "--qe-parallel=1", f"--qe-start={start}") == serial
    parallel = ran(qe, seed, "--qe-parallel=2", "--qe-dist=loadfile", f"--qe-start={start}")
    assert by_file(parallel) == by_file(serial)
    assert ran(qe, "-p", "randomly", "--qe-parallel=1", "--randomly-seed=last") == serial


@STARTS
@pytest.mark.parametrize("plugins", [("random_order",), ("random_order", "xdist")], ids=str)
def test_random_order(qe: Qe, plugins: tuple[str, ...], start: str) -> None:
    qe.use(*plugins)
    source = ORDERED.replace("{random.random()}", "0")
    qe.files(test_a=source, test_b=source, test_c=source)
    for bucket in ("module", "global"):
        args = (f"--random-order-bucket={bucket}", "--random-order-seed=99")
        serial = ran(qe, *args)
        assert serial != sorted(serial)
        assert ran(qe, *args, "--qe-parallel=1", f"--qe-start={start}") == serial
        parallel = ran(qe, *args, "--qe-parallel=2", "--qe-dist=loadfile", f"--qe-start={start}")
        assert by_file(parallel) == by_file(serial)


@STARTS
def test_split(qe: Qe, start: str) -> None:
    qe.use("pytest-split")
    source = "import time\n" + "".join(
        f"def test_{i}(): time.sleep({0.02 * i})\n" for i in range(8)
    )
    qe.files(test_a=source, test_b=source)
    more = ("--qe-parallel=2", f"--qe-start={start}")
    assert qe.run("--store-durations", *more).ret == 0
    stored = (qe.path / ".test_durations").read_text()
    assert stored.count("::test_") == 16
    for group in ("1", "2", "3"):
        args = ("--splits=3", f"--group={group}", "-v")
        serial, parallel = qe.run(*args), qe.run(*args, *more)

        def names(result: pytest.RunResult) -> list[str]:
            return sorted(set(re.findall(r"test_[ab]\.py::test_\d", result.stdout.str())))

        assert names(parallel) == names(serial) != []
        assert parallel.parseoutcomes() == serial.parseoutcomes()
    assert (qe.path / ".test_durations").read_text() == stored
