"""Fixtures that suites written for pytest-xdist ask for."""

from __future__ import annotations

import uuid

import pytest


@pytest.fixture(scope="session")
def worker_id(request: pytest.FixtureRequest) -> str:
    """The id of this worker (``gw0``, ``gw1``, ...)."""
    given = getattr(request.config, "workerinput", None)
    return "master" if given is None else str(given["workerid"])


@pytest.fixture(scope="session")
def testrun_uid(request: pytest.FixtureRequest) -> str:
    """An id of this run, the same in all workers."""
    given = getattr(request.config, "workerinput", None)
    return uuid.uuid4().hex if given is None else str(given["testrunuid"])
