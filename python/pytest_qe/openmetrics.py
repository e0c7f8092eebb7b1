"""``--qe-metrics``, ``qe exec --metrics``: a run in OpenMetrics text, from its JSON result.

The text is written by ``prometheus_client``, which the extra ``pytest-qe[metrics]`` brings: it
is what Python's world uses for the format.
"""

from __future__ import annotations

import importlib.util
import json
import os
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from . import _core

if TYPE_CHECKING:
    from prometheus_client.metrics_core import Metric

NEEDS = "needs prometheus_client: pip install 'pytest-qe[metrics]'"
_VERDICTS = ("confirmed", "suspect", "stable-fail")


class Source(Protocol):
    """What a registry of ``prometheus_client`` collects from."""

    def collect(self) -> Iterator[Metric]: ...


def missing() -> str | None:
    """Why no metrics can be written, in one line; None: they can."""
    try:
        there = importlib.util.find_spec("prometheus_client") is not None
    except (ImportError, ValueError):
        there = False
    return None if there else NEEDS


def text_of(source: Source) -> bytes:
    """Metrics as OpenMetrics text.

    Raises: ``ImportError`` where ``prometheus_client`` is not installed.
    """
    from prometheus_client import CollectorRegistry
    from prometheus_client.openmetrics.exposition import generate_latest

    registry = CollectorRegistry()
    registry.register(source)
    text: bytes = generate_latest(registry)  # type: ignore[no-untyped-call]
    return text


class RunMetrics:
    """The numbers of one run, as gauges: a file of them says what the last run was like.

    Labels are outcomes, verdicts, and what the run was of: never names of tests.

    Args:
        result: the JSON result, see docs/result.schema.json.
    """

    def __init__(self, result: dict[str, Any]) -> None:
        self._result = result

    def collect(self) -> Iterator[Metric]:
        """For a registry of ``prometheus_client``."""
        from prometheus_client.metrics_core import GaugeMetricFamily, InfoMetricFamily

        result, run = self._result, self._result["run"]
        info = {"version": result["version"], "of": run.get("of", "test")}
        if "framework" in run:
            info["framework"] = run["framework"]
        yield InfoMetricFamily("qe_run", "What the run was of, and by which version.", info)
        for name, (help_, label, values) in self._counted().items():
            family = GaugeMetricFamily(name, help_, labels=[label])
            for of, value in values.items():
                family.add_metric([of], value)
            yield family
        for name, (help_, number) in self._plain().items():
            if number is not None:
                yield GaugeMetricFamily(name, help_, value=float(number))

    def _counted(self) -> dict[str, tuple[str, str, dict[str, int]]]:
        """By name: help, the label, and the values by it."""
        result, run = self._result, self._result["run"]
        summary = result["summary"]
        tests = {outcome: count for outcome, count in summary.items() if outcome != "total"}
        attempts = dict.fromkeys(tests, 0)
        for test in result["tests"]:
            for one in test["attempts"]:
                attempts[one["outcome"]] += 1
        found = {
            "qe_run_tests": ("Tests by outcome.", "outcome", tests),
            "qe_run_attempts": ("Attempts by outcome.", "outcome", attempts),
        }
        if "tests" in run.get("hunt", {}):
            verdicts = [one["verdict"] for one in run["hunt"]["tests"].values()]
            counts = {name: verdicts.count(name) for name in _VERDICTS}
            found["qe_run_suspects"] = ("Tests that a hunt has seen fail.", "verdict", counts)
        if "layers" in run:
            good = sum(one["success"] for one in run["layers"])
            counts = {"true": good, "false": len(run["layers"]) - good}
            found["qe_run_layers"] = ("Layers by whether they succeeded.", "success", counts)
        return found

    def _plain(self) -> dict[str, tuple[str, float | None]]:
        """By name: help, and the value; None: it is not known."""
        result, run = self._result, self._result["run"]
        attempts = [one for test in result["tests"] for one in test["attempts"]]
        times = [sum(one["duration"] for one in test["attempts"]) for test in result["tests"]]
        retries = sum(one["attempt"] > 1 for one in attempts)
        return {
            "qe_run_started_timestamp_seconds": ("When it began.", run.get("started")),
            "qe_run_wall_seconds": ("How long it took by the clock.", run.get("wall")),
            "qe_run_collection_seconds": ("How long collecting took.", run.get("collection")),
            "qe_run_test_seconds": ("The sum of the durations of attempts.", sum(times)),
            "qe_run_longest_test_seconds": (
                "What the longest test took, with all its attempts.", max(times, default=0.0),
            ),
            "qe_run_collection_errors": (
                "Files and other things that could not be collected.",
                len(run.get("collection_errors", ())),
            ),
            "qe_run_cpu_seconds": (
                "Processor time of attempts.", sum(one["cpu"] for one in attempts),
            ),
            "qe_run_peak_memory_bytes": (
                "The most memory that an attempt has held.",
                max((one["peak_memory"] for one in attempts), default=0),
            ),
            "qe_run_retries": ("Attempts that repeated a failed one.", retries),
            "qe_run_flaky_tests": ("Tests that passed on a retry.", result["summary"]["flaky"]),
            "qe_run_workers": ("How many attempts could run at once.", run.get("workers")),
            "qe_run_interrupted": (
                "1: it ended before all tests had.", int(bool(run.get("interrupted"))),
            ),
        }  # fmt: skip


def write(path: Path, write_json: Callable[[bytes], None]) -> None:
    """Writes the metrics of a run, whole or not at all.

    Args:
        path: where to.
        write_json: writes the result to the path that it is given.

    Raises: ``OSError``, ``QeError``: it could not be written.
    """
    with tempfile.TemporaryDirectory(prefix="qe-") as folder:
        file = Path(folder, "result.json")
        write_json(os.fsencode(file))
        result = json.loads(file.read_bytes())
    path.parent.mkdir(parents=True, exist_ok=True)
    _core.write_file(os.fsencode(path), text_of(RunMetrics(result)))
