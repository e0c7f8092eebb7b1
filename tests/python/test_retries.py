"""``--qe-retries`` and its like: again, in a fresh process, and said so."""

from __future__ import annotations

import xml.etree.ElementTree as ET

import pytest

from conftest import Qe

#: Fails until it was tried as often as its name says.
COUNTED = """
    import os
    import pytest

    STATE = []

    def tries(name):
        with open(name, "a") as file:
            file.write(f"{os.getpid()}\\n")
        with open(name) as file:
            return len(file.readlines())

    @pytest.fixture
    def broken_once():
        assert tries("broken_once") > 1, "broken set-up"

    @pytest.fixture
    def broken_after_once():
        yield
        assert tries("broken_after_once") > 1, "broken tear-down"

    def test_second():
        print("printed by", os.getpid())
        assert tries("second") >= 2, "not yet"

    def test_third():
        assert tries("third") >= 3, "not yet"

    def test_never():
        tries("never")
        assert STATE == []
        STATE.append(1)
        raise ValueError("never")

    def test_set_up(broken_once): pass
    def test_tear_down(broken_after_once): pass
    def test_passes(): tries("passes")

    def test_crashes_once():
        if tries("crashes") < 2:
            os.abort()

    @pytest.mark.xfail(strict=True)
    def test_strict():
        tries("strict")

    @pytest.mark.xfail
    def test_xfail():
        tries("xfail")
        assert 0

    def test_skip():
        tries("skip")
        pytest.skip("why")
"""


@pytest.mark.parametrize("start", ["fork", "spawn"])
@pytest.mark.smoke
def test_retries(qe: Qe, start: str) -> None:
    qe.files(test_it=COUNTED)
    result, written = qe.json("--qe-parallel=2", "--qe-retries=2", f"--qe-start={start}", "-v")
    assert result.ret == pytest.ExitCode.TESTS_FAILED
    assert written.outcomes() == {
        "test_second": "flaky",
        "test_third": "flaky",
        "test_never": "failed",
        "test_set_up": "flaky",
        "test_tear_down": "flaky",
        "test_passes": "passed",
        "test_crashes_once": "flaky",
        "test_strict": "failed",
        "test_xfail": "skipped",
        "test_skip": "skipped",
    }
    counts = {"second": 2, "third": 3, "never": 3, "broken_once": 2, "broken_after_once": 2,
              "passes": 1, "crashes": 2, "strict": 3, "xfail": 1, "skip": 1}  # fmt: skip
    for name, count in counts.items():
        pids = qe.lines(name)
        assert len(pids) == count, name
        assert len(set(pids)) == count, f"{name}: each attempt has a process of its own"
    result.assert_outcomes(passed=6, failed=2, skipped=1, xfailed=1)
    assert result.parseoutcomes()["rerun"] == 10
    assert result.stdout.str().count("RERUN") == 10


def test_attempts_in_the_json(qe: Qe) -> None:
    qe.files(test_it=COUNTED)
    _, written = qe.json("--qe-parallel=2", "--qe-retries=2")
    attempts = written["test_third"]["attempts"]
    assert [a["attempt"] for a in attempts] == [1, 2, 3]
    assert [a["outcome"] for a in attempts] == ["failed", "failed", "passed"]
    starts = [a["start"] for a in attempts]
    assert starts == sorted(starts)
    assert "not yet" in attempts[0]["message"]
    crashes = written["test_crashes_once"]["attempts"]
    assert [a["outcome"] for a in crashes] == ["crashed", "passed"]


def test_all_flaky_is_a_pass(qe: Qe) -> None:
    qe.files(test_it=COUNTED)
    result = qe.run("--qe-parallel=2", "--qe-retries=2", "-k", "second or third or passes")
    assert result.ret == 0
    line = result.stdout.lines[-1]
    assert "3 passed" in line
    assert "3 rerun" in line


def test_reruns_are_shown_as_r(qe: Qe) -> None:
    qe.files(test_it=COUNTED)
    result = qe.run("--qe-parallel=1", "--qe-retries=2", "-k", "third", "-rR")
    result.stdout.re_match_lines([r"RR\.\s.*\[100%\]"])
    result = qe.run("--qe-retries=2", "-k", "never", "-v")
    assert result.stdout.str().count("test_never RERUN") == 2
    assert result.stdout.str().count("test_never FAILED") == 1


def test_retries_alone_take_the_core(qe: Qe) -> None:
    qe.files(test_it=COUNTED)
    result, written = qe.json("--qe-retries=1", "-k", "second")
    assert result.ret == 0
    assert written.outcomes() == {"test_second": "flaky"}


