"""Seeds of other plugins: those that a pass may choose, and one that all nodes of a run share."""

from __future__ import annotations

from typing import TYPE_CHECKING

from . import compat

if TYPE_CHECKING:
    import pytest

    from .options import Options


def free(config: pytest.Config) -> list[str]:
    """Options that hold a seed which nobody has chosen."""
    return [
        option
        for plugin, (option, free) in compat.SEEDS.items()
        if config.pluginmanager.has_plugin(plugin)
        and getattr(config.known_args_namespace, option, None) == free  # as it was given
    ]


def share(config: pytest.Config, options: Options) -> str | None:
    """Gives what draws a seed for each start one by the run's name instead, before plugins are
    configured.

    Args:
        options: of a node; without a seed they get one.

    Returns:
        A line for the header: which options have which value; None: nobody drew one, or there
        is no name of a run that makes sense, which is said elsewhere.
    """
    from . import queues

    try:
        run = queues.run(options.run)
    except ValueError:
        run = None
    if run is None:
        return None
    seed = queues.seed(run)
    if options.seed is None:
        options.seed = seed
    changed = []
    for plugin, (option, free, turns_on) in compat.SHUFFLES.items():
        value = str(getattr(config.option, option, ""))
        if not config.pluginmanager.has_plugin(plugin) or not value.startswith(free):
            continue
        asked = [getattr(config.option, name, None) for name in turns_on]
        if turns_on and not any(one and not str(one).startswith(free) for one in asked):
            continue  # it leaves the order alone
        setattr(config.option, option, f"{free}{seed}" if free.endswith(":") else seed)
        changed.append(f"--{option.replace('_', '-')}={seed}")
    if not changed:
        return None
    return f"one order for all nodes, by the run's name: {', '.join(changed)}"
