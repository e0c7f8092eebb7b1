"""``--qe-quarantine``: held tests run and are told apart; they fail no run."""

from __future__ import annotations

import json
import subprocess
import sys
import xml.etree.ElementTree as ET
from pathlib import Path
from typing import Any

import pytest

from conftest import HUNG, Qe

SUITE = """
    import os, pytest

    def test_good(): pass
    def test_bad():
        print("said before")
        assert 1 == 2, "known"
    @pytest.fixture
    def broken(): raise OSError("set-up")
    def test_set_up(broken): pass
    @pytest.fixture
    def late():
        yield
        raise OSError("tear-down")
    def test_tear_down(late): pass
    @pytest.mark.parametrize("value", ["a", "b-1", "b[2]"])
    def test_values(value): assert value == "a"
"""

FAILING = ("test_bad", "test_set_up", "test_tear_down", "test_values[*]")


def entry(name: str, **more: object) -> dict[str, object]:
    id = name if ".py" in name else f"test_it.py::{name}"
    return {"id": id, "owner": "ann", "reason": "slow bank", "expires": "2999-12-31", **more}


def write(qe: Qe, *entries: dict[str, Any], name: str = "held.json") -> Path:
    path = qe.path / name
    path.write_text(json.dumps(list(entries)))
    return path


def held_suite(qe: Qe) -> None:
    qe.files(test_it=SUITE)
    write(qe, *map(entry, FAILING))


WAYS = {
    "alone": (),
    "parallel": ("--qe-parallel=2",),
    "spawn": ("--qe-parallel=2", "--qe-start=spawn"),
    "serial": ("--pdb",),
    "maxfail": ("--qe-parallel=2", "-x"),
    "alone, maxfail": ("--maxfail=1",),
    "serial, maxfail": ("--setup-show", "-x"),
    "stepwise": ("--sw",),
    "xunit1": ("--qe-parallel=2", "-o", "junit_family=xunit1"),
}


@pytest.mark.parametrize("way", WAYS)
def test_failures_of_held_tests_fail_no_run(qe: Qe, way: str) -> None:
    held_suite(qe)
    result = qe.run("--qe-quarantine=held.json", "--junitxml=out.xml", *WAYS[way])
    text = result.stdout.str()
    assert result.ret == 0, text
    assert "3 passed, 5 quarantined" in text
    assert "quarantined tests: 5 failed, 1 passed" in text
    assert "test_it.py::test_bad: slow bank (ann, until 2999-12-31)" in text
    assert "FAILURES" not in text
    suite = ET.parse(qe.path / "out.xml").getroot()[0]
    assert (suite.get("failures"), suite.get("errors")) == ("0", "0")
    cases = {case.get("name"): case for case in suite.iter("testcase")}
    for name in ("test_bad", "test_set_up", "test_tear_down", "test_values[a]", "test_values[b-1]"):
        (given,) = cases[name].iter("property")
        assert (given.get("name"), given.get("value")) == ("qe_quarantined", "slow bank")
    assert not list(cases["test_good"].iter("property"))
    skipped = cases["test_bad"].find("skipped")
    assert skipped is not None
    assert "known" in str(skipped.get("message"))


@pytest.mark.parametrize("way", ["alone", "parallel", "spawn", "serial", "maxfail"])
def test_any_other_failure_counts(qe: Qe, way: str) -> None:
    held_suite(qe)
    qe.files(test_other="def test_other(): assert 0")
    result = qe.run("--qe-quarantine=held.json", *WAYS[way], "-p", "no:debugging")
    if way == "serial":
        result = qe.run("--qe-quarantine=held.json", "--setup-show")
    assert result.ret == 1
    assert "1 failed" in result.stdout.str()
    assert "FAILED test_other.py::test_other" in result.stdout.str()


