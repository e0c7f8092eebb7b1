"""What layers do not take: options, names, and what cannot be started; a clear line each."""

from __future__ import annotations

import asyncio
import os
import re
import resource
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from cli_help import Cli, cli, plain
from conftest import wait_for
from pytest_qe.orchestration import (
    LayerExecutionAgent,
    LayerExecutionConfig,
    OrchestrationConfig,
    TestOrchestratorAgent,
    execute_layer_sync,
)
from pytest_qe.orchestration.background import Background
from test_layers_run import category, write

__all__ = ["cli"]


def test_each_mistake_is_a_line_and_a_path_has_its_own_place(cli: Cli) -> None:
    cli.write("tests/unit/test_a.py")
    text = "layers:\n  a:\n    fail-fast: true\n    categories: [{name: x, comand: a}]\n"
    cli.write("test_layers.yaml", text)
    lines = cli.run("layer", "a").stderr.splitlines()
    assert [re.sub("error: .*/test_layers.yaml", "", line) for line in lines] == [
        ":3: layers.a.fail-fast: there is no such key; did you mean 'fail_fast'?",
        ":4: layers.a.categories[0]: lacks the key 'framework' or 'command'",
        ":4: layers.a.categories[0].comand: there is no such key; did you mean 'command'?",
    ]
    cli.write("test_layers.yaml", (
        "layers:\n  a:\n    categories:\n    - name: x\n      framework: pytest\n"
        "      paths:\n      - tests/unit\n      - test/unit\n    - {name: y, command: no-such}\n"
    ))  # fmt: skip
    for command, status in ((["layers", "validate"], 1), (["layer", "a"], 2), (["run"], 2)):
        done = cli.run(*command)
        assert done.returncode == status
        assert [re.sub("error: .*/test_layers.yaml", "", s) for s in done.stderr.splitlines()] == [
            ":8: layers.a.categories[0].paths[1]: there is no 'test/unit'; "
            "did you mean 'tests/unit'?",
            ":9: layers.a.categories[1]: the program no-such is not found in PATH",
        ]


def test_a_file_above_that_does_not_count_is_named(
    cli: Cli, monkeypatch: pytest.MonkeyPatch
) -> None:
    write(cli, {"a": {"categories": [category("x", "exit 0")]}})
    cli.write("inner/here")
    monkeypatch.chdir("inner")
    line = cli.refused("layers", "list")
    assert line.endswith(
        f"there is no test_layers.yaml in it; {cli.path}/test_layers.yaml counts if it is named, "
        "or both are in one repository"
    )
    cli.write(".git/HEAD")
    assert cli.run("layers", "list").returncode == 0


OPTIONS: list[tuple[dict[str, Any], str]] = [
    ({"timeout_multiplier": -1}, "timeout_multiplier: takes 0.000001 to 1000000, not -1"),
    ({"timeout_multiplier": float("nan")}, "timeout_multiplier: takes 0.000001 to 1000000, "),
    ({"timeout_multiplier": "2"}, "timeout_multiplier: takes 0.000001 to 1000000, not '2'"),
    ({"max_parallel": 0}, "max_parallel: takes a whole number from 1 to 1000000, not 0"),
    ({"max_parallel": 1.5}, "max_parallel: takes a whole number from 1 to 1000000, not 1.5"),
    ({"variables": {"A": 1}}, "variables: A takes text, not 1"),
    ({"variables": {"A=B": "1"}}, "variables: 'A=B' is no name of a variable"),
    (
        {"execution_strategy": "hybrid-smrt"},
        "there is no strategy 'hybrid-smrt'; did you mean 'hybrid_smart'?",
    ),
]


@pytest.mark.parametrize(("given", "said"), OPTIONS)
def test_options_that_make_no_sense(cli: Cli, given: dict[str, Any], said: str) -> None:
    write(cli, {"a": {"categories": [category("x", ": > ran")]}})
    with pytest.raises(ValueError, match=re.escape(said)):
        execute_layer_sync("a", LayerExecutionConfig(**given))
    with pytest.raises(ValueError, match=re.escape(said)):
        asyncio.run(TestOrchestratorAgent().execute_tests(OrchestrationConfig(**given)))
    assert not cli.exists("ran")


