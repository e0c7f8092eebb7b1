"""Workers' heaps are frozen until a test asks for them: no test can tell."""

from __future__ import annotations

import pytest

from conftest import Qe

STARTS = pytest.mark.parametrize("start", ["--qe-start=fork", "--qe-start=spawn"])

LOOKS = """
    import gc
    import sys
    import weakref

    if "collect" not in globals(): collect = lambda: gc.collect()

    class Collected: pass
    class Again: pass
    KEPT = [Collected()]

    def test_nothing_is_frozen(): assert gc.get_freeze_count() == 0

    def test_objects_of_the_collection_are_seen():
        assert any(type(thing) is Collected for thing in gc.get_objects())

    def test_their_referrers_are_seen():
        assert any(thing is KEPT for thing in gc.get_referrers(KEPT[0]))

    def test_what_was_collected_dies():
        gone = weakref.ref(sys.modules[__name__].__dict__.pop("Again"))
        collect()
        assert gone() is None

    def test_the_functions_are_the_interpreters_own():
        gc.collect()
        assert type(gc.collect) is type(gc.get_objects) is type(len)

    def test_the_heap_may_be_frozen_by_a_test():
        assert gc.get_freeze_count() == 0
        gc.freeze()
        assert gc.get_freeze_count() > 1000
        gc.unfreeze()
        assert gc.get_freeze_count() == 0

    def test_a_fake_is_called(monkeypatch):
        monkeypatch.setattr(gc, "collect", lambda: 42)
        assert gc.collect() == 42
"""


@STARTS
def test_a_test_sees_all_objects(qe: Qe, start: str) -> None:
    qe.files(test_it=LOOKS)
    assert qe.run().parseoutcomes() == {"passed": 7}
    qe.run("--qe-parallel=2", start).assert_outcomes(passed=7)
    qe.run("--qe-isolate", start).assert_outcomes(passed=7)


@pytest.mark.parametrize("name", ["early", "conftest", "test_it"])
def test_functions_held_otherwise_than_by_their_module(qe: Qe, name: str) -> None:
    """Whoever took them before we could know of it, or since."""
    held = LOOKS.replace("import gc\n", f"import gc\n    from {name} import collect\n", 1)
    if name == "test_it":
        held = LOOKS.replace("import gc\n", "import gc\n    from gc import collect\n", 1)
    qe.files(**{"early": "", "conftest": "", name: "from gc import collect"})
    qe.files(test_it=held)
    qe.setenv("PYTHONPATH", str(qe.path))
    assert qe.run("-p", "early").parseoutcomes() == {"passed": 7}
    qe.run("-p", "early", "--qe-parallel=2").assert_outcomes(passed=7)


def test_what_a_conftest_froze_stays_frozen(qe: Qe) -> None:
    qe.files(
        conftest="import gc\ngc.collect()\ngc.freeze()\nCOUNT = gc.get_freeze_count()",
        test_it="""
            import gc
            from conftest import COUNT
            def test_it(): assert 0 < gc.get_freeze_count() <= COUNT
        """,
    )
    assert qe.run().ret == 0
    assert qe.run("--qe-parallel=2").ret == 0


def test_a_program_that_runs_pytest_has_its_heap_back(qe: Qe) -> None:
    qe.files(
        test_it="def test_it(): pass",
        program="""
            import gc
            import pytest
            collect = gc.collect
            for _ in range(2):
                assert pytest.main(["-q", "--qe-parallel=2", *__import__("sys").argv[1:]]) == 0
                assert gc.get_freeze_count() == 0, gc.get_freeze_count()
                assert gc.collect is collect
            print("fine")
        """,
    )
    result = qe.pytester.runpython(qe.path / "program.py")
    assert result.outlines[-1] == "fine", result.errlines


FINALISERS = """
    import threading, time

    class Loop:
        def __init__(self): self.me = self
        def __del__(self):
            with open("finalised", "a") as file: file.write("x\\n")
            raise ValueError("in a finaliser")

    COLLECTED = Loop() if {collected} else None
    COLLECTED = None

    def test_first(): pass

    def test_last():
        if not {collected}: Loop()
"""


def told(result: pytest.RunResult) -> tuple[int, int]:
    """The exit status, and how often the exception was told of."""
    text = result.stdout.str() + result.stderr.str()
    return int(result.ret), sum(line == "ValueError: in a finaliser" for line in text.splitlines())


@STARTS
@pytest.mark.parametrize("collected", [True, False], ids=["collection", "test"])
@pytest.mark.parametrize("strict", [(), ("-W", "error")], ids=["warn", "error"])
def test_garbage_that_complains_at_the_end(
    qe: Qe, start: str, collected: bool, strict: tuple[str, ...]
) -> None:
    """Said as serially, and once: by the controller, also for its workers."""
    if not hasattr(pytest, "HIDDEN_PARAM"):
        pytest.skip("this pytest (before 8.4) looks for no garbage at its end")
    qe.files(test_it=FINALISERS.format(collected=collected))
    serial = told(qe.run(*strict))
    assert serial == (1 if strict else 0, 1)
    assert told(qe.run("--qe-parallel=2", start, *strict)) == serial
    if not collected:  # a spawned worker collects, and so makes garbage of its own
        assert len(qe.lines("finalised")) == 2


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
        text = result.stdout.str() + result.stderr.str()
        return int(result.ret), sum(x.endswith("ValueError: in a thread") for x in text.split("\n"))

    for strict in ((), ("-W", "error")):
        assert lines(qe.run("--qe-parallel=1", *strict)) == lines(qe.run(*strict))
