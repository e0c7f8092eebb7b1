'use strict';
// Hunts with the jest that a folder finds; what tests of them use.

const assert = require('node:assert/strict');
const fs = require('node:fs');
const path = require('node:path');
const { test } = require('node:test');
const { stripVTControlCharacters } = require('node:util');

const { ROOT, cleanEnv, run } = require('./helpers');
const { ordersOf, readJson, suite, untold, wrongVerdicts } = require('./hunts');
const { write } = require('./projects');

const CLI = path.join(ROOT, 'js', 'bin', 'qe-jest.js');

const PROJECTS = path.join(ROOT, 'build', 'js-projects');

function project(name, files, base = PROJECTS) {
  const folder = path.join(base, `hunt-${name}`);
  fs.rmSync(folder, { recursive: true, force: true });
  write(folder, { 'package.json': '{ "name": "project", "jest": {} }', ...files });
  return folder;
}

async function qe(cwd, ...words) {
  const argv = [process.execPath, CLI, '--report-json=out.json', '--flaky-causes=off', ...words];
  const done = await run(argv, { cwd, env: cleanEnv(), timeout: 120_000 });
  return { ...done, stderr: stripVTControlCharacters(done.stderr) };
}

const report = (folder) => readJson(path.join(folder, 'out.json'));
const read = (...names) => fs.readFileSync(path.join(...names), 'utf8');

/** What holds with each version of jest. `base`: where one is installed, in or above. */
function testHunts(base) {
  test('a hunt finds what orders, repetition, chance and left files show', async () => {
    const folder = project(
      'kinds',
      {
        'a.test.js': suite('test'),
        'b.test.js': "test('b', () => {});\n",
      },
      base,
    );
    const done = await qe(folder, '--flaky=20', '--flaky-seed=5', '--parallel=2');
    assert.equal(done.status, 1, done.stderr);
    const found = report(folder);
    assert.deepEqual(wrongVerdicts(found, 'a.test.js'), [], done.stderr);
    assert.deepEqual(untold(found), []);
    const { hunt, passes } = found.run;
    assert.deepEqual([hunt.mode, hunt.alpha, hunt.seed], ['adaptive', 0.05, 5]);
    assert.equal(passes, hunt.passes.length);
    const [defined, reversed] = ordersOf(found);
    assert.equal(defined.at(-1), 'b.test.js::b', 'file by file');
    assert.equal(reversed[0], 'b.test.js::b');
    assert.deepEqual(new Set(reversed), new Set(found.tests.map(({ id }) => id)));
    const conditions = hunt.passes.map(({ condition }) => condition);
    assert.deepEqual(conditions.slice(0, 4), ['defined', 'reversed', 'twice', 'shuffled']);
    assert.ok(conditions.includes('repeated') && conditions.includes('alone'), conditions.join());
    assert.equal(new Set(hunt.passes.map(({ seed }) => seed)).size > 4, true);
    // At most the budget, of all tests together.
    assert.ok(hunt.executions <= 20 * 8, String(hunt.executions));
    const of = (id) => found.tests.find((one) => one.id === id);
    assert.equal(of('a.test.js::later victim').outcome, 'flaky');
    assert.equal(of('a.test.js::always fails').outcome, 'failed');
    assert.match(done.stderr, /● later › victim\s+Flaky \((confirmed flaky|suspect)\): failed/);
    assert.match(done.stderr, /Tests: +5 failed, 3 passed, 8 total/);
    const [, table] = done.stderr.split('Flaky hunt\n');
    assert.match(table, /^verdict +runs +failed +rate +test: failed in\n/);
    assert.match(
      table,
      /^failing +\d+ +\d+ +100% \(\d+-100 %\) +a\.test\.js › always fails: defined/m,
    );
    assert.match(table, /^(confirmed flaky|suspect) .*› pollutes itself: .*twice/m);
    assert.match(
      table,
      /nothing seen in 3 tests: by \d+ runs \(the median\) one that fails 1 time/,
    );
    assert.match(table, /1 failing, 3 nothing seen; \d+ runs in \d+ passes; --flaky-seed=5\n$/);
  });

  test('orders keep blocks together, and each test runs once more where that is said', async () => {
    const folder = project(
      'orders',
      {
        'a.test.js': `
const seen = [];
for (const block of ['a', 'b', 'c']) {
  describe(block, () => {
    beforeAll(() => seen.push('<'));
    for (const n of [1, 2, 3]) test(block + n, () => { seen.push(block + n); });
    afterAll(() => seen.push('>'));
  });
}
afterAll(() => require('fs').appendFileSync('orders', seen.join('') + '\\n'));
`,
      },
      base,
    );
    await qe(folder, '--flaky=8', '--flaky-seed=2', '--parallel=1');
    const orders = read(folder, 'orders').trim().split('\n');
    const asDefined = '<a1a2a3><b1b2b3><c1c2c3>';
    assert.equal(orders[0], asDefined);
    assert.equal(orders[1], '<c3c2c1><b3b2b1><a3a2a1>');
    assert.equal(orders[2], '<a1a1a2a2a3a3><b1b1b2b2b3b3><c1c1c2c2c3c3>');
    assert.ok(new Set(orders).size > 4, orders.join('\n'));
    for (const order of orders.slice(3)) {
      assert.match(order, /^(<((a\d){3}|(b\d){3}|(c\d){3})>){3}$/);
      assert.equal(new Set(order.match(/\w\d/g)).size, 9, order);
    }
    const told = ordersOf(report(folder)).map((ids) => ids.map((id) => id.slice(-2)));
    assert.deepEqual(
      told,
      orders.map((order) => order.match(/\w\d/g)),
      'as the JSON result says',
    );
  });
}

module.exports = { CLI, project, qe, read, report, testHunts };
