"""What agents count: as a dict, and in OpenMetrics text for a scraper.

The counting needs nothing. The text is written by ``prometheus_client``, which the extra
``pytest-qe[metrics]`` brings: it is what Python's world uses for the format.
"""

from __future__ import annotations

import bisect
import math
import threading
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

from .. import openmetrics

if TYPE_CHECKING:
    from prometheus_client.metrics_core import Metric

KINDS = ("start", "attempt", "retry", "timeout", "result", "cost")
#: Upper bounds in seconds: from a test of a moment to one that is stopped after minutes.
BUCKETS = (0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 120.0, 300.0)

_HELP = {
    "qe_attempts": "Attempts that have ended.",
    "qe_retries": "Attempts that were followed by another.",
    "qe_timeouts": "Attempts that took too long.",
    "qe_attempt_seconds": "How long attempts took.",
    "qe_cpu_seconds": "Processor time of attempts.",
    "qe_peak_memory_bytes": "The most memory that an attempt has held.",
}


class Metrics:
    """Counters that events are fed to. Safe to use from several threads.

    Example::

        metrics = Metrics()
        metrics.feed({"kind": "attempt", "framework": "pytest", "outcome": "passed",
                      "seconds": 1.2})
        metrics.as_dict()["qe_attempts_total"]  # [{"framework": ..., "value": 1}]
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._attempts: dict[tuple[str, str], int] = {}
        self._retries = 0
        self._timeouts = 0
        self._cpu_seconds = 0.0
        self._peak_bytes = 0
        self._counts = [0] * (len(BUCKETS) + 1)  # of each bucket alone
        self._seconds = 0.0

    def feed(self, event: Mapping[str, Any]) -> None:
        """Counts one event; what it has beside these is left alone.

        Args:
            event: ``kind`` and, by it: ``attempt`` (one has ended): ``framework``,
                ``outcome``, ``seconds``; ``cost``: ``cpu_seconds``, ``peak_memory_bytes``;
                ``retry`` and ``timeout`` count by themselves, ``start`` and ``result`` are
                said by the others.

        Raises: ``ValueError`` for another kind, or a number that is none.
        """
        kind = event.get("kind")
        if kind not in KINDS:
            raise ValueError(f"kind: takes one of {', '.join(KINDS)}, not {kind!r}")
        seconds = _number(event, "seconds") if kind == "attempt" else None
        cpu = _number(event, "cpu_seconds") if kind == "cost" else None
        peak = _number(event, "peak_memory_bytes") if kind == "cost" else None
        with self._lock:
            if kind == "attempt":
                key = str(event.get("framework", "")), str(event.get("outcome", ""))
                self._attempts[key] = self._attempts.get(key, 0) + 1
            if seconds is not None:
                self._counts[bisect.bisect_left(BUCKETS, seconds)] += 1
                self._seconds += seconds
            self._cpu_seconds += cpu or 0.0
            self._peak_bytes = max(self._peak_bytes, int(peak or 0))
            self._retries += kind == "retry"
            self._timeouts += kind == "timeout"

    def as_dict(self) -> dict[str, Any]:
        """All that was counted, by the names of the metrics. The histogram's ``buckets`` are
        pairs of an upper bound, None for none, and how many took no longer."""
        with self._lock:
            return {
                "qe_attempts_total": [
                    {"framework": framework, "outcome": outcome, "value": value}
                    for (framework, outcome), value in sorted(self._attempts.items())
                ],
                "qe_retries_total": self._retries,
                "qe_timeouts_total": self._timeouts,
                "qe_attempt_seconds": {
                    "buckets": [
                        [bound, sum(self._counts[: i + 1])]
                        for i, bound in enumerate([*BUCKETS, None])
                    ],
                    "sum": self._seconds,
                    "count": sum(self._counts),
                },
                "qe_cpu_seconds_total": self._cpu_seconds,
                "qe_peak_memory_bytes": self._peak_bytes,
            }

    def collect(self) -> Iterator[Metric]:
        """For a registry of ``prometheus_client``: ``REGISTRY.register(metrics)``."""
        from prometheus_client.metrics_core import (
            CounterMetricFamily,
            GaugeMetricFamily,
            HistogramMetricFamily,
        )

        now = self.as_dict()
        attempts = CounterMetricFamily(
            "qe_attempts", _HELP["qe_attempts"], labels=["framework", "outcome"]
        )
        for one in now["qe_attempts_total"]:
            attempts.add_metric([one["framework"], one["outcome"]], one["value"])
        yield attempts
        for name in ("qe_retries", "qe_timeouts", "qe_cpu_seconds"):
            yield CounterMetricFamily(name, _HELP[name], value=now[f"{name}_total"])
        times = now["qe_attempt_seconds"]
        yield HistogramMetricFamily(
            "qe_attempt_seconds",
            _HELP["qe_attempt_seconds"],
            buckets=[("+Inf" if b is None else str(b), n) for b, n in times["buckets"]],
            sum_value=times["sum"],
        )
        name = "qe_peak_memory_bytes"
        yield GaugeMetricFamily(name, _HELP[name], value=now[name])

    def openmetrics(self) -> str:
        """All that was counted, as OpenMetrics text.

        Raises: ``ImportError`` of one line where ``prometheus_client`` is not installed.
        """
        try:
            return openmetrics.text_of(self).decode("utf-8")
        except ImportError:
            raise ImportError(f"openmetrics: {openmetrics.NEEDS}") from None


def _number(event: Mapping[str, Any], name: str) -> float | None:
    value = event.get(name)
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise ValueError(f"{name}: takes a number, not {value!r}")
    if not math.isfinite(value) or value < 0:
        raise ValueError(f"{name}: takes a number of 0 or more, not {value}")
    return float(value)
