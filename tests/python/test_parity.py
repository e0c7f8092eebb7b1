"""A parallel run says what a serial one says: reports, hooks, warnings, files."""

from __future__ import annotations

import re
import xml.etree.ElementTree as ET

import pytest

from conftest import Qe

STARTS = pytest.mark.parametrize("start", ["fork", "spawn"])


def summary(result: pytest.RunResult, title: str) -> list[str]:
    """The lines of a section of the output, in a stable order."""
    lines = result.outlines
    heads = [i for i, line in enumerate(lines) if re.match(rf"^=+ {title} =+$", line)]
    if not heads:
        return []
    end = next(i for i in range(heads[0] + 1, len(lines)) if lines[i].startswith("==="))
    body = [line for line in lines[heads[0] + 1 : end] if not line.startswith("qe: ")]
    text = re.sub("0x[0-9a-f]+", "0x?", "\n".join(body))
    return sorted(text.split("\n\n" if title == "warnings summary" else "\n"))


def both(qe: Qe, *args: str) -> tuple[pytest.RunResult, pytest.RunResult]:
    """A serial run and a parallel one; outcomes and status are compared."""
    serial = qe.run(*args)
    parallel = qe.run("--qe-parallel=2", *args)
    assert parallel.ret == serial.ret, parallel.stdout.str()
    if " in " in (serial.outlines or [""])[-1]:
        assert parallel.parseoutcomes() == serial.parseoutcomes()
    for title in ("warnings summary", "short test summary info"):
        assert summary(parallel, title) == summary(serial, title)
    assert parallel.stderr.str() == serial.stderr.str()
    return serial, parallel


# -------------------------------------------------------------------- fixtures


@STARTS
def test_session_fixtures_once_a_worker(qe: Qe, start: str) -> None:
    qe.files(
        test_it="""
        import os, time
        import pytest
        @pytest.fixture(scope="session")
        def shared(worker_id):
            with open("up", "a") as file: file.write(f"{worker_id} {os.getpid()}\\n")
            yield
            with open("down", "a") as file: file.write(f"{worker_id} {os.getpid()}\\n")
        @pytest.mark.parametrize("value", range(12))
        def test_it(value, shared):
            deadline = time.monotonic() + 30  # each worker is to have one
            while len(open("up").readlines()) < 3 and time.monotonic() < deadline:
                time.sleep(0.01)
    """
    )
    qe.run("--qe-parallel=3", f"--qe-start={start}").assert_outcomes(passed=12)
    assert len(qe.lines("up")) == 3
    assert len({line.split()[0] for line in qe.lines("up")}) == 3
    assert sorted(qe.lines("up")) == sorted(qe.lines("down"))


def test_scopes_nest_as_serially(qe: Qe) -> None:
    """In every process set-ups and tear-downs come in pairs, inside out."""
    module = """
        import pytest
        class TestOne:
            def test_a(self, module, cls, function): pass
            def test_b(self, module, cls): pass
        class TestTwo:
            def test_a(self, cls, function): pass
        def test_c(module): pass
        @pytest.mark.parametrize("value", range(5))
        def test_d(value, package, function): pass
    """
    order = ("session", "package", "module", "class", "function")
    fixtures = """
import os
import pytest

def log(text):
    with open(f"log-{os.getpid()}", "a") as file: file.write(text + "\\n")
"""
    for scope in order:
        name = "cls" if scope == "class" else scope
        fixtures += f"""
@pytest.fixture(scope="{scope}", autouse={scope == "session"})
def {name}(request):
    log("+{scope} " + request.node.nodeid)
    yield
    log("-{scope} " + request.node.nodeid)
"""
    qe.files(conftest=fixtures, test_a=module, test_b=module, test_c=module)
    qe.run("--qe-parallel=3").assert_outcomes(passed=27)
    logs = list(qe.path.glob("log-*"))
    assert logs
    for path in logs:
        stack: list[str] = []
        for line in path.read_text().splitlines():
            what = line[1:]
            scope = what.split()[0]
            if line.startswith("+"):
                assert what not in stack
                # An outer fixture may come late; it is still torn down last.
                stack.append(what)
                stack.sort(key=lambda text: order.index(text.split()[0]))
            else:
                assert stack[-1] == what, (scope, stack)
                stack.pop()
        assert stack == []


