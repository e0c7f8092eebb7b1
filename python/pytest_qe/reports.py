"""Test reports across processes, and the reports of tests that died.

A report travels as ``pytest_report_to_serializable`` gives it, in marshal
format (fast, keeps tuples, carries no code). What that cannot hold becomes
its ``repr``, so that no value can end a session.
"""

from __future__ import annotations

import linecache
import os
import re
import signal
import warnings
from io import StringIO
from marshal import dumps as _dumps  # its own name: tests put other things into modules
from marshal import loads as _loads
from typing import Any, NoReturn

import pytest
from _pytest._code.code import (
    ReprEntryNative,
    ReprExceptionInfo,
    ReprFileLocation,
    ReprTraceback,
    TerminalRepr,
)
from _pytest._io import TerminalWriter

from . import _core, bounds

PHASES = {_core.SETUP: "setup", _core.CALL: "call", _core.TEARDOWN: "teardown"}
PHASE_NUMBERS: dict[str | None, int] = {name: number for number, name in PHASES.items()}

#: The attributes of a report that carries nothing beyond its phase.
_PLAIN = frozenset(
    ("location", "keywords", "outcome", "longrepr", "when", "user_properties",
     "sections", "duration", "start", "stop", "_id", "nodeid")
)  # fmt: skip

#: What pytest's deserialisation leaves among a report's attributes.
_LEFT_BEHIND = ("$report_type", "_report_type", "_subtest.context")

_MAX_DEPTH = 50

# What travels beside pytest's own serialisation of a report.
_IS_TEXT = "$qe_is_text"
_FAILED_SUBTESTS = "$qe_failed_subtests"


class _Text(TerminalRepr):
    """A representation that pytest serialises as text (a doctest's, a missing
    fixture's). It has no crash line, so that the summary shows none either."""

    def __init__(self, text: str, marked: str) -> None:
        self.text = text
        self.marked = marked  # the same with colours

    def __str__(self) -> str:
        return self.text

    def toterminal(self, tw: TerminalWriter) -> None:
        for line in (self.marked if tw.hasmarkup else self.text).split("\n"):
            tw.line(line)


#: pytest 9.2 keys reports by a structured id, which parsing the string could
#: miss for odd names.
_STRUCTURED_IDS = hasattr(pytest.Item, "id")


def id_of(item: pytest.Item) -> Any:
    """What a report of this item is to be keyed by."""
    return item.id if _STRUCTURED_IDS else item.nodeid


def is_plain(report: pytest.TestReport) -> bool:
    """Whether a passed phase says nothing but that it passed."""
    return (
        not report.sections
        and report.longrepr is None
        and not report.user_properties
        and type(report) is pytest.TestReport
        and report.__dict__.keys() <= _PLAIN
    )


def _plain_value(value: Any, depth: int = 0) -> Any:
    """``value`` with everything that marshal refuses replaced by its repr."""
    if value is None or type(value) in (bool, int, float, complex, str, bytes):
        return value
    if depth > _MAX_DEPTH:
        return "..."
    try:
        if type(value) in (list, tuple, set, frozenset):
            return type(value)(_plain_value(v, depth + 1) for v in value)
        if type(value) is dict:
            return {
                _plain_value(k, depth + 1): _plain_value(v, depth + 1) for k, v in value.items()
            }
        if isinstance(value, os.PathLike):
            return os.fspath(value)
        if isinstance(value, str):
            return str.__str__(value)
        if isinstance(value, bool):
            return bool(value)
        if isinstance(value, int):
            return int(value)
        if isinstance(value, float):
            return float(value)
        if isinstance(value, dict):
            return _plain_value(dict(value), depth)
        if isinstance(value, (list, tuple)):
            return _plain_value(list(value), depth)
        return repr(value)
    except Exception as error:
        return f"<{type(value).__name__}: no repr ({type(error).__name__})>"


def dumps(value: Any) -> bytes:
    """Encodes anything: what marshal does not take becomes its repr."""
    try:
        return _dumps(value)
    except ValueError:
        value = _plain_value(value)
    try:
        return _dumps(value)
    except ValueError:  # a single text of more than 2 GiB
        return _dumps(bounds.cut(value, bounds.LONGEST))


def loads(data: bytes) -> Any:
    """The inverse of ``dumps``. Only for what our own worker sent."""
    return _loads(data)


def _marked(longrepr: Any) -> str:
    """A representation as a terminal with colours shows it."""
    text = StringIO()
    writer = TerminalWriter(text)
    writer.hasmarkup = True
    longrepr.toterminal(writer)
    return text.getvalue().strip()


