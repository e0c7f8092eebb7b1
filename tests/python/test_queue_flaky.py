"""Passes of a flaky hunt spread over nodes: the same statistics as of one node."""

from __future__ import annotations

import json
import os
import re
import signal
from typing import Any

import pytest

from conftest import Qe
from queue_help import redis  # noqa: F401
from test_queue_run import RUNS, Nodes, nodes, proven  # noqa: F401

#: Fails by what a pass draws, by what ran before it in its process, always, or never; none of
#: that depends on the node.
SAMPLE = f"""{RUNS}
import random
seen = []

def test_first():
    ran("first", 0.02)
    seen.append(1)

def test_order():
    ran("order")
    assert seen

def test_random():
    ran("random")
    assert random.random() < 0.6

def test_bad():
    ran("bad")
    assert False, "always"

@pytest.mark.xfail
def test_expected():
    ran("expected")
    assert False

@pytest.mark.skip
def test_skipped():
    pass

def test_good():
    ran("good")
"""


def _hunt(
    nodes: Nodes,  # noqa: F811
    qe: Qe,
    run: str,
    names: str,
    *args: str,
) -> tuple[dict[str, Any], str]:
    """A hunt by these nodes; the last one's result, and what that printed."""
    nodes.run = run
    for name in names:
        nodes.start(
            run + name, "--qe-flaky=10", "--qe-seed=11", "--qe-parallel=1",
            "--qe-flaky-causes=off", f"--qe-json={qe.path / f'{run}{name}.json'}", *args,
        )  # fmt: skip
    statuses = nodes.wait(*(run + name for name in names))
    assert 1 in statuses and set(statuses) <= {0, 1}, [nodes.output(run + name) for name in names]
    last = [name for name in names if "this was the last node" in nodes.output(run + name)]
    assert len(last) == 1
    data = json.loads((qe.path / f"{run}{last[0]}.json").read_text())
    return data, nodes.output(run + last[0])


def _table(text: str) -> list[str]:
    """The lines of the summary about tests."""
    return re.findall(r"^(?:CONFIRMED|SUSPECT|FAILING|    failed:|[ \d]+\S+ .*::).*$", text, re.M)


def _counts(data: dict[str, Any], passes: int) -> dict[str, list[tuple[int, str]]]:
    """Of each test its results in the first passes."""
    return {
        test["id"]: sorted(
            (one["pass"], one["outcome"]) for one in test["attempts"] if one["pass"] < passes
        )
        for test in data["tests"]
    }


def _passes(text: str) -> int:
    """How many passes nodes shared."""
    found = re.search(r"qe: hunt: of (\d+) passes this node ran \d+ \(", text)
    assert found is not None, text
    return int(found[1])


@pytest.mark.parametrize("mode", ["adaptive", "fixed"])
def test_two_nodes_find_what_one_does(nodes: Nodes, qe: Qe, mode: str) -> None:  # noqa: F811
    qe.files(test_a=SAMPLE)
    one, text_one = _hunt(nodes, qe, "one", "1", f"--qe-flaky-mode={mode}")
    two, text_two = _hunt(nodes, qe, "two", "12", f"--qe-flaky-mode={mode}")
    # Each node ran whole passes, and says so in a line; the last one tells of all.
    other = next(n for n in ("two1", "two2") if "this was the last node" not in nodes.output(n))
    passes = _passes(nodes.output(other))
    assert "= flaky" not in nodes.output(other)
    here = re.search(r"qe: run two: (\d+) of (\d+) runs of tests ran here", nodes.output(other))
    assert here is not None
    assert _counts(one, passes) == _counts(two, passes)
    assert len({result for results in _counts(two, passes).values() for result in results}) > 9
    if mode == "fixed":
        assert int(here[1]) % 7 == 0 and int(here[2]) == 70 and passes == 10
        assert _table(text_one) == _table(text_two)
        assert len(_table(text_two)) == 3
    else:
        made = [of["run"]["hunt"]["passes"][:passes] for of in (one, two)]
        assert made[0] == made[1]
        # What confirms them is the last node's own, and goes by what has ended when.
        verdicts = {n: of["verdict"] for n, of in two["run"]["hunt"]["tests"].items()}
        assert verdicts.pop("test_a.py::test_bad") == "stable-fail"
        assert set(verdicts) == {"test_a.py::test_order", "test_a.py::test_random"}
        assert set(verdicts.values()) <= {"confirmed", "suspect"}
        assert {"alone", "repeated"} & {of["condition"] for of in two["run"]["hunt"]["passes"]}
    # The whole is on the server, too.
    status, whole, _ = nodes.report()
    assert status == 1 and whole["run"]["queue"]["complete"]
    assert sum(len(test["attempts"]) for test in whole["tests"]) == int(here[2])
    assert _counts(whole, passes) == _counts(two, passes)
    for test, other_one in zip(whole["tests"], two["tests"], strict=True):
        assert (test["id"], test["outcome"]) == (other_one["id"], other_one["outcome"])