def test_a_late_tear_down_error_belongs_to_the_last_test(qe: Qe) -> None:
    qe.files(
        test_it="""
        import pytest
        @pytest.fixture(scope="module")
        def broken():
            yield
            raise RuntimeError("late")
        def test_1(broken): pass
        def test_2(broken): pass
    """,
        test_other="def test_it(): pass",
    )
    # Whole files: a stolen test would have a fixture of its own, and its error.
    both(qe, "-o", "qe_dist=loadfile")


# ---------------------------------------------------------------------- hooks


def test_session_hooks_of_conftests_happen_once(qe: Qe) -> None:
    qe.files(
        conftest="""
        import os, pytest
        def write(name):
            with open("hooks", "a") as file: file.write(f"{name}\\n")
        def pytest_configure(): write("configure")
        def pytest_sessionstart(): write("sessionstart")
        def pytest_collection_finish(): write("collection_finish")
        def pytest_sessionfinish(exitstatus): write(f"sessionfinish {int(exitstatus)}")
        def pytest_terminal_summary(): write("terminal_summary")
        def pytest_unconfigure(): write("unconfigure")
        """,
        test_it="def test_1(): pass\ndef test_2(): assert 0\ndef test_3(): pass",
    )
    qe.run()
    serial = qe.lines("hooks")
    (qe.path / "hooks").unlink()
    qe.run("--qe-parallel=2")
    assert qe.lines("hooks") == serial


def test_report_hooks_of_conftests_happen_once_each(qe: Qe) -> None:
    qe.files(
        conftest="""
        def write(name):
            with open("hooks", "a") as file: file.write(f"{name}\\n")
        def pytest_runtest_logstart(nodeid): write(f"start {nodeid}")
        def pytest_runtest_logfinish(nodeid): write(f"finish {nodeid}")
        def pytest_runtest_logreport(report):
            write(f"{report.nodeid} {report.when} {report.outcome}")
        def pytest_warning_recorded(nodeid): write(f"warning {nodeid}")
        """,
        test_it="""
        import warnings, pytest
        def test_1(): pass
        def test_2(): assert 0
        def test_3(): warnings.warn("careful")
        def test_4(): pytest.skip()
        """,
    )
    qe.run()
    serial = qe.lines("hooks")
    (qe.path / "hooks").unlink()
    qe.run("--qe-parallel=2")
    assert sorted(qe.lines("hooks")) == sorted(serial)
    lines = qe.lines("hooks")
    for number in (1, 2, 3, 4):
        mine = [line for line in lines if f"test_{number}" in line]
        assert mine == [line for line in serial if f"test_{number}" in line]
        first, last = lines.index(mine[0]), len(lines) - lines[::-1].index(mine[-1])
        reports = [line for line in lines[first:last] if not line.startswith("warning")]
        assert all(f"test_{number}" in line for line in reports), "one test at a time"


def test_run_hooks_of_conftests_happen_in_workers(qe: Qe) -> None:
    qe.files(
        conftest="""
        import os, pytest
        @pytest.hookimpl(wrapper=True)
        def pytest_runtest_makereport(item, call):
            report = yield
            report.user_properties.append(("pid", os.getpid()))
            if call.when == "call":
                report.sections.append(("own", f"section of {item.name}"))
            return report
        def pytest_runtest_setup(item): item.ready = True
        def pytest_pyfunc_call(pyfuncitem): assert pyfuncitem.ready
        """,
        test_it="def test_1(): pass\ndef test_2(): assert 0",
    )
    _, parallel = both(qe)
    assert "section of test_2" in parallel.stdout.str()


def test_a_conftest_may_change_the_outcome(qe: Qe) -> None:
    qe.files(
        conftest="""
        import pytest
        @pytest.hookimpl(wrapper=True)
        def pytest_runtest_makereport(item, call):
            report = yield
            if report.failed and "forgiven" in item.name:
                report.outcome = "passed"
            return report
        def pytest_report_teststatus(report):
            if report.when == "call" and report.passed:
                return "fine", "+", "FINE"
        """,
        test_it="def test_forgiven(): assert 0\ndef test_2(): assert 0",
    )
    serial = qe.run()
    parallel = qe.run("--qe-parallel=2")
    assert parallel.ret == serial.ret
    assert parallel.parseoutcomes() == serial.parseoutcomes() == {"failed": 1, "fine": 1}


# ------------------------------------------------------------------- warnings


