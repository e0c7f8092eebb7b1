"""Plugins that report: their files and tables say what they say of a serial run."""

from __future__ import annotations

import html
import json
import os
import pty
import re
import signal
import sqlite3
import subprocess
import sys
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from conftest import HUNG, Qe, wait_for

STARTS = pytest.mark.parametrize("start", ["fork", "spawn"])


def parallel(start: str = "fork") -> tuple[str, str]:
    return "--qe-parallel=2", f"--qe-start={start}"


MIXED = """
    import sys
    import pytest
    @pytest.fixture(scope="session")
    def shared():
        yield 1
        print("session ends")
    @pytest.fixture
    def broken():
        yield
        raise RuntimeError("after")
    def test_passes(shared, record_property):
        record_property("key", "value")
        print("printed")
    def test_fails(shared):
        print("printed before", file=sys.stderr)
        assert shared == 2
    def test_skips(): pytest.skip("why")
    def test_teardown(broken): pass
    @pytest.mark.xfail(reason="known")
    def test_xfails(): assert 0
    @pytest.mark.xfail
    def test_xpasses(): pass
    @pytest.mark.parametrize("value", [1, 2])
    def test_param(value): pass
"""

#: What a parallel run may add or move: a failure names its worker, and where the
#: output of a session fixture is shown depends on who used it last.
NOISE = re.compile(r"\[gw\d\] [^\n]*\s+|-+ Captured stdout teardown -+\n|session ends\n")


# ------------------------------------------------------------------ pytest-cov

MEASURED = """
    def sign(value):
        if value > 0:
            return "+"
        if value < 0:
            return "-"
        return "0"

    def never():
        return 1
"""


@STARTS
def test_cov_measures_lines_and_branches_as_serially(qe: Qe, start: str) -> None:
    qe.use("pytest_cov")
    qe.files(
        measured=MEASURED,
        test_a="import measured\ndef test_plus(): assert measured.sign(1) == '+'",
        test_b="import measured\ndef test_minus(): assert measured.sign(-1) == '-'",
    )

    def measure(*args: str) -> tuple[list[str], dict[str, Any]]:
        (qe.path / ".coverage").unlink(missing_ok=True)
        result = qe.run("--cov=measured", "--cov-branch", "--cov-report=term-missing",
                        "--cov-report=json:cov.json", "--cov-context=test", *args)  # fmt: skip
        result.assert_outcomes(passed=2)
        lines = [line for line in result.outlines if re.match(r"(measured\.py|TOTAL) ", line)]
        data = json.loads((qe.path / "cov.json").read_text())["files"]["measured.py"]
        with sqlite3.connect(qe.path / ".coverage") as database:
            contexts = database.execute("select context from context order by 1").fetchall()
        assert list(qe.path.glob(".coverage.*")) == []
        return lines, {"file": data, "contexts": contexts}

    serial = measure()
    assert len(serial[0]) == 2
    assert " 2 " in serial[0][0], "lines were missed"
    assert measure(*parallel(start)) == serial
    # Workers that begin late must not erase what others have saved.
    assert measure("--qe-parallel=1", f"--qe-start={start}", "--qe-isolate") == serial


# ----------------------------------------------------------------- pytest-html


