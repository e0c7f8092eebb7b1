"""``--qe-start``: how workers start, and that it makes no difference."""

from __future__ import annotations

import json
import re
import socket
import sys
from pathlib import Path

import pytest

from conftest import Qe

SUITE = """
    import logging, os, sys, unittest, warnings
    import pytest

    @pytest.fixture(scope="session")
    def shared(tmp_path_factory):
        return tmp_path_factory.mktemp("shared")

    @pytest.fixture(params=["a", "b"])
    def either(request):
        yield request.param
        print("after", request.param)

    def test_passes(shared, tmp_path): assert shared.exists()
    def test_fails(either):
        print("printed", either)
        logging.getLogger("x").warning("logged")
        assert {"a": 1} == {"a": 2}
    def test_error(missing): pass
    def test_skips(): pytest.skip("why")
    @pytest.mark.xfail(reason="known")
    def test_xfail(): assert 0
    @pytest.mark.xfail(strict=True)
    def test_strict(): pass
    def test_warns(): warnings.warn("careful", UserWarning)
    def test_property(record_property): record_property("key", object)
    def test_written_to_fd(capfd):
        os.write(1, b"bytes")
        assert capfd.readouterr().out == "bytes"
    @pytest.mark.parametrize("value", ["", "x y", "\\x00", "\\udc80", "\u2603"])
    def test_odd(value): pass
    class TestUnit(unittest.TestCase):
        def test_sub(self):
            for i in range(3):
                with self.subTest(i=i): assert i != 1
    def test_worker_environment(): assert os.environ["PYTEST_XDIST_WORKER"].startswith("gw")
"""


def shape(result: pytest.RunResult) -> list[str]:
    """The output without what may differ: order, times, addresses, workers."""
    text = re.sub(r"0x[0-9a-f]+|\d+\.\d+s|gw\d|runpytest-\d+|seed[= ]\d+", "?", result.stdout.str())
    return sorted(
        line for line in text.splitlines()
        if not line.startswith("qe: ") and not re.match(r"^\S+ +\[ *\d+%\]$", line)
    )  # fmt: skip


@pytest.mark.smoke
def test_spawn_is_equal_to_fork(qe: Qe) -> None:
    qe.files(test_a=SUITE, sub__test_b=SUITE)
    forked, by_fork = qe.json("--qe-parallel=2", "--qe-start=fork", "-ra")
    spawned, by_spawn = qe.json("--qe-parallel=2", "--qe-start=spawn", "-ra")
    assert forked.ret == spawned.ret == 1
    assert forked.parseoutcomes() == spawned.parseoutcomes()
    assert by_fork.outcomes() == by_spawn.outcomes()
    assert spawned.stderr.str() == forked.stderr.str()
    assert shape(spawned) == shape(forked)


@pytest.mark.parametrize("start", ["fork", "spawn"])
def test_the_header_says_which_and_why(qe: Qe, start: str) -> None:
    qe.files(test_it="def test_it(): pass")
    result = qe.run("--qe-parallel=1", f"--qe-start={start}")
    result.assert_outcomes(passed=1)
    result.stdout.fnmatch_lines([f"qe: 1 worker by {start} (asked for)"])
    result = qe.run("--qe-parallel=1")
    result.stdout.fnmatch_lines(["qe: 1 worker by fork (no live threads or shared descriptors)"])


def test_standard_output_may_be_a_socket(qe: Qe) -> None:
    """As where Node starts pytest: its pipes are sockets."""
    qe.files(test_it="def test_it(): pass")
    ours, theirs = socket.socketpair()
    with ours, theirs:
        process = qe.popen("--qe-parallel=1", stdout=theirs)
        theirs.close()
        with ours.makefile("rb") as file:
            said = file.read().decode()
    assert process.wait(60) == 0, said
    assert "qe: 1 worker by fork (no live threads or shared descriptors)" in said


def test_fork_collects_once_and_spawn_in_each_worker(qe: Qe) -> None:
    qe.files(
        conftest="""
        import os
        def pytest_collection_finish():
            with open("collected", "a") as file: file.write(f"{os.getpid()}\\n")
        """,
        test_it="import time\ndef test_1(): time.sleep(0.5)\ndef test_2(): time.sleep(0.5)",
    )
    qe.run("--qe-parallel=2", "--qe-start=fork").assert_outcomes(passed=2)
    assert len(qe.lines("collected")) == 1
    (qe.path / "collected").unlink()
    qe.run("--qe-parallel=2", "--qe-start=spawn").assert_outcomes(passed=2)
    assert len(set(qe.lines("collected"))) == len(qe.lines("collected")) == 3


