"""Exceptions of finalisers and threads that nobody could catch: told as serially."""

from __future__ import annotations

import pytest

from conftest import Qe

STARTS = pytest.mark.parametrize("start", ["--qe-start=fork", "--qe-start=spawn"])
STRICT = pytest.mark.parametrize("strict", [(), ("-W", "error")], ids=["warn", "error"])

LOOKS_AT_ITS_END = hasattr(pytest, "HIDDEN_PARAM")  # pytest from 8.4

FINALISERS = """
    class Loop:
        def __init__(self): self.me = self
        def __del__(self):
            with open("finalised", "a") as file: file.write("x\\n")
            raise ValueError("in a finaliser")

    if {collected}: Loop()

    def test_first(): pass

    def test_last():
        if not {collected}: Loop()
"""


def told(result: pytest.RunResult, text: str = "ValueError: in a finaliser") -> tuple[int, int]:
    """The exit status, and how often the exception was told of."""
    lines = result.outlines + result.errlines
    return int(result.ret), sum(line.endswith(text) for line in lines)


@pytest.mark.skipif(not LOOKS_AT_ITS_END, reason="this pytest collects no garbage at its end")
@STARTS
@pytest.mark.parametrize("collected", [True, False], ids=["collection", "test"])
@STRICT
def test_garbage_that_complains_at_the_end(
    qe: Qe, start: str, collected: bool, strict: tuple[str, ...]
) -> None:
    """Said as serially, and once: by the controller, also for its workers."""
    qe.files(test_it=FINALISERS.format(collected=collected))
    serial = told(qe.run(*strict))
    assert serial == (1 if strict else 0, 1)
    assert told(qe.run("--qe-parallel=2", start, *strict)) == serial
    if not collected:  # a spawned worker collects, and so makes garbage of its own
        assert len(qe.lines("finalised")) == 2


@STRICT
def test_garbage_of_the_collection_is_found_by_one(qe: Qe, strict: tuple[str, ...]) -> None:
    """Serially the first test that asks finds it. In workers none does: the controller
    has found it before, and says so at its end."""
    qe.files(
        conftest="""
            class Bad:
                def __init__(self): self.me = self
                def __del__(self): raise ValueError("in a finaliser")
            def pytest_collection_modifyitems():
                bad = Bad()
                kept = [[] for _ in range(30000)]
        """,
        test_a="import gc\ndef test_1(): gc.collect()\ndef test_2(): gc.collect()",
        test_b="import gc\ndef test_1(): gc.collect()\ndef test_2(): gc.collect()",
    )
    serial = qe.run(*strict)
    parallel = qe.run("--qe-parallel=2", *strict)
    assert parallel.ret == serial.ret == (1 if strict else 0)
    assert parallel.parseoutcomes() == {"passed": 4}
    assert told(parallel)[1] == 1


@pytest.mark.skipif(not LOOKS_AT_ITS_END, reason="this pytest collects no garbage at its end")
@STARTS
def test_what_a_test_lets_go_of_the_collection(qe: Qe, start: str) -> None:
    """A module that is imported anew leaves its open file to the collector."""
    qe.files(
        app="log = open(__file__)\ndef f(): return log",
        test_it="""
            import sys, app
            def test_it():
                global app
                del sys.modules["app"]
                del app
                import app as new
                new.log.close()
            def test_2(): pass
        """,
    )
    text = "ResourceWarning: unclosed file"
    for options in (("-W", "error"), ("-W", "error", "--qe-parallel=1", start)):
        result = qe.run(*options)
        assert result.ret == 1
        assert text in result.stderr.str()


def test_a_thread_that_fails_at_the_end(qe: Qe) -> None:
    """After the last phase of the last test, and before pytest's end."""
    qe.files(
        test_it="""
            import threading
            import pytest

            @pytest.fixture(scope="session", autouse=True)
            def late():
                yield
                def fail(): raise ValueError("in a thread")
                thread = threading.Thread(target=fail)
                thread.start()
                thread.join()

            def test_it(): pass
        """
    )

    def lines(result: pytest.RunResult) -> tuple[int, int]:
        text = result.outlines + result.errlines
        return int(result.ret), sum(x.endswith("ValueError: in a thread") for x in text)

    for strict in ((), ("-W", "error")):
        assert lines(qe.run("--qe-parallel=1", *strict)) == lines(qe.run(*strict))


@STARTS
def test_what_fails_after_pytest_is_on_the_standard_error(qe: Qe, start: str) -> None:
    qe.files(
        test_it="""
            import atexit, threading, time
            def late():
                time.sleep(0.3)
                raise RuntimeError("in a late thread")
            def at_exit(): raise RuntimeError("at exit")
            def test_a(): threading.Thread(target=late).start()
            def test_b(): atexit.register(at_exit)
        """
    )
    for options in ((), ("--qe-parallel=1", start)):
        result = qe.run(*options)
        assert result.ret == 0
        text = result.stderr.str()
        assert "RuntimeError: in a late thread" in text
        assert "RuntimeError: at exit" in text


@STARTS
def test_without_the_plugin_the_interpreter_tells(qe: Qe, start: str) -> None:
    qe.files(test_it=FINALISERS.format(collected=False))
    for options in ((), ("--qe-parallel=1", start)):
        result = qe.run("-p", "no:unraisableexception", *options)
        assert result.ret == 0
        assert "Exception ignored in" in result.stderr.str()
        assert told(result) == (0, 1)
