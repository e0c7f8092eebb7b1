"""Tests that take others down with them, but not here.

pytest --qe-parallel --qe-timeout=2 --qe-retries=1 examples
"""

import ctypes
import os
from pathlib import Path

import pytest


@pytest.mark.parametrize("n", range(40))
def test_fine(n):
    assert n == n


def test_that_crashes():
    print("reading address 0")
    ctypes.string_at(0)


def test_that_hangs():
    print("waiting for an event that never comes")
    while True:
        pass


def test_that_leaves():
    os._exit(0)


def test_that_fails_once(tmp_path_factory):
    mark = Path(tmp_path_factory.getbasetemp().parent, "been-here")
    if not mark.exists():
        mark.touch()
        raise ConnectionError("no answer from the service")