def test_a_fixed_hunt_is_as_on_one_machine(nodes: Nodes, qe: Qe) -> None:  # noqa: F811
    qe.files(test_a=SAMPLE.replace("random.random() < 0.6", "len(seen) < 2"))
    data, text = _hunt(nodes, qe, "two", "12", "--qe-flaky-mode=fixed")
    qe.setenv("NODE", "plain")
    done, plain = qe.json(
        "--qe-flaky=10", "--qe-seed=11", "--qe-flaky-mode=fixed", "--qe-parallel=2",
        "--qe-no-history",
    )  # fmt: skip
    assert _table(text) == _table(done.stdout.str())
    assert _counts(data, 10) == _counts(plain.data, 10)
    for test, other in zip(data["tests"], plain.tests, strict=True):
        assert (test["id"], test["outcome"]) == (other["id"], other["outcome"])
        assert test.get("flaky") == other.get("flaky")


@pytest.mark.parametrize("mode", ["adaptive", "fixed"])
def test_a_killed_node_changes_no_result(nodes: Nodes, qe: Qe, mode: str) -> None:  # noqa: F811
    """What it had begun begins anew elsewhere, so that its order holds."""
    sample = SAMPLE.replace('ran("good")', 'ran("good", 0.3)').replace("0.02", "0.1")
    qe.files(test_a=sample)
    one, text_one = _hunt(nodes, qe, "one", "1", f"--qe-flaky-mode={mode}")
    for path in qe.path.glob("ran-*"):
        path.unlink()
    args = (
        "--qe-flaky=10", "--qe-seed=11", "--qe-parallel=1", "--qe-flaky-causes=off",
        f"--qe-flaky-mode={mode}", "--qe-queue-lease=1",
    )  # fmt: skip
    nodes.run = "two"
    victim = nodes.start("victim", *args)
    nodes.began(16)  # in the middle of a pass that has told some of its results
    os.killpg(victim.pid, signal.SIGKILL)
    nodes.start("heir", *args, f"--qe-json={qe.path / 'heir.json'}")
    assert nodes.wait("heir") == [1]
    text = nodes.output("heir")
    assert "this was the last node of 2" in text
    two = json.loads((qe.path / "heir.json").read_text())
    made = [of["run"].get("hunt", {"passes": range(10)})["passes"] for of in (one, two)]
    passes = sum(1 for a, b in zip(*made, strict=False) if a == b)
    assert passes >= 7
    assert _counts(one, passes) == _counts(two, passes)
    if mode == "fixed":
        assert _table(text_one) == _table(text)
    assert len(two["run"]["lanes"]) == 1
    proven(nodes, 7)


def test_what_does_not_fit_is_a_line(nodes: Nodes, qe: Qe) -> None:  # noqa: F811
    qe.files(test_a="def test_one(): pass\n")
    nodes.start("1", "--qe-flaky-budget=5")
    assert nodes.wait("1") == [4]
    assert "it takes no --qe-flaky-budget: --qe-flaky=N hunts" in nodes.output("1")


def test_maxfail_is_of_all_passes(nodes: Nodes, qe: Qe) -> None:  # noqa: F811
    """As on one machine."""
    qe.files(test_a=f"{RUNS}\ndef test_bad():\n    ran('bad', 0.3)\n    assert 0\n")
    for name in "12":
        nodes.start(
            name, "--qe-flaky=40", "--qe-flaky-mode=fixed", "--maxfail=3", "--qe-parallel=1"
        )
    assert set(nodes.wait()) <= {1, 2}
    assert 3 <= nodes.ran()["bad"] <= 10
    _, whole, _ = nodes.report()
    assert whole["run"]["queue"]["state"] == "stopped"


def test_passes_of_other_hash_seeds(nodes: Nodes, qe: Qe) -> None:  # noqa: F811
    """What fails by the hash seed does so on each node alike."""
    qe.setenv("PYTHONHASHSEED", "1")  # of passes that have the run's own
    qe.files(
        test_a=f"""{RUNS}
def test_hash():
    ran("hash", 0.05)
    assert hash("qe") % 2
"""
    )
    one, _ = _hunt(nodes, qe, "one", "1")
    two, _ = _hunt(nodes, qe, "two", "12")
    other = next(n for n in ("two1", "two2") if "this was the last node" not in nodes.output(n))
    passes = _passes(nodes.output(other))
    assert _counts(one, passes) == _counts(two, passes)
    assert any("hash_seed" in of for of in two["run"]["hunt"]["passes"][:passes])
