"""Has the shape of an end-to-end runner such as Cypress: `run --spec FILE --report FILE`."""

import argparse
import time
from pathlib import Path
from xml.sax.saxutils import quoteattr

parser = argparse.ArgumentParser()
parser.add_argument("command", choices=["run"])
parser.add_argument("--spec", required=True)
parser.add_argument("--report", required=True)
args = parser.parse_args()
steps = Path(args.spec).read_text().splitlines()
cases = []
for step in steps:
    time.sleep(0.4)
    print(f"  ✓ {step}")
    cases.append(f'<testcase classname="e2e" name={quoteattr(step)} time="0.4"/>')
body = "".join(cases)
Path(args.report).write_text(f'<testsuite name="e2e" tests="{len(cases)}">{body}</testsuite>')
