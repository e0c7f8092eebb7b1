"""How good the flaky hunt is: against an oracle, and beside pytest-flakefinder.

    python bench/flaky.py [--seeds N] [--first SEED] [--executions N]

First part: corpora of bench/flaky_corpus.py, each from a seed. The oracle knows what
triggers each test and at what rate, and spends as many executions of it under its
trigger; the table has the tests that it finds on average. Then whether causes, culprits
and proofs are right, by class. Second part: the same while the machine is loaded in
bursts. Third: a suite with heavy-tailed durations, and the seconds that N = 10 passes
over it take.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import re
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from flaky_corpus import BY_RATE, DETERMINISTIC, generate, heavy_tailed, oracle
from timing import OFF, QE, machine, suite, table

SEEDS = 4
FIRST = 101  # of the corpora: of none of these was anything learnt
EXECUTIONS = 9
LONG_SEEDS = 8
LOADED_SEEDS = 2
CAUSES_S = 300  # for the causes of one corpus, at the most
FLAKEFINDER = ["-p", "no:xdist", "-p", "no:qe", "--flake-finder", "-rA", "--tb=no"]
_HUNT = [*QE, "--qe-parallel=2", "--tb=no"]
_RUN_OF = re.compile(r"(PASSED|FAILED|ERROR) (\S+)\[\d+\]")


@dataclass
class Found:
    """What one command said of a suite, by test id, and what it spent."""

    verdicts: dict[str, str] = field(default_factory=dict)
    executions: int = 0
    seconds: float = 0.0
    why: dict[str, dict[str, Any]] = field(default_factory=dict)
    causes: dict[str, Any] = field(default_factory=dict)  # what they took


def _pytest(folder: Path, options: list[str]) -> tuple[str, float]:
    """Output and wall seconds of a run that finds its temporary and home folders empty."""
    unwanted = ("PYTHONDONTWRITEBYTECODE", "PYTHONUNBUFFERED", "PYTHONHASHSEED")
    env = {name: value for name, value in os.environ.items() if name not in unwanted}
    with tempfile.TemporaryDirectory(prefix="qe-bench-home-") as empty:
        began = time.perf_counter()
        done = subprocess.run(
            [sys.executable, "-m", "pytest", "-q", *OFF, *options],
            cwd=folder, env=env | {"TMPDIR": empty, "HOME": empty},
            stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=600, check=False,
        )  # fmt: skip
        seconds = time.perf_counter() - began
    if done.returncode not in (0, 1):  # 1: some test failed, as some should
        raise SystemExit(f"pytest {options} failed:\n{done.stdout[-2000:]}{done.stderr[-2000:]}")
    return done.stdout, seconds


def _qe(folder: Path, *options: str) -> tuple[dict[str, Any], float]:
    """The JSON result of a run, and its wall seconds."""
    path = folder / "result.json"
    seconds = _pytest(folder, [*_HUNT, *options, f"--qe-json={path}"])[1]
    return json.loads(path.read_text()), seconds


def hunt(folder: Path, *options: str) -> Found:
    """The adaptive hunt."""
    result, seconds = _qe(folder, *options)
    told = result["run"]["hunt"]
    verdicts = {name: one["verdict"] for name, one in told["tests"].items()}
    why = {name: one["why"] for name, one in told["tests"].items() if "why" in one}
    return Found(verdicts, told["executions"], seconds, why, told.get("causes", {}))


def fixed(folder: Path, passes: int) -> Found:
    """The same passes for each test: what is not stable is a suspect."""
    result, seconds = _qe(folder, "--qe-flaky-mode=fixed", f"--qe-flaky={passes}")
    verdicts = {one["id"]: "suspect" for one in result["tests"] if one["outcome"] == "flaky"}
    return Found(verdicts, sum(len(one["attempts"]) for one in result["tests"]), seconds)


def flakefinder(folder: Path, runs: int) -> Found:
    """pytest-flakefinder: who both failed and passed is a suspect."""
    output, seconds = _pytest(folder, [*FLAKEFINDER, f"--flake-runs={runs}"])
    seen: dict[str, Counter[bool]] = {}
    for outcome, name in _RUN_OF.findall(output):
        seen.setdefault(name, Counter())[outcome == "PASSED"] += 1
    verdicts = {
        name: "suspect" if both[True] else "stable-fail"
        for name, both in seen.items()
        if both[False]
    }
    return Found(verdicts, sum(sum(both.values()) for both in seen.values()), seconds)


@dataclass
class Score:
    """Of the tests of a class, over all corpora."""

    tests: int = 0
    oracle: float = 0.0
    seen: Counter[str] = field(default_factory=Counter)  # by "command verdict"
    why: Counter[str] = field(default_factory=Counter)

    def explain(self, told: dict[str, Any], why: dict[str, Any] | None) -> None:
        """Counts whether what was said of a test's cause is right."""
        if why is None or told["class"] == "healthy":
            return
        self.why["asked"] += 1
        if why["cause"] == told["class"]:
            self.why["right"] += 1
        else:
            self.why["unknown" if why["cause"] == "unknown" else "wrong"] += 1
        culprits = [*told.get("polluters", []), *told.get("setters", [])]
        if culprits and why["cause"] in ("order", "brittle", "files"):
            self.why["with culprit"] += 1
            self.why["culprit first"] += why["culprits"][:1] != [] and (
                why["culprits"][0] in culprits
            )
        proof = why.get("replay")
        if proof is not None:
            self.why["proofs"] += 1
            self.why["10 of 10"] += proof["failed"] == proof["runs"]

    def found(self, command: str) -> int:
        return self.seen[f"{command} confirmed"] + self.seen[f"{command} suspect"]


