"""How many tests a test file's command ran, and what became of them.

What a command has written or printed comes from elsewhere: whatever is missing, cut off
or not what it should be gives None, never an exception and never a wrong count.
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from .frameworks import Command

__all__ = ["TestCounts", "discard", "printed", "read"]

_MOST_BYTES = 16 << 20  # of a report
_MOST_FAILURES = 20
_MOST_TEXT = 2000  # characters of a name or a message
_MOST_DEPTH = 64  # of suites in suites
_COLOUR = re.compile(r"\x1b\[[0-9;:]*[A-Za-z]")
_CUT = re.compile(r"^\[qe: \d+ bytes were left out ", re.MULTILINE)  # qe_excerpt.c
_OUTCOMES = ("passed", "failed", "skipped", "errors")


class _Test(NamedTuple):
    outcome: str
    name: str = ""
    message: str = ""
    seconds: float | None = None


@dataclass(frozen=True)
class TestCounts:
    """Tests by what became of them.

    Attributes:
        total: all of them, the sum of the next four.
        passed, failed, skipped: expected failures and what is yet to do are skipped.
        errors: what failed outside of a test: a file that cannot be loaded, a hook.
        failures: of what failed, the first 20: name and message, 2,000 characters of each.
        cases: each of them: outcome (passed, failed, skipped, errors), name ("" where it is
            not told), message and seconds (None where they are not told).
    """

    __test__ = False  # it is no test

    total: int
    passed: int
    failed: int
    skipped: int
    errors: int
    failures: list[dict[str, str]] = field(default_factory=list)
    cases: list[dict[str, Any]] = field(default_factory=list)

    def as_dict(self) -> dict[str, int]:
        """The numbers alone."""
        return {name: getattr(self, name) for name in ("total", *_OUTCOMES)}


def _short(text: object) -> str:
    shown = _COLOUR.sub("", str(text)).strip()
    return shown if len(shown) <= _MOST_TEXT else f"{shown[: _MOST_TEXT - 1]}…"


def _counted(tests: Iterable[_Test]) -> TestCounts:
    numbers = dict.fromkeys(_OUTCOMES, 0)
    cases: list[dict[str, Any]] = []
    for test in tests:
        numbers[test.outcome] += 1
        cases.append({**test._asdict(), "name": _short(test.name), "message": _short(test.message)})
    failed = [case for case in cases if case["outcome"] in ("failed", "errors")]
    failures = [
        {"name": case["name"], "message": case["message"]} for case in failed[:_MOST_FAILURES]
    ]
    return TestCounts(total=len(cases), failures=failures, cases=cases, **numbers)


class _Malformed(ValueError):
    """Not what it should be."""


def _report(path: str | None) -> bytes:
    if path is None or not os.path.isfile(path):
        raise _Malformed
    with open(path, "rb") as file:
        data = file.read(_MOST_BYTES + 1)
    if len(data) > _MOST_BYTES:
        raise _Malformed
    data.decode("utf-8")  # or it is malformed
    return data


def _seconds(given: object, by: float = 1) -> float | None:
    return given / by if isinstance(given, int | float) and 0 <= given < 1e9 else None


# ----------------------------------------------------------------------- JUnit


def _tree(data: bytes) -> Any:
    """An XML document without entities, as ``junitparser`` takes it."""
    from xml.etree import ElementTree

    class Plain(ElementTree.TreeBuilder):
        def doctype(self, *_: object) -> None:
            raise _Malformed

    parser = ElementTree.XMLParser(target=Plain())
    # Little by little: nothing behind a document type is looked at.
    for at in range(0, len(data), 65536):
        parser.feed(data[at : at + 65536])
    return ElementTree.ElementTree(parser.close())


def _cases(suite: Any, depth: int = 0) -> Iterator[Any]:
    from junitparser import JUnitXml, TestCase

    if depth > _MOST_DEPTH:
        raise _Malformed
    if not isinstance(suite, JUnitXml):
        yield from suite.iterchildren(TestCase)
        inner = suite.testsuites()
    else:
        inner = iter(suite)
    for one in inner:
        yield from _cases(one, depth + 1)


def _case(case: Any, kind: str) -> _Test:
    name = case.name or ""
    where = case.classname or ""
    seconds = _seconds(case.time)
    results = {r._tag: r for r in case.result}
    text = "\n".join(t for r in case.result for t in (r.message, r.text) if t)
    if where and where != name:
        name = f"{where} \u203a {name}"
    if kind == "ctest":
        status = case._elem.get("status")
        skipped = results.get("skipped")
        if status == "disabled":
            return _Test("skipped", name)
        # What ctest cannot run has failed, whatever this says; not so what skips itself.
        if status == "notrun" and not (skipped and (skipped.message or "").startswith("SKIP_")):
            return _Test("errors", name, text, seconds)
        if status == "fail" and not text:
            text = case.system_out or ""
    for tag, outcome in (("failure", "failed"), ("error", "errors"), ("skipped", "skipped")):
        if tag in results:
            # Playwright's errors are tests that failed by anything but an expectation.
            failed = kind == "playwright" and outcome == "errors"
            return _Test("failed" if failed else outcome, name, text, seconds)
    return _Test("passed", name, "", seconds)


def _junit(data: bytes, kind: str) -> TestCounts:
    from junitparser import JUnitXml

    found = JUnitXml.fromfile("", parse_func=lambda _: _tree(data))
    tests = [_case(case, kind) for case in _cases(found)]
    if kind == "pytest":
        # One that fails, and then in its teardown, is there twice.
        failed = {test.name for test in tests if test.outcome == "failed"}
        tests = [t for t in tests if not (t.outcome == "errors" and t.name in failed)]
    return _counted(tests)


# ------------------------------------------------------------------------ JSON

_JEST = {
    "passed": "passed", "failed": "failed", "pending": "skipped", "skipped": "skipped",
    "todo": "skipped", "disabled": "skipped",
}  # fmt: skip


def _jest(data: bytes, _: str) -> TestCounts:
    report = json.loads(data)
    tests: list[_Test] = []
    for file in report["testResults"]:
        before = len(tests)
        for one in file["assertionResults"]:
            message = "\n".join(map(str, one.get("failureMessages") or ()))
            seconds = _seconds(one.get("duration"), 1000)
            tests.append(_Test(_JEST[one["status"]], str(one["fullName"]), message, seconds))
        failed = any(test.outcome == "failed" for test in tests[before:])
        if file["status"] == "failed" and not failed:
            tests.append(_Test("errors", os.path.basename(file["name"]), str(file["message"])))
    found = _counted(tests)
    if (report["numPassedTests"], report["numFailedTests"]) != (found.passed, found.failed):
        raise _Malformed
    return found


_LIST = {"passed": "passed", "failed": "failed", "skipped": "skipped", "error": "errors"}


def _list(data: bytes, _: str) -> TestCounts:
    tests = json.loads(data)["tests"]
    return _counted(
        _Test(
            _LIST[one["outcome"]],
            str(one["name"]),
            str(one["message"]),
            _seconds(one.get("milliseconds"), 1000),
        )
        for one in tests
    )


# -------------------------------------------------------------- what is printed


def _events(stdout: str) -> Iterator[dict[str, Any]]:
    """What `go test -json` says; before Go 1.20, of what cannot be built, as text."""
    for line in stdout.splitlines():
        if failed := _GO_BUILD.match(line):
            yield {"Action": "fail", "Package": failed[1]}
        if not line.startswith("{"):
            continue
        event = json.loads(line)
        if not isinstance(event["Action"], str):
            raise _Malformed
        yield event


_GO_BUILD = re.compile(r"^FAIL\t(\S+) \[(?:build|setup) failed\]$")
_GO = {"pass": "passed", "fail": "failed", "skip": "skipped"}


def _go(command: Command, returncode: int | None, stdout: str, stderr: str) -> TestCounts:
    said: dict[tuple[str, str], list[str]] = {}
    ends: dict[tuple[str, str], str] = {}
    seconds: dict[tuple[str, str], float | None] = {}
    begun: list[tuple[str, str]] = []
    built: list[str] = []
    for event in _events(stdout):
        key = (str(event.get("Package", "")), str(event.get("Test", "")))
        action = event["Action"]
        if action == "build-output":
            built.append(event["Output"])
        elif action == "output":
            said.setdefault(key, []).append(event["Output"])
        elif action in ("start", "run"):
            begun.append(key)
        elif action in _GO:
            ends[key] = _GO[action]
            seconds[key] = _seconds(event.get("Elapsed"))
    tests: list[_Test] = []
    explained = set()  # packages with a test that failed, or never ended
    for key in dict.fromkeys([*begun, *ends]):
        package, name = key
        if name:  # one without an end went with its process
            outcome = ends.get(key, "errors")
            text = "".join(said.get(key, ())) if outcome != "passed" else ""
            tests.append(_Test(outcome, name, text, seconds.get(key)))
            if outcome in ("failed", "errors"):
                explained.add(package)
    packages = dict.fromkeys(package for package, _ in [*begun, *ends])
    if not packages or any((package, "") not in ends for package in packages):
        raise _Malformed
    for package in packages:
        if ends[package, ""] == "failed" and package not in explained:
            text = "".join([*built, *said.get((package, ""), ())])
            tests.append(_Test("errors", package, text))
    return _counted(tests)


_RUST_RUNS = re.compile(r"^running (\d+) tests?$")
_RUST_RESULT = re.compile(
    r"^test result: (?:ok|FAILED)\. (\d+) passed; (\d+) failed; (\d+) ignored; (\d+) measured; "
)
_RUST_BINARY = re.compile(r"^ +(?:Running|Doc-tests) ", re.MULTILINE)
_RUST_SAID = re.compile(r"^---- (.+) stdout ----$")


def _cargo(command: Command, returncode: int | None, stdout: str, stderr: str) -> TestCounts:
    numbers = [0, 0, 0]  # passed, failed, ignored
    said: dict[str, list[str]] = {}
    wanted: int | None = None  # of the binary that is running
    results = 0
    at: str | None = None
    for line in stdout.splitlines():
        runs, result, head = (p.match(line) for p in (_RUST_RUNS, _RUST_RESULT, _RUST_SAID))
        if wanted is None:
            if result:
                raise _Malformed  # then the one before was printed by a test
            wanted, at = int(runs[1]) if runs else None, None
        elif result:
            found = [int(number) for number in result.groups()]
            if sum(found) == wanted:  # otherwise a test has printed it
                more = (found[0] + found[3], *found[1:3])
                numbers = [a + b for a, b in zip(numbers, more, strict=True)]
                wanted, results = None, results + 1
        elif head:
            at = head[1]
            said[at] = []
        elif line == "failures:":
            at = None
        elif at is not None:
            said[at].append(line)
    passed, failed, ignored = numbers
    binaries = len(_RUST_BINARY.findall(stderr)) or results
    if wanted is not None or results == 0 or results != binaries:
        raise _Malformed
    if (returncode == 0) != (failed == 0) or len(said) > failed:
        raise _Malformed
    names = [*said, *["" for _ in range(failed - len(said))]]
    tests = [_Test("passed")] * passed + [_Test("skipped")] * ignored
    return _counted([*tests, *(_Test("failed", n, "\n".join(said.get(n, ()))) for n in names)])


_UNITTEST_END = re.compile(
    r"^-{70}\nRan (\d+) tests? in [^\n]*\n\n(OK|FAILED|NO TESTS RAN)(?: \(([^\n]*)\))?$",
    re.MULTILINE,
)
_UNITTEST_BLOCK = re.compile(r"^={70}\n(FAIL|ERROR|UNEXPECTED SUCCESS): ([^\n]*)\n", re.MULTILINE)
_OUTSIDE = re.compile(r"(?:setUp|tearDown)(?:Class|Module) \(")


def _unittest(command: Command, returncode: int | None, stdout: str, stderr: str) -> TestCounts:
    text = _COLOUR.sub("", stderr.replace("\r\n", "\n"))
    ends = list(_UNITTEST_END.finditer(text))
    if not ends:
        raise _Malformed
    end = ends[-1]
    ran, word = int(end[1]), end[2]
    told = {}
    for part in (end[3] or "").split(", "):
        name, _, number = part.rpartition("=")
        if name:
            told[name] = int(number)
    if (word == "FAILED" and returncode == 0) or (word == "OK" and returncode != 0):
        raise _Malformed  # printed by a test, or something went wrong behind it
    starts = list(_UNITTEST_BLOCK.finditer(text, 0, end.start()))
    if len(starts) < told.get("failures", 0) + told.get("errors", 0):
        raise _Malformed
    blocks: dict[str, _Test] = {}
    heads = {"failed": 0, "errors": 0}
    for one, after in zip(starts, [*starts[1:], end], strict=False):
        if one[1] == "UNEXPECTED SUCCESS":
            continue
        outcome = "failed" if one[1] == "FAIL" else "errors"
        heads[outcome] += 1
        # Subtests have the test's name, and their own behind it.
        name = re.sub(r"^(\S+ \([^)]*\)).*", r"\1", one[2])
        message = text[one.end() : after.start()].strip("-\n")
        if name not in blocks or outcome == "failed":
            blocks[name] = _Test(outcome, name, message)
    if heads != {"failed": told.get("failures", 0), "errors": told.get("errors", 0)}:
        raise _Malformed  # a test prints what looks like one
    tests = list(blocks.values())
    inside = sum(not _OUTSIDE.match(name) for name in blocks)
    expected = told.get("expected failures", 0)
    surprises = told.get("unexpected successes", 0)
    skipped = told.get("skipped", 0)
    passed = _dots(text[: (starts[0] if starts else end).start()])
    if passed is None:
        passed = ran - inside - expected - surprises - skipped
        if passed < 0 or skipped:  # a class may skip itself, and then is no test that ran
            raise _Malformed
    tests += [_Test("passed")] * passed + [_Test("skipped")] * (skipped + expected)
    tests += [_Test("failed", "", "unexpected success")] * surprises
    return _counted(tests)


def _dots(progress: str) -> int | None:
    """How many tests passed by a line of progress; None where more was printed."""
    marks = "".join(progress.split())
    return marks.count(".") if re.fullmatch(r"[.FEsxu]*", marks) else None


def _tap(command: Command, returncode: int | None, stdout: str, stderr: str) -> TestCounts:
    first = stdout.lstrip().split("\n", 1)[0].rstrip()
    if not re.fullmatch(r"TAP version \d+|1\.\.\d+(?: *#.*)?", first):
        raise _Malformed
    from tap.parser import Parser

    tests: list[_Test] = []
    planned: int | None = None
    # Without the version, which would have it parse YAML, and say so where it cannot.
    for line in Parser().parse_text(re.sub(r"\A\s*TAP version \d+", "", stdout)):
        if line.category == "plan":
            if planned is not None:
                raise _Malformed
            planned = line.expected_tests
        elif line.category == "bail":
            raise _Malformed
        elif line.category == "test":
            if line.number is not None and line.number != len(tests) + 1:
                raise _Malformed
            name = str(line.description).removeprefix("- ")
            outcome = "passed" if line.ok else "failed"
            if line.skip or (line.todo and not line.ok):
                outcome = "skipped"
            tests.append(_Test(outcome, name))
    if planned != len(tests):
        raise _Malformed
    return _counted(tests)


_FILES: dict[str, Callable[[bytes, str], TestCounts]] = {
    "pytest": _junit, "playwright": _junit, "junit": _junit, "ctest": _junit, "jest": _jest,
    "list": _list,
}  # fmt: skip
_PRINTED: dict[str, Callable[[Command, int | None, str, str], TestCounts]] = {
    "go": _go, "cargo": _cargo, "unittest": _unittest, "tap": _tap,
}  # fmt: skip


def read(command: Command, returncode: int | None, stdout: str, stderr: str) -> TestCounts | None:
    """The tests of a command that has ended.

    Args:
        command: as ``frameworks.command_for`` has made it.
        returncode: its exit status; negative for a signal, None if neither is known.
        stdout, stderr: what it has printed.

    Returns:
        None where that is not known: it wrote no results, not all of them, or something else.

    Example:
        >>> command = Command("command", "a", ("a",), "/", kind="tap")
        >>> read(command, 0, "1..1\\nok 1 - a\\n", "").total
        1
    """
    try:
        if command.kind in _FILES:
            return _FILES[command.kind](_report(command.report), command.kind)
        if command.kind in _PRINTED and returncode is not None and returncode >= 0:
            if _CUT.search(stdout) or _CUT.search(stderr):
                return None
            return _PRINTED[command.kind](command, returncode, stdout, stderr)
    except Exception:  # whatever it is made of: it is no report
        return None
    return None


def discard(command: Command) -> None:
    """Removes what a command has written for ``read``: before it runs again, and in the end."""
    if command.report is not None:
        try:
            os.unlink(command.report)
        except OSError:
            pass  # there is none


def printed(command: Command, stdout: str) -> str:
    """What a command has printed, for people: of `go test -json`, the text in it.

    Example:
        >>> printed(Command("pytest", "a", ("a",), "/"), "1 passed")
        '1 passed'
    """
    if command.kind != "go":
        return stdout
    lines = []
    for line in stdout.splitlines(keepends=True):
        try:
            event = json.loads(line) if line.startswith("{") else None
            lines.append(str(event.get("Output", "")) if event is not None else line)
        except (ValueError, AttributeError, RecursionError):
            lines.append(line)
    return "".join(lines)