@pytest.mark.smoke
def test_warnings_equal_serial(qe: Qe) -> None:
    qe.files(
        conftest="import warnings\nwarnings.warn('of the conftest')",
        test_it="""
        import warnings
        import pytest
        warnings.warn("of the module")

        class Odd(UserWarning):
            def __init__(self, a, b): super().__init__(f"{a} and {b}")

        @pytest.mark.parametrize("value", range(3))
        def test_same(value): warnings.warn("the same")
        def test_odd(): warnings.warn(Odd(1, 2))
        def test_two():
            warnings.warn("one", DeprecationWarning)
            warnings.warn("two", FutureWarning)
        @pytest.fixture
        def warns():
            warnings.warn("before")
            yield
            warnings.warn("after")
        def test_fixture(warns): pass
        @pytest.mark.filterwarnings("error")
        def test_error(): warnings.warn("raised")
        @pytest.mark.filterwarnings("ignore")
        def test_ignored(): warnings.warn("ignored")
        def test_unknown_mark_in_test(): warnings.warn(ResourceWarning("left open"))
        def test_surrogate(): warnings.warn("\\udc80")
        """,
    )
    both(qe, "-W", "always")
    both(qe, "-p", "no:warnings")
    both(qe, "-W", "error")


# ------------------------------------------------------------------- outcomes


@pytest.mark.smoke
def test_subtests(qe: Qe) -> None:
    qe.files(
        test_it="""
        import unittest
        import pytest

        def test_native(subtests):
            for number in range(5):
                with subtests.test(f"number {number}", number=number):
                    print("in", number)
                    assert number not in (1, 3)

        class TestUnit(unittest.TestCase):
            def test_sub(self):
                for number in range(4):
                    with self.subTest("message", number=number):
                        if number == 2: self.skipTest("two")
                        self.assertNotEqual(number, 1)
            def test_fine(self):
                with self.subTest(a=1): pass
            @unittest.expectedFailure
            def test_expected(self): self.fail()
            @unittest.skip("why")
            def test_skipped(self): pass

        class TestBroken(unittest.TestCase):
            @classmethod
            def setUpClass(cls): raise RuntimeError("no class")
            def test_1(self): pass
            def test_2(self): pass
    """
    )
    if int(pytest.__version__.split(".")[0]) < 9:
        pytest.skip("pytest 8 has no subtests of its own")
    both(qe)
    both(qe, "-v")


@pytest.mark.smoke
def test_xfail_in_all_its_forms(qe: Qe) -> None:
    qe.files(
        test_it="""
        import pytest
        @pytest.mark.xfail
        def test_1(): assert 0
        @pytest.mark.xfail
        def test_2(): pass
        @pytest.mark.xfail(strict=True, reason="why")
        def test_3(): pass
        @pytest.mark.xfail(raises=ValueError)
        def test_4(): raise KeyError
        @pytest.mark.xfail(run=False)
        def test_5(): raise SystemExit
        @pytest.mark.xfail("1 == 1", reason="condition")
        def test_6(): assert 0
        def test_7(): pytest.xfail("in the test")
        def test_8(request):
            request.node.add_marker(pytest.mark.xfail(reason="added"))
            assert 0
        @pytest.mark.skipif("True", reason="condition")
        def test_9(): pass
        def test_10(): pytest.importorskip("nothing_like_that")
    """
    )
    both(qe, "-ra")
    both(qe, "-ra", "-o", "xfail_strict=true")
    both(qe, "--runxfail")


def test_broken_reprs_and_exceptions(qe: Qe) -> None:
    qe.files(
        test_it="""
        import pytest
        class Bad:
            def __repr__(self): raise RuntimeError("no repr")
            def __eq__(self, other): return False
        def test_repr(): assert Bad() == Bad()
        class BadError(Exception):
            def __str__(self): raise RuntimeError("no str")
        def test_error(): raise BadError
        def test_chain():
            try: 1 / 0
            except ZeroDivisionError as error: raise ValueError("outer") from error
        def test_large(): assert "x" * 300_000 == "y" * 300_000
        def test_deep():
            def down(n): return 1 / 0 if n == 0 else down(n - 1)
            down(200)
        def test_surrogate(): raise ValueError("\\udc80 \\x00 \\x1b[31m")
        def test_output():
            print("x" * 2_000_000)
            assert 0
    """
    )
    _, parallel = both(qe)
    assert len(parallel.stdout.str()) > 2_000_000


