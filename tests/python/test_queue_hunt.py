"""``qe hunt`` as a node of a run that several share: each (file, run) once, and one verdict."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from conftest import HUNG, wait_for
from queue_help import RedisServer, redis  # noqa: F401
from test_queue_exec import Nodes

#: Which run of the file it is, over all nodes: `$n`. Three in four pass.
FLAKY = 'sleep 0.05; if [ $((n % 4)) = 3 ]; then echo "it broke" >&2; exit 1; fi'


class Hunts(Nodes):
    def hunt(self, name: str, *words: str, run: str = "one") -> subprocess.Popen[bytes]:
        files = sorted(path.name for path in self.folder.glob("*.sh"))
        return self.spawn(
            name, sys.executable, "-m", "pytest_qe", "hunt", "--command=sh {file}", *files,
            f"--queue={self.server.url}", f"--run={run}", "--project=shop", "--iterations=12",
            "--max-concurrent=1", "--throttle=0", f"--json={name}.json", *words,
        )  # fmt: skip

    def verdicts(self, name: str) -> dict[str, tuple[Any, ...]]:
        """Of each test file what the JSON result of a node says."""
        return {
            test["id"]: (test["outcome"], len(test["attempts"]))
            for test in self.result(name)["tests"]
        }


@pytest.fixture
def hunts(tmp_path: Path, redis: RedisServer) -> Iterator[Hunts]:  # noqa: F811
    made = Hunts(tmp_path, redis)
    made.script("a", FLAKY)
    made.script("b", "sleep 0.05")
    made.script("c", "sleep 0.05; exit 1")
    yield made
    made.close()


def _summary(text: str) -> list[str]:
    """What is said of files, and of all, but for seconds and the order of runs."""
    return sorted(
        line.strip().rpartition(";")[0] or line.strip()
        for line in text.splitlines()
        if line.startswith(("FLAKY", "stable", "FAILING", "3 files"))
    )


def test_two_nodes_judge_as_one(hunts: Hunts) -> None:
    hunts.hunt("alone", run="alone")
    assert hunts.wait("alone") == [1]
    for path in hunts.folder.glob("ran-*"):
        path.rename(hunts.folder / f"before-{path.name}")
    hunts.hunt("1")
    hunts.hunt("2")
    statuses = hunts.wait("1", "2")
    assert hunts.ran() == {"a": 12, "b": 12, "c": 12}
    last = [name for name in "12" if "this was the last node of 2" in hunts.output(name)]
    assert len(last) == 1
    other = "21"[int(last[0]) - 1]
    assert statuses[int(last[0]) - 1] == 1
    assert "FLAKY a.sh" in hunts.output(last[0])
    assert "failed 3 of 12 runs: 25%" in hunts.output(last[0])
    assert _summary(hunts.output(last[0])) == _summary(hunts.output("alone"))
    # The other says what ran there, and nothing of what it cannot know.
    assert "runs of files ran here" in hunts.output(other)
    assert "of 12 passed" not in hunts.output(other)
    assert "FLAKY" not in hunts.output(other)
    whole = hunts.whole()
    assert {test["id"]: len(test["attempts"]) for test in whole["tests"]} == {
        "a.sh": 12, "b.sh": 12, "c.sh": 12
    }  # fmt: skip
    assert {test["id"]: test["outcome"] for test in whole["tests"]} == {
        "a.sh": "flaky", "b.sh": "passed", "c.sh": "failed"
    }  # fmt: skip
    passes = {one["pass"] for test in whole["tests"] for one in test["attempts"]}
    assert passes == set(range(12))


def test_runs_of_a_killed_node_run_elsewhere(hunts: Hunts) -> None:
    victim = hunts.hunt("victim", "--queue-lease=1")
    wait_for(lambda: sum(hunts.ran().values()) >= 8, "8 runs to begin")
    os.killpg(victim.pid, signal.SIGKILL)
    hunts.hunt("heir", "--queue-lease=1")
    assert hunts.processes["heir"].wait(HUNG) == 1
    text = hunts.output("heir")
    assert "this was the last node of 2" in text
    whole = hunts.whole()
    assert {test["id"]: len(test["attempts"]) for test in whole["tests"]} == {
        "a.sh": 12, "b.sh": 12, "c.sh": 12
    }  # fmt: skip
    assert "of 12 runs: 25%" in text or "of 12 runs: 33%" in text or "of 12 runs: 17%" in text
    assert "3 files: 1 flaky, 1 stable, 1 failing; 36 runs" in text


def test_one_that_comes_late_says_so(hunts: Hunts) -> None:
    hunts.hunt("1")
    hunts.wait("1")
    hunts.hunt("2")
    assert hunts.processes["2"].wait(HUNG) == 1  # it does not pass for one that found nothing
    assert "nothing was left for this node" in hunts.output("2")
    assert hunts.ran() == {"a": 12, "b": 12, "c": 12}
