"""What failed in an attempt: in one line, and, where another attempt is the one that
counts, in the JUnit report, as Maven Surefire writes it.

Nothing here needs the core: a serial run on another system takes part.
"""

from __future__ import annotations

import re
from typing import Any

import pytest

#: The order of a case's children in Surefire's schema.
_ORDER = (
    "failure", "rerunFailure", "flakyFailure", "skipped", "error", "rerunError", "flakyError",
    "system-out", "system-err",
)  # fmt: skip
_OUTPUTS = (
    ("system-out", "capstdout", ("system-out", "out-err", "all")),
    ("system-err", "capstderr", ("system-err", "out-err", "all")),
)
_TYPE = re.compile(r"(?P<type>[A-Za-z_][\w.]*)(?::|$)")


def report_of(config: pytest.Config) -> Any:
    """pytest's JUnit report; None where nobody asked for one."""
    from _pytest.junitxml import xml_key

    return config.stash.get(xml_key, None)


def is_failure(report: pytest.TestReport) -> bool:
    """Whether it counts as a failure of its attempt."""
    return str(report.outcome) in ("failed", "rerun") and not hasattr(report, "wasxfail")


def add_attempts(
    xml: Any, last: pytest.TestReport, failures: list[pytest.TestReport], failed: bool
) -> None:
    """Puts failures of earlier attempts into a test's case, before it is closed.

    Args:
        xml: pytest's report.
        last: a report of the attempt that counts, with its node.
        failures: what failed in the others, in their order.
        failed: whether the one that counts failed, too.
    """
    nodes = xml.node_reporter(last).nodes
    for report in failures:
        kind = "Failure" if report.when == "call" else "Error"
        element = _element(xml, ("rerun" if failed else "flaky") + kind, report)
        place = _ORDER.index(element.tag)
        later = _ORDER[place + 1 :]
        at = next((i for i, node in enumerate(nodes) if node.tag in later), len(nodes))
        nodes.insert(at, element)


def _message_of(report: pytest.TestReport) -> str:
    """What failed, without where."""
    crash = getattr(report.longrepr, "reprcrash", None)
    return str(crash.message) if crash is not None else report.longreprtext


def _element(xml: Any, tag: str, report: pytest.TestReport) -> Any:
    from xml.etree import ElementTree

    from _pytest.junitxml import bin_xml_escape

    text = report.longreprtext
    message = _message_of(report)
    found = _TYPE.match(message)
    # The message of a plain assert is its expression.
    kind = found["type"] if found else "AssertionError"
    element = ElementTree.Element(tag, message=bin_xml_escape(message), type=kind)
    ElementTree.SubElement(element, "stackTrace").text = bin_xml_escape(text)
    for name, attribute, where in _OUTPUTS:
        output = getattr(report, attribute)
        if output and xml.logging in where:
            ElementTree.SubElement(element, name).text = bin_xml_escape(output)
    return element


# --------------------------------------------------------------- one line


def one_line(text: str, limit: int = 500) -> str:
    """The first line of ``text``, bounded."""
    line = text.strip().split("\n", 1)[0]
    return line if len(line) <= limit else line[: limit - 3] + "..."


def line_of(report: pytest.TestReport) -> str:
    """What failed, in one line."""
    return (
        one_line(_message_of(report))
        .encode("utf-8", "replace")
        .decode("utf-8")
        .replace("\0", "\\x00")
    )
