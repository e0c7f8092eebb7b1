"""Many plugins at once, an idle pytest-xdist, and pytest called as a function."""

from __future__ import annotations

import json
import re
import sys

import pytest

from conftest import OTHERS, Qe

STARTS = pytest.mark.parametrize("start", ["fork", "spawn"])

#: What a large suite has. randomly and random_order contradict each other;
#: syrupy, benchmark and hypothesis are needed by the tests.
COMMON = (
    "allure_pytest", "anyio", "asyncio", "benchmark", "django", "html", "html_fixtures",
    "hypothesispytest", "metadata", "pytest-split", "pytest_cov", "pytest_jsonreport",
    "pytest_mock", "pytest_postgresql", "randomly", "rerunfailures", "sugar", "syrupy", "timeout",
    "xdist", "xdist.looponfail",
)  # fmt: skip

SUITE = """
    import asyncio, random, time
    import pytest
    from hypothesis import given, strategies as st
    def test_passes(mocker): assert mocker.stub()() is not None
    def test_fails(snapshot): assert {"a": 1} == snapshot
    async def test_async(): await asyncio.sleep(0)
    @pytest.mark.anyio
    async def test_anyio(anyio_backend): await asyncio.sleep(0)
    @given(st.integers())
    def test_property(n): assert n == n
    def test_benchmark(benchmark): benchmark(len, "abc")
    tries = []
    @pytest.mark.flaky(reruns=2)
    def test_flaky():
        tries.append(1)
        assert len(tries) == 2
    @pytest.mark.timeout(0.3)
    def test_slow(): time.sleep(20)
    def test_random(record_property): record_property("number", random.random())
    @pytest.mark.parametrize("value", range(5))
    def test_param(value, subtests):
        with subtests.test(value=value): assert value != 3
"""


@STARTS
def test_common_plugins_together(qe: Qe, start: str) -> None:
    assert set(COMMON) <= set(OTHERS)
    qe.use(*COMMON)
    suite = SUITE
    if int(pytest.__version__.split(".")[0]) < 9:  # no subtests of its own
        suite = suite.replace(", subtests", "")
        suite = suite.replace("with subtests.test(value=value): assert", "assert")
    qe.files(
        settings="SECRET_KEY = 'x'\nINSTALLED_APPS = []",
        conftest="""
        import pytest
        @pytest.fixture(params=["asyncio"])
        def anyio_backend(request): return request.param
        """,
        suite__test_a=suite,
        suite__test_b=suite,
    )
    qe.pytester.makeini(
        "[pytest]\nDJANGO_SETTINGS_MODULE = settings\npythonpath = .\nasyncio_mode = auto\n"
        "asyncio_default_fixture_loop_scope = function\n"
    )

    def run(name: str, *more: str) -> tuple[object, ...]:
        result = qe.run(
            "suite", "--randomly-seed=3", "--cov=suite", "--cov-report=json:cov.json",
            f"--html={name}.html", "--json-report", f"--json-report-file={name}.json",
            f"--alluredir={name}-allure", f"--junitxml={name}.xml", "--timeout=30", "-p",
            "no:cacheprovider", "--benchmark-max-time=0.01", "--benchmark-min-rounds=1", *more,
        )  # fmt: skip
        report = json.loads((qe.path / f"{name}.json").read_text("utf-8"))
        statuses = sorted(
            (data["fullName"], data.get("status"))
            for path in (qe.path / f"{name}-allure").glob("*-result.json")
            for data in [json.loads(path.read_text("utf-8"))]
        )
        coverage = json.loads((qe.path / "cov.json").read_text())["totals"]
        summary = [line.strip() for line in result.outlines if re.match(r"\d+ snapshots? ", line)]
        return (
            result.ret, result.parseoutcomes(), report["summary"], statuses,
            {t["nodeid"]: t["outcome"] for t in report["tests"]}, coverage, summary,
            {t["nodeid"]: t.get("user_properties") for t in report["tests"]},
            "benchmark: 2 tests" in result.stdout.str(),
        )  # fmt: skip

    serial = run("serial")
    assert serial[0] == 1
    for found, expected in zip(
        run("parallel", "--qe-parallel=2", f"--qe-start={start}"), serial, strict=True
    ):
        assert found == expected