def test_maxfail_counts_what_is_not_held(qe: Qe) -> None:
    write(qe, *(entry(f"test_held{i}") for i in range(3)))
    held = "\n".join(f"def test_held{i}(): assert 0" for i in range(3))
    free = "\n".join(f"def test_free{i}(): assert 0" for i in range(3))
    (qe.path / "test_it.py").write_text(f"{held}\n{free}\n")
    result = qe.run("--qe-quarantine=held.json", "--qe-parallel=1", "--maxfail=2")
    assert result.ret == 1
    assert "2 failed, 3 quarantined" in result.stdout.str()


def test_verbose_shows_what_failed(qe: Qe) -> None:
    held_suite(qe)
    brief = qe.run("--qe-quarantine=held.json").stdout.str()
    assert "AssertionError" not in brief
    assert "AssertionError: known" in qe.run("--qe-quarantine=held.json", "-v").stdout.str()


def test_a_crash_or_hang_of_a_held_test_fails_no_run(qe: Qe) -> None:
    qe.files(
        test_it="""
        import os, time
        def test_crash(): os.abort()
        def test_hang(): time.sleep(60)
        def test_good(): pass
    """
    )
    write(qe, entry("test_crash"), entry("test_hang"))
    args = ("--qe-quarantine=held.json", "--qe-parallel=2", "--qe-timeout=0.5", "-x")
    result, written = qe.json(*args, "--junitxml=out.xml")
    assert result.ret == 0, result.stdout.str()
    assert written.outcomes() == {
        "test_crash": "crashed", "test_hang": "timeout", "test_good": "passed",
    }  # fmt: skip
    found = ET.parse(qe.path / "out.xml").getroot().iter("property")
    assert [p.get("name") for p in found] == ["qe_quarantined"] * 2


def test_what_failed_last_is_not_what_is_held(qe: Qe) -> None:
    held_suite(qe)
    qe.files(test_other="def test_other(): assert 0")
    qe.run("--qe-quarantine=held.json", "--qe-parallel=2")
    result = qe.run("--lf", "--qe-parallel=2")
    result.assert_outcomes(failed=1)


def test_subtests_of_a_held_test_are_one_test(qe: Qe) -> None:
    qe.files(
        test_it="""
        import unittest
        class TestIt(unittest.TestCase):
            def test_parts(self):
                for i in range(3):
                    with self.subTest(i=i): assert i == 0
    """
    )
    write(qe, entry("TestIt::test_parts"))
    for args in ((), ("--qe-parallel=2",), ("--setup-show",)):
        result = qe.run("--qe-quarantine=held.json", *args)
        assert result.ret == 0, result.stdout.str()
        assert "1 quarantined" in result.stdout.str()


def test_the_json_result_tells_the_truth_and_marks_it(qe: Qe) -> None:
    held_suite(qe)
    result, written = qe.json("--qe-quarantine=held.json", "--qe-parallel=2")
    assert result.ret == 0
    assert written["test_bad"]["outcome"] == "failed"
    assert written["test_bad"]["quarantined"] is True
    assert written["test_values[a]"]["quarantined"] is True
    assert "quarantined" not in written["test_good"]
    assert [
        (e["id"], e["tests"], e["failed"]) for e in written.run["quarantine"]["entries"]
    ] == [
        ("test_it.py::test_bad", 1, 1), ("test_it.py::test_set_up", 1, 1),
        ("test_it.py::test_tear_down", 1, 1), ("test_it.py::test_values[*]", 3, 2),
    ]  # fmt: skip


@pytest.mark.parametrize("way", ["alone", "parallel", "spawn", "serial"])
def test_an_expired_entry_fails_again_and_says_so(qe: Qe, way: str) -> None:
    qe.files(test_it="def test_bad(): assert 0\ndef test_good(): pass")
    write(qe, entry("test_bad", expires="2001-02-03"))
    args = ("--setup-show",) if way == "serial" else WAYS[way]
    result = qe.run("--qe-quarantine=held.json", *args)
    assert result.ret == 1
    line = "quarantine of test_it.py::test_bad expired on 2001-02-03: its failures count again"
    assert result.stdout.str().count(line) == 2, "with the failure, and in the section"
    assert "1 failed, 1 passed" in result.stdout.str()


