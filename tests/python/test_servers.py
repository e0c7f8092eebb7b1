"""Servers: passes of a hunt under several hash seeds, each in processes that were forked
from one that was started with it."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from conftest import Qe, processes_with, wait_for
from seeded_hunt import SEEDS

HUNT = ("--qe-flaky-mode=adaptive", "--qe-flaky-causes=0", "--qe-parallel=2", "--qe-seed=5")

SHOWS = """
    import os

    SEED = os.environ.get("PYTHONHASHSEED")

    def say(name, *words):
        with open(name, "a") as file:
            print(*words, file=file)
"""


def suite(qe: Qe, **tests: str) -> None:
    conftest = Path(__file__).with_name("seeded_hunt.py").read_text("utf-8")
    (qe.path / "conftest.py").write_text(conftest, "utf-8")
    (qe.path / "pytest.ini").write_text("[pytest]\n")
    qe.monkeypatch.delenv("PYTHONHASHSEED", raising=False)
    qe.files(shows=SHOWS, **tests)


def hunt(qe: Qe, *args: str) -> tuple[pytest.RunResult, dict[str, Any], dict[int, str]]:
    """The run, its hunt, and the hash seed of each pass."""
    result, written = qe.json(*HUNT, *args)
    found: dict[str, Any] = written.run["hunt"]
    seeds = {one["number"]: str(one.get("hash_seed")) for one in found["passes"]}
    return result, found, seeds


def gone(qe: Qe) -> list[int]:
    found: list[int] = json.loads((qe.path / "gone.json").read_text("utf-8"))
    return found


def hash_under(seed: str) -> str:
    """What an interpreter of its own says."""
    return subprocess.run(
        [sys.executable, "-c", "print(hash('x'))"],
        env={**os.environ, "PYTHONHASHSEED": seed},
        capture_output=True, text=True, check=True,
    ).stdout.strip()  # fmt: skip


@pytest.mark.parametrize("start", ["auto", "spawn"])
def test_each_pass_has_the_hash_of_its_seed(qe: Qe, start: str) -> None:
    suite(
        qe,
        test_a="""
        from shows import SEED, say
        def test_hash(): say("hashes", SEED, hash("x"))
        def test_other(): pass
        """,
    )
    result, found, seeds = hunt(qe, "--qe-flaky=15", f"--qe-start={start}")
    assert result.ret == 0, result.stdout.str()
    counts = Counter(line.split()[0] for line in qe.lines("hashes"))
    wanted: Counter[str] = Counter()
    for one in found["passes"]:
        wanted[seeds[one["number"]]] += one["tests"] // 2
    assert counts == wanted
    assert set(counts) == {"None", *map(str, SEEDS)}
    assert min(counts[str(seed)] for seed in SEEDS) >= 2
    values = {tuple(line.split()) for line in qe.lines("hashes")}
    if start == "auto":  # all of the run's own are forked from one, as ever
        assert len(values) == 5
    assert {v for s, v in values if s != "None"} == {hash_under(str(s)) for s in SEEDS}
    assert gone(qe) == []
    assert "no process for" not in result.stdout.str()


def test_a_server_collects_once(qe: Qe) -> None:
    suite(
        qe,
        test_a="""
        from shows import SEED, say
        say("collected", SEED)
        def test_it(): say("ran", SEED)
        """,
    )
    hunt(qe, "--qe-flaky=20")
    assert Counter(qe.lines("collected")) == Counter(["None", *map(str, SEEDS)])
    assert Counter(qe.lines("ran"))["12"] >= 3


def test_a_death_is_a_result_and_the_pass_goes_on(qe: Qe) -> None:
    suite(
        qe,
        test_a="""
        import os, signal, time
        from shows import SEED
        def test_dies():
            if SEED == "12":
                print("last words")
                os.kill(os.getpid(), signal.SIGKILL)
        def test_hangs():
            if SEED == "13":
                time.sleep(1000)
        def test_fine(): pass
        """,
    )
    result, written = qe.json(*HUNT, "--qe-flaky=10", "--qe-timeout=1")
    seeds = {p["number"]: p.get("hash_seed") for p in written.run["hunt"]["passes"]}
    outcomes = {
        name: {(seeds[a["pass"]], a["outcome"]) for a in written[name]["attempts"]}
        for name in ("test_dies", "test_hangs", "test_fine")
    }
    assert {s for s, o in outcomes["test_dies"] if o == "crashed"} == {12}
    assert {s for s, o in outcomes["test_hangs"] if o == "timeout"} == {13}
    assert {o for _, o in outcomes["test_fine"]} == {"passed"}
    assert {s for s, o in outcomes["test_dies"] if o == "passed"} == {None, 11, 13, 14}
    assert {s for s, _ in outcomes["test_fine"]} == {None, *SEEDS}
    assert "last words" in result.stdout.str()
    assert "time.sleep(1000)" in result.stdout.str()
    assert gone(qe) == []


REFUSALS = {
    "other-tests": (
        "if SEED != '12':\n    def test_more(): pass\n",
        r"collected other tests than the controller \(1 missing, such as test_a.py::test_more\)",
    ),
    "thread": (
        "import threading\nif SEED == '12':\n"
        "    threading.Thread(target=threading.Event().wait, daemon=True).start()\n",
        "thread 'Thread-1.*' of threading is alive",
    ),
    "socket": (
        "import socket\nif SEED == '12': kept = socket.socketpair()\n",
        r"descriptor \d+ \(socket:.*\) was opened during collection by test_a",
    ),
    "dies": ("import os\nif SEED == '12': os.kill(os.getpid(), 9)\n", "killed by SIGKILL"),
    "leaves": (
        "import os\nif SEED == '12':\n    os._exit(3)\n",
        "exited with status 3",
    ),
    "raises": ("if SEED == '12': 1 / 0\n", "it collected other tests than the controller"),
}


@pytest.mark.parametrize("kind", REFUSALS)
def test_what_cannot_serve_is_done_without(qe: Qe, kind: str) -> None:
    """Its passes run all the same, and do not count."""
    body, why = REFUSALS[kind]
    suite(qe, test_a=f"from shows import SEED\n{body}def test_fails(): assert 0\n")
    result, found, seeds = hunt(qe, "--qe-flaky=10")
    assert gone(qe) == [2]
    told = [line for line in result.outlines if line.startswith("qe: warning: no process")]
    assert len(told) == 1
    assert re.search(rf"no process for PYTHONHASHSEED=12 \(.*{why}.*\): passes under it", told[0])
    one = found["tests"]["test_a.py::test_fails"]
    runs = Counter(seeds[p["number"]] for p in found["passes"] for _ in range(1 + ("repeats" in p)))
    assert one["failures"] < sum(runs.values())
    assert result.ret == 1


def test_a_fork_that_was_asked_for_is_made(qe: Qe) -> None:
    suite(qe, test_a="from shows import SEED\n" + REFUSALS["thread"][0] + "def test_it(): pass\n")
    hunt(qe, "--qe-flaky=5", "--qe-start=fork")
    assert gone(qe) == []


def test_a_server_that_is_killed_is_replaced(qe: Qe) -> None:
    """Once by one of its tests: that test has its result, and so has what follows."""
    suite(
        qe,
        test_a="""
        import os, signal
        from pathlib import Path
        from shows import SEED, say
        say("collected", SEED, os.getpid())
        COLLECTED_IN = os.getpid()

        def test_kills():
            if SEED == "11" and not Path("killed").exists():
                Path("killed").touch()
                os.kill(COLLECTED_IN, signal.SIGKILL)
        def test_hash(): say("ran", SEED, hash("x"))
        """,
    )
    result, _, _ = hunt(qe, "--qe-flaky=20")
    assert result.ret == 0, result.stdout.str()
    assert gone(qe) == []
    collected = Counter(line.split()[0] for line in qe.lines("collected"))
    assert collected["11"] == 2 and collected["12"] == 1
    assert {v for s, v in map(str.split, qe.lines("ran")) if s == "11"} == {hash_under("11")}


def test_coverage_of_their_workers_is_merged(qe: Qe) -> None:
    """Also what a killed one had noted."""
    suite(
        qe,
        module="""
        def choose(seed):
            if seed == "13":
                return "thirteen"
            if seed == "14":
                return "fourteen"
            if seed == "15":
                return "fifteen"
            return "other"
        """,
        test_a="""
        import os
        import module
        from shows import SEED
        def test_it(): module.choose(SEED)
        def test_dies():
            if SEED == "14": os.kill(os.getpid(), 9)
        """,
    )
    qe.use("pytest_cov")
    hunt(qe, "--qe-flaky=10", "--cov=module", "--cov-report=json")
    files = json.loads((qe.path / "coverage.json").read_text("utf-8"))["files"]
    assert files["module.py"]["missing_lines"] == [7]
    assert [p.name for p in qe.path.glob(".coverage*")] == [".coverage"]


def test_folders_are_the_runs_and_each_workers_own(qe: Qe) -> None:
    suite(
        qe,
        test_a="""
        from shows import SEED, say
        def test_it(tmp_path):
            (tmp_path / "kept").write_text("x")
            say("paths", SEED, tmp_path)
        """,
    )
    (qe.path / "pytest.ini").write_text("[pytest]\ntmp_path_retention_policy = all\n")
    root = qe.path / "root"
    hunt(qe, "--qe-flaky=10", f"--basetemp={root}")
    lines = [line.split() for line in qe.lines("paths")]
    assert len({path for _, path in lines}) == len(lines)
    for _, path in lines:
        assert Path(path).parent.parent == root
        assert re.fullmatch(r"popen-gw[0-3]", Path(path).parent.name)
        assert (Path(path) / "kept").exists()


def test_what_tests_make_is_not_collected(qe: Qe) -> None:
    """Servers collect when tests run, whose folders may lie among the tests."""
    suite(
        qe,
        test_a="""
        import time
        from pathlib import Path
        from shows import SEED, say
        ROOT = Path(__file__).parent / "root"
        if SEED is not None:
            until = time.monotonic() + 30
            while not list(ROOT.glob("**/test_made.py")) and time.monotonic() < until:
                time.sleep(.01)
        def test_it(tmp_path):
            made = "from shows import SEED, say; say('made', SEED)"
            (tmp_path / "test_made.py").write_text(made)
            (tmp_path / "loop").symlink_to("/")
        """,
    )
    hunt(qe, "--qe-flaky=8", f"--basetemp={qe.path / 'root'}")
    assert gone(qe) == []
    assert qe.lines("made") == []


def test_output_has_the_workers_names_and_collecting_prints_once(qe: Qe) -> None:
    suite(
        qe,
        test_a="""
        from shows import SEED
        print("collecting")
        def test_it(): print("seed", SEED)
        """,
    )
    result, found, _ = hunt(qe, "--qe-flaky=10", "-s")
    text = result.stdout.str() + result.stderr.str()
    assert text.count("collecting\n") == 1
    for seed in ("None", *SEEDS):
        assert re.search(rf"^\[gw[0-3]\] seed {seed}$", text, re.M), text
    assert len(re.findall(r"^\[gw.\] seed", text, re.M)) == found["executions"]


@pytest.mark.parametrize("how", ["fd", "no"])
def test_what_is_printed_past_capturing_is_printed(qe: Qe, how: str) -> None:
    """By workers; what a server's configuration prints is the controller's to print."""
    suite(
        qe,
        test_a="""
        import atexit, sys
        from shows import SEED
        def test_it(): atexit.register(lambda: print("left", SEED, file=sys.stderr))
        """,
        plugin="""
        import sys
        def pytest_configure(config): print("configured", file=sys.stderr)
        """,
    )
    result, _, seeds = hunt(qe, "--qe-flaky=10", "-p", "plugin", f"--capture={how}")
    text = result.stdout.str() + result.stderr.str()
    assert text.count("configured") == 1
    left = Counter(re.findall(r"left (\w+)$", text, re.M))
    assert set(left) == set(seeds.values())


def test_workers_that_are_forked_from_it_inherit_nothing_open(qe: Qe) -> None:
    suite(
        qe,
        test_a="""
        import os, subprocess, sys
        from shows import SEED, say
        def test_it():
            code = "import os; print(len(os.listdir('/proc/self/fd')), 'QE_SPAWN_FD' in os.environ)"
            said = subprocess.run(
                [sys.executable, "-c", code], capture_output=True, text=True, close_fds=False
            ).stdout
            say("open", SEED, said.strip())
        """,
    )
    hunt(qe, "--qe-flaky=10")
    assert {line.split(" ", 1)[1] for line in qe.lines("open")} == {"4 False"}


def test_conftests_of_a_server_end_as_a_workers(qe: Qe) -> None:
    suite(
        qe,
        test_a="def test_it(): pass",
        plugin="""
        from shows import SEED, say
        def pytest_configure_node(node): node.workerinput["given"] = "yes"
        def pytest_configure(config):
            given = getattr(config, "workerinput", {"workerid": "controller", "given": "yes"})
            say("ends", SEED, given["workerid"][:2], given["given"])
        def pytest_unconfigure(config): say("ends", SEED, "over")
        """,
    )
    hunt(qe, "--qe-flaky=10", "-p", "plugin")
    wanted = ["None co yes", "None over"]
    wanted += [f"{seed} {word}" for seed in SEEDS for word in ("gw yes", "over")]
    assert sorted(qe.lines("ends")) == sorted(wanted)


def test_shared_fixtures_are_the_runs_own(qe: Qe) -> None:
    """What ``--qe-once`` shares is not a server's: its workers set it up themselves."""
    suite(
        qe,
        test_a="""
        import pytest
        from shows import SEED, say
        @pytest.fixture(scope="session")
        def shared():
            say("ups", SEED)
            yield 1
            say("downs", SEED)
        def test_it(shared): pass
        """,
    )
    result, _, seeds = hunt(qe, "--qe-flaky=10", "--qe-once=shared")
    assert result.ret == 0
    passes = Counter(seeds.values())
    passes["None"] = 1
    assert Counter(qe.lines("ups")) == Counter(qe.lines("downs")) == passes


