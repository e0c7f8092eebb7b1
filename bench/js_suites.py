"""The generated JavaScript suites that the benchmarks run."""

from __future__ import annotations

import datetime
import json
import random
from pathlib import Path

SEED = 5  # what is drawn in a suite is the same everywhere

#: What jest keeps between runs stays with the suite, as `.qe` does.
_MANIFEST = {"private": True, "jest": {"cacheDirectory": "<rootDir>/.cache"}}


def _manifest(folder: Path) -> None:
    (folder / "package.json").write_text(json.dumps(_MANIFEST))


def trivial(folder: Path, files: int = 60) -> None:
    """Files of three tests that do nothing to speak of."""
    _manifest(folder)
    for i in range(files):
        body = "".join(
            f"  test('adds {j}', () => expect({i} + {j}).toBe({i + j}));\n" for j in range(3)
        )
        (folder / f"t{i:03}.test.js").write_text(f"describe('file {i}', () => {{\n{body}}});\n")


def trivial_mocha(folder: Path, files: int = 60) -> None:
    """The same for mocha, below its usual folder."""
    _manifest(folder)
    (folder / "test").mkdir()
    for i in range(files):
        body = "".join(
            f"  it('adds {j}', () => assert.equal({i} + {j}, {i + j}));\n" for j in range(3)
        )
        (folder / "test" / f"t{i:03}.js").write_text(
            f"const assert = require('node:assert');\ndescribe('file {i}', () => {{\n{body}}});\n"
        )


_MODULE = """const _ = require('lodash');
const Ajv = require('ajv');
const {{ addDays, formatISO, parseISO }} = require('date-fns');

const schema = {{
  type: 'object',
  properties: {{ id: {{ type: 'integer', minimum: {low} }}, tags: {{ type: 'array' }} }},
  required: {required},
  additionalProperties: false,
}};
const validate = new Ajv({{ allErrors: true }}).compile(schema);

exports.valid = (value) => validate(value);
exports.problems = (value) => (validate(value) ? [] : _.map(validate.errors, 'keyword').sort());
exports.grouped = (values) => _.mapValues(_.groupBy(values, (n) => n % {modulus}), _.sum);
exports.due = (day) => formatISO(addDays(parseISO(day), {days}), {{ representation: 'date' }});
"""

_TEST = """const {{ due, grouped, problems, valid }} = require('../src/m{i:03}');

describe('module {i}', () => {{
  test('takes what fits', () => expect(valid({{ id: {low}, tags: [] }})).toBe(true));
  test('tells what does not', () => {{
    expect(problems({{ id: {below}, tags: 'none' }})).toEqual(['minimum', 'type']);
  }});
  test('sums by group', () => {{
    expect(grouped({values})).toEqual({sums});
  }});
  test('counts days', () => expect(due('2024-02-28')).toBe('{due}'));
}});
"""


def dependent(folder: Path, files: int = 200) -> None:
    """Test files with a source module each, which uses lodash, ajv and date-fns."""
    draw = random.Random(SEED)
    _manifest(folder)
    for name in ("src", "tests"):
        (folder / name).mkdir()
    for i in range(files):
        low, modulus, days = draw.randint(1, 50), draw.randint(2, 5), draw.randint(1, 400)
        values = [draw.randint(0, 99) for _ in range(20)]
        sums = {str(k): sum(v for v in values if v % modulus == k) for k in range(modulus)}
        sums = {k: v for k, v in sums.items() if any(x % modulus == int(k) for x in values)}
        due = datetime.date(2024, 2, 28) + datetime.timedelta(days)
        required = json.dumps(draw.choice([["id"], ["id", "tags"]]))
        (folder / "src" / f"m{i:03}.js").write_text(
            _MODULE.format(low=low, required=required, modulus=modulus, days=days)
        )
        (folder / "tests" / f"m{i:03}.test.js").write_text(
            _TEST.format(i=i, low=low, below=low - 1, values=values, sums=json.dumps(sums), due=due)
        )


def _sleeps(seconds: float) -> str:
    wait = int(seconds * 1000)
    return f"test('sleeps', () => new Promise((done) => setTimeout(done, {wait})), 60_000);\n"


def single(folder: Path) -> None:
    """One trivial test."""
    trivial(folder, 1)


def skewed(folder: Path) -> None:
    """40 files of 0.1 s and, last in file order, one of 5 s."""
    _manifest(folder)
    for i in range(40):
        (folder / f"s{i:03}.test.js").write_text(_sleeps(0.1))
    (folder / "z.test.js").write_text(_sleeps(5))
