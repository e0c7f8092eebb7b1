"""One serial run of each suite is shared; the table is printed at the end."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))

from parity import BOUND, Parity
from suites import PYTHON

# A suite to run, not to collect: it fails on purpose.
collect_ignore = ["odd"]


@pytest.fixture(scope="session")
def e2e_python() -> Path:
    """The interpreter of the environment that has the installed distribution."""
    return Path(os.environ.get("QE_E2E_PYTHON", PYTHON)).absolute()


@pytest.fixture(scope="session")
def parity(e2e_python: Path, pytestconfig: pytest.Config) -> Parity:
    runs = Parity(e2e_python)
    pytestconfig.stash[PARITY] = runs
    return runs


PARITY = pytest.StashKey[Parity]()


def pytest_report_header() -> str:
    from test_parity import PART

    return f"parity: part {PART}; the same again: make parity ARGS='part --part={PART}'"


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    runs = terminalreporter.config.stash.get(PARITY, None)
    if runs is not None and runs.rows:
        terminalreporter.section("serial against parallel")
        terminalreporter.write_line(runs.table())
        terminalreporter.write_line(BOUND)
