"""What is kept on a queue's server of an attempt: all that a report says of it.

A payload is a JSON object in UTF-8, of at most ``MOST_BYTES``. What is read back comes from
elsewhere: every field is checked, and nothing is believed that the JSON result could not hold
(docs/result.schema.json). Fields that are not known are passed over, so that a newer node may
write to the same run.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple, NoReturn, TypedDict

from . import _core, bounds

#: The format; one that says otherwise is not read.
VERSION = 1
MOST_BYTES = 1 << 20
#: What the tests of a file are counted by: all of them, and by what became of them.
TESTS = ("total", "passed", "failed", "skipped", "errors")

#: Characters kept of each text: the first that makes all of it fit.
_KEPT = (1 << 18, 1 << 16, 1 << 13, 1 << 8)
_MOST_TEXTS = 100
_MOST_MARKS = 1000
_MOST_WAY = 100
_LONGEST_NAME = 1 << 12
_LONGEST_MESSAGE = 1 << 14
_MOST_SECONDS = 1e12
_KINDS = {"failure": _core.TEXT_FAILURE, "output": _core.TEXT_OUTPUT}
_OUTCOMES = {
    _core.outcome_name(number): number
    for number in (
        _core.NONE, _core.PASSED, _core.FAILED, _core.SKIPPED, _core.ERROR, _core.TIMEOUT,
        _core.CRASHED, _core.FLAKY,
    )
}  # fmt: skip


class PayloadError(ValueError):
    """Bytes that are no payload; the message is one line."""


class Text(NamedTuple):
    """What an attempt left for people to read."""

    kind: int  # _core.TEXT_FAILURE, named by the phase, or _core.TEXT_OUTPUT, by where
    name: str
    text: str


class Payload(TypedDict):
    """An attempt as the JSON result has it, and who ran it."""

    outcome: int  # of the attempt; the unit's is the queue's own
    start: float  # since the epoch; 0: unknown
    duration: float
    cpu: float
    peak_memory: int
    status: int  # as from wait, where its process died; otherwise 0
    pass_: int  # flaky mode; otherwise 0
    worker: int  # the slot on its node
    node: str  # "": the queue knows it
    message: str | None
    texts: list[Text]
    marks: list[str]
    quarantined: bool
    expected: float  # what the history knew; 0: nothing
    tests: dict[str, int] | None  # in a file, by what became of them; None: not known
    way: list[str]  # of a hunt: how it failed, see failures.py
    void: bool  # of a hunt: it was not run under the conditions that it was to have


def pack(
    *,
    outcome: int,
    start: float,
    duration: float,
    worker: int,
    node: str = "",
    cpu: float = 0.0,
    peak: int = 0,
    status: int = 0,
    pass_: int = 0,
    message: str | None = None,
    failures: Sequence[tuple[str, str]] = (),
    output: Sequence[tuple[str, str]] = (),
    marks: Sequence[str] = (),
    quarantined: bool = False,
    expected: float = 0.0,
    tests: Mapping[str, int] | None = None,
    way: Sequence[str] = (),
    void: bool = False,
) -> bytes:
    """An attempt as bytes.

    Args:
        outcome: the attempt's, such as ``_core.FAILED``.
        start: when it began, in seconds since the epoch.
        duration: how long it took, in seconds.
        worker: the slot that ran it.
        node: the name of the node; "": who reads it knows.
        cpu: seconds of processor time.
        peak: of its memory, in bytes.
        status: how its process died, as from ``os.wait``.
        pass_: in flaky mode, which pass it was of.
        message: one line that says what failed.
        failures: of each phase that failed its name, and how it failed.
        output: what it printed: of each where, and the text. All texts are cut, which they say,
            where they would be too much.
        marks: the names of the test's marks.
        quarantined: its failures are known, and do not fail the run.
        expected: how many seconds the history knew it to take.
        tests: where it is of a file how many tests that had, and what became of them, by
            ``TESTS``.
        way: of a hunt, the exception's type and frames, by which failures are the same.
        void: of a hunt, it did not run under its conditions, and is no result.

    Example:
        >>> data = pack(outcome=1, start=1.0, duration=0.5, worker=0)
        >>> unpack(data)["duration"]
        0.5
    """
    value: dict[str, Any] = {
        "v": VERSION,
        "outcome": _core.outcome_name(outcome),
        "start": _finite(start),
        "duration": _finite(duration),
        "worker": worker,
    }
    texts = [("failure", *one) for one in failures] + [("output", *one) for one in output]
    optional: dict[str, Any] = {
        "node": node, "cpu": _finite(cpu), "peak_memory": peak, "status": status, "pass": pass_,
        "expected": _finite(expected), "quarantined": quarantined,
        "message": None if message is None else _shorter(message, _LONGEST_MESSAGE),
        "marks": [_shorter(mark, _LONGEST_NAME) for mark in marks[:_MOST_MARKS]],
        "way": [_shorter(part, _LONGEST_NAME) for part in way[:_MOST_WAY]], "void": void,
    }  # fmt: skip
    value |= {name: of for name, of in optional.items() if of}
    if tests is not None:
        value["tests"] = {name: tests[name] for name in TESTS}
    for kept in _KEPT if texts else ():
        data = _dumped({**value, "texts": _texts(texts, kept)})
        if len(data) <= MOST_BYTES:
            return data
    data = _dumped(value)
    if len(data) > MOST_BYTES:  # of names
        del value["marks"]
        data = _dumped(value)
    return data


def _finite(value: float) -> float:
    return value if math.isfinite(value) and 0 <= value <= _MOST_SECONDS else 0.0


def _shorter(text: str, kept: int) -> str:
    return text if len(text) <= kept else text[: kept - 1] + "…"


def _texts(texts: Sequence[tuple[str, str, str]], kept: int) -> list[dict[str, str]]:
    found = [
        {
            "kind": kind, "name": _shorter(name, _LONGEST_NAME),
            "text": bounds.cut(text, kept),
        }
        for kind, name, text in texts[:_MOST_TEXTS]
    ]  # fmt: skip
    if len(texts) > _MOST_TEXTS:
        more = f"[qe: {len(texts) - _MOST_TEXTS} more texts left out]"
        found[-1] = {"kind": "output", "name": "qe", "text": more}
    return found


def _dumped(value: dict[str, Any]) -> bytes:
    text = json.dumps(value, ensure_ascii=False, separators=(",", ":"), allow_nan=False)
    # Half a character, as of a name that is no UTF-8, becomes an escape of JSON.
    return text.encode("utf-8", "backslashreplace")


# ------------------------------------------------------------------------ and back


def unpack(data: bytes) -> Payload:
    """An attempt from bytes that anybody may have written.

    Raises: ``PayloadError``.

    Example:
        >>> unpack(b'{"v": 1}')
        Traceback (most recent call last):
        ...
        pytest_qe.payloads.PayloadError: outcome: missing
    """
    value = _loaded(data)
    if value.get("v") != VERSION:
        raise PayloadError("it is of another version of qe")
    outcome = _of(value, "outcome", str)
    if outcome not in _OUTCOMES:
        raise PayloadError("outcome: there is no such outcome")
    message = value.get("message")
    if message is not None:
        message = _text(value, "message", _LONGEST_MESSAGE)
    return {
        "outcome": _OUTCOMES[outcome],
        "start": _seconds(value, "start"),
        "duration": _seconds(value, "duration"),
        "cpu": _seconds(value, "cpu", 0.0),
        "peak_memory": _count(value, "peak_memory", (1 << 63) - 1, 0),
        "status": _count(value, "status", 0xFFFF, 0),
        "pass_": _count(value, "pass", (1 << 31) - 1, 0),
        "worker": _count(value, "worker", (1 << 31) - 1),
        "node": _text(value, "node", 63) if "node" in value else "",
        "message": message,
        "texts": [_text_of(one) for one in _list(value, "texts", _MOST_TEXTS)],
        "marks": [_name("marks", one) for one in _list(value, "marks", _MOST_MARKS)],
        "way": [_name("way", one) for one in _list(value, "way", _MOST_WAY)],
        "void": _of(value, "void", bool, False),
        "quarantined": _of(value, "quarantined", bool, False),
        "expected": _seconds(value, "expected", 0.0),
        "tests": _tests(value),
    }


def _no_constant(name: str) -> NoReturn:
    raise PayloadError(f"{name} is no number of JSON")


def _int(digits: str) -> int:
    if len(digits) > 20:
        raise PayloadError("a number has too many digits")
    return int(digits)


_DECODER = json.JSONDecoder(parse_constant=_no_constant, parse_int=_int)


def _loaded(data: bytes) -> dict[str, Any]:
    if len(data) > MOST_BYTES:
        raise PayloadError(f"it has more than {MOST_BYTES} bytes")
    try:
        value = _DECODER.decode(data.decode("utf-8"))
    except PayloadError:
        raise
    except (ValueError, RecursionError):
        raise PayloadError("it is no JSON in UTF-8") from None
    if not isinstance(value, dict):
        raise PayloadError("it is no object of JSON")
    return value


_REQUIRED: Any = object()


def _of(value: dict[str, Any], name: str, kind: Any, default: Any = _REQUIRED) -> Any:
    found = value.get(name, default)
    if found is _REQUIRED:
        raise PayloadError(f"{name}: missing")
    wanted = kind if isinstance(kind, tuple) else (kind,)
    # A bool is an int for Python, and none for JSON.
    if not isinstance(found, wanted) or (isinstance(found, bool) and bool not in wanted):
        raise PayloadError(f"{name}: not of the right type")
    return found


def _seconds(value: dict[str, Any], name: str, default: Any = _REQUIRED) -> float:
    found = float(_of(value, name, (int, float), default))
    if not math.isfinite(found) or not 0 <= found <= _MOST_SECONDS:
        raise PayloadError(f"{name}: out of range")
    return found


def _count(value: dict[str, Any], name: str, most: int, default: Any = _REQUIRED) -> int:
    found: int = _of(value, name, int, default)
    if not 0 <= found <= most:
        raise PayloadError(f"{name}: out of range")
    return found


def _text(value: dict[str, Any], name: str, most: int) -> str:
    found: str = _of(value, name, str)
    if len(found) > most:
        raise PayloadError(f"{name}: too long")
    return found


def _tests(value: dict[str, Any]) -> dict[str, int] | None:
    if "tests" not in value:
        return None
    found = _of(value, "tests", dict)
    return {name: _count(found, name, (1 << 31) - 1) for name in TESTS}


def _list(value: dict[str, Any], name: str, most: int) -> list[Any]:
    found: list[Any] = _of(value, name, list, [])
    if len(found) > most:
        raise PayloadError(f"{name}: too many")
    return found


def _name(of: str, one: object) -> str:
    if not isinstance(one, str) or len(one) > _LONGEST_NAME:
        raise PayloadError(f"{of}: not names")
    return one


def _text_of(one: object) -> Text:
    if not isinstance(one, dict):
        raise PayloadError("texts: not objects")
    kind = _of(one, "kind", str)
    if kind not in _KINDS:
        raise PayloadError("kind: there is no such kind of text")
    return Text(_KINDS[kind], _text(one, "name", _LONGEST_NAME), _of(one, "text", str))
