"""The frameworks' own hunts, asked why a file is flaky."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping, Sequence
from typing import Any

from ..frameworks import Command
from ..scratch import scratch
from .running import Stoppable
from .session import CommandSession, Ended, Policy, Unit

_USAGE = 4  # pytest's exit status for an option that it does not know: no plugin of ours


class _Experiments:
    """A session that a stop of the agent reaches."""

    def __init__(self, session: CommandSession) -> None:
        self._session = session

    def stop(self, *, at_once: bool = False) -> None:
        if at_once:
            self._session.kill()
        else:
            self._session.stop(interrupt=True)

    def pause(self, on: bool) -> None:
        self._session.pause(on)


async def causes_of(
    command: Command, *, seconds: float, stoppable: set[Stoppable]
) -> list[dict[str, Any]]:
    """Why a file is flaky, by experiment: ``pytest --qe-flaky``, with the plugin of the
    project's own environment.

    Args:
        command: runs the file.
        seconds: for all of it.
        stoppable: has what can be stopped while it runs.

    Returns:
        one for each flaky test with a cause: ``cause``, ``says``, ``test``, ``p``,
        ``culprits``, ``replay`` (the command line that shows it), ``reached`` (``failed`` and
        ``runs``: what that came to), ``with`` and ``without`` (the two sides of what shows the
        cause: ``name``, ``failed``, ``passed``), ``conditions`` (of each under which it ran
        ``name``, ``failed`` and ``runs``), ``source``, which is "hunt". Empty where the
        environment has no such plugin, or nothing was found.
    """
    if command.framework != "pytest":
        return []
    with scratch() as folder:
        path = os.path.join(folder, "hunt.json")
        words = [word for word in command.argv[1:] if not word.startswith("--junitxml=")]
        argv = [
            command.argv[0], f"--qe-flaky-budget={seconds:g}", f"--qe-json={path}",
            "--qe-no-history", *words,
        ]  # fmt: skip
        unit = Unit(argv=argv, env=command.env, cwd=command.cwd)
        policy = Policy(max_concurrent=1, timeout=3 * seconds + 30)
        async with CommandSession([unit], policy) as session:
            experiments = _Experiments(session)
            stoppable.add(experiments)
            try:
                while (event := await session.next()) is not None:
                    if isinstance(event, Ended) and event.returncode == _USAGE:
                        return []
            finally:
                stoppable.discard(experiments)
        try:
            with open(path, encoding="utf-8") as file:
                found = json.load(file)
        except (OSError, ValueError):
            return []
    hunt = found["run"].get("hunt", {})
    names = {one["number"]: one["condition"] for one in hunt.get("passes", ())}
    attempts = {test["id"]: test["attempts"] for test in found["tests"]}
    return [
        _cause(test, of["why"], _conditions(attempts.get(test, ()), names))
        for test, of in hunt.get("tests", {}).items()
        if of.get("why", {}).get("cause", "unknown") != "unknown"
    ]


def _conditions(
    attempts: Sequence[dict[str, Any]], names: Mapping[int, str]
) -> list[dict[str, Any]]:
    """How often a test failed under each condition."""
    counts: dict[str, list[int]] = {}
    for one in attempts:
        name = names.get(one.get("pass", -1))
        if name is None or one["outcome"] in ("skipped", "none"):
            continue
        count = counts.setdefault(name, [0, 0])
        count[0] += one["outcome"] != "passed"
        count[1] += 1
    return [
        {"name": name, "failed": failed, "runs": runs} for name, (failed, runs) in counts.items()
    ]


def _cause(test: str, why: dict[str, Any], conditions: list[dict[str, Any]]) -> dict[str, Any]:
    replay = why.get("replay", {})
    option = replay.get("option")
    found = {
        "cause": why["cause"],
        "says": f"by experiment on {test}",
        "test": test,
        "p": why.get("p"),
        "culprits": why.get("culprits", []),
        "replay": f"pytest {option}" if option else None,
        "reached": {"failed": replay["failed"], "runs": replay["runs"]} if option else None,
        "conditions": conditions,
        "source": "hunt",
    }
    return {**found, **{side: why[side] for side in ("with", "without") if side in why}}
