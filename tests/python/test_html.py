"""``--qe-html``: the page holds exactly the JSON result, and what is wrong is said early."""

from __future__ import annotations

import base64
import gzip
import json
import os
import re
import shlex
import signal
from pathlib import Path
from typing import Any

import pytest

from conftest import Qe, wait_for

jsonschema = pytest.importorskip("jsonschema")

SCHEMA = Path(__file__).parents[2] / "docs" / "result.schema.json"

SUITE = """
    import os, sys
    import pytest

    pytestmark = pytest.mark.filterwarnings("default")

    @pytest.fixture
    def loud():
        print("from the set-up")
        yield
        raise RuntimeError("tear-down")

    def test_passes(): print("not kept")
    @pytest.mark.skipif(False, reason="")
    def test_fails(loud):
        print("\\x1b[31mred\\x1b[0m")
        sys.stderr.write("to stderr")
        assert {"a": 1} == {"a": 2}
    def test_crashes(): os.abort()
    def test_bytes():
        os.write(1, b"raw \\xff")
        assert 0
    @pytest.mark.qe(retries=1)
    def test_flaky():
        with open("turn", "a") as file: file.write("x")
        assert os.path.getsize("turn") > 1
    @pytest.mark.xfail
    def test_xfail(): assert 0
"""


def held(path: Path) -> dict[str, Any]:
    """The result in a page."""
    found = re.search(r'id="qe-result">([A-Za-z0-9+/=]+)</script>', path.read_text("utf-8"))
    assert found is not None
    data = json.loads(gzip.decompress(base64.b64decode(found[1])))
    jsonschema.Draft202012Validator(json.loads(SCHEMA.read_text())).validate(data)
    assert isinstance(data, dict)
    return data


def test_the_page_holds_the_json_result(qe: Qe) -> None:
    qe.files(test_it=SUITE)
    result, written = qe.json("--qe-parallel=2", "--qe-html=made/by/it/report.html")
    assert result.ret == 1
    path = qe.path / "made" / "by" / "it" / "report.html"
    assert held(path) == written.data
    assert [file.name for file in path.parent.iterdir()] == ["report.html"], "no temporary"
    assert "@QE-RESULT@" not in path.read_text("utf-8")
    for name in ("wall", "test_time", "collection", "started"):
        assert written.run[name] > 0, name


def test_texts_of_what_failed(qe: Qe) -> None:
    qe.files(test_it=SUITE)
    _, written = qe.json("--qe-parallel=1")
    first = written["test_fails"]["attempts"][0]["texts"]
    texts = {(text["kind"], text["name"]): text["text"] for text in first}
    assert len(texts) == len(first), "each once"
    assert "assert {'a': 1} == {'a': 2}" in texts["failure", "call"]
    assert texts["failure", "call"].startswith("loud"), "from its beginning"
    assert "tear-down" in texts["failure", "teardown"]
    assert texts["output", "Captured stdout setup"] == "from the set-up\n"
    assert texts["output", "Captured stdout call"] == "\x1b[31mred\x1b[0m\n"
    assert texts["output", "Captured stderr call"] == "to stderr"
    assert written["test_fails"]["marks"] == ["skipif", "filterwarnings"]
    assert "texts" not in written["test_passes"]["attempts"][0]
    assert "texts" not in written["test_xfail"]["attempts"][0]
    crash = written["test_crashes"]["attempts"][0]["texts"]
    assert "Crashed: killed by SIGABRT" in crash[0]["text"]
    failed, passed = written["test_flaky"]["attempts"]
    assert "assert 1 > 1" in failed["texts"][0]["text"]
    assert "texts" not in passed


def test_a_text_of_megabytes_is_cut(qe: Qe) -> None:
    qe.files(
        test_it="""
        def test_it():
            print("begin" + "x" * 3_000_000 + "end")
            assert 0
    """
    )
    qe.run("--qe-html=report.html")
    path = qe.path / "report.html"
    output = held(path)["tests"][0]["attempts"][0]["texts"][1]["text"]
    assert output.startswith("begin")
    assert output.rstrip().endswith("end")
    assert "characters left out" in output
    assert path.stat().st_size < 1_000_000


