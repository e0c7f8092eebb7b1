"""Coming from pytest-xdist: one flag, and everything that looked for it still works."""

from __future__ import annotations

import json

import pytest

from conftest import Qe

FOUR = "def test_1(): pass\ndef test_2(): pass\ndef test_3(): pass\ndef test_4(): pass\n"
BOTH = pytest.mark.parametrize("plugins", [(), ("xdist",)], ids=["without xdist", "with xdist"])


@pytest.mark.parametrize("args", ["-n 2", "-n2", "--numprocesses=2", "-n auto", "--dist loadscope",
                                  "-n 2 --dist loadfile --maxschedchunk 1"])  # fmt: skip
@pytest.mark.parametrize("where", ["ini", "environment"])
def test_xdist_of_ini_or_environment_is_overridden(qe: Qe, args: str, where: str) -> None:
    qe.use("xdist")
    qe.files(test_it=FOUR)
    if where == "ini":
        qe.pytester.makeini(f"[pytest]\naddopts = {args}\n")
    else:
        qe.setenv("PYTEST_ADDOPTS", f"{qe.addopts} {args}")
    result, written = qe.json("--qe-parallel=2")
    result.assert_outcomes(passed=4)
    assert written.run["workers"] == 2
    text = result.stdout.str()
    assert "is overridden by" in text
    assert "created: " not in text
    assert "bringing up nodes" not in text


@pytest.mark.parametrize("args", [("-n2",), ("-n", "2"), ("-n=2",), ("--numprocesses=2",),
                                  ("--numprocesses", "2"), ("--dist=load",), ("--dist", "each"),
                                  ("-d", "--tx", "2*popen")], ids=" ".join)  # fmt: skip
def test_both_typed_is_an_error(qe: Qe, args: tuple[str, ...]) -> None:
    qe.use("xdist")
    qe.files(test_it=FOUR)
    for order in (("--qe-parallel=2", *args), (*args, "--qe-parallel=2")):
        result = qe.run(*order)
        assert result.ret == pytest.ExitCode.USAGE_ERROR, order
        text = result.stderr.str()
        assert "--qe-parallel" in text
        assert args[0].split("=")[0][:2] in text
        assert "Traceback" not in text


def test_typed_xdist_goes_before_our_ini(qe: Qe) -> None:
    """One of both was typed: what is in the ini gives way or is overridden, and
    the suite runs once."""
    qe.use("xdist")
    qe.files(test_it=FOUR)
    qe.pytester.makeini("[pytest]\nqe_parallel = 2\n")
    result = qe.run("-n2")
    assert result.ret in (0, pytest.ExitCode.USAGE_ERROR)
    if result.ret == 0:
        result.assert_outcomes(passed=4)


def test_xdist_alone_is_left_alone(qe: Qe) -> None:
    qe.use("xdist")
    qe.files(test_it=FOUR)
    result = qe.run("-n2", "-v")
    result.assert_outcomes(passed=4)
    assert "qe" not in [line.split(":")[0] for line in result.outlines]


def test_n_0_of_ini_is_no_parallel_run(qe: Qe) -> None:
    qe.use("xdist")
    qe.files(test_it=FOUR)
    qe.pytester.makeini("[pytest]\naddopts = -n 0\n")
    _, written = qe.json("--qe-parallel=2")
    assert written.run["workers"] == 2


@BOTH
def test_maxprocesses(qe: Qe, plugins: tuple[str, ...]) -> None:
    qe.use(*plugins)
    qe.files(test_it=FOUR)
    qe.setenv("PYTEST_XDIST_AUTO_NUM_WORKERS", "4")
    _, written = qe.json("--qe-parallel", "--maxprocesses=2")
    assert written.run["workers"] == 2


