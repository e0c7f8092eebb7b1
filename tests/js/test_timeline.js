'use strict';
// `qe show last --timeline`: a run drawn with letters, by both hosts alike.

const assert = require('node:assert/strict');
const fs = require('node:fs');
const os = require('node:os');
const path = require('node:path');
const { test } = require('node:test');

const qe = require('../../js/addon');
const { ROOT, cleanEnv, run } = require('./helpers');
const { write } = require('./projects');

const BIN = path.join(ROOT, 'js', 'bin', 'qe.js');
const MOCHA = path.join(ROOT, 'js', 'bin', 'qe-mocha.js');
const PYTHON = path.join(ROOT, 'build', 'venv', 'bin', 'qe');
const START = 1.76e9;

function folderOf(t) {
  const folder = fs.mkdtempSync(path.join(os.tmpdir(), 'qe-timeline-'));
  t.after(() => fs.rmSync(folder, { recursive: true }));
  return folder;
}

const show = (cwd, words, env = {}) =>
  run([process.execPath, BIN, 'show', ...words], { cwd, env: cleanEnv({ COLUMNS: '90', ...env }) });

/** A history with runs: each a list of [id, changes of an attempt]. */
function remember(folder, ...runs) {
  fs.mkdirSync(path.join(folder, '.qe'));
  const history = new qe.History(path.join(folder, '.qe', 'history.db'));
  for (const [number, attempts] of runs.entries()) {
    const record = new qe.Record();
    const items = new Map();
    for (const [id, more] of attempts) {
      if (!items.has(id)) items.set(id, record.addTest(id));
      const own = { outcome: qe.PASSED, start: START, duration: 1, ...more };
      record.addAttempt({ item: items.get(id), ...own });
      record.setOutcome(items.get(id), own.outcome);
    }
    record.setCode('abc', number === 0 ? null : 'main');
    history.save(record, START + number, 4, 2);
  }
  return history;
}

const RUN = [
  ['a::long', { duration: 3, start: START + 0.5, cpu: 1.25, peakBytes: 5e9 }],
  ['a::fails', { outcome: qe.FAILED, worker: 1, start: START + 0.5, message: 'no' }],
  ['a::fails', { outcome: qe.PASSED, worker: 1, start: START + 1.6, attempt: 2 }],
  ['a::dies \u001b[2J\u202e😀', { outcome: qe.CRASHED, worker: 11, status: 11, duration: 0.001 }],
  ['a::skipped', { outcome: qe.SKIPPED, worker: 11, start: START + 1, duration: 0 }],
  ['a::hangs', { outcome: qe.TIMEOUT, worker: 11, start: START + 2, duration: 0.125 }],
  ['a::error', { outcome: qe.ERROR, worker: 11, start: START + 3, pass: 2 }],
];

test('a run as letters, and what took longest', async (t) => {
  const folder = folderOf(t);
  remember(folder, RUN).close();
  const done = await show(folder, ['last', '--timeline']);
  assert.equal(done.stderr, '');
  const cells = 90 - 4 - 9;
  const lines = done.stdout.split('\n');
  assert.deepEqual(lines.slice(0, 5), [
    `      0${'4.00 s'.padStart(cells - 1)}`,
    `gw0   ${' '.repeat(9)}${'█'.repeat(58)}${' '.repeat(10)}   75 %`,
    `gw1   ${' '.repeat(9)}${'F'.repeat(19)}  ${'█'.repeat(20)}${' '.repeat(27)}   50 %`,
    lines[3],
    '· skipped  █ passed  F failed  E error  T timeout  C crashed  ',
  ]);
  assert.match(lines[3], /^gw11 {2}C +· +T+ +E+ +28 %$/);
  assert.match(done.stdout, /^ {6}3\.00 s {2}at 0\.50 s {4}gw0 {2}passed {2}a::long$/m);
  assert.match(done.stdout, /gw1 {2}passed {2}a::fails {2}attempt 2$/m);
  assert.match(done.stdout, /^4 attempts that failed:$/m);
  assert.ok(done.stdout.includes('a::dies \\x1b[2J\\u202e😀\n'));
  const coloured = await show(folder, ['--timeline'], { FORCE_COLOR: '1' });
  assert.ok(coloured.stdout.includes('\u001b[32m██'));
});

