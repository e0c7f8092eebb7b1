"""``qe queue``: runs across machines, as their server knows them."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import click

from . import ends
from .ends import Wrong
from .queueoptions import (
    STATUSES,
    command,
    complete_run,
    json_option,
    name_of,
    reading,
    run_argument,
    run_option,
)
from .queuereporting import report_command

if TYPE_CHECKING:
    from .. import _queue

_MOST_LINES = 20  # of the nodes of a run
_HEARD_S = 60.0  # since a node was: one works on it

EXAMPLES = """\b
Examples:
  export QE_QUEUE=rediss://queue.example.org QE_QUEUE_PASSWORD_FILE=~/.queue
  qe queue status                   the runs of this project
  qe queue status 4711/1/test       how far one is, and who works on it
  qe queue report 4711/1/test --junit=all.xml --html=all.html
  qe queue abort 4711/1/test
  qe queue gc                       delete what is over, or left behind

A password is best in QE_QUEUE_PASSWORD, or in a file that nobody else can read: the address and
the command line are seen by all who may list processes.
"""


@click.group(epilog=f"{EXAMPLES}\n\n{STATUSES}", no_args_is_help=True)
def queue_command() -> None:
    """Look after runs that several machines share through a Redis or Valkey server."""


# ---------------------------------------------------------------------- status


@command("status")
@run_argument
@run_option
@json_option
def status_command(run: str | None, named: str | None, as_json: bool, **where: Any) -> int:
    """Tell how far a run is: what has come of its tests, and who works on it.

    RUN is its name, by default what the CI calls it (GitHub, GitLab, Buildkite, CircleCI,
    Jenkins). Without both: all runs of the project.
    """
    from .driving import print_json

    name = name_of(run, named, needed=False)
    with reading(**where) as reader:
        if name is None:
            rows = list(_all(reader))
            if as_json:
                print_json(rows, indent=2)
            else:
                _list(rows)
            return ends.OK
        found = _whole_status(reader, name)
    if as_json:
        print_json(found, indent=2)
    else:
        _status(found)
    return ends.OK


def _all(reader: _queue.Reader) -> Iterator[dict[str, Any]]:
    from ..errors import NoSuchRun, OtherPlan

    for name in reader.runs():
        try:
            yield {"run": name, **reader.status(name)}
        except NoSuchRun:
            continue  # it was deleted meanwhile
        except OtherPlan as error:
            yield {"run": name, "state": "unreadable", "trouble": str(error)}


def _whole_status(reader: _queue.Reader, name: str) -> dict[str, Any]:
    from .. import _core

    found = reader.status(name)
    counts, odd = reader.outcomes(name, found["units"])
    outcomes = {_core.outcome_name(number): count for number, count in enumerate(counts)}
    return {"run": name, **found, "outcomes": outcomes, "outcomes_of_others": odd}


def _list(rows: list[dict[str, Any]]) -> None:
    from .safe import shown
    from .screen import seconds

    if not rows:
        click.echo("the project has no runs on this server")
        return
    click.echo("state        tests   left  failed  workers     heard of  run")
    for row in rows:
        if row["state"] == "unreadable":
            click.echo(f"unreadable                                           {shown(row['run'])}")
            continue
        workers = sum(node["workers"] for node in row["nodes"])
        heard = f"{seconds(row['idle_s'])} ago"
        click.echo(
            f"{row['state']:9} {row['units']:>8} {row['left']:>6} {row['failures']:>7} "
            f"{workers:>8} {heard:>12}  {shown(row['run'])}"
        )


def _status(found: dict[str, Any]) -> None:
    from .safe import shown
    from .screen import many, seconds

    click.echo(f"run {shown(found['run'])}: {found['state']}, laid by {shown(found['laid_by'])}")
    done = found["units"] - found["left"]
    parts = [
        f"{count} {name}" for name, count in found["outcomes"].items() if count and name != "none"
    ]
    click.echo(
        f"{done} of {many(found['units'], 'test')} done"
        + (f": {', '.join(parts)}" if parts else "")
        + f"; {many(found['attempts'], 'attempt')}"
    )
    if found["maxfail"]:
        click.echo(f"{many(found['failures'], 'failure')} of at most {found['maxfail']}")
    click.echo(f"{found['open']} of the pieces of work are open, {found['claimed']} claimed")
    nodes = sorted(found["nodes"], key=lambda one: (one["age_s"] is None, one["age_s"] or 0))
    for node in nodes[:_MOST_LINES]:
        age = node["age_s"]
        heard = "never heard of" if age is None else f"heard of {seconds(age)} ago"
        waiting = f", {node['waiting']} waiting" if node["waiting"] else ""
        click.echo(
            f"  {shown(node['name'])}: {many(node['workers'], 'worker')}{waiting}, "
            f"{node['claimed']} claimed, {heard}"
        )
    if len(nodes) > _MOST_LINES:
        click.echo(f"  and {many(len(nodes) - _MOST_LINES, 'node')} more")
    if found["outcomes_of_others"]:
        click.echo(f"warning: {found['outcomes_of_others']} outcomes are of no test of it")


# --------------------------------------------------------------- abort and gc


@command("abort")
@run_argument
@run_option
@json_option
def abort_command(run: str | None, named: str | None, as_json: bool, **where: Any) -> int:
    """Stop a run: nothing more of it starts, on any node."""
    from .driving import print_json
    from .safe import shown

    name = name_of(run, named)
    assert name is not None
    with reading(**where) as reader:
        stopped = reader.stop(name)
    if as_json:
        print_json({"run": name, "stopped": stopped}, indent=2)
    else:
        word = "is stopped" if stopped else "had ended already"
        click.echo(f"run {shown(name)} {word}")
    return ends.OK


@command("gc")
@click.argument("run", required=False, shell_complete=complete_run)
@click.option("--run", "named", metavar="RUN", help="The same as RUN.")
@click.option(
    "--age",
    type=click.FloatRange(0),
    default=3600.0,
    show_default=True,
    metavar="S",
    help="Runs that have not ended, and whose nodes have not been heard of for so many seconds.",
)
@click.option(
    "--over-age",
    type=click.FloatRange(0),
    default=600.0,
    show_default=True,
    metavar="S",
    help="Runs that are over, likewise: until then a report may still be made of them.",
)
@click.option("--force", is_flag=True, help="With RUN: also one that nodes work on.")
@json_option
def gc_command(
    run: str | None, named: str | None, age: float, over_age: float, force: bool, as_json: bool,
    **where: Any,
) -> int:  # fmt: skip
    """Delete all that the server has of a run; without RUN, of those of the project that are over
    or left behind. What nobody deletes the server forgets by itself, a day after its last use."""
    from .driving import print_json
    from .safe import shown
    from .screen import many

    if run is not None or named is not None:
        name = name_of(run, named)
        assert name is not None
        with reading(**where) as reader:
            names, keys = [name], _delete_one(reader, name, force)
    else:
        with reading(**where) as reader:
            names = [
                row["run"]
                for row in _all(reader)
                if row["state"] != "unreadable"
                and row["idle_s"] >= (over_age if row["state"] == "over" else age)
            ]
            keys = reader.delete([name.encode() for name in names]) if names else 0
    if as_json:
        print_json({"deleted": names, "keys": keys}, indent=2)
        return ends.OK
    for name in names:
        click.echo(f"deleted {shown(name)}")
    click.echo(f"{many(len(names), 'run')}, {many(keys, 'key')}")
    return ends.OK


def _delete_one(reader: _queue.Reader, name: str, force: bool) -> int:
    from ..errors import NoSuchRun, OtherPlan

    try:
        found = reader.status(name)
        if found["state"] in ("laying", "open") and found["idle_s"] < _HEARD_S and not force:
            raise Wrong(f"nodes work on run {name}: qe queue abort stops it; --force deletes it")
    except OtherPlan:
        pass  # what cannot be read can be deleted
    keys = reader.delete([name.encode()])
    if not keys:
        raise NoSuchRun(-8, f"there is no run {name}")
    return keys


for _command in (status_command, abort_command, gc_command, report_command):
    queue_command.add_command(_command)
