"""The options: where they come from, what they take, and what their absence costs."""

from __future__ import annotations

import json
import os
import re
import sys

import pytest

from conftest import HUNG, Qe

SUITE = """
    import warnings
    import pytest

    @pytest.fixture(scope="module")
    def shared():
        yield 1

    def test_pass(shared):
        warnings.warn("careful")

    def test_fail(shared):
        print("printed")
        assert [1, 2] == [1, 3]

    @pytest.mark.skip(reason="why")
    def test_skip():
        pass

    @pytest.mark.xfail
    def test_xfail():
        assert 0

    def test_error(missing):
        pass
"""


# ------------------------------------------------------------ without options


def without_times(result: pytest.RunResult) -> list[str]:
    lines = [re.sub(r"\d+\.\d\ds", "N.NNs", line) for line in result.outlines]
    return [line for line in lines if not line.startswith("plugins:")]


@pytest.mark.parametrize("args", [(), ("-v",), ("-q",), ("-rA", "-x"), ("--co",), ("--markers",)])
def test_without_options_the_output_is_that_of_plain_pytest(qe: Qe, args: tuple[str, ...]) -> None:
    qe.files(test_it=SUITE)
    plain = qe.run("-p", "no:qe", "-p", "no:cacheprovider", *args)
    ours = qe.run("-p", "no:cacheprovider", *args)
    assert ours.ret == plain.ret
    assert ours.errlines == plain.errlines
    if args == ("--markers",):
        assert set(without_times(plain)) <= set(without_times(ours))
    else:
        assert without_times(ours) == without_times(plain)
        assert not [line for line in ours.outlines if line.startswith(("qe:", "qe "))]


PROBE = """
    import json, os, sys, threading

    def pytest_sessionfinish(session):
        manager = session.config.pluginmanager
        with open(os.environ["PROBE"], "w") as file:
            json.dump({
                "plugins": [name for name, plugin in manager.list_name_plugin() if plugin],
                "modules": sorted(sys.modules),
                "threads": len(threading.enumerate()),
                "descriptors": len(os.listdir("/proc/self/fd")),
            }, file)
"""


def test_without_options_nothing_is_loaded_but_the_plugin(qe: Qe) -> None:
    qe.files(conftest=PROBE, test_it="def test_it(): pass")
    seen = []
    for args in (("-p", "no:qe"), ()):
        qe.setenv("PROBE", str(qe.path / f"probe{len(seen)}.json"))
        qe.run("-p", "no:cacheprovider", *args).assert_outcomes(passed=1)
        seen.append(json.loads((qe.path / f"probe{len(seen)}.json").read_text()))
    plain, ours = seen

    def named(plugins: list[str]) -> set[str]:
        return {name for name in plugins if not name.isdecimal()}

    assert named(ours["plugins"]) - named(plain["plugins"]) == {"qe"}
    assert len(ours["plugins"]) == len(plain["plugins"]) + 1
    new = set(ours["modules"]) - set(plain["modules"])
    assert len(new) <= 12, new
    assert not new & {
        "pytest_qe.controller",
        "pytest_qe.worker",
        "pytest_qe.planning",
        "pytest_qe.recording",
        "sqlite3",
        "uuid",
        "random",
        "xdist",
    }
    assert ours["threads"] == plain["threads"]
    assert ours["descriptors"] == plain["descriptors"]


def test_without_options_no_file_is_written(qe: Qe) -> None:
    qe.files(test_it=SUITE)
    qe.run("-p", "no:cacheprovider")
    assert not (qe.path / ".qe").exists()


# ------------------------------------------------------------- --qe-parallel

TWO = """
    def test_1(): pass
    def test_2(): pass
    def test_3(): pass
    def test_4(): pass
    def test_5(): pass
"""


@pytest.mark.parametrize(
    "args",
    [
        ("--qe-parallel=3",),
        ("--qe-parallel", "3"),
        ("--qe-parallel=auto",),
        ("--qe-parallel", "auto"),
        ("--qe-parallel",),
        ("--qe-parallel", "tests"),
        ("--qe-parallel", "tests/test_it.py::test_1", "tests"),
        ("tests", "--qe-parallel"),
        ("--qe-parallel", "-q", "tests"),
    ],
    ids=" ".join,
)
def test_parallel_on_the_command_line(qe: Qe, args: tuple[str, ...]) -> None:
    qe.files(tests__test_it=TWO)
    qe.setenv("PYTEST_XDIST_AUTO_NUM_WORKERS", "3")
    result, written = qe.json(*args)
    result.assert_outcomes(passed=5)
    assert written.run["workers"] == 3


