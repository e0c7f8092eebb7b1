"""In GitHub Actions: failures beside the code they are about, and a summary of the job.

Annotations are commands on standard output, the summary is a file that the runner names
(GitHub Docs: "Workflow commands for GitHub Actions"). Whatever a test says is text in both.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple

import pytest

_MOST_ANNOTATIONS = 10  # GitHub shows no more of each kind in a step
_MOST_ROWS = 100
_MOST_CHARACTERS = 4096  # of a message
_ESCAPE = re.compile(r"\x1b\[[0-9;?]*[ -/]*[@-~]|[\x00-\x08\x0b-\x1f\x7f]")
_TOLD = ("failed", "error", "passed", "skipped", "xfailed", "xpassed")


class Row(NamedTuple):
    """A test that is to be told of."""

    id: str
    what: str  # "failed", "error" or "flaky"
    path: str  # "": it is about no file
    line: int  # from 1
    message: str


class GitHub:
    """A pytest plugin, for the process that has the terminal."""

    def __init__(self, environ: Mapping[str, str]) -> None:
        self._top = environ.get("GITHUB_WORKSPACE") or os.getcwd()
        self._summary = environ.get("GITHUB_STEP_SUMMARY")

    @pytest.hookimpl(trylast=True)
    def pytest_terminal_summary(self, terminalreporter: Any) -> None:
        stats = terminalreporter.stats
        rows = list(_rows(stats, self._top))
        # A command counts where it begins a line.
        terminalreporter.ensure_newline()
        for line in commands(rows):
            terminalreporter.write_line(line)
        if self._summary:
            counts = {name: len(stats.get(name, ())) for name in _TOLD}
            try:
                with open(self._summary, "a", encoding="utf-8") as file:
                    file.write(markdown(rows, counts))
            except OSError as error:
                text = f"qe: warning: {self._summary}: {error.strerror}"
                terminalreporter.write_line(text, yellow=True)


def _rows(stats: Mapping[str, Sequence[Any]], top: str) -> Iterator[Row]:
    for what in ("failed", "error"):
        for report in stats.get(what, ()):
            yield _row(report, what, top)
    passed = {report.nodeid for report in stats.get("passed", ())}
    seen = set()
    for report in stats.get("rerun", ()):
        if report.nodeid in passed and report.nodeid not in seen:
            seen.add(report.nodeid)
            yield _row(report, "flaky", top)


def _row(report: Any, what: str, top: str) -> Row:
    path, line = report.nodeid.partition("::")[0], 0
    if getattr(report, "location", None):
        path, line, _ = report.location
    crash = getattr(report.longrepr, "reprcrash", None)
    message = str(getattr(crash, "message", "")) or report.longreprtext
    # Where it failed, if that is code of the project's.
    if crash is not None and inside(crash.path, top) is not None:
        path, line = crash.path, crash.lineno - 1
    within = inside(path, top)
    return Row(
        plain(report.nodeid), what, within if within is not None else str(path), (line or 0) + 1,
        plain(message),
    )  # fmt: skip


def inside(path: str, top: str) -> str | None:
    """A path from the top of the repository; None where it is not below it."""
    found = os.path.relpath(os.path.abspath(path), top)
    return None if found == os.pardir or found.startswith(os.pardir + os.sep) else found


def plain(text: str) -> str:
    """Text that no terminal obeys, and of no more than a few thousand characters."""
    text = _ESCAPE.sub("", text.encode("utf-8", "backslashreplace").decode()).strip()
    return text if len(text) <= _MOST_CHARACTERS else text[:_MOST_CHARACTERS] + " ..."


# ------------------------------------------------------------------ what is written


def _data(text: str) -> str:
    return text.replace("%", "%25").replace("\r", "%0D").replace("\n", "%0A")


def _property(text: str) -> str:
    return _data(text).replace(":", "%3A").replace(",", "%2C")


def commands(rows: Sequence[Row]) -> Iterator[str]:
    """Commands for the first rows, of errors and of warnings.

    Example:
        >>> list(commands([Row("a.py::b", "failed", "a.py", 3, "no\\nway")]))
        ['::error file=a.py,line=3,title=a.py%3A%3Ab::no%0Away']
    """
    for kind, whats in (("error", ("failed", "error")), ("warning", ("flaky",))):
        for row in [one for one in rows if one.what in whats][:_MOST_ANNOTATIONS]:
            title = row.id if kind == "error" else f"flaky: {row.id}"
            where = f"file={_property(row.path)},line={row.line}," if row.path else ""
            yield f"::{kind} {where}title={_property(title)}::{_data(row.message) or 'failed'}"


def _cell(text: str) -> str:
    """Text in a table of Markdown: no markup, no HTML, one line."""
    first = text.splitlines()[0] if text else ""
    safe = first.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
    return re.sub(r"([\\`*_{}\[\]()#+.!|~-])", r"\\\1", safe)


def markdown(rows: Sequence[Row], counts: Mapping[str, int], of: str = "Tests") -> str:
    """What is added to the job's summary.

    Args:
        counts: of tests, by outcome.
        of: what they are counts of.
    """
    told = ", ".join(f"{count} {name}" for name, count in counts.items() if count) or "none"
    lines = [f"### {of}: {told}", ""]
    if rows:
        lines += ["| | test | message |", "| --- | --- | --- |"]
        lines += [
            f"| {row.what} | {_cell(row.id)} | {_cell(row.message)} |" for row in rows[:_MOST_ROWS]
        ]
        if len(rows) > _MOST_ROWS:
            lines += ["", f"and {len(rows) - _MOST_ROWS} more"]
        lines.append("")
    return "\n".join(lines) + "\n"
