"""``qe layer`` and ``qe run`` as nodes of a run that several share."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

import queue_help
from conftest import wait_for
from queue_help import WORD, RedisServer, make_server, redis  # noqa: F401

#: Notes that it ran, by whom, and when it ended.
_SCRIPT = """
n=0
until mkdir "ran-{name}.$n" 2>/dev/null; do n=$((n + 1)); done
echo "$NODE" > "ran-{name}.$n/by"
date +%s.%N > "ran-{name}.$n/began"
{rest}
date +%s.%N > "ran-{name}.$n/ended"
"""

#: The same for a test of pytest.
_TESTS = """
import os, pathlib, time
import pytest

@pytest.mark.parametrize("n", range({count}))
def test_it(n):
    for attempt in range(99):
        try:
            os.mkdir(f"ran-{name}{{n}}.{{attempt}}")
            break
        except FileExistsError:
            pass
    pathlib.Path(f"ran-{name}{{n}}.{{attempt}}/by").write_text(os.environ["NODE"])
    time.sleep({seconds})
    {rest}
"""
_PLAIN = ["-p", "no:randomly", "-p", "no:random_order", "-p", "no:cacheprovider"]


class Nodes(queue_help.Nodes):
    def category(self, name: str, rest: str = "", **more: Any) -> dict[str, Any]:
        """One command."""
        (self.folder / f"{name}.sh").write_text(_SCRIPT.format(name=name, rest=rest))
        return {"name": name, "command": ["sh", f"{name}.sh"], **more}

    def tests(
        self, name: str, count: int, seconds: float, rest: str = "pass", **more: Any
    ) -> dict[str, Any]:
        """Tests of pytest, in the file test_NAME.py."""
        text = _TESTS.format(name=name, count=count, seconds=seconds, rest=rest)
        (self.folder / f"test_{name}.py").write_text(text)
        paths = [f"test_{name}.py"]
        return {
            "name": name, "framework": "pytest", "paths": paths, "args": _PLAIN,
            "resources": {"cpu": 1}, **more,
        }  # fmt: skip

    def files(self, name: str, count: int, seconds: float, **more: Any) -> dict[str, Any]:
        """Files that are a command each."""
        for number in range(count):
            text = f"import os, time, unittest\nos.mkdir('ran-{name}{number}.0')\n"
            text += "class T(unittest.TestCase):\n    def test_it(self):\n"
            text += f"        time.sleep({seconds})\n"
            (self.folder / f"{name}{number}.py").write_text(text)
        paths = [f"{name}{number}.py" for number in range(count)]
        return {
            "name": name, "framework": "unittest", "paths": paths, "resources": {"instances": 1},
            **more,
        }  # fmt: skip

    def layers(self, layers: Mapping[str, Any], **more: Any) -> None:
        text = json.dumps({"layers": layers, **more})
        (self.folder / "test_layers.yaml").write_text(text)

    def start(self, name: str, *words: str, **env: str) -> None:
        command = () if words[:1] in (("run",), ("layer",)) else ("layer",)
        self.spawn(
            name, sys.executable, "-m", "pytest_qe", *command, *words,
            f"--queue={self.server.url}", f"--run={self.run}", "--project=shop",
            f"--json={name}.json", "--queue-lease=1", **env,
        )  # fmt: skip

    def at(self, what: str, name: str) -> float:
        return float((self.folder / f"ran-{name}.0" / what).read_text())


@pytest.fixture
def nodes(tmp_path: Path, redis: RedisServer) -> Iterator[Nodes]:  # noqa: F811
    made = Nodes(tmp_path, redis)
    yield made
    made.close()


def outcomes(result: Mapping[str, Any]) -> dict[str, str]:
    """Of each category what came of it, or why it did not run."""
    found = {}
    for name, layer in result["layers"].items():
        for category, end in layer["category_results"].items():
            found[f"{name}/{category}"] = end["outcome"]
        for category, skipped in layer["skipped"].items():
            found[f"{name}/{category}"] = f"skipped: {skipped['why']}"
    return found


def test_nodes_share_layers(nodes: Nodes) -> None:
    nodes.layers({
        "first": {"categories": [nodes.tests("fast", 24, 0.2), nodes.category("alone")]},
        "second": {
            "dependencies": ["first"],
            "execution_mode": "parallel",
            "categories": [nodes.files("unit", 9, 0.4), nodes.category("other")],
        },
    })  # fmt: skip
    for name in "123":
        nodes.start(name, "first", "second")
    assert nodes.wait() == [0, 0, 0], nodes.output("1")
    assert len(nodes.ran()) == 24 + 1 + 9 + 1
    assert set(nodes.ran().values()) == {1}
    whole = {"first/fast": 24, "second/unit": 9, "first/alone": 1, "second/other": 1}
    here: dict[str, list[int]] = {name: [] for name in whole}
    for name in "123":
        result = nodes.result(name)
        assert set(outcomes(result).values()) == {"passed"}
        assert result["layers"]["first"]["pass_rate"] == 100.0
        for layer, found in result["layers"].items():
            for category, end in found["category_results"].items():
                here[f"{layer}/{category}"].append(end["shared"]["here"])
                if end["tests"] is not None:
                    assert end["tests"]["passed"] == whole[f"{layer}/{category}"]
    assert {name: sum(counts) for name, counts in here.items()} == whole
    assert all(here["first/fast"]) and all(here["second/unit"])
    # One report of the layers, and one of each of their categories.
    status, data, _ = nodes.report()
    assert status == 0 and data["run"]["queue"]["complete"]
    assert {test["id"] for test in data["tests"]} == set(whole)
    status, data, _ = nodes.report(run="one.first.fast")
    assert status == 0 and len(data["tests"]) == 24
    nodes.start("late", "first", "second")
    assert nodes.wait("late") == [0]
    assert "the run is over; nothing was left for this node" in nodes.output("late")
    assert outcomes(nodes.result("late")) == outcomes(nodes.result("1"))


def test_a_layer_begins_after_the_whole_of_another(nodes: Nodes) -> None:
    slow = nodes.category("slow", "sleep 3.5")
    quick = nodes.category("quick")
    nodes.layers({
        "first": {"execution_mode": "parallel", "categories": [slow, quick]},
        "second": {"dependencies": ["first"], "categories": [nodes.category("after")]},
    })  # fmt: skip
    nodes.start("1", "first", "second")
    nodes.start("2", "first", "second")
    assert nodes.wait() == [0, 0]
    assert nodes.ran() == {"slow": 1, "quick": 1, "after": 1}
    assert nodes.at("began", "after") >= nodes.at("ended", "slow")
    # Who has nothing to do says what it waits for.
    said = ["waits    first/slow  for other nodes, which run the last 1 of 1" in nodes.output(n)
            for n in "12"]  # fmt: skip
    by = (nodes.folder / "ran-slow.0" / "by").read_text().strip()
    assert said == [by == "2", by == "1"]


def test_a_failed_layer_stops_the_next_everywhere(nodes: Nodes) -> None:
    nodes.layers({
        "first": {
            "categories": [nodes.tests("some", 8, 0.2, "assert n != 5"), nodes.category("more")]
        },
        "second": {"dependencies": ["first"], "categories": [nodes.category("never")]},
        "third": {"categories": [nodes.category("apart")]},
    })  # fmt: skip
    for name in "123":
        nodes.start(name, "first", "second", "third")
    assert nodes.wait() == [1, 1, 1]
    assert set(nodes.ran().values()) == {1} and nodes.ran()["never"] == 0
    for name in "123":
        assert outcomes(nodes.result(name)) == {
            "first/some": "failed", "first/more": "passed", "second/never": "skipped: layer",
            "third/apart": "passed",
        }  # fmt: skip
        end = nodes.result(name)["layers"]["first"]["category_results"]["some"]
        assert end["tests"]["failed"] == 1 and end["tests"]["passed"] == 7
        assert [one["name"] for one in end["failures"]] == ["test_some.py::test_it[5]"]
        assert "assert 5 != 5" in nodes.output(name)
    status, data, _ = nodes.report()
    assert status == 1
    found = {test["id"]: test["outcome"] for test in data["tests"]}
    assert found["first/some"] == "failed" and found["second/never"] == "skipped"


def test_gates_hold_over_nodes(nodes: Nodes) -> None:
    nodes.layers({
        "first": {"categories": [nodes.category("bad", "sleep 0.5; exit 3")]},
        "second": {"categories": [nodes.category("never")]},
    })  # fmt: skip
    nodes.start("1", "run")
    nodes.start("2", "run")
    assert nodes.wait() == [1, 1]
    assert nodes.ran() == {"bad": 1}
    for name in "12":
        assert outcomes(nodes.result(name)) == {
            "first/bad": "failed", "second/never": "skipped: layer"
        }  # fmt: skip


def test_a_killed_node_loses_nothing(nodes: Nodes) -> None:
    nodes.layers({
        "first": {"categories": [nodes.files("unit", 8, 0.4), nodes.tests("fast", 16, 0.2)]},
        "second": {"dependencies": ["first"], "categories": [nodes.category("after")]},
    })  # fmt: skip
    # So that what is run again may leave its note once more.
    for path in nodes.folder.glob("unit*.py"):
        path.write_text(path.read_text().replace("os.mkdir", "os.makedirs").replace(
            ".0')", ".0', exist_ok=True)"))  # fmt: skip
    nodes.start("1", "first", "second")
    nodes.began(1)
    nodes.start("2", "first", "second")
    nodes.began(4)
    os.killpg(nodes.processes["1"].pid, signal.SIGKILL)
    assert nodes.wait("2") == [0], nodes.output("2")
    assert set(outcomes(nodes.result("2")).values()) == {"passed"}
    assert len(nodes.ran()) == 8 + 16 + 1
    assert nodes.report()[0] == 0


def test_an_interrupted_node_leaves_its_part_to_others(nodes: Nodes) -> None:
    again = nodes.category("again", "[ $n -gt 0 ] || sleep 60")
    nodes.layers({"first": {"categories": [again, nodes.tests("fast", 10, 0.3)]}})
    nodes.start("1", "first")
    nodes.began(1)
    nodes.start("2", "first")

    def taking_part() -> int:
        return nodes.queue("status", "one.first.again", "--json")[1].count('"name"')

    wait_for(lambda: taking_part() == 2, "both to take part")
    nodes.processes["1"].send_signal(signal.SIGINT)
    assert nodes.wait("1") == [130]
    assert nodes.wait("2") == [0], nodes.output("2")
    assert nodes.ran()["again"] == 2
    assert nodes.result("2")["layers"]["first"]["category_results"]["again"]["shared"]["here"] == 1
    assert nodes.report()[0] == 0


def test_a_machine_that_joins_midway(
    nodes: Nodes, tmp_path_factory: pytest.TempPathFactory
) -> None:
    machines = [nodes, Nodes(tmp_path_factory.mktemp("other"), nodes.server)]
    for machine in machines:
        machine.layers(
            {
                "first": {"categories": [machine.tests("fast", 6, 0.1)]},
                "second": {
                    "dependencies": ["first"],
                    "required_services": ["disk"],
                    "categories": [machine.files("unit", 16, 0.4)],
                },
            },
            services={
                "disk": {
                    "check": {"command": "test -e up"},
                    "start": ["sh", "-c", "touch up ran-service.0; sleep 60"],
                    "stop": "rm up",
                }
            },
        )
    try:
        nodes.start("1", "first", "second")
        wait_for(lambda: any("unit" in name for name in nodes.ran()), "the second layer to begin")
        machines[1].start("2", "first", "second")
        assert machines[1].wait() == [0], machines[1].output("2")
        assert nodes.wait() == [0], nodes.output("1")
        mine, other = nodes.ran(), machines[1].ran()
        # Each machine has its own service; what is shared ran on one of them.
        assert mine.pop("service") == other.pop("service") == 1
        assert not any((machine.folder / "up").exists() for machine in machines)
        assert set((mine + other).values()) == {1} and len(mine + other) == 6 + 16
        assert any("unit" in name for name in other) and not any("fast" in name for name in other)
        assert set(outcomes(machines[1].result("2")).values()) == {"passed"}
    finally:
        machines[1].close()


def test_a_node_that_stood_still(nodes: Nodes) -> None:
    """For longer than its lease: others have run what it had, and it goes on with the rest."""
    nodes.layers({
        "first": {"categories": [nodes.files("unit", 6, 0.4)]},
        "second": {"dependencies": ["first"], "categories": [nodes.files("more", 12, 0.4)]},
    })  # fmt: skip
    for path in [*nodes.folder.glob("unit*.py"), *nodes.folder.glob("more*.py")]:
        path.write_text(path.read_text().replace("os.mkdir", "os.makedirs").replace(
            ".0')", ".0', exist_ok=True)"))  # fmt: skip
    nodes.start("1", "first", "second")
    nodes.began(1)
    nodes.start("2", "first", "second")
    nodes.began(3)
    group = nodes.processes["1"].pid
    os.killpg(group, signal.SIGSTOP)
    wait_for(lambda: any("more" in name for name in nodes.ran()), "the other to be in the second")
    os.killpg(group, signal.SIGCONT)
    assert nodes.wait() == [0, 0], nodes.output("1")
    assert outcomes(nodes.result("1")) == outcomes(nodes.result("2"))
    assert len(nodes.ran()) == 18
    assert nodes.report()[0] == 0


def test_retries_are_of_all_nodes(nodes: Nodes) -> None:
    nodes.layers({
        "first": {
            "categories": [
                nodes.tests("some", 6, 0.2, "assert attempt > 0 or n != 3", retries=1),
                nodes.category("own", "[ $n -gt 0 ] || exit 1", retries=1),
            ]
        }
    })  # fmt: skip
    nodes.start("1", "first")
    nodes.start("2", "first")
    assert nodes.wait() == [0, 0], nodes.output("1")
    assert set(nodes.ran().values()) == {2} and len(nodes.ran()) == 7
    for name in "12":
        found = nodes.result(name)["layers"]["first"]["category_results"]
        assert [one["outcome"] for one in found["some"]["before"]] == ["failed"]
    assert nodes.report(run="one.first.some.2")[0] == 0
    assert nodes.report(run="one.first.own")[0] == 1


def test_an_abort_ends_all_nodes(nodes: Nodes) -> None:
    nodes.layers({
        "first": {"categories": [nodes.category("long", "sleep 60")]},
        "second": {"dependencies": ["first"], "categories": [nodes.category("never")]},
    })  # fmt: skip
    nodes.start("1", "first", "second")
    nodes.start("2", "first", "second")
    nodes.began(1)
    assert nodes.queue("abort", "one")[0] == 0
    assert nodes.wait() == [1, 1]
    assert nodes.ran() == {"long": 1}
    for name in "12":
        assert "run one was stopped" in nodes.output(name)
        assert outcomes(nodes.result(name))["second/never"] == "skipped: cancelled"
    nodes.start("late", "first", "second")
    assert nodes.wait("late") == [1]
    assert "the run was stopped; nothing was left for this node" in nodes.output("late")


def test_the_time_of_a_category_is_that_of_all_nodes(nodes: Nodes) -> None:
    long = nodes.tests("long", 2, 30, timeout_seconds=4)
    nodes.layers({
        "first": {"categories": [long, nodes.category("own", "sleep 60", timeout_seconds=2)]},
        "second": {"dependencies": ["first"], "categories": [nodes.category("never")]},
    })  # fmt: skip
    nodes.start("1", "first", "second")
    nodes.start("2", "first", "second")
    assert nodes.wait() == [1, 1]
    for name in "12":
        assert outcomes(nodes.result(name)) == {
            "first/long": "timeout", "first/own": "timeout", "second/never": "skipped: layer"
        }, nodes.output(name)  # fmt: skip


@pytest.mark.parametrize("kind", ["tests", "files"])
def test_a_server_that_is_gone(nodes: Nodes, kind: str) -> None:
    one = nodes.tests("fast", 60, 0.2) if kind == "tests" else nodes.files("unit", 20, 0.4)
    nodes.layers({
        "first": {"categories": [one]},
        "second": {"dependencies": ["first"], "categories": [nodes.category("never")]},
    })  # fmt: skip
    nodes.start("1", "first", "second")
    nodes.start("2", "first", "second")
    nodes.began(4)
    nodes.server.stop()
    assert nodes.wait() == [3, 3], nodes.output("1")
    for name in "12":
        assert "error: --queue: " in nodes.output(name)
        assert "Traceback" not in nodes.output(name)
        assert nodes.result(name)["shared"]["trouble"]
    assert nodes.ran()["never"] == 0


def test_no_server(nodes: Nodes) -> None:
    nodes.layers({"first": {"categories": [nodes.category("never")]}})
    nodes.server.stop()
    nodes.start("1", "first")
    assert nodes.wait() == [3]
    assert "error: " in nodes.output("1") and "Traceback" not in nodes.output("1")
    assert not nodes.ran()


def test_what_is_refused(nodes: Nodes) -> None:
    nodes.layers({
        "first": {"categories": [nodes.category("long", "sleep 3")]},
        "second": {"categories": [nodes.category("next")]},
        "apart": {"execution_mode": "background", "categories": [nodes.category("never")]},
    })  # fmt: skip
    nodes.start("1", "first", "second")
    nodes.began(1)
    nodes.start("2", "first")
    assert nodes.wait("2") == [2]
    said = nodes.output("2")
    assert 'the run has 2 categories, this node 1; number 2 is "second/next" there' in said
    (nodes.folder / "other").mkdir()
    layers = json.loads((nodes.folder / "test_layers.yaml").read_text())
    layers["layers"]["first"]["categories"][0]["command"] = ["sh", "./long.sh"]
    (nodes.folder / "other.yaml").write_text(json.dumps(layers))
    nodes.start("3", "first", "second", "--config=other.yaml")
    assert nodes.wait("3") == [2]
    assert 'first/long: the run has 1 tests, this node 1; number 1 is "sh long.sh" there' in (
        nodes.output("3")
    )
    assert nodes.wait("1") == [0]
    for name, words, text in (
        ("4", ["first", "--background"], "--queue: nodes share what they wait for"),
        ("5", ["run"], "--queue: apart would run in the background, which no nodes share"),
    ):
        nodes.start(name, *words)
        assert nodes.wait(name) == [2]
        assert text in nodes.output(name)
    assert nodes.ran() == {"long": 1, "next": 1}


def test_a_password_is_in_no_list_of_processes(tmp_path: Path) -> None:
    server = make_server(tmp_path / "server", "--requirepass", WORD)
    nodes = Nodes(tmp_path, server)
    try:
        seen = """
    assert "QE_QUEUE_PASSWORD" not in os.environ
    for path in pathlib.Path("/proc").glob("[0-9]*/cmdline"):
        try:
            words = path.read_bytes()
        except OSError:
            continue
        assert b"open-" + b"sesame" not in words or b"redis-server" in words, words"""
        nodes.layers({"first": {"categories": [nodes.tests("fast", 4, 0.5, seen)]}})
        nodes.start("1", "first", QE_QUEUE_PASSWORD=WORD)
        nodes.start("2", "first", QE_QUEUE_PASSWORD=WORD)
        assert nodes.wait() == [0, 0], nodes.output("1")
        assert sum(nodes.ran().values()) == 4
        nodes.start("3", "first", QE_QUEUE_PASSWORD="wrong")
        assert nodes.wait("3") == [3]
        assert "wrong" not in nodes.output("3").replace("the password is wrong", "")
    finally:
        nodes.close()
        server.stop()


def test_names_of_any_kind(nodes: Nodes) -> None:
    odd = [
        {"name": name, "command": ["mkdir", f"ran-{number}.0"]}
        for number, name in enumerate(["a b", "a.b", "a{b}", "ä" * 60, "x-y"])
    ]
    nodes.layers({"first": {"categories": odd}})
    nodes.run = "4711/1/job é"
    nodes.start("1", "first")
    nodes.start("2", "first")
    assert nodes.wait() == [0, 0], nodes.output("1")
    assert nodes.ran() == dict.fromkeys("01234", 1)


def test_from_python(nodes: Nodes) -> None:
    from pytest_qe import queues
    from pytest_qe.agents import Shared
    from pytest_qe.orchestration import (
        ExecutionMode,
        LayerExecutionAgent,
        LayerExecutionConfig,
        OrchestrationConfig,
        TestOrchestratorAgent,
    )

    nodes.layers({
        "first": {"categories": [nodes.category("one", "sleep 0.5"), nodes.category("two")]},
        "apart": {"execution_mode": "background", "categories": [nodes.category("never")]},
    })  # fmt: skip
    config = nodes.folder / "test_layers.yaml"
    target = queues.target(nodes.server.url, run="py", project="shop", root=nodes.folder)
    chosen = LayerExecutionConfig(shared=Shared(target), variables={"NODE": "py"})

    async def both() -> list[Any]:
        agents = [LayerExecutionAgent(config), LayerExecutionAgent(config)]
        return await asyncio.gather(*(one.execute_layer("first", chosen) for one in agents))

    assert [result.success for result in asyncio.run(both())] == [True, True]
    assert nodes.ran() == {"one": 1, "two": 1}
    orchestrator = TestOrchestratorAgent(config)
    with pytest.raises(ValueError, match="apart would run in the background"):
        asyncio.run(orchestrator.execute_tests(OrchestrationConfig(shared=Shared(target))))
    result = asyncio.run(orchestrator.execute_tests(
        OrchestrationConfig(ExecutionMode.FAST_FEEDBACK, shared=Shared(target), layers=("first",))
    ))  # fmt: skip
    assert result.success and result.shared is not None
    assert "the run is over" in result.shared["lines"][0]
    with pytest.raises(TypeError, match="shared: takes Shared"):
        bad: Any = "redis://x"
        LayerExecutionAgent(config).execute_layer_sync("first", LayerExecutionConfig(shared=bad))