def encode(config: pytest.Config, report: pytest.TestReport) -> bytes:
    """A report as bytes, through pytest's own serialisation."""
    data = config.hook.pytest_report_to_serializable(config=config, report=report)
    longrepr = report.longrepr
    if hasattr(longrepr, "toterminal") and not hasattr(longrepr, "reprcrash"):
        data[_IS_TEXT] = _marked(longrepr)
    failed_subtests = _failed_subtests(config, report)
    if failed_subtests is not None:
        data[_FAILED_SUBTESTS] = failed_subtests
    return dumps(data)


def decode(config: pytest.Config, data: bytes) -> pytest.TestReport:
    """The report that ``encode`` was given."""
    value = loads(data)
    marked = value.pop(_IS_TEXT, None)
    failed_subtests = value.pop(_FAILED_SUBTESTS, None)
    subtest = value.get("_subtest.context")
    arguments = dict(subtest["kwargs"]) if subtest else None
    try:
        report = config.hook.pytest_report_from_serializable(config=config, data=dict(value))
    except AssertionError:
        # Of a class whose plugin is off (-p no:subtests) or does not tell how it
        # travels: what it has of a report's own is a report's.
        report, arguments = pytest.TestReport._from_json(value), None
    for name in _LEFT_BEHIND:
        report.__dict__.pop(name, None)
    if arguments is not None:
        # They travel as their repr; pytest would take the repr of that again.
        object.__setattr__(report.context, "kwargs", arguments)
    if failed_subtests is not None:
        report.__dict__[_FAILED_SUBTESTS] = failed_subtests
    if marked is not None:
        report.longrepr = _Text(report.longrepr, marked)
    if isinstance(report.longrepr, list):
        report.longrepr = tuple(report.longrepr)
    if isinstance(report.location, list):
        report.location = tuple(report.location)
    return report  # type: ignore[no-any-return]


def _failed_subtests(config: pytest.Config, report: pytest.TestReport) -> int | None:
    """How many subtests of this one's test have failed, as pytest counts them
    (not those of unittest) in the process in which they run."""
    try:
        from _pytest.subtests import SubtestReport, failed_subtests_key
    except ImportError:  # pytest 8 has no subtests of its own
        return None
    if not isinstance(report, SubtestReport):
        return None
    # With -p no:subtests nobody counts.
    counts = config.stash.get(failed_subtests_key, None)
    return None if counts is None else counts.get(report.id)


def count_failed_subtest(config: pytest.Config, report: pytest.TestReport) -> None:
    """pytest fails a test whose subtests failed by this count."""
    count = report.__dict__.pop(_FAILED_SUBTESTS, None)
    if count is not None:
        from _pytest.subtests import failed_subtests_key

        config.stash[failed_subtests_key][report.id] = count


# -------------------------------------------------------- KeyboardInterrupt

#: File, line from 1, and text of an exception.
Place = tuple[str, int, str]


def place_of(error: BaseException) -> Place | None:
    """Where pytest says that an exception was raised."""
    place = getattr(pytest.ExceptionInfo.from_exception(error).getrepr(), "reprcrash", None)
    return None if place is None else (place.path, place.lineno, str(error))


def interrupt_at(place: Place | None) -> NoReturn:
    """Raises KeyboardInterrupt as from a line of a worker's, so that reporters
    point to that."""
    if place is None:
        raise KeyboardInterrupt
    path, line, text = place
    error = KeyboardInterrupt(text) if text else KeyboardInterrupt()
    exec(compile("\n" * (line - 1) + "raise error", path, "exec"), {"error": error})
    raise AssertionError  # for the type checker


# ------------------------------------------------------------------ warnings


class _Source:
    """Stands for the object that a warning is about."""

    def __init__(self, text: str) -> None:
        self.text = text

    def __repr__(self) -> str:
        return self.text


def _allocation_of(source: object) -> tuple[str, str]:
    """What there is to say of a warning's object: itself, and where it was made."""
    import tracemalloc

    traced = tracemalloc.get_object_traceback(source) if tracemalloc.is_tracing() else None
    where = "" if traced is None else "Object allocated at:\n" + "\n".join(traced.format())
    try:
        return repr(source), where
    except Exception as error:
        return f"<{type(source).__name__} whose repr raised {type(error).__name__}>", where


def encode_warning(
    message: warnings.WarningMessage,
    when: str,
    nodeid: str,
    location: tuple[str, int, str] | None,
) -> bytes:
    """A recorded warning as bytes."""
    text = message.message
    return dumps(
        {
            "text": str(text),
            "args": text.args if isinstance(text, Warning) else None,
            "module": message.category.__module__,
            "category": message.category.__name__,
            "filename": message.filename,
            "lineno": message.lineno,
            "line": message.line,
            "source": None if message.source is None else _allocation_of(message.source),
            "when": when,
            "nodeid": nodeid,
            "location": location,
        }
    )


