"""Why tests are flaky: causes, culprits, proofs, replays and bisections."""

from __future__ import annotations

import hashlib
import re
import shlex
from typing import Any

import pytest

from conftest import Qe
from pytest_qe import replay, retyping

ADAPTIVE = "--qe-flaky-mode=adaptive"

ORDERED = """
    state = []

    def test_victim(): assert not state
    def test_one(): pass
    def test_pollutes(): state.append(1)
    def test_two(): pass
    def test_brittle(): assert state
"""
SELF = """
    seen = set()

    def test_twice():
        assert "twice" not in seen
        seen.add("twice")
    def test_fine(): pass
"""
RANDOM = """
    import random

    def test_random(): assert random.random() > .4
    def test_fine(): pass
"""


def causes(qe: Qe, *args: str) -> tuple[pytest.RunResult, dict[str, Any]]:
    """The run, and why each test is flaky, by its name."""
    result, written = qe.json("--qe-flaky=14", ADAPTIVE, "--qe-parallel=2", *args)
    tests = written.run["hunt"]["tests"]
    return result, {name.split("::")[1]: one.get("why") for name, one in tests.items()}


def commands(result: pytest.RunResult) -> list[str]:
    """The options of the commands that are printed, in their order."""
    return re.findall(r"again: pytest .*?'?(--qe-replay=[^' ]+)", result.stdout.str())


def test_polluter_and_setter_are_named(qe: Qe) -> None:
    qe.files(test_a=ORDERED)
    result, why = causes(qe, "--qe-seed=3")
    assert set(why) == {"test_victim", "test_brittle"}
    for name, cause in (("test_victim", "order"), ("test_brittle", "brittle")):
        assert why[name]["cause"] == cause
        assert why[name]["culprits"] == ["test_a.py::test_pollutes"]
        assert why[name]["p"] < 0.05
    assert why["test_victim"]["without"] == {"name": "alone", "failed": 0, "passed": 8}
    result.stdout.fnmatch_lines_random(
        [
            "*cause: order: polluted by test_a.py::test_pollutes (behind it: failed 8 of 8, *",
            "*cause: order: needs test_a.py::test_pollutes (*",
            "*# failed 10 of 10",
        ]
    )


def test_what_pollutes_itself_is_told(qe: Qe) -> None:
    qe.files(test_a=SELF)
    _, why = causes(qe)
    assert {name: one["cause"] for name, one in why.items()} == {"test_twice": "self"}


def test_a_proof_fails_again(qe: Qe) -> None:
    """Each command that is printed makes its test fail, and no other."""
    qe.files(test_a=ORDERED, test_b=SELF, test_c=RANDOM)
    result, why = causes(qe, "--qe-seed=1")
    assert why["test_random"]["cause"] == "random"
    printed = commands(result)
    assert len(printed) == 4
    for option in printed:
        again = qe.run(option)
        assert again.ret == 1
        again.stdout.fnmatch_lines(["failed again: test_?.py::test_*"])
        assert again.parseoutcomes()["failed"] == 1


def test_a_test_that_must_not_meet_itself_is_proven(qe: Qe) -> None:
    qe.files(
        test_a="""
        import os, time
        def test_alone(request):
            path = request.config.rootpath / "held"
            os.close(os.open(path, os.O_CREAT | os.O_EXCL))
            try:
                time.sleep(.05)
            finally:
                os.unlink(path)
        def test_other(): pass
        """
    )
    result, why = causes(qe)
    assert why["test_alone"]["cause"] == "neighbours"
    (option,) = commands(result)
    # However few workers there are otherwise: it takes two.
    again = qe.run(option, "--qe-parallel=1")
    assert again.ret == 1
    again.stdout.fnmatch_lines(["failed again: test_a.py::test_alone (FileExistsError at *)"])


