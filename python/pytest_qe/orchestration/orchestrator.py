"""``TestOrchestratorAgent``: all layers of a project, in the order and the way of a mode."""

from __future__ import annotations

import asyncio
import contextlib
import enum
import os
from collections import deque
from collections.abc import AsyncIterator, Callable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Protocol, runtime_checkable

from ..errors import QeError
from ..memory import Memory, settled
from .agent import (
    ExecutionStrategy,
    LayerExecutionAgent,
    LayerExecutionConfig,
    LayerExecutionResult,
    LayerPlans,
    check_names,
    check_options,
    machine,
)
from .background import Background
from .cgroups import described
from .mistakes import ConfigError, unknown_name
from .services import Services
from .stage import Event

if TYPE_CHECKING:
    from ..agents.sharing import Shared

_MOST_MESSAGES = 10_000
#: What ``qe layer --strategy`` calls them.
_STRATEGY_WORDS = {
    ExecutionStrategy.SEQUENTIAL: "sequential",
    ExecutionStrategy.PARALLEL_UNLIMITED: "parallel",
    ExecutionStrategy.PARALLEL_LIMITED: "limited",
    ExecutionStrategy.HYBRID_SMART: "hybrid",
}


class ExecutionMode(str, enum.Enum):
    """Which layers run, and how they wait for each other.

    - ``FAST_FEEDBACK``: the first layer, and nothing more after a failure
    - ``CI``: one layer after the other, each if those before it succeeded; then those of the
      mode ``background``, which run on by themselves
    - ``NIGHTLY``: every layer, also those of the background, here; each but for those whose
      dependencies failed
    - ``BACKGROUND``: those of the mode ``background``, by themselves
    - ``HYBRID``: as ``CI``, but all at once as far as dependencies and resources allow, those
      first on which most time depends
    """

    FAST_FEEDBACK = "fast_feedback"
    CI = "ci"
    NIGHTLY = "nightly"
    BACKGROUND = "background"
    HYBRID = "hybrid"

    @classmethod
    def _missing_(cls, value: object) -> None:
        raise ValueError(unknown_name("mode", str(value), [one.value for one in cls]))


@dataclass(frozen=True)
class OrchestrationConfig:
    """What is run, and how.

    Args:
        execution_mode: see ``ExecutionMode``.
        environment: whose ``environment_overrides`` are laid over the configuration.
        force_real_services: ``llm_requirements.mode`` is ``real`` everywhere.
        layers: only these; None: those of the mode.
        execution_strategy, fail_fast, timeout_multiplier, max_parallel: of all layers, see
            ``LayerExecutionConfig``.
        shared: likewise; no layer may be one of the background then.
    """

    execution_mode: ExecutionMode = ExecutionMode.CI
    environment: str | None = None
    force_real_services: bool = False
    layers: tuple[str, ...] | None = None
    execution_strategy: ExecutionStrategy | None = None
    fail_fast: bool | None = None
    timeout_multiplier: float = 1.0
    max_parallel: int | None = None
    variables: Mapping[str, str] = field(default_factory=dict)
    shared: Shared | None = None


@dataclass
class OrchestrationResult:
    """What became of a run.

    Attributes:
        success: of all layers that ran here.
        mode, total_duration: its seconds.
        layers: of each its result.
        background: what was started to run by itself: see ``BackgroundRun``.
        not_started: layers of the background that were not, as others failed, or by ``errors``.
        cancelled: it was told to end.
        errors: why layers of the background could not be started, a line each.
        shared: of a run that nodes share: ``run``, ``lines``, ``stopped``, ``trouble``.
    """

    success: bool
    mode: str
    total_duration: float
    layers: dict[str, LayerExecutionResult]
    background: list[dict[str, Any]] = field(default_factory=list)
    not_started: list[str] = field(default_factory=list)
    cancelled: bool = False
    errors: list[str] = field(default_factory=list)
    shared: dict[str, Any] | None = None

    def as_dict(self) -> dict[str, Any]:
        """As JSON has it."""
        found = {name: getattr(self, name) for name in self.__dataclass_fields__}
        found["layers"] = {name: one.as_dict() for name, one in self.layers.items()}
        return found


@runtime_checkable
class Receiver(Protocol):
    """An agent that takes messages."""

    def receive(self, message: Event) -> Any: ...


