"""``--qe-dist``: every test once, and the right ones together."""

from __future__ import annotations

from collections import defaultdict

import pytest

from conftest import Qe, Result

DISTS = ("worksteal", "loadscope", "loadfile", "loadgroup")

LOG = """
    import os, time
    import pytest

    def log(name):
        with open("ran", "a") as file:
            file.write(f"{name} {os.getpid()}\\n")

    @pytest.fixture(autouse=True)
    def logged(request):
        log(request.node.nodeid)
        time.sleep(0.01)
"""

MODULE = """
    import pytest

    def test_a(): pass
    def test_b(): pass

    class TestOne:
        def test_a(self): pass
        def test_b(self): pass
        def test_c(self): pass

    class TestTwo:
        class TestInner:
            @pytest.mark.parametrize("value", [1, 2, "x::y"])
            def test_a(self, value): pass
        def test_b(self): pass

    @pytest.mark.parametrize("value", range(4))
    def test_p(value): pass
"""


def by_worker(result: Result, place: object) -> dict[str, set[str]]:
    """The workers of each place, where ``place`` names the place of an id."""
    found = defaultdict(set)
    for name, worker in result.workers().items():
        found[place(name)].add(worker)  # type: ignore[operator]
    return found


def file_of(nodeid: str) -> str:
    return nodeid.split("::")[0]


def scope_of(nodeid: str) -> str:
    return nodeid.split("[")[0].rpartition("::")[0]


@pytest.mark.parametrize("start", ["fork", "spawn"])
@pytest.mark.parametrize("dist", DISTS)
def test_every_test_runs_exactly_once(qe: Qe, dist: str, start: str) -> None:
    qe.files(conftest=LOG, test_a=MODULE, test_b=MODULE, sub__test_c=MODULE)
    result, written = qe.json("--qe-parallel=3", f"--qe-dist={dist}", f"--qe-start={start}")
    result.assert_outcomes(passed=39)
    ran = [line.rsplit(" ", 1)[0] for line in qe.lines("ran")]
    assert sorted(ran) == sorted(test["id"] for test in written.tests)
    assert len(set(ran)) == 39
    assert all(len(test["attempts"]) == 1 for test in written.tests)


def test_results_are_in_collection_order(qe: Qe) -> None:
    qe.files(test_a=MODULE, test_b=MODULE)
    _, serial = qe.json()
    _, parallel = qe.json("--qe-parallel=2")
    assert [t["id"] for t in serial.tests] == [t["id"] for t in parallel.tests]


def test_loadfile_keeps_files_together(qe: Qe) -> None:
    qe.files(conftest=LOG, test_a=MODULE, test_b=MODULE, test_c=MODULE, test_d=MODULE)
    _, written = qe.json("--qe-parallel=2", "--qe-dist=loadfile")
    places = by_worker(written, file_of)
    assert all(len(workers) == 1 for workers in places.values()), places
    assert len(set(written.workers().values())) == 2


def test_loadfile_does_not_split_a_file_for_an_idle_worker(qe: Qe) -> None:
    qe.files(
        test_a="""
        import pytest, time
        @pytest.mark.parametrize("value", range(8))
        def test_it(value): time.sleep(0.05)
    """
    )
    _, written = qe.json("--qe-parallel=2", "--qe-dist=loadfile")
    assert len(set(written.workers().values())) == 1


def test_loadscope_keeps_classes_and_the_rest_of_modules_together(qe: Qe) -> None:
    qe.files(conftest=LOG, test_a=MODULE, test_b=MODULE, test_c=MODULE)
    _, written = qe.json("--qe-parallel=3", "--qe-dist=loadscope")
    places = by_worker(written, scope_of)
    assert len(places) == 12
    assert all(len(workers) == 1 for workers in places.values()), places


def test_loadscope_spreads_the_classes_of_one_file(qe: Qe) -> None:
    qe.files(
        test_a="import time\n"
        + "".join(
            f"class TestC{i}:\n"
            "    def test_a(self): time.sleep(0.1)\n"
            "    def test_b(self): time.sleep(0.1)\n"
            for i in range(4)
        )
    )
    _, written = qe.json("--qe-parallel=2", "--qe-dist=loadscope")
    assert all(len(w) == 1 for w in by_worker(written, scope_of).values())
    assert len(set(written.workers().values())) == 2


def test_worksteal_steals_single_tests_when_idle(qe: Qe) -> None:
    qe.files(
        test_a="""
        import pytest, time
        @pytest.mark.parametrize("value", range(8))
        def test_it(value): time.sleep(0.2)
    """
    )
    _, written = qe.json("--qe-parallel=2")
    shares = list(written.workers().values())
    assert min(shares.count("gw0"), shares.count("gw1")) >= 2


