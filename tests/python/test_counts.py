"""Counts of tests from results that are missing, cut off, or meant to harm."""

from __future__ import annotations

import json
import os
import random
import time
from pathlib import Path
from typing import Any

import pytest

from pytest_qe import counts
from pytest_qe.frameworks import Command

CASES = '<testcase name="one"/><testcase name="two"><failure message="no">it</failure></testcase>'
JUNIT = f'<?xml version="1.0"?>\n<testsuites><testsuite name="a">{CASES}</testsuite></testsuites>\n'
JEST: dict[str, Any] = {
    "numPassedTests": 1,
    "numFailedTests": 1,
    "testResults": [
        {
            "name": "/a.js",
            "status": "failed",
            "message": "",
            "assertionResults": [
                {"status": "passed", "fullName": "one", "failureMessages": []},
                {"status": "failed", "fullName": "two", "failureMessages": ["no"]},
            ],
        }
    ],
}
LIST = {
    "tests": [
        {"name": "one", "outcome": "passed", "message": ""},
        {"name": "two", "outcome": "failed", "message": "no"},
    ]
}
GO = "\n".join(
    json.dumps({"Package": "a", **event})
    for event in (
        {"Action": "start"},
        {"Action": "run", "Test": "One"},
        {"Action": "pass", "Test": "One"},
        {"Action": "run", "Test": "Two"},
        {"Action": "output", "Test": "Two", "Output": "no\n"},
        {"Action": "fail", "Test": "Two"},
        {"Action": "fail"},
    )
)
CARGO = """
running 2 tests
test one ... ok
test two ... FAILED

failures:

---- two stdout ----
no

failures:
    two

test result: FAILED. 1 passed; 1 failed; 0 ignored; 0 measured; 0 filtered out; finished in 0.00s
"""
UNITTEST = f""".F
{"=" * 70}
FAIL: test_two (a.T.test_two)
{"-" * 70}
AssertionError: no

{"-" * 70}
Ran 2 tests in 0.001s

FAILED (failures=1)
"""
TAP = "TAP version 13\n1..2\nok 1 - one\nnot ok 2 - two\n"

FILES = {
    "junit": JUNIT, "pytest": JUNIT, "ctest": JUNIT, "playwright": JUNIT,
    "jest": json.dumps(JEST), "list": json.dumps(LIST),
}  # fmt: skip
PRINTED = {"go": (GO, ""), "cargo": (CARGO, ""), "unittest": ("", UNITTEST), "tap": (TAP, "")}


def command(kind: str, report: Path | None = None) -> Command:
    return Command("x", "a", ("x",), "/", report=str(report) if report else None, kind=kind)


def of_file(kind: str, data: bytes | str, path: Path) -> counts.TestCounts | None:
    path.write_bytes(data.encode("utf-8") if isinstance(data, str) else data)
    return counts.read(command(kind, path), 1, "", "")


def numbers(found: counts.TestCounts | None) -> list[int] | None:
    return list(found.as_dict().values()) if found else None


@pytest.fixture
def report(tmp_path: Path) -> Path:
    return tmp_path / "1.report"


@pytest.mark.parametrize("kind", FILES)
def test_a_report_that_is_cut_off_anywhere_is_none(kind: str, report: Path) -> None:
    whole = FILES[kind].rstrip().encode()
    found = of_file(kind, whole, report)
    assert numbers(found) == [2, 1, 1, 0, 0]
    assert found is not None
    assert sorted(case["outcome"] for case in found.cases) == ["failed", "passed"]
    assert all(case["name"] for case in found.cases)
    for at in range(len(whole)):
        assert of_file(kind, whole[:at], report) is None, whole[:at]


@pytest.mark.parametrize("kind", PRINTED)
def test_what_is_printed_and_cut_off_is_never_a_wrong_count(kind: str) -> None:
    for which in (0, 1):
        whole = PRINTED[kind][which]
        for at in range(len(whole) + 1):
            texts = list(PRINTED[kind])
            texts[which] = whole[:at]
            found = counts.read(command(kind), 1, *texts)
            assert numbers(found) in (None, [2, 1, 1, 0, 0]), texts
    assert numbers(counts.read(command(kind), 1, *PRINTED[kind])) == [2, 1, 1, 0, 0]


@pytest.mark.parametrize("kind", PRINTED)
def test_what_the_core_has_cut_out_is_none(kind: str) -> None:
    note = "\n[qe: 17 bytes were left out here; 262144 are kept of each stream]\n"
    stdout, stderr = PRINTED[kind]
    assert counts.read(command(kind), 1, stdout + note, stderr) is None
    assert counts.read(command(kind), 1, stdout, note + stderr) is None


@pytest.mark.parametrize("kind", [*FILES, *PRINTED])
def test_noise_is_no_exception_and_no_count(kind: str, report: Path) -> None:
    dice = random.Random(7)
    for _ in range(200):
        if kind in FILES:
            data = bytearray(FILES[kind].encode())
            for _ in range(dice.randint(1, 4)):
                data[dice.randrange(len(data))] = dice.randrange(256)
            found = of_file(kind, bytes(data), report)
        else:
            text = list(PRINTED[kind][kind == "unittest"])
            for _ in range(dice.randint(1, 4)):
                text[dice.randrange(len(text))] = chr(dice.randrange(256))
            texts = ("", "".join(text)) if kind == "unittest" else ("".join(text), "")
            found = counts.read(command(kind), 1, *texts)
        if found is not None:
            assert found.total == found.passed + found.failed + found.skipped + found.errors
            assert min(found.as_dict().values()) >= 0


