"""Real suites have the same outcomes in parallel as serially.

Set QE_E2E_OPTIONS to run other options than these: sets of them, separated by semicolons.
"""

from __future__ import annotations

import os

import pytest

from parity import PARALLEL, Parity, show
from suites import SUITES, Suite

OPTIONS = os.environ.get("QE_E2E_OPTIONS", PARALLEL).split(";")


@pytest.mark.parametrize("options", OPTIONS)
@pytest.mark.parametrize("suite", SUITES, ids=lambda suite: suite.name)
def test_parallel_run_equals_serial_run(parity: Parity, suite: Suite, options: str) -> None:
    row = parity.check(suite, options)
    if row.differences:
        pytest.fail(f"{len(row.differences)} differences\n{show(row, 3)}", pytrace=False)
    assert row.tests > 0