def test_properties(qe: Qe) -> None:
    qe.files(
        test_it="""
        import pathlib
        import pytest
        class Odd:
            def __repr__(self): return "<odd>"
        class Worse:
            def __repr__(self): raise RuntimeError
        def test_plain(record_property): record_property("key", 5)
        def test_odd(record_property):
            record_property("object", Odd())
            record_property("lambda", lambda: 1)
            record_property("path", pathlib.Path("/x"))
            record_property("bytes", b"\\xff")
            record_property("nested", {"a": [1, (1, {2})]})
            record_property("text", "\\x00\\x1b")
        def test_attribute(record_xml_attribute): record_xml_attribute("own", "x")
        def test_suite(record_testsuite_property):
            record_testsuite_property("suite", "value")
            record_testsuite_property("number", 3)
        def test_worse(record_property): record_property("worse", [Worse(), {"a": Odd()}])
    """
    )
    args = ("-o", "junit_family=xunit1")
    qe.run("--junitxml=serial.xml", "--deselect=test_it.py::test_worse", *args)
    result = qe.run("--qe-parallel=2", "--junitxml=parallel.xml", *args)
    assert result.parseoutcomes()["passed"] == 5

    def properties(name: str) -> dict[str, list[tuple[str | None, str | None]]]:
        suite = ET.parse(qe.path / name).getroot()[0]
        found = {
            "": [(p.get("name"), p.get("value")) for p in suite.findall("properties/property")]
        }
        for case in suite.iter("testcase"):
            if case.get("name") != "test_worse":
                found[str(case.get("name"))] = [
                    (p.get("name"), re.sub("0x[0-9a-f]+", "", str(p.get("value"))))
                    for p in case.findall("properties/property")
                ]
                assert (case.get("own") == "x") == (case.get("name") == "test_attribute")
        found[""].sort()
        return found

    assert properties("parallel.xml") == properties("serial.xml")


@pytest.mark.smoke
def test_junit(qe: Qe) -> None:
    qe.files(
        test_it="""
        import pytest
        @pytest.fixture
        def broken():
            yield
            raise RuntimeError("after")
        def test_1(): print("printed")
        def test_2():
            print("printed")
            assert 0
        def test_3(broken): assert 0
        def test_4(): pytest.skip("why")
        class TestClass:
            def test_5(self): pass
    """
    )

    def cases(name: str) -> list[tuple[object, ...]]:
        suite = ET.parse(qe.path / name).getroot()[0]
        counts = tuple(suite.get(k) for k in ("tests", "errors", "failures", "skipped"))
        found = [
            (case.get("classname"), case.get("name"), [(e.tag, e.get("message")) for e in case])
            for case in suite.iter("testcase")
        ]
        return [counts, *sorted(found, key=str)]

    qe.run("--junitxml=serial.xml", "-o", "junit_logging=all")
    qe.run("--qe-parallel=2", "--junitxml=parallel.xml", "-o", "junit_logging=all")
    assert cases("parallel.xml") == cases("serial.xml")


# --------------------------------------------------------------------- capture


def test_output_of_tests_is_not_mixed(qe: Qe) -> None:
    qe.files(
        test_it="""
        import os, subprocess, sys, time
        import pytest
        @pytest.mark.parametrize("value", range(24))
        def test_it(value):
            for part in range(5):
                print(f"<print {value}>", flush=True)
                os.write(1, f"<fd {value}>\\n".encode())
                os.write(2, f"<err {value}>\\n".encode())
                time.sleep(0.005)
            subprocess.run(["echo", f"<child {value}>"])
            assert value < 0
    """
    )
    text = qe.run("--qe-parallel=3").stdout.str()
    blocks = re.split(r"_{5,} test_it\[(\d+)\] _{5,}", text)[1:]
    assert len(blocks) == 48
    for value, body in zip(blocks[::2], blocks[1::2], strict=True):
        body = body.split("short test summary")[0]
        assert set(re.findall(r"<\w+ (\d+)>", body)) == {value}
        assert body.count(f"<print {value}>\n") == 5
        assert body.count(f"<fd {value}>\n") == 5
        assert body.count(f"<err {value}>\n") == 5
        assert body.count(f"<child {value}>\n") == 1


