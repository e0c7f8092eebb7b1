"""What commands about layers have in common."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any, TypeVar

import click

from .ends import Wrong, lines_of
from .options import output

_F = TypeVar("_F", bound=Callable[..., Any])

config_option = click.option(
    "--config", "-c", type=click.Path(), metavar="PATH",
    help="The configuration.  [default: test_layers.yaml here or above, "
    "up to the repository's root]",
)  # fmt: skip
env_option = click.option(
    "--env", metavar="NAME", help="The environment whose overrides are laid over it."
)


def _a_number(_: click.Context, option: click.Parameter, value: float) -> float:
    if math.isnan(value):  # it is in any range
        raise click.BadParameter("nan is no number.", param=option)
    return value


def run_options(function: _F) -> _F:
    """Options of a command that runs layers."""
    for option in reversed((
        config_option,
        env_option,
        click.option("--max-parallel", type=click.IntRange(1, 1_000_000), metavar="N",
                     help="Categories at once."),
        click.option("--timeout-multiplier", type=click.FloatRange(1e-6, 1e6), default=1.0,
                     callback=_a_number,
                     metavar="X", help="Multiplies every limit of time.  [default: 1]"),
        click.option("--fail-fast/--no-fail-fast", default=None,
                     help="Start nothing after a failure."),
        click.option("--real", is_flag=True, help="QE_LLM_MODE=real, whatever layers say."),
        output,
    )):  # fmt: skip
        function = option(function)
    return function


def plans_of(config: str | None, env: str | None) -> Any:
    """The configuration, with an environment's overrides.

    Raises: ``Wrong``, with all that is wrong with it.
    """
    from ..orchestration.agent import LayerPlans

    try:
        return LayerPlans(config, env)
    except ValueError as error:
        raise Wrong(*lines_of(error)) from None
