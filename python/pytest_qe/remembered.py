"""``qe history`` and ``qe quarantine``: what the history knows of tests."""

from __future__ import annotations

import datetime
import json
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from . import _core, places, quarantine
from .errors import QeError
from .planning import key
from .quarantine import CLEAN_RUNS, Entry

BY = {
    "day": _core.BY_DAY,
    "commit": _core.BY_REVISION,
    "branch": _core.BY_BRANCH,
    "condition": _core.BY_CONDITION,
}
_ALPHA = 0.05


class RememberedError(Exception):
    """A command that cannot be carried out; the text is one line that says why."""


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


def opened(given: Path | None) -> tuple[Path, _core.History]:
    """The history that is there, and where.

    Raises: ``RememberedError`` where there is none, or it cannot be read.
    """
    path = _find(given)
    if path is None:
        raise RememberedError("there is no .qe/history.db here or above: --history says where")
    return path, _open(path)


def history(test: str, by: str, as_json: bool, given: Path | None, durations: bool = False) -> str:
    """What ``history`` prints of a test.

    Args:
        by: a word of ``BY``.
        given: the database; None: the project's.
        durations: how long its passes took, and not how often it failed.
    """
    path, database = opened(given)
    found = database.rates(key(test), BY[by])
    database.close()
    if not found:
        raise RememberedError(f"{path} knows no run of {test}")
    rows = [_row(_shown(r[0]), r[1], r[2], r[3]) for r in found]
    failures, passes = sum(r[1] for r in found), sum(r[2] for r in found)
    total = _row("all", failures, passes, sum(r[3] for r in found))
    if as_json:
        return json.dumps(
            {
                "test": test, "by": by, "alpha": _ALPHA,
                "rows": [
                    {
                        **row, "first": r[4], "last": r[5],
                        "mean_s": r[6] if r[2] + r[3] else None,
                        "longest_s": r[7] if r[2] + r[3] else None,
                    }
                    for row, r in zip(rows, found, strict=True)
                ],
                "all": total,
            },
            indent=2,
        )  # fmt: skip
    if durations:
        return "\n".join([_TIMES_HEAD.format(by), *map(_times, found)])
    return "\n".join([_HEAD.format(by), *map(_line, [*rows, total])])


_HEAD = "{:<20}   runs  failures  recovered    rate  95 % interval"


def _line(row: dict[str, Any]) -> str:
    label = row["label"][:20] or "unknown"
    line = f"{label:<20} {row['runs']:6}  {row['failures']:8}  {row['recovered']:9}"
    if row["runs"]:
        line += f"  {row['rate']:6.1%}  {row['low']:.1%} to {row['high']:.1%}"
    return line


_TIMES_HEAD = "{:<20}  passes      mean   longest"


def _times(row: tuple[bytes, int, int, int, float, float, float, float]) -> str:
    label, passes = _shown(row[0])[:20] or "unknown", row[2] + row[3]
    times = f"  {row[6]:6.2f} s  {row[7]:6.2f} s" if passes else ""
    return f"{label:<20}  {passes:6}{times}"


# ------------------------------------------------------------ without a test


_TOPS = {
    "flakiest": _core.TOP_FLAKIEST, "failing": _core.TOP_FAILING, "slowest": _core.TOP_SLOWEST,
}  # fmt: skip


def top(database: _core.History, name: str, most: int) -> tuple[int, int, list[dict[str, Any]]]:
    """The tests that stand out.

    Args:
        name: ``flakiest``, ``failing`` or ``slowest``.
        most: rows.

    Returns: how many tests are known, how many there is something to say of, and rows: ``id`` as
        the history has it, ``test``, ``runs``, ``failures``, ``rate`` with ``low`` and ``high``,
        and ``median_s``, None where it never passed.
    """
    known, found, rows = database.top(_TOPS[name], most)
    told = [
        {
            "id": id_, "test": id_.decode("utf-8", "replace"), "runs": failures + passes,
            "failures": failures, "rate": failures / (failures + passes), "low": low,
            "high": high, "median_s": ns / 1e9 if ns else None,
        }
        for id_, failures, passes, low, high, ns in rows
    ]  # fmt: skip
    return known, found, told


