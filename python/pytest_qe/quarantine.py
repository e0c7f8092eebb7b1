"""The quarantine file: which tests may fail for a while, who answers for each, and why.

JSON or TOML, by its suffix. In JSON a list of entries, or an object with that
list as ``quarantine``; in TOML a ``[[quarantine]]`` table for each::

    [[quarantine]]
    id = "tests/test_pay.py::test_refund[*]"
    owner = "payments"
    reason = "the bank's sandbox is slow on Mondays"
    since = 2026-11-02
    expires = 2026-12-01
    evidence = "failed in 7 of 60 runs"

``since`` and ``evidence`` may be missing. ``expires`` is the last day on which
the entry holds.
"""

from __future__ import annotations

import datetime
import json
import os
import re
import sys
from collections.abc import Callable, Iterable
from importlib import import_module
from pathlib import Path
from typing import Any

#: Executions passed in a row after which an entry may go: a test that fails one
#: time in twenty gets through as many with less than 5 % (``stats.runs_to_see``).
CLEAN_RUNS = 59

#: Files that are copies of a quarantine elsewhere, each with what changes that and then them.
ELSEWHERE: dict[Path, Callable[[list[Entry], set[str]], None]] = {}

_MAX_BYTES = 10_000_000
_MAX_TEXT = 2000
_REQUIRED = ("id", "owner", "reason", "expires")
_OPTIONAL = ("since", "evidence")
_HEADER = re.compile(r"^\s*\[\[\s*quarantine\s*\]\]\s*(#.*)?$", re.MULTILINE)


class QuarantineError(Exception):
    """The file cannot be used; the text is one line that says why."""


class Entry:
    """What holds one test, or parametrisations of one.

    Args:
        id: a node id. A ``*`` between its brackets stands for any text; it may
            stand nowhere else.
        owner: who answers for it.
        reason: why it is held.
        expires: the last day on which it holds.
        since: since when, None: not said.
        evidence: what was seen, None: not said.
    """

    __slots__ = ("id", "owner", "reason", "expires", "since", "evidence", "pattern")

    def __init__(
        self,
        id: str,
        owner: str,
        reason: str,
        expires: datetime.date,
        since: datetime.date | None = None,
        evidence: str | None = None,
    ) -> None:
        self.id = id
        self.owner = owner
        self.reason = reason
        self.expires = expires
        self.since = since
        self.evidence = evidence
        #: Of all ids that it matches; None: its own alone.
        self.pattern: re.Pattern[str] | None = None
        if "*" in id:
            self.pattern = re.compile(".*".join(map(re.escape, id.split("*"))), re.DOTALL)

    def matches(self, nodeid: str) -> bool:
        """Whether this test is held by it."""
        if self.pattern is None:
            return nodeid == self.id
        return self.pattern.fullmatch(nodeid) is not None

    @property
    def prefix(self) -> str:
        """What every id that it matches begins with."""
        return self.id.partition("*")[0]

    @property
    def file(self) -> str:
        """The test file."""
        return self.id.partition("::")[0]

    def expired(self, today: datetime.date) -> bool:
        """Whether it no longer holds."""
        return today > self.expires

    def fields(self) -> dict[str, str]:
        """What the file says, in its order."""
        found = {name: getattr(self, name) for name in (*_REQUIRED, *_OPTIONAL)}
        return {name: str(value) for name, value in found.items() if value is not None}


class Quarantine:
    """The entries of a file, to be asked for a test's."""

    def __init__(self, entries: Iterable[Entry]) -> None:
        self.entries = list(entries)
        self._exact = {e.id: e for e in self.entries if e.pattern is None}
        self._globs: dict[str, list[Entry]] = {}
        for entry in self.entries:
            if entry.pattern is not None:
                self._globs.setdefault(entry.id.partition("[")[0], []).append(entry)

    def find(self, nodeid: str) -> Entry | None:
        """The entry that names this test, or else the first that matches it."""
        found = self._exact.get(nodeid)
        if found is None and self._globs:
            same = self._globs.get(nodeid.partition("[")[0], ())
            found = next((entry for entry in same if entry.matches(nodeid)), None)
        return found


