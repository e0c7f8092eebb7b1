"""``qe run``: all layers of a project, by a mode."""

from __future__ import annotations

import sys
from typing import Any

import click

from . import ends
from .ends import Wrong
from .layeroptions import config_option, env_option, listed

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
@config_option
@env_option
@click.option("--max-parallel", type=click.IntRange(1), metavar="N", help="Categories at once.")
@click.option(
    "--timeout-multiplier",
    type=click.FloatRange(0, min_open=True),
    default=1.0,
    metavar="X",
    help="Multiplies every limit of time.  [default: 1]",
)
@click.option("--fail-fast/--no-fail-fast", default=None, help="Start nothing after a failure.")
@click.option("--real", is_flag=True, help="QE_LLM_MODE=real, whatever layers say.")
@click.option("--json", "json_path", metavar="PATH", help="Write the result as JSON; - prints it.")
@click.option("--json-lines", is_flag=True, help="Print each event as a line of JSON.")
@click.option("-q", "--quiet", is_flag=True, help="Only the summary.")
@click.option("-v", "--verbose", is_flag=True, help="Also what starts, and services.")
def run_command(
    names: tuple[str, ...],
    mode: str,
    config: str | None,
    env: str | None,
    max_parallel: int | None,
    timeout_multiplier: float,
    fail_fast: bool | None,
    real: bool,
    json_path: str | None,
    json_lines: bool,
    quiet: bool,
    verbose: bool,
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
    from ..orchestration.agent import Plans
    from ..orchestration.mistakes import ConfigError
    from ..orchestration.orchestrator import (
        ExecutionMode,
        OrchestrationConfig,
        TestOrchestratorAgent,
        chosen_layers,
    )
    from .layering import show
    from .options import check_writable

    if json_path not in (None, "-"):
        check_writable("--json", str(json_path))
    agent = TestOrchestratorAgent(config)
    chosen = OrchestrationConfig(
        ExecutionMode(mode), environment=env, layers=names or None, fail_fast=fail_fast,
        timeout_multiplier=timeout_multiplier, max_parallel=max_parallel,
        force_real_services=real,
    )  # fmt: skip
    try:
        plans = Plans(config, env)
        of = chosen_layers(chosen, plans)[0]
        result, status = show(
            agent, agent.stream(chosen), plans, of, f"mode {mode}",
            json_path=json_path, json_lines=json_lines, quiet=quiet, verbose=verbose,
        )  # fmt: skip
    except ConfigError as error:
        raise Wrong(listed(error)) from None
    except ValueError as error:
        raise Wrong(str(error)) from None
    stream = sys.stderr if json_lines or json_path == "-" else sys.stdout
    _background(result, stream)
    return status


def _background(result: dict[str, Any], stream: Any) -> None:
    for run in result["background"]:
        click.echo(
            f"in the background: {', '.join(run['layers'])}: qe layer wait {run['id']}", stream
        )
    if result["not_started"]:
        click.echo(f"not started: {', '.join(result['not_started'])}", stream)
