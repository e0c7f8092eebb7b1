"""``qe show`` and ``qe store``: what agents have kept."""

from __future__ import annotations

import asyncio
import datetime
import functools
import json
import os
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

from ..errors import NotFound
from .ends import Cannot, Failed, Wrong
from .history import history_option

if TYPE_CHECKING:
    from .timeline import Attempt

_F = TypeVar("_F", bound=Callable[..., Any])

EXAMPLES = """\b
Examples:
  qe show                          the keys
  qe show last                     the last execution or hunt
  qe show last --timeline          the last run of tests: what ran where and when
  qe show aqe/test-executor/last_parallel_execution | jq .pass_rate

Exit status: 0; 1: there is no such key; 3: the history cannot be read.
"""


def _kept(command: _F) -> _F:
    """A store that cannot be used is one line, and 3."""

    @functools.wraps(command)
    def with_errors(*args: Any, **kwargs: Any) -> Any:
        from ..errors import QeError
        from ..remembered import RememberedError

        try:
            return command(*args, **kwargs)
        except (QeError, RememberedError) as error:
            raise Cannot(str(error)) from None
        except (ValueError, TypeError) as error:
            raise Wrong(str(error)) from None

    return with_errors  # type: ignore[return-value]


def _path(given: Path | None) -> Path | None:
    from .. import places

    if given is not None and not given.is_file():
        raise Wrong(f"--history: there is no file {given}")
    return places.find_history() if given is None else given


def _keys(given: Path | None, pattern: str) -> list[tuple[str, float]]:
    from .. import remembered

    path = _path(given)
    if path is None:
        return []
    _, database = remembered.opened(path)
    try:
        found = database.keys(os.fsencode(pattern))
    finally:
        database.close()
    return [(key.decode("utf-8", "surrogateescape"), expires) for key, expires in found]


def _value(given: Path | None, key: str) -> Any:
    from ..memory import MemoryStore

    path = _path(given)
    if path is None:
        return None
    with MemoryStore(path) as memory:
        return asyncio.run(memory.retrieve(key))


def _when(value: Any) -> float | None:
    """When a value of ours was made."""
    if isinstance(value, dict):
        for name in ("started", "timestamp"):
            if isinstance(value.get(name), int | float) and not isinstance(value[name], bool):
                return float(value[name])
    return None


def _span(seconds: float) -> str:
    """A time as the largest unit that fits."""
    for size, unit in ((86400, "d"), (3600, "h"), (60, "min")):
        if seconds >= size:
            return f"{seconds / size:.0f} {unit}"
    return f"{max(0.0, seconds):.0f} s"


def _rows(given: Path | None, pattern: str) -> list[dict[str, Any]]:
    rows = []
    now = time.time()
    for key, expires in _keys(given, pattern):
        try:
            made = _when(_value(given, key))
        except ValueError:
            made = None  # another program stored what is no JSON
        rows.append({
            "key": key,
            "age_s": None if made is None else now - made,
            "expires_s": expires - now if expires else None,
        })  # fmt: skip
    return rows


def _list(given: Path | None, pattern: str, as_json: bool) -> None:
    from .safe import shown

    rows = _rows(given, pattern)
    if as_json:
        click.echo(json.dumps(rows, indent=2))
        return
    if not rows:
        click.echo("nothing is stored")
        return
    click.echo("   age  expires in  key")
    for row in rows:
        age = "?" if row["age_s"] is None else _span(row["age_s"])
        left = "never" if row["expires_s"] is None else _span(row["expires_s"])
        click.echo(f"{age:>6}  {left:>10}  {shown(row['key'])}")


def _last(given: Path | None) -> tuple[str, Any]:
    from ..agents import executor, hunter

    found = [(key, _value(given, key)) for key in (executor.KEY, hunter.KEY)]
    found = [(key, value) for key, value in found if value is not None]
    if not found:
        raise Failed("no execution and no hunt is remembered: qe exec and qe hunt make some")
    return max(found, key=lambda one: _when(one[1]) or 0.0)


