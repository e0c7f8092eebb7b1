"""``TestExecutorAgent``: test files by their framework's command, each until it passes."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Sequence
from typing import Any, ClassVar

from .agent import Agent, check_files, share
from .params import AlcallParams
from .remembering import Remembering
from .running import Event, Run, policy_of

KEY = "aqe/test-executor/last_parallel_execution"
KEPT_S = 24 * 3600.0


class TestExecutorAgent(Agent):
    """Runs test files, each in a process of its own, with retry, timeout and throttle.

    Args:
        agent_id: its name in results.
        model: kept for those who give one; nothing here asks it.
        memory: where results are kept: anything with ``store``, ``retrieve``, ``delete`` and
            ``search``; default: ``MemoryStore()``, in the project's ``.qe/history.db``.
        on_start, on_attempt, on_retry, on_timeout, on_result, on_cost: called with each
            event of that kind, see ``stream``.
        args: words for the framework's program, before the file.
        cwd, env: the project's folder (default: the current one); changes of the
            environment, None takes a variable away.
        template: for the framework ``command``: its words, with ``{file}``.
        warm: pytest files share a server that has imported pytest and forks for each of
            them: the same results in much less time.
        limits: ``Limits(memory_bytes, cpu_seconds, open_files)`` of each process.
        grace: seconds from SIGTERM (at the limit) or SIGINT (cancelled) to SIGKILL.
        output_bytes: how much is kept of each stream of an attempt, half of it from its
            beginning and half from its end; a line in between says how much was left out.
        price_per_cpu_hour: for the ``price`` of ``cost`` events.
        cases: results have ``cases``, too: of every test ``name`` ("" where the framework
            does not tell it), ``outcome`` (passed, failed, skipped, errors), ``message``
            and ``seconds`` (None where they are not told).
        outputs: attempts in ``history`` before the last have ``stdout``, ``stderr`` and
            ``failures``, too.
        shared: ``Shared(target, lease)``: this is a node of a run that several share; results
            are of the files that ran here, and ``shared`` says what is known of the others.

    Example::

        agent = TestExecutorAgent()
        result = await agent.execute_tests_parallel(["test_a.py", "test_b.py"])
        print(result["pass_rate"], result["flaky"])
    """

    __test__ = False  # for pytest: it is no test

    _routes: ClassVar = {
        "execute_tests": "execute_tests_parallel",
        "execute_tests_parallel": "execute_tests_parallel",
        "parallel_execution": "execute_tests_parallel",
        "test_execution": "execute_tests_parallel",
    }

    def __init__(self, agent_id: str = "test-executor", *args: Any, **more: Any) -> None:
        super().__init__(agent_id, *args, **more)

    async def execute_tests_parallel(
        self,
        test_files: Sequence[str],
        framework: str = "pytest",
        params: AlcallParams | str | None = None,
    ) -> dict[str, Any]:
        """Runs each file until it passes, or has no attempt left.

        Args:
            test_files: paths, relative to ``cwd``.
            framework: pytest, jest, mocha, vitest, node, playwright, cypress, unittest, go,
                cargo, ctest or command.
            params: the policy, or a preset's name (``fast``, ``stability``,
                ``constrained``); default: 10 files at once, 3 attempts of at most 60 s,
                2 s before the second and 4 s before the third, starts 0.1 s apart.

        Returns:
            ``total``, ``passed``, ``failed`` (files), ``pass_rate`` (percent), ``results``
            (one a file, in their order: ``file``, ``outcome``, ``passed``, ``attempts``,
            ``returncode``, ``duration`` in seconds, ``timed_out``, ``stdout``, ``stderr``,
            ``rusage``, ``tests`` and ``failures`` where they are known, ``history`` of its
            attempts), ``execution_time`` in seconds, ``retries``, ``timeouts``,
            ``framework``, ``avg_time_per_test``; beside those ``flaky`` (files that passed
            only on a retry: they count as passed), ``tests`` (the sum of what is known),
            ``interrupted``, ``warnings``, and ``adaptions`` of an adaptive policy. It is
            remembered under ``aqe/test-executor/last_parallel_execution`` for 24 hours.

        Raises: ``ValueError`` or ``TypeError`` of one line, before anything starts, for an
            unknown framework, a missing tool or file, or a wrong argument.
        """
        result: dict[str, Any] = {}
        async for event in self.stream(test_files, framework, params):
            if event["kind"] == "done":
                result = event["result"]
        return result

    async def stream(
        self,
        test_files: Sequence[str],
        framework: str = "pytest",
        params: AlcallParams | str | None = None,
    ) -> AsyncIterator[Event]:
        """The same as it happens: dicts with ``kind``: ``start``, ``attempt``, ``timeout``,
        ``retry``, ``result``, ``cost``, ``adapt`` (see ``Run``), in the end ``done`` with
        ``result``, as ``execute_tests_parallel`` returns it. Leaving the loop ends what runs.

        Example::

            async for event in agent.stream(files):
                if event["kind"] == "result" and not event["passed"]:
                    print(event["file"], event["ended"])
        """
        files = check_files(test_files)
        began, since = time.monotonic(), time.time()
        chosen = _chosen(params)
        policy, adaptive = policy_of(chosen, self.settings, len(files))
        remembering = Remembering(self.memory, self.settings.folder(), files)
        servers = self._servers()
        run = Run(
            files,
            framework,
            policy,
            self.settings,
            adaptive=adaptive,
            servers=servers,
            publishing=remembering.publishing("qe exec"),
        )
        self._runs.add(run)
        ended = False
        try:
            # While servers come up.
            run.expect(await asyncio.to_thread(remembering.expected_ns))
            async for event in self._watched(run):
                yield event
            ended = True
        finally:
            self._runs.discard(run)
            if servers is not None:
                servers.close()
            run.close()
            result = _summed(run, time.monotonic() - began)
            result["started"] = since
            result["interrupted"] = run.interrupted or not ended
            if run.shared is not None:
                result["shared"] = run.shared
            if adaptive is not None:
                result["adaptions"] = adaptive.changes
            result["warnings"] += servers.notes if servers is not None else []
            await asyncio.to_thread(
                remembering.save,
                run.results_by_file(),
                since,
                result["execution_time"],
            )
            result["warnings"] += remembering.warnings
            await self._remember(KEY, result, KEPT_S)
        yield {"kind": "done", "result": result}


def _chosen(params: AlcallParams | str | None) -> AlcallParams:
    if params is None:
        return AlcallParams.preset("default")
    if isinstance(params, str):
        return AlcallParams.preset(params)
    if not isinstance(params, AlcallParams):
        raise TypeError(f"params: takes AlcallParams or a preset's name, not {params!r}")
    return params


def _summed(run: Run, seconds: float) -> dict[str, Any]:
    results = run.all_results()
    passed = sum(one["passed"] for one in results)
    tests: dict[str, int] = {}
    for one in results:
        for name, count in (one["tests"] or {}).items():
            tests[name] = tests.get(name, 0) + count
    return {
        "total": len(results),
        "passed": passed,
        "failed": len(results) - passed,
        "pass_rate": share(passed, len(results)),
        "results": results,
        "execution_time": seconds,
        "retries": run.retries,
        "timeouts": run.timeouts,
        "framework": run.framework,
        "avg_time_per_test": seconds / len(results) if results else 0.0,
        "flaky": [one["file"] for one in results if one["outcome"] == "flaky"],
        "tests": tests or None,
        "warnings": list(run.warnings),
    }