@pytest.mark.parametrize("args", [(), ("--capture=sys",), ("-s",)], ids=["fd", "sys", "no"])
def test_capture_fixtures(qe: Qe, args: tuple[str, ...]) -> None:
    qe.files(
        test_it="""
        import logging, os
        def test_sys(capsys):
            print("out")
            assert capsys.readouterr().out == "out\\n"
        def test_fd(capfd):
            os.write(1, b"fd\\n")
            assert capfd.readouterr().out == "fd\\n"
        def test_binary(capfdbinary):
            os.write(2, b"\\xff")
            assert capfdbinary.readouterr().err == b"\\xff"
        def test_log(caplog):
            logging.getLogger().warning("logged")
            assert caplog.messages == ["logged"]
        def test_disabled(capsys):
            with capsys.disabled(): print("shown at once")
        def test_stdin():
            import sys, pytest
            with pytest.raises((OSError, EOFError)): input()
    """
    )
    if args == ("-s",):
        args = ("-s", "--deselect=test_it.py::test_stdin")
    result = qe.run("--qe-parallel=2", *args)
    result.assert_outcomes(passed=5 if "-s" in args else 6, deselected=1 if "-s" in args else 0)
    assert "shown at once" in result.stdout.str() + result.stderr.str()


def test_logging_to_a_file(qe: Qe) -> None:
    qe.files(
        test_it="""
        import logging
        import pytest
        @pytest.mark.parametrize("value", range(10))
        def test_it(value): logging.getLogger().warning(f"line of {value}.")
    """
    )
    qe.run("--qe-parallel=2", "--log-file=out.log").assert_outcomes(passed=10)
    text = (qe.path / "out.log").read_text()
    assert all(f"line of {value}." in text for value in range(10))


# ------------------------------------------------------------------- processes


@pytest.mark.smoke
def test_tmp_path_is_below_the_workers_folder(qe: Qe) -> None:
    qe.files(
        test_it="""
        import time
        def log(tmp_path, factory, worker_id):
            time.sleep(0.3)
            base = factory.getbasetemp()
            assert base.name == f"popen-{worker_id}"
            assert tmp_path.parent == base
            with open("bases", "a") as file: file.write(f"{base.parent}\\n")
            # The recipe of pytest-xdist's documentation.
            (base.parent / "shared.txt").write_text("x")
        def test_1(tmp_path, tmp_path_factory, worker_id):
            log(tmp_path, tmp_path_factory, worker_id)
        def test_2(tmp_path, tmp_path_factory, worker_id):
            log(tmp_path, tmp_path_factory, worker_id)
    """
    )
    for start in ("fork", "spawn"):
        qe.run("--qe-parallel=2", f"--qe-start={start}").assert_outcomes(passed=2)
        assert len(set(qe.lines("bases"))) == 1
        (qe.path / "bases").unlink()


def test_tmp_path_retention(qe: Qe) -> None:
    qe.files(
        test_it="""
        def test_passes(tmp_path): (tmp_path / "file").write_text("x")
        def test_fails(tmp_path):
            (tmp_path / "file").write_text("x")
            assert 0
    """
    )
    qe.run("--qe-parallel=2", "--basetemp=base", "-o", "tmp_path_retention_policy=failed")
    kept = [path.parent.name for path in (qe.path / "base").rglob("file")]
    assert kept == ["test_fails0"]


def test_a_test_that_forks_and_returns(qe: Qe) -> None:
    qe.files(
        test_it="""
        import os
        import pytest
        def log(name):
            with open("ran", "a") as file: file.write(name + "\\n")
        def test_forks():
            log("forks")
            if os.fork() == 0:
                return
            os.wait()
        @pytest.mark.parametrize("value", range(10))
        def test_it(value): log(str(value))
    """
    )
    for start in ("fork", "spawn"):
        result = qe.run("--qe-parallel=2", f"--qe-start={start}")
        result.assert_outcomes(passed=11)
        assert sorted(qe.lines("ran")) == sorted(["forks", *map(str, range(10))])
        (qe.path / "ran").unlink()


