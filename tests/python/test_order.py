"""The order that somebody gave is the order in which tests start."""

from __future__ import annotations

import json

import pytest

from conftest import Qe

#: Three files; `c` takes by far the longest, so that it would come first.
FILES = {
    "test_a": "def test_0(): pass\ndef test_1(): pass\ndef test_2(): pass",
    "test_b": "def test_0(): pass\ndef test_1(): pass\ndef test_2(): pass",
    "test_c": "import time\ndef test_0(): pass\ndef test_1(): time.sleep(0.2)\ndef test_2(): pass",
}


#: No worker goes beyond its first test before all are there: on a busy machine
#: the others would have all the tests of one that comes late.
GATE = """
    import glob, os, time
    import pytest
    @pytest.fixture(scope="session", autouse=True)
    def gate():
        if "PYTEST_XDIST_WORKER" in os.environ:
            run = os.environ["PYTEST_XDIST_TESTRUNUID"]
            open(f"{run}.{os.environ['PYTEST_XDIST_WORKER']}", "w").close()
            deadline = time.monotonic() + 10
            while (len(glob.glob(f"{run}.*")) < int(os.environ["PYTEST_XDIST_WORKER_COUNT"])
                   and time.monotonic() < deadline):
                time.sleep(0.001)
"""


def attempts(qe: Qe, *args: str) -> list[tuple[str, str]]:
    """(``file::test``, worker) in the order of the starts."""
    qe.files(gate=GATE)
    _, result = qe.json("-p", "gate", *args)
    ran = [t for t in result.tests if t["attempts"]]
    ran.sort(key=lambda t: t["attempts"][0]["start"])
    return [
        (t["id"].removeprefix("test_").replace(".py::test_", ""), t["attempts"][0]["worker"])
        for t in ran
    ]


def starts(qe: Qe, *args: str) -> list[str]:
    """``file::test`` in the order of the starts."""
    return [name for name, _ in attempts(qe, *args)]


def test_longest_first_where_nobody_gave_an_order(qe: Qe) -> None:
    qe.files(**FILES)
    starts(qe, "--qe-parallel=2")
    assert starts(qe, "--qe-parallel=2").index("c0") < 2


@pytest.mark.parametrize("dist", ["worksteal", "loadgroup"])
def test_ff_starts_failures_before_all_others(qe: Qe, dist: str) -> None:
    qe.files(**FILES, test_d="""
        import os, time
        import pytest
        FAILS = [1, 2, 3, 5, 8]
        @pytest.mark.parametrize("n", range(10))
        def test(n):
            if n == 1: time.sleep(0.3)
            assert "OK" in os.environ or n not in FAILS
    """)  # fmt: skip
    qe.run("-q")
    qe.setenv("OK", "1")
    order = attempts(qe, "--ff", "--qe-parallel=3", f"--qe-dist={dist}")
    assert len(order) == 19
    # Each of the first is a failure, and so is the next of whoever is free.
    workers = {at for _, at in order}
    assert len(workers) == 3
    for worker in workers:
        own = [name in {f"d.py::test[{n}]" for n in "12358"} for name, at in order if at == worker]
        assert own[0], order
        assert own == sorted(own, reverse=True), order


def test_ff_without_failures_is_longest_first(qe: Qe) -> None:
    qe.files(**FILES)
    starts(qe, "--qe-parallel=2")
    assert starts(qe, "--qe-parallel=2", "--ff").index("c0") < 2


def test_ff_with_x_runs_the_failure_first_and_stops(qe: Qe) -> None:
    qe.files(**FILES, test_z="def test_0(): pass\ndef test_1(): assert False")
    qe.run("-q")
    order = starts(qe, "--ff", "-x", "--qe-parallel=1")
    assert order == ["z1"]
    order = starts(qe, "--ff", "-x", "--qe-parallel=2")
    assert order.index("z1") < 2
    assert len(order) < 11, "it stopped"


def test_loadfile_starts_files_with_failures_first(qe: Qe) -> None:
    qe.files(**FILES, test_z="def test_0(): pass\ndef test_1(): assert False")
    qe.run("-q")
    order = starts(qe, "--ff", "--qe-parallel=2", "--qe-dist=loadfile")
    assert order.index("z1") < 2
    assert "c0" not in order[:2], "longest first would take it"


FILES_BAC = """
    def pytest_collection_modifyitems(items):
        items.sort(key=lambda item: "bac".index(item.path.stem[-1]))
"""
MIXED = """
    def pytest_collection_modifyitems(items):
        items.sort(key=lambda item: (item.name, item.path.name))
"""


