"""``qe layer status|wait|cancel|logs``: what runs in the background."""

from __future__ import annotations

import os
import sys
from typing import Any

import click

from . import ends
from .ends import Failed, Wrong
from .layeroptions import config_option


def _background(config: str | None) -> Any:
    from ..orchestration import config as configs
    from ..orchestration.background import Background
    from ..orchestration.mistakes import ConfigError

    try:
        file = os.path.abspath(config) if config is not None else str(configs.find())
    except ConfigError as error:
        raise Wrong(str(error)) from None
    return Background(os.path.dirname(file))


def _told(run: Any, as_json: bool) -> None:
    from .driving import print_json
    from .screen import seconds

    if as_json:
        print_json(run.as_dict(), indent=2)
    else:
        click.echo(f"{run.id}  {run.state:9}  {seconds(run.seconds):>9}  {', '.join(run.layers)}")


def _found(config: str | None, call: Any) -> Any:
    from ..orchestration.background import UnknownRun

    try:
        return call(_background(config))
    except UnknownRun as error:
        raise Failed(str(error)) from None


_json_option = click.option("--json", "as_json", is_flag=True, help="Print JSON.")


@click.command("status")
@click.argument("run", required=False, metavar="[ID]")
@config_option
@_json_option
def status_command(run: str | None, config: str | None, as_json: bool) -> int:
    """Tell the state of a background run, or of all: running, passed, failed, cancelled, or
    lost (it was killed, or the machine was restarted)."""
    from .driving import print_json

    if run is None:
        runs = _found(config, lambda background: background.runs())
        if as_json:
            print_json([one.as_dict() for one in runs], indent=2)
            return 0
        for one in runs:
            _told(one, False)
        return 0
    _told(_found(config, lambda background: background.get(run)), as_json)
    return 0


@click.command("wait")
@click.argument("run", metavar="ID")
@click.option("--timeout", type=click.FloatRange(0), metavar="S", help="Wait no longer.")
@config_option
@_json_option
def wait_command(run: str, timeout: float | None, config: str | None, as_json: bool) -> int:
    """Wait for the end of a background run; the exit status is 0 if it passed."""
    found = _found(config, lambda background: background.wait(run, timeout))
    _told(found, as_json)
    return ends.OK if found.state == "passed" else ends.FAILED


@click.command("cancel")
@click.argument("run", metavar="ID")
@config_option
@_json_option
def cancel_command(run: str, config: str | None, as_json: bool) -> int:
    """End a background run; what runs has its grace, and services are stopped."""
    _found(config, lambda background: background.cancel(run))
    _told(_found(config, lambda background: background.wait(run)), as_json)
    return 0


@click.command("logs")
@click.argument("run", metavar="ID")
@click.option("-f", "--follow", is_flag=True, help="Go on until its end.")
@config_option
def logs_command(run: str, follow: bool, config: str | None) -> int:
    """Print what a background run has printed."""
    for part in _found(config, lambda background: background.log(run, follow=follow)):
        sys.stdout.buffer.write(part)
        sys.stdout.buffer.flush()
    return 0