@pytest.mark.smoke
def test_a_test_that_uses_multiprocessing_and_threads(qe: Qe) -> None:
    qe.files(
        test_it="""
        import asyncio, concurrent.futures, multiprocessing, os, subprocess, sys, threading
        import pytest

        def square(n): return n * n

        @pytest.mark.parametrize("method", ["fork", "spawn", "forkserver"])
        def test_pool(method):
            with multiprocessing.get_context(method).Pool(2) as pool:
                assert pool.map(square, range(4)) == [0, 1, 4, 9]

        def test_executor():
            with concurrent.futures.ThreadPoolExecutor() as pool:
                assert list(pool.map(square, range(4))) == [0, 1, 4, 9]

        def test_asyncio(): asyncio.run(asyncio.sleep(0))

        def test_child_status():
            pid = os.fork()
            if pid == 0: os._exit(7)
            assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 7

        def test_signals():
            import signal
            got = []
            signal.signal(signal.SIGUSR1, lambda *args: got.append(1))
            os.kill(os.getpid(), signal.SIGUSR1)
            assert got == [1]
            signal.setitimer(signal.ITIMER_REAL, 0.01)
            signal.signal(signal.SIGALRM, lambda *args: got.append(2))
            signal.pause()
            assert got == [1, 2]

        def test_nested_pytest(pytester):
            pytester.makepyfile("def test_inner(): pass")
            pytester.runpytest_inprocess("-p", "no:cacheprovider").assert_outcomes(passed=1)
            pytester.runpytest_subprocess("-p", "no:cacheprovider").assert_outcomes(passed=1)
            pytester.runpytest_subprocess("--qe-parallel=2").assert_outcomes(passed=1)
    """
    )
    qe.run("--qe-parallel=2", "-p", "pytester").assert_outcomes(passed=8)


def test_a_grandchild_that_holds_the_pipes_does_not_hang_the_run(qe: Qe) -> None:
    qe.files(
        test_it="""
        import subprocess
        def test_it():
            subprocess.Popen(["sleep", "600"], start_new_session=True, close_fds=False)
    """
    )
    qe.run("--qe-parallel=1").assert_outcomes(passed=1)


def test_exit_handlers_do_not_run_twice(qe: Qe) -> None:
    qe.files(
        conftest="""
        import atexit
        def leave():
            with open("left", "a") as file: file.write("x\\n")
        atexit.register(leave)
        """,
        test_it="def test_1(): pass\ndef test_2(): pass",
    )
    qe.run("--qe-parallel=2").assert_outcomes(passed=2)
    assert len(qe.lines("left")) == 1


# ------------------------------------------------------------------- selection


def test_nothing_collected(qe: Qe) -> None:
    qe.files(test_it="x = 1")
    assert qe.run("--qe-parallel=2").ret == pytest.ExitCode.NO_TESTS_COLLECTED
    qe.files(test_it="def test_it(): pass")
    result = qe.run("--qe-parallel=2", "-k", "nothing_like_that")
    assert result.ret == pytest.ExitCode.NO_TESTS_COLLECTED
    assert "1 deselected" in result.stdout.str()


@pytest.mark.smoke
def test_collection_errors(qe: Qe) -> None:
    qe.files(test_it="def test_it(): pass", test_bad="import nothing_like_that")
    _, parallel = both(qe)
    assert parallel.ret == pytest.ExitCode.INTERRUPTED
    assert "nothing_like_that" in parallel.stdout.str()
    for start in ("fork", "spawn"):
        both(qe, "--continue-on-collection-errors", f"--qe-start={start}")
    assert qe.run("--qe-parallel=2", "missing.py").ret == pytest.ExitCode.USAGE_ERROR


def test_collect_only_runs_nothing(qe: Qe) -> None:
    qe.files(test_it="def test_it():\n    open('ran', 'w')")
    serial = qe.run("--co", "-q")
    result = qe.run("--qe-parallel=2", "--co", "-q")
    assert result.outlines[0] == serial.outlines[0] == "test_it.py::test_it"
    assert result.ret == 0
    assert not (qe.path / "ran").exists()


def test_last_failed_after_a_parallel_run(qe: Qe) -> None:
    qe.files(
        test_a="def test_1(): pass\ndef test_2(): assert 0",
        test_b="import os\ndef test_3(): os.abort()\ndef test_4(): pass",
    )
    qe.run("--qe-parallel=2").assert_outcomes(passed=2, failed=2)
    _, written = qe.json("--qe-parallel=2", "--lf")
    assert written.outcomes() == {"test_2": "failed", "test_3": "crashed"}
    qe.run("--lf", "--co").stdout.fnmatch_lines(["*test_2*", "*test_3*"])
    qe.run("--qe-parallel=2", "--cache-clear").assert_outcomes(passed=2, failed=2)


