"""Results of `qe exec`, `qe hunt` and layers as records, from which every report is made."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from .. import _core, revision
from ..agents.records import message_of, record_of
from ..agents.running import Settings
from ..keys import key
from .layering import WHY
from .summing import STOPPED, proof_line, replay_line

Event = dict[str, Any]

AS_GIVEN = "as given"  # the condition of a hunt's runs: each in a process of its own


class Recorded(NamedTuple):
    """What a JSON result (docs/result.schema.json) is written of."""

    record: _core.Record
    run: dict[str, Any]
    flaky: bool = False

    def write_json(self, path: bytes) -> None:
        """Raises: ``OSError``, ``QeError``."""
        known = {name: value for name, value in self.run.items() if value is not None}
        self.record.write_json(path, json.dumps(known), self.flaky)


def of_execution(result: Event, settings: Settings, workers: int | None) -> Recorded:
    """The result of an execution, with ``outputs``.

    Args:
        workers: how many files could run at once; None: that was up to the load.
    """
    entries = [
        (key(one["file"]), [] if one["outcome"] == "not_run" else [one])
        for one in result["results"]
    ]
    framework = result["framework"]
    commands = {
        one["file"]: replay_line(one["file"], framework, settings)
        for one in result["results"]
        if not one["passed"] and one["outcome"] not in STOPPED
    }
    run = {
        "of": "file", "framework": framework, "started": result["started"], "workers": workers,
        "wall": result["execution_time"], "interrupted": result["interrupted"] or None,
        "commands": {file: line for file, line in commands.items() if line is not None},
        "warnings": result["warnings"], **_code(settings.folder()),
    }  # fmt: skip
    return Recorded(record_of(entries, texts=True), run)


def of_hunt(result: Event, settings: Settings) -> Recorded:
    """The result of a hunt, with ``outputs``: each run of a file is a pass."""
    files = result["files"]
    entries = [(key(one["file"]), runs) for one, runs in zip(files, result["runs"], strict=True)]
    most = max((len(runs) for runs in result["runs"]), default=0)
    hunt = {
        "mode": "files",
        "executions": result["total_runs"],
        "passes": [{"number": n, "condition": AS_GIVEN, "seed": 0} for n in range(most)],
        "tests": {
            one["file"]: _verdict(one, result["framework"], settings)
            for one in files
            if one["failed"]
        },
    }
    run = {
        "of": "file", "framework": result["framework"], "started": result["timestamp"],
        "wall": result["execution_time"], "interrupted": result["interrupted"] or None,
        "hunt": hunt, "warnings": result["warnings"], **_code(settings.folder()),
    }  # fmt: skip
    record = record_of(entries, texts=True)
    for item, one in enumerate(files):
        record.set_expected(item, one["expected"] or 0.0)
        if one["is_flaky"]:
            failed = next(run for run in result["runs"][item] if not run["passed"])
            record.set_outcome(item, _core.FLAKY, message_of(failed))
    return Recorded(record, run, flaky=True)


def _verdict(one: Event, framework: str, settings: Settings) -> Event:
    verdict: Event = {
        "verdict": "confirmed" if one["is_flaky"] else "stable-fail",
        "failures": one["failed"],
        "passes": one["passed"],
        "interval": one["interval"],
        "pattern": one["pattern"],
        "inside": [
            _inside(cause, one["file"], settings)
            for cause in one["likely_causes"]
            if cause.get("test")
        ],
        "likely": [
            {"cause": cause["cause"], "says": cause["says"]}
            for cause in one["likely_causes"]
            if not cause.get("test")
        ],
    }
    command = replay_line(one["file"], framework, settings)
    return verdict if command is None else {**verdict, "command": command}


def _inside(cause: Event, file: str, settings: Settings) -> Event:
    """Why one of the file's tests is flaky, as a hunt within the file has found it."""
    found = {name: cause[name] for name in ("cause", "p", "culprits", "test", "conditions")}
    found |= {side: cause[side] for side in ("with", "without") if side in cause}
    if cause["replay"]:
        found["replay"] = {
            "option": cause["replay"].partition(" ")[2],
            "command": proof_line(cause["replay"], file, settings),
            **cause["reached"],
        }
    return found


