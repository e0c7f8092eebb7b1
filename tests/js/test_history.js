'use strict';
// `qe history`: one database, and both hosts tell the same of it.

const assert = require('node:assert/strict');
const fs = require('node:fs');
const path = require('node:path');
const { test } = require('node:test');

const qe = require('../..');
const { fixed } = require('../../js/rounding');
const { project } = require('./agents');
const { ROOT, run } = require('./helpers');

const BIN = path.join(ROOT, 'js', 'bin', 'qe.js');
const PYTHON = path.join(ROOT, 'build', 'venv', 'bin', 'qe');
const DAY_S = 86_400;
const SINCE = 1_700_000_000;
const { failed: FAILED, flaky: FLAKY, passed: PASSED, timeout: TIMEOUT } = qe.Outcome;

/** A run of tests: {id: [[outcome, seconds], ...]}, an attempt each. */
function save(history, started, { revision, branch, condition }, tests) {
  const record = new qe.Record();
  record.setCode(revision, branch);
  if (condition) record.addPass(0, condition, 7);
  for (const [id, attempts] of Object.entries(tests)) {
    const item = record.addTest(id);
    for (const [i, [outcome, duration]] of attempts.entries()) {
      record.addAttempt({ item, attempt: i + 1, outcome, start: started + i, duration });
    }
    record.setOutcome(item, attempts.length > 1 ? FLAKY : attempts[0][0]);
  }
  history.save(record, started, 12.5, 2);
}

/** A project whose history has all that is told apart; where nothing is `there`, none. */
function remembered(t) {
  const cwd = project(t);
  const file = path.join(cwd, '.qe', 'history.db');
  const history = new qe.History(file);
  const code = { revision: 'a'.repeat(40), branch: 'main', condition: 'ordinary' };
  save(history, SINCE, code, {
    'a.test.js': [[PASSED, 0.125]],
    'flaky::one': [
      [FAILED, 1],
      [PASSED, 2.5],
    ],
    'näme\u001b[31m 🦊::x': [[TIMEOUT, 61]],
    'slow::one': [[PASSED, 75]],
  });
  save(history, SINCE + DAY_S, { revision: null, branch: null }, { 'flaky::one': [[FAILED, 1]] });
  save(
    history,
    SINCE + 2 * DAY_S,
    { revision: 'b'.repeat(40), branch: '🦊'.repeat(30), condition: 'shuffled' },
    { 'flaky::one': [[PASSED, 3.375]], 'a.test.js': [[PASSED, 0.375]] },
  );
  for (let i = 0; i < 5; i++)
    save(history, SINCE + i, code, { 'even::one': [[[FAILED, PASSED][i % 2], 0.1]] });
  history.close();
  return { cwd, file };
}

async function both(cwd, ...words) {
  const [js, python] = await Promise.all(
    [[process.execPath, BIN], [PYTHON]].map((argv) => run([...argv, 'history', ...words], { cwd })),
  );
  return { js, python };
}

const installed = { skip: !fs.existsSync(PYTHON) && 'pytest-qe is not installed in build/venv' };

test('both hosts tell the same words of one database', installed, async (t) => {
  const { cwd, file } = remembered(t);
  for (const words of [
    [],
    ['--limit=1'],
    ['flaky::one'],
    ...['branch', 'commit', 'condition', 'day'].map((by) => ['flaky::one', `--by=${by}`]),
    ['flaky::one', '--durations'],
    ['flaky::one', '--by=commit', '--durations'],
    ['näme\u001b[31m 🦊::x'],
    ['näme\u001b[31m 🦊::x', '--durations'],
    ['none::such'],
    ['--history=none.db'],
    [`--history=${file}`, 'a.test.js'],
  ]) {
    const { js, python } = await both(cwd, ...words);
    assert.deepEqual(js, python, words.join(' '));
  }
  fs.writeFileSync(path.join(cwd, 'bad.db'), 'no database');
  const bad = await both(cwd, '--history=bad.db');
  assert.deepEqual(bad.js, bad.python);
  assert.equal(bad.js.status, 1);
});