def test_parallel_does_not_take_a_path_that_is_a_number(qe: Qe) -> None:
    qe.files(**{"2__test_it": "def test_it(): pass", "test_other": "def test_other(): pass"})
    _, written = qe.json("--qe-parallel", "2")
    assert written.outcomes() == {"test_it": "passed"}


@pytest.mark.parametrize("value", ["3", "auto"])
def test_parallel_from_ini(qe: Qe, value: str) -> None:
    qe.files(test_it=TWO)
    qe.setenv("PYTEST_XDIST_AUTO_NUM_WORKERS", "3")
    qe.pytester.makeini(f"[pytest]\nqe_parallel = {value}\n")
    result, written = qe.json()
    result.assert_outcomes(passed=5)
    assert written.run["workers"] == 3


def test_parallel_from_pyproject(qe: Qe) -> None:
    qe.files(test_it=TWO)
    qe.pytester.makepyprojecttoml("[tool.pytest.ini_options]\nqe_parallel = '3'\n")
    _, written = qe.json()
    assert written.run["workers"] == 3


def test_parallel_from_addopts_of_ini(qe: Qe) -> None:
    qe.files(tests__test_it=TWO)
    qe.setenv("PYTEST_XDIST_AUTO_NUM_WORKERS", "3")
    qe.pytester.makeini("[pytest]\naddopts = --qe-parallel\n")
    _, written = qe.json("tests")
    assert written.run["workers"] == 3
    assert len(written.tests) == 5


def test_parallel_from_the_environment(qe: Qe) -> None:
    qe.files(tests__test_it=TWO)
    qe.setenv("PYTEST_XDIST_AUTO_NUM_WORKERS", "3")
    qe.setenv("PYTEST_ADDOPTS", qe.addopts + " --qe-parallel")
    _, written = qe.json("tests")
    assert written.run["workers"] == 3
    assert len(written.tests) == 5


def test_the_command_line_goes_before_ini(qe: Qe) -> None:
    qe.files(test_it=TWO)
    qe.pytester.makeini("[pytest]\nqe_parallel = 4\n")
    _, written = qe.json("--qe-parallel=2")
    assert written.run["workers"] == 2


def test_parallel_auto_keeps_to_the_affinity(qe: Qe) -> None:
    qe.files(test_it=TWO)
    code = (
        "import os, sys, pytest\n"
        "os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})\n"
        "sys.exit(pytest.main(sys.argv[1:]))"
    )
    result = qe.pytester.run(sys.executable, "-c", code, "--qe-parallel", timeout=HUNG)
    result.assert_outcomes(passed=5)
    result.stdout.fnmatch_lines(["qe: 1 worker by *"])


def test_no_more_workers_than_tests(qe: Qe) -> None:
    qe.files(test_it="def test_1(): pass\ndef test_2(): pass")
    _, written = qe.json("--qe-parallel=8")
    assert written.run["workers"] == 2


def test_more_workers_than_processors(qe: Qe) -> None:
    qe.files(
        test_it="import time\ndef test_1(): time.sleep(0.3)\n"
        + "".join(f"def test_{i}(): time.sleep(0.3)\n" for i in range(2, 9))
    )
    _, written = qe.json("--qe-parallel=8")
    assert len(set(written.workers().values())) == 8


# ------------------------------------------------------------------ bad values

BAD = [
    ("parallel", ["-1", "x", "1.5", "100000", ""], "number of workers"),
    ("dist", ["each", "load", "no", "LOADFILE"], "worksteal, loadscope, loadfile, loadgroup"),
    ("timeout", ["0", "-1", "x", "nan", "inf", "1e99"], "seconds"),
    ("retries", ["-1", "x", "1.5", "1000"], "retries"),
    ("retry-backoff", ["-1", "x", "nan", "inf"], "seconds"),
    ("retry-only", ["(", "*", "[a"], "regular expression"),
    ("start", ["x", "thread", "FORK"], "auto, fork, spawn"),
    ("max-worker-restart", ["-1", "x"], "crashes"),
    ("shard", ["0/2", "3/2", "1", "x", "1/0", "-1/2", "1/2/3", "a/b"], "I/N"),
    ("flaky", ["0", "-1", "x", "1.5"], "runs"),
    ("seed", ["x", "-1", "1.5", str(2**64)], "number"),
    ("grace", ["-1", "x"], "seconds"),
]