def of_layers(result: Event, configs: Mapping[str, Mapping[str, Any]], folder: str) -> Recorded:
    """The result of layers: each category is a track of its own.

    Args:
        configs: of all layers, as the configuration has them.
        folder: the project's.
    """
    places = [
        (name, category["name"])
        for name in result["layers"]
        for category in configs[name]["categories"]
    ]
    entries, waits = [], []
    for track, (layer, category) in enumerate(places):
        found = result["layers"][layer]
        end = found["category_results"].get(category)
        entries.append((
            key(f"{layer}/{category}"), [] if end is None else [_as_of_file(end, track)]
        ))  # fmt: skip
        waits += [
            {
                "worker": f"gw{track}", "start": one["start"], "duration": one["seconds"],
                "what": _waited(one),
            }
            for one in found["waits"].get(category, ())
        ]  # fmt: skip
    record = record_of(entries, texts=True)
    for number, (layer, category) in enumerate(places):
        skipped = result["layers"][layer]["skipped"].get(category)
        if skipped is not None and not entries[number][1]:
            of = f": {skipped['of']}" if skipped["of"] else ""
            record.set_outcome(number, _core.SKIPPED, f"{WHY[skipped['why']]}{of}")
    started = [one["start"] for one in waits]
    started += [a["started"] for _, ends in entries for one in ends for a in one["history"]]
    run = {
        "of": "category",
        "started": min(started, default=None),
        "wall": result["total_duration"],
        "interrupted": any(one["cancelled"] for one in result["layers"].values()) or None,
        "lanes": {f"gw{n}": f"{layer}/{category}" for n, (layer, category) in enumerate(places)},
        "waits": waits,
        "layers": [
            _layer(name, one, configs[name]) for name, one in result["layers"].items()
        ],
        **_code(folder),
    }  # fmt: skip
    return Recorded(record, run)


def _as_of_file(end: Event, track: int) -> Event:
    """The last attempt of a category, as results of files are."""
    history = [
        {
            **{name: one[name] for name in _KEPT}, "worker": track,
            "outcome": "none" if one["outcome"] == "interrupted" else one["outcome"],
        }
        for one in (*end["before"], end)
    ]  # fmt: skip
    flaky = end["passed"] and len(history) > 1
    return {**end, "outcome": "flaky" if flaky else end["outcome"], "history": history}


_KEPT = (
    "attempt", "started", "outcome", "returncode", "seconds", "cpu_seconds", "peak_memory_bytes",
    "stdout", "stderr", "failures", "ended",
)  # fmt: skip


def _waited(one: Event) -> str:
    names = ", ".join(one["names"])
    return {
        "category": f"needs {names}", "layer": f"after the layer {names}",
        "service": f"the service {names} starts", "exclusive": f"another run has {names}",
    }.get(one["what"], "its turn, or room")  # fmt: skip


def _layer(name: str, found: Event, config: Mapping[str, Any]) -> Event:
    categories: Sequence[Mapping[str, Any]] = config["categories"]
    return {
        "name": name,
        "success": found["success"],
        "pass_rate": found["pass_rate"],
        "seconds": found["total_duration"],
        "mode": config.get("execution_mode", "sequential"),
        "after": list(config.get("dependencies", ())),
        "criteria": dict(config.get("success_criteria", {})),
        "errors": found["errors"],
        "suggestions": found["suggestions"],
        "services": found["resources"].get("services", {}),
        "categories": [
            {
                "id": f"{name}/{one['name']}",
                "needs": list(one.get("depends_on", ())),
                "tests": found["category_results"].get(one["name"], {}).get("tests"),
                "waited": sum(w["seconds"] for w in found["waits"].get(one["name"], ())),
            }
            for one in categories
        ],
    }


def _code(folder: str) -> dict[str, str | None]:
    at, branch = revision.head(Path(folder))
    return {"revision": at, "branch": branch}