test('both hosts tell the same JSON', installed, async (t) => {
  const { cwd } = remembered(t);
  for (const words of [[], ['--limit=2'], ['flaky::one'], ['flaky::one', '--by=branch']]) {
    const { js, python } = await both(cwd, '--json', ...words);
    assert.deepEqual([js.status, js.stderr], [0, '']);
    assert.deepEqual(JSON.parse(js.stdout), JSON.parse(python.stdout), words.join(' '));
    const keys = (text) => text.match(/^ *"\w+":/gm); // in one order, too
    assert.deepEqual(keys(js.stdout), keys(python.stdout));
  }
});

test('rates are told with their interval, passes on a retry apart', async (t) => {
  const { cwd } = remembered(t);
  const told = async (...words) =>
    (await run([process.execPath, BIN, 'history', ...words], { cwd })).stdout.trim().split('\n');
  const days = await told('flaky::one');
  assert.deepEqual(days[0].split(/\s+/).slice(0, 5), [
    'day',
    'runs',
    'failures',
    'recovered',
    'rate',
  ]);
  assert.equal(days.length, 5); // three days, and all
  // The 2.5 % and 97.5 % points of Beta(2.5, 1.5).
  assert.match(days.at(-1), /^all +3 +2 +1 +66\.7% {2}17\.\d% to 96\.\d%$/);
  const times = await told('flaky::one', '--durations', '--by=commit');
  assert.match(times[1], /^a{20} {7}1 {4}2\.50 s {4}2\.50 s$/);
  assert.match(times[2], /^unknown +0$/);
  const all = await told();
  assert.deepEqual(
    all.filter((line) => /^[A-Z]/.test(line)),
    ['Flakiest', 'Most often failing', 'Slowest'],
  );
  assert.match(all[2], / {2}even::one$/); // the nearer to even, of what is known well
  assert.match(all.at(-1), /^5 tests in .*history\.db$/);
});

test('what cannot be told is one line', async (t) => {
  const cwd = project(t);
  for (const [words, status, text] of [
    [[], 1, /^error: .*history\.db knows no test that ran to its end\n$/],
    [['none'], 1, /^error: .*history\.db knows no run of none\n$/],
    [['--history=none.db'], 1, /^error: none\.db: there is no such history\n$/],
    [['--by=week'], 2, /^error: option '--by <WHAT>' argument 'week' is invalid\. Allowed/],
    [['--limit=0'], 2, /^error: option '--limit <N>' .* whole number from 1 to/],
  ]) {
    const done = await run([process.execPath, BIN, 'history', ...words], { cwd });
    assert.deepEqual([done.status, done.stdout], [status, '']);
    assert.match(done.stderr, text);
  }
});

test('numbers between two are rounded as Python does', installed, async () => {
  const numbers = [0.125, 0.375, 0.25, 0.15, 2.675, 12.25, 0.045, 1e9 + 0.5, 61.005];
  const script = `print([f'{n:.{d}f}' for n in ${JSON.stringify(numbers)} for d in (1, 2)])`;
  const python = await run([path.join(path.dirname(PYTHON), 'python'), '-c', script]);
  assert.deepEqual(
    numbers.flatMap((n) => [fixed(n, 1), fixed(n, 2)]),
    JSON.parse(python.stdout.replaceAll("'", '"')),
  );
});

test('a history is asked for what it knows of a test', (t) => {
  const { file } = remembered(t);
  const history = new qe.History(file);
  const rows = history.rates('flaky::one', 'condition');
  assert.deepEqual(
    rows.map(({ label, failures, passes, recovered }) => [label, failures, passes, recovered]),
    [
      ['ordinary', 1, 0, 1],
      ['', 1, 0, 0],
      ['shuffled', 0, 1, 0],
    ],
  );
  assert.deepEqual([rows[0].first, rows[0].mean, rows[1].longest], [SINCE, 2.5, 0]);
  assert.deepEqual(history.rates('none', 'day'), []);
  assert.throws(() => history.rates('flaky::one', 'week'), {
    code: 'QE_EINVAL',
    message: 'by: takes one of day, commit, branch, condition, not a string',
  });
  history.close();
});
