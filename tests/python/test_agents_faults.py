"""Agents that are stopped, cancelled or killed, and what runs for them."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import subprocess
import sys
import time
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from agents_help import PASSES, processes_of, settle_environment, write
from pytest_qe import _core
from pytest_qe.agents import (
    AlcallParams,
    FlakyTestHunterAgent,
    Limits,
    MemoryStore,
    QETask,
    TestExecutorAgent,
)

ONCE = AlcallParams(max_concurrent=4, retry_timeout=60)
SHELL = ["sh", "{file}"]


@pytest.fixture(autouse=True)
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    settle_environment(monkeypatch)
    folder = tmp_path / "project"
    folder.mkdir()
    monkeypatch.chdir(folder)
    yield folder


@pytest.fixture
def mark(monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """A word in the environment of all that a test starts; none of it may be left."""
    word = f"qe-mark-{uuid.uuid4().hex}"
    monkeypatch.setenv("MARK_OF_A_TEST", word)
    yield word
    until = time.monotonic() + 10
    while (left := processes_of(word)) and time.monotonic() < until:
        time.sleep(0.02)
    for pid in left:
        with contextlib.suppress(OSError):
            os.kill(pid, signal.SIGKILL)
    assert left == []


def commands(**more: Any) -> TestExecutorAgent:
    return TestExecutorAgent(template=SHELL, **more)


async def begun(*paths: Path) -> None:
    while not all(path.exists() for path in paths):
        await asyncio.sleep(0.01)


# Says that it runs, and leaves one in its group and one outside of it.
STAYS = "sleep 1000 & setsid sleep 1000 & touch $(basename $0).on; wait\n"


@pytest.mark.parametrize("warm", [False, True])
def test_a_cancelled_call_gives_grace_and_keeps_what_is_known(
    project: Path, mark: str, warm: bool
) -> None:
    files = write(
        project,
        {
            "test_ok.py": PASSES,
            "test_stays.py": "import pathlib, subprocess, time\n\n\ndef test_a():\n"
            "    subprocess.Popen(['setsid', 'sleep', '1000'])\n"
            "    pathlib.Path('on').touch()\n    try:\n        time.sleep(1000)\n"
            "    finally:\n        pathlib.Path('graceful').touch()\n",
        },
    )

    async def scenario() -> None:
        ended = asyncio.Event()
        agent = TestExecutorAgent(warm=warm, on_result=lambda e: ended.set())
        call = asyncio.ensure_future(agent.execute_tests_parallel(files, params=ONCE))
        await begun(project / "on")
        await ended.wait()
        call.cancel()
        with pytest.raises(asyncio.CancelledError):
            await call
        result = agent.last_result
        assert result is not None and result["interrupted"]
        ok, stays = result["results"]
        assert ok["outcome"] == "passed"
        assert stays["outcome"] == "interrupted"
        assert (project / "graceful").exists()
        stored = await MemoryStore().retrieve("aqe/test-executor/last_parallel_execution")
        assert stored["interrupted"] and stored["passed"] == 1

    asyncio.run(scenario())


def test_what_does_not_hear_is_killed_after_the_grace(project: Path, mark: str) -> None:
    files = write(project, {"deaf.sh": "trap '' INT TERM; touch on; while :; do sleep 1; done\n"})

    async def scenario() -> None:
        agent = commands(grace=0.5)
        call = asyncio.ensure_future(agent.execute_tests_parallel(files, "command", ONCE))
        await begun(project / "on")
        began = time.monotonic()
        agent.stop()
        result = await call
        assert time.monotonic() - began >= 0.5
        assert result["interrupted"]
        (deaf,) = result["results"]
        assert (deaf["outcome"], deaf["returncode"]) == ("interrupted", -9)

    asyncio.run(scenario())


def test_what_has_not_begun_is_not_run(project: Path, mark: str) -> None:
    files = write(project, {f"{n}.sh": STAYS for n in range(5)})

    async def scenario() -> None:
        agent = commands(grace=0.2)
        params = AlcallParams(max_concurrent=2)
        call = asyncio.ensure_future(agent.execute_tests_parallel(files, "command", params))
        await begun(project / "0.sh.on", project / "1.sh.on")
        agent.stop()
        result = await call
        outcomes = [one["outcome"] for one in result["results"]]
        assert outcomes == ["interrupted"] * 2 + ["not_run"] * 3
        assert (result["total"], result["passed"], result["failed"]) == (5, 0, 5)

    asyncio.run(scenario())


def test_leaving_a_stream_ends_what_runs(project: Path, mark: str) -> None:
    files = write(project, {"a.sh": STAYS})

    async def scenario() -> None:
        stream = commands().stream(files, "command", ONCE)
        async for event in stream:
            assert event["kind"] == "start"
            await begun(project / "a.sh.on")
            break
        await stream.aclose()  # type: ignore[attr-defined]

    asyncio.run(scenario())


@pytest.mark.parametrize("warm", [False, True])
def test_a_killed_host_leaves_nothing(project: Path, mark: str, warm: bool) -> None:
    hangs = (
        "import pathlib, subprocess, time\n\n\ndef test_a():\n"
        "    subprocess.Popen(['setsid', 'sleep', '1000'])\n"
        "    pathlib.Path('on').touch()\n    time.sleep(1000)\n"
    )
    write(project, {"test_a.py": hangs, "test_b.py": hangs})
    host = subprocess.Popen(
        [
            sys.executable,
            "-c",
            "import asyncio\nfrom pytest_qe.agents import *\n"
            f"agent = TestExecutorAgent(warm={warm})\n"
            "asyncio.run(agent.execute_tests_parallel(['test_a.py', 'test_b.py']))\n",
        ]
    )
    try:
        while not (project / "on").exists():
            assert host.poll() is None
            time.sleep(0.01)
    finally:
        host.kill()
        host.wait()
    # The mark's teardown finds nobody.


def test_the_hunter_stops_in_the_middle(project: Path, mark: str) -> None:
    files = write(project, {"a.sh": "touch a.$$; sleep 0.1\n", "b.sh": STAYS})

    async def scenario() -> None:
        agent = FlakyTestHunterAgent(template=SHELL, grace=0.2)
        call = asyncio.ensure_future(agent.detect_flaky_tests(files, 10, "command"))
        await begun(project / "b.sh.on")
        agent.stop()
        result = await call
        assert result["interrupted"]
        assert [one["file"] for one in result["files"]] == files
        assert result["total_runs"] < 20

    asyncio.run(scenario())


def test_a_stopped_hunter_waits_for_no_file_that_has_not_begun(project: Path, mark: str) -> None:
    files = write(project, {f"{n:02}.sh": STAYS for n in range(60)})

    async def scenario() -> None:
        agent = FlakyTestHunterAgent(template=SHELL, grace=0.2)
        call = asyncio.ensure_future(agent.detect_flaky_tests(files, 10, "command"))
        await begun(project / "00.sh.on")
        began = time.monotonic()
        agent.stop()
        result = await call
        # Half a minute, if files were still taken up half a second apart.
        assert time.monotonic() - began < 15
        assert [one["file"] for one in result["files"]] == files
        assert all(one["iterations"] == 0 for one in result["files"])

    asyncio.run(scenario())


def test_a_new_call_does_not_undo_the_stop_of_another(project: Path, mark: str) -> None:
    files = write(project, {f"{n}.sh": STAYS for n in range(6)} | {"new.sh": "true\n"})

    async def scenario() -> None:
        agent = FlakyTestHunterAgent(template=SHELL, grace=0.2)
        first = asyncio.ensure_future(agent.detect_flaky_tests(files[:6], 10, "command"))
        await begun(project / "0.sh.on")
        agent.stop()
        second = await agent.detect_flaky_tests(files[6:], 10, "command")
        assert not second["interrupted"] and second["total_runs"] == 10
        result = await first
        assert result["interrupted"]
        assert not (project / "5.sh.on").exists()

    asyncio.run(scenario())


@pytest.mark.parametrize("of", ["executor", "hunter"])
def test_a_stop_waits_for_no_server_that_comes_up(
    project: Path, mark: str, tmp_path: Path, of: str
) -> None:
    # A plugin whose import hangs, with what it has started.
    info = tmp_path / "lib" / "hangs-1.0.dist-info"
    info.mkdir(parents=True)
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: hangs\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text("[pytest11]\nhangs = hangs\n")
    (tmp_path / "lib" / "hangs.py").write_text(
        "import pathlib, subprocess, time\nsubprocess.Popen(['sleep', '1000'])\n"
        f"pathlib.Path({str(project / 'on')!r}).touch()\ntime.sleep(1000)\n"
    )
    files = write(project, {"test_a.py": PASSES, "test_b.py": PASSES})

    async def scenario() -> None:
        env = {"PYTHONPATH": str(tmp_path / "lib"), "PYTEST_DISABLE_PLUGIN_AUTOLOAD": None}
        how: Any = {"warm": True, "env": env}
        agent: TestExecutorAgent | FlakyTestHunterAgent
        if of == "executor":
            agent = TestExecutorAgent(**how)
            call = asyncio.ensure_future(agent.execute_tests_parallel(files))
        else:
            agent = FlakyTestHunterAgent(**how)
            call = asyncio.ensure_future(agent.detect_flaky_tests(files))
        await begun(project / "on")
        began = time.monotonic()
        agent.stop()
        result = await call
        assert time.monotonic() - began < 15  # half a minute: it would have been given up
        assert result["interrupted"] and not [w for w in result["warnings"] if "warm" in w]

    asyncio.run(scenario())


def test_limits_hold_in_each_process(project: Path, mark: str) -> None:
    files = write(project, {"a.py": "", "b.py": "", "c.py": ""})
    (project / "a.py").write_text("x = bytearray(400_000_000)\n")
    (project / "b.py").write_text("while True:\n    pass\n")
    (project / "c.py").write_text("fs = [open('/dev/null') for _ in range(100)]\n")
    agent = TestExecutorAgent(
        template=[sys.executable, "{file}"],
        limits=Limits(memory_bytes=200_000_000, cpu_seconds=1, open_files=50),
    )
    result = asyncio.run(agent.execute_tests_parallel(files, "command", ONCE))
    memory, cpu, opened = result["results"]
    assert "MemoryError" in memory["stderr"]
    assert cpu["returncode"] == -signal.SIGXCPU
    assert "Too many open files" in opened["stderr"]
    with pytest.raises(ValueError, match=r"limits.open_files: takes a whole number from 3"):
        Limits(open_files=2)


def test_much_output_is_cut_and_that_is_said(project: Path) -> None:
    files = write(project, {"a.sh": "echo first; seq 100000; echo last\n"})
    result = asyncio.run(commands(output_bytes=2000).execute_tests_parallel(files, "command", ONCE))
    text = result["results"][0]["stdout"]
    assert text.startswith("first\n1\n") and text.endswith("100000\nlast\n")
    assert "bytes were left out here" in text and len(text) < 2200


@pytest.mark.parametrize("why", [OSError(28, "No space left on device"), RuntimeError("gone")])
def test_a_store_that_fails_loses_no_result(project: Path, why: Exception) -> None:
    class Broken:
        def store(self, key: str, value: Any, ttl: float | None = None) -> None:
            raise why

        def retrieve(self, key: str) -> None: ...
        def delete(self, key: str) -> None: ...
        def search(self, pattern: str) -> None: ...

    files = write(project, {"a.sh": "true\n"})
    agent = commands(memory=Broken())
    result = asyncio.run(agent.execute_tests_parallel(files, "command", ONCE))
    assert result["passed"] == 1
    assert result["warnings"] == [f"the result is not remembered: {why}"]


def test_any_memory_will_do(project: Path) -> None:
    class Plain(dict):  # type: ignore[type-arg]
        def store(self, key: str, value: Any, ttl: float | None = None) -> None:
            self[key] = (value, ttl)

        async def retrieve(self, key: str) -> Any:
            return self[key]

        def delete(self, key: str) -> None: ...
        def search(self, pattern: str) -> None: ...

    memory = Plain()
    files = write(project, {"a.sh": "true\n"})
    asyncio.run(commands(memory=memory).execute_tests_parallel(files, "command", ONCE))
    ((key, (value, ttl)),) = memory.items()
    assert key == "aqe/test-executor/last_parallel_execution"
    assert ttl == 24 * 3600 and value["passed"] == 1
    with pytest.raises(TypeError, match="memory: takes an object with store, retrieve"):
        TestExecutorAgent(memory=object())  # type: ignore[arg-type]


def test_tasks_are_routed(project: Path) -> None:
    files = write(project, {"a.sh": "true\n"})
    agent = commands()
    task = QETask(
        "parallel_execution", {"test_files": files, "framework": "command", "params": "fast"}
    )
    done = asyncio.run(agent.execute(task))
    assert (done["task_id"], done["status"]) == (task.task_id, "completed")
    assert done["result"]["passed"] == 1 and done["error"] is None
    assert task.status == "completed"
    missing = {"test_files": ["no_such.sh"], "framework": "command"}
    for wrong, says in (
        ({"task_type": "no_such"}, "task_type: takes one of"),
        ({"task_type": "execute_tests", "context": {"nosuch": 1}}, "not 'nosuch'"),
        ({"task_type": "execute_tests", "context": missing}, "no_such.sh"),
    ):
        failed = asyncio.run(agent.execute(wrong))
        assert failed["status"] == "failed" and failed["result"] is None
        assert says in failed["error"] and "\n" not in failed["error"]


def test_hooks_and_metrics_have_every_event(project: Path) -> None:
    files = write(project, {"a.sh": "true\n", "b.sh": "exit 1\n", "c.sh": "sleep 100\n"})
    told: list[str] = []

    async def note(event: dict[str, Any]) -> None:
        told.append(event["kind"])

    agent = commands(
        on_start=note, on_attempt=note, on_retry=note, on_timeout=note, on_result=note,
        on_cost=note, price_per_cpu_hour=3600.0,
    )  # fmt: skip
    params = AlcallParams(3, 2, 1.0, 0.05)
    asyncio.run(agent.execute_tests_parallel(files, "command", params))
    counts = {kind: told.count(kind) for kind in set(told)}
    assert counts == {
        "start": 3, "attempt": 5, "retry": 2, "timeout": 2, "result": 3, "cost": 3,
    }  # fmt: skip
    metrics = agent.metrics.as_dict()
    assert metrics["qe_retries_total"] == 2 and metrics["qe_timeouts_total"] == 2
    assert {one["outcome"]: one["value"] for one in metrics["qe_attempts_total"]} == {
        "passed": 1, "failed": 2, "timeout": 2,
    }  # fmt: skip


def test_a_hook_that_raises_ends_the_run(project: Path, mark: str) -> None:
    files = write(project, {"a.sh": STAYS, "b.sh": "true\n"})

    def wrong(event: dict[str, Any]) -> None:
        raise KeyError("of the hook's own")

    agent = commands(on_result=wrong)
    with pytest.raises(KeyError, match="of the hook's own"):
        asyncio.run(agent.execute_tests_parallel(files, "command", ONCE))


def test_no_descriptor_is_left(project: Path) -> None:
    files = write(project, {f"{n}.sh": "true\n" for n in range(20)})

    def opened() -> int:
        return len(os.listdir("/proc/self/fd"))

    memory = MemoryStore(project / "store.db")
    params = AlcallParams(max_concurrent=4)

    async def scenario() -> None:
        agent = commands(memory=memory)
        await agent.execute_tests_parallel(files, "command", params)
        before = opened()
        for _ in range(5):
            await agent.execute_tests_parallel(files, "command", params)
        assert opened() <= before  # what was there before us may have gone

    asyncio.run(scenario())


def test_adaptive_runs_more_while_nothing_is_short(project: Path) -> None:
    files = write(project, {f"{n}.sh": "sleep 0.4\n" for n in range(40)})
    params = AlcallParams.adaptive(most=16, max_concurrent=2, throttle_period=0.02)

    async def scenario() -> None:
        kinds = []
        async for event in commands().stream(files, "command", params):
            kinds.append(event["kind"])
            if event["kind"] == "adapt":
                assert 1 <= event["running"] <= 16
            if event["kind"] == "done":
                result = event["result"]
        assert result["passed"] == 40
        assert result["adaptions"] == [] or {"after", "running", "throttle", "why"} <= set(
            result["adaptions"][0]
        )

    asyncio.run(scenario())
    with pytest.raises(ValueError, match="most: takes at least max_concurrent"):
        AlcallParams.adaptive(most=2, max_concurrent=3)


def test_adaptive_goes_by_what_is_short() -> None:
    adapt = _core.Adapt(4, 16, 0.1)
    for full in (False, True):
        running, throttle, why, *_ = adapt.next(full)
        assert 1 <= running <= 16 and throttle <= 0.4
        assert why in ("kept", "room", "cpu", "memory")
    with pytest.raises(ValueError):
        _core.Adapt(0, 16, 0.1)


def test_a_server_that_does_not_come_up_is_told(
    project: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    files = write(project, {"test_ok.py": PASSES})
    tool = project / "venv" / "bin" / "pytest"
    tool.parent.mkdir(parents=True)
    tool.write_text(f'#!/bin/sh\nexec {sys.executable} -m pytest "$@"\n')
    tool.chmod(0o755)
    monkeypatch.setattr("pytest_qe.agents.warm.interpreter_of", lambda script: "/bin/false")
    result = asyncio.run(TestExecutorAgent(warm=True).execute_tests_parallel(files, params=ONCE))
    assert result["passed"] == 1
    assert result["warnings"] == ["warm: a server did not come up; fresh interpreters run instead"]


def test_a_run_that_leaves_without_a_report_is_told(project: Path) -> None:
    leaves = "import os\n\n\ndef test_a():\n    os._exit(0)\n\n\ndef test_b():\n    assert False\n"
    files = write(project, {"test_leaves.py": leaves, "test_ok.py": PASSES})
    result = asyncio.run(TestExecutorAgent().execute_tests_parallel(files, params=ONCE))
    left, ok = result["results"]
    assert (left["returncode"], left["tests"]) == (0, None)  # as pytest itself
    assert ok["tests"]["passed"] == 2
    (warning,) = result["warnings"]
    assert warning.startswith("test_leaves.py: exit status 0 and no report of pytest")


def test_a_killed_server_costs_no_attempt(project: Path, mark: str) -> None:
    kills = (
        "import os, pathlib, time\n\n\ndef test_a():\n"
        "    if not os.path.exists('killed'):\n"
        "        pathlib.Path('killed').touch()\n"
        "        os.kill(os.getppid(), 9)\n"
        "        time.sleep(1000)\n"
    )
    waits = (
        "import os, time\n\n\ndef test_a():\n"
        "    while not os.path.exists('killed'):\n        time.sleep(0.01)\n"
    )
    files = write(project, {"test_waits.py": waits, "test_kills.py": kills})
    result = asyncio.run(TestExecutorAgent(warm=True).execute_tests_parallel(files, params=ONCE))
    assert [(one["outcome"], one["attempts"]) for one in result["results"]] == [("passed", 1)] * 2


def test_warm_is_for_pytest_alone(project: Path) -> None:
    files = write(project, {"a.sh": "true\n", "b.sh": "true\n"})
    agent = commands(warm=True)
    result = asyncio.run(agent.execute_tests_parallel(files, "command", ONCE))
    assert result["passed"] == 2
    assert result["warnings"] == ["warm: pytest files share a server, those of command do not"]
