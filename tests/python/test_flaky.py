"""``--qe-flaky``: many passes, counted, shown, and reproducible."""

from __future__ import annotations

import random
import re
from itertools import pairwise

import pytest

from conftest import Qe, Result

#: Appends to a file who ran when; the pass is told by the process.
LOG = """
    import os
    import pytest

    @pytest.fixture(autouse=True)
    def logged(request):
        with open(f"order-{os.getpid()}", "a") as file:
            file.write(request.node.nodeid + "\\n")
"""

SUITE = """
    import os
    import pytest

    def turn(name):
        with open("turn-" + name, "a") as file:
            file.write("x")
        return os.path.getsize("turn-" + name)

    def test_passes(): pass
    def test_fails(): assert 0
    def test_alternates(): assert turn("alternates") % 2
    def test_fails_first(): assert turn("first") > 1
    def test_skips(): pytest.skip("why")
    @pytest.mark.xfail
    def test_xfails(): assert 0
    class TestClass:
        def test_one(self): pass
        def test_two(self): pass
"""


def orders(qe: Qe) -> list[list[str]]:
    """What each process ran, in order."""
    return [path.read_text().split("\n")[:-1] for path in sorted(qe.path.glob("order-*"))]


def pass_orders(written: Result, passes: int) -> list[list[str]]:
    """The order of each pass, by the starts in the JSON."""
    found = []
    for number in range(passes):
        of_pass = [
            (attempt["start"], test["id"])
            for test in written.tests
            for attempt in test["attempts"]
            if attempt["pass"] == number
        ]
        found.append([name for _, name in sorted(of_pass)])
    return found


def test_statistics(qe: Qe) -> None:
    qe.files(test_it=SUITE)
    # One worker, so that the passes come one after another.
    result, written = qe.json("--qe-flaky=10", "--qe-flaky-mode=fixed", "--qe-parallel=1")
    assert result.ret == pytest.ExitCode.TESTS_FAILED
    assert written.run["passes"] == 10
    assert all(len(test["attempts"]) == 10 for test in written.tests)
    assert written["test_passes"]["flakiness"] == {
        "passes": 10, "failures": 0, "flakiness_score": 0, "is_flaky": False,
        "pattern": "STABLE_PASS",
    }  # fmt: skip
    assert written["test_fails"]["flakiness"] == {
        "passes": 0, "failures": 10, "flakiness_score": 0, "is_flaky": False,
        "pattern": "STABLE_FAIL",
    }  # fmt: skip
    assert written["test_alternates"]["flakiness"] == {
        "passes": 5, "failures": 5, "flakiness_score": 1, "is_flaky": True, "pattern": "RANDOM",
    }  # fmt: skip
    first = written["test_fails_first"]["flakiness"]
    assert (first["passes"], first["failures"], first["is_flaky"]) == (9, 1, True)
    assert first["flakiness_score"] == pytest.approx(0.2)
    assert first["pattern"] == "INTERMITTENT"
    assert "flakiness" not in written["test_skips"]
    # What fails as expected is as it should be; strict, it can be flaky.
    assert written["test_xfails"]["flakiness"]["pattern"] == "STABLE_PASS"
    assert written.outcomes()["test_fails"] == "failed"
    assert written.outcomes()["test_alternates"] == "flaky"
    assert written.outcomes()["test_passes"] == "passed"


def test_table(qe: Qe) -> None:
    qe.files(test_it=SUITE)
    result = qe.run("--qe-flaky=10", "--qe-flaky-mode=fixed", "--qe-parallel=1")
    text = result.stdout.str()
    assert "flaky tests (10 passes)" in text
    table = text.split("flaky tests (10 passes)")[1]

    def row(name: str) -> list[str]:
        lines = [line for line in table.splitlines() if line.endswith("::" + name)]
        assert len(lines) == 1, name
        return lines[0].split()[:4]

    assert row("test_alternates") == ["5", "5", "1.00", "RANDOM"]
    assert row("test_fails_first") == ["9", "1", "0.20", "INTERMITTENT"]
    assert row("test_fails") == ["0", "10", "0.00", "STABLE_FAIL"]
    assert "::test_passes" not in table
    assert "warning" not in text
    result = qe.run(
        "--qe-flaky=10", "--qe-flaky-mode=fixed", "--qe-parallel=1", "-v", "-k", "passes"
    )
    assert re.search(r"10 +0 +0\.00 +STABLE_PASS +test_it\.py::test_passes", result.stdout.str())


def test_each_test_is_reported_once(qe: Qe) -> None:
    qe.files(test_it=SUITE)
    result = qe.run("--qe-flaky=10", "--qe-flaky-mode=fixed", "--qe-parallel=2")
    outcomes = result.parseoutcomes()
    assert sum(outcomes[k] for k in ("passed", "failed", "skipped", "xfailed")) == 8
    assert outcomes["failed"] == 3