def _share(part: float, whole: float) -> str:
    return f"{100 * part / whole:.0f} %" if whole else "-"


def corpora(seeds: range, executions: int) -> str:
    """The first part: what each command finds, by class."""
    scores = {name: Score() for name in (*DETERMINISTIC, *BY_RATE, "healthy")}
    spent: dict[str, list[Found]] = {"qe": [], "flakefinder": []}
    for seed in seeds:
        with suite(lambda folder: None) as folder:
            manifest = generate(folder, seed)["tests"]
            options = [f"--qe-flaky={executions}", f"--qe-flaky-causes={CAUSES_S}"]
            spent["qe"].append(hunt(folder, *options))
            spent["flakefinder"].append(flakefinder(folder, executions))
        for name, told in manifest.items():
            score = scores[told["class"]]
            score.tests += 1
            score.explain(told, spent["qe"][-1].why.get(name))
            score.oracle += oracle(told, executions)
            for command, found in spent.items():
                score.seen[f"{command} {found[-1].verdicts.get(name, 'clear')}"] += 1
    healthy = scores.pop("healthy")
    flaky = Score()
    for score in scores.values():
        flaky.tests += score.tests
        flaky.oracle += score.oracle
        flaky.seen += score.seen
        flaky.why += score.why
    rows = [
        [name, str(s.tests), f"{s.oracle:.1f}", str(s.found("qe")), _share(s.found("qe"), s.oracle),
         str(s.seen["qe confirmed"]), str(s.seen["qe stable-fail"]),
         str(s.found("flakefinder")), _share(s.found("flakefinder"), s.oracle)]
        for name, s in {**scores, "all": flaky}.items()
    ]  # fmt: skip
    head = ["class", "tests", "oracle finds", "qe finds", "of it", "confirmed", "called failing",
            "flakefinder finds", "of it"]  # fmt: skip
    costs = [
        [command, str(healthy.found(command)), str(healthy.seen[f"{command} confirmed"]),
         f"{sum(f.executions for f in found) / len(found):.0f}",
         f"{sum(f.seconds for f in found) / len(found):.2f}"]
        for command, found in spent.items()
    ]  # fmt: skip
    reasons = [
        [name, str(s.why["asked"]), str(s.why["right"]), _share(s.why["right"], s.why["asked"]),
         str(s.why["wrong"]), str(s.why["unknown"]),
         f"{s.why['culprit first']} of {s.why['with culprit']}",
         f"{s.why['10 of 10']} of {s.why['proofs']}"]
        for name, s in {**scores, "all": flaky}.items()
    ]  # fmt: skip
    causes = [found.causes for found in spent["qe"]]
    number = len(causes)
    return "\n\n".join(
        [
            table(head, rows),
            table([f"of {healthy.tests} healthy tests", "reported", "confirmed",
                   "executions a suite", "wall s a suite"], costs),
            "Causes and proofs have a budget of their own: "
            f"{sum(c['executions'] for c in causes) / number:.0f} executions and "
            f"{sum(c['seconds'] for c in causes) / number:.1f} s a suite; "
            f"{sum(c['not_ended'] for c in causes)} tests were not asked to the end.",
            table(["class", "asked", "cause right", "of them", "wrong", "unknown",
                   "culprit first", "proofs that failed 10 of 10"], reasons),
        ]
    )  # fmt: skip


_SPIN = "import time; end = time.monotonic() + {:.3f}\nwhile time.monotonic() < end: pass"


