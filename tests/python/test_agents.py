"""The agents' scenarios, with real files, processes, tools and stores.

The 21 that the first agents of this kind were tried with, each by its name.
"""

from __future__ import annotations

import asyncio
import itertools
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from agents_help import FAILS, PASSES, counted, settle_environment, with_modules, write
from pytest_qe import _core
from pytest_qe.agents import (
    AlcallParams,
    FlakyTestHunterAgent,
    FrameworkError,
    MemoryStore,
    TestExecutorAgent,
)

ONCE = AlcallParams(max_concurrent=4, retry_timeout=60)
#: Runs of one file, one after another: in their order.
ORDERED = AlcallParams(max_concurrent=1, retry_timeout=60)


@pytest.fixture(autouse=True)
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    settle_environment(monkeypatch)
    folder = tmp_path / "project"
    folder.mkdir()
    monkeypatch.chdir(folder)
    yield folder


def execute(files: list[str], *args: Any, **more: Any) -> dict[str, Any]:
    return asyncio.run(TestExecutorAgent(**more).execute_tests_parallel(files, *args))


def detect(files: list[str], *args: Any, **more: Any) -> dict[str, Any]:
    agent = FlakyTestHunterAgent(**{"causes": False, "warm": True, **more})
    return asyncio.run(agent.detect_flaky_tests(files, *args))


# ------------------------------------------------------------------- executor


def test_executor_basic(project: Path) -> None:
    files = write(project, {"test_one.py": PASSES, "test_two.py": PASSES})
    result = execute(files)
    assert (result["total"], result["passed"], result["failed"]) == (2, 2, 0)
    assert result["pass_rate"] == 100.0
    assert (result["retries"], result["timeouts"]) == (0, 0)
    assert result["framework"] == "pytest"
    assert result["execution_time"] > 0
    assert result["avg_time_per_test"] == pytest.approx(result["execution_time"] / 2)
    assert result["tests"] == {"total": 4, "passed": 4, "failed": 0, "skipped": 0, "errors": 0}
    for file, one in zip(files, result["results"], strict=True):
        assert one["file"] == file
        assert one["passed"] and one["attempts"] == 1 and one["returncode"] == 0
        assert 0 < one["duration"] <= result["execution_time"]
        assert not one["timed_out"]
        assert "2 passed" in one["stdout"]
        assert one["stderr"] == ""
        assert one["rusage"]["cpu_seconds"] > 0
        assert one["rusage"]["peak_memory_bytes"] > 1_000_000


def test_executor_failures(project: Path) -> None:
    files = write(
        project,
        {
            "test_ok.py": PASSES,
            "test_bad.py": FAILS,
            "test_broken.py": "def test_a(:\n",
            "test_killed.py": "import os\ndef test_a():\n    os.kill(os.getpid(), 9)\n",
        },
    )
    result = execute(files, "pytest", ONCE)
    assert (result["total"], result["passed"], result["failed"]) == (4, 1, 3)
    assert result["pass_rate"] == 25.0
    ok, bad, broken, killed = result["results"]
    assert ok["outcome"] == "passed"
    assert (bad["outcome"], bad["returncode"]) == ("failed", 1)
    assert bad["tests"]["failed"] == 1 and bad["tests"]["passed"] == 1
    assert "no such sum" in bad["failures"][0]["message"]
    assert (broken["outcome"], broken["returncode"]) == ("failed", 2)
    assert broken["tests"]["errors"] == 1
    assert (killed["outcome"], killed["returncode"]) == ("crashed", -9)
    assert killed["ended"] == "signal SIGKILL"
    assert killed["tests"] is None  # it did not live to say so


def test_executor_retry(project: Path, tmp_path: Path) -> None:
    files = write(
        project,
        {"test_third.py": counted(tmp_path, "assert n == 2, n"), "test_bad.py": FAILS},
    )
    told: list[tuple[str, str, int, float]] = []
    agent = TestExecutorAgent(
        on_retry=lambda e: told.append((e["kind"], e["file"], e["attempt"], e["delay"]))
    )
    began = time.monotonic()
    params = AlcallParams(4, 3, 60, 0.2)
    result = asyncio.run(agent.execute_tests_parallel(files, params=params))
    third, bad = result["results"]
    assert (third["outcome"], third["passed"], third["attempts"]) == ("flaky", True, 3)
    assert [one["outcome"] for one in third["history"]] == ["failed", "failed", "passed"]
    assert (bad["outcome"], bad["passed"], bad["attempts"]) == ("failed", False, 3)
    assert result["flaky"] == ["test_third.py"]
    assert (result["passed"], result["failed"], result["retries"]) == (1, 1, 4)
    assert sorted(told) == sorted(
        ("retry", file, attempt, delay) for file in files for attempt, delay in ((2, 0.2), (3, 0.4))
    )
    assert time.monotonic() - began >= 0.6  # both waits


