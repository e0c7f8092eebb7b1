"""Compares two recorded runs of one suite: test by test, then the rest of what a user sees.

What may differ between two serial runs as well is made equal first: addresses, durations,
process ids, names of temporary directories. Order between tests may differ; within a test
it may not.
"""

from __future__ import annotations

import difflib
import json
import re
import xml.etree.ElementTree as ElementTree
from collections import Counter, defaultdict
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

RULES = [
    (re.compile(r"0x[0-9a-fA-F]{4,}"), "0x#"),
    # pytest's own temporary directory: one a run, or one a worker below it.
    (re.compile(r"/\S*?/?pytest-of-[^/\s]+/pytest-\d+(?:/popen-gw\d+)?"), "TMP"),
    # Directories in it are numbered in the order in which tests ask for them.
    (re.compile(r"(TMP/[^/\s'\"]*?)\d+(?=[/\s'\"\])]|$)"), r"\1#"),
    (re.compile(r"/tmp/tmp[a-z0-9_]{8}"), "/tmp/tmp#"),
    (re.compile(r"\b\d+\.\d+(?:e-?\d+)?(?= ?(?:s|ms|us|sec|seconds)\b)"), "#"),
    # marshmallow makes test ids from the current time.
    (re.compile(r"\b\d\d:\d\d:\d\d 20\d\d-\d\d-\d\d\b"), "TIME DATE"),
    (re.compile(r"\b\d\d-\d\d-20\d\d \d\d:\d\d:\d\d\b"), "DATE TIME"),
    # boltons prints when it was called.
    (re.compile(r"\b1\d{9}\.\d+ ?"), "EPOCH "),
    (re.compile(r"\b(pid[ =:]+)\d+", re.IGNORECASE), r"\1#"),
    (re.compile(r"(started (?:daemon )?)\d{6,}"), r"\1#"),
]
# Terminal and report say which worker it was; serially there is none.
WORKER = re.compile(r"^\[gw\d+\] (?:linux|darwin) -- Python .*\n", re.MULTILINE)
HEADLINE = re.compile(r"^(?:=+ .+ =+|_{3,} .+ _{3,}|-+ generated xml file: .+ -+)$")
LAST = "short test summary info"
SUMMARY = re.compile(r"^(?:PASSED|FAILED|ERROR|SKIPPED|XFAIL|XPASS|SUB\w+)\b.*$", re.MULTILINE)


def normalise(text: str) -> str:
    for pattern, replacement in RULES:
        text = pattern.sub(replacement, text)
    return text


def normalised(value: Any) -> Any:
    """A JSON value with all of its strings made equal."""
    if isinstance(value, str):
        return normalise(value)
    if isinstance(value, list):
        return [normalised(entry) for entry in value]
    if isinstance(value, dict):
        return {normalise(key): normalised(entry) for key, entry in value.items()}
    return value


@dataclass
class Recorded:
    """What one run told its reporters."""

    exit: int
    tests: dict[str, list[dict[str, Any]]] = field(default_factory=dict)
    warnings: Counter[str] = field(default_factory=Counter)
    stray: list[str] = field(default_factory=list)
    session: dict[str, Any] = field(default_factory=dict)
    stats: dict[str, int] = field(default_factory=dict)
    summary: Counter[str] = field(default_factory=Counter)
    junit: Counter[str] = field(default_factory=Counter)
    junit_totals: dict[str, str] = field(default_factory=dict)
    blocks: Counter[str] = field(default_factory=Counter)
    cache: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Difference:
    what: str  # "missing", "twice", "report", "warnings", "junit", ...
    where: str  # a test id, or empty
    text: str
    fields: str = ""  # of a report: which of them differ

    @property
    def sort(self) -> str:
        return f"{self.what} ({self.fields})" if self.fields else self.what

    def __str__(self) -> str:
        head = f"{self.what}: {self.where}".rstrip(": ")
        return f"{head}\n{self.text}".rstrip()


def canonical(value: Any) -> str:
    return json.dumps(value, sort_keys=True, indent=1)


def read_junit(path: Path) -> tuple[Counter[str], dict[str, str]]:
    """Test cases in a form without times and order, and the totals."""
    cases: Counter[str] = Counter()
    totals: dict[str, str] = {}
    for suite in ElementTree.parse(path).getroot().iter("testsuite"):
        for name in ("tests", "failures", "errors", "skipped"):
            totals[name] = suite.get(name, "")
        properties = [entry.attrib for entry in suite.findall("properties/property")]
        totals["properties"] = canonical(properties)
        for case in suite.iter("testcase"):
            attributes = {k: v for k, v in case.attrib.items() if k != "time"}
            children = [
                [
                    child.tag,
                    dict(child.attrib),
                    child.text or "",
                    [[entry.tag, dict(entry.attrib)] for entry in child],
                ]
                for child in case
            ]
            cases[canonical(normalised([attributes, children]))] += 1
    return cases, totals


def read_blocks(output: str) -> Counter[str]:
    """What the terminal shows after the progress: each block under its headline.

    Headlines of pytest runs that a test printed split in the same places in both runs.
    """
    blocks: Counter[str] = Counter()
    head, block = "", []
    shown = output[: output.rfind(LAST)] if LAST in output else output
    for line in [*shown.splitlines(), "= end ="]:
        if not HEADLINE.match(line):
            block.append(line)
            continue
        if head and "test session starts" not in head:
            # The order of warnings, and of what they list, is that of the tests.
            ordered = sorted(block) if "warnings summary" in head else block
            blocks["\n".join([head, *ordered])] += 1
        head, block = line.strip("=_- "), []
    return blocks


