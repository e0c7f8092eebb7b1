"""Layers by modes: which run, what gates what, what runs on by itself."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import Any

import pytest

from cli_help import Cli, cli
from pytest_qe.agents import TestExecutorAgent
from pytest_qe.orchestration import (
    ConfigError,
    ExecutionMode,
    OrchestrationConfig,
    OrchestrationResult,
    TestOrchestratorAgent,
)
from test_layers_background import status
from test_layers_run import category, free_port, write

__all__ = ["cli"]

NOTE = 'echo "$QE_LAYER" >> log'


def layers(middle: str = "exit 0") -> dict[str, Any]:
    return {
        "fast": {"categories": [category("x", NOTE), category("y", NOTE)]},
        "core": {"categories": [category("x", f"{NOTE}; {middle}")]},
        "late": {"categories": [category("x", NOTE)]},
        "e2e": {"execution_mode": "background", "categories": [category("x", NOTE)]},
    }


def execute(mode: ExecutionMode, **more: Any) -> OrchestrationResult:
    agent = TestOrchestratorAgent()
    return asyncio.run(agent.execute_tests(OrchestrationConfig(mode, **more)))


def log() -> list[str]:
    path = Path("log")
    found = path.read_text().split() if path.exists() else []
    path.unlink(missing_ok=True)
    return found


def test_ci_goes_layer_by_layer_and_the_background_goes_on_by_itself(cli: Cli) -> None:
    write(cli, layers())
    result = execute(ExecutionMode.CI)
    assert result.success and list(result.layers) == ["fast", "core", "late"]
    (run,) = result.background
    assert cli.run("layer", "wait", run["id"]).returncode == 0
    assert log() == ["fast", "fast", "core", "late", "e2e"]
    write(cli, layers("exit 1"))
    result = execute(ExecutionMode.CI)
    assert not result.success and result.background == [] and result.not_started == ["e2e"]
    assert result.layers["late"].skipped == {"x": {"why": "layer", "of": "core"}}
    assert log() == ["fast", "fast", "core"]


def test_the_other_modes(cli: Cli) -> None:
    write(cli, layers("exit 1"))
    assert list(execute(ExecutionMode.FAST_FEEDBACK).layers) == ["fast"]
    assert log() == ["fast", "fast"]
    # Every night all of it runs, whatever fails.
    result = execute(ExecutionMode.NIGHTLY)
    assert not result.success and list(result.layers) == ["fast", "core", "late", "e2e"]
    assert sorted(log()) == ["core", "e2e", "fast", "fast", "late"]
    result = execute(ExecutionMode.BACKGROUND)
    assert result.success and result.layers == {} and len(result.background) == 1
    assert cli.run("layer", "wait", result.background[0]["id"]).returncode == 0
    assert log() == ["e2e"]
    write(cli, layers())
    result = execute(ExecutionMode.HYBRID, layers=("core", "late"))
    assert result.success and list(result.layers) == ["core", "late"]
    with pytest.raises(ValueError, match=r"there is no layer 'lat'.*late"):
        execute(ExecutionMode.CI, layers=("lat",))


def test_environments_and_real_services(cli: Cli) -> None:
    tell = 'echo "$QE_ENVIRONMENT $QE_LLM_MODE $WHERE" > told'
    write(cli, {"a": {"llm_requirements": {"mode": "mock"}, "categories": [
        category("x", tell, environment={"WHERE": "here"})]}},
        environment_overrides={"staging": {"layers": {"a": {"categories": [
            {"name": "x", "environment": {"WHERE": "there"}}]}}}})  # fmt: skip
    assert execute(ExecutionMode.CI).success
    assert Path("told").read_text() == " mock here\n"
    assert execute(ExecutionMode.CI, environment="staging", force_real_services=True).success
    assert Path("told").read_text() == "staging real there\n"


def test_messages_of_all_agents_arrive(cli: Cli) -> None:
    write(cli, {"a": {"categories": [category("x", "exit 0")]}})
    cli.files(good="exit 0")
    seen: list[dict[str, Any]] = []
    orchestrator = TestOrchestratorAgent(on_message=seen.append)

    class Listener:
        def __init__(self) -> None:
            self.got: list[Any] = []

        async def receive(self, message: dict[str, Any]) -> None:
            self.got.append(message["text"])

    async def all_of_it() -> None:
        assert await orchestrator.initialize() == ["a"]
        agent = TestExecutorAgent(template=["sh", "{file}"], **orchestrator.hooks_for("executor"))
        orchestrator.register_agent("executor", agent)
        listener = Listener()
        orchestrator.register_agent("listener", listener)
        with pytest.raises(ValueError, match="another agent"):
            orchestrator.register_agent("listener", agent)
        await orchestrator.message({"recipient": "listener", "text": "hello"})
        assert listener.got == ["hello"]
        await agent.execute_tests_parallel(["good.sh"], "command")
        assert (await orchestrator.execute_tests()).success

    asyncio.run(all_of_it())
    assert {"start", "attempt", "result", "cost"} <= {
        one["kind"] for one in seen if one.get("sender") == "executor"
    }
    assert [one["kind"] for one in seen if one.get("sender") == "layer-executor"] == [
        "plan", "start", "end", "layer",
    ]  # fmt: skip
    assert list(orchestrator.messages) == seen


def test_health_says_what_is_missing(cli: Cli) -> None:
    check = {"tcp": f"127.0.0.1:{free_port()}"}
    write(cli, {
        "a": {"required_services": ["db"], "categories": [category("x", "exit 0")]},
        "b": {"categories": [{"name": "y", "command": ["no-such-program"]}]},
    }, services={"db": {"check": check}})  # fmt: skip
    found = asyncio.run(TestOrchestratorAgent().health_check())
    assert not found["healthy"] and found["services"] == {"db": {"there": False, "start": False}}
    assert found["layers"]["a"] == [] and "no-such-program" in found["layers"]["b"][0]
    assert found["resources"]["cpu"] >= 1 and found["resources"]["memory"] > 1 << 20
    done = cli.run("doctor", "--layers")
    assert done.returncode == 1
    words = " ".join(done.stdout.split())
    assert "ok layer a all that it executes is here" in words
    assert "BROKEN service db is not there start it by hand" in words
    cli.write("test_layers.yaml", "layers: 3")
    assert "BROKEN configuration" in " ".join(cli.run("doctor", "--layers").stdout.split())
    found = asyncio.run(TestOrchestratorAgent().health_check())
    assert not found["healthy"] and len(found["config"]) == 1
    with pytest.raises(ConfigError):
        asyncio.run(TestOrchestratorAgent().initialize())


def test_qe_run(cli: Cli) -> None:
    write(cli, layers())
    done = cli.run("run", "--json=out.json")
    assert done.returncode == 0, done.stderr
    assert "layer    core succeeded" in done.stdout
    run = done.stdout.splitlines()[-1].split()[-1]
    assert cli.run("layer", "wait", run).returncode == 0
    assert status(cli, run)["layers"] == ["e2e"]
    result = json.loads(Path("out.json").read_text())
    assert result["success"] and result["mode"] == "ci"
    write(cli, layers("exit 1"))
    done = cli.run("run", "--mode=hybrid", "--max-parallel=1")
    assert done.returncode == 1 and done.stdout.endswith("not started: e2e\n")
    lines = cli.run("run", "core", "--json-lines").stdout.splitlines()
    assert json.loads(lines[-1])["kind"] == "done"
    assert "there is no layer 'x'" in cli.refused("run", "x")
    Path("test_layers.yaml").unlink()
    assert "'qe layers init' writes one" in cli.refused("run")
