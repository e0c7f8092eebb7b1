"""Writes a report of many tests, by what writes those of runs: synthetic.py COUNT PATH"""

from __future__ import annotations

import json
import random
import sys
from pathlib import Path

from pytest_qe import _core, htmlreport

WORKERS = 8
TRACEBACK = """    def test_it(value):
>       assert value == {number}
E       assert {other} == {number}

tests/test_{file}.py:{line}: AssertionError"""


def main(count: int, path: Path) -> None:
    chance = random.Random(count)
    record = _core.Record()
    free = [0.0] * WORKERS
    for number in range(count):
        file = number // 50
        name = f"tests/package_{file % 7}/test_{file:04}.py::TestThing::test_it[{number}-value]"
        record.add_test(name.encode())
        if number % 10 == 0:
            record.set_marks(number, b"slow\ndb" if number % 20 else b"slow")
        worker = free.index(min(free))
        seconds = chance.expovariate(50)
        start, free[worker] = 1.7e9 + free[worker], free[worker] + seconds + 0.0005
        if number % 50 != 7:
            record.add_passed(number, 0, 1, worker, start, seconds, seconds, 50_000_000 + number)
            continue
        message = f"assert {number + 1} == {number}"
        record.add_attempt(
            number, 0, 1, worker, _core.FAILED, start, seconds, seconds, 1 << 26, 0, message
        )
        text = TRACEBACK.format(number=number, other=number + 1, file=file, line=number % 90)
        record.add_text(number, 0, 1, _core.TEXT_FAILURE, b"call", text.encode())
        record.set_outcome(number, _core.FAILED, message)
    run = {"started": 1.7e9, "wall": max(free), "workers": WORKERS, "collection": 1.5, "seed": 1}
    htmlreport.write(path, lambda to: record.write_json(to, json.dumps(run), False))


main(int(sys.argv[1]), Path(sys.argv[2]))
