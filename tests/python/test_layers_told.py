"""What a run of layers tells where something goes wrong, and that it tidies up all the same."""

from __future__ import annotations

import json
import os
import pty
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from cli_help import QE, Cli, cli
from conftest import wait_for
from pytest_qe.agents.session import Unit
from pytest_qe.orchestration import services
from pytest_qe.orchestration.suggesting import suggestion
from test_layers_run import SERVER, category, free_port, write

__all__ = ["cli"]

#: A service that is a file.
FILE = {"check": {"command": "test -e up"}, "start": "touch up", "stop": "rm up"}


def needing(service: dict[str, Any], *categories: dict[str, Any]) -> dict[str, Any]:
    return {
        "layers": {"a": {"required_services": ["it"], "categories": list(categories)}},
        "services": {"it": service},
    }


def test_a_service_that_ends_midway_is_named_as_the_reason(cli: Cli) -> None:
    port = free_port()
    cli.write("server.py", SERVER)
    start = ["sh", "-c", f"echo $$ > pid; exec {sys.executable} server.py {port} 0"]
    script = "kill -9 $(cat pid); while [ -e /proc/$(cat pid) ]; do sleep 0.05; done; exit 3"
    write(cli, **needing(
        {"check": {"tcp": f"127.0.0.1:{port}"}, "start": start}, category("x", script),
    ))  # fmt: skip
    status, result = cli.json("layer", "a")
    (line,) = result["layers"]["a"]["suggestions"]
    assert status == 1
    assert line.startswith(f"x: service it is not there any more (tcp 127.0.0.1:{port})")
    # Without it a failure is its own.
    write(cli, **needing(FILE, category("x", "exit 3")))
    assert cli.json("layer", "a")[1]["layers"]["a"]["suggestions"] == []


def test_the_end_of_a_service_is_told_and_also_that_it_failed(cli: Cli) -> None:
    write(cli, **needing(FILE, category("x", "exit 0")))
    done = cli.run("layer", "a", "-v")
    assert done.returncode == 0 and "service  it stopped" in done.stdout
    stop = ["sh", "-c", "rm up; echo not today >&2; exit 4"]
    write(cli, **needing({**FILE, "stop": stop}, category("x", "exit 0")))
    status, result = cli.json("layer", "a")
    (line,) = result["layers"]["a"]["errors"]
    assert status == 0 and line.startswith("service it may still be there: sh -c ")
    assert line.endswith("ended with exit status 4: not today")


def test_a_look_takes_no_longer_than_is_left(cli: Cli) -> None:
    check = {"command": ["sh", "-c", "[ -e began ] || exit 1; echo > looked; sleep 300"]}
    write(cli, **needing(
        {"check": check, "start": ["sh", "-c", "touch began; sleep 300"], "ready_seconds": 2},
        category("x", "exit 0"),
    ))  # fmt: skip
    status, result = cli.json("layer", "a")
    assert status == 1 and cli.exists("looked")
    assert "was not ready within 2 s" in result["layers"]["a"]["errors"][0]
    assert result["total_duration"] < 5  # one look alone may take 5 s


def test_what_was_interrupted_has_no_advice(cli: Cli) -> None:
    write(cli, {"a": {"categories": [
        category("deaf", "trap '' INT TERM; echo > began; sleep 300; sleep 300"),
    ]}})  # fmt: skip
    run = subprocess.Popen([*QE, "layer", "a", "--json=out.json"], stdout=subprocess.PIPE)
    wait_for(lambda: cli.exists("began"), "the moment")
    run.send_signal(signal.SIGINT)
    run.communicate(timeout=60)
    layer = json.loads(Path("out.json").read_text())["layers"]["a"]
    assert layer["errors"] == ["deaf: interrupted (signal SIGKILL)"]
    assert layer["suggestions"] == []


def test_a_second_interrupt_ends_what_stops_a_service(cli: Cli) -> None:
    stop = ["sh", "-c", "rm up; echo > stopping; sleep 300"]
    write(cli, **needing({**FILE, "stop": stop}, category("x", "exit 0")))
    run = subprocess.Popen([*QE, "layer", "a"], stdout=subprocess.PIPE, text=True)
    wait_for(lambda: cli.exists("stopping"), "its stop")
    assert run.stdout is not None
    run.send_signal(signal.SIGINT)
    while "once more" not in run.stdout.readline():
        pass
    run.send_signal(signal.SIGINT)
    out = run.communicate(timeout=20)[0]  # the stop has 30 s
    assert run.returncode == 130 and "service it may still be there: " in out


@pytest.mark.parametrize("how", ["signal", "terminal", "output"])
def test_who_goes_away_leaves_no_service(cli: Cli, how: str) -> None:
    """SIGHUP, the end of the terminal, and an output that takes nothing more."""
    script = "echo > began; while [ -e up ]; do sleep 0.05; done"
    write(cli, **needing(FILE, category("x", "exit 1" if how == "output" else script)))
    if how == "output":
        with open("/dev/full", "w") as full:
            done = subprocess.run([*QE, "layer", "a"], stdout=full, check=False, timeout=60)
        assert done.returncode == 3
    elif how == "signal":
        run = subprocess.Popen([*QE, "layer", "a"], stdout=subprocess.PIPE)
        wait_for(lambda: cli.exists("began"), "the moment")
        run.send_signal(signal.SIGHUP)
        run.communicate(timeout=60)
        assert run.returncode == 128 + signal.SIGHUP
    else:
        number, terminal = pty.fork()
        if number == 0:
            os.execv(QE[0], [*QE, "layer", "a"])
        wait_for(lambda: cli.exists("began"), "the moment")
        os.close(terminal)
        os.waitpid(number, 0)
    assert not cli.exists("up")


def test_a_stop_that_hangs_does_not_outlive_a_killed_run_for_ever(
    cli: Cli, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(services, "_STOP_S", 3.0)
    script = "echo > stopping; sleep 300; echo never"
    guard = services._Guard(Unit(("sh", "-c", script), {}, cwd=str(cli.path)))
    assert guard._process.stdin is not None
    guard._process.stdin.close()  # as when this process is gone
    assert guard._process.wait(60) != 0 and cli.exists("stopping")
    cli.nothing_is_left()


def end(**more: Any) -> dict[str, Any]:
    ends = {"outcome": "failed", "returncode": 1, "ended": "exit status 1"}
    return {**ends, "stdout": "", "stderr": "", "oom_kills": 0, **more}


def test_advice_by_what_is_printed() -> None:
    about = {"memory": 64 << 20, "timeout_s": 1, "expected_s": 1, "known": False}
    limit = "it may have 64 MiB of memory: give it more by resources.memory"
    said = ["tail: memory exhausted", "memory allocation of 8 bytes failed", "MemoryError"]
    assert {suggestion(end(stderr=text), about) for text in said} == {limit}
    full = "OSError: [Errno 28] No space left on device: 'x'"
    assert "a disk is full" in str(suggestion(end(stderr=full), about))
    assert suggestion(end(stderr="assert 1 == 2"), about) is None
    assert suggestion(end(outcome="interrupted", returncode=-9), about) is None
