"""A history on a server: machines see each other's runs and quarantine, and nothing is lost."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from conftest import HUNG, Qe, wait_for
from pytest_qe import _core, places, queues, sharedhistory
from pytest_qe.sharedhistory import SharedHistory, SharedHistoryError
from queue_help import PROJECT, WORD, RedisServer, make_server, redis

__all__ = ["redis"]

LOG = f"qe:{{{PROJECT}/}}:history"
SLOW, QUICK = 0.3, 0.002


class Machine:
    """A checkout of the project: a folder with a ``.qe`` of its own."""

    def __init__(self, folder: Path, url: str) -> None:
        self.folder, self.url = folder, url
        folder.mkdir(exist_ok=True)
        (folder / "pytest.ini").write_text("[pytest]\n")

    @property
    def shared(self) -> SharedHistory:
        return SharedHistory(self.url, self.folder, project=PROJECT)

    def save(self, **seconds: float) -> None:
        """A run of tests that took so long; negative: that failed. Then it is appended."""
        self.save_alone(**seconds)
        shared = self.shared
        shared.push()
        assert shared.warnings == []

    def save_alone(self, **seconds: float) -> None:
        record = _core.Record()
        for item, (name, took) in enumerate(seconds.items()):
            outcome = _core.FAILED if took < 0 else _core.PASSED
            record.add_test(name.encode())
            record.add_attempt(
                item, 0, 1, 0, outcome, 1.7e9, abs(took), 0.0, 0, 0, "no" if took < 0 else None
            )
            record.set_outcome(item, outcome, None)
        history = self.open()
        history.follow()
        history.save(record, 1.7e9, 1.0, 1)
        history.close()

    def pull(self) -> list[str]:
        shared = self.shared
        shared.pull()
        return shared.warnings

    def open(self) -> _core.History:
        path = self.shared.path
        path.parent.mkdir(parents=True, exist_ok=True)
        return _core.History(os.fsencode(path))

    def runs(self) -> list[list[str]]:
        """The tests of each run that is known here, the oldest first."""
        history = self.open()
        found = [
            sorted(name.decode() for name, _, _ in history.outcomes(run[0]))
            for run in reversed(history.runs(500))
        ]
        history.close()
        return found

    def durations(self, *names: str) -> list[float]:
        history = self.open()
        found = [ns / 1e9 for ns in history.durations([name.encode() for name in names])]
        history.close()
        return found

    def cli(self, *args: str, **env: str) -> subprocess.CompletedProcess[str]:
        kept = {k: v for k, v in os.environ.items() if not k.startswith("QE_")}
        return subprocess.run(
            [sys.executable, "-m", "pytest_qe", *args], cwd=self.folder, text=True,
            capture_output=True, timeout=HUNG, check=False,
            env={**kept, "QE_QUEUE_PROJECT": PROJECT, "QE_HISTORY": self.url, **env},
        )  # fmt: skip

    def pytest(self, *args: str, **env: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", *args], cwd=self.folder,
            text=True, capture_output=True, timeout=HUNG, check=False, env={**os.environ, **env},
        )  # fmt: skip

    def run(self, *args: str, **env: str) -> subprocess.CompletedProcess[str]:
        return self.pytest(
            f"--qe-history={self.url}", f"--qe-queue-project={PROJECT}", "--qe-parallel=2",
            *args, **env,
        )  # fmt: skip


@pytest.fixture
def machines(redis: RedisServer, qe: Qe) -> tuple[Machine, Machine]:
    return Machine(qe.path / "a", redis.url), Machine(qe.path / "b", redis.url)


def length(server: RedisServer) -> int:
    return int(server.order("XLEN", LOG).strip(":\r\n"))


# ------------------------------------------------------------------------- runs


def test_two_machines_know_each_others_runs(machines: tuple[Machine, Machine]) -> None:
    a, b = machines
    a.save(x=1.0)
    assert b.pull() == []
    b.save(x=3.0, y=5.0)
    assert a.pull() == b.pull() == []
    assert a.runs() == b.runs() == [["x"], ["x", "y"]]
    assert a.durations("x", "y", "z") == b.durations("x", "y", "z") == [2.0, 5.0, 0.0]


def test_a_run_that_is_appended_twice_is_there_once(
    machines: tuple[Machine, Machine], redis: RedisServer
) -> None:
    a, b = machines
    a.save(x=1.0)
    # The answer was lost: it is not known here that the server has it.
    history = a.open()
    (run,) = history.runs(1)
    data, _ = history.export(run[0])
    names = redis.order("XRANGE", LOG, "-", "+", "COUNT", "1").split("\r\n")
    name = next(word for word in names if len(word) == 32)
    history.close()
    reader = queues.server(redis.url, environ={}).reader(PROJECT)
    assert reader.log_append(name, data, 200) is False
    reader.close()
    assert length(redis) == 1
    assert b.pull() == [] and b.runs() == [["x"]]
    assert a.pull() == [] and a.runs() == [["x"]]


def test_what_could_not_be_appended_is_at_the_next_contact(
    machines: tuple[Machine, Machine], redis: RedisServer
) -> None:
    a, b = machines
    a.save(x=1.0)
    redis.stop()
    a.save_alone(y=1.0)
    a.save_alone(z=1.0)
    shared = a.shared
    shared.push()
    (line,) = shared.warnings
    assert "Connection refused: this run is appended at the next contact" in line
    (line,) = a.pull()
    assert "Connection refused: what is known here is used" in line
    assert a.runs() == [["x"], ["y"], ["z"]]
    redis.start()  # without its data
    assert a.pull() == a.pull() == []
    assert length(redis) == 2
    b.pull()
    assert b.runs() == [["y"], ["z"]]
    assert a.runs() == [["x"], ["y"], ["z"]]


def test_a_server_that_lost_all_is_followed_from_its_start(
    machines: tuple[Machine, Machine], redis: RedisServer
) -> None:
    a, b = machines
    for n in range(3):
        a.save(**{f"old{n}": 1.0})
    b.pull()
    redis.stop()
    redis.start()
    assert b.pull() == []
    a.save(new=1.0)
    assert a.pull() == b.pull() == []
    assert a.runs() == b.runs() == [["old0"], ["old1"], ["old2"], ["new"]]


def test_the_log_keeps_as_many_runs_as_a_history(
    machines: tuple[Machine, Machine], redis: RedisServer
) -> None:
    a, b = machines
    for n in range(places.MOST_RUNS + 5):
        a.save_alone(**{f"t{n}": 1.0})
    assert a.pull() == []
    assert length(redis) == places.MOST_RUNS
    assert b.pull() == []
    assert b.runs() == [[f"t{n}"] for n in range(5, places.MOST_RUNS + 5)]
    assert places.runs_kept(20_000) == 50 and places.runs_kept(10**9) == 10


def test_hostile_entries_are_passed_over_once(
    machines: tuple[Machine, Machine], redis: RedisServer
) -> None:
    a, b = machines
    a.save(x=1.0)
    redis.order("XADD", LOG, "*", "n", "0" * 32, "r", b"QEr\x01\xff\xff\xff\xff\xff\x01")
    redis.order("XADD", LOG, "*", "n", "../../etc/passwd", "r", "x")
    redis.order("XADD", LOG, "*", "odd", "\x1b[31mred")
    a.save(y=1.0)
    (line,) = b.pull()
    assert line == "the shared history: 3 of its entries are no runs: passed over"
    assert b.pull() == []
    assert b.runs() == [["x"], ["y"]]


def test_something_else_under_the_name_is_a_line(
    machines: tuple[Machine, Machine], redis: RedisServer
) -> None:
    a, _ = machines
    redis.order("SET", f"{LOG}-born", "x")
    redis.order("SET", LOG, "x")
    a.save_alone(x=1.0)
    (line,) = a.pull()
    assert line.startswith("the shared history: ") and "no history of ours" in line
    redis.order("DEL", LOG, f"{LOG}-born")
    assert a.pull() == []
    assert length(redis) == 1


def test_two_processes_of_one_machine_append_once(
    machines: tuple[Machine, Machine], redis: RedisServer
) -> None:
    a, b = machines
    for n in range(20):
        a.save_alone(**{f"t{n}": 1.0})
    code = (
        "import sys; from pathlib import Path; from pytest_qe.sharedhistory import SharedHistory\n"
        f"s = SharedHistory({a.url!r}, Path({str(a.folder)!r}), project={PROJECT!r})\n"
        "s.pull(); sys.exit(len(s.warnings))"
    )
    both = [subprocess.Popen([sys.executable, "-c", code]) for _ in range(3)]
    assert [one.wait(HUNG) for one in both] == [0, 0, 0]
    assert length(redis) == 20
    b.pull()
    assert sorted(b.runs()) == sorted([f"t{n}"] for n in range(20))


# ---------------------------------------------------------------------- the server


def test_a_wrong_password_is_a_line_without_it(tmp_path: Path, qe: Qe) -> None:
    server = make_server(tmp_path / "redis", "--requirepass", WORD)
    try:
        a = Machine(tmp_path / "a", server.url)
        a.save_alone(x=1.0)
        (line,) = a.pull()
        assert "NOAUTH" in line or "password" in line
        wrong = server.url.replace("//", "//:not-" + WORD + "@")
        other = SharedHistory(wrong, a.folder, project=PROJECT)
        other.pull()
        (line,) = other.warnings
        assert "WRONGPASS" in line and WORD not in line
        qe.setenv("QE_QUEUE_PASSWORD", WORD)
        assert a.pull() == [] and WORD not in str(a.shared.path)
        # Whoever is asked there, it is one history.
        right = SharedHistory(
            server.url.replace("//", "//:" + WORD + "@"), a.folder, project=PROJECT
        )
        assert right.path == a.shared.path
    finally:
        server.stop()


def test_it_may_be_encrypted(tmp_path: Path, qe: Qe) -> None:
    server = make_server(tmp_path / "redis", tls=True)
    try:
        a, b = Machine(tmp_path / "a", server.url), Machine(tmp_path / "b", server.url)
        a.save_alone(x=1.0)
        (line,) = a.pull()
        assert "certificate" in line
        qe.setenv("QE_QUEUE_CA_FILE", server.ca_file)
        assert a.pull() == b.pull() == []
        assert b.runs() == [["x"]]
    finally:
        server.stop()


@pytest.mark.parametrize(
    "url", ["http://host/", "redis://", "redis://h:x", "redis://ann:secret%@h"]
)
def test_an_address_that_is_none_is_an_error(url: str, qe: Qe) -> None:
    qe.files(test_a="def test_a(): pass")
    result = qe.run("--qe-parallel=1", f"--qe-history={url}")
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stderr.fnmatch_lines(["ERROR: --qe-history: *"])
    assert "secret" not in result.stderr.str() and len(result.errlines) <= 2
    with pytest.raises(SharedHistoryError):
        sharedhistory.is_shared(url)
        SharedHistory(url, qe.path, project=PROJECT).pull()


# ----------------------------------------------------------------------- quarantine


def test_a_quarantine_is_that_of_all_machines(machines: tuple[Machine, Machine]) -> None:
    a, b = machines
    done = a.cli("quarantine", "--add=t.py::one", "--owner=ann", "--reason=slow", "--days=3")
    assert done.returncode == 0, done.stderr
    shown = b.cli("quarantine").stdout
    assert "t.py::one (ann: slow)" in shown
    twice = b.cli("quarantine", "--add=t.py::one", "--owner=bob", "--reason=no", "--days=3")
    assert twice.returncode == 1 and "the server holds it already" in twice.stderr
    for _ in range(60):
        a.save_alone(**{"t.py::one": 1.0})
    assert "may be released" in a.cli("quarantine").stdout
    assert b.cli("quarantine", "--release").stdout == "released t.py::one\n"
    assert a.cli("quarantine").stdout == "no entries\n"


def test_an_entry_that_is_none_holds_nothing(
    machines: tuple[Machine, Machine], redis: RedisServer
) -> None:
    a, _ = machines
    held = f"qe:{{{PROJECT}/}}:quarantine"
    good = {"id": "g", "owner": "o", "reason": "r", "expires": "2999-01-01"}
    redis.order("HSET", held, "g", json.dumps(good))
    redis.order("HSET", held, "another", json.dumps(good))
    redis.order("HSET", held, "bad", "[[[")
    redis.order("HSET", held, "b2", json.dumps({**good, "id": "b2", "reason": "a\x1b[31m"}))
    shared = a.shared
    shared.pull()
    assert shared.warnings == ["the shared quarantine: 3 of its entries are none: passed over"]
    assert [entry.id for entry in shared.held()] == ["g"]


def test_no_server_no_change_of_the_quarantine(
    machines: tuple[Machine, Machine], redis: RedisServer
) -> None:
    a, _ = machines
    a.pull()
    redis.stop()
    done = a.cli("quarantine", "--add=t", "--owner=ann", "--reason=slow", "--days=3")
    assert done.returncode == 1
    assert "error: the shared quarantine: " in done.stderr and "refused" in done.stderr
    assert a.shared.held() == []
    assert a.cli("quarantine").stdout == "no entries\n"


def test_a_quarantine_without_a_file_takes_a_server(tmp_path: Path, qe: Qe) -> None:
    done = Machine(tmp_path / "a", "").cli("quarantine")
    assert done.returncode == 1 and "--history=redis://HOST" in done.stderr


# --------------------------------------------------------------------------- pytest


SUITE = f"""
import time, pytest