@pytest.mark.parametrize(
    ("name", "value", "takes"),
    [(name, value, takes) for name, values, takes in BAD for value in values],
)
def test_bad_value_on_the_command_line(qe: Qe, name: str, value: str, takes: str) -> None:
    qe.files(test_it="def test_it(): pass")
    result = qe.run(f"--qe-{name}={value}")
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    text = result.stderr.str()
    assert f"--qe-{name}={value}" in text
    assert takes in text
    assert "Traceback" not in text
    assert len(result.errlines) < 4, text


@pytest.mark.parametrize(
    ("name", "value", "takes"),
    [
        *[(name, values[0], takes) for name, values, takes in BAD],
        ("isolate", "maybe", "true or false"),
        ("no-history", "maybe", "true or false"),
        ("timeout-func-only", "maybe", "true or false"),
    ],
)
def test_bad_value_in_ini(qe: Qe, name: str, value: str, takes: str) -> None:
    qe.files(test_it="def test_it(): pass")
    key = "qe_" + name.replace("-", "_")
    qe.pytester.makeini(f"[pytest]\n{key} = {value}\n")
    result = qe.run()
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    text = result.stderr.str()
    assert key in text
    assert value in text
    assert takes in text
    assert "Traceback" not in text


@pytest.mark.parametrize("option", ["--qe-json", "--qe-history", "--qe-shard-durations"])
def test_empty_path(qe: Qe, option: str) -> None:
    qe.files(test_it="def test_it(): pass")
    result = qe.run(option + "=")
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    assert f"{option}=: takes a path" in result.stderr.str()


@pytest.mark.parametrize(
    "option", ["--qe-timeout", "--qe-retries", "--qe-seed", "--qe-flaky", "--qe-json"]
)
def test_missing_value(qe: Qe, option: str) -> None:
    qe.files(test_it="def test_it(): pass")
    result = qe.run(option)
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    assert option in result.stderr.str()


def test_bad_value_of_the_environment(qe: Qe) -> None:
    qe.files(test_it="def test_it(): pass")
    qe.setenv("PYTEST_XDIST_AUTO_NUM_WORKERS", "many")
    result = qe.run("--qe-parallel")
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    assert "PYTEST_XDIST_AUTO_NUM_WORKERS=many" in result.stderr.str()


def test_bad_value_stops_a_run_before_any_test(qe: Qe) -> None:
    qe.files(test_it="def test_it():\n    open('ran', 'w')")
    qe.run("--qe-parallel=2", "--qe-timeout=soon")
    assert not (qe.path / "ran").exists()


# -------------------------------------------------------------------- the rest


def test_help_names_every_option_and_ini_key(qe: Qe) -> None:
    text = qe.run("--help").stdout.str()
    names = [name for name, _, _ in BAD]
    for name in [*names, "shard-durations", "isolate", "json", "history", "no-history"]:
        assert f"--qe-{name}" in text
        assert "qe_" + name.replace("-", "_") in text
    assert "qe_timeout_func_only" in text


def test_every_ini_key_is_read(qe: Qe) -> None:
    qe.files(
        test_it="""
        import os, time
        def test_flaky():
            if not os.path.exists("seen"):
                open("seen", "w")
                raise ValueError("again")
        def test_hangs():
            time.sleep(60)
        def test_passes(): pass
    """
    )
    qe.pytester.makeini(
        "[pytest]\nqe_parallel = 2\nqe_dist = loadscope\nqe_timeout = 0.5\nqe_retries = 1\n"
        "qe_retry_backoff = 0.1\nqe_retry_only = again\nqe_start = fork\n"
        "qe_max_worker_restart = 9\nqe_isolate = true\nqe_seed = 77\nqe_json = out.json\n"
        "qe_history = kept.db\nqe_grace = 5\nqe_timeout_func_only = true\n"
    )
    result = qe.run()
    assert result.ret == pytest.ExitCode.TESTS_FAILED
    written = json.loads((qe.path / "out.json").read_text())
    assert written["run"]["seed"] == 77
    outcomes = {t["id"].split("::")[1]: t["outcome"] for t in written["tests"]}
    assert outcomes == {"test_flaky": "flaky", "test_hangs": "timeout", "test_passes": "passed"}
    hangs = next(t for t in written["tests"] if t["id"].endswith("hangs"))
    assert len(hangs["attempts"]) == 1, "its text does not match qe_retry_only"
    assert (qe.path / "kept.db").exists()
    assert not (qe.path / ".qe").exists()


