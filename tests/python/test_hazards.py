"""What must not be shared by a fork: ``auto`` sees it, says so and spawns. Each of
these is the real thing, and each run must end, with the results of a serial one."""

from __future__ import annotations

import pytest

from conftest import Qe

#: By name: a test module, and a part of the reason that is given.
HAZARDS = {
    "thread pool": (
        """
        import concurrent.futures
        POOL = concurrent.futures.ThreadPoolExecutor(2)
        POOL.submit(int).result()
        def test_1(): assert POOL.submit(int, 1).result(30) == 1
        def test_2(): assert POOL.submit(int, 2).result(30) == 2
        """,
        "thread 'ThreadPoolExecutor-0_0' of concurrent.futures.thread",
    ),
    "process pool": (
        """
        import concurrent.futures
        POOL = concurrent.futures.ProcessPoolExecutor(2)
        POOL.submit(int).result()
        def test_1(): assert POOL.submit(int, 1).result(30) == 1
        def test_2(): assert POOL.submit(int, 2).result(30) == 2
        """,
        "of concurrent.futures.process is alive",
    ),
    "lock held by a thread": (
        """
        import threading
        LOCK, HELD, DONE = threading.Lock(), threading.Event(), threading.Event()
        def hold():
            with LOCK:
                HELD.set()
                DONE.wait()
        threading.Thread(target=hold, name="holder", daemon=True).start()
        HELD.wait()
        def test_1():
            DONE.set()
            assert LOCK.acquire(timeout=30)
            LOCK.release()
        def test_2(): pass
        """,
        "thread 'holder' of test_it",
    ),
    "lock of the logging module": (
        """
        import logging, threading, time
        def log():
            while True:
                logging.getLogger("busy").debug("x")
                with logging._lock: time.sleep(0.001)
        threading.Thread(target=log, name="logger", daemon=True).start()
        def test_1(): logging.getLogger("new").info("x")
        def test_2(): logging.basicConfig()
        """,
        "thread 'logger' of test_it",
    ),
    "gRPC": (
        """
        import grpc
        import pytest
        CHANNEL = grpc.insecure_channel("127.0.0.1:1")
        def test_1():
            with pytest.raises(grpc.FutureTimeoutError):
                grpc.channel_ready_future(CHANNEL).result(timeout=0.1)
        def test_2(): pass
        """,
        "native thread(s) (",
    ),
    "gRPC beside numpy's pool": (
        """
        import grpc
        import numpy
        CHANNEL = grpc.insecure_channel("127.0.0.1:1")
        def test_1(): pass
        def test_2(): pass
        """,
        "grpc",
    ),
    "event loop": (
        """
        import asyncio
        LOOP = asyncio.new_event_loop()
        async def answer():
            await asyncio.sleep(0)
            return 1
        assert LOOP.run_until_complete(answer()) == 1
        def test_1(): assert LOOP.run_until_complete(answer()) == 1
        def test_2(): assert LOOP.run_until_complete(answer()) == 1
        """,
        "[eventpoll]",
    ),
    "SQLite": (
        """
        import sqlite3
        DATABASE = sqlite3.connect("data.db", timeout=30)
        DATABASE.execute("CREATE TABLE IF NOT EXISTS numbers (number)")
        DATABASE.commit()
        def insert():
            with DATABASE: DATABASE.execute("INSERT INTO numbers VALUES (1)")
        def test_1(): insert()
        def test_2(): insert()
        """,
        "data.db was opened during collection by test_it",
    ),
    "connected socket": (
        """
        import socket
        LISTENER = socket.create_server(("127.0.0.1", 0))
        CLIENT = socket.create_connection(LISTENER.getsockname())
        SERVER = LISTENER.accept()[0]
        def talk(word):
            CLIENT.sendall(word)
            assert SERVER.recv(len(word)) == word
        def test_1(): talk(b"one")
        def test_2(): talk(b"two")
        """,
        "was opened during collection by test_it",
    ),
    "child process": (
        """
        import subprocess
        CAT = subprocess.Popen(["cat"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        def ask(word):
            CAT.stdin.write(word + "\\n")
            CAT.stdin.flush()
            return CAT.stdout.readline().strip()
        def test_1(): assert ask("one") == "one"
        def test_2():
            assert ask("two") == "two"
            assert CAT.poll() is None
        """,
        "(cat) is alive",
    ),
    "process of multiprocessing": (
        """
        import multiprocessing
        MANAGER = multiprocessing.Manager()
        SHARED = MANAGER.dict()
        def test_1(): SHARED["one"] = 1; assert SHARED["one"] == 1
        def test_2(): SHARED["two"] = 2; assert SHARED["two"] == 2
        """,
        "is alive",
    ),
    "watch on files": (
        """
        import ctypes, os
        LIBC = ctypes.CDLL(None)
        WATCH = LIBC.inotify_init()
        LIBC.inotify_add_watch(WATCH, b".", 0x100)
        def made(name):
            open(name, "w").close()
            os.read(WATCH, 4096)
        def test_1(): made("one")
        def test_2(): made("two")
        """,
        "inotify",
    ),
}