def overview(most: int, as_json: bool, given: Path | None) -> str:
    """What ``history`` prints without a test.

    Args:
        most: rows of each table.
        given: the database; None: the project's.
    """
    path, database = opened(given)
    try:
        tables = {name: top(database, name, most) for name in _TOPS}
    finally:
        database.close()
    known = tables["failing"][0]
    if not known:
        raise RememberedError(f"{path} knows no test that ran to its end")
    for _, _, rows in tables.values():
        for row in rows:
            del row["id"]
    if as_json:
        cut = {name: rows for name, (_, _, rows) in tables.items()}
        return json.dumps({"tests": known, "alpha": _ALPHA, **cut}, indent=2)
    lines = []
    for name, title in _TITLES.items():
        _, found, rows = tables[name]
        if not rows:
            lines += [f"{title}: none", ""]
            continue
        more = f", {most} of {found}" if found > most else ""
        lines += [f"{title}{more}", _ALL_HEAD, *map(_all_line, rows), ""]
    return "\n".join([*lines, f"{known} tests in {path}"])


_TITLES = {"flakiest": "Flakiest", "failing": "Most often failing", "slowest": "Slowest"}
_ALL_HEAD = "   rate  95 % interval     failures    runs    median  test"


def _all_line(row: dict[str, Any]) -> str:
    interval = f"{row['low']:.1%} to {row['high']:.1%}"
    median = f"{row['median_s']:6.2f} s" if row["median_s"] else "       ?"
    name = _shown(row["test"].encode("utf-8", "replace"))
    return (
        f"{row['rate']:7.1%}  {interval:16}  {row['failures']:8}  {row['runs']:6}  {median}  {name}"
    )


# -------------------------------------------------------------- quarantine


def _clean(database: _core.History | None, entry: Entry) -> int | None:
    """Executions in a row that each of its tests has passed; None: none is known."""
    if database is None:
        return None
    prefix = key(entry.prefix)
    names = [n for n in database.names(prefix) if entry.matches(n.decode("utf-8", "replace"))]
    return min(database.clean(names), default=None)


RELEASED = "may be released"


def _state(entry: Entry, clean: int | None) -> str:
    if clean is not None and clean >= CLEAN_RUNS:
        return RELEASED
    return "expired" if entry.expired(datetime.date.today()) else "held"


def entries(file: Path, database: _core.History | None) -> list[tuple[Entry, int | None, str]]:
    """The entries of a quarantine file, each with the executions in a row that all its tests
    have passed (None: not known), and its state: ``held``, ``expired``, ``may be released``.

    Raises: ``QuarantineError``.
    """
    counted = [(entry, _clean(database, entry)) for entry in quarantine.load(file)]
    return [(entry, clean, _state(entry, clean)) for entry, clean in counted]


@dataclass(frozen=True)
class Asked:
    """What ``quarantine`` is asked for, as its options say it."""

    file: Path | None  # None: that of the history's server
    release: bool = False
    add: str | None = None
    reason: str | None = None
    owner: str | None = None
    days: int | None = None
    evidence: str | None = None
    history: Path | None = None


def new_entry(args: Asked, test: str) -> Entry:
    if args.reason is None or args.owner is None or args.days is None:
        raise RememberedError("--add: takes --reason, --owner and --days too")
    if not 1 <= args.days <= 3650:
        raise RememberedError("--days: takes 1 to 3650")
    today = datetime.date.today()
    expires = today + datetime.timedelta(days=args.days)
    return Entry(test, args.owner, args.reason, expires, today, args.evidence)


def _of_server(history: Path | None) -> Path:
    """The quarantine beside a history that is on a server."""
    from . import sharedhistory

    shared = None if history is None else sharedhistory.of(history)
    if shared is None:
        raise RememberedError(
            "takes a file, or the history of a server, which has one: --history=redis://HOST"
        )
    if not shared.quarantine.exists():
        raise RememberedError("the server's quarantine is not known here yet")
    return shared.quarantine


def held(args: Asked) -> str:
    """Does what ``quarantine`` asks for; returns what it prints."""
    file = args.file or _of_server(args.history)
    extra = [n for n in ("reason", "owner", "days", "evidence") if getattr(args, n) is not None]
    if args.add is None and extra:
        raise RememberedError(f"--{extra[0]}: goes with --add")
    if args.add is not None:
        entry = new_entry(args, args.add)
        quarantine.change(file, [entry], set())
        return f"added {entry.id}, until {entry.expires}"
    path = _find(args.history)
    database = None if path is None else _open(path)
    try:
        rows = entries(file, database)
    finally:
        if database is not None:
            database.close()
    if args.release:
        free = [entry.id for entry, _, state in rows if state == RELEASED]
        if not free:
            return "nothing may be released"
        quarantine.change(file, [], set(free))
        return "\n".join(f"released {id}" for id in free)
    if not rows:
        return "no entries"
    lines = ["clean  expires     state            test"]
    for entry, count, state in rows:
        number = "?" if count is None else str(count)
        lines.append(
            f"{number:>5}  {entry.expires}  {state:15}  {entry.id} ({entry.owner}: {entry.reason})"
        )
    return "\n".join(lines)
