"""What is shown while files run: a bar on a terminal, plain lines elsewhere."""

from __future__ import annotations

import contextlib
import os
import sys
import time
from collections.abc import Callable, Iterator
from types import TracebackType
from typing import IO, Any

from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from .safe import shown

Event = dict[str, Any]
_MOST_ROWS = 12  # of what runs
STYLES = {
    "passed": "green", "flaky": "yellow", "failed": "bold red", "crashed": "bold red",
    "timeout": "bold red", "error": "bold red", "interrupted": "yellow", "not_run": "dim",
}  # fmt: skip


def coloured(stream: IO[str]) -> bool:
    """NO_COLOR is for none, FORCE_COLOR for colours anywhere; otherwise terminals have them."""
    if os.environ.get("NO_COLOR"):
        return False
    forced = os.environ.get("FORCE_COLOR")
    if forced:
        return forced != "0"
    return stream.isatty() and os.environ.get("TERM", "dumb") not in ("dumb", "unknown")


def animated(stream: IO[str]) -> bool:
    """Whether lines may be drawn again: on a terminal that can, and where somebody looks."""
    return (
        stream.isatty()
        and os.environ.get("TERM", "dumb") not in ("dumb", "unknown")
        and not os.environ.get("CI")
    )


def console_on(stream: IO[str] | None = None) -> Console:
    """Prints what it is given: no markup, no guesses at what is a number or a path."""
    stream = sys.stdout if stream is None else stream
    colours = coloured(stream)
    return Console(
        file=stream, markup=False, highlight=False, emoji=False,
        no_color=not colours, force_terminal=colours or animated(stream),
        color_system="auto" if colours or animated(stream) else None, legacy_windows=False,
    )  # fmt: skip


def seconds(value: float) -> str:
    """A time for people.

    Example:
        >>> seconds(0.123), seconds(75), seconds(7300)
        ('0.12 s', '1 min 15 s', '2 h 1 min')
    """
    if value < 60:
        return f"{value:.2f} s" if value < 10 else f"{value:.1f} s"
    whole = round(value)
    if whole < 3600:
        return f"{whole // 60} min {whole % 60} s"
    return f"{whole // 3600} h {whole % 3600 // 60} min"


def many(count: int, one: str, more: str | None = None) -> str:
    """A number with its noun."""
    return f"{count} {one if count == 1 else more or one + 's'}"


class Screen:
    """Shows events as lines, and on a terminal with a bar below them.

    Args:
        stream: where to.
        total: how many ends there will be.
        line_of: what is said of an event: text, style, and whether also where a bar says
            enough; None: nothing.
        title: said before the first of them: what cannot begin is only an error.
        quiet: none of them.
        left: seconds that are left by what is known, for the bar.

    What begins with seconds that are ``expected`` has a bar of its own.
    """

    def __init__(
        self,
        stream: IO[str],
        total: int,
        line_of: Callable[[Event], tuple[str, str, bool] | None],
        *,
        title: str = "",
        quiet: bool = False,
        left: Callable[[], float | None] | None = None,
    ) -> None:
        self.console = console_on(stream)
        self._title = title
        self._line_of, self._quiet, self._left = line_of, quiet, left
        self._total, self._ended, self._bad = total, 0, 0
        self._running: dict[tuple[str, int], tuple[float, float | None]] = {}
        self._attempts: dict[tuple[str, int], str] = {}
        self._began = time.monotonic()
        self._sections = 0
        self._live: Live | None = None
        if animated(stream) and not quiet:
            self._live = Live(
                console=self.console, get_renderable=self._drawn, refresh_per_second=5,
                transient=True, redirect_stdout=False, redirect_stderr=False,
            )  # fmt: skip

    def __enter__(self) -> Screen:
        if self._live is not None:
            self._live.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._live is not None:
            self._live.stop()

    def take(self, event: Event) -> None:
        """Shows what happened."""
        if self._title and not self._quiet:
            self.say(self._title, "dim")
        self._title = ""
        kind = event["kind"]
        key = (event.get("file", ""), event.get("run", 0))
        if kind == "start":
            self._running[key] = time.monotonic(), event.get("expected")
        elif kind == "retry":
            self._attempts[key] = f"attempt {event['attempt']}"
        elif kind == "result":
            self._running.pop(key, None)
            self._attempts.pop(key, None)
            self._ended += 1
            self._bad += not event["passed"]
        line = self._line_of(event)
        if line is None or self._quiet:
            return
        text, style, important = line
        if self._live is None or important:
            self.say(text, style)

    def say(self, text: str, style: str = "") -> None:
        """A line of its own, as it is: never broken."""
        self.console.print(Text(shown(text), style), soft_wrap=True)
        self.console.file.flush()

    def raw(self, line: str) -> None:
        """A line for who runs this, such as a workflow command: nothing of it is changed."""
        self.console.file.write(line + "\n")
        self.console.file.flush()

    @contextlib.contextmanager
    def section(self, title: str, style: str) -> Iterator[None]:
        """A line, and those below it: in GitLab's log they are folded until somebody asks."""
        if self._live is not None or not os.environ.get("GITLAB_CI"):
            self.say(title, style)
            yield
            return
        self._sections += 1
        # GitLab Docs: "Use GitLab CI/CD job logs", custom collapsible sections.
        name = f"qe_{os.getpid()}_{self._sections}"
        self._mark(f"section_start:{int(time.time())}:{name}[collapsed=true]", shown(title))
        yield
        self._mark(f"section_end:{int(time.time())}:{name}", "")

    def _mark(self, command: str, title: str) -> None:
        end = "\n" if title else ""
        self.console.file.write(f"\x1b[0K{command}\r\x1b[0K{title}{end}")
        self.console.file.flush()

    def note(self, text: str) -> None:
        """A line about the run itself."""
        self.say(text, "yellow")

    # ------------------------------------------------------------------ a bar

    def _drawn(self) -> RenderableType:
        now = time.monotonic()
        rows = Table.grid(padding=(0, 2, 0, 0))
        running = sorted(self._running.items(), key=lambda one: one[1][0])
        bars = any(expected for _, (_, expected) in running)
        room = max(1, min(_MOST_ROWS, self.console.height - 3))
        for (file, run), (since, expected) in running[:room]:
            what = self._attempts.get((file, run), f"run {run + 1}" if run else "")
            name = Text(shown(file), no_wrap=True, overflow="ellipsis")
            row: list[RenderableType] = [name, Text(what, "yellow")]
            if bars:
                done = min(now - since, expected) if expected else 0
                row.insert(0, ProgressBar(expected, done, width=16, pulse=not expected))
            rows.add_row(Text(f"{seconds(now - since):>10}", "dim"), *row)
        if len(running) > room:
            rows.add_row(*[""] * (1 + bars), Text(f"and {len(running) - room} more", "dim"))
        bar = Table.grid(padding=(0, 1, 0, 0))
        words = f"{self._ended} of {self._total}"
        if self._bad:
            words += f", {self._bad} failed"
        words += f", {seconds(now - self._began)}"
        left = self._left() if self._left is not None else None
        if left is not None:
            words += f", about {seconds(left)} left" if left >= 1 else ", nearly done"
        bar.add_row(
            ProgressBar(total=max(1, self._total), completed=self._ended, width=30),
            Text(words, no_wrap=True, overflow="ellipsis"),
        )
        return Group(rows, bar)