def _category(module: str, name: str) -> type[Warning]:
    """The warning's class where it can be had, otherwise one of its name."""
    import sys

    found = getattr(sys.modules.get(module), name, None)
    if isinstance(found, type) and issubclass(found, Warning):
        return found
    return type(name, (Warning,), {"__module__": module})


def _made(category: type[Warning], args: Any, text: str) -> Warning:
    """A warning of a class that cannot be called as its arguments say."""
    try:
        message = category.__new__(category)
        message.args = tuple(args) if isinstance(args, (tuple, list)) else (text,)
        if str(message) == text:
            return message
    except Exception:
        pass
    return Warning.__new__(type(category.__name__, (category,), {
        "__module__": category.__module__,
        "__str__": lambda self, text=text: text,
    }))  # fmt: skip


def decode_warning(data: bytes) -> dict[str, Any]:
    """The arguments of ``pytest_warning_recorded``."""
    value = loads(data)
    category = _category(value["module"], value["category"])
    message: Warning | None = None
    if isinstance(value["args"], (tuple, list)):
        try:
            message = category(*value["args"])
        except Exception:
            message = None
    if message is None or str(message) != value["text"]:
        # Its constructor takes something else: keep the class and the text.
        message = _made(category, value["args"], value["text"])
    line: str | None = value["line"]
    source: Any = None
    if value["source"] is not None:
        import tracemalloc

        name, where = value["source"]
        source = _Source(name)
        if tracemalloc.is_tracing():
            # pytest would say where the stand-in was made. A constant was made nowhere,
            # and the line of the source brings what the worker said.
            source = None if where else ...
            if where:
                line = linecache.getline(value["filename"], value["lineno"]).strip()
                line += "\n\n" + where
    record = warnings.WarningMessage(
        message, category, value["filename"], value["lineno"], line=line, source=source
    )
    return {
        "warning_message": record,
        "when": value["when"],
        "nodeid": value["nodeid"],
        "location": value["location"],
    }


# ------------------------------------------------------- tests that died

_FRAME = re.compile(r'^  File "(?P<file>.*)", line (?P<line>\d+) in (?P<name>.*)$')


def _is_machinery(path: str) -> bool:
    """Whether a frame belongs to pytest's or our way to the test."""
    return (
        "/_pytest/" in path
        or "/pluggy/" in path
        or "/pytest_qe/" in path
        or path.endswith(("/bin/pytest", "/pytest/__main__.py", "/runpy.py"))
        or path.startswith(("<frozen", "<string>"))
    )


def with_source(stack: bytes) -> str:
    """A faulthandler dump with the source line under each frame, without the
    frames that only lead to the test."""
    shown: list[str] = []
    thread: list[tuple[bool, list[str]]] = []

    def end_thread() -> None:
        while thread and thread[-1][0]:
            thread.pop()
        for _, lines in thread:
            shown.extend(lines)
        thread.clear()

    for line in stack.decode("utf-8", "replace").splitlines():
        found = _FRAME.match(line)
        if not found:
            end_thread()
            shown.append(line)
            continue
        lines = [line]
        source = linecache.getline(found["file"], int(found["line"])).strip()
        if source:
            lines.append("    " + source)
        thread.append((_is_machinery(found["file"]), lines))
    end_thread()
    return "\n".join(shown)


def describe_status(status: int) -> str:
    """A wait status in words: ``killed by SIGSEGV``, ``exited with status 3``."""
    if os.WIFSIGNALED(status):
        number = os.WTERMSIG(status)
        try:
            name = signal.Signals(number).name
        except ValueError:
            name = f"signal {number}"
        return f"killed by {name}"
    return f"exited with status {os.WEXITSTATUS(status)}"


def told(item: pytest.Item, text: str) -> ReprExceptionInfo:
    """A text as pytest holds a failure: summaries and ``--tb=line`` show the first
    line, and where the test is."""
    path, line, _ = item.location
    head, _, _ = text.partition("\n")
    entry = ReprEntryNative([text + "\n"])
    crash = ReprFileLocation(str(item.config.rootpath / path), (line or 0) + 1, head)
    return ReprExceptionInfo(ReprTraceback([entry], None, "native"), crash)


def death_text(
    slot: int, phase: str, timed_out: float | None, status: int, stack: bytes | None
) -> str:
    """What the report of a crashed or timed-out test says."""
    if timed_out is not None:
        head = f"Timeout: exceeded {timed_out:g} s in {phase} (worker gw{slot} was killed)"
    else:
        head = f"Crashed: {describe_status(status)} in {phase} (worker gw{slot})"
    if stack:
        return head + "\n\n" + with_source(stack)
    return head