def test_an_entry_that_matches_nothing_is_a_warning(qe: Qe) -> None:
    held_suite(qe)
    write(qe, *map(entry, FAILING), entry("test_gone"), entry("gone.py::test_it"))
    qe.files(test_other="def test_other(): pass")
    result = qe.run("--qe-quarantine=held.json", "--qe-parallel=2")
    assert result.ret == 0
    for name in ("test_it.py::test_gone", "gone.py::test_it"):
        assert f"qe: warning: quarantine: no test matches {name}" in result.stdout.str()
    # Of tests that were not asked for nothing is known, deselected ones are there.
    qe.run("-q")
    for args in (("test_it.py::test_good",), ("test_other.py",), ("-k", "test_good"), ("--lf",)):
        write(qe, *map(entry, FAILING))
        result = qe.run("--qe-quarantine=held.json", *args)
        assert "no test matches" not in result.stdout.str()


def test_toml_and_the_rootdir(qe: Qe) -> None:
    qe.files(test_it=SUITE)
    (qe.path / "held.toml").write_text(
        "# What we know of.\n"
        + "\n".join(
            f'[[quarantine]]\nid = "test_it.py::{name}"\nowner = "ann"\n'
            f'reason = "slow bank"\nsince = 2026-01-01\nexpires = 2999-12-31\nevidence = "7 of 9"\n'
            for name in FAILING
        )
    )
    (qe.path / "pytest.ini").write_text("[pytest]\nqe_quarantine = held.toml\n")
    (qe.path / "sub").mkdir()
    qe.monkeypatch.chdir(qe.path / "sub")
    result = qe.run("..")
    assert result.ret == 0, result.stdout.str()
    assert "5 quarantined" in result.stdout.str()


BAD = {
    "no json": ("held.json", "[{", "is no JSON"),
    "no toml": ("held.toml", "[[quarantine]\n", "is no TOML"),
    "deep": ("held.json", "[" * 100_000, "is no JSON"),
    "other suffix": ("held.yml", "", "neither .json nor .toml"),
    "no list": ("held.json", "3", "takes a list of entries"),
    "other key": ("held.toml", "[other]\n", "and nothing else"),
    "no object": ("held.json", "[3]", "entry 1 takes id, owner, reason, expires"),
    "lacks": ("held.json", '[{"id": "a.py::b"}]', "entry 1 lacks 'owner'"),
    "unknown": ("held.json", json.dumps([entry("x", expiry="x")]), "entry 1 has no 'expiry'"),
    "date": ("held.json", json.dumps([entry("x", expires="2026-13-01")]), "expires: takes a date"),
    "time": ("held.json", json.dumps([entry("x", expires="2026-12-01T10:00")]), "takes a date"),
    "empty": ("held.json", json.dumps([entry("x", owner=" ")]), "owner: takes a text"),
    "number": ("held.json", json.dumps([entry("x", reason=3)]), "reason: takes a text"),
    "control": ("held.json", json.dumps([entry("x", reason="a\x1b[2J")]), "reason: takes one line"),
    "glob": ("held.json", json.dumps([entry("test_*")]), "* stands only between brackets"),
    "twice": ("held.json", json.dumps([entry("x"), entry("x")]), "entry 2 repeats test_it.py::x"),
    "bytes": ("held.json", b"\xff", "is no UTF-8"),
    "missing": ("none.json", None, "No such file or directory"),
}


@pytest.mark.parametrize("what", BAD)
def test_a_file_that_cannot_be_used_is_one_line(qe: Qe, what: str) -> None:
    name, content, line = BAD[what]
    qe.files(test_it="def test_it(): pass")
    if content is not None:
        (qe.path / name).write_bytes(content if isinstance(content, bytes) else content.encode())
    result = qe.run(f"--qe-quarantine={name}")
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    errors = [text for text in result.stderr.lines if text.startswith("ERROR")]
    assert len(errors) == 1
    assert "--qe-quarantine: quarantine " in errors[0]
    assert line in errors[0]
    assert "Traceback" not in result.stderr.str()
    assert "\x1b" not in result.stderr.str()