def test_stepwise(qe: Qe) -> None:
    qe.files(test_it="def test_1(): pass\ndef test_2(): assert 0\ndef test_3(): pass")
    result = qe.run("--qe-parallel=1", "--sw")
    assert result.ret in (1, 2)
    result = qe.run("--qe-parallel=1", "--sw")
    assert "1 deselected" in result.stdout.str()


@pytest.mark.smoke
def test_doctests_and_other_items(qe: Qe) -> None:
    qe.files(
        conftest="""
        import pytest
        def pytest_collect_file(parent, file_path):
            if file_path.suffix == ".yaml":
                return File.from_parent(parent, path=file_path)
        class File(pytest.File):
            def collect(self):
                for word in self.path.read_text().split():
                    yield Item.from_parent(self, name=word)
        class Item(pytest.Item):
            def runtest(self): assert self.name != "bad"
            def repr_failure(self, excinfo): return f"{self.name} is bad"
            def reportinfo(self): return self.path, 3, f"word {self.name}"
        """,
        module='''
        def add(a, b):
            """
            >>> add(1, 2)
            3
            >>> add(1, 1)
            3
            """
            return a + b
        ''',
    )
    (qe.path / "words.yaml").write_text("good bad")
    (qe.path / "text.txt").write_text(">>> 1 + 1\n2\n")
    both(qe, "--doctest-modules", "--doctest-glob=*.txt")


def test_coverage_of_workers(qe: Qe) -> None:
    qe.use("pytest_cov")
    qe.files(
        module="def one():\n    return 1\n\n\ndef two():\n    return 2\n",
        test_it="""
        import module, time
        def test_1():
            time.sleep(0.2)
            assert module.one() == 1
        def test_2():
            time.sleep(0.2)
            assert module.two() == 2
        """,
    )
    result = qe.run("--qe-parallel=2", "--cov=module", "--cov-report=term")
    result.assert_outcomes(passed=2)
    result.stdout.re_match_lines([r"module\.py +4 +0 +100%"])


def test_timeout_plugin_beside_us(qe: Qe) -> None:
    qe.use("timeout")
    qe.files(test_it="import time\ndef test_1(): time.sleep(60)\ndef test_2(): pass")
    result = qe.run("--qe-parallel=2", "--timeout=0.5")
    result.assert_outcomes(passed=1, failed=1)
    assert "Timeout" in result.stdout.str()


@pytest.mark.parametrize("option", ["-x", "--maxfail=2", "--maxfail=3"])
def test_subtests_end_at_the_limit(qe: Qe, option: str) -> None:
    qe.files(
        test_it="""
            def test_it(subtests):
                for i in range(6):
                    with subtests.test(i=i): assert i < 1
                print("the end")
        """
    )
    serial = qe.run(option)
    if int(pytest.__version__.split(".")[0]) < 9:
        pytest.skip("pytest 8 has no subtests of its own")
    parallel = qe.run(option, "--qe-parallel=1")
    assert parallel.parseoutcomes() == serial.parseoutcomes()
    told = [line for line in serial.outlines if line.startswith(("SUBFAILED", "FAILED", "E  "))]
    assert [x for x in parallel.outlines if x.startswith(("SUBFAILED", "FAILED", "E  "))] == told


@pytest.mark.parametrize("frames", ["0", "4"])
def test_warnings_of_objects(qe: Qe, frames: str) -> None:
    """With where they were made, as far as that is traced."""
    qe.files(
        test_it="""
            import warnings

            class Two(UserWarning):
                def __init__(self, a, b): super().__init__(f"{a} and {b}")

            async def never(): pass
            def test_awaits(): never()
            def test_closes():
                file = open(__file__)
                del file
            def test_warns(): warnings.warn(Two("one", "two"))
        """
    )
    qe.setenv("PYTHONTRACEMALLOC", frames)

    def summary(result: pytest.RunResult) -> list[str]:
        lines = result.outlines
        start = next(i for i, line in enumerate(lines) if "warnings summary" in line)
        end = next(i for i, line in enumerate(lines) if line.startswith("-- Docs"))
        return lines[start:end]

    serial = summary(qe.run("-W", "always"))
    assert sum("Object allocated at:" in line for line in serial) == (2 if frames == "4" else 0)
    assert summary(qe.run("-W", "always", "--qe-parallel=1")) == serial