UNSAFE = {
    "thread": (
        """
        import threading
        threading.Thread(target=threading.Event().wait, name="pump", daemon=True).start()
        """,
        ["thread 'pump'"],
    ),
    "socket": (
        """
        import socket
        LISTENER = socket.socket()
        """,
        ["socket", "conftest"],
    ),
    "socket of an object": (
        """
        import socket
        class Client:
            def __init__(self): self.socket = socket.socketpair()[0]
        CLIENT = Client()
        """,
        ["socket", "conftest"],
    ),
    "epoll": (
        """
        import select
        POLLER = select.epoll()
        """,
        ["eventpoll", "conftest"],
    ),
    "event loop": (
        """
        import asyncio
        LOOP = asyncio.new_event_loop()
        """,
        ["conftest"],
    ),
}


@pytest.mark.parametrize("what", UNSAFE)
def test_auto_spawns_where_forking_is_unsafe(qe: Qe, what: str) -> None:
    source, words = UNSAFE[what]
    qe.files(conftest=source, test_it="def test_1(): pass\ndef test_2(): assert 0")
    result = qe.run("--qe-parallel=2")
    result.assert_outcomes(passed=1, failed=1)
    line = next(line for line in result.outlines if line.startswith("qe: ") and " by " in line)
    assert "2 workers by spawn" in line
    for word in words:
        assert word in line, line
    forced = qe.run("--qe-parallel=2", "--qe-start=fork")
    forced.stdout.fnmatch_lines(["qe: 2 workers by fork (asked for)"])
    forced.assert_outcomes(passed=1, failed=1)


def test_auto_sees_what_a_test_module_opens(qe: Qe) -> None:
    qe.files(test_it="import select\nPOLLER = select.epoll()\ndef test_it(): pass")
    result = qe.run("--qe-parallel=1")
    result.stdout.fnmatch_lines(["qe: 1 worker by spawn (*eventpoll*test_it*)"])


@pytest.mark.parametrize(
    "source",
    [
        "import threading\nt = threading.Thread(target=int)\nt.start()\nt.join()",
        "import socket\ns = socket.socket()\ns.close()",
        "import tempfile\nf = tempfile.TemporaryFile()",
        "import concurrent.futures as c\nwith c.ThreadPoolExecutor() as p:\n    p.submit(int)",
    ],
    ids=["thread that ended", "closed socket", "file", "closed pool"],
)
def test_auto_forks_where_nothing_is_left(qe: Qe, source: str) -> None:
    qe.files(conftest=source, test_it="def test_it(): pass")
    result = qe.run("--qe-parallel=1")
    result.stdout.fnmatch_lines(["qe: 1 worker by fork (*"])


def test_auto_knows_the_thread_of_rerunfailures(qe: Qe) -> None:
    qe.use("xdist", "rerunfailures")
    qe.files(test_it="def test_it(): pass")
    result = qe.run("--qe-parallel=1")
    result.stdout.fnmatch_lines(["qe: 1 worker by fork (*"])
    result.assert_outcomes(passed=1)


def test_spawned_workers_that_collect_something_else(qe: Qe) -> None:
    qe.files(
        test_it="""
        import os, pytest
        if "PYTEST_XDIST_WORKER" in os.environ or os.environ.get("SEEN"):
            pass
        else:
            def test_only_in_the_controller(): pass
        os.environ["SEEN"] = "1"
        def test_it(): pass
    """
    )
    result = qe.run("--qe-parallel=1", "--qe-start=spawn")
    assert result.ret not in (0, pytest.ExitCode.INTERNAL_ERROR)
    assert "test_only_in_the_controller" in result.stdout.str()


@pytest.mark.parametrize("start", ["fork", "spawn"])
@pytest.mark.parametrize(
    "args",
    [("-k", "passes"), ("test_it.py::test_fails",), ("-p", "no:warnings"), ("-c", "other.ini"),
     ("--import-mode=importlib",), ("-m", "marked"), ("--deselect", "test_it.py::test_fails"),
     ("-W", "error::UserWarning"), ("-o", "xfail_strict=true"), ("-p", "helper"),
     ("--rootdir", "."), ("sub",), ("--lf",), ("-o", "addopts=-k passes")],
    ids=" ".join,
)  # fmt: skip
def test_arguments_reach_the_workers(qe: Qe, args: tuple[str, ...], start: str) -> None:
    qe.setenv("PYTHONPATH", str(qe.path))
    source = """
        import warnings
        import pytest
        @pytest.mark.marked
        def test_passes(): pass
        def test_fails(): assert 0
        def test_warns(): warnings.warn("careful", UserWarning)
        @pytest.mark.xfail
        def test_xpass(): pass
        def test_ini(request): assert request.config.getini("python_files")
    """
    qe.files(
        test_it=source,
        sub__test_more=source,
        helper="""
        import pytest
        @pytest.fixture(autouse=True)
        def helped(): yield
    """,
    )
    ini = "[pytest]\nmarkers = marked: yes\n"
    (qe.path / "pytest.ini").write_text(ini)
    (qe.path / "other.ini").write_text(ini + "python_files = test_m*.py\n")
    if "--lf" in args:
        qe.run()
    serial = qe.run(*args)
    result = qe.run("--qe-parallel=2", f"--qe-start={start}", *args)
    assert result.parseoutcomes() == serial.parseoutcomes()
    assert result.ret == serial.ret
    assert result.stderr.str() == serial.stderr.str()


