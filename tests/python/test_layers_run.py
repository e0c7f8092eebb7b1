"""Layers, run: order, room, time, services, interrupts; nothing is left of any of it."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from cli_help import QE, Cli, cli
from conftest import wait_for
from pytest_qe.orchestration.agent import (
    ExecutionStrategy,
    LayerExecutionAgent,
    LayerExecutionConfig,
    execute_layer_sync,
)
from pytest_qe.orchestration.mistakes import ConfigError

__all__ = ["cli"]

SERVER = """\
import socket, sys, time
time.sleep(float(sys.argv[2]))
server = socket.create_server(("127.0.0.1", int(sys.argv[1])))
while True:
    server.accept()[0].close()
"""


def category(name: str, script: str, **more: Any) -> dict[str, Any]:
    return {"name": name, "command": ["sh", "-c", script], **more}


def write(cli: Cli, layers: Mapping[str, Any], **more: Any) -> None:
    """JSON is YAML."""
    cli.write("test_layers.yaml", json.dumps({"layers": layers, **more}))


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port: int = server.getsockname()[1]
        return port


def is_open(port: int) -> bool:
    try:
        socket.create_connection(("127.0.0.1", port), 1).close()
    except OSError:
        return False
    return True


def test_pytest_and_commands_run_in_order_and_are_counted(cli: Cli) -> None:
    cli.write(
        "tests/test_a.py", "import os\ndef test_1(): assert os.environ['QE_LLM_MODE'] == 'mock'\n"
    )
    cli.write("tests/test_b.py", "import pytest\n@pytest.mark.slow\ndef test_2(): assert 0\n")
    cli.write("pytest.ini", "[pytest]\nmarkers =\n    slow: x\n")
    write(cli, {"unit": {
        "llm_requirements": {"mode": "mock"},
        "categories": [
            {"name": "fast", "framework": "pytest", "paths": ["tests"], "markers": "not slow"},
            category("after", 'echo "$QE_LAYER $QE_CATEGORY"', depends_on=["fast"]),
        ],
    }})  # fmt: skip
    status, result = cli.json("layer", "unit")
    assert status == 0 and result["success"], result
    layer = result["layers"]["unit"]
    assert layer["categories_executed"] == ["fast", "after"]
    fast, after = (layer["category_results"][name] for name in ("fast", "after"))
    assert fast["tests"] == {"total": 1, "passed": 1, "failed": 0, "skipped": 0, "errors": 0}
    assert after["stdout"] == "unit after\n" and after["tests"] is None
    assert layer["pass_rate"] == 100.0
    # It is done with the plugin's workers, by itself.
    done = cli.run("layer", "unit", "--json-lines")
    start = next(e for e in map(json.loads, done.stdout.splitlines()) if e["kind"] == "start")
    assert "--qe-parallel" in start["command"]


def test_what_needs_a_failed_one_is_skipped_and_the_report_says_why(cli: Cli) -> None:
    write(cli, {"a": {"execution_mode": "parallel", "categories": [
        category("bad", "echo this is why >&2; exit 3", retries=1),
        category("good", "exit 0"),
        category("later", "exit 0", depends_on=["bad"]),
        category("last", "exit 0", depends_on=["later"]),
    ]}})  # fmt: skip
    done = cli.run("layer", "a")
    assert done.returncode == 1
    assert "skipped  a/later  it needs what did not pass: a/bad\n" in done.stdout
    assert "skipped  a/last  it needs what did not pass: a/later\n" in done.stdout
    assert "FAILED a/bad: exit status 3\n  | this is why\n" in done.stdout
    last = done.stdout.splitlines()[-1]
    assert last.startswith("2 categories: 1 passed, 1 failed, 2 skipped; ")
    assert done.stdout.count("attempt 1, again") == 1


def test_more_memory_than_was_asked_for_is_not_given(cli: Cli) -> None:
    take = {"name": "take", "command": [sys.executable, "-c", "bytearray(400 << 20)"]}
    where = category("where", "cat /proc/self/cgroup", resources={"memory": "64M"})
    write(cli, {"a": {"categories": [
        where, {**take, "resources": {"memory": "200M"}}, {**take, "name": "free"},
    ]}})  # fmt: skip
    lines = cli.run("layer", "a", "--json-lines").stdout.splitlines()
    events = [json.loads(line) for line in lines]
    ends = {e["category"]: e for e in events if e["kind"] == "end"}
    assert {name: end["passed"] for name, end in ends.items()} == {
        "where": True, "take": False, "free": True,
    }  # fmt: skip
    assert ends["take"]["suggestion"] == (
        "it may have 200 MiB of memory: give it more by resources.memory"
    )
    # All of a category together, where a control group may be had.
    starts = {e["category"]: e["cgroup"] for e in events if e["kind"] == "start"}
    assert starts["free"] == [] and starts["where"] == starts["take"]
    assert ("/qe-run-" in ends["where"]["stdout"]) is ("memory" in starts["where"])
    health = json.loads(cli.run("doctor", "--layers", "--json").stdout)
    (limits,) = (one["says"] for one in health["checks"] if one["name"] == "limits")
    assert limits.startswith("memory of each process by itself: ") is (starts["where"] == [])


def test_failing_fast_and_criteria(cli: Cli) -> None:
    three = [category("x", "exit 1"), category("y", "exit 0"), category("z", "exit 0")]
    write(cli, {
        "fast": {"fail_fast": True, "categories": three},
        "lax": {"success_criteria": {"min_pass_rate": 60}, "categories": three},
        "core": {"success_criteria": {"required_categories": ["y"]}, "categories": three},
    })  # fmt: skip
    status, result = cli.json("layer", "fast")
    skipped = result["layers"]["fast"]["skipped"]
    assert status == 1 and skipped["y"] == skipped["z"] == {"why": "fail_fast", "of": "fast/x"}
    assert cli.json("layer", "fast", "--no-fail-fast")[1]["layers"]["fast"]["skipped"] == {}
    assert cli.json("layer", "lax")[0] == 0
    assert cli.json("layer", "core")[0] == 0


def test_a_rate_of_tests_is_not_reached_where_some_are_not_known(cli: Cli) -> None:
    cli.write("tests/test_a.py", "def test_1(): pass\ndef test_2(): pass\n")
    one = {"name": "x", "framework": "pytest", "paths": ["tests/test_a.py"]}
    for script, status in (("kill -9 $$", 1), ("exit 0", 0)):
        other = category("y", script)
        write(cli, {"a": {"success_criteria": {"min_pass_rate": 1}, "categories": [one, other]}})
        found, result = cli.json("layer", "a")
        assert found == status, result
        assert result["layers"]["a"]["pass_rate"] == 100.0


def test_limits_of_time_end_categories_and_layers(cli: Cli) -> None:
    write(cli, {
        "own": {"categories": [
            category("slow", "echo begun; sleep 60", timeout_seconds=0.5),
            category("deaf", "trap '' TERM INT; echo begun; sleep 60; sleep 60",
                     timeout_seconds=0.5),
        ]},
        "whole": {"max_duration_minutes": 0.02, "categories": [
            category("slow", "echo begun; sleep 60"), category("next", "exit 0"),
        ]},
    })  # fmt: skip
    began = time.monotonic()
    status, result = cli.json("layer", "own")
    assert status == 1 and time.monotonic() - began < 40
    for end in result["layers"]["own"]["category_results"].values():
        assert end["outcome"] == "timeout" and end["stdout"] == "begun\n"
        assert "timeout_seconds" in end["suggestion"]
    status, result = cli.json("layer", "whole")
    layer = result["layers"]["whole"]
    assert status == 1
    assert layer["category_results"]["slow"]["outcome"] == "timeout"
    assert layer["skipped"]["next"]["why"] == "limit"
    assert layer["suggestions"] == [
        "slow: the 1.2 s of its layer were over: give it more by max_duration_minutes"
    ]
    # More time, and it is enough.
    write(cli, {"whole": {"max_duration_minutes": 0.01, "categories": [category("x", "sleep 1")]}})
    assert cli.json("layer", "whole")[0] == 1
    assert cli.json("layer", "whole", "--timeout-multiplier=60")[0] == 0


def test_strategies_and_names_that_one_may_have(cli: Cli) -> None:
    note = 'echo "+$QE_CATEGORY" >> log; sleep 0.3; echo "-$QE_CATEGORY" >> log'
    alone = {"resources": {"exclusive": ["db"]}}
    write(cli, {"a": {"execution_mode": "parallel", "categories": [
        category("x", note, **alone), category("y", note, **alone), category("z", note),
    ]}})  # fmt: skip
    assert cli.json("layer", "a")[0] == 0
    log = Path("log").read_text().split()
    assert log.index("-x") < log.index("+y") or log.index("-y") < log.index("+x")
    assert log.index("+z") < log.index("-x")
    Path("log").unlink()
    assert cli.json("layer", "a", "--strategy=sequential")[0] == 0
    assert Path("log").read_text().split() == ["+x", "-x", "+y", "-y", "+z", "-z"]


def test_two_runs_that_want_the_same_name_take_turns(cli: Cli) -> None:
    note = 'echo "+$QE_RUN" >> log; sleep 0.5; echo "-$QE_RUN" >> log'
    write(cli, {"a": {"categories": [category("x", note, resources={"exclusive": ["db"]})]}})
    runs = [
        subprocess.Popen(
            [*QE, "layer", "a"], stdout=subprocess.PIPE, text=True,
            env={**os.environ, "QE_RUN": str(number)},
        )
        for number in range(3)
    ]  # fmt: skip
    said = [run.communicate(timeout=60)[0] for run in runs]
    assert [run.returncode for run in runs] == [0, 0, 0], said
    log = Path("log").read_text().split()
    assert [begin[1] for begin in log[::2]] == [end[1] for end in log[1::2]]
    assert any("another run has db" in text for text in said)


def test_a_service_is_started_shared_and_stopped(cli: Cli) -> None:
    port = free_port()
    cli.write("server.py", SERVER)
    look = f"import socket; socket.create_connection(('127.0.0.1', {port})).close()"
    service = {
        "check": {"tcp": f"127.0.0.1:{port}"},
        "start": [sys.executable, "server.py", str(port), "0.3"],
    }
    layer = {"execution_mode": "parallel", "required_services": ["db"], "categories": [
        {"name": name, "command": [sys.executable, "-c", look]} for name in "xyz"
    ]}  # fmt: skip
    write(cli, {"a": layer, "b": layer}, services={"db": service})
    done = cli.run("layer", "a", "b", "-v")
    assert done.returncode == 0, done.stdout
    assert done.stdout.count("service  db starting") == 1
    assert not is_open(port)
    # One that is there already is left alone.
    with subprocess.Popen([sys.executable, "server.py", str(port), "0"]) as mine:
        wait_for(lambda: is_open(port), "the server")
        done = cli.run("layer", "a", "-v")
        assert done.returncode == 0 and "service  db up" in done.stdout
        assert is_open(port)
        mine.kill()


def test_a_service_with_a_stop_may_leave_a_daemon(cli: Cli) -> None:
    port = free_port()
    cli.write("server.py", SERVER)
    cli.write(
        "up.sh", f"setsid {sys.executable} server.py {port} 0 >/dev/null 2>&1 & echo $! > pid"
    )
    service = {"check": {"tcp": f"127.0.0.1:{port}"}, "start": "sh up.sh",
               "stop": ["sh", "-c", "kill $(cat pid); echo stopped > word"]}  # fmt: skip
    write(cli, {"a": {"required_services": ["db"], "categories": [category("x", "exit 0")]}},
          services={"db": service})  # fmt: skip
    done = cli.run("layer", "a")
    assert done.returncode == 0, done.stdout
    assert Path("word").read_text() == "stopped\n" and not is_open(port)


@pytest.mark.parametrize(
    ("service", "said"),
    [
        ({}, "service db is not there (tcp 127.0.0.1:"),
        ({"start": ["sh", "-c", "echo no room >&2; exit 4"]}, "ended with exit status 4: no room"),
        ({"start": ["sleep", "60"], "ready_seconds": 0.5}, "was not ready within 0.5 s"),
    ],
)
def test_a_service_that_is_not_there_skips_its_layer(
    cli: Cli, service: dict[str, Any], said: str
) -> None:
    check = {"tcp": f"127.0.0.1:{free_port()}"}
    write(cli, {
        "a": {"required_services": ["db"], "categories": [category("x", "exit 0")]},
        "b": {"categories": [category("y", "exit 0")]},
    }, services={"db": {"check": check, **service}})  # fmt: skip
    status, result = cli.json("layer", "a", "b")
    assert status == 1
    assert result["layers"]["a"]["skipped"] == {"x": {"why": "service", "of": None}}
    assert said in result["layers"]["a"]["errors"][0]
    assert result["layers"]["b"]["success"] and result["layers"]["b"]["errors"] == []


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
@pytest.mark.parametrize("when", ["service", "category"])
def test_an_interrupt_ends_all_and_keeps_what_is_known(
    cli: Cli, number: signal.Signals, when: str
) -> None:
    port = free_port()
    cli.write("server.py", SERVER)
    wait = "60" if when == "service" else "0"
    start = ["sh", "-c", f"echo > came; exec {sys.executable} server.py {port} {wait}"]
    write(cli, {
        "a": {"categories": [category("x", "exit 0")]},
        "b": {"dependencies": ["a"], "required_services": ["db"], "categories": [
            category("y", "trap 'echo > cleaned; exit 1' INT; echo > began; sleep 60 & wait"),
            category("z", "exit 0"),
        ]},
    }, services={"db": {"check": {"tcp": f"127.0.0.1:{port}"}, "start": start}})  # fmt: skip
    run = subprocess.Popen([*QE, "layer", "a", "b", "--json=out.json"], stdout=subprocess.PIPE)
    wait_for(lambda: cli.exists("came" if when == "service" else "began"), "the moment")
    run.send_signal(number)
    run.communicate(timeout=20)  # the service would have 30 s
    assert run.returncode == 128 + number
    result = json.loads(Path("out.json").read_text())
    assert result["layers"]["a"]["success"]
    second = result["layers"]["b"]
    assert second["cancelled"] and second["skipped"]["z"]["why"] == "cancelled"
    assert cli.exists("cleaned") == (when == "category")
    assert not is_open(port)


def test_a_kill_leaves_nothing(cli: Cli) -> None:
    port = free_port()
    cli.write("server.py", SERVER)
    start = [sys.executable, "server.py", str(port), "0"]
    write(cli, {"b": {"required_services": ["db"], "categories": [
        category("y", "echo > began; sleep 300", resources={"exclusive": ["db"]}),
    ]}}, services={"db": {"check": {"tcp": f"127.0.0.1:{port}"}, "start": start}})  # fmt: skip
    run = subprocess.Popen([*QE, "layer", "b"], stdout=subprocess.DEVNULL)
    wait_for(lambda: cli.exists("began"), "the moment")
    run.kill()
    run.wait(30)
    cli.nothing_is_left()
    assert not is_open(port)
    # The name is free again.
    write(cli, {"b": {"categories": [category("y", "exit 0", resources={"exclusive": ["db"]})]}})
    assert cli.json("layer", "b")[0] == 0


def test_mistakes_are_told_before_anything_starts(cli: Cli) -> None:
    cases: list[tuple[Any, str]] = [
        ({"a": {"categories": [category("x", "exit 0", depends_on=["y"])]}},
         "layers.a.categories[0].depends_on[0]: there is no category of that name: 'y'"),
        ({"a": {"categories": [{"name": "x", "framework": "pytest", "paths": ["nowhere"]}]}},
         "layers.a.categories[0].paths[0]: there is no 'nowhere'"),
        ({"a": {"categories": [{"name": "x", "command": ["no-such-program"]}]}},
         "the program no-such-program is not found in PATH"),
        ({"a": {"categories": [category("x", "exit 0", resources={"cpu": 9999})]}},
         "can never run: it takes 9999 processors"),
    ]  # fmt: skip
    for layers, said in cases:
        layers["a"]["categories"].append(category("first", ": > ran"))
        write(cli, layers)
        done = cli.run("layer", "a")
        assert done.returncode == 2 and said in done.stderr, done.stderr
        assert "test_layers.yaml:" in done.stderr
        assert not cli.exists("ran")
        assert cli.run("layers", "validate").returncode in (1, 2)
    first = {"required_services": ["db"], "categories": [category("first", ": > ran")]}
    write(cli, {"a": first}, services={"db": {"check": {"tcp": "h:1"}, "start": "no-such-server"}})
    done = cli.run("layer", "a")
    assert done.returncode == 2 and "services.db.start: the program no-such-server" in done.stderr
    assert not cli.exists("ran")
    write(cli, {"a": {"categories": [category("first", ": > ran")]}})
    assert "there is no layer 'b'" in cli.refused("layer", "b")
    assert cli.run("layers", "validate").stdout.endswith("test_layers.yaml: 1 layer, no mistakes\n")


def test_the_api_gives_results_and_progress(cli: Cli) -> None:
    write(cli, {"a": {"categories": [category("x", "exit 0"), category("y", "exit 1")]}},
          environment_overrides={"staging": {"layers": {"a": {"categories": [
              category("y", "exit 0")]}}}})  # fmt: skip
    seen: list[str] = []
    agent = LayerExecutionAgent(on_progress=lambda event: seen.append(event["kind"]))
    assert agent.get_available_layers() == ["a"]
    assert agent.validate_layer("a") == [] and "no layer" in agent.validate_layer("b")[0]
    result = agent.execute_layer_sync("a")
    assert not result.success and result.errors == ["y: failed (exit status 1)"]
    assert seen == ["plan", "start", "end", "start", "end", "layer"]
    config = LayerExecutionConfig(
        "a", execution_strategy=ExecutionStrategy.HYBRID_SMART, environment="staging"
    )
    assert execute_layer_sync("a", config).success
    with pytest.raises(ConfigError, match="no such environment"):
        execute_layer_sync("a", LayerExecutionConfig(environment="nowhere"))


def test_cancelling_a_task_ends_what_runs(cli: Cli) -> None:
    write(cli, {"a": {"categories": [category("x", "echo > began; sleep 300")]}})

    async def both() -> None:
        task = asyncio.ensure_future(LayerExecutionAgent().execute_layer("a"))
        while not cli.exists("began"):
            await asyncio.sleep(0.01)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    asyncio.run(both())

    async def told() -> bool:
        agent = LayerExecutionAgent()
        Path("began").unlink()
        task = asyncio.ensure_future(agent.execute_layer("a"))
        while not cli.exists("began"):
            await asyncio.sleep(0.01)
        agent.cancel()
        return (await task).cancelled

    assert asyncio.run(told())


def test_what_took_long_begins_first(cli: Cli) -> None:
    note = 'echo "$QE_CATEGORY" >> log; sleep '
    write(cli, {"a": {"execution_mode": "hybrid", "categories": [
        category("x", note + "0"), category("y", note + "0.5"), category("z", note + "0.2"),
    ]}})  # fmt: skip
    options = ("layer", "a", "--max-parallel=1")
    assert cli.json(*options)[0] == 0
    Path("log").unlink()
    assert cli.json(*options)[0] == 0
    assert Path("log").read_text().split() == ["y", "z", "x"]
