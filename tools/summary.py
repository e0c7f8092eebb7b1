"""Prints one line for each runner of `make test`, ``NAME: N passed, N failed``, and one
for each test that failed.

    summary.py RESULTS

RESULTS holds NAME.txt (such a line) or NAME.xml (JUnit) of each runner.
"""

from __future__ import annotations

import re
import sys
import xml.etree.ElementTree as ElementTree
from pathlib import Path

# A test that failed may show a terminal's output, which is no XML.
CONTROLS = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\ufffe\uffff]")


def from_junit(path: Path) -> str:
    text = path.read_text(encoding="utf-8", errors="replace")
    try:
        root = ElementTree.fromstring(CONTROLS.sub("", text))
    except ElementTree.ParseError:
        return f"{path.stem}: 0 passed, 1 failed\n  FAILED {path.stem}: it did not end"
    tests = failed = skipped = 0
    for case in root.findall("testcase"):  # Node's tests outside of suites
        tests += 1
        failed += case.find("failure") is not None or case.find("error") is not None
        skipped += case.find("skipped") is not None
    for suite in root.iter("testsuite"):
        tests += int(suite.get("tests", 0))
        failed += int(suite.get("failures", 0)) + int(suite.get("errors", 0))
        skipped += int(suite.get("skipped", 0))
    line = f"{path.stem}: {tests - failed - skipped} passed, {failed} failed"
    if skipped:
        line += f", {skipped} skipped"
    names = [
        f"  FAILED {case.get('classname', '')} {case.get('name', '')}"
        for case in root.iter("testcase")
        if case.find("failure") is not None or case.find("error") is not None
    ]
    return "\n".join([line, *names])


def main(directory: Path) -> int:
    # In the order in which they ended.
    for path in sorted(directory.glob("*"), key=lambda path: path.stat().st_mtime):
        if path.suffix == ".xml":
            print(from_junit(path))
        elif path.suffix == ".txt":
            print(path.read_text(encoding="utf-8").rstrip())
    return 0


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1])))
