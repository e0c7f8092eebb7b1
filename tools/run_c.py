"""Runs cmocka programs one after another and sums up what they say.

    run_c.py NAME RESULTS PROGRAM... [-- PREFIX...]

PREFIX is a command that each program is started with, such as valgrind. One line is
printed for each program, and all of its output if it failed. The last line,
``NAME: N passed, N failed``, is also written to RESULTS/NAME.txt.
"""

from __future__ import annotations

import re
import signal
import sys
import time
from pathlib import Path

import bounded

TIMEOUT_S = 300
FAILED = re.compile(r"^\[  FAILED  \] (\w+)$", re.MULTILINE)
COUNTS = re.compile(r"^\[  (PASSED|FAILED|SKIPPED) +\] (\d+) test\(s\)", re.MULTILINE)


def count(output: str) -> dict[str, int]:
    counts = {"PASSED": 0, "FAILED": 0, "SKIPPED": 0}
    for word, number in COUNTS.findall(output):
        counts[word] += int(number)
    return counts


def describe(status: int) -> str:
    return f"signal {signal.Signals(-status).name}" if status < 0 else f"exit status {status}"


def main(arguments: list[str]) -> int:
    name, results, *rest = arguments
    split = rest.index("--") if "--" in rest else len(rest)
    programs, prefix = rest[:split], rest[split + 1 :]
    total = {"PASSED": 0, "FAILED": 0, "SKIPPED": 0}
    broken: list[str] = []
    for program in programs:
        began = time.monotonic()
        status, output = bounded.run([*prefix, program], TIMEOUT_S)
        counts = count(output)
        wrong = status != 0 or counts["FAILED"] or not any(counts.values())
        if wrong and not counts["FAILED"]:
            counts["FAILED"] = 1  # it crashed, leaked, or ran no test at all
        for word in total:
            total[word] += counts[word]
        took = time.monotonic() - began
        label = f"{name}: {Path(program).name}"
        if wrong:
            tests = ", ".join(dict.fromkeys(FAILED.findall(output)))
            broken.append(f"  FAILED {label}: {tests or describe(status)}")
            print(output, end="" if output.endswith("\n") else "\n")
            print(f"{label:<42} FAILED ({describe(status)}, {took:.1f} s)", flush=True)
        else:
            print(f"{label:<42} {counts['PASSED']:>4} passed {took:6.1f} s", flush=True)
    line = f"{name}: {total['PASSED']} passed, {total['FAILED']} failed"
    if total["SKIPPED"]:
        line += f", {total['SKIPPED']} skipped"
    if not programs:
        line = f"{name}: 0 passed, 1 failed"
        print("no test programs were found")
    print(line, flush=True)
    directory = Path(results)
    directory.mkdir(parents=True, exist_ok=True)
    (directory / f"{name}.txt").write_text("\n".join([line, *broken, ""]), encoding="utf-8")
    return 1 if broken or not programs else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
