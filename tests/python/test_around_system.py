"""What is changed around a pass by the core: folders, network, processors; and that nothing
of it is left, whoever is killed."""

from __future__ import annotations

import json
import os
import random
import shutil
import signal
import subprocess
import time
from pathlib import Path
from typing import Any

import pytest

from conftest import HUNG, Qe, processes_with, wait_for
from passes import GIVEN, passed, run


def spaces(wish: str) -> None:
    """Skips where this machine lets nobody have a user space, or change its limits."""
    script = "echo 0 >/proc/sys/user/max_mnt_namespaces" if wish == "none" else "true"
    if subprocess.run(["unshare", "-Ur", "sh", "-c", script], capture_output=True).returncode:
        pytest.skip("this machine allows no user space of one's own")


def outside(qe: Qe) -> tuple[Path, Path]:
    """A folder for temporary files, in which all lies, and a home."""
    home = qe.path / "home"
    home.mkdir()
    (home / "mine").write_text("mine")
    qe.setenv("HOME", str(home))
    tmp = qe.path.parent
    qe.setenv("TMPDIR", str(tmp))
    return tmp, home


WRITES = """
    import os, pathlib, tempfile
    HOME = pathlib.Path.home()
    TMP = pathlib.Path(tempfile.gettempdir())  # as modules do, when they are imported

    def touch(path):
        before = path.exists()
        path.write_text("x")
        return before
    def both():
        return (touch(TMP / "qe-test-left"), touch(HOME / "qe-test-left"),
                touch(pathlib.Path(tempfile.gettempdir()) / "qe-test-too"),
                touch(pathlib.Path.home() / "qe-test-too"))
    def test_finds(): assert all(both())
    def test_none(): assert not any(both())
    def test_project(tmp_path):
        here = pathlib.Path(__file__)
        assert here.exists() and os.getcwd() == str(here.parent)
        assert "passes" in (here.parent / "passes.json").name
        (here.parent / "written.txt").write_text("w")
        (tmp_path / "w").write_text("w")
        assert (HOME / "mine").read_text() == "mine"
"""


@pytest.mark.parametrize("start", ["fork", "spawn"])
def test_folders_are_private_to_a_set(qe: Qe, start: str) -> None:
    tmp, home = outside(qe)
    qe.files(test_a=WRITES)
    one, two = {"files": 1}, {"files": 2}
    seen = run(
        qe,
        [
            (1, ["_none", "_finds", "_project"], one),
            (1, ["_finds", "_project"], one),
            (1, ["_none", "_finds"], two),
            (1, ["_finds"], one),
        ],
        "--qe-parallel=1",
        f"--qe-start={start}",
    )
    assert [r for _, _, r in seen.results] == [1] * 8, seen.result.stdout.str()
    assert not seen.refused
    assert (qe.path / "written.txt").exists()
    assert not [p for p in (*tmp.iterdir(), *home.iterdir()) if p.name.startswith("qe-test")]
    assert not list(qe.path.rglob("qe-files"))


NAMED = """
    import os, pathlib, tempfile
    def touch(path):
        before = path.exists()
        path.write_text("x")
        return before
    def both():
        return (touch(pathlib.Path(tempfile.gettempdir()) / "qe-test-too"),
                touch(pathlib.Path.home() / "qe-test-too"))
    def test_finds(): assert all(both())
    def test_none(): assert not any(both())
    def test_links(): assert (pathlib.Path.home() / "mine").read_text() == "mine"
"""


def test_folders_are_named_where_spaces_are_forbidden(qe: Qe) -> None:
    spaces("none")
    tmp, home = outside(qe)
    qe.setenv("QE_TEST_SPACES", "none")
    qe.files(test_a=NAMED)
    one, two = {"files": 1, "no_network": True}, {"files": 2}
    seen = run(
        qe,
        [(1, ["_none", "_finds", "_links"], one), (1, ["_finds"], one), (1, ["_none"], two)],
        "--qe-parallel=1",
    )
    assert passed(seen), seen.result.stdout.str()
    by_name = ["tmp_by_name", "home_by_name"]
    assert seen.refused == {0: ["no_network", *by_name], 1: ["no_network", *by_name], 2: by_name}
    out = seen.result.stdout.str()
    assert out.count("the system refuses a run without network") == 1
    assert not [p for p in (*tmp.iterdir(), *home.iterdir()) if p.name.startswith("qe-test")]
    assert not list(qe.path.rglob("qe-files"))