BOMB = '<!DOCTYPE a [<!ENTITY a "ha"><!ENTITY b "&a;&a;&a;&a;&a;&a;&a;&a;">]>'
FILE = '<!DOCTYPE a [<!ENTITY a SYSTEM "file:///etc/hostname">]>'


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"\xff\xfe<\0a\0/\0>\0",
        JUNIT.replace("one", "\udcff").encode("utf-8", "surrogateescape"),
        JUNIT.encode("utf-16"),
        JUNIT.replace('"1.0"', '"1.0" encoding="utf-7"'),
        "<html><testcase/></html>",
        "<testcase/>",
        f"{BOMB}<testsuites>&b;</testsuites>",
        f"{BOMB}{JUNIT[21:]}",
        f"{FILE}<testsuites><testsuite><testcase name='&a;'/></testsuite></testsuites>",
        f"{JUNIT}<testsuites/>",
        JUNIT.replace("it</", "&unknown;</"),
        "<testsuite>" * 100_000 + "</testsuite>" * 100_000,
        "[" * 100_000,
        "null",
        "3",
        '{"testResults": null, "tests": null}',
    ],
)
def test_hostile_reports_are_none(data: bytes | str, report: Path) -> None:
    for kind in FILES:
        assert of_file(kind, data, report) is None, kind


@pytest.mark.parametrize(
    ("kind", "change"),
    [
        ("jest", {"numPassedTests": 2}),
        ("jest", {"testResults": [{**JEST["testResults"][0], "assertionResults": 7}]}),
        ("jest", {"testResults": [{"status": "failed"}]}),
        ("list", {"tests": [{"name": "one", "outcome": "fine", "message": ""}]}),
        ("list", {"tests": [{"name": "one", "outcome": ["passed"], "message": ""}]}),
        ("list", {"tests": {"name": "one"}}),
    ],
)
def test_json_that_is_not_what_it_should_be_is_none(
    kind: str, change: dict[str, Any], report: Path
) -> None:
    whole = {**json.loads(FILES[kind]), **change}
    assert of_file(kind, json.dumps(whole), report) is None


def test_a_report_of_100_megabytes_is_none_at_once(report: Path) -> None:
    with report.open("wb") as file:
        file.write(JUNIT.encode())
        file.truncate(100_000_000)
    began = time.monotonic()
    for kind in FILES:
        assert counts.read(command(kind, report), 0, "", "") is None
    assert time.monotonic() - began < 5


def test_a_report_that_is_missing_or_no_file_is_none(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    for path in (None, tmp_path / "no", tmp_path, tmp_path / "pipe"):
        for kind in FILES:
            assert counts.read(command(kind, path), 0, "", "") is None
    assert counts.read(command("none"), 0, TAP, UNITTEST) is None


def test_a_command_that_a_signal_ended_has_no_counts() -> None:
    for kind, texts in PRINTED.items():
        assert counts.read(command(kind), -9, *texts) is None
        assert counts.read(command(kind), None, *texts) is None


def test_failures_are_bounded(report: Path) -> None:
    many = [
        {"name": f"{i} {'n' * 5000}", "outcome": "failed", "message": f"\x1b[31m{'m' * 5000}"}
        for i in range(100)
    ]
    found = of_file("list", json.dumps({"tests": many}), report)
    assert found is not None
    assert (found.failed, len(found.failures)) == (100, 20)
    for failure in found.failures:
        assert [len(failure["name"]), len(failure["message"])] == [2000, 2000]
        assert failure["message"] == "m" * 1999 + "…"


def test_junit_with_a_page_of_html_in_it_is_read(report: Path) -> None:
    """A document type is refused where it is one, not in a message."""
    text = JUNIT.replace("it</", "<![CDATA[<!DOCTYPE html><!ENTITY a>]]></")
    found = of_file("junit", text, report)
    assert found is not None
    assert found.failures == [{"name": "two", "message": "no\n<!DOCTYPE html><!ENTITY a>"}]


def test_of_one_that_fails_twice_in_pytest_one_is_counted(report: Path) -> None:
    both = '<testcase classname="a" name="x"><{0}/></testcase>'
    text = f"<testsuite>{both.format('failure')}{both.format('error')}</testsuite>"
    assert numbers(of_file("pytest", text, report)) == [1, 0, 1, 0, 0]
    assert numbers(of_file("junit", text, report)) == [2, 0, 1, 0, 1]


def test_discard_removes_a_report_and_forgives(report: Path) -> None:
    report.write_text("x", encoding="utf-8")
    for _ in range(2):
        counts.discard(command("junit", report))
    assert not report.exists()
    counts.discard(command("junit"))


def test_what_go_before_1_20_cannot_build_is_an_error() -> None:
    text = "FAIL\ta/b [build failed]\n"
    assert numbers(counts.read(command("go"), 1, f"{GO}\n{text}", "")) == [3, 1, 1, 0, 1]


def test_what_go_has_printed_is_shown_as_text() -> None:
    text = f"# a\n{GO}\n{{broken\n[]\n"
    assert counts.printed(command("go"), text) == "# a\nno\n{broken\n[]\n"
    assert counts.printed(command("cargo"), text) == text