@pytest.mark.parametrize(
    ("body", "status"),
    [("pass", 0), ("assert 0", 1), ("assert not os.path.exists('x'), open('x', 'w')", 0),
     ("os.mkdir('x')", 1)],
)  # fmt: skip
def test_exit_status(qe: Qe, body: str, status: int) -> None:
    qe.files(test_it=f"import os\ndef test_it(): {body}")
    assert qe.run("--qe-flaky=10", "--qe-flaky-mode=fixed", "--qe-parallel=1").ret == status


def test_flaky_implies_parallel(qe: Qe) -> None:
    qe.files(test_it="def test_it(): pass")
    qe.setenv("PYTEST_XDIST_AUTO_NUM_WORKERS", "2")
    _, written = qe.json("--qe-flaky=10", "--qe-flaky-mode=fixed")
    assert written.run["workers"] == 2
    result = qe.run("--qe-flaky=10", "--qe-flaky-mode=fixed")
    result.stdout.fnmatch_lines(["qe: 2 workers by fork (*), 10 passes"])


@pytest.mark.parametrize("passes", [1, 9])
def test_few_passes_are_warned_of(qe: Qe, passes: int) -> None:
    qe.files(test_it="def test_it(): pass")
    result = qe.run(f"--qe-flaky={passes}", "--qe-flaky-mode=fixed")
    assert result.ret == 0
    assert "fewer than 10 passes" in result.stdout.str()


SHUFFLED = "".join(f"def test_{i}(): pass\n" for i in range(8))


@pytest.mark.parametrize("start", ["fork", "spawn"])
def test_each_pass_is_a_process_of_its_own_with_its_own_order(qe: Qe, start: str) -> None:
    qe.files(conftest=LOG, test_a=SHUFFLED, test_b=SHUFFLED, test_c=SHUFFLED)
    passes = 4 if start == "spawn" else 10
    _, written = qe.json(
        f"--qe-flaky={passes}", "--qe-flaky-mode=fixed", "--qe-parallel=2", f"--qe-start={start}"
    )
    ran = orders(qe)
    assert len(ran) == passes
    collected = [test["id"] for test in written.tests]
    assert all(sorted(order) == sorted(collected) for order in ran)
    assert len({tuple(order) for order in ran}) == passes
    by_pass = pass_orders(written, passes)
    assert by_pass[0] == collected, "the first pass is in file order"
    assert sorted(by_pass) == sorted(ran)
    for order in by_pass:
        files = [nodeid.split("::")[0] for nodeid in order]
        changes = sum(a != b for a, b in pairwise(files))
        assert changes == 2, "the tests of a module stay together"


def test_the_state_of_a_pass_is_pristine(qe: Qe) -> None:
    qe.files(
        test_it="""
        STATE = []
        def test_it():
            assert STATE == []
            STATE.append(1)
    """
    )
    assert qe.run("--qe-flaky=10", "--qe-flaky-mode=fixed", "--qe-parallel=2").ret == 0


def test_a_seed_gives_the_same_orders_and_numbers(qe: Qe) -> None:
    qe.files(
        conftest=LOG,
        test_a=SHUFFLED + "import random\ndef test_r(): assert 0, f'drawn {random.random()}'\n",
        test_b=SHUFFLED,
    )
    args = ("--qe-flaky=10", "--qe-flaky-mode=fixed", "--qe-parallel=2")
    result, first = qe.json(*args)
    seed = first.run["seed"]
    assert f"seed={seed}" in result.stdout.str()
    _, second = qe.json(*args, f"--qe-seed={seed}")
    assert pass_orders(first, 10) == pass_orders(second, 10)

    def drawn(written: Result) -> dict[int, str]:
        return {a["pass"]: a["message"] for a in written["test_r"]["attempts"]}

    assert drawn(first) == drawn(second)
    assert len(set(drawn(first).values())) == 10, "each pass has its own seed"
    _, third = qe.json(*args, f"--qe-seed={seed + 1}")
    assert pass_orders(first, 10) != pass_orders(third, 10)


