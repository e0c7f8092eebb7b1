"""Layers in the background: they go on without the command and the terminal, and their end
is known, whatever it is."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from cli_help import QE, Cli, cli
from conftest import fill, mounted, wait_for
from pytest_qe.orchestration.background import Background
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
    for name, days in (("old", 31), ("young", 29)):
        cli.write(f".qe/layers/{name}.log")
        os.utime(f".qe/layers/{name}.log", (0, time.time() - days * 86400))
    good, bad = start(cli, "good"), start(cli, "bad")
    assert not cli.exists(".qe/layers/old.log") and cli.exists(".qe/layers/young.log")
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


@pytest.fixture
def small_disk(cli: Cli) -> Iterator[Path]:
    yield from mounted(cli.path / "small", "-t", "tmpfs", "-o", "size=1m", "tmpfs")


def test_what_cannot_run_any_more_has_failed(cli: Cli) -> None:
    """Between the look at the configuration and the run it may have changed."""
    write(cli, {"a": {"categories": [category("x", "exit 0")]}})
    file = os.path.abspath("test_layers.yaml")
    background = Background(".")
    os.rename(file, "other")
    run = background.start(["a"], ["a", f"--config={file}"])
    assert background.wait(run.id, 60).state == "failed"
    assert b"error: " in b"".join(background.log(run.id))


def test_one_that_is_ended_at_once_is_cancelled(cli: Cli) -> None:
    write(cli, {"a": {"categories": [category("x", "sleep 300")]}})
    background = Background(".")
    run = background.start(["a"], ["a", f"--config={os.path.abspath('test_layers.yaml')}"])
    background.cancel(run.id)
    assert background.wait(run.id, 60).state == "cancelled"
    cli.nothing_is_left()


def test_a_full_disk_ends_no_run_and_its_state_is_known(cli: Cli, small_disk: Path) -> None:
    """Of its log and its result there is what there was room for."""
    wait = "while [ ! -e ../go ]; do sleep 0.05; done"
    write(cli, {"a": {"categories": [
        category("x", f"echo > ../began; {wait}"), category("y", "echo > ../second"),
    ]}})  # fmt: skip
    os.rename("test_layers.yaml", "kept")
    shutil.copy("kept", small_disk / "test_layers.yaml")
    os.chdir(small_disk)
    background = Background(".")
    run = background.start(["a"], ["a", f"--config={os.path.abspath('test_layers.yaml')}"])
    wait_for(lambda: os.path.exists("../began"), "the category")
    fill(small_disk)
    Path("../go").touch()
    found = background.wait(run.id, 60)
    assert (found.state, found.result) == ("passed", None)
    assert os.path.exists("../second")
    # With room again all goes on as ever.
    os.unlink("filler")
    assert [one.state for one in background.runs()] == ["passed"]
    assert cli.run("layer", "a").returncode == 0
