"""``python -m pytest_qe history`` and ``quarantine``: what the history knows of tests."""

from __future__ import annotations

import argparse
import datetime
import json
import os
from pathlib import Path
from typing import Any

from . import _core, places, quarantine
from .errors import QeError
from .planning import key
from .quarantine import CLEAN_RUNS, Entry

_BY = {
    "day": _core.BY_DAY,
    "commit": _core.BY_REVISION,
    "branch": _core.BY_BRANCH,
    "condition": _core.BY_CONDITION,
}
_ALPHA = 0.05


class RememberedError(Exception):
    """A command that cannot be carried out; the text is one line that says why."""


def add_commands(commands: Any) -> None:
    """Declares both commands."""
    history = commands.add_parser(
        "history",
        help="how often a test failed, over time",
        description="Prints how often a test ran and failed by day, commit, branch or "
        "condition, and the failure rate with its 95 %% interval (Jeffreys). Passes on a "
        "retry are told apart.",
    )
    history.add_argument("test", metavar="TESTID", help="a node id, as pytest prints it")
    history.add_argument("--by", choices=sorted(_BY), default="day")
    history.add_argument("--json", action="store_true", help="print JSON")
    _add_history(history)
    held = commands.add_parser(
        "quarantine",
        help="list, release and add entries of a quarantine file",
        description=f"Lists the entries of a --qe-quarantine file. One whose tests have "
        f"passed {CLEAN_RUNS} executions in a row since they last failed may be released.",
    )
    held.add_argument("file", type=Path, metavar="FILE")
    held.add_argument("--release", action="store_true", help="remove what may be released")
    held.add_argument("--add", metavar="TESTID", help="hold this test")
    held.add_argument("--reason", help="with --add: why")
    held.add_argument("--owner", help="with --add: who answers for it")
    held.add_argument("--days", type=int, help="with --add: for how many days, at most 3650")
    held.add_argument("--evidence", help="with --add: what was seen")
    _add_history(held)


def _add_history(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--history", type=Path, metavar="PATH",
        help="the history (default: .qe/history.db here or in a folder above)",
    )  # fmt: skip


def _find(given: Path | None) -> Path | None:
    if given is not None:
        if not given.is_file():
            raise RememberedError(f"{given}: there is no such history")
        return given
    return places.find_history()


def _open(path: Path) -> _core.History:
    try:
        return _core.History(os.fsencode(path))
    except (QeError, OSError) as error:
        raise RememberedError(f"{path}: {error}") from None


def _shown(data: bytes) -> str:
    text = data.decode("utf-8", "replace")
    return "".join(c if c.isprintable() else "?" for c in text)


# ----------------------------------------------------------------- history


def _row(label: str, failures: int, passes: int, recovered: int) -> dict[str, Any]:
    runs = failures + passes
    row: dict[str, Any] = {
        "label": label, "runs": runs, "failures": failures, "recovered": recovered,
    }  # fmt: skip
    if runs:
        low, high = _core.jeffreys_clamped(failures, passes, _ALPHA)
        row.update(rate=failures / runs, low=low, high=high)
    return row


def history(args: argparse.Namespace) -> str:
    """What ``history`` prints."""
    path = _find(args.history)
    if path is None:
        raise RememberedError("there is no .qe/history.db here or above: --history says where")
    database = _open(path)
    found = database.rates(key(args.test), _BY[args.by])
    database.close()
    if not found:
        raise RememberedError(f"{path} knows no run of {args.test}")
    rows = [_row(_shown(r[0]), r[1], r[2], r[3]) for r in found]
    failures, passes = sum(r[1] for r in found), sum(r[2] for r in found)
    total = _row("all", failures, passes, sum(r[3] for r in found))
    if args.json:
        return json.dumps(
            {
                "test": args.test, "by": args.by, "alpha": _ALPHA,
                "rows": [
                    {**row, "first": r[4], "last": r[5]} for row, r in zip(rows, found, strict=True)
                ],
                "all": total,
            },
            indent=2,
        )  # fmt: skip
    return "\n".join([_HEAD.format(args.by), *map(_line, [*rows, total])])


_HEAD = "{:<20}   runs  failures  recovered    rate  95 % interval"


def _line(row: dict[str, Any]) -> str:
    label = row["label"][:20] or "unknown"
    line = f"{label:<20} {row['runs']:6}  {row['failures']:8}  {row['recovered']:9}"
    if row["runs"]:
        line += f"  {row['rate']:6.1%}  {row['low']:.1%} to {row['high']:.1%}"
    return line


# -------------------------------------------------------------- quarantine


def _clean(database: _core.History | None, entry: Entry) -> int | None:
    """Executions in a row that each of its tests has passed; None: none is known."""
    if database is None:
        return None
    prefix = key(entry.prefix)
    names = [n for n in database.names(prefix) if entry.matches(n.decode("utf-8", "replace"))]
    return min(database.clean(names), default=None)


def _state(entry: Entry, clean: int | None) -> str:
    if clean is not None and clean >= CLEAN_RUNS:
        return "may be released"
    return "expired" if entry.expired(datetime.date.today()) else "held"


def _new_entry(args: argparse.Namespace) -> Entry:
    if args.reason is None or args.owner is None or args.days is None:
        raise RememberedError("--add: takes --reason, --owner and --days too")
    if not 1 <= args.days <= 3650:
        raise RememberedError("--days: takes 1 to 3650")
    today = datetime.date.today()
    expires = today + datetime.timedelta(days=args.days)
    return Entry(args.add, args.owner, args.reason, expires, today, args.evidence)


def held(args: argparse.Namespace) -> str:
    """Does what ``quarantine`` asks for; returns what it prints."""
    extra = [n for n in ("reason", "owner", "days", "evidence") if getattr(args, n) is not None]
    if args.add is None and extra:
        raise RememberedError(f"--{extra[0]}: goes with --add")
    if args.add is not None:
        entry = _new_entry(args)
        quarantine.change(args.file, [entry], set())
        return f"added {entry.id}, until {entry.expires}"
    entries = quarantine.load(args.file)
    path = _find(args.history)
    database = None if path is None else _open(path)
    clean = [_clean(database, entry) for entry in entries]
    if database is not None:
        database.close()
    if args.release:
        free = [e.id for e, n in zip(entries, clean, strict=True) if n and n >= CLEAN_RUNS]
        if not free:
            return "nothing may be released"
        quarantine.change(args.file, [], set(free))
        return "\n".join(f"released {id}" for id in free)
    if not entries:
        return "no entries"
    lines = ["clean  expires     state            test"]
    for entry, count in zip(entries, clean, strict=True):
        number = "?" if count is None else str(count)
        state = _state(entry, count)
        lines.append(
            f"{number:>5}  {entry.expires}  {state:15}  {entry.id} ({entry.owner}: {entry.reason})"
        )
    return "\n".join(lines)
