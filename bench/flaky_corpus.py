"""A suite of tests, half of them flaky, of which all is known that there is to know.

    python bench/flaky_corpus.py FOLDER [--seed N] [--each N]

FOLDER gets the suite, and manifest.json: for each test its class, how often it fails
under its trigger, what triggers it, and its polluters, cleaners and setters, or what a
neighbour has to hold. The same seed makes the same suite. bench/flaky_kinds.py has the
classes.

As defined, with TMPDIR and HOME of its own, no test fails but those that do at a rate.
"""

from __future__ import annotations

import argparse
import json
import math
import random
import textwrap
from dataclasses import dataclass, field
from pathlib import Path
from string import Template
from typing import Any

from flaky_kinds import BY_RATE, DETERMINISTIC, KINDS, TRIGGERS, Kind
from flaky_library import CONFTEST, LIBRARY, MODULE

EACH = 4  # tests of a class
MODULES = 8
RATES = (0.01, 0.5)

_HELPERS = {"polluter": "polluters", "cleaner": "cleaners", "setter": "setters"}
_SCOPES = ("settings", "catalogue", "shelf", "ledger")


@dataclass
class Made:
    """A test: where it stands, its source, and what the manifest says of it."""

    at: float
    name: str
    fixtures: list[str]
    body: str
    told: dict[str, Any]
    helpers: dict[str, list[Made]] = field(default_factory=dict)
    id: str = ""


def rate_of(rng: random.Random) -> float:
    """Log-uniform, in whole hundredths of a percent."""
    low, high = map(math.log, RATES)
    return round(math.exp(rng.uniform(low, high)), 4)


def oracle(told: dict[str, Any], executions: int) -> float:
    """The chance to see a test of the manifest fail in so many runs under its trigger."""
    return 1 - (1 - float(told["rate"])) ** executions


def _use(rng: random.Random, cause: str, kind: Kind, number: int) -> tuple[str, list[Made]]:
    """One use of a kind: what the library keeps for it, and its tests."""
    rate = 1.0
    if cause in BY_RATE:
        rate = rate_of(rng)
    percent = max(1, round(100 * rate))
    if cause == "hash":
        rate = percent / 100
    values = {"n": number, "rate": rate, "percent": percent}
    places = sorted(rng.random() for _ in kind.roles)
    made = []
    for step, (role, body) in enumerate(kind.roles):
        told: dict[str, Any] = {"class": "healthy", "rate": 0.0}
        if cause != "healthy" and role not in _HELPERS:
            told = {"class": cause, "rate": rate, "trigger": TRIGGERS[cause]}
            if kind.holds:
                told["holds"] = Template(kind.holds).substitute(values)
        if role in _HELPERS:
            told["role"] = role
        fixtures = [kind.fixtures] if kind.fixtures else rng.sample(_SCOPES, rng.randrange(2))
        name = f"test_{cause}_{number}" + (f"_{role}_{step}" if len(kind.roles) > 1 else "")
        source = Template(body).substitute(values)
        made.append(Made(places[step], name, fixtures, source, told))
    for main in made:
        if "trigger" in main.told:
            for other in made:
                if "role" in other.told:
                    main.helpers.setdefault(_HELPERS[other.told["role"]], []).append(other)
    return Template(kind.state).substitute(values), made


def _tests(rng: random.Random, each: int) -> tuple[list[str], list[Made]]:
    """What the library keeps, and all tests, as they are defined; half are healthy."""
    states, made = [], []
    number = 0
    for cause in (*DETERMINISTIC, *BY_RATE):
        kinds = KINDS[cause]
        left, use = each, rng.randrange(len(kinds))
        while left > 0:
            number, use = number + 1, use + 1
            state, tests = _use(rng, cause, kinds[use % len(kinds)], number)
            states.append(state)
            made += tests
            left -= sum("trigger" in test.told for test in tests)
    while 2 * sum("trigger" in test.told for test in made) > len(made):
        number += 1
        made += _use(rng, "healthy", rng.choice(KINDS["healthy"]), number)[1]
    return [state for state in states if state], sorted(made, key=lambda test: test.at)