@BOTH
def test_auto_num_workers_of_the_environment(qe: Qe, plugins: tuple[str, ...]) -> None:
    qe.use(*plugins)
    qe.files(test_it=FOUR)
    qe.setenv("PYTEST_XDIST_AUTO_NUM_WORKERS", "3")
    _, written = qe.json("--qe-parallel")
    assert written.run["workers"] == 3
    _, written = qe.json("--qe-parallel=2")
    assert written.run["workers"] == 2


@BOTH
def test_auto_num_workers_of_a_conftest(qe: Qe, plugins: tuple[str, ...]) -> None:
    qe.use(*plugins)
    qe.setenv("PYTEST_XDIST_AUTO_NUM_WORKERS", "2")
    qe.files(
        conftest="def pytest_xdist_auto_num_workers(config):\n    return 3\n",
        test_it=FOUR,
    )
    _, written = qe.json("--qe-parallel")
    assert written.run["workers"] == 3
    _, written = qe.json("--qe-parallel=2")
    assert written.run["workers"] == 2


HOOKS = """
    import json
    import pytest

    def pytest_configure_node(node):
        node.workerinput["given"] = {"number": node.gateway.id[2:]}
        assert str(node.gateway.spec) == "popen"
        with open("configured", "a") as file: file.write(node.gateway.id + "\\n")

    def pytest_testnodedown(node, error):
        with open("down", "a") as file:
            file.write(json.dumps([node.gateway.id, error and str(error),
                                   node.workeroutput.get("said")]) + "\\n")

    def pytest_sessionfinish(session):
        if hasattr(session.config, "workerinput"):
            with open("finished-in-worker", "a") as file: file.write("x\\n")

    @pytest.fixture(scope="session", autouse=True)
    def says(request):
        request.config.workeroutput["said"] = "from " + request.config.workerinput["workerid"]
"""

LOOKS = """
    import os, time
    import pytest

    @pytest.mark.parametrize("value", range(2))
    def test_it(value, request, worker_id, testrun_uid):
        given = request.config.workerinput
        assert given["workerid"] == worker_id == os.environ["PYTEST_XDIST_WORKER"]
        assert given["workercount"] == int(os.environ["PYTEST_XDIST_WORKER_COUNT"]) == 2
        assert given["testrunuid"] == testrun_uid == os.environ["PYTEST_XDIST_TESTRUNUID"]
        assert given["given"] == {"number": worker_id[2:]}
        assert given["mainargv"]
        with open("workers", "a") as file: file.write(f"{worker_id} {testrun_uid}\\n")
        for _ in range(3000):  # the other worker has the other test
            if len(open("workers").readlines()) == 2: break
            time.sleep(0.01)
"""


@BOTH
@pytest.mark.parametrize("start", ["fork", "spawn"])
def test_node_hooks_and_worker_inputs(qe: Qe, plugins: tuple[str, ...], start: str) -> None:
    qe.use(*plugins)
    qe.files(conftest=HOOKS, test_it=LOOKS)
    result = qe.run("--qe-parallel=2", f"--qe-start={start}")
    result.assert_outcomes(passed=2)
    assert sorted(qe.lines("configured")) == ["gw0", "gw1"]
    down = sorted(json.loads(line) for line in qe.lines("down"))
    assert down == [["gw0", None, "from gw0"], ["gw1", None, "from gw1"]]
    ids, uids = zip(*(line.split() for line in qe.lines("workers")), strict=True)
    assert sorted(ids) == ["gw0", "gw1"]
    assert len(set(uids)) == 1


def test_a_worker_without_tests_has_an_output_too(qe: Qe) -> None:
    qe.files(
        conftest="""
        def pytest_testnodedown(node, error):
            with open("down", "a") as file: file.write(f"{node.workeroutput} {error}\\n")
        """,
        test_it="def test_1(): pass\ndef test_2(): pass",
    )
    qe.run("--qe-parallel=2").assert_outcomes(passed=2)
    assert qe.lines("down") == ["{} None"] * 2


