"""``@pytest.mark.qe``: what it takes, and tests that run with no neighbour."""

from __future__ import annotations

from itertools import pairwise

import pytest

from conftest import Qe


@pytest.mark.parametrize(
    ("marker", "words"),
    [
        ("timeout=0", "timeout=0"),
        ("timeout=-1", "timeout=-1"),
        ("timeout='x'", "timeout='x'"),
        ("timeout=True", "timeout=True"),
        ("timeout=float('nan')", "timeout=nan"),
        ("retries=-1", "retries=-1"),
        ("retries=1.5", "retries=1.5"),
        ("retries='x'", "retries='x'"),
        ("retries=None", "retries=None"),
        ("retries=101", "retries=101"),
        ("serial=1", "serial=1"),
        ("serial='yes'", "serial='yes'"),
        ("group=''", "group=''"),
        ("group=1", "group=1"),
        ("timout=1", "timout"),
        ("5", "keywords only"),
    ],
)
def test_a_bad_marker_is_a_usage_error(qe: Qe, marker: str, words: str) -> None:
    qe.files(
        test_it=f"""
        import pytest
        def test_other(): open("ran", "w")
        @pytest.mark.qe({marker})
        def test_marked(): open("ran", "w")
    """
    )
    result = qe.run("--qe-parallel=2")
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    text = result.stdout.str() + result.stderr.str()
    assert "test_it.py::test_marked" in text
    assert "@pytest.mark.qe" in text
    assert words in text
    assert "Traceback" not in text
    assert "INTERNALERROR" not in text
    assert not (qe.path / "ran").exists()


def test_the_marker_is_known_without_options(qe: Qe) -> None:
    qe.files(
        test_it="""
        import pytest
        @pytest.mark.qe(timeout=5, retries=2, serial=True, group="one")
        def test_it(): pass
        @pytest.mark.xdist_group("one")
        def test_group(): pass
    """
    )
    qe.run("--strict-markers").assert_outcomes(passed=2)
    text = qe.run("--markers").stdout.str()
    assert "@pytest.mark.qe(timeout=None, retries=0, serial=False, group=None)" in text
    assert "@pytest.mark.xdist_group(name)" in text


SERIAL = """
    import time
    import pytest

    def log(name):
        began = time.monotonic()
        time.sleep(0.05)
        with open("times", "a") as file:
            file.write(f"{name} {began} {time.monotonic()}\\n")

    @pytest.mark.parametrize("value", range(8))
    def test_free(value): log(f"free{value}")

    @pytest.mark.qe(serial=True)
    @pytest.mark.parametrize("value", range(3))
    def test_serial(value): log(f"serial{value}")

    @pytest.mark.parametrize("value", range(8, 16))
    def test_late(value): log(f"free{value}")
"""


def intervals(qe: Qe) -> dict[str, tuple[float, float]]:
    found = {}
    for line in qe.lines("times"):
        name, began, ended = line.split()
        found[name] = (float(began), float(ended))
    return found


@pytest.mark.parametrize("args", [("--qe-dist=worksteal",), ("--qe-dist=loadgroup",),
                                  ("--qe-dist=loadfile",), ("--qe-isolate",),
                                  ("--qe-start=spawn",)], ids=" ".join)  # fmt: skip
def test_serial_tests_overlap_nobody(qe: Qe, args: tuple[str, ...]) -> None:
    qe.files(
        test_a=SERIAL, test_b=SERIAL.replace('f"free', 'f"b-free').replace("serial{", "b-serial{")
    )
    qe.run("--qe-parallel=3", *args).assert_outcomes(passed=38)
    times = intervals(qe)
    assert len(times) == 38
    overlaps = []
    for name, (began, ended) in times.items():
        for other, (other_began, other_ended) in times.items():
            if name < other and began < other_ended and other_began < ended:
                overlaps.append((name, other))
    assert overlaps, "the others ran side by side"
    assert not [pair for pair in overlaps if "serial" in pair[0] + pair[1]]


def test_serial_of_a_class_and_a_module(qe: Qe) -> None:
    qe.files(
        test_a="""
        import pytest, time
        pytestmark = pytest.mark.qe(serial=True)
        def log(name):
            began = time.monotonic()
            time.sleep(0.05)
            with open("times", "a") as file:
                file.write(f"{name} {began} {time.monotonic()}\\n")
        def test_1(): log("1")
        def test_2(): log("2")
        class TestClass:
            def test_3(self): log("3")
            @pytest.mark.qe(serial=False)
            def test_4(self): log("4")
    """
    )
    qe.run("--qe-parallel=2").assert_outcomes(passed=4)
    times = sorted(intervals(qe).values())
    assert all(a[1] <= b[0] for a, b in pairwise(times))


def test_serial_with_retries_and_timeout(qe: Qe) -> None:
    qe.files(
        test_it="""
        import os, time
        import pytest
        @pytest.mark.qe(serial=True, retries=1, timeout=0.7)
        def test_serial():
            if not os.path.exists("tried"):
                open("tried", "w").close()
                time.sleep(600)
        def test_other(): pass
    """
    )
    _, written = qe.json("--qe-parallel=2")
    assert written.outcomes() == {"test_serial": "flaky", "test_other": "passed"}


def test_a_marker_added_by_a_conftest(qe: Qe) -> None:
    qe.files(
        conftest="""
        import pytest
        def pytest_collection_modifyitems(items):
            for item in items:
                if "slow" in item.name:
                    item.add_marker(pytest.mark.qe(timeout=0.5))
        """,
        test_it="import time\ndef test_slow(): time.sleep(600)\ndef test_other(): pass",
    )
    _, written = qe.json("--qe-parallel=2")
    assert written.outcomes() == {"test_slow": "timeout", "test_other": "passed"}