def test_state_of_the_module_is_pristine(qe: Qe) -> None:
    """The retry sees neither what an earlier test nor the failed one left."""
    qe.files(
        test_it="""
        import os
        import pytest
        STATE = []

        @pytest.fixture(scope="session")
        def shared():
            return []

        def test_1(shared):
            STATE.append(1)
            shared.append(1)

        def test_2(shared):
            os.environ["LEFT"] = "x"
            first = not os.path.exists("tried")
            open("tried", "w").close()
            if first:
                STATE.append(2)
                raise ValueError
            assert STATE == [] and shared == []
            assert os.environ.get("LEFT") == "x"
    """
    )
    _, written = qe.json("--qe-parallel=1", "--qe-retries=1")
    assert written.outcomes() == {"test_1": "passed", "test_2": "flaky"}


def test_retries_of_the_marker(qe: Qe) -> None:
    qe.files(
        test_it="""
        import pytest
        def tries(name):
            with open(name, "a") as file: file.write("x\\n")

        @pytest.mark.qe(retries=3)
        def test_more():
            tries("more")
            assert 0

        @pytest.mark.qe(retries=0)
        def test_none():
            tries("none")
            assert 0

        def test_default():
            tries("default")
            assert 0
    """
    )
    qe.run("--qe-parallel=2", "--qe-retries=1").assert_outcomes(failed=3)
    assert [len(qe.lines(name)) for name in ("more", "none", "default")] == [4, 1, 2]
    for name in ("more", "none", "default"):
        (qe.path / name).unlink()
    qe.run("--qe-parallel=2").assert_outcomes(failed=3)
    assert [len(qe.lines(name)) for name in ("more", "none", "default")] == [4, 1, 1]


@pytest.mark.parametrize(
    ("pattern", "retried"),
    [
        ("ConnectionError", {"connection", "crash"}),
        ("refused.*port", {"connection", "crash"}),
        ("(?i)timeout|crashed", {"crash"}),
        ("KeyError|ValueError", {"value", "crash"}),
        ("nothing like that", {"crash"}),
    ],
)
def test_retry_only(qe: Qe, pattern: str, retried: set[str]) -> None:
    qe.files(
        test_it="""
        import os
        def tries(name):
            with open("tried", "a") as file: file.write(name + "\\n")
        def test_1():
            tries("connection")
            raise ConnectionError("refused by port 80")
        def test_2():
            tries("value")
            raise ValueError("no")
        def test_3():
            tries("crash")
            os._exit(1)
    """
    )
    qe.run("--qe-parallel=2", "--qe-retries=1", f"--qe-retry-only={pattern}")
    lines = qe.lines("tried")
    twice = {name for name in lines if lines.count(name) == 2}
    # A crash has no exception: its own text ("Crashed: exited ...") counts.
    expected = retried if "crashed" in pattern else retried - {"crash"}
    assert twice == expected


def test_backoff_doubles(qe: Qe) -> None:
    qe.files(test_it="def test_it(): assert 0")
    _, written = qe.json("--qe-parallel=1", "--qe-retries=3", "--qe-retry-backoff=0.3")
    attempts = written["test_it"]["attempts"]
    ends = [a["start"] + a["duration"] for a in attempts]
    gaps = [b["start"] - end for b, end in zip(attempts[1:], ends, strict=False)]
    assert len(gaps) == 3
    for gap, delay in zip(gaps, (0.3, 0.6, 1.2), strict=True):
        # Jitter is half of the delay to either side; above it there is only load.
        assert 0.5 * delay - 0.05 < gap < 1.5 * delay + 5


def test_backoff_occupies_no_worker(qe: Qe) -> None:
    qe.files(
        test_it="""
        import pytest, time
        def test_fails(): assert 0
        @pytest.mark.parametrize("value", range(4))
        def test_other(value): time.sleep(0.05)
    """
    )
    _, written = qe.json("--qe-parallel=1", "--qe-retries=1", "--qe-retry-backoff=2")
    again = written["test_fails"]["attempts"][1]["start"]
    others = [t["attempts"][0]["start"] for t in written.tests if "other" in t["id"]]
    assert max(others) < again


def test_a_retry_does_not_wait_for_the_end_of_the_run(qe: Qe) -> None:
    qe.files(
        test_it="""
        import pytest, time
        def test_fails(): assert 0
        @pytest.mark.parametrize("value", range(6))
        def test_other(value): time.sleep(0.4)
    """
    )
    _, written = qe.json("--qe-parallel=2", "--qe-retries=1")
    again = written["test_fails"]["attempts"][1]["start"]
    others = [t["attempts"][0]["start"] for t in written.tests if "other" in t["id"]]
    assert again < max(others)


