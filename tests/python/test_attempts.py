"""Attempts before the one that counts: in the summary, and in the JUnit report as Maven
Surefire writes them."""

from __future__ import annotations

import xml.etree.ElementTree as ET

import pytest

from conftest import Qe

COUNTED = """
    import os, sys, pytest

    def tries(name):
        with open(name + ".tries", "a") as file: file.write("x")
        return os.path.getsize(name + ".tries")

    @pytest.fixture
    def broken_once():
        assert tries("set_up") > 1, "broken set-up"

    @pytest.fixture
    def late_once():
        yield
        assert tries("tear_down") > 1, "broken tear-down"

    def test_third():
        print("to stdout"); print("to stderr", file=sys.stderr)
        if tries("third") < 3: raise ValueError("not yet \\x00")
    def test_never(): assert tries("never") < 0
    @pytest.fixture
    def worse_once():
        yield
        assert tries("worse") > 1, "broken tear-down"

    def test_worse(worse_once): assert 0
    def test_set_up(broken_once): pass
    def test_tear_down(late_once): pass
    def test_crashes():
        if tries("crashes") < 2: os.abort()
    def test_passes(): pass
"""

#: In Surefire's schema a case's children come in this order.
ORDER = [
    "failure", "rerunFailure", "flakyFailure", "skipped", "error", "rerunError", "flakyError",
    "system-out", "system-err",
]  # fmt: skip


def cases(qe: Qe) -> dict[str, list[ET.Element]]:
    suite = ET.parse(qe.path / "out.xml").getroot()[0]
    found: dict[str, list[ET.Element]] = {}
    for case in suite.iter("testcase"):
        found.setdefault(str(case.get("name")), []).append(case)
    return found


def tags(case: ET.Element) -> list[str]:
    return [child.tag for child in case if child.tag != "properties"]


@pytest.mark.parametrize("way", ["alone", "parallel", "spawn"])
def test_junit_has_the_attempts_that_failed_before(qe: Qe, way: str) -> None:
    qe.files(test_it=COUNTED)
    args = {
        "alone": [], "parallel": ["--qe-parallel=2"],
        "spawn": ["--qe-parallel=2", "--qe-start=spawn"],
    }[way]  # fmt: skip
    qe.run("--qe-retries=2", "--junitxml=out.xml", *args)
    found = {name: tags(case) for name, (case, *_) in cases(qe).items()}
    assert found["test_third"] == ["flakyFailure"] * 2
    assert found["test_never"] == ["failure", "rerunFailure", "rerunFailure"]
    assert found["test_set_up"] == ["flakyError"]
    assert found["test_tear_down"] == ["flakyError"]
    assert found["test_worse"] == ["failure", "rerunFailure", "rerunFailure", "rerunError"]
    assert found["test_crashes"] == ["flakyFailure"]
    assert found["test_passes"] == []
    suite = ET.parse(qe.path / "out.xml").getroot()[0]
    assert (suite.get("failures"), suite.get("errors")) == ("2", "0")
    first = cases(qe)["test_third"][0][0]
    assert first.get("type") == "ValueError"
    assert str(first.get("message")).startswith("ValueError: not yet")
    assert "ValueError: not yet" in str(first.findtext("stackTrace"))
    assert [child.tag for child in first] == ["stackTrace"]
    assert cases(qe)["test_crashes"][0][0].get("type") == "Crashed"
    assert cases(qe)["test_never"][0][1].get("type") == "AssertionError"


def test_children_are_in_the_order_of_the_schema(qe: Qe) -> None:
    qe.files(test_it=COUNTED)
    for more in ([], ["-o", "junit_log_passing_tests=false"]):
        for path in qe.path.glob("*.tries"):
            path.unlink()
        args = ["--qe-retries=2", "--junitxml=out.xml", "-o", "junit_logging=all"]
        qe.run(*args, *more)
        for group in cases(qe).values():
            for case in group:
                assert tags(case) == sorted(tags(case), key=ORDER.index)
        first = cases(qe)["test_third"][0][0]
        assert [child.tag for child in first] == ["stackTrace", "system-out", "system-err"]
        assert str(first.findtext("system-out")).strip() == "to stdout"