def _timeline(key: str, given: Path | None, as_json: bool) -> int:
    from .. import remembered

    _, database = remembered.opened(given)
    try:
        runs = database.runs(1) if key == "last" else []
        if key != "last" and not (key.isascii() and key.isdecimal()):
            raise Wrong(f"--timeline: takes `last`, or the number of a run, not {key!r}")
        number = runs[0][0] if runs else int(key) if key != "last" else -1
        try:
            rows = database.attempts(number)
        except NotFound:
            which = "no run" if key == "last" else f"no run {key}"
            makes = "pytest --qe-parallel, npx qe-jest and npx qe-mocha make some"
            raise Failed(f"{which} is remembered: {makes}") from None
    finally:
        database.close()
    from .timeline import Attempt, timeline

    attempts = [Attempt.of(row) for row in rows]
    if as_json:
        click.echo(json.dumps([_told(one) for one in attempts], indent=2))
    elif not attempts:
        raise Failed(f"run {number} has no attempts")
    else:
        from .screen import console_on

        console = console_on()
        for line in timeline(attempts, console.width):
            console.print(line, soft_wrap=True)
    return 0


def _told(attempt: Attempt) -> dict[str, Any]:
    """With the names of the JSON result."""
    return {name.rstrip("_"): value for name, value in vars(attempt).items()}


def _complete_key(ctx: click.Context, param: click.Parameter, incomplete: str) -> list[str]:
    try:
        known = [key for key, _ in _keys(ctx.params.get("history"), "*")]
    except Exception:  # a shell that completes has no place for errors
        return []
    return [key for key in ["last", *known] if key.startswith(incomplete)]


@click.command(epilog=EXAMPLES)
@click.argument("key", required=False, shell_complete=_complete_key)
@click.option("--json", "as_json", is_flag=True, help="JSON also on a terminal.")
@click.option(
    "--timeline", is_flag=True,
    help="What each worker ran when, in the run of KEY: a number, or `last`.",
)  # fmt: skip
@history_option
@_kept
def show_command(key: str | None, as_json: bool, timeline: bool, history: Path | None) -> int:
    """Print what is stored under a key: in colours on a terminal, as JSON elsewhere.

    Without KEY: the keys, with the age of what they hold, and when it expires. The key `last`
    stands for the last execution or hunt.
    """
    if timeline:
        return _timeline(key or "last", history, as_json)
    if key is None:
        _list(history, "*", as_json)
        return 0
    value = _value(history, key)
    if value is None and key == "last":
        key, value = _last(history)
    if value is None:
        raise Failed(f"nothing is stored under {key!r}: qe show lists the keys")
    if as_json or not sys.stdout.isatty():
        click.echo(json.dumps(value, indent=2))
        return 0
    from .pretty import pretty

    made = _when(value)
    pretty(key, None if made is None else datetime.datetime.fromtimestamp(made), value)
    return 0


@click.group(epilog="Exit status: 0; 1: there is no such key; 3: the store cannot be used.")
def store_command() -> None:
    """List, delete and tidy what is stored."""


@store_command.command("list", epilog="\b\nExample:\n  qe store list 'aqe/*'")
@click.argument("pattern", default="*")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
@history_option
@_kept
def store_list(pattern: str, as_json: bool, history: Path | None) -> int:
    """List the keys that match a pattern (* any letters, ? one, [a-z] one of a set)."""
    _list(history, pattern, as_json)
    return 0


@store_command.command("delete", epilog="\b\nExample:\n  qe store delete aqe/mine")
@click.argument("keys", nargs=-1, required=True, shell_complete=_complete_key)
@history_option
@_kept
def store_delete(keys: tuple[str, ...], history: Path | None) -> int:
    """Delete what is stored under these keys."""
    from ..memory import MemoryStore
    from .safe import shown

    path = _path(history)
    missing = list(keys)
    if path is not None:
        with MemoryStore(path) as memory:
            missing = [key for key in keys if not asyncio.run(memory.delete(key))]
    for key in keys:
        if key not in missing:
            click.echo(f"deleted {shown(key)}")
    if missing:
        raise Failed(f"nothing is stored under {', '.join(map(repr, missing))}")
    return 0


@store_command.command("gc", epilog="\b\nExample:\n  qe store gc")
@history_option
@_kept
def store_gc(history: Path | None) -> int:
    """Take all that has expired off the disk."""
    from ..memory import MemoryStore

    path = _path(history)
    if path is None:
        click.echo("there is no history here or in a folder above")
        return 0
    before = path.stat().st_size
    with MemoryStore(path) as memory:
        asyncio.run(memory.gc())
    freed = before - path.stat().st_size
    click.echo(f"{path}: {max(0, freed)} bytes given back")
    return 0
