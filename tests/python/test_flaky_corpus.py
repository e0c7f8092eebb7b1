"""The corpus of bench/flaky_corpus.py is what its manifest says, for serial pytest."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from conftest import Qe

GENERATOR = Path(__file__).parents[2] / "bench" / "flaky_corpus.py"
SEED = 11
ALWAYS = {"order", "brittle", "self", "files", "neighbours"}
AT_A_RATE = {"hash", "random", "time", "timing", "resources"}

#: Each test twice in a row, in one process.
TWICE = """
    def pytest_collection_modifyitems(items):
        items[:] = [item for item in items for _ in range(2)]
"""
#: Holds something until its input ends.
HOLD = "import sys, shop\nwith {}:\n    print('held', flush=True)\n    sys.stdin.read()"

Manifest = dict[str, dict[str, Any]]


def generate(folder: Path, seed: int) -> dict[str, str]:
    """What the generator made, by name of the file."""
    subprocess.run([sys.executable, GENERATOR, folder, f"--seed={seed}"], check=True)
    return {path.name: path.read_text("utf-8") for path in folder.iterdir() if path.is_file()}


class Corpus:
    """A corpus, and serial pytest to run of it what one wants."""

    def __init__(self, qe: Qe) -> None:
        self.qe = qe
        self.tests: Manifest = json.loads(generate(qe.path, SEED)["manifest.json"])["tests"]
        self.homes = 0

    def of(self, *classes: str) -> list[str]:
        return [name for name, told in self.tests.items() if told["class"] in classes]

    def helpers(self, kind: str, classes: str) -> list[str]:
        return [one for name in self.of(classes) for one in self.tests[name].get(kind, [])]

    def failing(self, *args: str, home: str | None = None) -> set[str]:
        """What fails, in temporary and home folders of its own, unless one is named."""
        self.homes += home is None
        folder = self.qe.path / (home or f"home{self.homes}")
        folder.mkdir(exist_ok=True)
        self.qe.setenv("TMPDIR", str(folder))
        self.qe.setenv("HOME", str(folder))
        result = self.qe.run("-p", "no:qe", "-q", "--tb=no", "-rfE", *args)
        assert result.ret in (0, 1), result.stdout.str()
        return set(re.findall(r"^(?:FAILED|ERROR) (\S+)", result.stdout.str(), re.MULTILINE))


@pytest.fixture
def corpus(qe: Qe) -> Corpus:
    return Corpus(qe)


def test_a_seed_decides_the_corpus(tmp_path: Path) -> None:
    made = [generate(tmp_path / str(i), seed) for i, seed in enumerate((SEED, SEED, SEED + 1))]
    assert made[0] == made[1]
    assert made[0] != made[2]


def test_the_manifest_tells_what_pytest_collects(corpus: Corpus) -> None:
    result = corpus.qe.run("-p", "no:qe", "-q", "--collect-only")
    collected = [line for line in result.outlines if "::" in line]
    assert collected == list(corpus.tests)
    assert len(collected) >= 60
    flaky = {name: told for name, told in corpus.tests.items() if told["class"] != "healthy"}
    assert {told["class"] for told in flaky.values()} == ALWAYS | AT_A_RATE
    assert 2 * len(flaky) == len(collected)
    for told in flaky.values():
        assert told["rate"] == 1 if told["class"] in ALWAYS else 0.01 <= told["rate"] <= 0.5
    assert all(told["rate"] == 0 for name, told in corpus.tests.items() if name not in flaky)


def test_only_those_with_a_rate_fail_as_defined(corpus: Corpus) -> None:
    assert corpus.failing() <= set(corpus.of(*AT_A_RATE))


def test_order_decides(corpus: Corpus) -> None:
    victims, brittle = corpus.of("order"), corpus.of("brittle")
    polluters = corpus.helpers("polluters", "order")
    cleaners = corpus.helpers("cleaners", "order")
    setters = corpus.helpers("setters", "brittle")
    assert corpus.failing(*polluters, *victims) == set(victims)
    cleaned = {v for v in victims if "cleaners" in corpus.tests[v]}
    assert cleaned
    assert corpus.failing(*polluters, *cleaners, *victims) == set(victims) - cleaned
    assert corpus.failing(*victims, *brittle) == set(brittle)
    assert corpus.failing(*setters, *brittle) == set()


def test_each_polluter_is_one(corpus: Corpus) -> None:
    several = [v for v in corpus.of("order") if len(corpus.tests[v]["polluters"]) > 1]
    assert several
    for polluter in corpus.tests[several[0]]["polluters"]:
        assert corpus.failing(polluter, several[0]) == {several[0]}


def test_a_second_run_decides(corpus: Corpus) -> None:
    """In one process, or of what the first leaves in files."""
    again, files = corpus.of("self"), corpus.of("files")
    corpus.qe.files(twice=TWICE)
    assert corpus.failing("-p", "twice", *again) == set(again)
    polluters = corpus.helpers("polluters", "files")
    assert polluters
    assert corpus.failing(*again, *files, *polluters, home="kept") == set()
    assert corpus.failing(*again, *files, home="kept") == set(files)


def test_neighbours_decide(corpus: Corpus) -> None:
    tests = corpus.of("neighbours")
    assert corpus.failing(*tests) == set()
    holders = []
    try:
        for held in sorted({corpus.tests[name]["holds"] for name in tests}):
            holder = subprocess.Popen(
                [sys.executable, "-c", HOLD.format(held)],
                cwd=corpus.qe.path, env=os.environ | {"PYTHONPATH": str(corpus.qe.path)},
                stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
            )  # fmt: skip
            holders.append(holder)
            assert holder.stdout is not None
            assert holder.stdout.readline() == "held\n"
        assert corpus.failing(*tests) == set(tests)
    finally:
        for holder in holders:
            holder.communicate(timeout=30)
    assert all(holder.returncode == 0 for holder in holders)
    assert corpus.failing(*tests) == set()


def test_the_hash_seed_decides(corpus: Corpus) -> None:
    often = max(corpus.of("hash"), key=lambda name: corpus.tests[name]["rate"])
    assert corpus.tests[often]["rate"] > 0.2
    seen: dict[bool, int] = {}
    for seed in range(1, 31):
        corpus.qe.setenv("PYTHONHASHSEED", str(seed))
        seen.setdefault(bool(corpus.failing(often)), seed)
        if len(seen) == 2:
            break
    assert set(seen) == {True, False}
    corpus.qe.setenv("PYTHONHASHSEED", str(seen[True]))
    assert all(corpus.failing(often) for _ in range(2))