@pytest.mark.parametrize(
    "program",
    [["-m", "pytest"], [str(Path(sys.executable).parent / "pytest")]],
    ids=["module", "script"],
)
def test_spawned_workers_are_the_same_program(qe: Qe, program: list[str]) -> None:
    qe.files(
        test_it="""
        import multiprocessing, sys
        def square(n): return n * n
        def test_main():
            main = sys.modules["__main__"]
            name = main.__spec__ and main.__spec__.name
            with open("seen", "a") as file:
                file.write(f"{main.__name__} {main.__file__} {name}\\n")
        def test_processes():
            with multiprocessing.get_context("spawn").Pool(1) as pool:
                assert pool.map(square, [3]) == [9]
        """,
    )
    for options in ([], ["--qe-parallel=2", "--qe-start=spawn"]):
        result = qe.pytester.run(sys.executable, *program, *options)
        result.assert_outcomes(passed=2)
    serial, spawned = qe.lines("seen")
    assert spawned == serial


def test_a_plugin_by_its_entry_point(qe: Qe) -> None:
    """``-p NAME`` may name an entry point, which no module is called by."""
    qe.files(test_it="def test_it(): pass")
    qe.setenv("PYTEST_DISABLE_PLUGIN_AUTOLOAD", "1")
    qe.setenv("PYTEST_ADDOPTS", "")
    for start in ("fork", "spawn"):
        result = qe.run("-p", "qe", "--qe-parallel=1", f"--qe-start={start}")
        result.assert_outcomes(passed=1)


# ------------------------------------------------------------------ --qe-isolate


@pytest.mark.parametrize("start", ["fork", "spawn"])
def test_isolate_gives_every_test_its_own_process(qe: Qe, start: str) -> None:
    qe.files(
        test_it="""
        import os
        import pytest
        STATE = []

        @pytest.fixture(scope="session")
        def shared():
            with open("set-up", "a") as file: file.write("x\\n")
            yield
            with open("torn-down", "a") as file: file.write("x\\n")

        @pytest.mark.parametrize("value", range(6))
        def test_it(value, shared):
            with open("pids", "a") as file: file.write(f"{os.getpid()}\\n")
            assert STATE == []
            STATE.append(value)
    """
    )
    result = qe.run("--qe-parallel=2", "--qe-isolate", f"--qe-start={start}")
    result.assert_outcomes(passed=6)
    assert len(set(qe.lines("pids"))) == 6
    assert len(qe.lines("set-up")) == len(qe.lines("torn-down")) == 6


def test_isolate_without_parallel(qe: Qe) -> None:
    qe.files(
        test_it="""
        STATE = []
        def test_1(): STATE.append(1)
        def test_2(): assert STATE == []
    """
    )
    qe.run().assert_outcomes(passed=1, failed=1)
    qe.run("--qe-isolate").assert_outcomes(passed=2)


def test_isolate_survives_crashes_and_reports_errors(qe: Qe) -> None:
    qe.files(
        test_it="""
        import os
        import pytest
        @pytest.fixture(scope="module")
        def shared():
            yield
            raise RuntimeError("late")
        def test_1(shared): pass
        def test_2(): os.abort()
        def test_3(): assert 0
        def test_4(): pass
    """
    )
    result = qe.run("--qe-isolate", "--qe-parallel=2")
    result.assert_outcomes(passed=2, failed=2, errors=1)


def test_workers_see_the_controllers_inputs(qe: Qe) -> None:
    qe.files(
        conftest="""
        import pytest
        @pytest.hookimpl(optionalhook=True)
        def pytest_configure_node(node):
            node.workerinput["own"] = "from the conftest"
        """,
        test_it="""
        import json
        def test_it(request):
            given = request.config.workerinput
            with open("given.json", "w") as file: json.dump(given, file)
        """,
    )
    for start in ("fork", "spawn"):
        qe.run("--qe-parallel=1", f"--qe-start={start}").assert_outcomes(passed=1)
        given = json.loads((qe.path / "given.json").read_text())
        assert given["own"] == "from the conftest"
        assert given["workerid"] == "gw0"
        assert given["workercount"] == 1
