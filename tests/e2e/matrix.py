"""Which combinations of start method and distribution are compared for which suite."""

from __future__ import annotations

import datetime

from suites import SUITES, Suite

PARALLEL = "--qe-parallel"
DISTS = ("worksteal", "loadscope", "loadfile", "loadgroup")
STARTS = ("fork", "spawn")

#: Options of every combination; neighbours differ in the start method.
COMBINATIONS = [
    f"{PARALLEL} --qe-start={start} --qe-dist={dist}" for dist in DISTS for start in STARTS
]


def full() -> list[tuple[Suite, str]]:
    """All suites, each in all combinations."""
    return [(suite, options) for suite in SUITES for options in COMBINATIONS]


def part(number: int) -> list[tuple[Suite, str]]:
    """One combination of each suite; all of them in as many parts as there are."""
    return [
        (suite, COMBINATIONS[(number + index) % len(COMBINATIONS)])
        for index, suite in enumerate(SUITES)
    ]


def part_of_today() -> int:
    """Every day has another part; after as many days as there are it is the first again."""
    return datetime.datetime.now(datetime.timezone.utc).toordinal() % len(COMBINATIONS)
