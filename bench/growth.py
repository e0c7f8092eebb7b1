"""How cost grows: with tests, and with workers. Writes a plot.

python bench/growth.py [--plot PATH] [--most TESTS]
"""

from __future__ import annotations

import argparse
import statistics
from pathlib import Path

import suites
from timing import QE, SERIAL, machine, run, suite, table

TESTS = (1_000, 3_000, 10_000, 30_000, 100_000)
WORKERS = (1, 2, 4, 8, 16, 32, 64)
SLEEPS = 128
SECONDS = 0.25


def by_tests(most: int, rounds: int = 3) -> list[tuple[int, float, float, float]]:
    """(tests, wall, processor, serial wall) of the trivial suite, 2 workers."""
    found = []
    for count in TESTS:
        if count > most:
            break
        with suite(lambda folder, n=count: suites.trivial(folder, n // 50)) as folder:  # type: ignore[misc]
            run(SERIAL, folder)
            serial = statistics.median(run(SERIAL, folder)[0] for _ in range(rounds))
            times = [run([*QE, "--qe-parallel=2"], folder) for _ in range(rounds)]
        wall, cpu = (statistics.median(t[i] for t in times) for i in (0, 1))
        found.append((count, wall, cpu, serial))
    return found


def by_workers(rounds: int = 3) -> list[tuple[int, float, float]]:
    """(workers, wall, processor) of sleeping tests."""
    found = []
    with suite(lambda folder: suites.sleeping(folder, SLEEPS, SECONDS)) as folder:
        run([*QE, "--qe-parallel=64"], folder)
        for count in WORKERS:
            times = [run([*QE, f"--qe-parallel={count}"], folder) for _ in range(rounds)]
            wall, cpu = (statistics.median(t[i] for t in times) for i in (0, 1))
            found.append((count, wall, cpu))
    return found


def report(plot: Path, most: int) -> str:
    """Both tables; the plot goes to ``plot``."""
    tests, workers = by_tests(most), by_workers()
    _draw(plot, tests, workers)
    first = table(
        ["tests (2 workers)", "wall s", "ms a test", "cpu s", "serial s", "ratio"],
        [[f"{n:,}", f"{wall:.2f}", f"{1000 * wall / n:.3f}", f"{cpu:.2f}", f"{serial:.2f}",
          f"{wall / serial:.2f}"] for n, wall, cpu, serial in tests],
    )  # fmt: skip
    second = table(
        [f"workers ({SLEEPS} tests of {SECONDS} s)", "wall s", "ideal s", "cpu s"],
        [[str(n), f"{wall:.2f}", f"{SLEEPS * SECONDS / n:.2f}", f"{cpu:.2f}"]
         for n, wall, cpu in workers],
    )  # fmt: skip
    return first + "\n\n" + second


def _draw(
    path: Path,
    tests: list[tuple[int, float, float, float]],
    workers: list[tuple[int, float, float]],
) -> None:
    import matplotlib

    matplotlib.use("svg")
    matplotlib.rcParams["svg.hashsalt"] = "qe"
    from matplotlib import pyplot

    figure, (left, right) = pyplot.subplots(1, 2, figsize=(10, 4))
    counts = [row[0] for row in tests]
    left.loglog(counts, [row[3] for row in tests], "o-", label="pytest, wall")
    left.loglog(counts, [row[1] for row in tests], "o-", label="qe 2 workers, wall")
    left.loglog(counts, [row[2] for row in tests], "o--", label="qe 2 workers, processor")
    left.set(xlabel="trivial tests", ylabel="seconds")
    left.legend()
    counts = [row[0] for row in workers]
    right.loglog(counts, [row[1] for row in workers], "o-", label="qe, wall", base=2)
    right.loglog(counts, [SLEEPS * SECONDS / n for n in counts], ":", label="ideal", base=2)
    right.loglog(counts, [row[2] for row in workers], "o--", label="qe, processor", base=2)
    right.set(xlabel=f"workers, {SLEEPS} tests that sleep {SECONDS} s", ylabel="seconds")
    right.legend()
    figure.tight_layout()
    figure.savefig(path, metadata={"Date": None})


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--plot", type=Path, default=Path("bench/growth.svg"))
    parser.add_argument("--most", type=int, default=TESTS[-1], help="of tests")
    args = parser.parse_args()
    print(machine())
    print(report(args.plot, args.most))


if __name__ == "__main__":
    main()