@pytest.mark.parametrize("n", range(6))
def test_quick(n):
    time.sleep({QUICK})

def test_slow():
    time.sleep({SLOW})

def test_bad():
    assert False, "it is bad"
"""


def test_pytest_remembers_for_other_machines(
    machines: tuple[Machine, Machine], redis: RedisServer
) -> None:
    a, b = machines
    for machine in machines:
        (machine.folder / "test_a.py").write_text(SUITE)
    assert a.run().returncode == 1
    assert length(redis) == 1
    result = b.folder / "result.json"
    done = b.run(f"--qe-json={result}")
    assert done.returncode == 1 and "qe: warning" not in done.stdout + done.stderr
    tests = {one["id"]: one for one in json.loads(result.read_text())["tests"]}
    assert tests["test_a.py::test_slow"]["expected"] > SLOW * 0.9
    assert length(redis) == 2
    shown = a.cli("history", "test_a.py::test_bad", "--json")
    assert json.loads(shown.stdout)["all"]["failures"] == 2
    held = a.cli(
        "quarantine", "--add=test_a.py::test_bad", "--owner=ann", "--reason=bad", "--days=3"
    )
    assert held.returncode == 0, held.stderr
    done = b.run()
    assert done.returncode == 0 and "1 quarantined" in done.stdout
    assert not (a.folder / ".qe" / "history.db").exists()


def test_a_run_goes_on_without_its_server(
    machines: tuple[Machine, Machine], redis: RedisServer
) -> None:
    a, b = machines
    (a.folder / "test_a.py").write_text(SUITE)
    a.run()
    redis.stop()
    result = a.folder / "result.json"
    done = a.run(f"--qe-json={result}")
    assert done.returncode == 1
    said = [line for line in (done.stdout + done.stderr).splitlines() if "shared history" in line]
    assert len(said) == 2
    assert said[0].endswith("Connection refused: what is known here is used")
    assert said[1].endswith("Connection refused: this run is appended at the next contact")
    tests = {one["id"]: one for one in json.loads(result.read_text())["tests"]}
    assert tests["test_a.py::test_slow"]["expected"] > SLOW * 0.9
    assert len(a.runs()) == 2
    redis.start()
    a.run()
    assert length(redis) == 2  # the second and third: the server had lost the first
    b.pull()
    assert len(b.runs()) == 2


def test_a_server_that_goes_while_tests_run_loses_nothing(
    machines: tuple[Machine, Machine], redis: RedisServer
) -> None:
    a, b = machines
    (a.folder / "test_a.py").write_text(
        "import os, signal\n"
        f"def test_a():\n    os.kill({redis.process.pid if redis.process else 0}, signal.SIGKILL)\n"
    )
    done = a.run()
    assert done.returncode == 0
    said = [line for line in (done.stdout + done.stderr).splitlines() if "shared history" in line]
    assert len(said) == 1 and said[0].endswith("this run is appended at the next contact")
    redis.stop()
    redis.start()
    assert a.pull() == a.pull() == b.pull() == []
    assert b.runs() == [["test_a.py::test_a"]] and length(redis) == 1


def test_a_kill_between_the_record_and_the_append_loses_nothing(
    machines: tuple[Machine, Machine], redis: RedisServer
) -> None:
    a, b = machines
    (a.folder / "test_a.py").write_text("def test_a(): pass\n")
    # The moment itself: what appends is what kills.
    (a.folder / "conftest.py").write_text(
        "import os, signal\nfrom pytest_qe import sharedhistory\n"
        "def kill(self):\n    os.kill(os.getpid(), signal.SIGKILL)\n"
        "if os.environ.get('DIES'):\n    sharedhistory.SharedHistory.push = kill\n"
    )
    assert a.run(DIES="1").returncode == -signal.SIGKILL
    assert redis.order("EXISTS", LOG) == ":0\r\n"
    assert a.runs() == [["test_a.py::test_a"]]
    assert a.run().returncode == 0
    assert length(redis) == 2
    b.pull()
    assert len(b.runs()) == 2


def test_two_runs_at_once_are_both_there(
    machines: tuple[Machine, Machine], redis: RedisServer
) -> None:
    a, _ = machines
    (a.folder / "test_a.py").write_text(
        "import pathlib, time\n"
        "def test_a(request):\n"
        "    mine = request.config.getini('qe_seed')\n"
        "    pathlib.Path(f'here-{mine}').touch()\n"
        "    end = time.monotonic() + 60\n"
        "    while len(list(pathlib.Path().glob('here-*'))) < 2:\n"
        "        assert time.monotonic() < end\n"
        "        time.sleep(0.01)\n"
    )
    words = [
        sys.executable, "-m", "pytest", "-p", "no:cacheprovider", f"--qe-history={a.url}",
        f"--qe-queue-project={PROJECT}", "--qe-parallel=1",
    ]  # fmt: skip
    both = [
        subprocess.Popen([*words, "-o", f"qe_seed={n}"], cwd=a.folder, stdout=subprocess.DEVNULL)
        for n in (1, 2)
    ]
    assert [one.wait(HUNG) for one in both] == [0, 0]
    assert length(redis) == 2
    assert a.runs() == [["test_a.py::test_a"]] * 2


def test_a_fresh_node_lays_the_plan_by_what_others_measured(
    machines: tuple[Machine, Machine], redis: RedisServer
) -> None:
    """Of tests in files of their own the slow one, the last by its name, begins first."""
    a, b = machines
    for machine in machines:
        for name, seconds in (("a", QUICK), ("b", QUICK), ("z", SLOW)):
            (machine.folder / f"test_{name}.py").write_text(
                "import os, pathlib, time\n"
                f"def test_{name}():\n"
                "    with open('began', 'a') as file:\n"
                f"        print('{name}', file=file)\n"
                f"    time.sleep({seconds})\n"
            )
    words = ["--qe-run=1", f"--qe-queue={redis.url}", "--qe-parallel=1"]
    assert a.run().returncode == 0
    done = b.run(*words)
    assert done.returncode == 0, done.stdout
    began = (b.folder / "began").read_text().split()
    assert began[0] == "z" and sorted(began) == ["a", "b", "z"]
    assert length(redis) == 2
    # One that comes later records nothing: it ran nothing.
    (a.folder / "began").unlink()
    assert a.run(*words).returncode == 0
    assert not (a.folder / "began").exists()


def test_each_node_records_its_own_part(
    machines: tuple[Machine, Machine], redis: RedisServer
) -> None:
    a, b = machines
    for machine in machines:
        for name in ("a", "b"):
            (machine.folder / f"test_{name}.py").write_text(
                "import pathlib, time\n"
                f"def test_{name}(request):\n"
                "    above = request.config.rootpath.parent\n"
                f"    (above / 'ran-{name}').touch()\n"
                "    end = time.monotonic() + 60\n"
                "    while len(list(above.glob('ran-*'))) < 2:\n"
                "        assert time.monotonic() < end\n"
                "        time.sleep(0.01)\n"
            )
    words = [
        sys.executable, "-m", "pytest", "-p", "no:cacheprovider", f"--qe-queue-project={PROJECT}",
        f"--qe-queue={redis.url}", "--qe-run=2", "--qe-parallel=1", f"--qe-history={redis.url}",
    ]  # fmt: skip
    nodes = [
        subprocess.Popen(words, cwd=machine.folder, stdout=subprocess.DEVNULL)
        for machine in machines
    ]
    assert [one.wait(HUNG) for one in nodes] == [0, 0]
    assert a.pull() == b.pull() == []
    assert sorted(a.runs()) == sorted(b.runs()) == [["test_a.py::test_a"], ["test_b.py::test_b"]]


def test_a_password_is_not_seen_by_others(
    machines: tuple[Machine, Machine], redis: RedisServer
) -> None:
    a, _ = machines
    (a.folder / "test_a.py").write_text("def test_a(): pass\n")
    url = a.url.replace("//", f"//ann:{WORD}@")
    done = a.pytest(
        f"--qe-history={url}", f"--qe-queue-project={PROJECT}", "--qe-parallel=1",
        "--qe-json=r.json",
    )  # fmt: skip
    assert done.returncode == 0 and "shared history" in done.stdout + done.stderr
    told = done.stdout + done.stderr + (a.folder / "r.json").read_text()
    assert WORD not in told
    assert all(WORD.encode() not in p.read_bytes() for p in a.folder.rglob("*") if p.is_file())


def test_a_password_of_the_environment_is_for_queue_and_history_and_no_test(
    tmp_path: Path, qe: Qe
) -> None:
    server = make_server(tmp_path / "redis", "--requirepass", WORD)
    try:
        a = Machine(tmp_path / "a", server.url)
        (a.folder / "test_a.py").write_text(
            f"import os\ndef test_a():\n    assert {WORD!r} not in str(os.environ)\n"
        )
        for words in [], [f"--qe-queue={server.url}", "--qe-run=1"]:
            done = a.run(*words, QE_QUEUE_PASSWORD=WORD)
            assert done.returncode == 0 and "warning" not in done.stdout + done.stderr
        assert len(a.runs()) == 2
        words = ["exec", "test_a.py", "--framework=pytest", f"--queue={server.url}", "--run=2"]
        done = a.cli(*words, QE_QUEUE_PASSWORD=WORD)
        assert done.returncode == 0 and "shared history" not in done.stdout + done.stderr
        assert len(a.runs()) == 3
    finally:
        server.stop()


def test_options_of_a_server_go_with_a_history_too(qe: Qe, redis: RedisServer) -> None:
    qe.files(test_a="def test_a(): pass")
    word = qe.path / "word"
    word.write_text(WORD)
    word.chmod(0o600)
    history = f"--qe-history={redis.url}"
    result = qe.run("--qe-parallel=1", history, f"--qe-queue-password-file={word}")
    assert result.ret == 0
    assert qe.run("--qe-parallel=1", f"--qe-queue-password-file={word}").ret == 4
    assert qe.run("--qe-parallel=1", history, "--qe-run=1").ret == 4


# ------------------------------------------------------------------------- commands


def test_exec_remembers_files_for_other_machines(
    machines: tuple[Machine, Machine], redis: RedisServer
) -> None:
    a, b = machines
    (a.folder / "test_a.py").write_text("def test_a(): pass\n")
    done = a.cli("exec", "test_a.py", "--framework=pytest")
    assert done.returncode == 0, done.stdout + done.stderr
    assert length(redis) == 1
    assert b.pull() == []
    assert b.runs() == [["test_a.py"]]
    assert b.durations("test_a.py")[0] > 0
    assert "test_a.py" in b.cli("history").stdout


def test_a_command_without_its_server_tells_what_is_known(
    machines: tuple[Machine, Machine], redis: RedisServer
) -> None:
    a, _ = machines
    a.save(x=1.0)
    redis.stop()
    done = a.cli("history", "x", "--json")
    assert done.returncode == 0
    assert json.loads(done.stdout)["all"]["runs"] == 1
    assert done.stderr.count("\n") == 1 and "what is known here is used" in done.stderr


@pytest.mark.parametrize("words", [["history"], ["show", "--timeline"], ["store", "list"]])
def test_every_command_reads_the_replica(
    words: list[str], machines: tuple[Machine, Machine]
) -> None:
    a, b = machines
    a.save(**{"t.py::x": 1.0})
    done = b.cli(*words, f"--history={b.url}", QE_HISTORY="")
    assert done.returncode == 0, done.stderr
    assert words[0] == "store" or "t.py::x" in done.stdout


def test_the_ui_shows_the_replica(machines: tuple[Machine, Machine]) -> None:
    pytest.importorskip("starlette", reason="starlette is not installed")
    import urllib.request

    a, b = machines
    a.save(**{"t.py::x": 1.0})
    out = b.folder / "out"
    kept = {k: v for k, v in os.environ.items() if not k.startswith("QE_")}
    with open(out, "wb") as file:
        process = subprocess.Popen(
            [sys.executable, "-m", "pytest_qe", "ui", "--port=0", f"--history={b.url}"],
            cwd=b.folder, stdout=file, stderr=subprocess.STDOUT,
            env={**kept, "QE_QUEUE_PROJECT": PROJECT},
        )  # fmt: skip
    try:
        wait_for(lambda: "Ctrl-C" in out.read_text(), "qe ui")
        url = out.read_text().split("qe ui: ")[1].split("#")[0]
        data: Any = json.loads(urllib.request.urlopen(f"{url}api/runs", timeout=HUNG).read())
        assert "1700000000" in json.dumps(data)
        held: Any = json.loads(urllib.request.urlopen(f"{url}api/quarantine", timeout=HUNG).read())
        assert held["entries"] == []
    finally:
        process.send_signal(signal.SIGINT)
        process.wait(HUNG)