def _source(test: Made, method: bool) -> str:
    parameters = (["self"] if method else []) + test.fixtures
    body = textwrap.indent(test.body, "    ")
    return f"def {test.name}({', '.join(parameters)}):\n{body}\n"


def _module(rng: random.Random, name: str, tests: list[Made]) -> str:
    """The source of a module, a run of whose tests are methods of a class."""
    begin = rng.randrange(len(tests))
    end = min(len(tests), begin + rng.randrange(2, 5))
    parts = [MODULE]
    for i, test in enumerate(tests):
        inside = begin <= i < end
        if i == begin:
            parts.append("\nclass TestShop:\n")
        test.id = f"{name}::{'TestShop::' if inside else ''}{test.name}"
        source = _source(test, inside)
        parts.append(textwrap.indent(source, "    ") if inside else "\n" + source)
    return "\n".join(parts)


def generate(folder: Path, seed: int, each: int = EACH) -> dict[str, Any]:
    """Makes the suite; returns its manifest, by test id in the order of definition."""
    rng = random.Random(seed)
    states, tests = _tests(rng, each)
    (folder / "shop.py").write_text("\n\n".join([LIBRARY, *states]) + "\n")
    (folder / "conftest.py").write_text(CONFTEST)
    (folder / "pytest.ini").write_text("[pytest]\n")
    for i in range(MODULES):
        name = f"test_{chr(ord('a') + i)}.py"
        own = tests[len(tests) * i // MODULES : len(tests) * (i + 1) // MODULES]
        (folder / name).write_text(_module(rng, name, own))
    told = {}
    for test in tests:
        helpers = {role: [one.id for one in found] for role, found in test.helpers.items()}
        told[test.id] = test.told | helpers
    manifest = {"seed": seed, "tests": told}
    (folder / "manifest.json").write_text(json.dumps(manifest, indent=1) + "\n")
    return manifest


_LONG = """import time

import pytest
import random


@pytest.mark.parametrize("rate, seconds", {cases})
def test_it(rate, seconds):
    time.sleep(seconds)
    assert random.random() >= rate
"""


def heavy_tailed(folder: Path, seed: int, tests: int = 150) -> dict[str, float]:
    """A suite of tests that sleep, few of them long, half of them flaky; returns the rates.

    Durations are log-normal: the median is 1.5 ms, and one in 27 is above 0.1 s: real
    ones scaled down, yet not so far that what any execution costs hides them. The law
    of the rates, Beta(0.53, 51.7), is that of 94 real tests with 4,000 runs each.
    """
    rng = random.Random(seed)
    rates = {}
    for number in range(10):
        cases = []
        for i in range(tests // 10):
            rate = rng.betavariate(0.53, 51.7) if rng.random() < 0.5 else 0.0
            seconds = min(1.5, rng.lognormvariate(math.log(0.0015), 2.35))
            cases.append(f"pytest.param({rate!r}, {seconds:.6f}, id='{i}')")
            rates[f"test_{number}.py::test_it[{i}]"] = rate
        text = "[\n    " + ",\n    ".join(cases) + ",\n]"
        (folder / f"test_{number}.py").write_text(_LONG.format(cases=text))
    (folder / "pytest.ini").write_text("[pytest]\n")
    return rates


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("folder", type=Path, help="is made where it is missing")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--each", type=int, default=EACH, help="tests of a class")
    args = parser.parse_args()
    if args.each < 1:
        parser.error("--each must be 1 or more")
    args.folder.mkdir(parents=True, exist_ok=True)
    generate(args.folder, args.seed, args.each)
    print(args.folder / "manifest.json")


if __name__ == "__main__":
    main()
