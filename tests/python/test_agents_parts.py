"""QETask and Metrics: what agents are asked, and what they count."""

from __future__ import annotations

import json
import subprocess
import sys
import threading
import uuid
from datetime import datetime, timedelta, timezone
from typing import Any

import pytest

from conftest import HUNG
from pytest_qe import agents
from pytest_qe.agents import Metrics, QETask, TestExecutorAgent

parser = pytest.importorskip(
    "prometheus_client.openmetrics.parser", reason="prometheus_client is not installed"
)
text_string_to_metric_families = parser.text_string_to_metric_families

# -------------------------------------------------------------------- tasks


def test_a_new_task_has_an_id_of_its_own_and_waits() -> None:
    before = datetime.now(timezone.utc)
    task, other = QETask("parallel_execution"), QETask("parallel_execution")
    assert uuid.UUID(task.task_id).version == 4
    assert task.task_id != other.task_id
    assert task.context == {} and task.context is not other.context
    assert task.status == "pending" and task.result is None and task.error is None
    assert before <= task.created_at <= datetime.now(timezone.utc)


def test_a_task_comes_back_from_json_as_it_was() -> None:
    task = QETask("detect", {"test_files": ["a.py"]}, status="failed", error="no such file")
    assert QETask.from_dict(json.loads(json.dumps(task.to_dict()))) == task
    done = QETask("detect", status="completed", result={"passed": 3})
    assert QETask.from_dict(done.to_dict()) == done


def test_times_are_taken_in_each_form_that_is_usual() -> None:
    when = datetime(2026, 1, 2, 3, 4, 5, tzinfo=timezone.utc)
    east = timezone(timedelta(hours=5))
    for given in (
        "2026-01-02T03:04:05Z", "2026-01-02T03:04:05+00:00", "2026-01-02T05:04:05+02:00",
        "2026-01-02T03:04:05", when.timestamp(), when, when.astimezone(east),
    ):  # fmt: skip
        assert QETask.from_dict({"task_type": "t", "created_at": given}).created_at == when


@pytest.mark.parametrize(
    ("data", "text"),
    [
        ([], "a task: takes a dict, not list"),
        ({}, "task_type: is missing; takes the name of what is to be done"),
        ({"task_type": ""}, "task_type: takes a str that is not empty, not ''"),
        ({"task_type": "t", "task_id": 5}, "task_id: takes a str that is not empty, not 5"),
        ({"task_type": "t", "context": []}, "context: takes a dict, not list"),
        (
            {"task_type": "t", "status": "done"},
            "status: takes one of pending, in_progress, completed, failed, not 'done'",
        ),
        (
            {"task_type": "t", "kind": 1},
            "kind: a task has no such field; it has task_type, context, task_id, status, "
            "created_at, result, error",
        ),
        ({"task_type": "t", "error": 5}, "error: takes a str or None, not int"),
        *(
            (
                {"task_type": "t", "created_at": wrong},
                "created_at: takes an ISO 8601 time or seconds since the epoch, not "
                f"{wrong!r}",
            )
            for wrong in ("yesterday", True, float("nan"), float("inf"), 1e30, None)
        ),
    ],
)  # fmt: skip
def test_what_is_no_task_is_refused_in_one_line(data: Any, text: str) -> None:
    with pytest.raises((ValueError, TypeError)) as caught:
        QETask.from_dict(data)
    assert str(caught.value) == text


@pytest.mark.parametrize(
    ("given", "text"),
    [
        ({"warm": "no"}, "warm: takes True or False, not 'no'"),
        ({"limits": 5}, "limits: takes Limits, not 5"),
        ({"cwd": 5}, "cwd: takes the path of a folder, not 5"),
        ({"env": 5}, "env: takes a dict, not 5"),
        ({"env": {"A": 1}}, "env: takes str, or None to take away, not 'A': 1"),
        ({"env": {"A=B": "x"}}, "env: takes no 'A=B': 'x'"),
        ({"env": {"A": "x\0y"}}, "env: takes no 'A': 'x\\x00y'"),
        (
            {"output_bytes": "1K"},
            "output_bytes: takes 2 to 67108864 bytes of each stream, not '1K'",
        ),
        ({"on_start": 5}, "on_start: takes a function, not 5"),
    ],
)
def test_what_an_agent_does_not_take_is_refused_in_one_line(given: Any, text: str) -> None:
    with pytest.raises((ValueError, TypeError)) as caught:
        TestExecutorAgent(**given)
    assert str(caught.value) == text


# ------------------------------------------------------------------ metrics


