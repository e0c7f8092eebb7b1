"""The controller's side of ``--qe-once``: what is asked for, and what came of it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from . import _core, reports

if TYPE_CHECKING:
    from . import once
    from .delivery import Attempt, Delivery
    from .events import Exit
    from .options import Options
    from .terminal import Terminal


class Keeping:
    """Follows the keeper, and reports its teardown.

    Args:
        options: the run's.
        terminal: where warnings go.
    """

    def __init__(self, options: Options, terminal: Terminal) -> None:
        self.options = options
        self.terminal = terminal
        self.delivery: Delivery
        self.shared: list[once.Shared] = []
        self.slot = -1
        self._word = ""  # how far it is: set-up, ready, teardown
        self._names: tuple[str, ...] = ()
        self._held: tuple[Attempt, int] | None = None
        self._report: pytest.TestReport | None = None

    def choose(self, session: pytest.Session, start: str, workers: int) -> list[once.Shared]:
        """What the keeper is to set up. Raises ``pytest.UsageError``."""
        if not self.options.once:
            return []
        from . import once

        shared, refused = once.choose(session, list(self.options.once))
        for text in refused:
            self._refuse(text)
        if shared and start == "spawn":
            names = ", ".join(each.name for each in shared)
            self._refuse(f"{names}: spawned workers share nothing")
            return []
        self.shared, self.slot = shared, 2 * workers
        return shared

    def _refuse(self, text: str) -> None:
        self.terminal.warn(f"--qe-once: {text}; not shared by workers")

    def told(self, word: str, *more: str) -> None:
        """A word of the keeper's."""
        if word == "refused":
            self._refuse(": ".join(more))
        else:
            self._word, self._names = word, more

    def add(self, report: pytest.TestReport) -> None:
        """What its teardown said."""
        self._report = report

    def deliver(self, held: tuple[Attempt, int]) -> None:
        """The last test of a worker that has left. The last of all waits for the
        keeper: its teardown belongs to it."""
        if self._word:
            held, self._held = self._held, held  # type: ignore[assignment]
        if held is not None:
            self.delivery.deliver(*held)

    def left(self, e: Exit, bad: bool) -> None:
        """The keeper has ended."""
        names = ", ".join(self._names or (each.name for each in self.shared))
        limit = self.options.timeout if e.outcome == _core.TIMEOUT else None
        if bad and self._word == "teardown":
            item = self._last()
            text = reports.death_text(e.slot, f"teardown of {names}", limit, e.status, e.stack)
            text = text.replace(f"worker gw{e.slot}", "keeper", 1)
            self._report = self.delivery.failed_report(item, "teardown", text, [])
        elif bad and self._word == "ready":
            self.terminal.warn(
                f"--qe-once: what held {names} died ({reports.describe_status(e.status)}); "
                "set up again for new workers"
            )
        elif bad and limit is not None:
            self._refuse(f"{names}: its set-up took longer than {limit:g} s")
        elif bad:
            self._refuse(f"{names}: its set-up died ({reports.describe_status(e.status)})")
        self._word, self._names = "", ()
        self._report_teardown()

    def _last(self) -> pytest.Item:
        """The test that its teardown belongs to."""
        if self._held is not None:
            return self.delivery.item(self._held[0].unit)
        return self.delivery.session.items[self.shared[0].item]

    def _report_teardown(self) -> None:
        report, self._report = self._report, None
        held, self._held = self._held, None
        if report is not None and held is not None:
            item = self.delivery.item(held[0].unit)
            report.nodeid, report.location = item.nodeid, item.location
            report.keywords = dict.fromkeys(item.keywords, 1)
            if held[0].session_report is None:
                held[0].session_report, report = report, None
        if held is not None:
            self.delivery.deliver(*held)
        if report is not None and report.failed:
            item = self.delivery.item_by_id(report.nodeid)
            self.delivery.log(item, report, self.slot)