def test_testnodedown_says_of_a_crash(qe: Qe) -> None:
    qe.files(
        conftest="""
        def pytest_testnodedown(node, error):
            with open("down", "a") as file: file.write(f"{node.gateway.id} {error}\\n")
        """,
        test_it="import os\ndef test_1(): os.abort()\ndef test_2(): pass",
    )
    qe.run("--qe-parallel=1").assert_outcomes(passed=1, failed=1)
    assert qe.lines("down") == ["gw0 killed by SIGABRT", "gw0 None"]


@BOTH
def test_worker_id_is_master_in_a_serial_run(qe: Qe, plugins: tuple[str, ...]) -> None:
    qe.use(*plugins)
    qe.files(test_it="def test_it(worker_id): assert worker_id == 'master'")
    outcomes = qe.run().parseoutcomes()
    if plugins:
        assert outcomes == {"passed": 1}
    else:
        assert outcomes == qe.run("-p", "no:qe").parseoutcomes()


@BOTH
def test_reports_carry_the_worker(qe: Qe, plugins: tuple[str, ...]) -> None:
    qe.use(*plugins)
    qe.files(
        conftest="""
        def pytest_runtest_logreport(report):
            if report.when == "call":
                with open("reports", "a") as file:
                    given = report.node.workerinput["workerid"]
                    file.write(f"{report.worker_id} {report.node.gateway.id} {given} "
                               f"{len(report.testrun_uid)}\\n")
        """,
        test_it="def test_it(): assert 0",
    )
    qe.run("--qe-parallel=1").assert_outcomes(failed=1)
    assert qe.lines("reports") == ["gw0 gw0 gw0 32"]


def test_functions_of_xdist_see_a_worker(qe: Qe) -> None:
    qe.use("xdist")
    qe.files(
        test_it="""
        import xdist
        def test_it(request):
            assert xdist.is_xdist_worker(request)
            assert not xdist.is_xdist_controller(request)
            assert xdist.get_xdist_worker_id(request) == "gw0"
    """
    )
    qe.run("--qe-parallel=1").assert_outcomes(passed=1)


def test_hooks_of_xdist_need_no_mark_without_it(qe: Qe) -> None:
    """An unknown hook would be an error of pluggy's validation."""
    qe.files(
        conftest="""
        def pytest_xdist_setupnodes(config, specs): pass
        def pytest_xdist_newgateway(gateway): pass
        def pytest_testnodeready(node): pass
        def pytest_xdist_node_collection_finished(node, ids): pass
        def pytest_xdist_make_scheduler(config, log): raise AssertionError
        def pytest_handlecrashitem(crashitem, report, sched): pass
        """,
        test_it=FOUR,
    )
    qe.run("--qe-parallel=2").assert_outcomes(passed=4)


@pytest.mark.parametrize("order", [("pytest_qe.plugin", "xdist.plugin"),
                                   ("xdist.plugin", "pytest_qe.plugin")])  # fmt: skip
def test_both_load_in_either_order(qe: Qe, order: tuple[str, str]) -> None:
    pytest.importorskip("xdist", reason="pytest-xdist is not installed")
    qe.setenv("PYTEST_DISABLE_PLUGIN_AUTOLOAD", "1")
    qe.setenv("PYTEST_ADDOPTS", "-n 2")
    qe.files(test_it="def test_it(): pass")
    plugins = [word for name in order for word in ("-p", name)]
    qe.run(*plugins).assert_outcomes(passed=1)
    result = qe.run(*plugins, "--qe-parallel=2")
    result.assert_outcomes(passed=1)
    result.stdout.fnmatch_lines(["*-n 2 (ini or environment) is overridden by --qe-parallel*"])


def test_xdist_switched_off_is_no_contradiction(qe: Qe) -> None:
    qe.files(test_it="def test_it(): pass")
    qe.run("-n0", "--qe-parallel=2").assert_outcomes(passed=1)