def test_where_runs_are_serial_for_want_of_the_core_it_holds_too(qe: Qe) -> None:
    held_suite(qe)
    qe.files(
        elsewhere="""
        import sys
        sys.platform = "freebsd14"
        sys.modules["pytest_qe._core"] = None
    """
    )
    result = qe.run("-p", "elsewhere", "--qe-quarantine=held.json", "--junitxml=out.xml", "-x")
    assert result.ret == 0, result.stdout.str() + result.stderr.str()
    assert "parallel runs need Linux; running serially" in result.stderr.str()
    assert "3 passed, 5 quarantined" in result.stdout.str()
    assert "quarantined tests: 5 failed, 1 passed" in result.stdout.str()


# ------------------------------------------------------------- the command


def tool(qe: Qe, *args: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "pytest_qe", "quarantine", *args],
        cwd=qe.path, capture_output=True, text=True, timeout=HUNG,
    )  # fmt: skip


def test_an_entry_is_released_by_59_clean_runs_alone(qe: Qe) -> None:
    qe.files(
        test_it="""
        import os, pytest
        def test_mended(): pass
        def test_bad(): assert os.path.exists("good")
        @pytest.mark.parametrize("value", [1, 2])
        def test_values(value): assert value == 1 or os.path.exists("good")
        def test_skipped(): pytest.skip("never run")
    """
    )
    names = ("test_mended", "test_bad", "test_values[*]", "test_skipped")
    path = write(qe, *map(entry, names))
    result = qe.run("--qe-quarantine=held.json", "--qe-flaky=58", "--qe-flaky-mode=fixed", "-q")
    assert "may be released" not in result.stdout.str()
    assert tool(qe, "held.json", "--release").stdout == "nothing may be released\n"
    result = qe.run("--qe-quarantine=held.json")
    assert "test_it.py::test_mended may be released: 59 clean runs" in result.stdout.str()
    assert result.stdout.str().count("may be released") == 1
    listed = tool(qe, "held.json").stdout.splitlines()
    assert [line.split()[0] for line in listed[1:]] == ["59", "0", "0", "0"]
    assert "may be released  test_it.py::test_mended (ann: slow bank)" in listed[1]
    assert tool(qe, "held.json", "--release").stdout == "released test_it.py::test_mended\n"
    left = [e["id"].split("::")[1] for e in json.loads(path.read_text())["quarantine"]]
    assert left == ["test_bad", "test_values[*]", "test_skipped"]
    # One more failure, and 59 are needed again.
    (qe.path / "good").touch()
    qe.run("--qe-quarantine=held.json", "--qe-flaky=58", "--qe-flaky-mode=fixed", "-q")
    (qe.path / "good").unlink()
    qe.run("--qe-quarantine=held.json")
    assert [line.split()[0] for line in tool(qe, "held.json").stdout.splitlines()[1:]] == ["0"] * 3


def test_a_pass_on_a_retry_is_no_clean_run(qe: Qe) -> None:
    qe.files(
        test_it="""
        import os
        def test_it():
            if not os.path.exists("tried"):
                open("tried", "w").close()
                assert 0
    """
    )
    write(qe, entry("test_it"))
    qe.run("--qe-quarantine=held.json", "--qe-retries=1")
    assert tool(qe, "held.json").stdout.splitlines()[1].split()[0] == "0"
    qe.run("--qe-quarantine=held.json", "--qe-retries=1")
    assert tool(qe, "held.json").stdout.splitlines()[1].split()[0] == "1"


def test_no_history_releases_nothing(qe: Qe) -> None:
    held_suite(qe)
    result = qe.run("--qe-quarantine=held.json", "--qe-no-history")
    assert result.ret == 0
    assert "may be released" not in result.stdout.str()
    assert tool(qe, "held.json").stdout.splitlines()[1].split()[0] == "?"
    assert not (qe.path / ".qe").exists()


