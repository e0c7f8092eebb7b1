"""The system refuses processes, descriptors or memory."""

from __future__ import annotations

import ctypes
import os
import resource
import subprocess
import sys
from collections.abc import Callable

import pytest

from conftest import HUNG, Qe

PR_CAPBSET_DROP, CAP_SYS_ADMIN, CAP_SYS_RESOURCE = 24, 21, 24
TESTS = """
    import pytest, time
    @pytest.mark.parametrize("n", range(40))
    def test_it(n): time.sleep(0.01)
"""


def run(qe: Qe, before: Callable[[], None], *args: str) -> tuple[int, str]:
    """pytest in a process with limits; its status and output."""
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", "--qe-no-history",
         f"--basetemp={qe.path}/tmp", *args],
        cwd=qe.path, preexec_fn=before, timeout=HUNG, text=True, check=False,
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
    )  # fmt: skip
    return done.returncode, done.stdout


def files(limit: int) -> Callable[[], None]:
    return lambda: resource.setrlimit(resource.RLIMIT_NOFILE, (limit, limit))


def test_few_descriptors_are_fewer_workers(qe: Qe) -> None:
    qe.files(test_it=TESTS)
    status, text = run(qe, files(80), "--qe-parallel=16")
    assert status == 0, text
    assert "40 passed" in text
    assert "the limit of open files has room for" in text
    assert " of 16 workers" in text


def test_hardly_any_descriptors_is_said(qe: Qe) -> None:
    qe.files(test_it=TESTS)
    status, text = run(qe, files(14), "--qe-parallel=2")
    assert status == 1, text
    assert "no worker can be started: Too many open files" in text
    assert "INTERNALERROR" not in text and "Traceback" not in text


def processes(limit: int) -> Callable[[], None]:
    """As a user that has no other process, but may read what root may: neither root
    nor who has one of these two capabilities has a limit."""

    def before() -> None:
        libc = ctypes.CDLL(None, use_errno=True)
        for capability in (CAP_SYS_ADMIN, CAP_SYS_RESOURCE):
            if libc.prctl(PR_CAPBSET_DROP, capability, 0, 0, 0) != 0:
                raise OSError(ctypes.get_errno(), "prctl")
        os.setresuid(100_000 + os.getpid(), 0, 0)
        resource.setrlimit(resource.RLIMIT_NPROC, (limit, limit))

    return before


needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="needs root, to become a new user")


@needs_root
@pytest.mark.parametrize("more", [(), ("--qe-flaky=10",), ("--qe-isolate",), ("--qe-retries=1",)],
                         ids=" ".join)  # fmt: skip
def test_few_processes_are_fewer_workers(qe: Qe, more: tuple[str, ...]) -> None:
    """The controller, the supervisor, its standby, and two more."""
    qe.files(test_it=TESTS)
    status, text = run(qe, processes(5), "--qe-parallel=4", *more)
    assert status == 0, text
    assert "the system refused to start a worker" in text
    assert "40 passed" in text


@needs_root
@pytest.mark.parametrize("more", [(), ("--qe-flaky=10",)], ids=" ".join)
def test_no_processes_is_said(qe: Qe, more: tuple[str, ...]) -> None:
    qe.files(test_it=TESTS)
    status, text = run(qe, processes(3), "--qe-parallel=4", *more)
    assert status == 1, text
    assert "no worker can be started: Resource temporarily unavailable" in text
    assert "INTERNALERROR" not in text


@needs_root
def test_not_even_a_supervisor(qe: Qe) -> None:
    qe.files(test_it=TESTS)
    status, text = run(qe, processes(1), "--qe-parallel=4")
    assert status == 1, text
    assert "no worker can be started: Resource temporarily unavailable" in text
    assert "INTERNALERROR" not in text and "Traceback" not in text


def test_a_worker_without_memory_fails_its_test_alone(qe: Qe) -> None:
    """A limit of memory that one test meets."""
    qe.files(
        test_it="""
        import resource
        def test_much():
            with open("/proc/self/statm") as file:
                size = int(file.read().split()[0]) * resource.getpagesize()
            resource.setrlimit(resource.RLIMIT_AS, (size + (64 << 20),) * 2)
            assert bytearray(1 << 30)
        def test_little(): pass
    """
    )
    result = qe.run("--qe-parallel=2")
    result.assert_outcomes(passed=1, failed=1)
    result.stdout.fnmatch_lines(["*MemoryError*"])


def test_no_memory_for_the_arena(qe: Qe) -> None:
    qe.files(test_it=TESTS)

    qe.files(
        conftest="""
        import resource
        def pytest_collection_finish():
            with open("/proc/self/statm") as file:
                size = int(file.read().split()[0]) * resource.getpagesize()
            resource.setrlimit(resource.RLIMIT_AS, (size + (2 << 20),) * 2)
    """
    )
    status, text = run(qe, files(4096), "--qe-parallel=64")
    assert status == 1, text
    assert "no worker can be started: Cannot allocate memory" in text
    assert "INTERNALERROR" not in text
