"""What the tests of the flaky corpus have in common, as source: library, fixtures, imports."""

#: The library that the tests test: the shared state of each use is added to it.
LIBRARY = '''"""The library under test."""
import contextlib
import itertools
import os
import random
import resource
import socket
import tempfile
import time
import zlib
from pathlib import Path

HERE = Path(__file__).parent
SHARED = Path(tempfile.gettempdir())


class Registry:
    """Names, each of which may be registered once."""

    def __init__(self):
        self.names = set()

    def register(self, name):
        if name in self.names:
            raise ValueError(f"{name} is registered already")
        self.names.add(name)


@contextlib.contextmanager
def lock(name):
    """A lock file in the project: who finds it there does not wait."""
    path = HERE / f"{name}.lock"
    os.close(os.open(path, os.O_CREAT | os.O_EXCL))
    try:
        yield
    finally:
        path.unlink()


@contextlib.contextmanager
def server(number):
    """A server at an address that is always the same."""
    with socket.socket(socket.AF_UNIX) as listening:
        listening.bind(f"\\0shop-{zlib.crc32(bytes(HERE))}-{number}")
        yield


@contextlib.contextmanager
def few_files():
    """Few files may be open at once; gives how many more."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    used = {int(name) for name in os.listdir("/proc/self/fd")}
    limit = max(used) + 64
    if soft != resource.RLIM_INFINITY:
        limit = min(soft, limit)
    resource.setrlimit(resource.RLIMIT_NOFILE, (limit, hard))
    try:
        yield limit - (len([fd for fd in used if fd < limit]) - 1)
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


def serve(clients):
    """A file for each client, all open at once."""
    with contextlib.ExitStack() as files:
        for _ in range(clients):
            files.enter_context(open("/dev/null"))


@contextlib.contextmanager
def small_files(limit):
    """No file may grow beyond the limit."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    if soft != resource.RLIM_INFINITY:
        limit = min(soft, limit)
    resource.setrlimit(resource.RLIMIT_FSIZE, (limit, hard))
    try:
        yield limit
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


def demand(capacity, rate):
    """What users ask for, which is more than the capacity at this rate."""
    return int(capacity * random.SystemRandom().random() / (1 - rate)) + 1


def latency(mean):
    """How long an answer takes: no seed decides that."""
    return random.SystemRandom().expovariate(1 / mean)


def stamp():
    """The time, to a twentieth of a second."""
    return time.time_ns() // 50_000_000


def spin(seconds):
    until = time.perf_counter() + seconds
    while time.perf_counter() < until:
        pass
'''

CONFTEST = '''"""Fixtures of several scopes."""
import pytest


@pytest.fixture(scope="session")
def settings():
    return {"currency": "EUR"}


@pytest.fixture(scope="package")
def catalogue(settings):
    yield [settings["currency"]]


@pytest.fixture(scope="class")
def shelf():
    yield []
'''

MODULE = """import math
import os
import random
import tempfile
import threading
import time
import uuid
from pathlib import Path

import pytest

import shop


@pytest.fixture(scope="module")
def ledger(settings):
    yield {"currency": settings["currency"]}
"""
