"""The result of an execution as JUnit XML, as Maven Surefire and others read it."""

from __future__ import annotations

import io
import os
import re
from typing import Any

from junitparser import Error, Failure, JUnitXml, Skipped, SystemErr, SystemOut
from junitparser.xunit2 import (
    FlakyError,
    FlakyFailure,
    RerunError,
    RerunFailure,
    TestCase,
    TestSuite,
)

from .driving import write_whole
from .summing import said

Event = dict[str, Any]
_NOT_XML = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
_NOT_ENDED = ("not_run", "interrupted")


def write_junit(path: str, result: Event, folder: str) -> None:
    """Writes a result, with ``cases``: a test suite for each file.

    Args:
        result: as of an execution. A case may have a ``history`` and ``passed`` of its own, as
            its file has; ``framework`` may be "".
        folder: the one that files are relative to.

    A suite has a case for each test that is known, otherwise one for the file. What failed
    before the last attempt is ``flakyFailure`` where that passed, and ``rerunFailure`` where it
    failed too.

    Raises: ``Cannot`` where the file cannot be written.
    """
    document: Any = JUnitXml("qe")  # of a library with types here and there
    totals = dict.fromkeys(("tests", "failures", "errors", "skipped"), 0)
    for one in result["results"]:
        suite = _suite(one, result["framework"], from_top(one["file"], folder))
        for name, count in _counts(one).items():
            setattr(suite, name, count)
            totals[name] += count
        document.append(suite)
    for name, count in totals.items():
        setattr(document, name, count)
    document.time = round(result["execution_time"], 3)
    data = io.BytesIO()
    document.write(data, pretty=True)
    write_whole(path, data.getvalue())


def from_top(file: str, folder: str) -> str:
    """A file as GitLab looks for it: from the top of the repository, in its CI; elsewhere as
    it is."""
    top = os.environ.get("CI_PROJECT_DIR") if os.environ.get("GITLAB_CI") else None
    if not top:
        return file
    path = os.path.relpath(os.path.realpath(os.path.join(folder, file)), os.path.realpath(top))
    return file if path == os.pardir or path.startswith(os.pardir + os.sep) else path


def _clean(text: object) -> str:
    return _NOT_XML.sub("\ufffd", str(text))


def _tells(one: Event) -> bool:
    """Whether what is known of the tests says how the file ended."""
    tests = one["tests"]
    return one["passed"] or bool(tests and tests["failed"] + tests["errors"])


def _counts(one: Event) -> dict[str, int]:
    tests = one["tests"]
    if tests and tests["total"] and _tells(one):
        return {
            "tests": tests["total"], "failures": tests["failed"], "errors": tests["errors"],
            "skipped": tests["skipped"],
        }  # fmt: skip
    outcome = one["outcome"]
    return {
        "tests": 1,
        "failures": int(outcome == "failed"),
        "errors": int(outcome in ("crashed", "timeout", "error")),
        "skipped": int(outcome in _NOT_ENDED),
    }


def _suite(one: Event, framework: str, place: str) -> Any:
    make: Any = TestSuite
    suite = make(_clean(one["file"]))
    suite.time = round(one["duration"], 6)
    properties = {"framework": framework, "outcome": one["outcome"], "attempts": one["attempts"]}
    for name, value in properties.items():
        if value != "":
            suite.add_property(f"qe.{name}", str(value))
    cases = _cases(one)
    _attempts(cases[0], one)
    for case in cases:
        case._elem.set("file", _clean(place))  # what GitLab links a test to
        suite.append(case)
    # Of the file as a whole, where nothing is known of its tests: there GitLab reads it.
    owner = suite if _knows_tests(one) else cases[0]
    owner.append(SystemOut(_clean(one["stdout"])))
    owner.append(SystemErr(_clean(one["stderr"])))
    return suite


def _knows_tests(one: Event) -> bool:
    return bool(one["cases"]) and _tells(one)


def _cases(one: Event) -> list[TestCase]:
    file, ended = _clean(one["file"]), _clean(one["ended"])
    if _knows_tests(one):
        return [_case(file, number, case) for number, case in enumerate(one["cases"], 1)]
    case = TestCase(file, file, round(one["duration"], 6))
    if one["outcome"] in _NOT_ENDED:
        case.result = [Skipped(one["outcome"])]
    elif not one["passed"]:
        make = Failure if one["outcome"] == "failed" else Error
        found = make(ended, one["outcome"])
        # GitLab shows the text of what failed, and no attribute of it.
        found.text = "\n".join([ended, *(_clean(line) for _, lines in said(one) for line in lines)])
        case.result = [found]
    return [case]


def _case(file: str, number: int, known: Event) -> TestCase:
    name = _clean(known["name"]) or f"test {number}, whose name is not told"
    case = TestCase(name, file, known["seconds"])
    message = _clean(known["message"])
    first = message.split("\n")[0]
    if known["outcome"] == "skipped":
        case.result = [Skipped(first)]
    elif known["outcome"] != "passed":
        make = Failure if known["outcome"] == "failed" else Error
        found = make(first, known["outcome"])
        found.text = message
        case.result = [found]
    if "history" in known:
        _attempts(case, known)
    return case


def _attempts(case: TestCase, one: Event) -> None:
    """The attempts before the one that counts."""
    for attempt in one["history"][:-1]:
        if attempt["outcome"] == "passed":
            continue
        failed = attempt["outcome"] == "failed"
        kinds: tuple[Any, Any] = (FlakyFailure, FlakyError)
        if not one["passed"]:
            kinds = (RerunFailure, RerunError)
        kind = kinds[0] if failed else kinds[1]
        text = f"attempt {attempt['attempt']}: {attempt['outcome']}"
        case.add_interim_result(kind(text, attempt["outcome"]))
