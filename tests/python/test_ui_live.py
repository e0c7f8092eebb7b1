"""`qe ui` tells what runs now, whatever becomes of it, and lets a person act."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from cli_help import QE, Cli
from conftest import HUNG
from test_layers_run import category, write
from ui_help import Ui, cli, run_pytest, start_pytest, ui

__all__ = ["cli", "ui"]

Start = Callable[..., Ui]

WAITS = """
import os, time, pytest
def test_first(): pass
@pytest.mark.parametrize("name", ["<b>", "a/b c?#%"])
def test_waits(name):
    while not os.path.exists("go"): time.sleep(0.02)
"""


def running(count: int) -> Callable[[Any], Any]:
    def found(runs: Any) -> Any:
        return next((run for run in runs if run["state"] == "running"
                     and len(run["running"]) == count), None)  # fmt: skip

    return found


def test_a_run_is_told_from_its_beginning_to_its_end(cli: Cli, ui: Start) -> None:
    cli.write("test_it.py", WAITS)
    server = ui()
    with server.events() as events:
        assert events.wait("history", lambda state: state["state"] == "absent")
        process = start_pytest("test_it.py")
        run = events.wait("live", running(2))
        assert run["kind"] == "pytest" and run["folder"] == str(cli.path)
        assert run["pid"] == process.pid and (run["done"], run["all"]) == (1, 3)
        assert run["outcomes"] == {"passed": 1} and run["workers"] == 2
        ids = {one["id"] for one in run["running"]}
        assert ids == {"test_it.py::test_waits[<b>]", "test_it.py::test_waits[a/b c?#%]"}
        assert all(one["phase"] == "call" and one["seconds"] > 0 for one in run["running"])
        pid = str(run["running"][0]["pid"])
        assert events.wait("machine", lambda machine: machine["processes"].get(pid, 0) > 1 << 20)
        assert server.do("dismiss", id=run["id"]) == (
            409, {"error": f"{run['id']}: it still runs"}
        )  # fmt: skip
        Path("go").touch()
        assert process.wait(HUNG) == 0
        assert events.wait("live", lambda runs: runs == []) is True
        latest = events.wait("history", lambda state: state.get("latest"))
        assert latest["outcomes"] == {"passed": 3} and latest["workers"] == 2


def test_a_run_that_is_killed_is_dead_with_what_it_ran(cli: Cli, ui: Start) -> None:
    cli.write("test_it.py", WAITS)
    server = ui()
    with server.events() as events:
        process = start_pytest("test_it.py")
        events.wait("live", running(2))
        process.send_signal(signal.SIGKILL)
        process.wait()
        run = events.wait(
            "live", lambda runs: next((r for r in runs if r["state"] == "dead"), None)
        )
        assert {one["id"] for one in run["running"]} == {
            "test_it.py::test_waits[<b>]", "test_it.py::test_waits[a/b c?#%]",
        }  # fmt: skip
        again = server.events()
        with again:  # who comes later sees it, too
            assert again.wait("live", lambda runs: [one["state"] for one in runs] == ["dead"])
        file = cli.path / ".qe" / "live" / f"{run['id']}.json"
        assert file.exists()
        assert server.do("dismiss", id=run["id"]) == (200, {})
        assert not file.exists()
        assert events.wait("live", lambda runs: runs == []) is True


def about(**changes: Any) -> str:
    stat = Path("/proc/self/stat").read_bytes().rpartition(b")")[2].split()
    told: dict[str, Any] = {
        "version": 1, "about": {"kind": "pytest", "command": ["pytest"], "folder": "/x"},
        "pid": os.getpid(), "pid_start": int(stat[19]),
        "boot": Path("/proc/sys/kernel/random/boot_id").read_text().strip(),
        "started_at": time.time(), "told_at": time.time(), "workers": 1, "done": 0, "all": 1,
        "outcomes": {}, "running": [], "left_s": None, **changes,
    }  # fmt: skip
    return json.dumps(told)


def test_files_that_make_no_sense_hurt_nobody(cli: Cli, ui: Start) -> None:
    live = cli.path / ".qe" / "live"
    live.mkdir()
    (live / "1-1.json").write_text("{ half of it")
    (live / "2-1.json").write_text('{"version": 7}')
    (live / "3-1.json").write_text(" " * ((1 << 20) + 1))
    (live / "4-1.json").write_text("[" * 500_000)
    (live / "5-1.json").write_bytes(b"\xff\xfe" + about().encode())
    (live / "secret").write_text("{}")
    (live / "6-1.json").symlink_to("secret")
    os.mkfifo(live / "7-1.json")
    (live / "8-1.json").mkdir()
    (live / "9-1.json.tmp").write_text(about())
    (live / "10-1.json").write_text(about(
        about=[], done="x", all=-5, workers=1e400, outcomes={"passed": "3", "failed": 2, "odd": 1},
        running=[7, {"id": ["x"], "seconds": "long", "pid": -1}, {"id": "y" * 5000}], told_at="now",
    ))  # fmt: skip
    (live / "11-1.json").write_text(about())
    old = live / "12-1.json"
    old.write_text(about())
    os.utime(old, (0, time.time() - 25 * 3600))
    server = ui()
    with server.events() as events:
        runs = {run["id"]: run for run in events.wait("live", lambda runs: runs)}
        assert set(runs) == {"1-1", "2-1", "3-1", "4-1", "5-1", "10-1", "11-1"}
        for name, why in (("1-1", "is no JSON"), ("2-1", "another version"), ("3-1", "is larger"),
                          ("4-1", ""), ("5-1", "is no JSON")):  # fmt: skip
            assert runs[name]["state"] == "unreadable"
            assert f"{name}.json: " in runs[name]["trouble"] and why in runs[name]["trouble"]
        assert runs["11-1"]["state"] == "running"
        odd = runs["10-1"]
        assert odd["state"] == "silent" and odd["outcomes"] == {"failed": 2}
        assert (odd["done"], odd["all"], odd["workers"], odd["kind"]) == (0, 0, 0, "")
        assert [len(one["id"]) for one in odd["running"]] == [0, 0, 2000]
        assert odd["running"][1]["seconds"] == 0 and odd["running"][1]["pid"] == 0
        # One that is half there keeps what was known of it.
        (live / "11-1.json").write_text("{")
        (live / "13-1.json").write_text(about())
        later = {r["id"]: r for r in events.wait("live", lambda runs: len(runs) == 8 and runs)}
        assert later["11-1"]["kind"] == "pytest"
        assert server.do("dismiss", id="1-1") == (200, {})
        assert events.wait("live", lambda runs: len(runs) == 7)
    assert (live / "secret").exists() and old.exists()


def test_a_history_may_come_be_damaged_and_come_back(cli: Cli, ui: Start) -> None:
    cli.write("test_it.py", "def test_a(): pass")
    history = cli.path / ".qe" / "history.db"
    server = ui()
    with server.events() as events:
        assert events.wait("history", lambda state: state["state"] == "absent")
        run_pytest("test_it.py")
        assert events.wait("history", lambda state: state.get("latest"))["id"] == 1
        good = history.read_bytes()
        history.write_bytes(b"this is no database" * 1000)
        state = events.wait("history", lambda state: state["state"] == "unusable" and state)
        assert state["says"] == f"{history}: history database is corrupt"
        assert server.refused("runs") == (503, state["says"])
        assert server.refused("flakiest")[0] == 503
        history.unlink()
        assert events.wait("history", lambda state: state["state"] == "absent")
        history.write_bytes(good)
        assert events.wait("history", lambda state: state.get("latest"))["id"] == 1
        history.unlink()
        history.mkdir()
        assert events.wait("history", lambda state: state["state"] == "unusable")


def test_layers_in_the_background_are_told_and_cancelled(cli: Cli, ui: Start) -> None:
    write(cli, {"long": {"name": "Long", "categories": [category("x", "echo here; sleep 600")]}})
    server = ui()
    layers = server.get("layers")
    assert layers["file"] == str(cli.path / "test_layers.yaml") and layers["mistakes"] == []
    assert layers["layers"][0]["id"] == "long" and layers["layers"][0]["name"] == "Long"
    with server.events() as events:
        assert events.wait("background", lambda told: told == {"runs": [], "says": ""})
        assert not cli.exists(".qe/history.db"), "looking makes nothing"
        done = subprocess.run(
            [*QE, "layer", "long", "--background"], capture_output=True, text=True, timeout=HUNG
        )
        run = done.stdout.split()[0]
        events.wait(
            "background", lambda told: told["runs"] and told["runs"][0]["state"] == "running"
        )
        events.wait("live", running(1))
        assert server.do("cancel", id=run[:-1])[0] == 404
        assert server.do("cancel", id=run)[0] == 200
        ended = events.wait(
            "background", lambda told: told["runs"][0]["state"] == "cancelled" and told["runs"][0]
        )
        assert ended["id"] == run and ended["layers"] == ["long"]
        assert "start    long/x" in server.get(f"log?id={run}")["text"]
        assert server.do("cancel", id=run) == (
            409, {"error": f"{run} does not run: it is cancelled"}
        )  # fmt: skip
    _ends_though_a_file_never_comes(cli, server, run)


def _ends_though_a_file_never_comes(cli: Cli, server: Ui, run: str) -> None:
    log = cli.path / ".qe" / "layers" / f"{run}.log"
    log.unlink()
    os.mkfifo(log)
    with socket.create_connection(("127.0.0.1", server.port)) as asks:
        host = f"Host: 127.0.0.1:{server.port}"
        asks.sendall(f"GET /api/log?id={run} HTTP/1.1\r\n{host}\r\n\r\n".encode())
        writes = os.open(log, os.O_WRONLY)  # waits until it is read
        try:
            assert server.end(signal.SIGINT) == (130, "")
        finally:
            os.close(writes)


def test_layers_that_make_no_sense_are_told(cli: Cli, ui: Start) -> None:
    server = ui()
    cli.write("test_layers.yaml", "layers: {a: {}}")
    assert "categories" in server.get("layers")["mistakes"][0]


@pytest.mark.parametrize("name", ["held.toml", "held.json"])
def test_quarantine_is_changed_with_the_token(cli: Cli, ui: Start, name: str) -> None:
    server = ui(f"--quarantine={name}")
    status, why = server.refused("quarantine")
    assert status == 503 and name in why
    told = {"test": "test_it.py::test_a", "owner": "ann", "reason": "slow", "days": 7}
    os.mkfifo(name)
    status, why = server.refused("quarantine")
    assert status == 503 and "is no regular file" in why
    os.unlink(name)
    status, entry = server.do("hold", **told)
    assert status == 200 and entry["owner"] == "ann"
    held = server.get("quarantine")
    assert held["file"] == str(cli.path / name)
    assert [(one["id"], one["state"], one["clean"]) for one in held["entries"]] == [
        ("test_it.py::test_a", "held", None)
    ]
    for wrong in ({"days": 0}, {"days": "7"}, {"days": True}, {"owner": " "}, {"reason": None},
                  {"test": "a*"}, {"test": "a\nb"}, {"reason": "x" * 5000}, {}):  # fmt: skip
        status, why = server.do("hold", **{**told, **wrong})
        assert status == 400 and why["error"], wrong  # the last: it is held already
    assert len(server.get("quarantine")["entries"]) == 1
    assert server.do("release", test="other")[0] == 404
    assert server.do("release", test="test_it.py::test_a") == (200, {})
    assert server.get("quarantine")["entries"] == []
