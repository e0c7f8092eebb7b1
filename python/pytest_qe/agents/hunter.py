"""``FlakyTestHunterAgent``: test files that pass in some runs and fail in others."""

from __future__ import annotations

import asyncio
import time
import warnings
from collections.abc import AsyncIterator, Sequence
from typing import Any, ClassVar

from .. import _core
from .adaptive import Adaptive
from .agent import Agent, check_files, share
from .engine import causes_of
from .likely import likely_causes
from .params import AlcallParams
from .remembering import Remembering
from .running import Event, Run, policy_of

KEY = "aqe/flaky-tests/alcall-detection"
KEPT_S = 7 * 24 * 3600.0
FEW = 10  # fewer iterations say little
PRESETS = {"quick": 5, "thorough": 20, "research": 50}

FILES = AlcallParams(max_concurrent=2, retry_timeout=300.0, throttle_period=0.5)
RUNS = AlcallParams(max_concurrent=3, retry_timeout=30.0, throttle_period=0.2)

_MOST_ITERATIONS = 65536
_SEEDS = 5  # servers for one set of runs: each has its own hash seed
_CAUSES_S = 15.0  # for experiments on one flaky file


class FlakyTestHunterAgent(Agent):
    """Runs each test file many times and judges it.

    Takes what ``TestExecutorAgent`` takes, and

    As a node of a run that several share (``shared``) it runs what it claims of all files' runs,
    as many at once as of one file otherwise; the last node judges all of them, the others what ran
    there, and ``shared`` says what is known of the whole.

    Args:
        causes: flaky files are looked into with the framework's own hunt (``pytest
            --qe-flaky``), where the project has one, for about 15 seconds a file.

    Example::

        agent = FlakyTestHunterAgent(warm=True)
        found = await agent.detect_flaky_tests(["test_a.py"], iterations=20)
        for one in found["flaky_list"]:
            print(one["file"], one["pass_rate"], one["likely_causes"])
    """

    _routes: ClassVar = {
        "detect_flaky": "detect_flaky_tests",
        "detect_flaky_tests": "detect_flaky_tests",
        "flaky_detection": "detect_flaky_tests",
        "flaky_test_detection": "detect_flaky_tests",
    }

    def __init__(
        self, agent_id: str = "flaky-hunter", *args: Any, causes: bool = True, **more: Any
    ) -> None:
        super().__init__(agent_id, *args, **more)
        self.causes = causes

    async def detect_flaky_tests(
        self,
        test_files: Sequence[str],
        iterations: int | str = 10,
        framework: str = "pytest",
        params: AlcallParams | None = None,
    ) -> dict[str, Any]:
        """Runs each file ``iterations`` times.

        Files go two at a time, begun half a second apart; no run of a file begins when it
        has had 300 s. Of each, three runs at a time, 0.2 s apart, of at most 30 s each,
        without retries.

        Args:
            iterations: runs of each file, or a preset's name: ``quick`` (5), ``thorough``
                (20), ``research`` (50). Fewer than 10 say little: that is a warning.
            framework: as in ``TestExecutorAgent``.
            params: how runs of one file go, instead of the above. With
                ``AlcallParams.adaptive()`` the runs of all files are taken together, as many
                at once as the machine has room for.

        Returns:
            ``total_tests`` (files), ``flaky_tests``, ``flaky_list`` (``file``,
            ``iterations`` that ran, ``passed``, ``failed``, ``is_flaky``,
            ``flakiness_score`` 0..1, ``pass_rate`` 0..1, ``pattern``, ``interval`` of the
            failure rate at 95 % (Jeffreys), ``expected`` seconds by the history before, or
            None, ``likely_causes``, ``failures``),
            ``flakiness_rate`` (percent), ``execution_time`` in seconds, ``total_runs``,
            ``avg_time_per_test``, ``framework``, ``pattern_distribution``; beside those
            ``files`` (the same of every file), ``timestamp``, ``interrupted``,
            ``warnings``, and with ``outputs`` ``runs`` (of each of ``files`` the results of its
            runs, as ``TestExecutorAgent`` has them, in the order in which they began). It is
            remembered under ``aqe/flaky-tests/alcall-detection`` for 7 days.

        Raises: as ``execute_tests_parallel``.
        """
        result: dict[str, Any] = {}
        async for event in self.stream(test_files, iterations, framework, params):
            if event["kind"] == "done":
                result = event["result"]
        return result

    async def stream(
        self,
        test_files: Sequence[str],
        iterations: int | str = 10,
        framework: str = "pytest",
        params: AlcallParams | None = None,
    ) -> AsyncIterator[Event]:
        """The same as it happens: events as in ``TestExecutorAgent.stream``, of each run, then
        ``judged`` for each file with what ``flaky_list`` has, in the end ``done``."""
        files = check_files(test_files)
        count = _checked(iterations)
        hunt = _Hunt(self, files, count, framework, params or RUNS)
        notes = []
        if count < FEW:
            notes.append(
                f"{count} iterations say little: a file that fails 1 time in 10 passes them "
                f"all with a chance of {0.9**count:.0%}; 10 or more are better"
            )
            warnings.warn(notes[0], UserWarning, stacklevel=3)
        self._runs.add(hunt)
        remembering = Remembering(self.memory, self.settings.folder(), files)
        ended = False
        try:
            hunt.expected_ns = await asyncio.to_thread(remembering.expected_ns)
            async for event in hunt.events():
                yield event
            ended = True
        finally:
            self._runs.discard(hunt)
            hunt.close()
            result = hunt.result()
            result["interrupted"] = hunt.interrupted or not ended
            result["warnings"] = notes + result["warnings"]
            await asyncio.to_thread(
                remembering.save, hunt.results(), hunt.since, result["execution_time"]
            )
            result["warnings"] += remembering.warnings
            await self._remember(KEY, result, KEPT_S)
        yield {"kind": "done", "result": result}