def test_exitfirst_waits_for_the_last_attempt(qe: Qe) -> None:
    qe.files(
        test_it="""
        import os
        def test_1():
            first = not os.path.exists("tried")
            open("tried", "w").close()
            assert not first
        def test_2(): pass
        def test_3(): assert 0
        def test_4(): open("four", "w").close()
    """
    )
    result, written = qe.json("--qe-parallel=1", "--qe-retries=1", "-x")
    outcomes = written.outcomes()
    assert outcomes["test_1"] == "flaky"
    assert outcomes["test_2"] == "passed"
    assert outcomes["test_3"] == "failed"
    assert len(written["test_3"]["attempts"]) == 2
    assert "stopping after 1 failures" in result.stdout.str()


def test_junit_counts_each_test_once(qe: Qe) -> None:
    qe.files(test_it=COUNTED)
    qe.run("--qe-parallel=2", "--qe-retries=2", "--junitxml=out.xml")
    suite = ET.parse(qe.path / "out.xml").getroot()[0]
    names = [case.get("name") for case in suite.iter("testcase")]
    assert sorted(names) == sorted(set(names)), names
    failed = {
        case.get("name") for case in suite.iter("testcase") if case.find("failure") is not None
    }
    assert failed == {"test_never", "test_strict"}


def test_serial_and_grouped_tests_are_retried(qe: Qe) -> None:
    qe.files(
        test_it="""
        import pytest
        @pytest.mark.qe(serial=True)
        def test_serial():
            with open("serial", "a") as file: file.write("x\\n")
            assert 0
        @pytest.mark.xdist_group("g")
        def test_grouped():
            with open("grouped", "a") as file: file.write("x\\n")
            assert 0
        def test_other(): pass
    """
    )
    qe.run("--qe-parallel=2", "--qe-retries=1").assert_outcomes(failed=2, passed=1)
    assert len(qe.lines("serial")) == len(qe.lines("grouped")) == 2


def test_timeout_is_retried(qe: Qe) -> None:
    qe.files(
        test_it="""
        import os, time
        def test_it():
            if not os.path.exists("tried"):
                open("tried", "w").close()
                time.sleep(600)
    """
    )
    result, written = qe.json("--qe-parallel=1", "--qe-timeout=1", "--qe-retries=1")
    assert result.ret == 0
    attempts = written["test_it"]["attempts"]
    assert [a["outcome"] for a in attempts] == ["timeout", "passed"]


def test_rerunfailures_beside_us(qe: Qe) -> None:
    """pytest-rerunfailures reruns in the worker; its reports pass through."""
    qe.use("rerunfailures")
    qe.files(test_it=COUNTED)
    serial = qe.run("--reruns=2", "-k", "third or never")
    for name in ("third", "never"):
        (qe.path / name).unlink()
    result = qe.run("--qe-parallel=2", "--reruns=2", "-k", "third or never")
    assert result.parseoutcomes() == serial.parseoutcomes()
    assert result.parseoutcomes()["rerun"] == 4


@pytest.mark.parametrize("scope", ["class", "module", "package", "session"])
@pytest.mark.parametrize("start", ["--qe-start=fork", "--qe-start=spawn"])
def test_what_tests_share_fails_for_good(qe: Qe, scope: str, start: str) -> None:
    """A retry has a process of its own, and no such fixture to tear down."""
    qe.files(
        test_it=f"""
            import pytest

            @pytest.fixture(scope="{scope}")
            def shared():
                yield
                raise RuntimeError("teardown of what is shared")

            class Test:
                def test_1(self, shared): pass
                def test_2(self): pass
                def test_3(self): pass
        """
    )
    assert qe.run().parseoutcomes() == {"passed": 3, "errors": 1}
    result = qe.run("--qe-parallel=1", "--qe-retries=2", start)
    assert result.parseoutcomes() == {"passed": 3, "errors": 1}
    assert result.ret == 1
    result.stdout.fnmatch_lines(["E * RuntimeError: teardown of what is shared"])


def test_a_failing_teardown_of_its_own_is_retried(qe: Qe) -> None:
    qe.files(
        test_it="""
            import os, pytest

            @pytest.fixture
            def own():
                yield
                if not os.path.exists("tried"):
                    open("tried", "w").close()
                    raise RuntimeError("teardown of its own")

            def test_it(own): pass
        """
    )
    result = qe.run("--qe-parallel=1", "--qe-retries=1")
    assert result.parseoutcomes() == {"passed": 1, "rerun": 1}
