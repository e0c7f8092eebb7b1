"""Drives an agent's stream: what happens is shown as it happens, signals are heeded."""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
import os
import signal
import sys
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from ..errors import QeError
from . import actions, ends
from .ends import Cannot, Wrong

if TYPE_CHECKING:
    from .actions import Told
    from .options import Output
    from .recorded import Recorded
    from .screen import Screen

Event = dict[str, Any]


_HELD_S = 0.1  # what runs is held by then


class Stoppable(Protocol):
    """What signals, and an end before its time, need of an agent."""

    last_result: Event | None

    def stop(self, *, at_once: bool = False) -> None: ...

    def pause(self, on: bool) -> None: ...


class View(Protocol):
    """Who shows what happens."""

    def take(self, event: Event) -> None: ...

    def note(self, text: str) -> None: ...


class Signals:
    """The first SIGINT, SIGTERM or SIGHUP asks, the second ends what runs, a third this process.
    SIGTSTP (Ctrl-Z) holds what runs, which has process groups of its own, and then this
    process, until SIGCONT."""

    def __init__(self, agent: Stoppable, note: Callable[[str], None], grace: float) -> None:
        self.first: int | None = None
        self._agent, self._note, self._grace = agent, note, grace
        self._count = 0

    def __enter__(self) -> Signals:
        self._loop = asyncio.get_running_loop()
        self._numbers = [signal.SIGINT, signal.SIGTERM]
        if signal.getsignal(signal.SIGHUP) == signal.SIG_DFL:  # nohup has it ignored
            self._numbers.append(signal.SIGHUP)
        for number in self._numbers:
            self._loop.add_signal_handler(number, self._on, number)
        # Where nobody could have it go on, the shell ignores it.
        if signal.getsignal(signal.SIGTSTP) == signal.SIG_DFL:
            self._loop.add_signal_handler(signal.SIGTSTP, self._hold)
        return self

    def __exit__(self, *exc_info: object) -> None:
        for number in self._numbers:
            self._loop.remove_signal_handler(number)
        self._loop.remove_signal_handler(signal.SIGTSTP)

    def _hold(self) -> None:
        self._agent.pause(True)
        self._loop.call_later(_HELD_S, self._stop_here)

    def _stop_here(self) -> None:
        # By its default: the kernel stops nothing that no shell could have go on.
        self._loop.remove_signal_handler(signal.SIGTSTP)
        os.kill(os.getpid(), signal.SIGTSTP)
        self._loop.add_signal_handler(signal.SIGTSTP, self._hold)  # after SIGCONT
        self._agent.pause(False)

    def _on(self, number: int) -> None:
        self._count += 1
        if self._count == 1:
            self.first = number
            again = "; once more ends it now" if number == signal.SIGINT else ""
            self._agent.stop()
            # After SIGHUP there may be nobody who could read it.
            with contextlib.suppress(OSError):
                self._note(f"interrupted: what runs has {self._grace:g} s to end{again}")
            return
        self._agent.stop(at_once=True)
        for other in self._numbers:
            self._loop.remove_signal_handler(other)
            signal.signal(other, signal.SIG_DFL)


def drive(
    agent: Stoppable, stream: AsyncIterator[Event], view: View, grace: float
) -> tuple[Event, int | None, Cannot | None]:
    """Runs a stream to its end.

    Returns: its result, the signal that ended it early, or None, and why it could not go
        on, or None: the result is what was known by then.

    Raises: ``Wrong`` for what the agent does not take, ``Cannot`` where nothing is known.
    """

    async def all_of_it() -> tuple[Event, int | None]:
        result: Event = {}
        with Signals(agent, view.note, grace) as signals:
            try:
                async for event in stream:
                    if event["kind"] == "done":
                        result = event["result"]
                    view.take(event)
            finally:
                await stream.aclose()  # type: ignore[attr-defined]
        return result, signals.first

    # Its warnings are in the result.
    logging.getLogger("pytest_qe.agents").addHandler(logging.NullHandler())
    try:
        return *asyncio.run(all_of_it()), None
    except QeError as error:
        if agent.last_result is None:
            raise Cannot(str(error)) from None
        return agent.last_result, None, Cannot(str(error))
    except (ValueError, TypeError) as error:
        raise Wrong(*ends.lines_of(error)) from None


