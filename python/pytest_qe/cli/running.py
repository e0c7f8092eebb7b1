"""``qe run``: all layers of a project, by a mode."""

from __future__ import annotations

import os
from typing import Any

import click

from . import ends
from .ends import Cannot, Wrong
from .layeroptions import plans_of, run_options
from .options import Output
from .queueoptions import queue_options, shared_of

EXAMPLES = """\b
Examples:
  qe run                          each layer if those before it succeeded
  qe run --mode=fast_feedback     the first layer alone
  qe run --mode=nightly --env=staging --json=result.json
"""


@click.command(epilog=f"{EXAMPLES}\n\n{ends.STATUSES}")
@click.argument("names", nargs=-1, metavar="[NAME...]")
@click.option(
    "--mode",
    type=click.Choice(["fast_feedback", "ci", "nightly", "background", "hybrid"]),
    default="ci",
    show_default=True,
    help="Which layers run, and how they wait for each other.",
)
@run_options
@queue_options
def run_command(
    names: tuple[str, ...],
    mode: str,
    config: str | None,
    env: str | None,
    max_parallel: int | None,
    timeout_multiplier: float,
    fail_fast: bool | None,
    real: bool,
    queue: dict[str, Any],
    **given: Any,
) -> int:  # fmt: skip
    """Run the layers of test_layers.yaml, those that are named, or all.

    \b
    Modes:
      fast_feedback  the first layer, and nothing more after a failure
      ci             one layer after the other, each if those before it succeeded;
                     then those of the background, which run on by themselves
      nightly        every layer, also those of the background, here
      background     those of the background, by themselves
      hybrid         as ci, but all at once as far as dependencies allow
    """
    from ..orchestration.orchestrator import (
        ExecutionMode,
        OrchestrationConfig,
        TestOrchestratorAgent,
        chosen_layers,
    )
    from .layering import show

    output = Output(**given)
    output.check()
    plans = plans_of(config, env)
    agent = TestOrchestratorAgent(config)
    chosen = OrchestrationConfig(
        ExecutionMode(mode), environment=env, layers=names or None, fail_fast=fail_fast,
        timeout_multiplier=timeout_multiplier, max_parallel=max_parallel,
        force_real_services=real,
        shared=shared_of(queue, os.path.dirname(os.path.abspath(plans.config.file))),
    )  # fmt: skip
    try:
        here, apart = chosen_layers(chosen, plans)
    except ValueError as error:
        raise Wrong(*ends.lines_of(error)) from None
    if apart and chosen.shared is not None:
        raise Wrong(
            f"--queue: {', '.join(apart)} would run in the background, which no nodes share: "
            "name other layers, or take --mode=nightly"
        )
    stream = agent.stream(chosen, plans=plans)
    result, status = show(agent, stream, plans, here, output, f"mode {mode}")
    _background(result, output.stream)
    if result["errors"]:
        raise Cannot(*result["errors"])
    return status


def _background(result: dict[str, Any], stream: Any) -> None:
    for run in result["background"]:
        click.echo(
            f"in the background: {', '.join(run['layers'])}: qe layer wait {run['id']}", stream
        )
    if result["not_started"]:
        click.echo(f"not started: {', '.join(result['not_started'])}", stream)
