"""Layers in the background: they go on without the command and the terminal, and their end
is known, whatever it is."""

from __future__ import annotations

import json
import os
import signal
import subprocess
from pathlib import Path
from typing import Any

from cli_help import QE, Cli, cli
from conftest import wait_for
from test_layers_run import category, write

__all__ = ["cli"]


def start(cli: Cli, *words: str) -> str:
    done = cli.run("layer", *words, "--background")
    assert done.returncode == 0, done.stderr
    return done.stdout.split()[0]


def status(cli: Cli, run: str) -> dict[str, Any]:
    done = cli.run("layer", "status", run, "--json")
    found: dict[str, Any] = json.loads(done.stdout)
    return found


def test_it_goes_on_and_its_end_is_known(cli: Cli) -> None:
    wait = "while [ ! -e go ]; do sleep 0.05; done"
    write(cli, {
        "good": {"categories": [category("x", f"echo here; {wait}")]},
        "bad": {"categories": [category("x", f"{wait}; exit 1")]},
    })  # fmt: skip
    good, bad = start(cli, "good"), start(cli, "bad")
    assert status(cli, good)["state"] == status(cli, bad)["state"] == "running"
    assert cli.run("layer", "wait", good, "--timeout=0.2").returncode == 1
    follow = subprocess.Popen([*QE, "layer", "logs", "-f", good], stdout=subprocess.PIPE, text=True)
    Path("go").touch()
    assert cli.run("layer", "wait", good).returncode == 0
    assert cli.run("layer", "wait", bad).returncode == 1
    assert "passed   good/x" in follow.communicate(timeout=60)[0]
    found = status(cli, good)
    assert found["state"] == "passed" and found["seconds"] > 0.2
    assert found["result"]["layers"]["good"]["category_results"]["x"]["stdout"] == "here\n"
    assert status(cli, bad)["state"] == "failed"
    lines = cli.run("layer", "status").stdout.splitlines()
    assert [line.split()[:2] for line in lines] == [[good, "passed"], [bad, "failed"]]


def test_the_end_of_its_terminal_is_not_its_own(cli: Cli) -> None:
    write(cli, {"a": {"categories": [category("x", "while [ ! -e go ]; do sleep 0.05; done")]}})
    shell = subprocess.Popen(
        ["sh", "-c", f"{' '.join(QE)} layer a --background; kill -HUP 0"],
        stdout=subprocess.PIPE, text=True, start_new_session=True,
    )  # fmt: skip
    run = shell.communicate(timeout=60)[0].split()[0]
    assert shell.returncode == -signal.SIGHUP
    assert status(cli, run)["state"] == "running"
    Path("go").touch()
    assert cli.run("layer", "wait", run).returncode == 0


def test_it_is_cancelled(cli: Cli) -> None:
    write(cli, {"a": {"categories": [
        category("x", "trap 'echo > cleaned; exit 1' INT; echo > began; sleep 300 & wait"),
        category("y", "exit 0"),
    ]}})  # fmt: skip
    run = start(cli, "a")
    wait_for(lambda: cli.exists("began"), "the category")
    assert cli.run("layer", "cancel", run[-6:]).returncode == 0
    found = status(cli, run)
    assert found["state"] == "cancelled" and cli.exists("cleaned")
    assert found["result"]["layers"]["a"]["skipped"]["y"]["why"] == "cancelled"
    # It is over; there is nothing to end.
    assert cli.run("layer", "cancel", run).returncode == 0
    assert status(cli, run)["state"] == "cancelled"


def test_a_kill_is_known_as_such_and_leaves_nothing(cli: Cli) -> None:
    write(cli, {"a": {"categories": [category("x", "echo > began; sleep 300")]}})
    run = start(cli, "a")
    wait_for(lambda: cli.exists("began"), "the category")
    os.kill(status(cli, run)["pid"], signal.SIGKILL)
    assert cli.run("layer", "wait", run).returncode == 1
    assert status(cli, run)["state"] == "lost"
    cli.nothing_is_left()


def test_what_is_wrong_is_told_at_once(cli: Cli) -> None:
    write(cli, {"a": {"categories": [{"name": "x", "command": ["no-such-program"]}]}})
    done = cli.run("layer", "a", "--background")
    assert done.returncode == 2 and "no-such-program is not found" in done.stderr
    assert cli.run("layer", "status").stdout == ""
    assert "there is no background run 'x'" in cli.refused("layer", "status", "x", status=1)
