"""Nodes of one run shuffle alike: what draws a seed for each start gets it from the run's name."""

from __future__ import annotations

import re

import pytest

from conftest import Qe
from pytest_qe import queues
from queue_help import redis  # noqa: F401
from test_queue_run import RUNS, Nodes, nodes, proven  # noqa: F401

SUITE = f"""{RUNS}
@pytest.mark.parametrize("n", range(12))
def test_x(n):
    ran(str(n), 0.05)
"""


def _share(nodes: Nodes, qe: Qe, *args: str) -> str:  # noqa: F811
    qe.files(test_a=SUITE, test_b=SUITE.replace("str(n)", "f'b{n}'"))
    nodes.start("1", *args)
    nodes.start("2", *args)
    assert nodes.wait() == [0, 0], nodes.output("1") + nodes.output("2")
    assert set(nodes.ran().values()) == {1}
    proven(nodes, 24)
    return nodes.output("2")


@pytest.mark.parametrize("start", ["fork", "spawn"])
def test_randomly(nodes: Nodes, qe: Qe, start: str) -> None:  # noqa: F811
    qe.use("randomly")
    text = _share(nodes, qe, f"--qe-start={start}")
    seed = queues.seed("one")
    assert f"qe: one order for all nodes, by the run's name: --randomly-seed={seed}" in text
    assert f"Using --randomly-seed={seed}" in text
    assert f"seed={seed}" in text


def test_random_order(nodes: Nodes, qe: Qe) -> None:  # noqa: F811
    qe.use("random_order")
    text = _share(nodes, qe, "--random-order")
    assert f"by the run's name: --random-order-seed={queues.seed('one')}\n" in text
    assert "Using --random-order-bucket=module" in text


def test_random_order_that_is_off_stays_off(nodes: Nodes, qe: Qe) -> None:  # noqa: F811
    qe.use("random_order")
    text = _share(nodes, qe)
    assert "Test order randomisation NOT enabled" in text
    assert "one order for all nodes" not in text


def test_a_seed_that_was_chosen_stays(nodes: Nodes, qe: Qe) -> None:  # noqa: F811
    qe.use("randomly")
    text = _share(nodes, qe, "--randomly-seed=77", "--qe-seed=5")
    assert "Using --randomly-seed=77" in text
    assert "one order for all nodes" not in text
    assert "seed=5" in text


def test_another_run_has_another_order(nodes: Nodes, qe: Qe) -> None:  # noqa: F811
    qe.use("randomly")
    orders = []
    for name in ("x", "y", "x2"):
        nodes.run = name
        qe.files(test_a=SUITE)
        nodes.start(name, "-v", "--qe-parallel=1")
        nodes.wait(name)
        orders.append(re.findall(r"PASSED \S*test_x\[(\d+)\]", nodes.output(name)))
        assert len(orders[-1]) == 12
    assert len({tuple(order) for order in orders}) == 3