def test_a_run_that_was_cut_short_says_so(qe: Qe) -> None:
    qe.files(test_it="def test_a(): assert 0\ndef test_b(): pass")
    _, whole = qe.json("--qe-parallel=1")
    assert "stopped" not in whole.run
    _, cut = qe.json("--qe-parallel=1", "-x")
    assert cut.run["stopped"] == "stopping after 1 failures"


def test_durations_are_held_against_the_history(qe: Qe) -> None:
    qe.files(test_it="import time\ndef test_it(): time.sleep(float(open('nap').read()))")
    (qe.path / "nap").write_text("0.3")
    args = ("--qe-parallel=1", "--qe-history=h.db", "--qe-html=report.html")
    qe.run(*args)
    path = qe.path / "report.html"
    assert "expected" not in held(path)["tests"][0], "nothing was known before"
    (qe.path / "nap").write_text("0.01")
    qe.run(*args)
    (test,) = held(path)["tests"]
    assert 0.3 <= test["expected"] < 10
    assert test["attempts"][0]["duration"] < test["expected"]


def test_a_hunt_has_intervals_and_commands(qe: Qe) -> None:
    qe.files(
        test_it="""
        STATE = []
        def test_sets(): STATE.append(1)
        def test_victim(): assert not STATE
    """
    )
    qe.run("--qe-flaky=20", "--qe-seed=1", "--qe-parallel=1", "--qe-html=report.html")
    one = held(qe.path / "report.html")["run"]["hunt"]["tests"]["test_it.py::test_victim"]
    low, high = one["interval"]
    assert 0 <= low <= one["failures"] / (one["failures"] + one["passes"]) <= high <= 1
    again = one["why"]["replay"]
    assert again["command"].startswith("pytest ")
    assert again["command"].endswith(again["option"])
    assert "--qe-html" not in again["command"]
    # Alone it passes: it needs who pollutes it.
    command = shlex.split(one["command"])
    assert command[0] == "pytest" and command[-1] == "test_it.py::test_victim"
    qe.run(*command[1:]).assert_outcomes(passed=1)


def test_an_interrupted_run_has_its_report(qe: Qe) -> None:
    qe.files(
        test_it="""
        import time
        def test_1(): open("began", "w").close()
        def test_2(): time.sleep(600)
    """
    )
    process = qe.popen("--qe-parallel=1", "--qe-grace=0", "--qe-html=report.html")
    wait_for(lambda: (qe.path / "began").exists(), "the first test")
    os.killpg(process.pid, signal.SIGINT)
    assert process.wait(60) == 2
    data = held(qe.path / "report.html")
    assert data["run"]["interrupted"] is True
    assert data["tests"][0]["outcome"] == "passed"


def test_what_cannot_be_collected_is_in_the_report(qe: Qe) -> None:
    qe.files(test_bad="import nothing_there", test_good="def test_it(): open('ran', 'w').close()")
    (qe.path / "report.html").write_text("an earlier run's")
    result = qe.run("--qe-parallel=2", "--qe-html=report.html")
    assert result.ret == pytest.ExitCode.INTERRUPTED
    data = held(qe.path / "report.html")
    (error,) = data["run"]["collection_errors"]
    assert error["id"] == "test_bad.py" and "No module named 'nothing_there'" in error["text"]
    assert [(one["id"], one["outcome"]) for one in data["tests"]] == [
        ("test_good.py::test_it", "none")
    ]
    assert not (qe.path / "ran").exists()
    result = qe.run("--qe-html=report.html", "--continue-on-collection-errors")
    assert result.ret == pytest.ExitCode.TESTS_FAILED
    data = held(qe.path / "report.html")
    assert len(data["run"]["collection_errors"]) == 1 and data["summary"]["passed"] == 1