def test_executor_timeout(project: Path) -> None:
    hangs = "import time\n\n\ndef test_a():\n    time.sleep(1000)\n"
    files = write(project, {"test_hangs.py": hangs, "test_ok.py": PASSES})
    told: list[dict[str, Any]] = []
    agent = TestExecutorAgent(on_timeout=told.append, warm=True)
    # Its time is enough for what ends, however busy the machine is.
    params = AlcallParams(4, 2, 15, 0.1)
    result = asyncio.run(agent.execute_tests_parallel(files, params=params))
    hung, ok = result["results"]
    assert (hung["outcome"], hung["passed"], hung["timed_out"]) == ("timeout", False, True)
    assert hung["attempts"] == 2 and hung["duration"] >= 15
    assert hung["returncode"] == -15  # asked to end
    assert ok["outcome"] == "passed"
    assert result["timeouts"] == 2
    assert [one["limit"] for one in told] == [15, 15]


def test_executor_jest(project: Path) -> None:
    with_modules(project, "jest")
    files = write(
        project,
        {
            "ok.test.js": "test('a', () => {}); test.skip('b', () => {});\n",
            "bad.test.js": "test('c', () => { expect(1).toBe(2); });\n",
        },
    )
    result = execute(files, "jest", ONCE)
    ok, bad = result["results"]
    assert (ok["outcome"], bad["outcome"]) == ("passed", "failed"), (ok, bad)
    assert result["tests"] == {"total": 3, "passed": 1, "failed": 1, "skipped": 1, "errors": 0}
    assert "Expected: 2" in bad["failures"][0]["message"]


def test_executor_mocha(project: Path) -> None:
    with_modules(project, "mocha")
    bad = "it('c', () => { throw new Error('no sum'); });\n"
    files = write(project, {"ok.js": "it('a', () => {}); it('b');\n", "bad.js": bad})
    result = execute(files, "mocha", ONCE)
    first, second = result["results"]
    assert (first["outcome"], second["outcome"]) == ("passed", "failed"), (first, second)
    assert result["tests"] == {"total": 3, "passed": 1, "failed": 1, "skipped": 1, "errors": 0}
    assert "no sum" in second["failures"][0]["message"]


def test_executor_storage(project: Path) -> None:
    async def scenario() -> None:
        agent = TestExecutorAgent()
        before = time.time()
        result = await agent.execute_tests_parallel(files, params=ONCE)
        key = "aqe/test-executor/last_parallel_execution"
        stored = await MemoryStore().retrieve(key)
        assert stored["total"] == 1 and stored["results"][0]["file"] == "test_one.py"
        assert stored["pass_rate"] == result["pass_rate"]
        assert agent.memory.path == project / ".qe" / "history.db"  # type: ignore[attr-defined]

        database = _core.History(str(agent.memory.path).encode())  # type: ignore[attr-defined]
        ((name, expires),) = database.keys(b"aqe/*")
        database.close()
        assert name.decode() == key
        assert 24 * 3600 - 60 < expires - before < 24 * 3600 + 60

    files = write(project, {"test_one.py": PASSES})
    asyncio.run(scenario())


def test_executor_fifty_files(project: Path) -> None:
    sleeps = "import time\n\n\ndef test_a():\n    time.sleep(0.05)\n"
    files = write(project, {f"test_{i}.py": sleeps for i in range(50)})
    running, most = 0, 0

    async def scenario() -> dict[str, Any]:
        nonlocal running, most
        agent = TestExecutorAgent(warm=True)
        async for event in agent.stream(files):
            running += (event["kind"] == "start") - (event["kind"] == "attempt")
            most = max(most, running)
            if event["kind"] == "done":
                result: dict[str, Any] = event["result"]
        return result

    result = asyncio.run(scenario())
    assert (result["total"], result["passed"]) == (50, 50)
    assert [one["file"] for one in result["results"]] == files
    assert most <= 10
    assert result["execution_time"] >= 49 * 0.1  # starts are so far apart