class TestOrchestratorAgent:
    """Runs the layers of a project by a mode, in one pool of resources.

    Args:
        config_path: the configuration; None: ``test_layers.yaml`` here or in a folder above.
        memory: where durations and results are kept.
        on_message: called with each message: an agent's progress with ``sender``.

    Example::

        orchestrator = TestOrchestratorAgent()
        await orchestrator.initialize()
        result = await orchestrator.execute_tests(OrchestrationConfig(ExecutionMode.CI))
    """

    __test__ = False  # for pytest: it is no test

    def __init__(
        self,
        config_path: str | os.PathLike[str] | None = None,
        *,
        memory: Memory | None = None,
        on_message: Callable[[Event], Any] | None = None,
    ) -> None:
        self.config_path = config_path
        self._on_message = on_message
        self.agents: dict[str, Any] = {}
        self.messages: deque[Event] = deque(maxlen=_MOST_MESSAGES)
        self.last_result: dict[str, Any] | None = None
        self._layers = LayerExecutionAgent(config_path, memory=memory)
        self.register_agent("layer-executor", self._layers)

    async def initialize(self, environment: str | None = None) -> list[str]:
        """Reads and checks the configuration.

        Returns: the ids of its layers. Raises: ``ConfigError``.
        """
        return (await asyncio.to_thread(LayerPlans, self.config_path, environment)).layers()

    # ------------------------------------------------------------- agents

    def register_agent(self, agent_id: str, agent: Any) -> None:
        """An agent that messages may be sent to; those of ``pytest_qe.agents`` send their own
        by ``message`` as a hook.

        Raises: ``ValueError`` where another one has that id.
        """
        if self.agents.setdefault(agent_id, agent) is not agent:
            raise ValueError(f"agent_id: another agent is {agent_id!r}")

    def hooks_for(self, agent_id: str) -> dict[str, Any]:
        """Hooks that have an agent of ``pytest_qe.agents`` tell its progress here.

        Example::

            agent = TestExecutorAgent(**orchestrator.hooks_for("executor"))
        """
        names = ("on_start", "on_attempt", "on_retry", "on_timeout", "on_result", "on_cost")

        def tell(event: Event) -> Any:
            return self.message({**event, "sender": agent_id})

        return dict.fromkeys(names, tell)

    async def message(self, message: Event) -> None:
        """Takes in a message: its ``recipient``, if it names one, receives it, too.

        Raises: ``KeyError`` for an agent that there is not.
        """
        self.messages.append(message)
        recipient = message.get("recipient")
        if recipient is not None:
            if recipient not in self.agents:
                raise KeyError(unknown_name("agent", str(recipient), self.agents))
            agent = self.agents[recipient]
            if isinstance(agent, Receiver):
                await settled(agent.receive(message))
        if self._on_message is not None:
            await settled(self._on_message(message))

    # ---------------------------------------------------------------- run

    async def execute_tests(self, config: OrchestrationConfig | None = None) -> OrchestrationResult:
        """Runs what the mode says, and waits for what runs here.

        Raises: ``ConfigError``; ``ValueError`` for a layer that there is not.
        """
        result: OrchestrationResult | None = None
        async for event in self.stream(config):
            if event["kind"] == "done":
                result = _result_of(event["result"])
        assert result is not None
        return result

    async def stream(
        self, config: OrchestrationConfig | None = None, *, plans: LayerPlans | None = None
    ) -> AsyncIterator[Event]:
        """The same as it happens: events of ``LayerExecutionAgent.stream``, ``background`` for
        each layer that was started by itself, in the end ``done`` with ``result``. ``plans`` is
        the configuration, where it has been read already."""
        given = config or OrchestrationConfig()
        mode = ExecutionMode(given.execution_mode)
        check_options(given.timeout_multiplier, given.max_parallel, given.variables)
        if plans is None:
            plans = await asyncio.to_thread(LayerPlans, self.config_path, given.environment)
        here, apart = chosen_layers(given, plans)
        if apart and given.shared is not None:
            raise ValueError(
                f"shared: {', '.join(apart)} would run in the background, which no nodes share: "
                "name other layers, or take the mode nightly"
            )
        result: dict[str, Any] = {"success": True, "total_duration": 0.0, "layers": {}}
        if here:
            fast = mode is ExecutionMode.FAST_FEEDBACK
            chosen = LayerExecutionConfig(
                execution_strategy=given.execution_strategy
                or (ExecutionStrategy.HYBRID_SMART if mode is ExecutionMode.HYBRID else None),
                environment=given.environment,
                fail_fast_enabled=True if fast and given.fail_fast is None else given.fail_fast,
                timeout_multiplier=given.timeout_multiplier,
                max_parallel=given.max_parallel,
                force_real_services=given.force_real_services,
                variables=given.variables,
                shared=given.shared,
            )
            stream = self._layers.stream(here, chosen, gates=mode is ExecutionMode.CI, plans=plans)
            async with contextlib.aclosing(stream) as events:
                async for event in events:
                    if event["kind"] == "done":
                        result = event["result"]
                        break
                    await self.message({**event, "sender": "layer-executor"})
                    yield event
        cancelled = any(one["cancelled"] for one in result["layers"].values())
        started: dict[str, dict[str, Any]] = {}
        errors: list[str] = []
        if result["success"] and not cancelled:
            for name in apart:
                try:
                    run = await asyncio.to_thread(self._start, plans, name, given)
                except (OSError, QeError) as error:
                    errors.append(f"{name} could not be started: {error}")
                    continue
                started[name] = run
                event = {"kind": "background", "layer": name, "run": run}
                await self.message({**event, "sender": "orchestrator"})
                yield event
        self.last_result = {
            "success": result["success"],
            "mode": mode.value,
            "total_duration": result["total_duration"],
            "layers": result["layers"],
            "background": list(started.values()),
            "not_started": [name for name in apart if name not in started],
            "cancelled": cancelled,
            "errors": errors,
        }
        if "shared" in result:
            self.last_result["shared"] = result["shared"]
        yield {"kind": "done", "result": self.last_result}

    @staticmethod
    def _start(plans: LayerPlans, name: str, given: OrchestrationConfig) -> dict[str, Any]:
        words = [name, f"--config={os.path.abspath(plans.config.file)}"]
        if given.environment is not None:
            words.append(f"--env={given.environment}")
        if given.force_real_services:
            words.append("--real")
        if given.execution_strategy is not None:
            strategy = ExecutionStrategy(given.execution_strategy)
            words.append(f"--strategy={_STRATEGY_WORDS[strategy]}")
        if given.fail_fast is not None:
            words.append("--fail-fast" if given.fail_fast else "--no-fail-fast")
        if given.max_parallel is not None:
            words.append(f"--max-parallel={given.max_parallel}")
        words.append(f"--timeout-multiplier={given.timeout_multiplier}")
        background = Background(plans.config.folder)
        return background.start([name], words, given.variables).as_dict()

    def cancel(self) -> None:
        """Ends what runs here, with its grace; results have what is known by then."""
        self._layers.cancel()

    def stop(self, *, at_once: bool = False) -> None:
        """``cancel``, or with ``at_once`` without the grace."""
        self._layers.stop(at_once=at_once)

    def pause(self, on: bool) -> None:
        """Holds what runs, or lets it go on."""
        self._layers.pause(on)

    async def health_check(self, environment: str | None = None) -> dict[str, Any]:
        """What there is of what layers need.

        Returns: ``config`` (mistakes, a line each), ``layers`` (of each what is missing),
            ``services`` (of each ``there``: whether it is there now, and ``start``: whether the
            configuration says how to start it), ``resources`` (memory in bytes, processors),
            ``limits`` (a line: how those of categories are held to what they asked for),
            ``healthy``: nothing is wrong with the configuration, no tool is missing, and every
            service is there or can be started.
        """
        found: dict[str, Any] = {
            "config": [], "layers": {}, "services": {}, "resources": machine(),
            "limits": described(), "healthy": False,
        }  # fmt: skip
        try:
            plans = await asyncio.to_thread(LayerPlans, self.config_path, environment)
        except ConfigError as error:
            found["config"] = error.lines()
            return found
        for name in plans.layers():
            found["layers"][name] = await asyncio.to_thread(plans.missing, name)
        config = plans.merged.get("services", {})
        states = await Services(config, plans.config.folder).states()
        found["services"] = {
            name: {"there": there, "start": "start" in config[name]}
            for name, there in states.items()
        }
        found["healthy"] = not any(found["layers"].values()) and all(
            one["there"] or one["start"] for one in found["services"].values()
        )
        return found


def chosen_layers(given: OrchestrationConfig, plans: LayerPlans) -> tuple[list[str], list[str]]:
    """The layers that run here, and those that run by themselves.

    Raises: ``ValueError`` for a layer that there is not.
    """
    mode = ExecutionMode(given.execution_mode)
    all_layers = plans.merged["layers"]
    if given.layers is not None:
        check_names(given.layers, plans)
    names = list(all_layers if given.layers is None else given.layers)
    apart = [name for name in names if all_layers[name].get("execution_mode") == "background"]
    here = [name for name in names if name not in apart]
    if mode is ExecutionMode.FAST_FEEDBACK:
        return here[:1], []
    if mode is ExecutionMode.NIGHTLY:
        return names, []
    if mode is ExecutionMode.BACKGROUND:
        # Those that were named are meant, whatever their own mode is.
        return [], apart if given.layers is None else names
    return here, apart


def _result_of(found: dict[str, Any]) -> OrchestrationResult:
    layers = {name: LayerExecutionResult(**one) for name, one in found["layers"].items()}
    return OrchestrationResult(**{**found, "layers": layers})
