"""``qe history``: how often tests failed and how long they took."""

from __future__ import annotations

import functools
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import click

from .ends import Failed

_F = TypeVar("_F", bound=Callable[..., Any])


class _History(click.Path):
    """A path; for a history on a server that of its replica, which has taken in what is new."""

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        if not isinstance(value, str) or "://" not in value:
            return super().convert(value, param, ctx)
        if ctx is not None and ctx.resilient_parsing:
            return None
        from ..sharedhistory import SharedHistoryError, followed, is_shared

        try:
            is_shared(value)
            path, warnings = followed(value)
        except SharedHistoryError as error:
            self.fail(str(error), param, ctx)
        for text in warnings:
            click.echo(f"qe: warning: {text}", err=True)
        return path


history_option = click.option(
    "--history", type=_History(path_type=Path), metavar="PATH", envvar="QE_HISTORY",
    help="The history: a file, or redis://HOST (rediss:// for TLS), which machines share.  "
    "[default: QE_HISTORY, then .qe/history.db here or in a folder above]",
)  # fmt: skip

EXAMPLES = """\b
Examples:
  qe history                                   the flakiest, slowest, most often failing
  qe history --limit=50 --json
  qe history 'test_bank.py::test_rate'         by day
  qe history 'test_bank.py::test_rate' --by=commit --durations

Exit status: 0, or 1 where the history knows nothing of it, or cannot be read.
"""


def told(command: _F) -> _F:
    """What cannot be told is one line, and 1."""

    @functools.wraps(command)
    def with_errors(*args: Any, **kwargs: Any) -> Any:
        from ..errors import QeError
        from ..quarantine import QuarantineError
        from ..remembered import RememberedError
        from ..sharding import ShardError

        try:
            return command(*args, **kwargs)
        except BrokenPipeError:
            raise
        except (ShardError, RememberedError, QuarantineError, QeError) as error:
            raise Failed(str(error)) from None
        except OSError as error:
            raise Failed(f"{error.filename}: {error.strerror}") from None

    return with_errors  # type: ignore[return-value]


@click.command(epilog=EXAMPLES)
@click.argument("test", required=False, metavar="[TESTID]")
@click.option(
    "--by",
    type=click.Choice(["branch", "commit", "condition", "day"]),
    default="day",
    show_default=True,
    help="With TESTID: what its rows are.",
)
@click.option("--durations", is_flag=True, help="With TESTID: how long it took, instead.")
@click.option(
    "--limit",
    type=click.IntRange(1),
    default=10,
    show_default=True,
    metavar="N",
    help="Without TESTID: rows of each table.",
)
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
@history_option
@told
def history_command(
    test: str | None, by: str, durations: bool, limit: int, as_json: bool, history: Path | None
) -> int:  # fmt: skip
    """Tell how often tests failed, and how long they took.

    TESTID is a node id, as pytest prints it: how often that test ran and failed by day,
    commit, branch or condition, and the failure rate with its 95 % interval (Jeffreys).
    Passes on a retry are told apart. Without it: the tests that are the flakiest, that fail
    most often, and that take longest.
    """
    from .. import remembered

    if test is not None:
        click.echo(remembered.history(test, by, as_json, history, durations))
    else:
        click.echo(remembered.overview(limit, as_json, history))
    return 0
