"""What is printed equals what serial pytest prints, whatever the options.

Without ``--qe-parallel`` (a time limit alone) the whole output is compared, line
by line; with it, what remains once the order of tests and our own lines are gone.
"""

from __future__ import annotations

import difflib
import re

import pytest

from conftest import Qe

SUITE = '''
    import logging, sys, unittest, warnings
    import pytest

    @pytest.fixture(scope="module")
    def module(): yield

    @pytest.fixture(scope="session", params=["x", "y"])
    def session(request): return request.param

    @pytest.fixture
    def broken_down():
        yield
        raise ValueError("in teardown")

    @pytest.fixture
    def broken_twice(broken_down):
        yield
        raise KeyError("in teardown, too")

    @pytest.fixture
    def broken_up(): raise RuntimeError("in setup")

    def test_passes(): print("printed")
    def test_fails():
        print("printed by failing"); print("to stderr", file=sys.stderr)
        logging.getLogger("some").warning("logged")
        local = {"a": 1, "b": [1, 2, 3], "c": "x" * 200}
        assert local == {"a": 1, "b": [1, 2, 4], "c": "x" * 199}, "a message"
    def test_skips(): pytest.skip("for a reason")
    @pytest.mark.skip(reason="never")
    def test_never(): pass
    @pytest.mark.xfail
    def test_xfails(): assert 0, "as expected"
    @pytest.mark.xfail(strict=True, reason="strictly")
    def test_xpasses_strict(): pass
    @pytest.mark.xfail(reason="loosely")
    def test_xpasses(): pass
    def test_warns(): warnings.warn("careful")
    def test_down(broken_down): print("before teardown")
    def test_down_twice(broken_twice): pass
    def test_up(broken_up): pass
    def test_unknown(unknown_fixture): pass
    @pytest.mark.parametrize("value", [1, 2])
    def test_values(module, session, value): assert value == 1
    def test_deep():
        def down(n):
            if n: return down(n - 1)
            raise OSError(2, "deep")
        down(3)
    def test_chained():
        try: 1 / 0
        except ZeroDivisionError as error: raise LookupError("chained") from error
    class TestCase(unittest.TestCase):
        def setUp(self): print("setUp")
        def test_method(self): self.assertEqual([1, 2], [1, 3])
        @unittest.expectedFailure
        def test_expected(self): self.fail("expected")
    def function():
        """
        >>> 1 + 1
        3
        """
'''

TEXT = """
A text file.

>>> 2 + 2
5
"""

# Options that do not touch each other share a run.
OPTIONS = [
    ["-q", "--durations=1", "--durations-min=9"],
    ["-v", "-p", "no:logging"],
    ["-vv", "-l"],
    ["-qq", "-rN"],
    ["-rA", "--color=yes"],
    ["-rs", "--no-fold-skipped", "--no-header", "-o", "console_output_style=count"],
    ["--tb=short", "--show-capture=stdout"],
    ["--tb=long", "--show-capture=log"],
    ["--tb=line", "-o", "console_output_style=classic"],
    ["--tb=native"],
    ["--tb=no", "--no-summary"],
    ["--tb=auto", "--show-capture=no", "-o", "verbosity_test_cases=2"],
    ["--full-trace"],
    ["-W", "error", "--disable-warnings"],
    ["-p", "no:cacheprovider", "-p", "no:warnings"],
    ["-p", "no:terminal"],
    ["--capture=sys", "-rP"],
    ["--color=yes", "--code-highlight=no", "--tb=short", "-o", "verbosity_assertions=2"],
    ["--xfail-tb", "-rx"],
    ["--runxfail", "-o", "xfail_strict=true"],
    ["--maxfail=3"],
    ["-k", "values or deep", "-v"],
    ["--collect-only", "-q"],
    ["--fixtures", "-q"],
    ["--markers"],
    ["--setup-plan"],
    ["--setup-only"],
    ["--setup-show"],
]

# Where more than the order may differ with many workers.
MANY = [
    ["-vv", "-l"],
    ["-rA", "--color=yes"],
    ["--tb=native", "--capture=sys"],
    ["--full-trace", "-q"],
    ["-W", "error"],
    ["-p", "no:terminal"],
    ["--setup-show"],
]


def suite(qe: Qe) -> None:
    qe.files(test_it=SUITE)
    (qe.path / "test_text.txt").write_text(TEXT, "utf-8")
    qe.addopts += " --doctest-modules --doctest-glob=*.txt"
    qe.setenv("PYTEST_ADDOPTS", qe.addopts)
    qe.setenv("PYTHONHASHSEED", "1")  # pytest's own diffs go by the order of a set