@STARTS
def test_html_report(qe: Qe, start: str) -> None:
    qe.use("html", "html_fixtures", "metadata")
    qe.files(
        conftest="""
        import pytest
        from pytest_html import extras
        @pytest.hookimpl(wrapper=True)
        def pytest_runtest_makereport(item, call):
            report = yield
            if call.when == "call":
                report.extras = [extras.text(f"of {item.name}"), extras.url("https://x.example")]
            return report
        def pytest_sessionfinish(session):
            from pytest_metadata.plugin import metadata_key
            if not hasattr(session.config, "workerinput"):
                with open("metadata", "a") as file:
                    file.write(session.config.stash[metadata_key].get("given", "") + "\\n")
        def pytest_html_results_table_header(cells): cells.insert(1, "<th>Phase</th>")
        def pytest_html_results_table_row(report, cells):
            cells.insert(1, f"<td>{report.when}</td>")
        """,
        test_a=MIXED,
        test_b="def test_extra(extras):\n    from pytest_html.extras import json\n"
        "    extras.append(json({'a': 1}))\n"
        "def test_metadata(metadata): metadata['given'] = 'by a test'\n",
    )

    def rows(name: str, *args: str) -> dict[str, Any]:
        qe.run(f"--html={name}.html", "--self-contained-html", "-p", "no:cacheprovider", *args)
        text = (qe.path / f"{name}.html").read_text("utf-8")
        blob = re.search(r'data-jsonblob="(.*?)"', text)
        assert blob
        data = json.loads(html.unescape(blob[1]))
        data["tests"] = {
            nodeid: [
                {
                    **test,
                    "resultsTableRow": [c for c in test["resultsTableRow"] if "ms<" not in c],
                    "log": NOISE.sub("", test["log"]).split(),
                    "duration": None,
                }
                for test in tests
            ]
            for nodeid, tests in data["tests"].items()
        }
        summary = re.findall(r'<span class="\w+">(\d+ [^<]*)</span>', text)
        return {"tests": data["tests"], "summary": summary}

    serial, found = rows("serial"), rows("parallel", *parallel(start))
    assert len(serial["tests"]) == 10
    assert qe.lines("metadata") == ["by a test"] * 2
    assert serial["summary"]
    assert found["summary"] == serial["summary"]
    for nodeid, test in found["tests"].items():
        assert test == serial["tests"].pop(nodeid), nodeid
    assert serial["tests"] == {}


def test_metadata_of_a_worker_that_was_killed(qe: Qe) -> None:
    """It has left none, as the others that were ended with the run."""
    qe.use("metadata")
    qe.files(test_it="import time\ndef test_it(): open('on', 'w').close(); time.sleep(600)")
    process = qe.popen("--qe-parallel=1", "--qe-json=out.json")
    wait_for(lambda: (qe.path / "on").exists(), "the test")
    process.terminate()
    assert process.wait(timeout=HUNG) == 128 + signal.SIGTERM, qe.output()
    assert "INTERNALERROR" not in qe.output() and (qe.path / "out.json").exists()


# ---------------------------------------------------------- pytest-json-report


@STARTS
def test_json_report(qe: Qe, start: str) -> None:
    qe.use("pytest_jsonreport", "metadata")
    qe.files(
        suite__test_a=MIXED,
        suite__test_b="""
        import logging, warnings
        def test_logs(json_metadata):
            json_metadata["given"] = {"a": [1, 2]}
            logging.getLogger("own").warning("careful %s", object)
            warnings.warn("warned")
        """,
    )

    def report(name: str, *args: str) -> dict[str, Any]:
        qe.run("suite", "--json-report", f"--json-report-file={name}.json", *args)
        data: dict[str, Any] = json.loads((qe.path / f"{name}.json").read_text("utf-8"))
        return data

    def tests(data: dict[str, Any]) -> dict[str, Any]:
        found = {}
        for test in data["tests"]:
            for when in ("setup", "call", "teardown"):
                stage = test.get(when, {})
                stage.pop("duration", None)
                for record in stage.get("log", ()):
                    for name in ("created", "msecs", "relativeCreated", "process", "thread"):
                        record.pop(name)
                if "longrepr" in stage:
                    stage["longrepr"] = NOISE.sub("", stage["longrepr"])
                if when == "teardown" and stage.get("stdout") == "session ends\n":
                    del stage["stdout"]
            found[test["nodeid"]] = test
        return found

    serial, found = report("serial"), report("parallel", *parallel(start))
    for name in ("summary", "exitcode", "collectors", "warnings", "root", "environment"):
        assert found[name] == serial[name], name
    expected, shown = tests(serial), tests(found)
    assert shown.keys() == expected.keys()
    for nodeid, test in shown.items():
        assert test == expected[nodeid], nodeid
    assert shown["suite/test_b.py::test_logs"]["metadata"] == {"given": {"a": [1, 2]}}


# --------------------------------------------------------------- allure-pytest


