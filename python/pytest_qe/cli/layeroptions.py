"""What commands about layers have in common."""

from __future__ import annotations

from typing import Any

import click

config_option = click.option(
    "--config", "-c", type=click.Path(), metavar="PATH",
    help="The configuration.  [default: test_layers.yaml here or in a folder above]",
)  # fmt: skip
env_option = click.option(
    "--env", metavar="NAME", help="The environment whose overrides are laid over it."
)


def listed(error: Any) -> str:
    """The mistakes of a ``ConfigError``, a line each."""
    return "\n".join(str(mistake) for mistake in error.mistakes)
