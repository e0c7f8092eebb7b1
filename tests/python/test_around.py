"""What is changed around a pass: each change in real runs, and that nothing of it stays."""

from __future__ import annotations

import json
import random
import shutil
import time

import pytest

from conftest import Qe
from passes import GIVEN, passed, run
from pytest_qe import _core

DRAWS = """
    import random, pathlib, sys
    def note(name):
        with open("drawn.txt", "a") as file:
            file.write(f"{name} {random.random()}\\n")
    def test_a(): note("a")
    def test_b(): random.seed(3); note("b")
    def test_c(): note("c")
"""


def drawn(qe: Qe) -> list[str]:
    lines = qe.lines("drawn.txt")
    (qe.path / "drawn.txt").unlink()
    return lines


@pytest.mark.parametrize("start", ["fork", "spawn"])
def test_an_attempt_draws_the_same_whatever_ran_before(qe: Qe, start: str) -> None:
    qe.files(test_a=DRAWS)
    more = ("--qe-parallel=1", f"--qe-start={start}")
    run(qe, [(5, [0, 2, 0, 1, 2], None)], *more)
    before = drawn(qe)
    run(qe, [(5, [1, 2, 0, 2, 0], None), (6, [0, 2], None)], *more)
    after = drawn(qe)
    # The second run of an item draws as the first of the pass with the next seed.
    assert after[2] == before[0] and after[4] == before[2] == after[5]
    assert after[1] == before[1] and after[3] == before[4] == after[6]
    assert before[0] != before[2]
    assert before[0].split()[1] != before[1].split()[1]


def test_planned_passes_draw_on_from_each_other(qe: Qe) -> None:
    qe.files(test_a=DRAWS)
    qe.run("--qe-flaky=1", "--qe-flaky-mode=fixed", "--qe-parallel=1", "--qe-seed=5")
    found = dict(line.split() for line in drawn(qe))
    generator = random.Random(3)
    assert float(found["b"]) == generator.random()
    assert float(found["c"]) == generator.random()


def test_what_plugins_seed_stays_theirs(qe: Qe) -> None:
    qe.use("randomly")
    qe.files(test_a=DRAWS)
    run(qe, [(5, ["_a", "_c", "_a"], None), (6, ["_a"], None)], "--randomly-seed=7")
    assert len(set(drawn(qe))) == 2  # a number for each test, in every pass


@pytest.mark.parametrize("start", ["fork", "spawn"])
def test_a_seed_that_nobody_chose_differs_from_pass_to_pass(qe: Qe, start: str) -> None:
    qe.use("randomly")
    qe.files(test_a=DRAWS)
    given: list[tuple[int, list[int | str], None]] = [
        (5, ["_a", "_c", "_a"], None), (6, ["_a"], None), (5, ["_a"], None),
    ]  # fmt: skip
    run(qe, given, "--qe-parallel=1", f"--qe-start={start}")
    first, other, second, beside, again = drawn(qe)
    assert first == again and beside == second  # as without the plugin
    assert first != second and first.split()[1] != other.split()[1]


ENTROPY = """
    import os, random, secrets, tempfile, uuid
    from os import urandom
    def draw():
        return [os.urandom(4), urandom(4), secrets.token_hex(4), uuid.uuid4(), random.random(),
                random.SystemRandom().random(), random.Random().random(), os.getrandom(4)]
    def note(name):
        with open("drawn.txt", "a") as file:
            print(name, draw(), file=file)
    def test_a(): note("a")
    def test_b(): note("b")
"""


def test_entropy_comes_from_the_seed(qe: Qe) -> None:
    qe.files(test_a=ENTROPY)
    seen = run(qe, [
        (5, [0, 1], {"entropy": True}), (5, [1, 0], {"entropy": True}),
        (6, [0], {"entropy": True}), (5, [0], None),
    ], "--qe-parallel=1")  # fmt: skip
    a, b, b_again, a_again, other, system = drawn(qe)
    assert (a, b) == (a_again, b_again)
    assert a[1:] != b[1:] and a != other and a != system
    assert passed(seen) and not seen.refused