def test_crash_and_timeout_count_as_failures(qe: Qe) -> None:
    qe.files(
        test_it="""
        import os, time
        import pytest

        def turn(name):
            with open(name, "a") as file: file.write("x")
            return os.path.getsize(name)

        def test_crashes():
            if turn("crash") == 2: os.abort()
        def test_hangs():
            if turn("hang") == 3: time.sleep(600)
        @pytest.fixture
        def broken():
            assert turn("broken") != 4
        def test_set_up(broken): pass
        def test_other(): pass
    """
    )
    result, written = qe.json(
        "--qe-flaky=10", "--qe-flaky-mode=fixed", "--qe-parallel=1", "--qe-timeout=1"
    )
    assert result.ret == 1
    for name in ("test_crashes", "test_hangs", "test_set_up"):
        flakiness = written[name]["flakiness"]
        assert (flakiness["passes"], flakiness["failures"]) == (9, 1), name
        assert written.outcomes()[name] == "flaky"
    assert written["test_other"]["flakiness"]["passes"] == 10
    kinds = {a["outcome"] for a in written["test_crashes"]["attempts"]}
    assert kinds == {"passed", "crashed"}


def test_the_failure_is_shown(qe: Qe) -> None:
    qe.files(
        test_it="""
        import os
        def test_it():
            with open("turn", "a") as file: file.write("x")
            print("printed before")
            assert os.path.getsize("turn") != 3, "the third time"
    """
    )
    text = qe.run("--qe-flaky=10", "--qe-flaky-mode=fixed", "--qe-parallel=1").stdout.str()
    assert "the third time" in text
    assert "printed before" in text
    assert "failed in 1 of 10 passes" in text


def test_a_test_that_depends_on_order_is_found(qe: Qe) -> None:
    qe.files(
        test_it="""
        STATE = []
        def test_1(): STATE.append(1)
        def test_2(): assert STATE
        def test_3(): pass
    """
    )
    _, written = qe.json("--qe-flaky=12", "--qe-flaky-mode=fixed", "--qe-seed=1")
    assert written.outcomes() == {"test_1": "passed", "test_2": "flaky", "test_3": "passed"}
    attempts = written["test_2"]["attempts"]
    assert next(a for a in attempts if a["pass"] == 0)["outcome"] == "passed"


def test_retries_do_not_cut_a_hunt_short(qe: Qe) -> None:
    qe.files(test_it=SUITE)
    _, written = qe.json(
        "--qe-flaky=10", "--qe-flaky-mode=fixed", "--qe-parallel=2", "--qe-retries=3"
    )
    assert all(len(test["attempts"]) == 10 for test in written.tests)


def test_many_random_outcomes_add_up(qe: Qe) -> None:
    seed = random.randrange(2**32)
    print("seed", seed)
    qe.files(
        test_it="""
        import random
        import pytest
        @pytest.mark.parametrize("value", range(40))
        def test_it(value): assert random.random() < value / 40
    """
    )
    result, written = qe.json(
        "--qe-flaky=10", "--qe-flaky-mode=fixed", "--qe-parallel=2", f"--qe-seed={seed}"
    )
    flaky = 0
    for test in written.tests:
        failures = sum(a["outcome"] == "failed" for a in test["attempts"])
        passes = 10 - failures
        flakiness = test["flakiness"]
        assert (flakiness["passes"], flakiness["failures"]) == (passes, failures)
        assert flakiness["flakiness_score"] == pytest.approx(2 * min(passes, failures) / 10)
        assert flakiness["is_flaky"] == (0 < passes < 10)
        results = [a["outcome"] for a in sorted(test["attempts"], key=lambda a: a["pass"])]
        same = sum(a == b for a, b in pairwise(results)) / 9
        expected = "INTERMITTENT" if same > 0.7 else "RANDOM"
        if not flakiness["is_flaky"]:
            expected = "STABLE_PASS" if passes else "STABLE_FAIL"
        assert flakiness["pattern"] == expected
        flaky += flakiness["is_flaky"]
    assert f"{flaky} flaky" in result.stdout.str()


def test_what_must_run_alone_has_no_other_pass_beside_it(qe: Qe) -> None:
    qe.files(
        test_it="""
        import os, time, pytest
        @pytest.mark.qe(serial=True)
        def test_serial():
            os.mkdir("alone")
            time.sleep(0.05)
            os.rmdir("alone")
        """
    )
    result = qe.run("--qe-parallel=3", "--qe-flaky=10", "--qe-flaky-mode=fixed")
    result.assert_outcomes(passed=1)
    result.stdout.fnmatch_lines(["*one pass at a time*"])


def test_a_strict_xfail_that_passes_at_times_is_flaky(qe: Qe) -> None:
    qe.files(
        test_it="""
        import os, pytest
        @pytest.mark.xfail(strict=True)
        def test_it():
            with open("count", "a") as file: file.write("x")
            assert os.path.getsize("count") % 2
        """
    )
    _, result = qe.json("--qe-parallel=1", "--qe-flaky=10", "--qe-flaky-mode=fixed")
    flakiness = result["test_it"]["flakiness"]
    assert flakiness["is_flaky"] and flakiness["passes"] == flakiness["failures"] == 5