HARMLESS = {
    "SQLite in memory": """
        import sqlite3
        DATABASE = sqlite3.connect(":memory:")
        DATABASE.execute("CREATE TABLE numbers (number)")
        def insert():
            with DATABASE: DATABASE.execute("INSERT INTO numbers VALUES (1)")
        def test_1(): insert()
        def test_2(): insert()
    """,
    "closed SQLite": """
        import sqlite3
        DATABASE = sqlite3.connect("data.db")
        DATABASE.execute("CREATE TABLE numbers (number)")
        DATABASE.close()
        def test_1(): pass
        def test_2(): pass
    """,
    "numpy": """
        import numpy
        MATRIX = numpy.ones((300, 300))
        TWICE = MATRIX @ MATRIX
        def test_1(): assert (MATRIX @ MATRIX == TWICE).all()
        def test_2(): assert (MATRIX @ MATRIX == TWICE).all()
    """,
    "gRPC, imported": """
        import grpc
        def test_1(): grpc.insecure_channel("127.0.0.1:1").close()
        def test_2(): pass
    """,
    "ended child": """
        import subprocess
        subprocess.run(["true"])
        ENDED = subprocess.Popen(["true"], stdout=subprocess.PIPE)
        ENDED.stdout.read()
        import time
        while " Z " not in open(f"/proc/{ENDED.pid}/stat").read(): time.sleep(0.01)
        def test_1(): pass
        def test_2(): pass
    """,
    "lock of multiprocessing": """
        import multiprocessing
        VALUE = multiprocessing.get_context("spawn").Value("i", 0)  # starts the resource tracker
        def add():
            with VALUE.get_lock(): VALUE.value += 1
        def test_1(): add()
        def test_2(): add()
    """,
}


@pytest.mark.parametrize("what", HAZARDS)
def test_auto_spawns_and_the_run_ends_well(qe: Qe, what: str) -> None:
    source, reason = HAZARDS[what]
    qe.files(test_it=source)
    result = qe.run("--qe-parallel=2")
    result.assert_outcomes(passed=2)
    assert result.ret == 0
    (line,) = (line for line in result.outlines if line.startswith("qe: ") and " by " in line)
    assert line.startswith("qe: 2 workers by spawn (")
    assert reason in line


@pytest.mark.parametrize("what", HARMLESS)
def test_auto_forks_where_nothing_can_go_wrong(qe: Qe, what: str) -> None:
    qe.files(test_it=HARMLESS[what])
    result = qe.run("--qe-parallel=2")
    result.assert_outcomes(passed=2)
    result.stdout.fnmatch_lines(["qe: 2 workers by fork (no live threads or shared descriptors)"])


def test_the_database_of_coverage_is_no_reason(qe: Qe) -> None:
    qe.use("pytest_cov")
    qe.files(test_it="def test_1(): pass\ndef test_2(): pass")
    result = qe.run("--qe-parallel=2", "--cov=.", "--cov-append")
    result = qe.run("--qe-parallel=2", "--cov=.", "--cov-append")
    result.stdout.fnmatch_lines(["qe: 2 workers by fork (*"])


# ------------------------------------------------------- what tests leave running


@pytest.mark.parametrize("start", ["fork", "spawn"])
def test_pools_that_tests_leave_are_ended_as_serially(qe: Qe, start: str) -> None:
    qe.files(
        test_it="""
        import concurrent.futures, time
        def write(name):
            time.sleep(0.2)
            with open(name, "w") as file: file.write("done\\n")
        KEPT = []
        def leave(kind, name):
            KEPT.append(kind(1))
            KEPT[-1].submit(write, name)
        def test_threads(): leave(concurrent.futures.ThreadPoolExecutor, "threads")
        def test_processes(): leave(concurrent.futures.ProcessPoolExecutor, "processes")
        def test_thread():
            import threading
            threading.Thread(target=write, args=["thread"]).start()
    """
    )
    result = qe.run("--qe-parallel=1", f"--qe-start={start}")
    result.assert_outcomes(passed=3)
    assert [qe.lines(name) for name in ("threads", "processes", "thread")] == [["done"]] * 3


def test_a_thread_that_never_ends_is_named_and_not_waited_for_ever(qe: Qe) -> None:
    qe.files(
        test_it="""
        import threading
        def test_1(): threading.Thread(target=threading.Event().wait, name="stuck").start()
        def test_2(): pass
    """
    )
    result = qe.run("--qe-parallel=2")
    result.assert_outcomes(passed=2)
    result.stderr.fnmatch_lines(["qe: warning: stuck: still running, 10 s after *"])


@pytest.mark.parametrize("start", ["--qe-start=fork", "--qe-start=spawn"])
def test_tests_that_put_their_own_into_modules(qe: Qe, start: str) -> None:
    """What a worker itself needs of the standard library it has taken before."""
    qe.files(
        test_it="""
            import marshal, os, time
            import pytest

            def fake(*args, **kwargs): return 1234

            FAKES = [(os, "getpid"), (os, "write"), (marshal, "dumps"), (marshal, "loads"),
                     (time, "time"), (time, "perf_counter"), (time, "monotonic")]

            @pytest.fixture(params=FAKES, ids=lambda f: f[1], autouse=True)
            def faked(request, monkeypatch): monkeypatch.setattr(*request.param, fake)

            def test_passes(): pass
            def test_fails(): assert 0, "as it should"
            def test_skips(): pytest.skip("as it should")
        """
    )
    counts = {"passed": 7, "failed": 7, "skipped": 7}
    assert qe.run().parseoutcomes() == counts
    assert qe.run("--qe-parallel=2", start).parseoutcomes() == counts