def read_cache(directory: Path) -> dict[str, Any]:
    """The files of pytest's cache; the order of keys and of ids does not count."""
    found: dict[str, Any] = {}
    for path in sorted((directory / "v").rglob("*")):
        if path.is_file():
            value = normalised(json.loads(path.read_text(encoding="utf-8")))
            ordered = sorted(value) if isinstance(value, list) else value
            found[str(path.relative_to(directory / "v"))] = ordered
    return found


def load(record: Path, junit: Path, cache: Path, output: str, exit_status: int) -> Recorded:
    run = Recorded(exit_status)
    tests: dict[str, list[dict[str, Any]]] = defaultdict(list)
    lines = record.read_text(encoding="utf-8").splitlines() if record.exists() else []
    for line in lines:
        entry = json.loads(line)
        kind = entry["kind"]
        if kind in ("start", "finish", "report"):
            if "longrepr" in entry:
                entry["longrepr"] = WORKER.sub("", entry["longrepr"] + "\n").strip()
            tests[normalise(entry["id"])].append(normalised(entry))
        elif kind == "warning":
            run.warnings[canonical(normalised(entry))] += 1
        elif kind == "stray":
            run.stray.append(f"{entry['what']} {entry.get('id', '')}".strip())
        elif kind == "session":
            run.session = entry
        elif kind == "summary":
            run.stats = entry["stats"]
    run.tests = dict(tests)
    if junit.exists():
        run.junit, run.junit_totals = read_junit(junit)
    # The last: a test may have printed one of its own.
    _, found, tail = output.rpartition(LAST)
    run.summary = Counter(SUMMARY.findall(normalise(tail))) if found else Counter()
    run.blocks = read_blocks(WORKER.sub("", normalise(output)))
    run.cache = read_cache(cache)
    return run


def diff(serial: str, parallel: str) -> str:
    lines = difflib.unified_diff(
        serial.splitlines(), parallel.splitlines(), "serial", "parallel", lineterm="", n=1
    )
    return "\n".join(lines)


def text_of(reports: list[dict[str, Any]]) -> str:
    """What was reported of a test, as lines to compare by eye."""
    lines = []
    for report in reports:
        for key, value in report.items():
            if key == "sections":
                texts = [f"{title}: {content}" for title, content in value]
            else:
                texts = [value if isinstance(value, str) else json.dumps(value, sort_keys=True)]
            lines += [f"{key}: {line}" for text in texts for line in text.splitlines() or [""]]
    return "\n".join(lines)


def compare_counts(what: str, serial: Counter[str], parallel: Counter[str]) -> list[Difference]:
    """Differences of multisets whose order does not count."""
    lost = list((serial - parallel).elements())
    gained = list((parallel - serial).elements())
    differences = []
    for index in range(max(len(lost), len(gained))):
        left = lost[index] if index < len(lost) else ""
        right = gained[index] if index < len(gained) else ""
        differences.append(Difference(what, "", diff(left, right)))
    return differences


def changed_fields(left: list[dict[str, Any]], right: list[dict[str, Any]]) -> str:
    """Names of what differs, as "longrepr, sections"; "count" if one has more reports."""
    if len(left) != len(right):
        return "count"
    pairs = zip(left, right, strict=True)
    names = {key for one, other in pairs for key in one if one[key] != other.get(key)}
    return ", ".join(sorted(names))


def starts(reports: list[dict[str, Any]]) -> int:
    return sum(report["kind"] == "start" for report in reports)


def compare_tests(serial: Recorded, parallel: Recorded) -> list[Difference]:
    differences = []
    for test in sorted(set(serial.tests) | set(parallel.tests)):
        left, right = serial.tests.get(test, []), parallel.tests.get(test, [])
        if left == right:
            continue
        if not left or not right:
            differences.append(Difference("not run serially" if right else "missing", test, ""))
            continue
        what = "ran too often" if starts(right) > starts(left) else "report"
        text = diff(text_of(left), text_of(right))
        differences.append(Difference(what, test, text, changed_fields(left, right)))
    return differences


def compare(serial: Recorded, parallel: Recorded) -> list[Difference]:
    """All differences between a serial run and another one of the same suite."""
    differences = compare_tests(serial, parallel)
    differences += compare_counts("warning", serial.warnings, parallel.warnings)
    differences += compare_counts("summary line", serial.summary, parallel.summary)
    differences += compare_counts("terminal block", serial.blocks, parallel.blocks)
    differences += compare_counts("junit test case", serial.junit, parallel.junit)
    for stray in parallel.stray:
        differences.append(Difference("a reporter was called in a worker", stray, ""))
    for what, left, right in [
        ("exit status", serial.exit, parallel.exit),
        ("session", serial.session, parallel.session),
        ("terminal statistics", serial.stats, parallel.stats),
        ("junit totals", serial.junit_totals, parallel.junit_totals),
        ("cache", serial.cache, parallel.cache),
    ]:
        if left != right:
            differences.append(Difference(what, "", diff(canonical(left), canonical(right))))
    return differences
