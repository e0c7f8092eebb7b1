"""What the run shows on the terminal beyond pytest's own reporter."""

from __future__ import annotations

import os
import sys
import time
from typing import TYPE_CHECKING, Any

import pytest

from . import compat
from .flaky import FEW_PASSES, FlakyTally
from .live import Screen
from .options import Options

if TYPE_CHECKING:
    from .controller import Controller
    from .planning import Wish

_REFRESH = 0.5  # seconds between two looks at what runs
_SHOW_AFTER = 1.0  # seconds: what ends sooner needs no progress line
_MAX_ROWS = 30


def _nobody(**kwargs: object) -> None:
    """A hook that nobody listens to."""


def _nothing() -> None:
    """A flush that comes later."""


class Terminal:
    """Header, live progress, summary. Silent where there is no reporter."""

    def __init__(self, config: pytest.Config, options: Options) -> None:
        self.config = config
        self.options = options
        self._reporter: Any = None
        self._live = False
        self._shown = False
        self._began = 0.0
        self._next_look = 0.0
        self._warnings: list[str] = []
        self._wall = 0.0
        self._logstarts: dict[Any, Any] = {}  # by path of the item

    @property
    def reporter(self) -> Any:
        if self._reporter is None:
            self._reporter = self.config.pluginmanager.get_plugin("terminalreporter")
        return self._reporter

    @property
    def file(self) -> Any:
        """What the reporter prints to."""
        return sys.stdout if self.reporter is None else self.reporter._tw._file

    def screen(self) -> Screen | None:
        """What workers must know of it; None where there is no reporter."""
        if self.reporter is None:
            return None
        writer = self.reporter._tw
        named = self.options.parallel is not None or self.options.flaky is not None
        return Screen(writer.fullwidth, bool(writer.hasmarkup), named)

    # ----------------------------------------------------------------- begin

    def begin(self, controller: Controller, start: str, why: str) -> None:
        """Says how the run will go."""
        reporter = self.reporter
        self._began = time.monotonic()
        if reporter is None:
            return
        many = controller.workers != 1
        text = f"{controller.workers} worker{'s' if many else ''} by {start} ({why})"
        fixed = self.options.flaky is not None and self.options.flaky_mode == "fixed"
        if fixed:
            text += f", {self.options.flaky} passes"
        elif self.options.replay is not None:
            text += ", a replay"
        elif self.options.bisect_order is not None:
            text += f", looking for what makes {self.options.bisect_order} fail or pass"
        elif self.options.flaky_budget is not None:
            text += f", a hunt of {self.options.flaky_budget:g} s"
        elif self.options.flaky is not None:
            text += f", a hunt of {self.options.flaky} runs a test"
        if self.config.get_verbosity() >= 0:
            reporter.write_line("qe: " + text)
        if fixed and self.options.flaky is not None and self.options.flaky < FEW_PASSES:
            self.warn(
                f"--qe-flaky={self.options.flaky}: fewer than {FEW_PASSES} passes "
                "miss most flaky tests"
            )
        if self.options.parallel is not None or self.options.flaky is not None:
            reporter.showfspath = False
        self._live = bool(reporter.isatty) and self.config.option.capture != "no"

    def start(self, item: pytest.Item) -> None:
        """The logstart hook. pytest's reporter would print a verbose line of
        its own here, which the result's line repeats under workers."""
        if self.options.parallel is None and self.options.flaky is None:
            item.ihook.pytest_runtest_logstart(nodeid=item.nodeid, location=item.location)
            return
        logstart = self._logstarts.get(item.path)
        if logstart is None:
            # Conftests hear what is below their folder.
            without = {*getattr(item.ihook, "remove_mods", ()), self.reporter}
            logstart = self.config.pluginmanager.subset_hook_caller(
                "pytest_runtest_logstart", without - {None}
            )
            if compat.all_deaf(self.config, "pytest_runtest_logstart"):
                logstart = _nobody
            self._logstarts[item.path] = logstart
        logstart(nodeid=item.nodeid, location=item.location)

    # ------------------------------------------------------------------ live

    def progress(self, controller: Controller) -> None:
        """Shows what runs longest right now, below the reporter's output."""
        now = time.monotonic()
        if not self._live or now - self._began < _SHOW_AFTER or now < self._next_look:
            return
        self._next_look = now + _REFRESH
        running = controller.core.running()
        done, total = controller.core.progress()
        if not running:
            return
        slot, unit, _, _, seconds = running[0]
        nodeid = controller.session.items[controller.units[unit][0]].nodeid
        self._draw(
            f"[{done}/{total}] {len(running)} running, longest {seconds:.0f}s: {nodeid} (gw{slot})"
        )

    def _draw(self, text: str) -> None:
        writer = self.reporter._tw
        width = max(20, writer.fullwidth - 1)
        column = writer.width_of_current_line
        safe = "".join(c if c.isprintable() else "?" for c in text)[:width]
        # One line down (scrolling if need be), and back to where we were.
        writer._file.write(f"\n\x1b[2K{safe}\x1b[1A\x1b[{column + 1}G")
        writer._file.flush()
        self._shown = True

    def hide(self) -> None:
        """Takes the progress line away before anything else is printed."""
        if self._shown:
            self._shown = False
            self._next_look = 0.0  # back as soon as the output is out
            writer = self.reporter._tw
            column = writer.width_of_current_line
            writer._file.write(f"\n\x1b[2K\x1b[1A\x1b[{column + 1}G")
            writer._file.flush()

    def hold(self) -> None:
        """Until ``let_go`` what is printed may wait in the stream's buffer:
        pytest flushes it after every letter."""
        writer = getattr(self.reporter, "_tw", None)
        if writer is not None and "flush" not in writer.__dict__:
            writer.flush = _nothing

    def let_go(self) -> None:
        """Ends ``hold``, and shows what was held."""
        writer = getattr(self.reporter, "_tw", None)
        if writer is not None and writer.__dict__.get("flush") is _nothing:
            del writer.flush
            writer.flush()

    def own_line(self) -> None:
        """Goes to the beginning of a line, for what is not the reporter's."""
        self.hide()
        if self.reporter is not None and self.reporter._tw.width_of_current_line:
            self.reporter._tw.line()
            self.reporter.currentfspath = None

    # ------------------------------------------------------------------- end

    def warn(self, text: str) -> None:
        """A warning of ours, shown in the summary."""
        self._warnings.append(text)

    def refused(self, event: tuple[Any, ...]) -> None:
        """The system would not start a worker."""
        self.warn(
            f"the system refused to start a worker ({os.strerror(event[1])}): "
            "going on with what there is, and trying again"
        )

    def end(self, controller: Controller, wall: float) -> None:
        self.hide()
        self._wall = wall

    def summary(self, controller: Controller) -> None:
        """Flaky table, warnings, and the last line."""
        reporter = self.reporter
        if reporter is None:
            return
        if controller.hunt is not None:
            controller.hunt.write(self.reporter, controller.session.items, self.config)
        elif controller.tally is not None:
            assert isinstance(controller.tally, FlakyTally)
            write_flaky_table(reporter, controller.tally, controller.session.items, self.config)
        elif self.options.flaky_detect:
            self._recovered(controller)
        for text in controller.queue.lines() if controller.queue is not None else ():
            reporter.write_line("qe: " + text)
        for text in self._warnings:
            reporter.write_line("qe: warning: " + text, yellow=True)
        if controller.workers and self.config.get_verbosity() >= -1:
            wall = max(self._wall, 1e-9)
            reporter.write_line(
                f"qe: {controller.workers} worker{'s' if controller.workers != 1 else ''}, "
                f"{self._wall:.2f}s wall, {controller.test_seconds:.2f}s of tests, "
                f"speed-up {controller.test_seconds / wall:.2f}, seed {controller.seed}"
            )
        elif controller.workers:
            reporter.write_line(f"qe: seed {controller.seed}")

    def check_retries(self, wishes: list[Wish]) -> None:
        """Before the run: whether there is anything to detect."""
        if self.options.flaky is not None:
            return
        if self.options.flaky_detect and not any(wish.retries for wish in wishes):
            self.warn("--qe-flaky-detect: no test has retries (--qe-retries)")

    def _recovered(self, controller: Controller) -> None:
        """Tests that failed and then passed on a retry, at the same code."""
        delivery = getattr(controller, "delivery", None)
        found = [] if delivery is None else delivery.recovered
        if not found:
            return
        many = "s" if len(found) != 1 else ""
        self.reporter.write_sep("=", f"flaky in this run: {len(found)} test{many}")
        limit = len(found) if self.config.get_verbosity() > 0 else _MAX_ROWS
        for nodeid, attempts, text in found[:limit]:
            self.reporter.write_line(f"{nodeid}: passed on attempt {attempts} - {text}")
        if len(found) > limit:
            self.reporter.write_line(f"... and {len(found) - limit} more (-v shows all)")