def test_worksteal_keeps_modules_together_while_nobody_is_idle(qe: Qe) -> None:
    module = """
        import pytest, time
        @pytest.mark.parametrize("value", range(6))
        def test_it(value): time.sleep(0.1)
    """
    qe.files(test_a=module, test_b=module)
    _, written = qe.json("--qe-parallel=2")
    workers = written.workers()
    first = {}
    for name in ("test_a.py", "test_b.py"):
        mine = [w for nodeid, w in workers.items() if file_of(nodeid) == name]
        # One test at the end may have been stolen.
        assert len(set(mine[:4])) == 1, mine
        first[name] = mine[0]
    assert first["test_a.py"] != first["test_b.py"]


def test_module_fixtures_are_set_up_once_while_nobody_steals(qe: Qe) -> None:
    module = """
        import pytest
        @pytest.fixture(scope="module")
        def costly():
            with open("set-up", "a") as file:
                file.write(__name__ + "\\n")
        @pytest.mark.parametrize("value", range(5))
        def test_it(value, costly): pass
    """
    qe.files(test_a=module, test_b=module, test_c=module)
    qe.run("--qe-parallel=2", "--qe-dist=loadfile").assert_outcomes(passed=15)
    assert sorted(qe.lines("set-up")) == ["test_a", "test_b", "test_c"]


GROUPS = """
    import pytest, time

    @pytest.mark.xdist_group("red")
    @pytest.mark.parametrize("value", range(4))
    def test_red(value): time.sleep(0.02)

    @pytest.mark.xdist_group(name="blue")
    @pytest.mark.parametrize("value", range(4))
    def test_blue(value): time.sleep(0.02)

    @pytest.mark.parametrize("value", range(6))
    def test_free(value): time.sleep(0.05)
"""


@pytest.mark.parametrize("dist", DISTS)
@pytest.mark.parametrize("plugins", [(), ("xdist",)], ids=["without xdist", "with xdist"])
def test_xdist_group_is_honoured(qe: Qe, dist: str, plugins: tuple[str, ...]) -> None:
    qe.use(*plugins)
    qe.files(test_a=GROUPS, test_b=GROUPS, test_c=GROUPS)
    result, written = qe.json("--qe-parallel=3", f"--qe-dist={dist}", "--strict-markers")
    result.assert_outcomes(passed=42)
    for group in ("red", "blue"):
        workers = {w for nodeid, w in written.workers().items() if f"test_{group}[" in nodeid}
        assert len(workers) == 1, f"{group} ran in {workers}"
    free = {w for nodeid, w in written.workers().items() if "test_free[" in nodeid}
    assert len(free) > 1


def test_group_of_the_qe_marker(qe: Qe) -> None:
    source = """
        import pytest, time
        @pytest.mark.qe(group="one")
        @pytest.mark.parametrize("value", range(3))
        def test_in(value): time.sleep(0.02)
        @pytest.mark.parametrize("value", range(5))
        def test_out(value): time.sleep(0.05)
    """
    qe.files(test_a=source, test_b=source, test_c=source)
    _, written = qe.json("--qe-parallel=3")
    assert len({w for n, w in written.workers().items() if "test_in[" in n}) == 1
    assert len({w for n, w in written.workers().items() if "test_out[" in n}) > 1


def test_loadgroup_spreads_tests_without_a_group(qe: Qe) -> None:
    qe.files(
        test_a="""
        import pytest, time
        @pytest.mark.parametrize("value", range(6))
        def test_it(value): time.sleep(0.15)
    """
    )
    _, written = qe.json("--qe-parallel=3", "--qe-dist=loadgroup")
    assert len(set(written.workers().values())) == 3


@pytest.mark.parametrize("dist", DISTS)
def test_duplicate_ids_and_arguments(qe: Qe, dist: str) -> None:
    qe.files(conftest=LOG, test_a=MODULE)
    result = qe.run("--qe-parallel=2", f"--qe-dist={dist}", "--keep-duplicates", "test_a.py",
                    "test_a.py")  # fmt: skip
    serial = qe.run("--keep-duplicates", "test_a.py", "test_a.py")
    result.assert_outcomes(**serial.parseoutcomes())


def test_ids_do_not_change_by_groups(qe: Qe) -> None:
    qe.files(test_a=GROUPS)
    _, written = qe.json("--qe-parallel=2", "--qe-dist=loadgroup")
    assert not [t["id"] for t in written.tests if "@" in t["id"]]


def test_many_tests_on_many_workers(qe: Qe) -> None:
    qe.files(
        test_a="""
        import pytest
        @pytest.mark.parametrize("value", range(1500))
        def test_it(value):
            with open("ran", "a") as file:
                file.write(f"{value}\\n")
    """
    )
    qe.run("--qe-parallel=7").assert_outcomes(passed=1500)
    assert sorted(map(int, qe.lines("ran"))) == list(range(1500))
