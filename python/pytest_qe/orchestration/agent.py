"""``LayerExecutionAgent``: one layer of a project's tests, by its configuration."""

from __future__ import annotations

import asyncio
import contextlib
import enum
import json
import os
import time
from collections.abc import AsyncGenerator, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from .. import _core
from ..errors import QeError
from ..memory import Memory, MemoryStore, settled
from ..queuenode import NodeRefused
from . import checking
from . import config as configs
from .durations import KEPT_S, Durations
from .mistakes import ConfigError, hint_for, unknown_name
from .nodes import node_of
from .stage import Event, PlanError, StageRun
from .waiting import Waiting

if TYPE_CHECKING:
    from ..agents.sharing import Shared

LAST = "aqe/layers/last_execution"
_MOST = 1_000_000  # categories at once


class ExecutionStrategy(str, enum.Enum):
    """How the categories of a layer run.

    - ``SEQUENTIAL``: one at a time, by ``priority_order``
    - ``PARALLEL_UNLIMITED``: all at once, as far as dependencies and resources allow
    - ``PARALLEL_LIMITED``: likewise, so many at once (``parallel_instances``; without it, one
      a processor)
    - ``HYBRID_SMART``: those first on which most time depends, by remembered durations; each
      takes a processor that does not say what it takes
    """

    SEQUENTIAL = "sequential"
    PARALLEL_UNLIMITED = "parallel_unlimited"
    PARALLEL_LIMITED = "parallel_limited"
    HYBRID_SMART = "hybrid_smart"

    @classmethod
    def _missing_(cls, value: object) -> None:
        raise ValueError(unknown_name("strategy", str(value), [one.value for one in cls]))


@dataclass(frozen=True)
class LayerExecutionConfig:
    """How a layer is run; None: as the configuration says.

    Args:
        layer_name: its id.
        execution_strategy: instead of that of its ``execution_mode``.
        environment: whose ``environment_overrides`` are laid over the configuration.
        fail_fast_enabled: nothing starts any more once a category has failed.
        timeout_multiplier: beside that of the layer, of all its limits.
        max_parallel: categories at once.
        force_real_services: ``llm_requirements.mode`` is ``real``, whatever it says.
        variables: changes of the environment of all that is executed.
        shared: ``agents.Shared(target, lease)``: this is a node of a run that several share; the
            result is of all of them, and ``shared`` in ``done`` says more.
    """

    layer_name: str = ""
    execution_strategy: ExecutionStrategy | None = None
    environment: str | None = None
    fail_fast_enabled: bool | None = None
    timeout_multiplier: float = 1.0
    max_parallel: int | None = None
    force_real_services: bool = False
    variables: Mapping[str, str] = field(default_factory=dict)
    shared: Shared | None = None

    def options(self) -> dict[str, Any]:
        """As the core takes them; see ``qe_stage_new``.

        Raises: ``ValueError`` for what it would not take.
        """
        check_options(self.timeout_multiplier, self.max_parallel, self.variables)
        found: dict[str, Any] = {"timeout_multiplier": self.timeout_multiplier}
        if self.execution_strategy is not None:
            found["strategy"] = ExecutionStrategy(self.execution_strategy).value
        if self.fail_fast_enabled is not None:
            found["fail_fast"] = self.fail_fast_enabled
        if self.max_parallel is not None:
            found["max_parallel"] = self.max_parallel
        return found


def check_options(multiplier: object, parallel: object, variables: Mapping[str, str]) -> None:
    """Raises: ``ValueError``, with a line that says what would be right."""
    if not isinstance(multiplier, int | float) or not 1e-6 <= multiplier <= 1e6:
        raise ValueError(f"timeout_multiplier: takes 0.000001 to 1000000, not {multiplier!r}")
    if parallel is not None and (not isinstance(parallel, int) or not 1 <= parallel <= _MOST):
        raise ValueError(f"max_parallel: takes a whole number from 1 to {_MOST}, not {parallel!r}")
    for name, value in variables.items():
        if not isinstance(name, str) or not name or "=" in name or "\0" in name:
            raise ValueError(f"variables: {name!r} is no name of a variable")
        if not isinstance(value, str) or "\0" in value:
            raise ValueError(f"variables: {name} takes text, not {value!r}")


