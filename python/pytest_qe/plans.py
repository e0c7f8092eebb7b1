"""What workers are told of the plan."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from .debugger import Desk
    from .live import Ends


class Plans(NamedTuple):
    """What a worker must know of the plan, by item."""

    #: How often a failure may be retried; one that may be is not counted for
    #: ``--maxfail`` here.
    retries: list[int]
    #: Whose failures do not fail the run, nor count for ``--maxfail``.
    quarantined: frozenset[int]
    #: Whether the item's teardown has a time limit.
    limited: list[bool]
    #: Whether the teardown of session fixtures has one.
    limits_session: bool
    #: What the controller prints to; None: it has no reporter.
    screen: tuple[int, bool, bool] | None
    #: Where the logging plugin writes its file.
    log_file: str | None
    #: Pipes to print to, by slot; none where output is captured.
    ends: list[Ends]
    #: How to ask for the terminal.
    desk: Desk
    #: Where passes have folders that are private to some of them; None: nowhere.
    folder: str | None
    #: Options of plugins that hold a seed which a pass may choose.
    seeds: list[str]
