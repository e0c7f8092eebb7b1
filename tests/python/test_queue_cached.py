"""Nodes whose tests, or whose order, go by the cache of each machine."""

from __future__ import annotations

from pathlib import Path

import pytest

from conftest import HUNG, Qe
from queue_help import RedisServer, redis  # noqa: F401

SUITE = """
import pytest

@pytest.mark.parametrize("n", range(4))
def test_x(n):
    assert n != 2
"""


class Machines:
    """Each a folder for its cache; all have the same tests."""

    def __init__(self, qe: Qe, server: RedisServer) -> None:
        self.qe, self.server = qe, server
        qe.files(test_a=SUITE, test_b=SUITE)

    def run(self, cache: str, *args: str) -> tuple[int, str]:
        out = self.qe.path / "out.txt"
        with open(out, "wb") as file:
            words = ["-o", f"cache_dir={cache}", "--qe-no-history", *args]
            process = self.qe.popen(*words, stdout=file)
        return process.wait(HUNG), out.read_text("utf-8", "replace")

    def node(self, cache: str, *args: str) -> tuple[int, str]:
        words = (f"--qe-queue={self.server.url}", "--qe-run=one", "--qe-queue-project=shop")
        return self.run(cache, *words, *args)


@pytest.fixture
def machines(qe: Qe, redis: RedisServer) -> Machines:  # noqa: F811
    return Machines(qe, redis)


@pytest.mark.parametrize("option", ["--lf", "--ff"])
def test_another_cache_is_named(machines: Machines, option: str) -> None:
    assert machines.run("one")[0] == 1
    assert machines.node("one", option)[0] == 1
    status, text = machines.node("two", option)
    assert status == 4
    assert f"{option} goes by pytest's cache: all nodes need the same one, or none" in text


@pytest.mark.parametrize("option", ["--lf", "--ff", "--nf"])
def test_without_a_cache_all_nodes_have_one_plan(machines: Machines, option: str) -> None:
    assert machines.node("one", option)[0] == 1
    status, text = machines.node("two", option)
    assert status == 1, text
    assert "run one: the run is over" in text


@pytest.mark.parametrize("option", ["--sw", "--stepwise"])
def test_stepwise_is_refused(machines: Machines, option: str) -> None:
    status, text = machines.node("one", option)
    assert status == 4
    assert "--qe-queue: takes no --stepwise" in text
    assert machines.server.order("KEYS", "*") == "*0\r\n"
    assert not Path(machines.qe.path / "one").exists()