def test_names_that_make_no_sense(cli: Cli) -> None:
    write(cli, {"a": {"categories": [category("x", ": > ran")]}})
    names: Any = "a"
    with pytest.raises(ValueError, match="layers: takes a list of names, not 'a'"):
        asyncio.run(TestOrchestratorAgent().execute_tests(OrchestrationConfig(layers=names)))
    with pytest.raises(ValueError, match="layer_name: 'b' is not what is run, 'a'"):
        execute_layer_sync("a", LayerExecutionConfig("b"))
    mode: Any = "nigthly"
    with pytest.raises(ValueError, match="there is no mode 'nigthly'; did you mean 'nightly'"):
        asyncio.run(TestOrchestratorAgent().execute_tests(OrchestrationConfig(mode)))

    async def within() -> None:
        LayerExecutionAgent().execute_layer_sync("a")

    with pytest.raises(RuntimeError, match="await execute_layer"):
        asyncio.run(within())
    assert not cli.exists("ran")


@pytest.mark.parametrize("value", ["nan", "inf", "1e300", "1e-300", "0"])
def test_a_multiplier_of_the_command_line(cli: Cli, value: str) -> None:
    write(cli, {"a": {"execution_mode": "background", "categories": [category("x", ": > ran")]}})
    for command in (["layer", "a"], ["layer", "a", "--background"], ["run"]):
        assert "timeout-multiplier" in cli.refused(*command, f"--timeout-multiplier={value}")
    assert not cli.exists("ran")


# ------------------------------------------------------------- what cannot begin


@pytest.fixture
def deaf_store(cli: Cli) -> Cli:
    """The store is a folder: nothing can be kept in it, whoever tries."""
    cli.write(".qe/history.db/file")
    return cli


def test_what_nobody_could_know_of_does_not_run(deaf_store: Cli) -> None:
    write(deaf_store, {"a": {"categories": [category("x", ": > ran; sleep 300")]}})
    done = deaf_store.run("layer", "a", "--background")
    assert done.returncode == 3 and "history.db" in done.stderr
    deaf_store.nothing_is_left()
    assert not deaf_store.exists("ran")
    assert os.listdir(".qe/layers") == []


def test_a_background_that_finds_no_room_leaves_no_file(
    cli: Cli,
) -> None:
    write(cli, {"a": {"categories": [category("x", ": > ran")]}})
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    handler = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (0, before[1]))
    try:
        with pytest.raises(OSError, match="too large"):
            Background(cli.path).start(["a"], ["a"])
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
        signal.signal(signal.SIGXFSZ, handler)
    assert os.listdir(".qe/layers") == [] and not cli.exists("ran")


def test_a_background_that_cannot_begin_takes_no_result_with_it(deaf_store: Cli) -> None:
    write(deaf_store, {
        "a": {"categories": [category("x", "exit 0")]},
        "b": {"execution_mode": "background", "categories": [category("y", ": > ran")]},
    })  # fmt: skip
    done = deaf_store.run("run", "--json=out.json")
    assert done.returncode == 3
    assert "1 category: 1 passed" in done.stdout and "not started: b" in done.stdout
    assert re.match("error: b could not be started: .*history.db", done.stderr)
    result = Path("out.json").read_text()
    assert '"success": true' in result and '"not_started": [\n    "b"' in result
    assert not deaf_store.exists("ran")


def test_the_background_runs_as_was_asked_for(cli: Cli) -> None:
    note = 'echo "$QE_CATEGORY" >> log; sleep 0.2; echo "$QE_CATEGORY" >> log; exit 1'
    write(cli, {"a": {"execution_mode": "background", "categories": [
        category("x", note), category("y", note),
    ]}})  # fmt: skip
    assert cli.run("run", "--max-parallel=1", "--fail-fast").returncode == 0
    assert cli.run("layer", "wait", "").returncode == 1
    (run,) = Path(".qe/layers").glob("*.log")
    assert cli.run("layer", "wait", run.stem).returncode == 1
    assert Path("log").read_text().split() == ["x", "x"]


# ------------------------------------------------------------------ a terminal


def test_a_skipped_category_has_not_failed_and_attempts_have_their_number(cli: Cli) -> None:
    write(cli, {"a": {"execution_mode": "parallel", "categories": [
        category("bad", "exit 1", retries=1),
        category("next", "exit 0", depends_on=["bad"]),
        category("held", "while [ ! -e go ]; do sleep 0.05; done"),
    ]}})  # fmt: skip
    command = f"{sys.executable} -m pytest_qe layer a"
    with open("screen", "wb") as screen:
        run = subprocess.Popen(
            ["script", "-qfec", command, "/dev/null"], stdin=subprocess.DEVNULL, stdout=screen
        )
        wait_for(lambda: "2 of 3" in plain(Path("screen").read_text(errors="replace")), "both ends")
        cli.write("go")
        assert run.wait(60) == 1
    text = plain(Path("screen").read_text(errors="replace"))
    assert "2 of 3, 1 failed" in text and "2 failed" not in text
    assert "attempt 1, again" in text
