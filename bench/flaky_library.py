"""What the tests of the flaky corpus have in common, as source: library, fixtures, imports."""

#: The library that the tests test: the shared state of each use is added to it.
LIBRARY = '''"""The library under test."""
import contextlib
import itertools
import math
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
def few_files(room=60):
    """So many more files may be open at once, where more may be; gives how many."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    used = sorted(int(name) for name in os.listdir("/proc/self/fd"))[:-1]
    limit = room
    while limit - sum(fd < limit for fd in used) < room:
        limit += 1
    if soft != resource.RLIM_INFINITY:
        limit = min(soft, limit)
    resource.setrlimit(resource.RLIMIT_NOFILE, (limit, hard))
    try:
        yield limit - sum(fd < limit for fd in used)
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


def noise():
    """From 0 to 1, as the world is: no seed decides that."""
    with open("/dev/urandom", "rb") as world:
        return int.from_bytes(world.read(7), "big") / 2**56


def demand(capacity, rate):
    """What users ask for, which is more than the capacity at this rate."""
    return int(capacity * noise() / (1 - rate)) + 1


def latency(mean):
    """How long an answer takes."""
    return -mean * math.log(1 - noise())


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
