"""What a test can see of its process is what it sees serially."""

from __future__ import annotations

import pytest

from conftest import Qe

STARTS = pytest.mark.parametrize("start", ["fork", "spawn"])


def test_the_collector_sees_everything(qe: Qe) -> None:
    """Objects made at import are tracked, found and freed in a fork, too."""
    qe.files(
        test_it="""
        import gc, weakref

        class Thing: pass

        KEEP = {"key": Thing()}
        CYCLE = Thing()
        CYCLE.me = CYCLE

        def test_referrers(): assert any(r is KEEP for r in gc.get_referrers(KEEP["key"]))
        def test_objects(): assert any(o is KEEP for o in gc.get_objects())
        def test_cycle():
            global CYCLE
            ref = weakref.ref(CYCLE)
            del CYCLE
            gc.collect()
            assert ref() is None
        """
    )
    qe.run("--qe-parallel=2").assert_outcomes(passed=3)


@STARTS
def test_what_tests_leave_for_the_exit_is_done(qe: Qe, start: str) -> None:
    """Exit handlers, finalisers and buffers of a test's own; each once."""
    qe.files(
        test_it="""
        import atexit, tempfile
        from pathlib import Path

        LOG = open("log.txt", "a")
        KEPT = []

        def test_file(): LOG.write("written\\n")
        def test_atexit(): atexit.register(lambda: open("exit.txt", "a").write("handled\\n"))
        def test_directory():
            KEPT.append(tempfile.TemporaryDirectory(dir=".", prefix="kept-"))
        """
    )
    qe.run("--qe-parallel=2", f"--qe-start={start}").assert_outcomes(passed=3)
    assert qe.lines("log.txt") == ["written"]
    assert qe.lines("exit.txt") == ["handled"]
    assert not list(qe.path.glob("kept-*"))


def test_what_the_controller_made_is_left_to_it(qe: Qe) -> None:
    """Buffers, exit handlers and finalisers from before the fork run once."""
    qe.files(
        conftest="""
        import atexit, tempfile
        LOG = open("log.txt", "a")
        LOG.write("imported\\n")
        atexit.register(lambda: open("exit.txt", "a").write("handled\\n"))
        DIRECTORY = tempfile.TemporaryDirectory(dir=".", prefix="kept-")
        """,
        test_it="""
        import os, conftest, pytest
        @pytest.mark.parametrize("i", range(6))
        def test_it(i): assert os.path.isdir(conftest.DIRECTORY.name)
        """,
    )
    qe.run("--qe-isolate").assert_outcomes(passed=6)
    assert qe.lines("log.txt") == ["imported"]
    assert qe.lines("exit.txt") == ["handled"]
    assert not list(qe.path.glob("kept-*"))


def test_the_terminal_reporter_is_there(qe: Qe) -> None:
    qe.files(
        test_it="""
        def test_it(request):
            request.config.pluginmanager.getplugin("terminalreporter").write_line("hello")
        """
    )
    qe.run("--qe-parallel=2").assert_outcomes(passed=1)


def test_one_worker_keeps_the_order_of_collection(qe: Qe) -> None:
    for name, count in (("a", 1), ("b", 5), ("c", 2)):
        body = "".join(f"def test_{name}{i}(): pass\n" for i in range(count))
        (qe.path / f"test_{name}.py").write_text(body)
    for _ in range(2):  # the second time with a history
        _, result = qe.json("--qe-parallel=1")
        assert result.starts() == [t["id"].split("::")[1] for t in result.tests]


def test_a_suite_with_a_run_loop_of_its_own_is_refused(qe: Qe) -> None:
    qe.files(
        conftest="def pytest_runtestloop(session): return True",
        test_it="def test_it(): pass",
    )
    result = qe.run("--qe-parallel=2")
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stderr.fnmatch_lines(["*conftest.py implements pytest_runtestloop itself*"])


def test_metadata_of_workers_may_be_asked_for(qe: Qe) -> None:
    """pytest-metadata looks at ``workeroutput`` only where it is there."""
    qe.files(
        conftest="""
        def pytest_testnodedown(node, error):
            if hasattr(node, "workeroutput"):
                node.workeroutput["metadata"]
        """,
        test_it="def test_it(): pass",
    )
    qe.run("--qe-parallel=2").assert_outcomes(passed=1)


def test_stepwise_goes_on_where_it_stopped(qe: Qe) -> None:
    for name in "ab":
        (qe.path / f"test_{name}.py").write_text(
            "import pytest\n@pytest.mark.parametrize('i', range(8))\n"
            "def test_it(i): assert i != 3\n"
        )
    outcomes = []
    for options in ([], ["--qe-parallel=2"]):
        for args in (["--sw"], ["--sw", "--sw-skip"]):
            outcomes.append(qe.run(*options, *args).parseoutcomes())
        (qe.path / ".pytest_cache/v/cache/stepwise").unlink()
    assert outcomes[:2] == outcomes[2:]