test('what there is not is one line', async (t) => {
  const folder = folderOf(t);
  const none = await show(folder, ['last', '--timeline']);
  assert.equal(none.status, 3);
  assert.match(none.stderr, /^error: there is no \.qe\/history\.db here or above/);
  remember(folder).close();
  for (const [key, status, text] of [
    ['last', 1, 'no run is remembered'],
    ['99', 1, 'no run 99 is remembered'],
    ['9'.repeat(30), 1, 'is remembered'],
    ['x', 2, "takes `last`, or the number of a run, not 'x'"],
  ]) {
    const done = await show(folder, [key, '--timeline']);
    assert.equal(done.status, status, done.stderr);
    assert.ok(done.stderr.includes(text), done.stderr);
    assert.equal(done.stderr.trim().split('\n').length, 1);
  }
});

test('the history tells runs and attempts', (t) => {
  const history = remember(folderOf(t), [['a::x', {}]], RUN);
  const [second, first] = history.runs(10);
  assert.deepEqual(history.runs(1), [second]);
  assert.deepEqual([first.id, first.branch, second.branch], [1, '', 'main']);
  assert.deepEqual([second.started, second.wall, second.workers], [START + 1, 4, 2]);
  assert.deepEqual(second.outcomes, { passed: 2, skipped: 1, error: 1, timeout: 1, crashed: 1 });
  const attempts = history.attempts(second.id);
  assert.equal(attempts.length, RUN.length);
  assert.deepEqual(
    attempts.map(({ start }) => start),
    attempts.map(({ start }) => start).sort(),
  );
  const long = attempts.find(({ id }) => id === 'a::long');
  const told = { id: 'a::long', pass: 0, attempt: 1, worker: 0, outcome: 'passed' };
  const numbers = { start: START + 0.5, duration: 3, cpu: 1.25, peakBytes: 5e9, status: 0 };
  assert.deepEqual(long, { ...told, ...numbers, message: null });
  assert.throws(() => history.attempts(99), { code: 'QE_ENOTFOUND' });
  assert.throws(() => history.attempts('x'), TypeError);
  history.close();
  assert.throws(() => history.runs(1), { code: 'QE_ESTATE' });
});

const installed = { skip: !fs.existsSync(PYTHON) && 'pytest-qe is not installed in build/venv' };

test('pytest’s side draws the same', installed, async (t) => {
  const folder = folderOf(t);
  const many = Array.from({ length: 300 }, (_, i) => [
    `b::${i}`,
    { start: START + i * 0.37, duration: (i % 13) * 0.125, worker: i % 5, outcome: (i % 6) + 1 },
  ]);
  remember(folder, RUN, many).close();
  for (const words of [
    ['last', '--timeline'],
    ['1', '--timeline'],
    ['7', '--timeline'],
    ['x', '--timeline'],
  ]) {
    for (const COLUMNS of ['40', '97', '400']) {
      const ours = await show(folder, words, { COLUMNS });
      const env = cleanEnv({ COLUMNS, PYTHONIOENCODING: 'utf-8' });
      const theirs = await run([PYTHON, 'show', ...words], { cwd: folder, env });
      assert.deepEqual(ours, theirs, words.join(' '));
    }
  }
  const both = [[process.execPath, BIN], [PYTHON]].map(async (argv) => {
    const done = await run([...argv, 'show', '1', '--timeline', '--json'], { cwd: folder });
    return JSON.parse(done.stdout);
  });
  const [ours, theirs] = await Promise.all(both);
  assert.deepEqual(ours, theirs);
  assert.deepEqual(Object.keys(ours[0]), Object.keys(theirs[0]));
});

test('a run of qe-mocha is drawn', async (t) => {
  const folder = folderOf(t);
  fs.symlinkSync(path.join(ROOT, 'node_modules'), path.join(folder, 'node_modules'));
  write(folder, {
    'package.json': '{}',
    'test/a.js': "it('is quick', () => {}); it('fails', () => { throw new Error('no'); });",
  });
  await run([process.execPath, MOCHA, '--parallel=1'], { cwd: folder });
  const done = await show(folder, ['last', '--timeline']);
  assert.equal(done.stderr, '');
  assert.match(done.stdout, /^gw0 +.*F/m);
  assert.match(done.stdout, /passed {2}test\/a\.js::is quick$/m);
  assert.match(done.stdout, /^1 attempt that failed:$/m);
});