def test_junit_has_the_failing_passes_of_a_hunt(qe: Qe) -> None:
    qe.files(
        test_it="""
        import os
        def tries(name):
            with open(name, "a") as file: file.write("x")
            return os.path.getsize(name)
        def test_flaky(): assert tries("flaky") % 2
        def test_bad(): assert 0
        def test_good(): pass
    """
    )
    qe.run("--qe-flaky=6", "--qe-flaky-mode=fixed", "--qe-parallel=1", "--junitxml=out.xml")
    found = {name: tags(case) for name, (case, *more) in cases(qe).items() if not more}
    assert found == {
        "test_flaky": ["failure"] + ["rerunFailure"] * 2,
        "test_bad": ["failure"] + ["rerunFailure"] * 5,
        "test_good": [],
    }


def test_a_held_test_that_fails_on_every_retry_is_skipped_in_junit(qe: Qe) -> None:
    qe.files(test_it="def test_it(): assert 0")
    (qe.path / "held.json").write_text(
        '[{"id": "test_it.py::test_it", "owner": "a", "reason": "b", "expires": "2999-01-01"}]'
    )
    args = ("--qe-quarantine=held.json", "--qe-retries=1", "--junitxml=out.xml")
    assert qe.run(*args).ret == 0
    assert tags(cases(qe)["test_it"][0]) == ["rerunFailure", "skipped"]


def test_without_retries_the_report_is_that_of_serial_pytest(qe: Qe) -> None:
    qe.files(test_it="def test_bad(): assert 0\ndef test_good(): print(1)")

    def report(*args: str) -> bytes:
        qe.run("--junitxml=out.xml", "-o", "junit_logging=all", *args)
        suite = ET.parse(qe.path / "out.xml").getroot()
        for element in suite.iter():
            element.attrib.pop("time", None)
            element.attrib.pop("timestamp", None)
        return ET.tostring(suite)

    serial = report()
    assert b"failure" in serial
    assert report("--qe-retries=0", "--qe-parallel=1") == serial


# ------------------------------------------------------ --qe-flaky-detect


def test_tests_that_passed_on_a_retry_are_listed(qe: Qe) -> None:
    qe.files(test_it=COUNTED)
    result = qe.run(
        "--qe-retries=2", "--qe-flaky-detect", "-k", "third or set_up or passes or crashes"
    )
    text = result.stdout.str()
    assert result.ret == 0, text
    assert "flaky in this run: 3 tests" in text
    assert "test_it.py::test_third: passed on attempt 3 - ValueError: not yet" in text
    assert "test_it.py::test_set_up: passed on attempt 2 - AssertionError: broken set-up" in text
    assert "test_it.py::test_crashes: passed on attempt 2 - Crashed: killed by SIGABRT" in text


def test_without_the_option_or_a_flaky_test_nothing_is_listed(qe: Qe) -> None:
    qe.files(test_it=COUNTED)
    assert "flaky in this run" not in qe.run("--qe-retries=2").stdout.str()
    args = ("--qe-retries=2", "--qe-flaky-detect", "-k", "passes or never")
    assert "flaky in this run" not in qe.run(*args).stdout.str()


def test_what_is_detected_is_in_the_history(qe: Qe) -> None:
    qe.files(test_it=COUNTED)
    _, written = qe.json("--qe-retries=2", "--qe-flaky-detect", "-k", "third")
    assert written["test_third"]["outcome"] == "flaky"
    import sqlite3

    with sqlite3.connect(qe.path / ".qe/history.db") as connection:
        assert connection.execute("select outcome from outcome").fetchall() == [(7,)]


def test_without_retries_there_is_nothing_to_detect(qe: Qe) -> None:
    qe.files(test_it="def test_it(): pass")
    result = qe.run("--qe-flaky-detect", "--qe-parallel=1")
    assert result.ret == 0
    assert "qe: warning: --qe-flaky-detect: no test has retries" in result.stdout.str()
    (qe.path / "test_it.py").write_text(
        "import pytest\n@pytest.mark.qe(retries=1)\ndef test_it(): pass\n"
    )
    assert "warning" not in qe.run("--qe-flaky-detect", "--qe-parallel=1").stdout.str()