def allure_results(folder: Path) -> Counter[str]:
    """What allure's files say, without what differs from run to run."""
    found = []
    names: dict[str, str] = {}
    for path in sorted(folder.glob("*-result.json")):
        data = json.loads(path.read_text("utf-8"))
        names[data["uuid"]] = data["fullName"]
        labels = sorted(
            (label["name"], label["value"]) for label in data["labels"]
            if label["name"] not in ("thread", "host")
        )  # fmt: skip
        attached = []
        for attachment in data.get("attachments", []):
            text = NOISE.sub("", (folder / attachment["source"]).read_text("utf-8"))
            if text:
                attached.append((attachment["name"], text))
        found.append(json.dumps([
            data["fullName"], data.get("status"), data.get("statusDetails", {}).get("message"),
            labels, data.get("parameters"), attached,
            [step["name"] for step in data.get("steps", [])],
            data["historyId"], data["testCaseId"],
        ]))  # fmt: skip
    for path in sorted(folder.glob("*-container.json")):
        data = json.loads(path.read_text("utf-8"))
        for kind in ("befores", "afters"):
            for fixture in data.get(kind, []):
                if fixture["name"].split("::")[0] in ("broken", "step_fixture"):
                    children = sorted(names[child] for child in data["children"])
                    found.append(
                        json.dumps([kind, fixture["name"], fixture.get("status"), children])
                    )
    return Counter(found)


@STARTS
def test_allure_results(qe: Qe, start: str) -> None:
    qe.use("allure_pytest", "rerunfailures")
    qe.files(
        conftest="""
        import os, pytest
        @pytest.fixture(autouse=True, scope="session")
        def note_process():
            with open("processes", "a") as file: file.write(f"{os.getpid()}-MainThread\\n")
        """,
        test_a=MIXED,
        test_b="""
        import os
        import allure, pytest
        @pytest.fixture
        def step_fixture():
            with allure.step("in fixture"): pass
            yield
        @allure.feature("feature")
        @allure.severity(allure.severity_level.CRITICAL)
        def test_steps(step_fixture):
            with allure.step("outer"):
                allure.attach("body", "name", allure.attachment_type.TEXT)
            with allure.step("second"): pass
        @pytest.mark.flaky(reruns=1)
        def test_second(request):
            path = os.environ["TRIED"]
            if not os.path.exists(path):
                open(path, "w").close()
                assert 0, "first"
        """,
    )
    results = {}
    for name, args in {"serial": (), "parallel": parallel(start)}.items():
        (qe.path / "processes").unlink(missing_ok=True)
        qe.setenv("TRIED", str(qe.path / f"tried-{name}"))
        qe.run(f"--alluredir={name}", *args)
        results[name] = allure_results(qe.path / name)
    assert len(list((qe.path / "serial").glob("*-result.json"))) == 11
    assert results["parallel"] == results["serial"]
    threads = {
        label["value"]
        for path in (qe.path / "parallel").glob("*-result.json")
        for label in json.loads(path.read_text("utf-8"))["labels"]
        if label["name"] == "thread"
    }
    assert threads == set(qe.lines("processes")), "a row of the timeline for each worker"


# ---------------------------------------------------------------- pytest-sugar


def on_terminal(qe: Qe, *args: str) -> str:
    """What a run writes to a terminal."""
    controller, terminal = pty.openpty()
    with subprocess.Popen(
        [sys.executable, "-m", "pytest", *args], cwd=qe.path, stdin=subprocess.DEVNULL,
        stdout=terminal, stderr=terminal, env={**os.environ, "TERM": "xterm"},
    ) as process:  # fmt: skip
        os.close(terminal)
        data = b""
        try:
            while chunk := os.read(controller, 65536):
                data += chunk
        except OSError:
            pass  # nobody has the other end
        os.close(controller)
        process.wait(HUNG)
    return re.sub("\x1b\\[[0-9;]*[A-Za-z]", "", data.decode("utf-8"))


@STARTS
def test_sugar_on_a_terminal(qe: Qe, start: str) -> None:
    qe.use("sugar")
    qe.files(test_a=MIXED, test_b=MIXED.replace("session ends", "other ends"))

    def results(text: str) -> list[str]:
        tail = text[text.index("Results (") :].split("\n", 1)[1]
        found = [line.strip() for line in tail.splitlines() if not line.startswith("qe: ")]
        return sorted(line for line in found if line)

    serial = on_terminal(qe, "-rN")
    assert "8 passed" in serial
    text = on_terminal(qe, "-rN", *parallel(start))
    assert results(text) == results(serial)
    assert "100%" in text
    assert "INTERNAL" not in text
    assert "Traceback" not in text