ZONES = """
    import datetime, locale, os, time
    def test_zone():
        now = time.localtime(1.7e9)
        assert abs(now.tm_gmtoff) > 6 * 3600 and time.daylight
        assert datetime.datetime.fromtimestamp(1.7e9).astimezone().utcoffset() == \\
            datetime.timedelta(seconds=now.tm_gmtoff)
    def test_locale():
        assert os.environ["LC_ALL"] == "C"
        assert locale.setlocale(locale.LC_ALL) == "C"
"""


def test_zone_and_locale(qe: Qe) -> None:
    qe.setenv("TZ", "UTC")
    qe.setenv("LC_ALL", "C.UTF-8")
    qe.files(test_a=ZONES)
    around = {"zone": True, "c_locale": True}
    seen = run(qe, [(1, [0, 1], around), (1, [0, 1], None)])
    assert sorted(seen.results) == [
        (0, "test_locale", 1), (0, "test_zone", 1), (1, "test_locale", 0), (1, "test_zone", 0),
    ]  # fmt: skip


CLOCK = """
    import datetime, threading, time
    start = 1.7e9
    def test_time():
        assert start <= time.time() < start + 5
        assert datetime.datetime.now(datetime.timezone.utc).year == 2023
        assert int(time.clock_gettime(time.CLOCK_REALTIME)) - int(start) < 5
        before = time.time(), time.monotonic()
        time.sleep(.05)
        assert .05 <= time.time() - before[0] < 5 and .05 <= time.monotonic() - before[1] < 5
    def test_waits():
        lock = threading.Lock()
        lock.acquire()
        before = time.monotonic()
        assert not lock.acquire(timeout=.05)
        assert not threading.Event().wait(.05)
        assert .1 <= time.monotonic() - before < 5
    def test_loaded_late():
        import _sqlite3, sqlite3
        (found,) = sqlite3.connect(":memory:").execute("select strftime('%s', 'now')").fetchone()
        assert int(found) - start < 5 or "_sqlite3" not in LATE
    import sys
    LATE = {m for m in ("_sqlite3",) if m not in sys.modules}
"""


@pytest.mark.parametrize("start", ["fork", "spawn"])
def test_each_attempt_begins_at_one_time(qe: Qe, start: str) -> None:
    qe.files(test_a=CLOCK)
    before = time.time()
    names: list[int | str] = ["_time", "_waits", "_time", "_loaded_late", "_loaded_late"]
    seen = run(qe, [(1, names, {"clock": 1.7e9}), (1, ["_time"], None)],
               f"--qe-start={start}", "--qe-json=result.json")  # fmt: skip
    results = {(p, name): r for p, name, r in seen.results}
    assert results.pop((1, "test_time")) == 0
    assert set(results.values()) == {1}, seen.result.stdout.str()
    written = json.loads((qe.path / "result.json").read_text("utf-8"))
    began = [a["start"] for test in written["tests"] for a in test["attempts"]]
    assert len(began) == 6 and all(before <= one <= time.time() for one in began)


LATE = """
    import time
    import pytest
    seen = []
    @pytest.fixture
    def late():
        began = time.time()
        time.sleep(3)
        yield began
        assert time.time() >= seen[0]
    def test_begins(late):
        seen.append(time.time())
        assert 1.7e9 <= late < 1.7e9 + 2
        assert 1.7e9 <= seen[0] < 1.7e9 + 2
"""


def test_a_body_begins_at_that_time_whatever_its_set_up_takes(qe: Qe) -> None:
    qe.files(test_a=LATE)
    seen = run(qe, [(1, [0], {"clock": 1.7e9})], "--qe-json=result.json")
    assert [result for *_, result in seen.results] == [1], seen.result.stdout.str()
    written = json.loads((qe.path / "result.json").read_text("utf-8"))
    (attempt,) = written["tests"][0]["attempts"]
    assert attempt["start"] > 1.7e9 + 1e6 and attempt["duration"] >= 3