@dataclass
class LayerExecutionResult:
    """What became of a layer.

    Attributes:
        layer_name, success: by its ``success_criteria``; without any, all categories passed.
        total_duration: seconds.
        categories_executed: their names, in the order in which they began.
        category_results: of each the last ``end`` event, see ``StageRun``, with ``started``
            (seconds since the epoch), ``expected`` (seconds by the last times, or None) and
            ``before``, the same of earlier attempts.
        skipped: of each that did not run, ``why`` and ``of``.
        errors, suggestions: a line each.
        resources: ``cpu_seconds``, ``peak_memory_bytes``, ``services``.
        pass_rate: of tests, in percent; None: not known.
        waits: what each category waited for before it began, see ``Waiting.of``.
        cancelled: it was told to end.
    """

    layer_name: str
    success: bool = False
    total_duration: float = 0.0
    categories_executed: list[str] = field(default_factory=list)
    category_results: dict[str, dict[str, Any]] = field(default_factory=dict)
    skipped: dict[str, dict[str, Any]] = field(default_factory=dict)
    errors: list[str] = field(default_factory=list)
    suggestions: list[str] = field(default_factory=list)
    resources: dict[str, Any] = field(default_factory=dict)
    pass_rate: float | None = None
    waits: dict[str, list[dict[str, Any]]] = field(default_factory=dict)
    cancelled: bool = False

    def as_dict(self) -> dict[str, Any]:
        """As JSON has it."""
        return {name: getattr(self, name) for name in self.__dataclass_fields__}


class LayerPlans:
    """A configuration, read, checked, and laid out for a run.

    Raises: ``ConfigError``, with every mistake.
    """

    def __init__(
        self, path: str | os.PathLike[str] | None = None, environment: str | None = None
    ) -> None:
        self.config = configs.read(path)
        self.environment = environment
        self.core = checking.checked(self.config, environment)
        self.merged: dict[str, Any] = json.loads(self.core.merged())

    def layers(self) -> list[str]:
        return list(self.merged["layers"])

    def prepare(
        self,
        options: Mapping[str, Any],
        *,
        expected: Mapping[str, float] | None = None,
        variables: Mapping[str, str] | None = None,
        real: bool = False,
        shared: Shared | None = None,
    ) -> StageRun:
        """A run of some layers.

        Raises: ``ConfigError`` for what can never run; the layers must be there.
        """
        given = {"machine": machine(), "expected": dict(expected or {}), **options}
        more = dict(variables or {})
        if real:
            more["QE_LLM_MODE"] = "real"
        try:
            return StageRun(
                self.merged, self.core, given, self.config.folder,
                environment=self.environment, variables=more, node=node_of(shared),
            )  # fmt: skip
        except PlanError as error:
            raise self.located(error) from None

    def missing(self, name: str) -> list[str]:
        """What is wrong with a layer beside what is written: what can never run, and what is
        not there, be it itself; a line each."""
        try:
            check_names([name], self)
            self.prepare({"layers": [name]}).check()
        except ConfigError as error:
            return error.lines()
        except PlanError as error:
            return self.located(error).lines()
        except ValueError as error:
            return [str(error)]
        return []

    def located(self, error: PlanError) -> ConfigError:
        """What can never run, with its place in the file."""
        # Of a path that is not there, which one, and what may have been meant.
        at = {one["path"] for one in error.errors}
        paths = [
            one
            for one in checking.missing_paths(self.config.folder, self.merged)
            if one[0].rpartition(".paths[")[0] in at
        ]
        told = {one[0].rpartition(".paths[")[0] for one in paths}
        errors = [one for one in error.errors if one["path"] not in told]
        found = checking.from_core(self.config, errors, self.environment)
        return ConfigError(sorted({*found, *self.config.mistakes(paths, self.environment)}))


def machine() -> dict[str, float]:
    """What there is of it for this process: ``memory`` in bytes, ``cpu`` in processors."""
    return {"memory": _core.memory_bytes(), "cpu": _core.cpu_count()}


