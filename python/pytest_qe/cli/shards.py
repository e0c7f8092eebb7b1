"""``qe shard-verify`` and ``qe shard-durations``: the results of all shards of a run."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from .history import told

PATH: Any = click.Path(path_type=Path)
_results = click.argument("results", nargs=-1, required=True, type=PATH, metavar="RESULT.json...")


@click.command(epilog="\b\nExample:\n  qe shard-verify shard-*.json")
@_results
@told
def shard_verify_command(results: tuple[Path, ...]) -> int:
    """Check that the results of all shards are disjoint and complete.

    Reads the --qe-json results of every shard of one run; fails unless they are shards of
    the same collection, disjoint and complete.
    """
    from .. import sharding

    click.echo(sharding.verify(list(results)))
    return 0


@click.command(epilog="\b\nExample:\n  qe shard-durations shard-*.json -o durations.json")
@_results
@click.option("-o", "--output", required=True, type=PATH, metavar="FILE")
@told
def shard_durations_command(results: tuple[Path, ...], output: Path) -> int:
    """Make a durations file from results.

    Writes the durations file for --qe-shard-durations from the --qe-json results of all
    shards of a run, so that no unsharded run is needed.
    """
    from .. import sharding

    click.echo(sharding.durations_from_results(list(results), output))
    return 0