class Bursts:
    """Load in bursts: as many processes as there are processors compute for 0.2 to 1 s,
    then none does for as long."""

    def __init__(self, seed: int) -> None:
        self._random = random.Random(seed)
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._work)

    def __enter__(self) -> Bursts:
        self._thread.start()
        return self

    def __exit__(self, *error: object) -> None:
        self._over.set()
        self._thread.join()

    def _work(self) -> None:
        while not self._over.is_set():
            code = _SPIN.format(self._random.uniform(0.2, 1))
            made = [
                subprocess.Popen([sys.executable, "-c", code])
                for _ in range(len(os.sched_getaffinity(0)))
            ]
            for process in made:
                process.wait()
            self._over.wait(self._random.uniform(0.2, 1))


def under_load(seeds: range, executions: int) -> str:
    """The second part: who is confirmed while the machine is loaded in bursts."""
    counts: Counter[str] = Counter()
    for seed in seeds:
        with suite(lambda folder: None) as folder, Bursts(seed):
            manifest = generate(folder, seed)["tests"]
            found = hunt(folder, f"--qe-flaky={executions}", f"--qe-flaky-causes={CAUSES_S}")
        for name, verdict in found.verdicts.items():
            kind = "healthy" if manifest[name]["class"] == "healthy" else "flaky"
            counts[f"{kind} {verdict}"] += 1
    rows = [
        [kind, *(str(counts[f"{kind} {verdict}"]) for verdict in ("confirmed", "suspect"))]
        for kind in ("flaky", "healthy")
    ]
    return table(["tests that are", "confirmed", "suspected"], rows)


def equal_seconds(seeds: range) -> str:
    """The third part: ten passes, and a hunt of as many seconds."""
    total = 0
    found: dict[str, list[Found]] = {"fixed N = 10": [], "adaptive, by seconds": []}
    right: Counter[str] = Counter()
    wrong: Counter[str] = Counter()
    for seed in seeds:
        # In folders of their own: neither knows from the other how long tests take.
        with suite(lambda folder: None) as one, suite(lambda folder: None) as other:
            for folder in (one, other):
                rates = heavy_tailed(folder, seed)
                _pytest(folder, [*QE, "--collect-only"])  # byte code
            first = fixed(one, 10)
            second = hunt(other, f"--qe-flaky-budget={first.seconds:.2f}", "--qe-flaky-causes=off")
        total += sum(rate > 0 for rate in rates.values())
        for (name, kept), run in zip(found.items(), (first, second), strict=True):
            kept.append(run)
            for test, verdict in run.verdicts.items():
                if verdict in ("confirmed", "suspect"):
                    (right if rates[test] > 0 else wrong)[name] += 1
    base = right["fixed N = 10"]
    rows = [
        [name, str(right[name]), _share(right[name], total),
         f"{right[name] / base:.1f}" if base else "-", str(wrong[name]),
         f"{sum(f.executions for f in kept) / len(kept):.0f}",
         f"{sum(f.seconds for f in kept) / len(kept):.2f}"]
        for name, kept in found.items()
    ]  # fmt: skip
    head = [f"of {total} flaky tests", "found", "recall", "ratio", "healthy reported",
            "executions a suite", "wall s a suite"]  # fmt: skip
    return table(head, rows)


def report(seeds: int = SEEDS, first: int = FIRST, executions: int = EXECUTIONS) -> str:
    """Both tables, with what they say."""
    long = seeds * LONG_SEEDS // SEEDS
    return "\n\n".join(
        [
            f"Corpora of {seeds} seeds (from {first}), {executions} executions a test on average. "
            "The oracle knows what triggers a test and how often it then fails, and spends all "
            "executions there: what it finds is an average.",
            corpora(range(first, first + seeds), executions),
            "The same while the machine is loaded in bursts.",
            under_load(range(first, first + min(seeds, LOADED_SEEDS)), executions),
            "Equal seconds: durations are log-normal, half of the tests fail at rates "
            f"from Beta(0.53, 51.7); {long} suites.",
            equal_seconds(range(first, first + long)),
        ]
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--seeds", type=int, default=SEEDS, help="how many corpora")
    parser.add_argument("--first", type=int, default=FIRST, help="the first seed")
    parser.add_argument("--executions", type=int, default=EXECUTIONS, help="a test, on average")
    args = parser.parse_args()
    if args.seeds < 1 or args.executions < 1:
        parser.error("--seeds and --executions must be 1 or more")
    print(machine() + "\n")
    print(report(args.seeds, args.first, args.executions))


if __name__ == "__main__":
    main()
