"""The result of an execution as JUnit XML, as Maven Surefire and others read it."""

from __future__ import annotations

import io
import re
from typing import Any

from junitparser import Error, Failure, JUnitXml, TestCase, TestSuite

from .driving import write_whole

Event = dict[str, Any]
_NOT_XML = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")


def write_junit(path: str, result: Event) -> None:
    """Writes a result: a test suite for each file.

    Raises: ``Cannot`` where the file cannot be written.
    """
    document = JUnitXml("qe")
    for one in result["results"]:
        document.add_testsuite(_suite(one, result["framework"]))
    document.update_statistics()
    data = io.BytesIO()
    document._elem.set("time", f"{result['execution_time']:.3f}")
    document.write(data, pretty=True)
    write_whole(path, data.getvalue())


def _clean(text: object) -> str:
    return _NOT_XML.sub("\ufffd", str(text))


def _suite(one: Event, framework: str) -> TestSuite:
    suite = TestSuite(_clean(one["file"]))
    case = TestCase(_clean(one["file"]), framework, one["duration"])
    if not one["passed"]:
        kind = Failure if one["outcome"] == "failed" else Error
        case.result = [kind(_clean(one["ended"]), one["outcome"])]
    case.system_out = _clean(one["stdout"])
    case.system_err = _clean(one["stderr"])
    suite.add_testcase(case)
    return suite