def test_executor_unsupported_framework(project: Path) -> None:
    files = write(project, {"test_one.py": PASSES})
    with pytest.raises(FrameworkError, match=r"unknown framework 'pytset': did you mean pytest\?"):
        execute(files, "pytset")
    with pytest.raises(FrameworkError, match=r"no_such\.py"):
        execute([*files, "no_such.py"])
    assert not (project / ".qe").exists()  # nothing was started, nothing is kept


def test_executor_parameters(project: Path) -> None:
    files = write(project, {f"test_{i}.py": PASSES for i in range(3)})
    running, most, starts = 0, 0, []

    async def scenario() -> None:
        nonlocal running, most
        params = AlcallParams(max_concurrent=1, retry_attempts=1, throttle_period=0.5)
        async for event in TestExecutorAgent(warm=True).stream(files, "pytest", params):
            if event["kind"] == "start":
                starts.append(time.monotonic())
            running += (event["kind"] == "start") - (event["kind"] == "attempt")
            most = max(most, running)

    asyncio.run(scenario())
    assert most == 1
    assert all(b - a >= 0.4 for a, b in itertools.pairwise(starts))
    for name, policy in {
        "fast": (20, 2, 30, 0.05),
        "stability": (5, 5, 120, 0.5),
        "constrained": (3, 3, 60, 1.0),
        "default": (10, 3, 60, 0.1),
    }.items():
        p = AlcallParams.preset(name)
        assert policy == (p.max_concurrent, p.retry_attempts, p.retry_timeout, p.throttle_period)
    for wrong in (0, -1, True, "2"):
        with pytest.raises((ValueError, TypeError), match="max_concurrent"):
            AlcallParams(max_concurrent=wrong)


# --------------------------------------------------------------------- hunter


def test_hunter_stable(project: Path) -> None:
    files = write(project, {"test_one.py": PASSES})
    result = detect(files)
    assert (result["total_tests"], result["flaky_tests"]) == (1, 0)
    assert result["flaky_list"] == [] and result["flakiness_rate"] == 0.0
    assert result["total_runs"] == 10
    assert result["pattern_distribution"] == {"STABLE_PASS": 1}
    (one,) = result["files"]
    assert (one["passed"], one["failed"], one["pass_rate"]) == (10, 0, 1.0)
    assert one["flakiness_score"] == 0.0 and not one["is_flaky"]
    assert result["warnings"] == []


def test_hunter_actually_flaky(project: Path, tmp_path: Path) -> None:
    body = "assert n not in (2, 5, 6), 'connection refused by the server'"
    files = write(project, {"test_flaky.py": counted(tmp_path, body), "test_ok.py": PASSES})
    result = detect(files)
    assert result["flaky_tests"] == 1 and result["flakiness_rate"] == 50.0
    (flaky,) = result["flaky_list"]
    assert flaky["file"] == "test_flaky.py" and flaky["is_flaky"]
    assert (flaky["iterations"], flaky["passed"], flaky["failed"]) == (10, 7, 3)
    assert flaky["pass_rate"] == 0.7
    assert flaky["flakiness_score"] == pytest.approx(2 * 3 / 10)
    low, high = flaky["interval"]
    assert 0 < low < 0.3 < high < 1
    assert flaky["likely_causes"][0]["cause"] == "network"
    assert flaky["failures"][0]["runs"] == 3


def test_hunter_pattern(project: Path, tmp_path: Path) -> None:
    # Fails in a row, once: neighbouring results are mostly equal.
    body = "assert n < 7, 'broken from here on'"
    files = write(project, {"test_p.py": counted(tmp_path, body)})
    result = detect(files, 10, "pytest", ORDERED)
    (flaky,) = result["flaky_list"]
    assert flaky["pattern"] == "INTERMITTENT"
    assert flaky["outcomes"] == ["passed"] * 7 + ["failed"] * 3


def test_hunter_many_files(project: Path, tmp_path: Path) -> None:
    files = write(
        project,
        {f"test_{i}.py": PASSES for i in range(3)}
        | {"test_bad.py": FAILS, "test_flaky.py": counted(tmp_path, "assert n % 2")},
    )
    with pytest.warns(UserWarning, match="4 iterations say little"):
        result = detect(files, 4)
    assert result["total_tests"] == 5 and result["total_runs"] == 20
    assert [one["file"] for one in result["files"]] == files
    assert [one["file"] for one in result["flaky_list"]] == ["test_flaky.py"]
    assert result["flakiness_rate"] == 20.0
    assert result["pattern_distribution"]["STABLE_PASS"] == 3
    assert result["pattern_distribution"]["STABLE_FAIL"] == 1
    assert "4 iterations say little" in result["warnings"][0]