@pytest.mark.skipif(os.getuid() != 0, reason="needs root, to give up what it may")
def test_root_takes_no_space_in_which_it_could_do_less(qe: Qe) -> None:
    spaces("own")
    outside(qe)
    qe.setenv("QE_TEST_SPACES", "own")
    qe.files(test_a=NAMED)
    one = {"files": 1}
    seen = run(
        qe,
        [
            (1, ["_none", "_finds", "_links"], one),
            (1, ["_finds"], one),
            (1, ["_none"], {"files": 2}),
        ],
        "--qe-parallel=1",
    )
    assert passed(seen), seen.result.stdout.str()
    assert seen.refused == {n: ["tmp_by_name", "home_by_name"] for n in range(3)}


AROUND = """
    import os, socket, threading, time
    def beside():
        pids = open(f"/proc/{os.getpid()}/task/{os.getpid()}/children").read().split()
        return len(pids)
    def test_cpu():
        assert len(os.sched_getaffinity(0)) == 1
        assert os.sched_getscheduler(0) == os.SCHED_IDLE
        assert beside() == 0
    def test_busy():
        assert beside() == min(2, os.cpu_count())
        try:
            os.wait()
        except ChildProcessError:
            pass
        else:
            raise AssertionError
    def test_network():
        server = socket.create_server(("127.0.0.1", 0))
        socket.create_connection(server.getsockname()).close()
        assert [name for _, name in socket.if_nameindex()] == ["lo"]
        assert "example.org" in str(socket.getfqdn("example.org"))
    def test_held():
        before = time.monotonic()
        while time.monotonic() - before < .5:
            pass
"""


def test_processors_network_and_jitter(qe: Qe) -> None:
    spaces("own")
    qe.files(test_a=AROUND)
    cpu, busy = {"one_cpu": True, "idle": True}, {"busy": True, "jitter": True}
    seen = run(
        qe,
        [
            (1, ["_cpu"], cpu), (1, ["_busy", "_held"], busy), (1, ["_network"] * 2,
            {"no_network": True}), (1, ["_held"], {"partner": 4, "clock": 1.7e9}),
            (1, ["_held"], {"partner": 4}),
        ],
        "--qe-timeout=30",
    )  # fmt: skip
    assert passed(seen), seen.result.stdout.str()
    assert not seen.refused


ALL: dict[str, Any] = {
    "one_cpu": True, "idle": True, "busy": True, "jitter": True, "no_network": True,
    "few_files": True, "small_files": True, "little_memory": True, "files": 1,
    "clock": 1.7e9, "partner": 1, "entropy": True, "slow_threads": True, "slow_main": True,
    "c_locale": True, "zone": True,
}  # fmt: skip


def children_of(pid: int) -> list[int]:
    try:
        text = Path(f"/proc/{pid}/task/{pid}/children").read_text()
    except OSError:
        return []
    return [int(one) for one in text.split()]


def kill(pids: list[int]) -> None:
    for pid in pids:
        try:
            os.kill(pid, signal.SIGKILL)
        except ProcessLookupError:
            pass


def kill_at_random(qe: Qe, whom: str, rng: random.Random) -> None:
    tag = f"QE_TEST_TAG={time.monotonic_ns()}"
    qe.setenv(*tag.split("="))
    process = qe.popen("--qe-flaky=50", "--qe-flaky-mode=adaptive", "--qe-parallel=2")
    # The controller, the supervisor, its standby, and a worker at least.
    wait_for(lambda: len(processes_with(tag)) > 3 or process.poll() is not None, "workers")
    time.sleep(rng.random() * 0.5)
    for _ in range(1 if whom == "controller" else 3):
        super_ = children_of(process.pid)[:1]
        if whom == "controller":
            kill([process.pid])
        elif whom == "supervisor":
            kill(super_)
        else:  # its last children: the first is its standby
            kill([pid for one in super_ for pid in children_of(one)[1:]])
        time.sleep(rng.random() * 0.1)
    process.wait(HUNG)
    wait_for(lambda: not processes_with(tag), "the end of all")
    if whom != "controller":
        root = Path(os.environ["PYTEST_DEBUG_TEMPROOT"])  # of this test
        assert not list(root.rglob("qe-files")), qe.output()


@pytest.mark.parametrize("whom", ["workers", "supervisor", "controller"])
def test_nothing_outlives_whoever_is_killed(qe: Qe, whom: str) -> None:
    """At moments of all kinds, from before the first test on."""
    spaces("own")
    outside(qe)
    qe.files(
        test_a="""
        import time
        def test_works():
            for n in range(20):
                time.sleep(.001)
        def test_fine(): pass
    """
    )
    shutil.copy(GIVEN, qe.path / "conftest.py")
    passes = [(n, [0, 1], ALL) for n in range(4)]
    (qe.path / "passes.json").write_text(json.dumps(passes), "utf-8")
    rng = random.Random(whom)
    for _ in range(3):
        kill_at_random(qe, whom, rng)