# ----------------------------------------------------------------- reading


def _text(name: str, value: object) -> str:
    if not isinstance(value, str) or not value.strip() or len(value) > _MAX_TEXT:
        raise QuarantineError(f"{name}: takes a text of up to {_MAX_TEXT} characters")
    if not value.isprintable():
        raise QuarantineError(f"{name}: takes one line without control characters")
    return value


def _id(value: object) -> str:
    text = _text("id", value)
    base, bracket, rest = text.partition("[")
    if "*" in base or (bracket and "*" in rest and not rest.endswith("]")):
        raise QuarantineError(f"id {text!r}: * stands only between brackets, as in test_a[*]")
    return text


def _date(name: str, value: object) -> datetime.date:
    if isinstance(value, datetime.date) and not isinstance(value, datetime.datetime):
        return value
    if isinstance(value, str) and re.fullmatch(r"\d{4}-\d\d-\d\d", value, re.ASCII):
        try:
            return datetime.date.fromisoformat(value)
        except ValueError:
            pass
    raise QuarantineError(f"{name}: takes a date, as 2026-12-31")


def _entry(value: object) -> Entry:
    if not isinstance(value, dict):
        raise QuarantineError("takes " + ", ".join(_REQUIRED))
    for name in value:
        if name not in _REQUIRED and name not in _OPTIONAL:
            raise QuarantineError(f"has no {name!r}; it takes " + ", ".join(_REQUIRED + _OPTIONAL))
    for name in _REQUIRED:
        if name not in value:
            raise QuarantineError(f"lacks {name!r}")
    since, evidence = value.get("since"), value.get("evidence")
    return Entry(
        _id(value["id"]),
        _text("owner", value["owner"]),
        _text("reason", value["reason"]),
        _date("expires", value["expires"]),
        None if since is None else _date("since", since),
        None if evidence is None else _text("evidence", evidence),
    )


def _parse(path: Path, text: str) -> Any:
    if path.suffix == ".json":
        try:
            return json.loads(text)
        except (ValueError, RecursionError) as error:
            raise QuarantineError(f"is no JSON: {error}") from None
    if path.suffix == ".toml":
        # To Python 3.10 pytest brings it.
        tomllib: Any = import_module("tomllib" if sys.version_info >= (3, 11) else "tomli")
        try:
            return tomllib.loads(text)
        except (ValueError, RecursionError) as error:
            raise QuarantineError(f"is no TOML: {error}") from None
    raise QuarantineError("is neither .json nor .toml")


def _entries(path: Path, text: str) -> list[Entry]:
    value = _parse(path, text)
    if isinstance(value, dict):
        if value.keys() - {"quarantine"}:
            raise QuarantineError("takes a list of entries named quarantine, and nothing else")
        value = value.get("quarantine", [])
    if not isinstance(value, list):
        raise QuarantineError("takes a list of entries")
    entries: dict[str, Entry] = {}
    for number, given in enumerate(value, 1):
        try:
            entry = _entry(given)
        except QuarantineError as error:
            raise QuarantineError(f"entry {number} {error}") from None
        if entry.id in entries:
            raise QuarantineError(f"entry {number} repeats {entry.id}")
        entries[entry.id] = entry
    return list(entries.values())


def _read(path: Path) -> str:
    try:
        if path.exists() and not path.is_file():  # a pipe would be waited for
            raise QuarantineError("is no regular file")
        with path.open("rb") as file:
            data = file.read(_MAX_BYTES + 1)
    except OSError as error:
        raise QuarantineError(error.strerror or str(error)) from None
    if len(data) > _MAX_BYTES:
        raise QuarantineError(f"is larger than {_MAX_BYTES} bytes")
    try:
        return data.decode("utf-8")
    except UnicodeDecodeError as error:
        raise QuarantineError(f"is no UTF-8: {error}") from None