class EventView:
    """Shows events, and writes them as lines of JSON.

    Args:
        shown: what the screen is to have of an event; None: the event.
    """

    def __init__(
        self, screen: Screen, json_lines: bool, shown: Callable[[Event], Event] | None = None
    ) -> None:
        self.screen, self.json_lines, self._shown = screen, json_lines, shown

    def take(self, event: Event) -> None:
        if event["kind"] == "done":
            return
        if self.json_lines:
            print_json(event)
        self.screen.take(event if self._shown is None else self._shown(event))

    def note(self, text: str) -> None:
        self.screen.note(text)


def carry_out(
    agent: Stoppable,
    stream: AsyncIterator[Event],
    view: EventView,
    grace: float,
    output: Output,
    *,
    summary: Callable[[Event], None],
    bad: Callable[[Event], bool],
    recorded: Callable[[Event], Recorded],
    told: Callable[[Event], Told],
    write: Callable[[Event], None] | None = None,
) -> tuple[Event, int]:
    """Runs a stream to its end, sums up, and writes what was asked for, whatever else fails.

    Args:
        summary: says what there is to say of a result.
        bad: whether the exit status is 1.
        recorded: what reports are made of.
        told: what GitHub Actions is told.
        write: writes a result beside these.

    Returns: the result, and the exit status.

    Raises: as ``drive``.
    """
    with view.screen:
        result, number, failed = drive(agent, stream, view, grace)
    try:
        summary(result)
        if actions.is_wanted():
            actions.tell(view.screen, told(result))
    finally:
        with contextlib.ExitStack() as all_of_it:  # the last first, whatever fails
            if output.reports:
                all_of_it.callback(write_reports, output, recorded, result)
            if write is not None:
                all_of_it.callback(write, result)
            if output.json_path is not None:
                all_of_it.callback(write_json, output.json_path, result)
    if output.json_lines:
        print_json({"kind": "done", "result": result})
    if failed is not None:
        raise failed
    return result, status_of(bad(result), number)


def print_json(value: Any, *, indent: int | None = None) -> None:
    """One value on standard output, at once."""
    sys.stdout.write(json.dumps(value, indent=indent) + "\n")
    sys.stdout.flush()


def write_json(path: str, value: Any) -> None:
    """Writes a value to a file, whole or not at all; ``-`` is standard output."""
    if path == "-":
        print_json(value, indent=2)
    else:
        write_whole(path, (json.dumps(value, indent=2) + "\n").encode("ascii"))


def write_reports(output: Output, recorded: Callable[[Event], Recorded], result: Event) -> None:
    """Writes the page and the metrics of a result. Raises: ``Cannot``."""
    from .. import htmlreport, openmetrics

    made = recorded(result)
    for path, write in ((output.html, htmlreport.write), (output.metrics, openmetrics.write)):
        if path is None:
            continue
        try:
            write(Path(path), made.write_json)
        except (QeError, OSError) as error:
            raise Cannot(f"{path}: {error}") from None


def write_whole(path: str, data: bytes) -> None:
    """Puts data in the place of a file.

    Raises: ``Cannot``; what was there is still there then.
    """
    from .. import _core

    try:
        _core.write_file(os.fsencode(path), data)
    except OSError as error:
        raise Cannot(f"{path}: {error.strerror}") from None


def status_of(bad: bool, number: int | None) -> int:
    """The exit status of a run."""
    if number is not None:
        return ends.INTERRUPTED + number
    return ends.FAILED if bad else ends.OK