def test_a_command_repeats_what_its_test_needs(qe: Qe) -> None:
    """Options that say what is collected, and how it runs: not those that choose or report."""
    qe.files(
        conftest="""
        def pytest_addoption(parser): parser.addoption("--slow", action="store_true")
        """,
        check__check_a="""
        import random, time
        def test_hangs(pytestconfig):
            if not pytestconfig.getoption("slow") or random.random() < .5:
                time.sleep(60)
        def f():
            '''
            >>> random.random() < .5
            True
            '''
        """,
    )
    (qe.path / "my.ini").write_text("[pytest]\npython_files = check_*.py\n", "utf-8")
    needed = ["-c", "my.ini", "--doctest-modules", "--slow", "--qe-timeout=.5"]
    result = qe.run(
        "check", *needed, "--qe-flaky", "8", ADAPTIVE, "--qe-parallel", "-q", "-k", "check", "--tb",
        "no", "--junitxml=out.xml", "--qe-seed=2",
    )  # fmt: skip
    lines = re.findall(r"again: pytest (.*)  #", result.stdout.str())
    assert len(lines) == 2
    for line in lines:
        assert shlex.split(line)[:-1] == needed
        again = qe.run(*shlex.split(line))
        assert again.ret == 1
        again.stdout.fnmatch_lines(["failed again: check/check_a.py::*"])


@pytest.mark.parametrize(
    ("typed", "places", "needed"),
    [
        (["a.py", "-p", "b", "b"], ["ini", "a.py", "b"], ["-p", "b"]),
        (["-qx", "-kb", "-n4", "-rA", "-s", "-Werror", "-oa=b"], [], ["-s", "-Werror", "-oa=b"]),
        (["--qe-parallel", "2", "-c", "x", "--qe-parallel", "b"], ["b"], ["-c", "x"]),
        (["--cov", "--slow", "--cov=a", "--cov", "b", "a.py"], ["a.py"], ["--slow"]),
        (["a", "--qe-isolate", "--slow", "--qe-json", "x", "--", "b"], ["a", "b"], ["--slow"]),
        (["--tb=short", "--maxfail", "3", "--qe-once=a", "--tb"], [], ["--qe-once=a"]),
    ],
)
def test_options_that_are_repeated(typed: list[str], places: list[str], needed: list[str]) -> None:
    assert retyping.needed(typed, places) == needed


def test_a_proof_outlives_other_tests(qe: Qe) -> None:
    """What a test draws is its own: tests that are added do not change it."""
    qe.files(test_c=RANDOM)
    result, _ = causes(qe, "--qe-seed=1")
    (option,) = commands(result)
    qe.files(test_a="def test_new(): pass\n")
    again = qe.run(option, ".")
    again.stdout.fnmatch_lines(["failed again: test_c.py::test_random *"])


def test_causes_have_a_budget(qe: Qe) -> None:
    qe.files(test_a=ORDERED)
    result, why = causes(qe, "--qe-flaky-causes=0.001")
    assert {one and one["cause"] for one in why.values()} <= {None, "unknown"}
    result.stdout.fnmatch_lines(["* tests were not asked for their cause to the end: *"])
    result, why = causes(qe, "--qe-flaky-causes=off")
    assert list(why.values()) == [None, None]


def test_what_was_not_asked_to_the_end_is_told(qe: Qe) -> None:
    """It is no cause that nobody could find: the time was too short for the experiments."""
    qe.files(
        test_a="""
        import time
        state = []
        def test_victim():
            time.sleep(.3)
            assert not state
        def test_pollutes(): state.append(1)
        """
    )
    result = qe.run("--qe-flaky=6", "--qe-flaky-causes=.5", "--qe-parallel=2", "--qe-seed=1")
    result.stdout.fnmatch_lines(["    cause: unknown (not asked to the end)"])


def test_a_replay_goes_before_what_the_project_asks_for(qe: Qe) -> None:
    qe.files(test_a=SELF)
    result, _ = causes(qe)
    (option,) = commands(result)
    again = qe.run(option, "--qe-flaky=5")
    assert again.ret == 1
    again.stdout.fnmatch_lines(["failed again: test_a.py::test_twice *"])


def test_a_failure_that_the_replay_does_not_show_is_told(qe: Qe) -> None:
    qe.files(test_a=SELF)
    result, _ = causes(qe)
    (option,) = commands(result)
    qe.files(test_a=SELF.replace('assert "twice" not in seen', "pass"))
    again = qe.run(option)
    assert again.ret == 0
    again.stdout.fnmatch_lines(["did not fail this time: test_a.py::test_twice"])


def test_another_failure_is_told_apart(qe: Qe) -> None:
    qe.files(test_a=SELF)
    result, _ = causes(qe)
    (option,) = commands(result)
    qe.files(test_a=SELF.replace('assert "twice" not in seen', "1 / len({'twice'} - seen)"))
    again = qe.run(option)
    assert again.ret == 1
    again.stdout.fnmatch_lines(["failed again: * (ZeroDivisionError *; the first was Assertion*"])