def test_late_output_joins_a_failed_teardown(qe: Qe) -> None:
    """Reporters that close a test at its teardown must not see two."""
    qe.files(
        conftest="""
        import pytest
        @pytest.fixture(scope="session")
        def shared():
            yield
            print("session ends")
        @pytest.fixture
        def broken():
            yield
            print("teardown fails")
            assert 0
        def pytest_runtest_logreport(report):
            with open("reports", "a") as file:
                what = report.nodeid, report.when, report.outcome, report.capstdout
                file.write(f"{what}\\n")
        """,
        # Beside each other, where there are two workers.
        test_a="""
        import os, time
        def test_1(shared, broken):
            deadline = time.monotonic() + 30
            while ("PYTEST_XDIST_WORKER" in os.environ and not os.path.exists("other")
                   and time.monotonic() < deadline):
                time.sleep(0.01)
        """,
        test_b="""
        import os, time
        def test_2():
            if "PYTEST_XDIST_WORKER" in os.environ: open("other", "w").close()
            time.sleep(1)
        """,
    )
    found = []
    for args in ((), ("--qe-parallel=2",)):
        assert qe.run(*args).parseoutcomes() == {"passed": 2, "errors": 1}
        found.append(sorted(qe.lines("reports")))
        (qe.path / "reports").unlink()
    # Serially the session ends with the other test.
    serial = [line.replace("session ends\\n", "") for line in found[0]]
    assert [line.replace("session ends\\n", "") for line in found[1]] == serial
    assert any("teardown fails\\nsession ends" in line for line in found[1])


@STARTS
def test_an_internal_error_of_a_worker_is_one_of_the_run(qe: Qe, start: str) -> None:
    qe.files(
        conftest="""
        import os, pytest
        class Item(pytest.Item):
            def runtest(self): pass
            def listchain(self):
                if "PYTEST_XDIST_WORKER" in os.environ: raise RuntimeError("no chain")
                return super().listchain()
        class File(pytest.File):
            def collect(self): yield Item.from_parent(self, name="one")
        def pytest_collect_file(parent, file_path):
            if file_path.suffix == ".own": return File.from_parent(parent, path=file_path)
        """
    )
    (qe.path / "x.own").write_text("")
    result = qe.run("--qe-parallel=1", f"--qe-start={start}")
    assert result.ret not in (pytest.ExitCode.OK, pytest.ExitCode.NO_TESTS_COLLECTED)
    assert "no chain" in result.stdout.str() + result.stderr.str()


@pytest.mark.parametrize("args", [(), ("-n0",), ("--dist=no",)], ids=str)
def test_an_idle_xdist_changes_nothing(qe: Qe, args: tuple[str, ...]) -> None:
    qe.files(
        conftest="""
        def pytest_runtest_logreport(report):
            with open("reports", "a") as file:
                file.write(f"{report.nodeid} {report.when} {report.outcome}\\n")
        """,
        test_it="""
        import os, xdist
        def test_1(worker_id, testrun_uid):
            assert worker_id == os.environ["PYTEST_XDIST_WORKER"]
        def test_2(request): assert xdist.is_xdist_worker(request)
        def test_3(): assert 0
        """,
    )
    found = []
    for plugins in ((), ("xdist", "xdist.looponfail")):
        qe.use(*plugins)
        result = qe.run("--qe-parallel=2", *args)
        found.append((result.parseoutcomes(), sorted(qe.lines("reports"))))
        (qe.path / "reports").unlink()
    assert found[0] == found[1]
    assert found[0][0] == {"passed": 2, "failed": 1}


@STARTS
def test_main_twice_in_one_process(qe: Qe, start: str) -> None:
    qe.files(
        conftest="""
        import pytest
        @pytest.fixture(scope="session")
        def shared(): return object()
        def pytest_sessionfinish(): print("session finished")
        """,
        test_a="def test_1(shared): pass\ndef test_2(): assert 0\ndef test_3(tmp_path): pass",
        test_b="import os\ndef test_1(shared): pass\ndef test_2(): os.abort()",
        main="""
        import os, sys, threading
        import pytest
        os.environ.pop("PYTEST_CURRENT_TEST", None)  # ours
        os.environ.pop("PYTEST_VERSION", None)
        environment, descriptors = dict(os.environ), len(os.listdir("/proc/self/fd"))
        option = sys.argv[1:]
        codes = [
            pytest.main([*option, "test_a.py"]),
            pytest.main([*option, "test_b.py", "-k", "test_1"]),
            pytest.main(["test_a.py", "-k", "test_3"]),
            pytest.main([*option, "test_a.py", "-k", "nothing"]),
            pytest.main([*option, "missing.py"]),
            pytest.main([*option, "test_a.py"]),
        ]
        print("codes", [int(code) for code in codes])
        print("threads", threading.active_count())
        print("more descriptors", len(os.listdir("/proc/self/fd")) - descriptors > 2)
        print("environment", sorted(set(os.environ.items()) ^ set(environment.items())))
        """,
    )
    expected = ["codes [1, 0, 0, 5, 4, 1]", "threads 1", "more descriptors False",
                "environment []"]  # fmt: skip
    for args in ((), ("--qe-parallel=2", f"--qe-start={start}")):
        result = qe.pytester.run(sys.executable, "main.py", *args, timeout=60)
        assert result.outlines[-4:] == expected
        outcomes = re.findall(r"=+ (.*) in [\d.]+s =+", result.stdout.str())
        assert outcomes == [
            "1 failed, 2 passed", "1 passed, 1 deselected", "1 passed, 2 deselected",
            "3 deselected", "no tests ran", "1 failed, 2 passed",
        ]  # fmt: skip
        if start == "fork":  # a spawned worker is a session of its own
            assert result.stdout.str().count("session finished") == 6