def lines_of(result: pytest.RunResult) -> list[str]:
    """The output without what differs from run to run, and without our lines."""
    text = result.stdout.str()
    text = re.sub(r"\b\d+\.\d+s\b", "0.00s", text)
    text = re.sub(r"0x[0-9a-f]+", "0x0", text)
    text = re.sub(r", (testrun_uid|worker_id)\b", "", text)  # fixtures of ours, as xdist's
    ours = r"-+ fixtures defined from pytest_qe\S* -+\n(?:(?!-----).*\n)*"
    text = re.sub(ours, "", text)  # shown by pytest 8
    # The rule around a line is as long as the time in it leaves room for.
    text = re.sub(r"=+ (.*\b0\.00s.*?) ?=+", r"== \1 ==", text)
    return [line for line in text.split("\n") if not re.match(r"(\x1b\[\d+m)*qe[: ]", line)]


def difference(serial: list[str], result: list[str]) -> str:
    return "\n".join(difflib.unified_diff(serial, result, "serial", "qe", lineterm="", n=1))


@pytest.mark.parametrize("args", OPTIONS, ids=" ".join)
def test_one_worker_prints_what_a_serial_run_prints(qe: Qe, args: list[str]) -> None:
    suite(qe)
    serial = qe.run(*args)
    result = qe.run("--qe-timeout=100", *args)
    assert not difference(lines_of(serial), lines_of(result))
    assert result.ret == serial.ret
    notice = "qe: --setup-[a-z]+ needs one process: running serially\n?"
    assert re.sub(notice, "", result.stderr.str()) == serial.stderr.str()


def chunks(result: pytest.RunResult) -> list[str]:
    """What the sections of the output hold, by section and test."""
    found: dict[str, list[list[str]]] = {}
    name = ""
    for line in lines_of(result):
        line = re.sub(r"\x1b\[\d*m", "", line)
        title = re.match(r"=+ (.+) =+$", line)
        if title:
            name = re.sub(r"[\d.]+", "0", title[1])
            found[name] = [[]]
        elif not name or re.match(r"\[gw\d\] linux -- Python ", line):
            continue
        elif name.startswith(("test session", "slowest")):
            continue  # progress: its order is compared nowhere
        elif re.match(r"_+ \S.* _+$", line) or name.startswith("short test"):
            found[name].append([line])
        else:
            found[name][-1].append(line)
    return [
        line
        for title, parts in found.items()
        for part in sorted(parts)
        for line in [f"= {title} =", *part]
    ]


@pytest.mark.parametrize("args", MANY, ids=" ".join)
def test_many_workers_print_what_a_serial_run_prints(qe: Qe, args: list[str]) -> None:
    suite(qe)
    serial = qe.run(*args)
    result = qe.run("--qe-parallel=3", *args)
    assert result.ret == serial.ret
    assert not difference(chunks(serial), chunks(result))


@pytest.mark.parametrize("limit", ["test", "func_only"])
def test_a_group_of_teardown_errors(qe: Qe, limit: str) -> None:
    """A group is shown with all frames, also where the session's fixtures are
    torn down by themselves, because their limit is not the test's."""
    qe.files(
        test_it="""
        import logging, warnings
        import pytest
        @pytest.fixture(scope="session")
        def first():
            yield
            print("first down"); logging.warning("first logs"); warnings.warn("first warns")
            raise ValueError("in teardown")
        @pytest.fixture(scope="session")
        def second(first):
            yield
            raise KeyError("in teardown, too")
        @pytest.fixture
        def third():
            yield
            print("third down"); logging.warning("third logs")
        def test_it(second, third): print("printed"); logging.warning("logged")
    """
    )
    args = ["-rA", *(["-oqe_timeout_func_only=true"] if limit == "func_only" else [])]
    serial = qe.run(*args)
    assert "ExceptionGroup" in serial.stdout.str()
    result = qe.run("--qe-timeout=100", *args)
    assert not difference(lines_of(serial), lines_of(result))
    result = qe.run("--qe-parallel=2", *args)
    assert not difference(chunks(serial), chunks(result))


def test_the_last_warning_of_a_worker(qe: Qe) -> None:
    """What outlives a worker's last test is torn down late, within its filters."""
    qe.files(
        test_it="""
        import os, pytest, time, warnings
        @pytest.fixture(scope="session")
        def shared(worker_id):
            yield
            warnings.warn("late")
        def meet(mine, other):
            open(mine, "w").close()
            while not os.path.exists(other): time.sleep(0.01)
        def test_short(shared): meet("short", "long")
        def test_long(shared):
            meet("long", "short")
            time.sleep(0.5)
    """
    )
    args = ["--qe-parallel=2", "--qe-dist=loadgroup", "--qe-timeout=30"]
    result = qe.run(*args)
    assert result.parseoutcomes() == {"passed": 2, "warnings": 2}
    (qe.path / "short").unlink()
    (qe.path / "long").unlink()
    result = qe.run(*args, "-W", "error")
    assert result.parseoutcomes() == {"passed": 2, "errors": 2}
    assert not result.errlines