def entry_of(data: bytes) -> Entry:
    """An entry that is JSON: an object, as in a file.

    Raises ``QuarantineError``.
    """
    try:
        return _entry(json.loads(data))
    except (ValueError, RecursionError) as error:
        raise QuarantineError(f"is no JSON: {error}") from None


def load(path: Path) -> list[Entry]:
    """The entries of a file, in its order.

    Raises ``QuarantineError``, whose text names the file and the entry.
    """
    try:
        return _entries(path, _read(path))
    except QuarantineError as error:
        # A JSON or TOML error may repeat what is in the file.
        text = "".join(c if c.isprintable() else "?" for c in str(error))
        raise QuarantineError(f"quarantine {path}: {text}") from None


# ----------------------------------------------------------------- writing


def _toml(entry: Entry) -> str:
    lines = ["[[quarantine]]"]
    for name, value in entry.fields().items():
        # A JSON string of printable characters is one of TOML's.
        quoted = value if name in ("expires", "since") else json.dumps(value, ensure_ascii=False)
        lines.append(f"{name} = {quoted}")
    return "\n".join(lines) + "\n"


def _changed(path: Path, text: str, add: list[Entry], remove: set[str]) -> str:
    """The text of the file, changed; what people wrote around entries of TOML stays."""
    entries = _entries(path, text) if text else []
    if path.suffix == ".json":
        left = [e.fields() for e in entries if e.id not in remove] + [e.fields() for e in add]
        return json.dumps({"quarantine": left}, indent=2, ensure_ascii=False) + "\n"
    starts = [found.start() for found in _HEADER.finditer(text)]
    parts = [text[a:b] for a, b in zip([0, *starts], [*starts, len(text)], strict=True)]
    if len(starts) != len(entries):
        raise QuarantineError("has entries that are no [[quarantine]] tables: change it by hand")
    kept = [part for part, e in zip(parts[1:], entries, strict=True) if e.id not in remove]
    text = parts[0] + "".join(kept)
    for entry in add:
        if text:
            text = text.rstrip("\n") + "\n\n"
        text += _toml(entry)
    return text


def _replace(path: Path, text: str) -> None:
    """Writes the whole file, or leaves it as it was."""
    import tempfile

    target = Path(os.path.realpath(path))
    fd, name = tempfile.mkstemp(prefix=f".{target.name}.", dir=target.parent)
    try:
        with os.fdopen(fd, "w", encoding="utf-8", newline="") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        mode = target.stat().st_mode & 0o777 if target.exists() else 0o666 & ~_umask()
        os.chmod(name, mode)
        os.replace(name, target)
    except BaseException:
        os.unlink(name)
        raise


def write(path: Path, entries: list[Entry]) -> None:
    """Makes a .json file of these entries, if it is not there with them.

    Raises ``QuarantineError``.
    """
    text = json.dumps({"quarantine": [e.fields() for e in entries]}, indent=2, ensure_ascii=False)
    try:
        if not path.exists() or path.read_bytes() != f"{text}\n".encode():
            _replace(path, f"{text}\n")
    except OSError as error:
        raise QuarantineError(f"quarantine {path}: {error.strerror}") from None


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask


def change(path: Path, add: list[Entry], remove: set[str]) -> None:
    """Adds entries to a file, which is made where there is none, and removes those of
    these ids.

    Raises ``QuarantineError``; the file is then as it was.
    """
    if path in ELSEWHERE:
        ELSEWHERE[path](add, remove)
        return
    before = load(path) if path.exists() else []
    expected = [e.fields() for e in before if e.id not in remove] + [e.fields() for e in add]
    try:
        text = _changed(path, _read(path) if path.exists() else "", add, remove)
        if [e.fields() for e in _entries(path, text)] != expected:
            raise QuarantineError("cannot be changed by this command: change it by hand")
        _replace(path, text)
    except QuarantineError as error:
        raise QuarantineError(f"quarantine {path}: {error}") from None
    except OSError as error:
        raise QuarantineError(f"quarantine {path}: {error.strerror}") from None