def fed() -> Metrics:
    metrics = Metrics()
    for outcome, seconds in (("passed", 0.05), ("passed", 0.3), ("failed", 1000.0)):
        metrics.feed(
            {"kind": "attempt", "framework": "pytest", "outcome": outcome, "seconds": seconds}
        )
    metrics.feed({"kind": "attempt", "framework": 'a"\\\n', "outcome": "passed"})
    metrics.feed({"kind": "start", "file": "a.py"})
    metrics.feed({"kind": "retry"})
    metrics.feed({"kind": "timeout"})
    metrics.feed({"kind": "timeout"})
    metrics.feed({"kind": "cost", "cpu_seconds": 1.5, "peak_memory_bytes": 5000})
    metrics.feed({"kind": "cost", "cpu_seconds": 0.25, "peak_memory_bytes": 4000})
    metrics.feed({"kind": "result", "file": "a.py"})
    return metrics


def test_events_are_counted_by_their_kind() -> None:
    found = fed().as_dict()
    assert found["qe_attempts_total"] == [
        {"framework": 'a"\\\n', "outcome": "passed", "value": 1},
        {"framework": "pytest", "outcome": "failed", "value": 1},
        {"framework": "pytest", "outcome": "passed", "value": 2},
    ]
    assert found["qe_retries_total"] == 1
    assert found["qe_timeouts_total"] == 2
    assert found["qe_cpu_seconds_total"] == 1.75
    assert found["qe_peak_memory_bytes"] == 5000
    times = found["qe_attempt_seconds"]
    assert times["count"] == 3 and times["sum"] == pytest.approx(1000.35)
    buckets = dict(map(tuple, times["buckets"]))
    assert [buckets[at] for at in (0.05, 0.25, 0.5, 300.0, None)] == [1, 1, 2, 2, 3]
    json.dumps(found)


def test_openmetrics_text_says_the_same_to_a_parser() -> None:
    metrics = fed()
    text = metrics.openmetrics()
    assert text.endswith("# EOF\n")
    samples = {
        (sample.name, *sorted(sample.labels.items())): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }
    assert samples["qe_attempts_total", ("framework", "pytest"), ("outcome", "passed")] == 2
    assert samples["qe_attempts_total", ("framework", 'a"\\\n'), ("outcome", "passed")] == 1
    assert samples["qe_retries_total",] == 1
    assert samples["qe_timeouts_total",] == 2
    assert samples["qe_cpu_seconds_total",] == 1.75
    assert samples["qe_peak_memory_bytes",] == 5000
    assert samples["qe_attempt_seconds_count",] == 3
    for bound, count in metrics.as_dict()["qe_attempt_seconds"]["buckets"]:
        le = "+Inf" if bound is None else str(bound)
        assert samples["qe_attempt_seconds_bucket", ("le", le)] == count
    # Nothing has happened, and that can be said, too.
    assert list(text_string_to_metric_families(Metrics().openmetrics()))


def test_without_the_library_the_text_is_refused_and_the_dict_is_there() -> None:
    program = """
import sys
sys.modules["prometheus_client"] = None
from pytest_qe.agents import Metrics
metrics = Metrics()
metrics.feed({"kind": "retry"})
assert metrics.as_dict()["qe_retries_total"] == 1
try:
    metrics.openmetrics()
except ImportError as error:
    print(error)
"""
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, timeout=HUNG
    )
    assert done.stdout == "openmetrics: needs prometheus_client: pip install 'pytest-qe[metrics]'\n"


@pytest.mark.parametrize(
    ("event", "text"),
    [
        (
            {"kind": "end"},
            "kind: takes one of start, attempt, retry, timeout, result, cost, not 'end'",
        ),
        ({"kind": "attempt", "seconds": -1}, "seconds: takes a number of 0 or more, not -1"),
        ({"kind": "attempt", "seconds": "1"}, "seconds: takes a number, not '1'"),
        (
            {"kind": "cost", "cpu_seconds": float("nan")},
            "cpu_seconds: takes a number of 0 or more, not nan",
        ),
    ],
)
def test_what_is_no_event_is_refused_and_counts_nothing(event: dict[str, Any], text: str) -> None:
    metrics = Metrics()
    with pytest.raises(ValueError) as caught:
        metrics.feed(event)
    assert str(caught.value) == text
    assert metrics.as_dict() == Metrics().as_dict()


def test_threads_count_together() -> None:
    metrics = Metrics()

    def feed() -> None:
        for _ in range(5000):
            metrics.feed({"kind": "attempt", "seconds": 1.0})

    threads = [threading.Thread(target=feed) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert metrics.as_dict()["qe_attempt_seconds"]["count"] == 20_000


# ------------------------------------------------------------------ package


def test_the_package_imports_what_is_used_and_names_what_there_is() -> None:
    program = """
import sys
import pytest_qe.agents as agents
assert not [m for m in sys.modules if m.startswith("pytest_qe.agents.")]
assert "asyncio" not in sys.modules
agents.QETask
print(sorted(m for m in sys.modules if m.startswith("pytest_qe.agents.")))
"""
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, timeout=HUNG
    )
    assert (done.stdout, done.stderr) == ("['pytest_qe.agents.tasks']\n", "")
    for name in agents.__all__:
        assert callable(getattr(agents, name))
    with pytest.raises(AttributeError, match=r"has no attribute 'nothing'"):
        agents.nothing  # noqa: B018