@pytest.mark.parametrize("when", ["collecting", "running"])
@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGINT])
def test_nothing_is_left_when_the_run_is_ended(qe: Qe, when: str, number: int) -> None:
    suite(
        qe,
        test_a="""
        import time
        from shows import SEED, say
        if SEED is not None:
            say("collecting", SEED)
            time.sleep(0.01 if WHEN == "running" else 1000)
        def test_it(n=0):
            if SEED is not None:
                say("running", SEED)
                time.sleep(1000)
        def test_other(): test_it()
        """.replace("WHEN", repr(when)),
    )
    mark = next(f"{k}={v}" for k, v in os.environ.items() if k == "QE_TESTS_MARK")
    process = qe.popen(*HUNT, "--qe-flaky=10", "--qe-grace=5")
    wait_for(lambda: len(qe.lines(when)) >= 2, when)
    process.send_signal(number)
    code = process.wait(30)
    assert code == (2 if number == signal.SIGINT else -9), qe.output()
    wait_for(lambda: not processes_with(mark), "the end of all processes")


def test_a_test_that_is_another_in_each_process_is_named(qe: Qe) -> None:
    """It is no hash order that it fails with what another process gives it."""
    suite(
        qe,
        test_a="""
        import os, random, pytest
        SEED = os.environ.get("PYTHONHASHSEED")
        @pytest.mark.parametrize("name", [f"{SEED}-{random.random()}"])
        def test_other(name): assert name.startswith("None-")
        @pytest.mark.parametrize("name", ["a", "b"])
        def test_same(name): pass
        """,
    )
    result, found, seeds = hunt(qe, "--qe-flaky=12")
    assert set(seeds.values()) > {"None"}
    (name,) = found["renamed"]
    assert name.startswith("test_a.py::test_other[None-") and not found["tests"]
    result.stdout.fnmatch_lines([f"{name.replace('[', '[[]')}: what they are given, *"])
    assert result.parseoutcomes() == {"passed": 2, "failed": 1}
