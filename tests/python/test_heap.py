"""Workers' heaps are frozen until a test asks for them: no test can tell."""

from __future__ import annotations

import gzip
import zipfile

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


def test_what_tests_let_go_is_collected_by_itself(qe: Qe) -> None:
    """The collector's own runs see what was made before the fork."""
    qe.files(
        test_it="""
            import weakref
            class Loop: pass
            LOOP = Loop()
            LOOP.me = LOOP

            def test_it():
                global LOOP
                alive = weakref.ref(LOOP)
                LOOP = None
                kept = []
                for _ in range(3_000_000):
                    kept.append([])
                    if alive() is None: break
                assert alive() is None
        """
    )
    assert qe.run().parseoutcomes() == {"passed": 1}
    qe.run("--qe-parallel=2").assert_outcomes(passed=1)


ENDS = """
    import gzip
    import tempfile
    import zipfile

    kept = []

    class Holder:
        things = {}

    class Noted:
        def __init__(self): self.write = open("noted", "w", buffering=1).write
        def __del__(self): self.write("x")

    def test_packed():
        file = gzip.open("packed.gz", "wb")
        file.write(b"all of it")
        kept.append(file)

    def test_archive():
        archive = zipfile.ZipFile("archive.zip", "w")
        archive.writestr("name", "text")
        Holder.things["archive"] = {"of": (archive,)}

    def test_temporary(): kept.append(tempfile.NamedTemporaryFile(prefix="left-", dir="."))

    def test_object(): kept.append(Noted())

    def test_generator():
        def generate():
            with open("generated", "w", buffering=1) as file:
                try: yield
                finally: file.write("x")
        generator = generate()
        next(generator)
        kept.append(generator)
"""


@STARTS
@pytest.mark.parametrize("more", [(), ("-W", "error"), ("--qe-isolate",)], ids=" ".join)
def test_what_lives_at_a_workers_end_is_finalised(
    qe: Qe, start: str, more: tuple[str, ...]
) -> None:
    qe.files(test_it=ENDS)
    qe.run("--qe-parallel=2", start, *more).assert_outcomes(passed=5)
    assert gzip.decompress((qe.path / "packed.gz").read_bytes()) == b"all of it"
    assert zipfile.ZipFile(qe.path / "archive.zip").read("name") == b"text"
    assert list(qe.path.glob("left-*")) == []
    assert (qe.path / "noted").read_text() == (qe.path / "generated").read_text() == "x"
