"""In GitHub Actions: annotations for what `qe exec`, `qe hunt` and layers ran, and a table of it in
the job's summary, as ``github.py`` makes them of pytest's tests."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, NamedTuple

from .screen import Screen, many
from .summing import STOPPED

if TYPE_CHECKING:
    from ..github import Row

Event = dict[str, Any]
_MOST_TESTS = 10  # named of a file


class Told(NamedTuple):
    """What is told of a result: ``rows`` of ``what`` was not as it should be."""

    what: str  # "Files", "Categories"
    counts: Mapping[str, int]
    rows: list[Row]


def is_wanted() -> bool:
    """Whether this is a step of GitHub Actions."""
    return os.environ.get("GITHUB_ACTIONS") == "true"


def tell(screen: Screen, told: Told) -> None:
    """Writes both. A summary that cannot be written is a line."""
    from .. import github

    for line in github.commands(told.rows):
        screen.raw(line)
    summary = os.environ.get("GITHUB_STEP_SUMMARY")
    if not summary:
        return
    try:
        with open(summary, "a", encoding="utf-8") as file:
            file.write(github.markdown(told.rows, told.counts, told.what))
    except OSError as error:
        screen.say(f"warning: {summary}: {error.strerror}", "yellow")


def of_execution(result: Event, folder: str) -> Told:
    """What is told of an execution; ``folder`` is that of its files."""
    rows = []
    for one in result["results"]:
        if one["outcome"] == "flaky":
            rows.append(_row(one["file"], "flaky", folder, f"passed on attempt {one['attempts']}"))
        elif not one["passed"] and one["outcome"] not in STOPPED:
            rows.append(_row(one["file"], _what(one), folder, _why(one)))
    return Told("Files", _counts(one["outcome"] for one in result["results"]), rows)


def of_hunt(result: Event, folder: str) -> Told:
    """What is told of a hunt: files that fail always are told, as those that are flaky."""
    rows, outcomes = [], []
    for one in result["files"]:
        runs = one["passed"] + one["failed"]
        outcomes.append("flaky" if one["is_flaky"] else "failed" if one["failed"] else "passed")
        if one["failed"]:
            text = f"failed in {one['failed']} of {many(runs, 'run')}"
            rows.append(_row(one["file"], outcomes[-1], folder, text))
    return Told("Files", _counts(outcomes), rows)


def of_layers(result: Event) -> Told:
    """What is told of layers: a category is about no file."""
    from ..github import Row, plain

    rows, outcomes = [], []
    for layer, found in result["layers"].items():
        for name, one in found["category_results"].items():
            outcomes.append(one["outcome"])
            if one["passed"] or one["outcome"] in STOPPED:
                continue
            text = "\n".join(filter(None, (_why(one), one.get("suggestion"))))
            rows.append(Row(plain(f"{layer}/{name}"), _what(one), "", 1, plain(text)))
    return Told("Categories", _counts(outcomes), rows)


def _what(one: Event) -> str:
    return "error" if one["outcome"] == "error" else "failed"


def _why(one: Event) -> str:
    lines = [f"{test['name']}: {test['message']}" for test in one["failures"][:_MOST_TESTS]]
    return "\n".join([str(one["ended"]), *lines])


def _row(file: str, what: str, folder: str, message: str) -> Row:
    from ..github import Row, inside, plain

    path = os.path.join(folder, file)
    within = inside(path, os.environ.get("GITHUB_WORKSPACE") or os.getcwd())
    return Row(plain(file), what, within if within is not None else path, 1, plain(message))


def _counts(outcomes: Any) -> Mapping[str, int]:
    return dict(Counter(outcomes).most_common())