@pytest.mark.parametrize("args", [("--qe-parallel=2",), ()], ids=["option", "ini"])
def test_seed_is_printed_always(qe: Qe, args: tuple[str, ...]) -> None:
    qe.files(test_it="def test_it(): pass")
    if not args:
        qe.pytester.makeini("[pytest]\nqe_parallel = 2\n")
    for more in ((), ("-q",), ("-qq",), ("-v",), ("--no-header",), ("--no-summary",)):
        assert "seed" in qe.run(*args, *more).stdout.str(), more


def test_seed_that_is_printed_gives_the_same_random_numbers(qe: Qe) -> None:
    qe.files(
        test_it="""
        import random
        def test_it(record_property):
            record_property("drawn", random.random())
            assert False, f"drawn {random.random()}"
    """
    )
    first = qe.run("--qe-parallel=1").stdout.str()
    seed = re.search(r"seed[= ](\d+)", first)
    assert seed is not None
    drawn = re.search(r"drawn (0\.\d+)", first)
    assert drawn is not None
    again = qe.run("--qe-parallel=1", f"--qe-seed={seed[1]}").stdout.str()
    assert drawn[0] in again
    other = qe.run("--qe-parallel=1", f"--qe-seed={int(seed[1]) + 1}").stdout.str()
    assert drawn[0] not in other


def test_workers_draw_different_random_numbers(qe: Qe) -> None:
    qe.files(
        test_it="""
        import random, time
        def draw():
            with open("drawn", "a") as file:
                file.write(f"{random.random()}\\n")
            time.sleep(0.3)
        def test_1(): draw()
        def test_2(): draw()
    """
    )
    qe.run("--qe-parallel=2").assert_outcomes(passed=2)
    assert len(set(qe.lines("drawn"))) == 2


def test_workers_is_what_the_header_says(qe: Qe) -> None:
    qe.files(test_it=TWO)
    result = qe.run("--qe-parallel=2")
    result.stdout.fnmatch_lines(["qe: 2 workers by fork (*)"])
    assert os.environ.get("QE_WORKER") is None


@pytest.mark.parametrize(
    ("args", "words"),
    [
        (["--qe-parallel", "-1"], "--qe-parallel=-1: takes"),
        (["--qe-parallel", "--maxprocesses=x"], "--maxprocesses=x: takes a number"),
        (["--qe-timeout=1e-10"], "--qe-timeout=1e-10: takes"),
        (["--qe-parallel=\u0663"], "takes a number of workers"),
    ],
)
def test_more_bad_values_are_refused(qe: Qe, args: list[str], words: str) -> None:
    qe.files(test_it="def test_it(): pass")
    result = qe.run(*args)
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    assert words in result.stderr.str()


def test_parallel_is_switched_off_by_no(qe: Qe) -> None:
    qe.files(test_it="def test_it(): pass")
    for args in (["--qe-parallel=no"], ["--qe-parallel", "no"]):
        result = qe.run(*args)
        result.assert_outcomes(passed=1)
        assert "qe:" not in result.stdout.str()


def test_elsewhere_than_on_linux_every_option_is_accepted(qe: Qe) -> None:
    """There is no core: the wheel is pure."""
    qe.files(
        test_it="def test_it(): pass",
        elsewhere="""
        import sys
        sys.platform = "freebsd14"
        sys.modules["pytest_qe._core"] = None
    """,
    )
    assert qe.run("-p", "elsewhere").ret == 0
    args = ("--qe-parallel=2", "--qe-timeout=5", "--qe-retries=1", "--qe-flaky-detect")
    result = qe.run("-p", "elsewhere", *args)
    assert result.ret == 0, result.stderr.str()
    result.assert_outcomes(passed=1)
    assert "qe: parallel runs need Linux; running serially" in result.stderr.str()
