"""The machine says no: memory, stack, disk, permissions. Runs end with right results."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import uuid
from collections.abc import Iterator
from pathlib import Path

import pytest

from conftest import Qe, fill, mounted, wait_for

SUITE = """
    import pytest
    @pytest.mark.parametrize("value", range(20))
    def test_it(value):
        print("printed by", value)
        assert value != 3
    def test_path(tmp_path): (tmp_path / "file").write_text("x")
"""


# ---------------------------------------------------------------------- memory


def _memory_group() -> tuple[Path | None, str]:
    """A control group with a memory limit of 128 MiB; without one, why."""
    root = Path("/sys/fs/cgroup")
    for parent, limit in (
        (root / "memory", "memory.limit_in_bytes"),
        (root, "memory.max"),
    ):
        group = parent / f"qe-test-{uuid.uuid4().hex}"
        try:
            group.mkdir()
        except OSError as error:
            reason = str(error)
            continue
        try:
            if (group / limit).exists():
                (group / limit).write_text(str(128 << 20))
                return group, ""
            reason = f"{group} has no {limit}"
        except OSError as error:
            reason = str(error)
        group.rmdir()
    return None, reason


@pytest.fixture
def memory_group() -> Iterator[Path]:
    group, reason = _memory_group()
    if group is None:
        pytest.skip(f"no control group for memory can be made: {reason}")
    yield group
    procs = group / "cgroup.procs"
    wait_for(lambda: not procs.read_text().strip(), "the processes of the control group")
    group.rmdir()


@pytest.mark.parametrize("start", ["fork", "spawn"])
def test_a_test_that_the_kernel_kills_for_its_memory(
    qe: Qe, memory_group: Path, start: str
) -> None:
    qe.files(
        test_it=f"""
        import os
        def test_before(): pass
        def test_grows():
            with open({str(memory_group / "cgroup.procs")!r}, "w") as file:
                file.write(str(os.getpid()))
            print("grows now", flush=True)
            data = bytearray(512 << 20)
            for i in range(0, len(data), 4096): data[i] = 1
        def test_after(): pass
    """
    )
    result, written = qe.json("--qe-parallel=1", f"--qe-start={start}")
    result.assert_outcomes(passed=2, failed=1)
    assert written["test_grows"]["outcome"] == "crashed"
    assert written["test_grows"]["attempts"][0]["signal"] == "SIGKILL"
    text = result.stdout.str()
    assert "Crashed: killed by SIGKILL in call" in text
    assert "grows now" in text


def test_memory_that_is_refused_is_a_failure_as_serially(qe: Qe) -> None:
    qe.files(
        test_it="""
        import resource
        def test_refused():
            before = resource.getrlimit(resource.RLIMIT_AS)
            resource.setrlimit(resource.RLIMIT_AS, (4 << 30, before[1]))
            try: bytearray(8 << 30)
            finally: resource.setrlimit(resource.RLIMIT_AS, before)
        def test_after(): pass
    """
    )
    serial = qe.run()
    result = qe.run("--qe-parallel=1")
    assert result.parseoutcomes() == serial.parseoutcomes() == {"passed": 1, "failed": 1}
    result.stdout.fnmatch_lines(["E*MemoryError"])


@pytest.mark.parametrize("start", ["fork", "spawn"])
def test_an_exhausted_stack_names_the_signal_and_the_line(qe: Qe, start: str) -> None:
    qe.files(
        test_it="""
        def test_before(): pass
        def test_deep():
            nested = ()
            for _ in range(10**6): nested = (nested,)
            hash(nested)
        def test_after(): pass
    """
    )
    result, written = qe.json("--qe-parallel=1", f"--qe-start={start}")
    assert written.outcomes() == {
        "test_before": "passed", "test_deep": "crashed", "test_after": "passed",
    }  # fmt: skip
    result.stdout.fnmatch_lines(
        [
            "Crashed: killed by SIGSEGV in call (worker gw0)",
            "*test_it.py*test_deep",
            "*hash(nested)",
        ]
    )


# ------------------------------------------------------------------------ disk


@pytest.fixture
def small_disk(qe: Qe) -> Iterator[Path]:
    yield from mounted(qe.path / "small", "-t", "tmpfs", "-o", "size=1m", "tmpfs")


@pytest.fixture
def read_only(qe: Qe) -> Iterator[Path]:
    qe.files(source__test_it=SUITE)
    source = str(qe.path / "source")
    for path in mounted(qe.path / "read_only", "--bind", source):
        subprocess.run(["mount", "-o", "remount,bind,ro", str(path)], check=True)
        yield path


def results(result: pytest.RunResult) -> dict[str, int]:
    return {k: v for k, v in result.parseoutcomes().items() if not k.startswith("warning")}


@pytest.mark.parametrize("start", ["fork", "spawn"])
@pytest.mark.parametrize("before", ["nothing", "a run"])
def test_a_full_disk_costs_no_result(qe: Qe, small_disk: Path, start: str, before: str) -> None:
    qe.files(small__test_it=SUITE)
    qe.setenv("PYTHONDONTWRITEBYTECODE", "1")
    os.chdir(small_disk)
    options = ["--qe-parallel=2", f"--qe-start={start}", "--rootdir=.", "--qe-json=result.json"]
    if before == "a run":
        qe.pytester.runpytest_subprocess(*options, timeout=60)
    fill(small_disk)
    serial = qe.pytester.runpytest_subprocess("--rootdir=.", timeout=60)
    result = qe.pytester.runpytest_subprocess(*options, timeout=60)
    assert results(result) == results(serial) == {"passed": 20, "failed": 1}
    assert result.ret == serial.ret
    result.stdout.fnmatch_lines(["qe: warning: *No space left on device*"])
    assert "INTERNALERROR" not in result.stdout.str()
    if before == "a run":  # what was there is whole
        assert len(json.loads((small_disk / "result.json").read_text())["tests"]) == 21


@pytest.mark.parametrize("start", ["fork", "spawn"])
def test_a_read_only_rootdir_costs_no_result(qe: Qe, read_only: Path, start: str) -> None:
    os.chdir(read_only)
    result = qe.pytester.runpytest_subprocess(
        "--qe-parallel=2", f"--qe-start={start}", "--rootdir=.", timeout=60
    )
    assert results(result) == {"passed": 20, "failed": 1}
    assert result.ret == 1
    result.stdout.fnmatch_lines(["qe: warning: history *Read-only file system*"])
    assert not (read_only / ".qe").exists()


def test_two_runs_at_once_in_one_folder(qe: Qe) -> None:
    qe.files(test_it=SUITE + "\n    def test_slow():\n        import time; time.sleep(1)\n")
    runs = []
    for number in range(3):
        output = open(qe.path / f"out{number}.txt", "wb")
        options = ["--qe-parallel=2", f"--qe-json=result{number}.json"]
        runs.append(qe.popen(*options, stdout=output))
        output.close()
    for number, process in enumerate(runs):
        text = (qe.path / f"out{number}.txt").read_text
        assert process.wait(60) == 1, text()
        assert "1 failed, 21 passed" in text()
        assert "warning" not in text()
        tests = json.loads((qe.path / f"result{number}.json").read_text())["tests"]
        assert len(tests) == 22
    last = json.loads((qe.path / ".pytest_cache/v/cache/lastfailed").read_text())
    assert last == {"test_it.py::test_it[3]": True}
    shutil.rmtree(qe.path / ".pytest_cache")
    qe.run("--qe-parallel=2", "-k", "slow").assert_outcomes(passed=1, deselected=21)
