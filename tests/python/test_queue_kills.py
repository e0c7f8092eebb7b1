"""A shared run while nodes, workers and the server are killed, at random, again and again."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

from conftest import HUNG, Qe
from queue_help import make_server
from test_queue_run import RUNS, Nodes, proven

_TESTS = 2000
_KILLS = 50
_NODES = 3
_SECONDS = 240


def _running(folder: Path) -> list[int]:
    """Workers that have begun a test lately."""
    begun = sorted(folder.glob("by-*"), key=lambda path: path.stat().st_mtime)
    texts = [path.read_text().split() for path in begun[-2 * _NODES :]]
    return [int(words[1]) for words in texts if len(words) == 2]  # or it is being written


def _kill(pid: int) -> bool:
    try:
        os.kill(pid, signal.SIGKILL)
    except ProcessLookupError:
        return False
    return True


def test_fifty_kills_lose_and_double_nothing(qe: Qe, tmp_path_factory: Any) -> None:
    seed = random.randrange(2**32)
    print(f"seed {seed}")
    rng = random.Random(seed)
    server = make_server(
        tmp_path_factory.mktemp("kills"), "--appendonly", "yes", "--appendfsync", "always"
    )
    nodes = Nodes(qe, server)
    for file in range(8):
        qe.files(
            **{
                f"test_{file}": f"""{RUNS}
@pytest.mark.parametrize("n", range({_TESTS // 8}))
def test_x(n):
    ran(f"{file}-{{n}}", 0.05)
"""
            }
        )
    # Of a worker that was killed the test runs again, as after any crash.
    words = ["--qe-queue-lease=1", "--qe-retries=20", "--qe-parallel=2"]
    began = 0
    kills = {"node": 0, "worker": 0, "server": 0}
    until = time.monotonic() + _SECONDS
    try:
        while True:
            assert time.monotonic() < until, (seed, kills, nodes.report()[2])
            alive = [name for name, one in nodes.processes.items() if one.poll() is None]
            ended = {n: p.returncode for n, p in nodes.processes.items() if p.poll() is not None}
            if 0 in ended.values():
                break
            odd = [name for name, status in ended.items() if status != -signal.SIGKILL]
            assert not odd, f"seed {seed}, {kills}: {nodes.output(odd[0])}"
            assert began < 100, (seed, kills)
            while len(alive) < _NODES:
                began += 1
                nodes.start(str(began), *words)
                alive.append(str(began))
            time.sleep(rng.uniform(0.05, 0.3))
            if sum(kills.values()) >= _KILLS:
                continue
            what = rng.choices(["node", "worker", "server"], [2, 6, 1])[0]
            victim = nodes.processes[rng.choice(alive)]
            if what == "server":
                server.stop()
                time.sleep(rng.uniform(0, 0.3))
                server.start()
            elif what == "node":
                victim.kill()
            else:
                running = _running(qe.path)
                if not running or not _kill(rng.choice(running)):
                    continue
            kills[what] += 1
        for one in nodes.processes.values():
            one.wait(HUNG)
        data = proven(nodes, _TESTS)
        assert sum(kills.values()) == _KILLS, (seed, kills)
        outcomes = {test["outcome"] for test in data["tests"]}
        assert outcomes <= {"passed", "flaky"}, (seed, kills)
        assert len(nodes.ran()) == _TESTS
        # Nothing of the nodes is left.
        left = subprocess.run(
            ["pgrep", "-f", server.url], capture_output=True, text=True, check=False
        ).stdout.split()
        assert not left, (seed, left)
        print(kills, began, "nodes", file=sys.stderr)
    finally:
        nodes.close()
        server.stop()
