"""Values and output that are too large, and values that nothing can hold."""

from __future__ import annotations

import marshal
import re
import xml.etree.ElementTree as ElementTree
from typing import Any

import pytest

from conftest import Qe
from pytest_qe import bounds


def junit(qe: Qe) -> ElementTree.Element:
    # In one piece: parsed bit by bit, a long attribute costs the square of its length.
    return ElementTree.fromstring((qe.path / "junit.xml").read_bytes())


@pytest.mark.parametrize(
    "value",
    [
        "x" * 5000,
        b"x" * 5000,
        [f"{n:0500}" for n in range(90)],
        ("y",) * 5000,
        {"k": {"k": ["x" * 5000]}},
    ],
    ids=["text", "bytes", "list", "tuple", "nested"],
)
def test_everything_can_be_made_smaller(value: Any) -> None:
    sizes = [len(marshal.dumps(bounds.cut(value, kept))) for kept in (2000, 200, 4)]
    assert sizes == sorted(sizes, reverse=True)
    assert sizes[-1] < 2000 < len(marshal.dumps(value))
    assert type(bounds.cut(value, 4)) is type(value)


def test_a_cut_text_keeps_both_ends_and_says_what_is_missing() -> None:
    cut = bounds.cut("a" * 1000 + "b" * 1000, 300)
    assert cut == "a" * 150 + "\n[qe: 1700 of 2000 characters left out]\n" + "b" * 150
    assert bounds.cut("a" * 300, 300) == "a" * 300


def test_a_cut_report_keeps_its_fields_and_says_so() -> None:
    report = {f"field {n}": n for n in range(30)}
    report.update(outcome="failed", sections=[], longrepr="x" * 10_000_000)
    *_, least = bounds.smaller(marshal.dumps(report))
    found = marshal.loads(least)
    assert len(least) < 5000
    assert found["outcome"] == "failed"
    assert found["field 29"] == 29
    assert "10000" in found["sections"][-1][1]


def test_a_report_beyond_the_bound_is_cut_and_says_so(qe: Qe) -> None:
    qe.files(
        test_it="""
        SIZE = 150 << 20
        def test_before(): pass
        def test_huge(record_property):
            record_property("huge", "x" * SIZE)
            raise ValueError("begin" + "y" * SIZE + "end")
        def test_after(): pass
    """
    )
    result = qe.run("--qe-parallel=1", "--junitxml=junit.xml", "--tb=short")
    text = result.stdout.str()
    shown = text.replace("y" * 1000, "Y")  # what a failure of this test prints
    result.assert_outcomes(passed=2, failed=1)
    assert "INTERNALERROR" not in shown
    assert "beginYYY" in shown
    assert re.search(r"Yy*end\n", shown)
    assert re.search(r"\[qe: \d+ of 15728\d+ characters left out\]", shown)
    assert "texts and lists in it are cut to 1048576" in shown
    cases = junit(qe).findall(".//testcase")
    assert len(cases) == 3


def test_50_mb_of_captured_output_are_all_reported(qe: Qe) -> None:
    source = """
        import sys
        def test_it():
            for number in range(500_000): print(f"{number:099}")
            assert 0
        def test_other(): pass
    """
    qe.files(test_it=source)
    result = qe.run("--qe-parallel=2", "-p", "no:terminal", "--junitxml=junit.xml")
    assert result.ret == 1
    (output,) = junit(qe).iter("failure")
    assert output.text is not None
    qe.files(
        conftest="""
        def pytest_runtest_logreport(report):
            if report.failed:
                with open("output", "w") as file: file.write(report.capstdout)
    """
    )
    qe.run("--qe-parallel=2", "-p", "no:terminal")
    lines = qe.lines("output")
    assert len(lines) == 500_000
    assert lines == [f"{number:099}" for number in range(500_000)]


def test_the_bound_of_a_dead_tests_output_is_said(qe: Qe) -> None:
    qe.files(
        test_it="""
        import os
        def test_much():
            for number in range(50_000): print(f"{number:099}")
            print("last words", flush=True)
            os.abort()
        def test_little():
            print("few words", flush=True)
            os.abort()
    """
    )
    result = qe.run("--qe-parallel=1")
    result.assert_outcomes(failed=2)
    much, little = result.stdout.str().split("_ test_little _")
    assert "[qe: the last 1048576 bytes of it]" in much
    assert "last words" in much
    assert "[qe:" not in little.split("short test summary")[0]


@pytest.mark.smoke
def test_values_that_nothing_can_hold(qe: Qe) -> None:
    qe.files(
        test_it="""
        import threading
        class NoRepr:
            def __repr__(self): raise RuntimeError("no repr")
        def test_it(record_property):
            endless = []
            endless.append(endless)
            odd = [NoRepr(), object, threading.Lock(), endless, "\\udc80", b"\\0", 1 << 9999]
            for value in odd:
                record_property("value", value)
        def test_other(): pass
    """
    )
    result = qe.run("--qe-parallel=2", "--junitxml=junit.xml", "-o", "junit_family=xunit1")
    result.assert_outcomes(passed=2)
    found = junit(qe).findall(".//property")
    assert len(found) == 7


@pytest.mark.parametrize("start", ["fork", "spawn"])
@pytest.mark.smoke
def test_a_lone_surrogate_in_an_id(qe: Qe, start: str) -> None:
    qe.files(
        test_it=r"""
        import pytest
        @pytest.mark.parametrize("value", [1, 2], ids=["\udc80", "a\udfff b"])
        def test_it(value): assert value == 2, "\udc80"
        @pytest.mark.parametrize("value", ["\udc80", "\ud800x"])
        def test_value(value): pass
    """
    )
    serial = qe.run()
    result, written = qe.json("--qe-parallel=2", f"--qe-start={start}", "--junitxml=junit.xml")
    result.assert_outcomes(passed=3, failed=1)
    assert result.ret == serial.ret
    assert "INTERNALERROR" not in result.stdout.str() + result.stderr.str()
    assert len(written.tests) == 4
    assert len(junit(qe).findall(".//testcase")) == 4
