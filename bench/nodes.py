"""One run shared by nodes through a queue server, beside one node of as many workers.

    python bench/nodes.py [--rounds N] [--nodes N]

Sleeping tests show what sharing costs in time, from the first test's beginning to the last
one's end, among nodes that have waited for each other: starting eight interpreters on one
machine is not what eight machines do. Tests of 10 ms of work, by one node with the queue and
one without, show what it costs in processor time. The server is on this machine.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import resource
import shutil
import socket
import statistics
import subprocess
import sys
import tempfile
import time
import uuid
from collections.abc import Iterator
from pathlib import Path

from timing import OFF, QE, machine, suite, table

SLEEPS = """
import time
import pytest

@pytest.mark.parametrize("n", range(20))
def test_sleep(n):
    time.sleep({seconds})
"""

WORKS = """
import time
import pytest

@pytest.mark.parametrize("n", range(50))
def test_work(n):
    until = time.thread_time() + 0.01
    while time.thread_time() < until:
        pass
"""


MEETS = """
import os, pathlib, time
import pytest

folder = pathlib.Path(os.environ["BENCH_FOLDER"])
times = []

@pytest.hookimpl(trylast=True)
def pytest_collection_finish(session):
    (folder / f"here-{os.getpid()}").touch()
    while len(list(folder.glob("here-*"))) < int(os.environ["BENCH_NODES"]):
        time.sleep(0.005)

def pytest_runtest_logreport(report):
    times.extend((report.start, report.stop))

def pytest_sessionfinish(session):
    if times:
        (folder / f"times-{os.getpid()}").write_text(f"{min(times)} {max(times)}")
"""


def sleeping(folder: Path) -> None:
    """240 tests of 0.1 s in twelve files, whose nodes wait for each other."""
    (folder / "conftest.py").write_text(MEETS)
    for number in range(12):
        (folder / f"test_s{number:02}.py").write_text(SLEEPS.format(seconds=0.1))


def working(folder: Path) -> None:
    """600 tests of 10 ms of processor time."""
    for number in range(12):
        (folder / f"test_w{number:02}.py").write_text(WORKS)


@contextlib.contextmanager
def server() -> Iterator[str]:
    """A queue server on a free port of this machine, and its URL."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    with tempfile.TemporaryDirectory(prefix="qe-bench-redis-") as folder:
        process = subprocess.Popen(
            ["redis-server", "--bind", "127.0.0.1", "--port", str(port), "--dir", folder,
             "--save", "", "--appendonly", "no"],
            stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
        )  # fmt: skip
        try:
            for _ in range(500):
                with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port)):
                    break
                time.sleep(0.01)
            yield f"redis://127.0.0.1:{port}/"
        finally:
            process.terminate()
            process.wait()


def together(commands: list[list[str]], folder: Path) -> tuple[float, float]:
    """Wall and processor seconds until all of them have ended; of a suite that notes when its
    tests began and ended, of these."""
    env = {k: v for k, v in os.environ.items() if k != "PYTHONDONTWRITEBYTECODE"}
    notes = Path(tempfile.mkdtemp(prefix="qe-bench-notes-"))
    env |= {"BENCH_FOLDER": str(notes), "BENCH_NODES": str(len(commands))}
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    began = time.perf_counter()
    processes = [
        subprocess.Popen(
            argv, cwd=folder, env=env, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT, text=True,
        )
        for argv in commands
    ]  # fmt: skip
    outputs = [process.communicate(timeout=600)[0] for process in processes]
    wall = time.perf_counter() - began
    for process, output in zip(processes, outputs, strict=True):
        if process.returncode != 0:
            raise SystemExit(f"{' '.join(process.args)} failed:\n{output[-2000:]}")  # type: ignore[arg-type]
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    spans = [path.read_text().split() for path in notes.glob("times-*")]
    shutil.rmtree(notes)
    if spans:
        wall = max(float(end) for _, end in spans) - min(float(begin) for begin, _ in spans)
    return wall, after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def _pytest(*options: str) -> list[str]:
    return [sys.executable, "-m", "pytest", "-q", *OFF, *QE, "-p", "no:randomly", *options]


def _ratios(
    rounds: int, folder: Path, one: list[list[str]], other: list[list[str]], url: str
) -> tuple[list[float], list[float], list[float], list[float]]:
    """Walls and processor times of both, in turn; ``RUN`` stands for a name of the run."""

    def once(commands: list[list[str]]) -> tuple[float, float]:
        name = uuid.uuid4().hex
        return together([[word.replace("RUN", name) for word in c] for c in commands], folder)

    once(one)
    once(other)
    walls: tuple[list[float], list[float]] = ([], [])
    cpus: tuple[list[float], list[float]] = ([], [])
    for _ in range(rounds):
        for side, commands in enumerate((one, other)):
            wall, cpu = once(commands)
            walls[side].append(wall)
            cpus[side].append(cpu)
    return walls[0], walls[1], cpus[0], cpus[1]


def report(rounds: int, nodes: int) -> str:
    """The table: medians of each round's ratio."""
    rows = []
    with server() as url:
        queue = [f"--qe-queue={url}", "--qe-run=RUN"]
        with suite(sleeping) as folder:
            shared, alone, _, _ = _ratios(
                rounds, folder, [_pytest(*queue)] * nodes, [_pytest(f"--qe-parallel={nodes}")], url
            )
        ratio = statistics.median(a / b for a, b in zip(shared, alone, strict=True))
        rows.append(
            [f"{nodes} nodes of 1 worker, 1 node of {nodes}: wall",
             f"{statistics.median(shared):.2f}", f"{statistics.median(alone):.2f}", f"{ratio:.3f}"]
        )  # fmt: skip
        with suite(working) as folder:
            _, _, shared, alone = _ratios(
                rounds, folder, [_pytest("--qe-parallel=2", *queue)],
                [_pytest("--qe-parallel=2")], url,
            )  # fmt: skip
        ratio = statistics.median(a / b for a, b in zip(shared, alone, strict=True))
        rows.append(
            ["10 ms tests, 1 node with the queue, 1 without: cpu",
             f"{statistics.median(shared):.2f}", f"{statistics.median(alone):.2f}", f"{ratio:.3f}"]
        )  # fmt: skip
    return table(["what", "with s", "without s", "ratio"], rows)


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--nodes", type=int, default=8)
    args = parser.parse_args()
    print(machine())
    print(report(args.rounds, args.nodes))


if __name__ == "__main__":
    main()