@pytest.mark.parametrize("how", [FILES_BAC, MIXED], ids=["files", "mixed"])
@pytest.mark.parametrize("more", [(), ("--qe-isolate",)], ids=["", "isolate"])
def test_order_of_a_conftest(qe: Qe, how: str, more: tuple[str, ...]) -> None:
    """Without it the longest file would be first, and each file in one piece."""
    qe.files(conftest=how, **FILES)
    serial = starts(qe, "--qe-parallel=1")
    assert serial[0] in ("b0", "a0")
    starts(qe, "--qe-parallel=2", *more)
    order = starts(qe, "--qe-parallel=2", *more)
    assert sorted(order) == sorted(serial)
    if how is MIXED:
        assert set(order[:2]) == {"a0", "b0"}, order
        assert set(order[:5]) <= {"a0", "b0", "c0", "a1", "b1", "c1"}, order
    else:
        assert set(order[:3]) <= {"b0", "b1", "b2", "a0", "a1"}, order


def test_nf_starts_new_files_first(qe: Qe) -> None:
    qe.files(**FILES)
    qe.run("-q")
    qe.files(test_n="def test_0(): pass")
    # The first scope is its; the other worker may be quicker to begin with the next.
    assert "n0" in starts(qe, "--nf", "--qe-parallel=2")[:2]


def test_random_order_is_kept(qe: Qe) -> None:
    """As pytest-randomly does it, by a plugin's hook that is tried first."""
    qe.files(conftest="""
        import random
        import pytest
        @pytest.hookimpl(tryfirst=True)
        def pytest_collection_modifyitems(items):
            random.Random(3).shuffle(items)
    """, **FILES)  # fmt: skip
    serial = starts(qe, "--qe-parallel=1")
    order = starts(qe, "--qe-parallel=2")
    assert order[0] in serial[:2]
    assert order != sorted(order)


@pytest.mark.parametrize(
    "args",
    [(), ("--lf",), ("--ff",), ("--nf",), ("-x",), ("--maxfail=2",), ("--sw",),
     ("--sw", "--sw-skip"), ("--sw", "--sw-reset"), ("--lf", "-x", "--ff")],
    ids=" ".join,
)  # fmt: skip
def test_cache_equals_serial_after(qe: Qe, args: tuple[str, ...]) -> None:
    """``lastfailed``, ``nodeids`` and ``stepwise``, after a failing run and after
    one in which some are mended and others are new."""
    source = """
        import os
        import pytest
        @pytest.mark.parametrize("n", range(6))
        def test(n): assert n not in (FAILS)
    """
    caches = {}
    for mode in ("--qe-parallel=no", "--qe-parallel=2"):
        for path in qe.path.glob(".pytest_cache/v/cache/*"):
            path.unlink()
        seen = []
        for fails in ("2, 4", "4,", "4,", ""):
            # One file: with -x what else runs depends on nothing but its order.
            qe.files(test_it=source.replace("FAILS", fails))
            qe.run(mode if ("-x" not in args and "--maxfail=2" not in args)
                   or mode.endswith("no") else "--qe-parallel=1", *args)  # fmt: skip
            now = {}
            for path in sorted(qe.path.glob(".pytest_cache/v/cache/*")):
                data = json.loads(path.read_text("utf-8"))
                if path.name == "stepwise":
                    del data["last_cache_date_str"]
                now[path.name] = sorted(data) if isinstance(data, list) else data
            seen.append(now)
        caches[mode] = seen
    serial, ours = caches.values()
    assert "lastfailed" in serial[0]
    assert ours == serial


@pytest.mark.parametrize(
    "body, args", [("os._exit(3)", ()), ("time.sleep(600)", ("--qe-timeout=0.5",))]
)
def test_what_died_is_among_the_last_failures(qe: Qe, body: str, args: tuple[str, ...]) -> None:
    qe.files(test_it=f"import os, time\ndef test_a(): pass\ndef test_b():\n    {body}")
    qe.run("--qe-parallel=2", *args)
    cache = qe.path / ".pytest_cache" / "v" / "cache"
    assert json.loads((cache / "lastfailed").read_text()) == {"test_it.py::test_b": True}
    assert len(json.loads((cache / "nodeids").read_text())) == 2
    _, result = qe.json("--lf", "--qe-parallel=2", *args)
    assert list(result.outcomes()) == ["test_b"]