@pytest.mark.parametrize("suffix", ["json", "toml"])
def test_entries_are_added_and_removed_in_place(qe: Qe, suffix: str) -> None:
    qe.files(test_it="def test_1(): pass\ndef test_2(): pass")
    name = f"held.{suffix}"
    more = ("--owner=ann", "--days=30", "--evidence=3 of 9", '--reason=says "no" \\ ü')
    for number in (1, 2):
        done = tool(qe, name, f"--add=test_it.py::test_{number}", *more)
        assert done.returncode == 0, done.stderr
        assert done.stdout.startswith(f"added test_it.py::test_{number}, until 2")
    again = tool(qe, name, "--add=test_it.py::test_1", *more)
    assert again.returncode == 1
    assert "repeats test_it.py::test_1" in again.stderr
    if suffix == "toml":
        text = (qe.path / name).read_text("utf-8").replace("[[quar", "# Note.\n[[quar", 1)
        (qe.path / name).write_text(text, "utf-8")
    qe.run(
        f"--qe-quarantine={name}", "--qe-flaky=59", "--qe-flaky-mode=fixed", "-q", "-k", "test_2"
    )
    assert tool(qe, name, "--release").stdout == "released test_it.py::test_2\n"
    text = (qe.path / name).read_text("utf-8")
    assert "test_1" in text and "test_2" not in text
    assert ("# Note." in text) == (suffix == "toml")
    assert qe.run(f"--qe-quarantine={name}").ret == 0
    assert [p.name for p in qe.path.glob("*held*")] == [name]


def test_a_link_is_followed_and_rights_are_kept(qe: Qe) -> None:
    (qe.path / "real").mkdir()
    path = write(qe, entry("test_it"), name="real/held.json")
    path.chmod(0o640)
    (qe.path / "held.json").symlink_to(path)
    assert tool(
        qe, "held.json", "--add=a.py::b", "--owner=a", "--days=1", "--reason=c"
    ).returncode == 0  # fmt: skip
    assert (qe.path / "held.json").is_symlink()
    assert path.stat().st_mode & 0o777 == 0o640
    assert len(json.loads(path.read_text())["quarantine"]) == 2


WRONG = {
    "no reason": (("--add=a.py::b",), "--add: takes --reason, --owner and --days too"),
    "lone reason": (("--reason=x",), "--reason: goes with --add"),
    "days": (("--add=a.py::b", "--reason=r", "--owner=o", "--days=0"), "--days: takes 1 to 3650"),
    "control": (("--add=a.py::b", "--reason=a\nb", "--owner=o", "--days=1"), "one line"),
    "glob": (("--add=a*.py::b", "--reason=a", "--owner=o", "--days=1"), "between brackets"),
    "history": (("--history=none.db",), "none.db: there is no such history"),
}


@pytest.mark.parametrize("what", WRONG)
def test_what_cannot_be_done_is_one_line_and_changes_nothing(qe: Qe, what: str) -> None:
    args, line = WRONG[what]
    path = write(qe, entry("test_it"))
    before = path.read_bytes()
    done = tool(qe, "held.json", *args)
    assert done.returncode == 1
    assert done.stderr.startswith("error: ")
    assert line in done.stderr
    assert done.stderr.count("\n") == 1
    assert path.read_bytes() == before
    assert [p.name for p in qe.path.glob("*held*")] == ["held.json"]


def test_tables_that_are_written_otherwise_are_left_alone(qe: Qe) -> None:
    path = qe.path / "held.toml"
    path.write_text(
        'quarantine = [{id = "a.py::b", owner = "o", reason = "r", expires = 2999-01-01}]\n'
    )
    before = path.read_bytes()
    done = tool(qe, "held.toml", "--add=a.py::c", "--owner=a", "--days=1", "--reason=c")
    assert done.returncode == 1
    assert "change it by hand" in done.stderr
    assert path.read_bytes() == before