class _Hunt:
    """One call: its runs, and what is known of each file."""

    def __init__(
        self,
        agent: FlakyTestHunterAgent,
        files: list[str],
        iterations: int,
        framework: str,
        params: AlcallParams,
    ) -> None:
        self._agent = agent
        self._files = files
        self._iterations = iterations
        self._began, self.since = time.monotonic(), time.time()
        self._servers = agent._servers(min(_SEEDS, iterations))
        self._judged: dict[int, dict[str, Any]] = {}
        self._ends: dict[int, list[Event]] = {}
        self.expected_ns: Sequence[int] = ()
        self.adaptive: Adaptive | None = None
        self._stopped = False
        self._together = params.limits is not None or agent.settings.shared is not None
        self._runs: list[Run] = []
        try:
            # One run of all files where load or a queue decides, otherwise one of each.
            groups = [files] if self._together else [[file] for file in files]
            for group in groups:
                policy, adaptive = policy_of(params, agent.settings, len(group) * iterations)
                self.adaptive = adaptive or self.adaptive
                self._runs.append(
                    Run(
                        group,
                        framework,
                        policy,
                        agent.settings,
                        runs=iterations,
                        adaptive=adaptive,
                        servers=self._servers,
                        publishing=Remembering(
                            agent.memory, agent.settings.folder(), group
                        ).publishing("qe hunt", iterations),
                    )
                )
            self.framework = self._runs[0].framework if self._runs else framework
        except BaseException:
            self.close()
            raise

    @property
    def interrupted(self) -> bool:
        return self._stopped or any(run.interrupted for run in self._runs)

    def stop(self, *, at_once: bool = False) -> None:
        """Nothing else begins; what runs hears of it from the agent."""
        self._stopped = True

    def pause(self, on: bool) -> None:
        """What runs hears of it from the agent."""

    def close(self) -> None:
        if self._servers is not None:
            self._servers.close()
        for run in self._runs:
            run.close()

    async def events(self) -> AsyncIterator[Event]:
        queue: asyncio.Queue[Event | None] = asyncio.Queue()
        running = asyncio.ensure_future(self._all(queue))
        try:
            while True:
                event = await queue.get()
                if event is None:
                    break
                yield event
        except asyncio.CancelledError:
            running.cancel()  # what runs is interrupted, and waited for
            await asyncio.gather(running, return_exceptions=True)
            raise
        finally:
            running.cancel()
            await asyncio.gather(running, return_exceptions=True)
        await running

    async def _all(self, queue: asyncio.Queue[Event | None]) -> None:
        try:
            if self._together or not self._runs:
                for run in self._runs:
                    await self._one(run, queue, 0)
            else:
                numbered = list(enumerate(self._runs))
                await FILES.replace(retry_timeout=None, limits=self._pace)(
                    numbered, lambda pair: self._one(pair[1], queue, pair[0])
                )
        finally:
            queue.put_nowait(None)

    def _pace(self) -> tuple[int, float]:
        """After a stop, files that have not begun are only told: nothing to wait for."""
        return FILES.max_concurrent, 0.0 if self._stopped else FILES.throttle_period

    async def _one(self, run: Run, queue: asyncio.Queue[Event | None], first: int) -> None:
        """All runs of one file, or of all files together, whose number begins at ``first``."""
        loop = asyncio.get_running_loop()
        limit = None
        if not self._together:
            # What has begun by then is let finish, within its own limit.
            limit = loop.call_later(FILES.retry_timeout or 0, run.no_more)
        try:
            if self._stopped:
                run.stop()
            else:
                async for event in self._agent._watched(run):
                    queue.put_nowait(event)
        finally:
            if limit is not None:
                limit.cancel()
            for place in range(len(run.files)):
                self._judged[first + place] = self._judge(run, place, first + place)
        if run.shared is not None and not run.shared["last"]:
            return  # who knows all tells of it
        for place in range(len(run.files)):
            verdict = self._judged[first + place]
            stopped = run.interrupted or self._stopped
            if verdict["is_flaky"] and self._agent.causes and not stopped:
                verdict["likely_causes"] = await self._looked_into(run, place, verdict)
            queue.put_nowait({"kind": "judged", **verdict})

    async def _looked_into(
        self, run: Run, place: int, verdict: dict[str, Any]
    ) -> list[dict[str, Any]]:
        command = run.command(run.files[place], 0)
        found = await causes_of(command, seconds=_CAUSES_S, stoppable=self._agent._runs)
        known = {one["cause"] for one in found}
        rest = [one for one in verdict["likely_causes"] if one["cause"] not in known]
        return found + rest

    def _judge(self, run: Run, place: int, number: int) -> dict[str, Any]:
        """What the runs of a file come to."""
        numbers = range(place * self._iterations, (place + 1) * self._iterations)
        # In the order in which they began: patterns are of time. What was interrupted failed
        # for that alone.
        known = {**run.results, **run.elsewhere}
        ends = [
            known[n]
            for n in sorted(numbers, key=lambda n: run.began.get(n, 0.0))
            if n in known and known[n]["outcome"] != "interrupted"
        ]
        self._ends[number] = ends
        failed = [one for one in ends if not one["passed"]]
        sequence = bytes(one["passed"] for one in ends)
        verdict: dict[str, Any] = {
            "file": run.files[place],
            "iterations": len(ends),
            "passed": len(ends) - len(failed),
            "failed": len(failed),
            "is_flaky": False,
            "flakiness_score": 0.0,
            "pass_rate": None,
            "pattern": None,
            "interval": None,
            "outcomes": [one["outcome"] for one in ends],
            "expected": self.expected_ns[number] / 1e9 or None if self.expected_ns else None,
            "likely_causes": [],
            "failures": _distinct(failed),
        }
        if sequence:
            judged = _core.flakiness_of(sequence)
            verdict["is_flaky"] = judged["is_flaky"]
            verdict["flakiness_score"] = judged["flakiness_score"]
            verdict["pattern"] = judged["pattern"]
            verdict["pass_rate"] = verdict["passed"] / len(ends)
            verdict["interval"] = list(
                _core.jeffreys_clamped(verdict["failed"], verdict["passed"], 0.05)
            )
        if verdict["is_flaky"]:
            verdict["likely_causes"] = likely_causes(_texts(failed))
        return verdict

    def results(self) -> list[list[Event]]:
        """Of each file those of its runs that ended."""
        return [
            [run.results[n] for n in sorted(run.results) if n // self._iterations == place]
            for run in self._runs
            for place in range(len(run.files))
        ]

    def result(self) -> dict[str, Any]:
        files = [self._judged[n] for n in sorted(self._judged)]
        flaky = [one for one in files if one["is_flaky"]]
        patterns: dict[str, int] = {}
        for one in files:
            if one["pattern"] is not None:
                patterns[one["pattern"]] = patterns.get(one["pattern"], 0) + 1
        seconds = time.monotonic() - self._began
        result: dict[str, Any] = {
            "total_tests": len(self._files),
            "flaky_tests": len(flaky),
            "flaky_list": flaky,
            "flakiness_rate": share(len(flaky), len(self._files)),
            "execution_time": seconds,
            "total_runs": sum(one["iterations"] for one in files),
            "avg_time_per_test": seconds / len(self._files) if self._files else 0.0,
            "framework": self.framework,
            "pattern_distribution": patterns,
            "files": files,
            "timestamp": self.since,
            "warnings": [note for run in self._runs for note in dict.fromkeys(run.warnings)]
            + (list(self._servers.notes) if self._servers is not None else []),
        }
        shared = next((run.shared for run in self._runs if run.shared is not None), None)
        if shared is not None:
            result["shared"] = shared
        if self.adaptive is not None:
            result["adaptions"] = self.adaptive.changes
        if self._agent.settings.outputs:
            result["runs"] = [
                [_without_output(one) if one["passed"] else one for one in self._ends[n]]
                for n in sorted(self._judged)
            ]
        return result


def _without_output(result: dict[str, Any]) -> dict[str, Any]:
    return {**result, "stdout": "", "stderr": ""}


def _checked(iterations: int | str) -> int:
    if isinstance(iterations, str):
        if iterations not in PRESETS:
            raise ValueError(
                f"iterations: takes a number, or one of {', '.join(PRESETS)}, not {iterations!r}"
            )
        return PRESETS[iterations]
    if isinstance(iterations, bool) or not isinstance(iterations, int):
        raise TypeError(f"iterations: takes a whole number, not {iterations!r}")
    if not 1 <= iterations <= _MOST_ITERATIONS:
        raise ValueError(f"iterations: takes 1 to {_MOST_ITERATIONS}, not {iterations}")
    return iterations


def _texts(failed: list[dict[str, Any]]) -> list[str]:
    """What each failed run says of it: its failures' messages, otherwise what it printed."""
    texts = []
    for one in failed:
        said = [f"{failure['name']}\n{failure['message']}" for failure in one["failures"]]
        limit = ["timeout: it was ended at its limit"] if one["timed_out"] else []
        texts.append("\n".join(said or [one["stdout"], one["stderr"], *limit]))
    return texts


def _distinct(failed: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Each test that failed: how often, and its first message."""
    found: dict[str, dict[str, Any]] = {}
    for run in failed:
        for failure in run["failures"]:
            one = found.setdefault(failure["name"], {**failure, "runs": 0})
            one["runs"] += 1
    return sorted(found.values(), key=lambda one: -one["runs"])