class Collected:
    """Makes results of layers out of the events of a run."""

    def __init__(self, layers: Mapping[str, Mapping[str, Any]]) -> None:
        self.layers = {name: LayerExecutionResult(name) for name in layers}
        self._waiting = Waiting(layers)
        self._expected: dict[tuple[str, str], float | None] = {}
        self._began = time.monotonic()
        self._cpu = dict.fromkeys(layers, 0.0)
        self._peak = dict.fromkeys(layers, 0)
        self._services: dict[str, str] = {}

    def take(self, event: Event) -> None:
        kind = event["kind"]
        self._waiting.take(event)
        if kind == "service":
            self._service(event)
            return
        if "layer" not in event:
            return
        result = self.layers[event["layer"]]
        result.total_duration = time.monotonic() - self._began
        if kind in ("start", "skip"):
            self._begins(result, event)
        if kind == "start":
            self._expected[event["layer"], event["category"]] = event["expected"]
        elif kind == "end":
            self._end(result, event)
        elif kind == "skip":
            result.skipped[event["category"]] = {"why": event["why"], "of": event["of"]}
            result.cancelled = result.cancelled or event["why"] == "cancelled"
        elif kind == "stop":
            result.cancelled = result.cancelled or event["why"] == "cancelled"
        elif kind == "layer":
            result.success, result.pass_rate = event["success"], event["pass_rate"]
            result.resources = {
                "cpu_seconds": self._cpu[event["layer"]],
                "peak_memory_bytes": self._peak[event["layer"]],
                "services": dict(self._services),
            }

    def as_dict(self) -> dict[str, Any]:
        return {
            "success": all(result.success for result in self.layers.values()),
            "total_duration": time.monotonic() - self._began,
            "layers": {name: result.as_dict() for name, result in self.layers.items()},
        }

    def _service(self, event: Event) -> None:
        self._services[event["service"]] = event["state"]
        if event["state"] in ("failed", "left"):
            for name in event["layers"]:
                self.layers[name].errors.append(event["message"])

    def _begins(self, result: LayerExecutionResult, event: Event) -> None:
        """A category begins, or never will."""
        name = event["category"]
        result.waits.setdefault(name, self._waiting.of(event["layer"], name))
        if event["kind"] == "start" and name not in result.categories_executed:
            result.categories_executed.append(name)

    def _end(self, result: LayerExecutionResult, event: Event) -> None:
        name = event["category"]
        self._cpu[event["layer"]] += event["cpu_seconds"]
        self._peak[event["layer"]] = max(self._peak[event["layer"]], event["peak_memory_bytes"])
        before = result.category_results.get(name)
        result.category_results[name] = {
            **event,
            "started": self._waiting.started(event["layer"], name, event["attempt"]),
            "expected": self._expected.get((event["layer"], name)),
            "before": [*before["before"], {**before, "before": []}] if before else [],
        }
        if event["passed"] or event["again"]:
            return
        result.errors.append(f"{name}: {event['outcome']} ({event['ended']})")
        if event["suggestion"]:
            result.suggestions.append(f"{name}: {event['suggestion']}")