@pytest.mark.parametrize(
    ("test", "line"),
    [
        ("test_victim", "*polluted by test_a.py::test_pollutes (behind it*"),
        ("test_brittle", "*needs test_a.py::test_pollutes (*"),
        ("test_one", "test_a.py::test_one: did not fail in 9 orders"),
    ],
)
def test_bisect_order(qe: Qe, test: str, line: str) -> None:
    qe.files(test_a=ORDERED)
    result = qe.run(f"--qe-bisect-order=test_a.py::{test}", "--qe-parallel=2")
    assert result.ret == (1 if test == "test_one" else 0)
    result.stdout.fnmatch_lines([line])


CRASHES = """
import os, pytest
done = []
@pytest.mark.parametrize("i", range(4))
def test_dies(i): os._exit(3)
def test_sets(): done.append("set")
def test_needs(): assert done
"""


def test_culprits_are_sought_in_the_process_that_a_test_ran_in(qe: Qe) -> None:
    """What ran in its pass before a crash has left it nothing."""
    qe.files(test_a=CRASHES)
    result = qe.run("--qe-bisect-order=test_a.py::test_needs", "--qe-seed=1")
    assert result.ret == 0
    result.stdout.fnmatch_lines(["*: needs test_a.py::test_sets (*"])
    _, why = causes(qe, "--qe-seed=1")
    assert why["test_needs"]["culprits"] == ["test_a.py::test_sets"]


def test_a_bisection_of_what_always_fails_says_so(qe: Qe) -> None:
    qe.files(test_a="def test_a(): pass\ndef test_b(): assert 0\n")
    result = qe.run("--qe-bisect-order=test_a.py::test_b")
    assert result.ret == 1
    result.stdout.fnmatch_lines(["test_a.py::test_b: failed in all 9 orders, alone too"])


def _token(**changed: Any) -> str:
    values: dict[str, Any] = {
        "items": ["test_a.py::test_a"], "others": [], "beside": "", "seed": 1,
        "hash_seed": None, "around": [], "clock": 0.0, "args": [],
        "failure": "",
    }  # fmt: skip
    return replay.Recipe(**{**values, **changed}).token()


@pytest.mark.parametrize(
    ("token", "line"),
    [
        ("x", "a token begins with qe1-"),
        ("qe1-x", "it is not whole"),
        (_token(around=["rm"]), "it asks for what is not known here"),
        (_token(args=["--rootdir=/"]), "it asks for what is not known here"),
        (_token(args=["/tmp"]), "it asks for what is not known here"),
        (_token(args=["a/../../b"]), "it asks for what is not known here"),
        (_token(seed=-1), "it asks for what is not known here"),
        (_token(items=[]), "it asks for what is not known here"),
        (_token(beside="then"), "it asks for what is not known here"),
        ("@none.txt", "none.txt: cannot be read"),
        ("@/dev/zero", "/dev/zero: it holds too much"),
    ],
)
def test_a_token_is_not_trusted(qe: Qe, token: str, line: str) -> None:
    qe.files(test_a="def test_a(): pass\n")
    result = qe.run(f"--qe-replay={token}")
    assert result.ret == 4
    result.stderr.fnmatch_lines([f"ERROR: --qe-replay=*: takes a token *({line}*"])


def test_what_a_token_names_must_be_there(qe: Qe) -> None:
    qe.files(test_a="def test_a(): pass\n")
    result = qe.run("--qe-replay=" + _token(items=["test_a.py::test_b"]))
    assert result.ret == 4
    result.stderr.fnmatch_lines(
        ["ERROR: --qe-replay: test_a.py::test_b is not among the tests collected; did you mean *"]
    )
    assert qe.run("--qe-replay=" + _token()).ret == 0


def test_a_long_token_lies_in_a_file(qe: Qe) -> None:
    names = [f"test_{hashlib.sha512(bytes([n])).hexdigest()}" for n in range(12)]
    body = "".join(f"    def {name}(): state.add({n})\n" for n, name in enumerate(names))
    last = f"    def test_z(): assert len(state) < {len(names)}\n"
    qe.files(test_a="    state = set()\n" + body + last)
    result, why = causes(qe, "--qe-seed=2", "--qe-flaky=9")
    assert why["test_z"]["cause"] == "order" and len(why["test_z"]["culprits"]) == len(names)
    (option,) = commands(result)
    assert option.startswith("--qe-replay=@.qe/replays/")
    assert qe.run(option).ret == 1