def test_hunter_storage(project: Path) -> None:
    files = write(project, {"test_one.py": PASSES})
    before = time.time()
    with pytest.warns(UserWarning):
        result = detect(files, 2)

    async def stored() -> Any:
        return await MemoryStore().retrieve("aqe/flaky-tests/alcall-detection")

    found = asyncio.run(stored())
    assert found["total_tests"] == 1 and found["total_runs"] == 2
    assert before - 1 <= found["timestamp"] <= time.time()
    assert found["timestamp"] == result["timestamp"]


def test_hunter_performance(project: Path) -> None:
    sleeps = "import time\n\n\ndef test_a():\n    time.sleep(0.3)\n"
    files = write(project, {f"test_{i}.py": sleeps for i in range(4)})
    running: dict[str, int] = {}
    most_files, most_runs = 0, 0

    async def scenario() -> dict[str, Any]:
        nonlocal most_files, most_runs
        agent = FlakyTestHunterAgent(warm=True, causes=False)
        result: dict[str, Any] = {}
        async for event in agent.stream(files, "quick"):
            if event["kind"] in ("start", "attempt"):
                step = 1 if event["kind"] == "start" else -1
                running[event["file"]] = running.get(event["file"], 0) + step
                most_files = max(most_files, sum(n > 0 for n in running.values()))
                most_runs = max(most_runs, *running.values())
            elif event["kind"] == "done":
                result = event["result"]
        return result

    with pytest.warns(UserWarning):
        result = asyncio.run(scenario())
    assert result["total_runs"] == 20
    assert most_files == 2  # two files at a time
    assert 2 <= most_runs <= 3  # three runs of each
    assert result["execution_time"] < 20 * 0.3 + 20  # they overlap
    assert result["avg_time_per_test"] == pytest.approx(result["execution_time"] / 4)


@pytest.mark.parametrize(
    ("pattern", "body"),
    [
        ("STABLE_PASS", "pass"),
        ("STABLE_FAIL", "assert False"),
        ("INTERMITTENT", "assert n != 4"),
        ("RANDOM", "assert n % 2 == 0"),
    ],
)
def test_hunter_each_pattern(project: Path, tmp_path: Path, pattern: str, body: str) -> None:
    files = write(project, {"test_p.py": counted(tmp_path, body)})
    result = detect(files, 10, "pytest", ORDERED)
    assert result["pattern_distribution"] == {pattern: 1}
    assert result["files"][0]["pattern"] == pattern


def test_hunter_parameters(project: Path) -> None:
    files = write(project, {"test_one.py": PASSES})
    for wrong, text in (
        (0, "iterations: takes 1 to"),
        (-3, "iterations: takes 1 to"),
        ("slow", "one of quick, thorough, research"),
        (2.5, "takes a whole number"),
    ):
        with pytest.raises((ValueError, TypeError), match=text):
            detect(files, wrong)
    with pytest.raises(FrameworkError, match="unknown framework"):
        detect(files, 10, "nosuch")
    with pytest.raises(TypeError, match="test_files: takes a list of paths"):
        detect("test_one.py")  # type: ignore[arg-type]


def test_files_are_remembered_and_the_longest_begins_first(project: Path) -> None:
    files = write(
        project,
        {"a.sh": "true\n", "b.sh": "exit 1\n", "c.sh": "sleep 0.3\n", "d.sh": "sleep 0.1\n"},
    )
    order: list[str] = []

    async def scenario() -> None:
        agent = TestExecutorAgent(
            template=["sh", "{file}"], on_start=lambda event: order.append(event["file"])
        )
        policy = AlcallParams(1)
        for _ in range(2):
            result = await agent.execute_tests_parallel(files, "command", policy)
            assert [one["file"] for one in result["results"]] == files
            assert result["warnings"] == []

    asyncio.run(scenario())
    assert order[:4] == files
    # What never passed has no duration to go by.
    assert order.index("c.sh", 4) < order.index("d.sh", 4) < order.index("a.sh", 4)
    history = _core.History(str(project / ".qe" / "history.db").encode())
    assert sorted(history.counts()) == [
        (b"a.sh", 0, 2), (b"b.sh", 2, 0), (b"c.sh", 0, 2), (b"d.sh", 0, 2),
    ]  # fmt: skip
    history.close()