SLOW = """
    import threading, time
    def work(times):
        times.append(time.monotonic())
        for n in range(200):
            n += 1
        times.append(time.monotonic())
    def in_main():
        began = time.monotonic()
        for n in range(200):
            n += 1
        return time.monotonic() - began
    def in_thread():
        times = [time.monotonic()]
        thread = threading.Thread(target=work, args=(times,))
        thread.start()
        thread.join()
        return times[1] - times[0], times[2] - times[1]
    def test_main_is_slow():
        assert .3 < in_main() < 5
        first, rest = in_thread()
        assert rest < .2
    def test_thread_is_slow():
        assert in_main() < .2
        first, rest = in_thread()
        assert first >= .005 and .3 < rest < 5
"""


def test_threads_are_delayed(qe: Qe) -> None:
    qe.files(test_a=SLOW)
    seen = run(qe, [
        (1, ["_main_is_slow"] * 2, {"slow_main": True}),
        (2, ["_thread_is_slow"] * 2, {"slow_threads": True}),
    ])  # fmt: skip
    assert passed(seen), seen.result.stdout.str()
    assert not seen.refused


def test_a_tracer_stays_what_it_is(qe: Qe) -> None:
    qe.use("pytest_cov")
    qe.setenv("COVERAGE_CORE", "ctrace")
    qe.files(
        test_a="""
        import sys
        def test_one(): assert sys.gettrace() is not None
    """
    )
    seen = run(qe, [(1, [0], {"slow_main": True, "slow_threads": True})], "--cov=test_a")
    assert passed(seen)
    assert seen.refused == {0: ["slow_threads", "slow_main"]}
    seen.result.stdout.fnmatch_lines(["*system refuses delays in threads*"])


LIMITS = """
    import os, pathlib, subprocess, sys, pytest
    def test_chatty(capsys):
        with capsys.disabled():
            pass
    def test_prints():
        print("x" * 100_000)
        print("the end", file=sys.stderr)
        with pytest.raises(OSError, match="too large"):
            pathlib.Path("large").write_bytes(bytes(20000))
        assert 0
    def test_opens():
        files = []
        with pytest.raises(OSError, match="Too many"):
            for _ in range(50):
                files.append(open(__file__))
        assert len(files) == 8
    def test_allocates():
        with pytest.raises(MemoryError):
            bytearray(64 << 20)
        bytearray(8 << 20)
    def test_fails(): assert open.__name__ == "ope", "in the source"
"""


def test_limits_are_for_tests_alone(qe: Qe) -> None:
    qe.files(test_a=LIMITS)
    around = {"few_files": True, "small_files": True, "little_memory": True}
    names: list[int | str] = ["_prints", "_opens", "_allocates", "_fails", "_chatty"]
    seen = run(qe, [(1, names * 2, around)])
    assert [r for _, _, r in seen.results] == [0, 1, 1, 0, 1] * 2, seen.result.stdout.str()
    out = seen.result.stdout.str()
    assert "x" * 100_000 in out and "the end" in out
    assert "def test_fails(): assert open" in out  # with its source


def test_names_that_are_none_are_refused(qe: Qe) -> None:
    qe.files(test_a="def test_a(): pass")
    for around in ({"rain": True}, {"tmp_by_name": True}, {"files": -1}, {"clock": "noon"}, 3):
        shutil.copy(GIVEN, qe.path / "conftest.py")
        (qe.path / "passes.json").write_text(json.dumps([(1, [0], around)]), "utf-8")
        result = qe.run("--qe-flaky=2", "--qe-flaky-mode=adaptive")
        assert result.ret == 3, around


def test_seeds_are_the_core_s() -> None:
    assert _core.attempt_seed(5, 7, 1) == _core.attempt_seed(6, 7, 0)