def write_flaky_table(
    reporter: pytest.TerminalReporter,
    tally: FlakyTally,
    items: list[pytest.Item],
    config: pytest.Config,
) -> None:
    """Writes what as many passes over all tests have shown of each."""
    verbose = config.get_verbosity() > 0
    rows = []
    counts = {"flaky": 0, "failing": 0, "passing": 0, "not run": 0}
    for number, item in enumerate(items):
        judged = tally.judge(number)
        if judged is None:
            counts["not run"] += 1
            continue
        kind = "flaky" if judged["is_flaky"] else "failing" if judged["failures"] else "passing"
        counts[kind] += 1
        if kind != "passing" or verbose:
            rows.append((-judged["flakiness_score"], number, item.nodeid, judged))
    rows.sort(key=lambda row: row[:2])
    reporter.write_sep("=", f"flaky tests ({tally.passes} passes)")
    if rows:
        reporter.write_line("passes  failures  score  pattern       test")
    limit = len(rows) if verbose else _MAX_ROWS
    for _, _, nodeid, judged in rows[:limit]:
        reporter.write_line(
            f"{judged['passes']:6}  {judged['failures']:8}  "
            f"{judged['flakiness_score']:5.2f}  {judged['pattern']:12}  {nodeid}"
        )
    if len(rows) > limit:
        reporter.write_line(f"... and {len(rows) - limit} more (-v shows all)")
    reporter.write_line(", ".join(f"{count} {kind}" for kind, count in counts.items() if count))