def test_no_tests(qe: Qe) -> None:
    qe.files(test_it="def test_it(): pass")
    qe.run("--qe-html=report.html", "-k", "nothing_at_all")
    assert held(qe.path / "report.html")["tests"] == []


@pytest.mark.parametrize("option", ["--qe-html", "--qe-json", "--qe-trace"])
@pytest.mark.parametrize(
    ("path", "text"),
    [("", "takes a path"), ("folder", "is a folder"), ("file/x.html", "cannot be written"),
     ("/proc/none/x.html", "cannot be written")],
)  # fmt: skip
def test_a_bad_path_is_said_before_the_run(qe: Qe, option: str, path: str, text: str) -> None:
    qe.files(test_it="def test_it(): open('ran', 'w').close()")
    (qe.path / "folder").mkdir()
    (qe.path / "file").write_text("")
    result = qe.run(f"{option}={path}")
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    lines = [line for line in result.stderr.lines if line.startswith("ERROR")]
    assert len(lines) == 1
    assert option in lines[0] and text in lines[0]
    assert not (qe.path / "ran").exists()


@pytest.mark.parametrize("lost", ["--qe-html", "--qe-json", "--qe-trace"])
def test_what_becomes_unwritable_is_a_warning_and_loses_no_other(qe: Qe, lost: str) -> None:
    qe.files(
        test_it="""
        import pathlib
        def test_it():
            pathlib.Path("away").rmdir()
            pathlib.Path("away").write_text("")
        """
    )
    options = ("--qe-html", "--qe-json", "--qe-trace")
    paths = {option: f"{'away' if option == lost else 'out'}/{option[2:]}" for option in options}
    result = qe.run(*(f"{option}={path}" for option, path in paths.items()))
    assert result.ret == 0
    result.stdout.fnmatch_lines([f"*{lost}: *away/{lost[2:]} was not written: *"])
    for option, path in paths.items():
        assert (qe.path / path).is_file() == (option != lost)


def test_two_reports_in_one_file_are_refused(qe: Qe) -> None:
    qe.files(test_it="def test_it(): open('ran', 'w').close()")
    (qe.path / "folder").mkdir()
    (qe.path / "link").symlink_to("folder")
    result = qe.run("--qe-json=folder/out", "--qe-html=link/out")
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    own = "*--qe-html=link/out: takes the path of a file of its own, not that of --qe-json"
    result.stderr.fnmatch_lines([own])
    assert not (qe.path / "ran").exists()
    qe.run("--qe-json=/dev/null", "--qe-html=/dev/null").assert_outcomes(passed=1)


def test_a_missing_page_is_said_before_the_run(qe: Qe) -> None:
    qe.files(
        conftest="""
        from pathlib import Path
        import pytest_qe.htmlreport
        pytest_qe.htmlreport.TEMPLATE = Path("/nowhere/report.html")
        """,
        test_it="def test_it(): open('ran', 'w').close()",
    )
    result = qe.run("--qe-html=report.html")
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    assert "/nowhere/report.html is missing: run `make build/web.stamp`" in result.stderr.str()
    assert not (qe.path / "ran").exists()


def test_a_link_and_a_device_stay(qe: Qe) -> None:
    qe.files(test_it="def test_it(): pass")
    (qe.path / "real.html").write_text("old")
    (qe.path / "link.html").symlink_to("real.html")
    qe.run("--qe-html=link.html").assert_outcomes(passed=1)
    assert (qe.path / "link.html").is_symlink()
    assert held(qe.path / "real.html")["summary"]["passed"] == 1
    qe.run("--qe-html=/dev/null").assert_outcomes(passed=1)


def test_the_help_names_it(qe: Qe) -> None:
    qe.run("--help").stdout.fnmatch_lines(["*--qe-html=PATH*"])