@STARTS
def test_sugar_by_force(qe: Qe, start: str) -> None:
    qe.use("sugar")
    qe.files(test_a=MIXED)
    result = qe.run("--force-sugar", "-v", *parallel(start))
    assert result.ret == 1
    text = re.sub("\x1b\\[[0-9;]*m", "", result.stdout.str())
    assert "4 passed" in text
    assert re.search(r"\[gw\d\]", text)


# ------------------------------------------------------------ pytest-benchmark

BENCHMARKS = """
    import time
    import pytest
    @pytest.mark.parametrize("size", [10, 20])
    def test_sum(benchmark, size):
        benchmark.extra_info["size"] = size
        assert benchmark(sum, range(size)) == size * (size - 1) // 2
    @pytest.mark.benchmark(group="sleeping")
    def test_pedantic(benchmark):
        benchmark.pedantic(time.sleep, (0.001,), rounds=3)
    def test_raises(benchmark):
        with pytest.raises(ZeroDivisionError): benchmark(lambda: 1 / 0)
    def test_plain(): pass
"""


@STARTS
def test_benchmarks_are_measured_alone_and_shown(qe: Qe, start: str) -> None:
    qe.use("benchmark")
    qe.files(
        test_a=BENCHMARKS,
        test_b="""
        import time
        import pytest
        @pytest.mark.parametrize("value", range(4))
        def test_busy(value): time.sleep(0.05)
        def test_list(benchmark): benchmark(list, range(3))
        """,
    )
    args = ("--benchmark-max-time=0.01", "--benchmark-min-rounds=2", "--benchmark-cprofile=tottime")

    def run(name: str, *more: str) -> tuple[list[str], dict[str, Any]]:
        result = qe.run(*args, f"--benchmark-json={name}.json", *more)
        result.assert_outcomes(passed=10)
        shown = [
            line.split("  ")[0].strip("-")
            for line in result.outlines
            if re.match(r"test_\w+(\[\d+\])?  ", line) or re.match("-+ benchmark.* tests -+$", line)
        ]
        data = json.loads((qe.path / f"{name}.json").read_text("utf-8"))
        for measured in data["benchmarks"]:
            stats = measured.pop("stats")
            assert len(stats.pop("data")) == stats["rounds"] >= 2
            measured.pop("cprofile")
        return sorted(shown), {"benchmarks": data["benchmarks"], "version": data["version"]}

    serial, found = run("serial"), run("parallel", *parallel(start))
    assert [b["name"] for b in serial[1]["benchmarks"]] == [
        "test_sum[10]", "test_sum[20]", "test_pedantic", "test_list",
    ]  # fmt: skip
    assert found == serial
    _, written = qe.json(*args, *parallel(start), "--benchmark-save=kept")
    spans = {
        test["id"]: next((a["start"], a["start"] + a["duration"]) for a in test["attempts"])
        for test in written.tests
    }
    for name, (begin, end) in spans.items():
        others = [span for other, span in spans.items() if other != name]
        if re.search("sum|pedantic|raises|list", name):
            assert all(o_end <= begin or end <= o_begin for o_begin, o_end in others), name
    # The comparison reads what a parallel run had saved.
    result = qe.run(*args, *parallel(start), "--benchmark-compare",
                    "--benchmark-compare-fail=min:100000%")  # fmt: skip
    assert result.ret == 0
    assert "test_sum[10] (NOW)" in result.stdout.str()
    assert "test_sum[10] (0001_kept)" in result.stdout.str()


def test_benchmarks_switched_off(qe: Qe) -> None:
    qe.use("benchmark")
    qe.files(test_a=BENCHMARKS)
    for option, outcomes in {
        "--benchmark-disable": {"passed": 5},
        "--benchmark-skip": {"passed": 1, "skipped": 4},
    }.items():
        assert qe.run(option).parseoutcomes() == outcomes
        result = qe.run(option, "--qe-parallel=2")
        assert result.parseoutcomes() == outcomes
        assert "Min" not in result.stdout.str()


def test_benchmarks_run_serially_with_qe_installed(qe: Qe) -> None:
    """Our stand-ins for xdist's options must not look like an xdist at work."""
    qe.use("benchmark")
    qe.files(test_a=BENCHMARKS)
    result = qe.run("--benchmark-max-time=0.01", "--benchmark-min-rounds=2")
    assert "automatically disabled" not in result.stderr.str() + result.stdout.str()
    assert "Min" in result.stdout.str()
