"""Real suites have the same outcomes in parallel as serially.

Each run compares one combination of start method and distribution a suite, each day another;
`make parity` compares all of them. Set QE_E2E_PART to compare the part of another day, or
QE_E2E_OPTIONS to run other options: sets of them, separated by semicolons.
"""

from __future__ import annotations

import os

import pytest

import matrix
from parity import Parity, show
from suites import SUITES, Suite

PART = int(os.environ.get("QE_E2E_PART") or matrix.part_of_today())
OPTIONS = os.environ.get("QE_E2E_OPTIONS")
PAIRS = (
    [(suite, options) for suite in SUITES for options in OPTIONS.split(";")]
    if OPTIONS
    else matrix.part(PART)
)


@pytest.mark.parametrize(
    ("suite", "options"), PAIRS, ids=[f"{suite.name} {options}" for suite, options in PAIRS]
)
def test_parallel_run_equals_serial_run(parity: Parity, suite: Suite, options: str) -> None:
    row = parity.check(suite, options)
    if row.differences:
        again = f"make parity ARGS='compare --suite={suite.name} --with=\"{options}\"'"
        text = f"{len(row.differences)} differences ({again})\n{show(row, 3)}"
        pytest.fail(text, pytrace=False)
    assert row.tests > 0


def test_the_parts_make_up_the_whole() -> None:
    parts = [pair for number in range(len(matrix.COMBINATIONS)) for pair in matrix.part(number)]
    key = {suite.name: index for index, suite in enumerate(SUITES)}
    assert len(parts) == len(SUITES) * len(matrix.COMBINATIONS)
    assert sorted(parts, key=lambda p: (key[p[0].name], p[1])) == sorted(
        matrix.full(), key=lambda p: (key[p[0].name], p[1])
    )
    for number in range(len(matrix.COMBINATIONS)):
        starts = {start for start in matrix.STARTS for _, o in matrix.part(number) if start in o}
        assert starts == set(matrix.STARTS)