class LayerExecutionAgent:
    """Runs one layer.

    Args:
        config_path: the configuration; None: ``test_layers.yaml`` here or in a folder above.
        memory: where durations and results are kept, see ``TestExecutorAgent``.
        on_progress: called with each event, see ``StageRun``.

    Example::

        agent = LayerExecutionAgent()
        result = await agent.execute_layer("fast_feedback")
        print(result.success, result.errors, result.suggestions)
    """

    def __init__(
        self,
        config_path: str | os.PathLike[str] | None = None,
        *,
        memory: Memory | None = None,
        on_progress: Callable[[Event], Any] | None = None,
    ) -> None:
        self.config_path = config_path
        self.memory: Memory | None = memory
        self._on_progress = on_progress
        self.last_result: dict[str, Any] | None = None
        self._runs: set[StageRun] = set()

    async def execute_layer(
        self, name: str, config: LayerExecutionConfig | None = None
    ) -> LayerExecutionResult:
        """Runs a layer and waits for its end. Layers that it depends on are not run.

        Raises:
            ConfigError: what is wrong with the configuration, all of it.
            ValueError: there is no layer of that name, or an option makes no sense.
        """
        if config is not None and config.layer_name not in ("", name):
            raise ValueError(f"layer_name: {config.layer_name!r} is not what is run, {name!r}")
        result: dict[str, Any] = {}
        async for event in self.stream([name], config):
            if event["kind"] == "done":
                result = event["result"]["layers"][name]
        return LayerExecutionResult(**result)

    def execute_layer_sync(
        self, name: str, config: LayerExecutionConfig | None = None
    ) -> LayerExecutionResult:
        """The same for those who have no event loop.

        Raises: ``RuntimeError`` within one, beside those.
        """
        try:
            asyncio.get_running_loop()
        except RuntimeError:
            return asyncio.run(self.execute_layer(name, config))
        raise RuntimeError("there is an event loop here: await execute_layer")

    async def stream(
        self,
        names: Sequence[str],
        config: LayerExecutionConfig | None = None,
        *,
        gates: bool = False,
        plans: LayerPlans | None = None,
    ) -> AsyncGenerator[Event, None]:
        """The events of a run of some layers, in the end ``done`` with ``result``: ``success``,
        ``total_duration``, ``layers`` (of each what ``LayerExecutionResult`` has), ``plan``.
        Leaving the loop ends what runs. ``plans`` is the configuration, where it has been read
        already, with the environment's overrides."""
        chosen = config or LayerExecutionConfig()
        plans = plans or LayerPlans(self.config_path, chosen.environment)
        check_names(names, plans)
        memory = self.memory or MemoryStore(Path(plans.config.folder, ".qe", "history.db"))
        durations = Durations(memory)
        run = plans.prepare(
            {**chosen.options(), "layers": list(names), "gates": gates},
            expected=await durations.read(),
            variables=chosen.variables,
            real=chosen.force_real_services,
            shared=chosen.shared,
        )
        seen: dict[str, float] = {}
        collected = Collected({name: plans.merged["layers"][name] for name in names})
        self._runs.add(run)
        try:
            # Whoever leaves this loop waits for the end of what runs, and of services.
            async with contextlib.aclosing(run.events()) as events:
                async for event in events:
                    collected.take(event)
                    if event["kind"] == "end" and event["passed"]:
                        seen[f"{event['layer']}/{event['category']}"] = event["seconds"]
                    if self._on_progress is not None:
                        await settled(self._on_progress(event))
                    yield event
        except PlanError as error:
            raise plans.located(error) from None
        finally:
            self._runs.discard(run)
            await durations.add(seen)
            self.last_result = {**collected.as_dict(), "plan": run.plan}
            if run.node is not None:
                self.last_result["shared"] = run.node.described()
            await self._remember(memory)
        if run.node is not None and run.node.refused is not None:
            raise NodeRefused(run.node.refused)
        yield {"kind": "done", "result": self.last_result}

    async def _remember(self, memory: Memory) -> None:
        try:
            await settled(memory.store(LAST, self.last_result, ttl=KEPT_S))
        except (QeError, OSError, ValueError, TypeError):
            pass

    def stop(self, *, at_once: bool = False) -> None:
        """``cancel``, or with ``at_once`` ``kill``."""
        if at_once:
            self.kill()
        else:
            self.cancel()

    def pause(self, on: bool) -> None:
        """Holds what runs, or lets it go on."""
        for run in self._runs:
            run.pause(on)

    def cancel(self) -> None:
        """Ends what runs, with its grace; results have what is known by then."""
        for run in self._runs:
            run.cancel()

    def kill(self) -> None:
        """The same, without the grace."""
        for run in self._runs:
            run.kill()

    def get_available_layers(self) -> list[str]:
        """The ids of the configuration's layers. Raises: ``ConfigError``."""
        return LayerPlans(self.config_path).layers()

    def validate_layer(self, name: str, environment: str | None = None) -> list[str]:
        """What is wrong with a layer, a line each: nothing, if it is an empty list."""
        try:
            return LayerPlans(self.config_path, environment).missing(name)
        except ConfigError as error:
            return error.lines()


def check_names(names: Sequence[str], plans: LayerPlans) -> None:
    """Raises: ``ValueError`` for a layer that there is not."""
    if isinstance(names, str):
        raise ValueError(f"layers: takes a list of names, not {names!r}")
    for name in names:
        if not isinstance(name, str):
            raise ValueError(f"layers: takes names, not {name!r}")
        if name not in plans.merged["layers"]:
            hint = hint_for(name, plans.layers())
            raise ValueError(f"there is no layer {name!r}; {hint}")


def execute_layer_sync(
    name: str, config: LayerExecutionConfig | None = None, **more: Any
) -> LayerExecutionResult:
    """Runs a layer by an agent of its own; ``more`` is what ``LayerExecutionAgent`` takes."""
    return LayerExecutionAgent(**more).execute_layer_sync(name, config)
