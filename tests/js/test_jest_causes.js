'use strict';
// Why tests are flaky with jest: causes, culprits, and commands that prove them.

const assert = require('node:assert/strict');
const fs = require('node:fs');
const path = require('node:path');
const { test } = require('node:test');

const { tokenOf } = require('../../js/replay');
const { ordersOf, untold } = require('./hunts');
const { project, qe, report } = require('./jest-hunts');

const HUNT = ['--flaky=8', '--flaky-seed=3', '--parallel=2', '--flaky-causes=80'];

/** Hunts the flaky test of a project, and runs its proof: why it is flaky. */
async function hunt(folder, id, cause) {
  const done = await qe(folder, ...HUNT);
  const { hunt: found } = report(folder).run;
  const why = found.tests[id]?.why;
  assert.equal(why?.cause, cause, done.stderr);
  const { command, option, failed, runs } = why.replay;
  assert.deepEqual([failed, runs], [10, 10], done.stderr);
  assert.equal(command, `npx qe-jest ${option}`);
  assert.ok(done.stderr.includes(`again: ${command}  # failed 10 of 10\n`));
  assert.deepEqual(untold(report(folder)), []);
  const again = await qe(folder, option);
  assert.equal(again.status, 1, again.stderr);
  const told = report(folder);
  assert.equal(told.run.hunt.reproduced, true, again.stderr);
  assert.ok(
    again.stderr.includes(`Replay: failed again: ${id} (Error at a.test.js:`),
    again.stderr,
  );
  assert.ok(!again.stderr.includes('; the first was'), again.stderr);
  const ran = told.tests.filter(({ outcome }) => outcome !== 'skipped');
  const [replayed] = ordersOf(told);
  assert.deepEqual([...new Set(replayed)].sort(), ran.map(({ id: one }) => one).sort());
  return { ...done, why, replayed };
}

test('who pollutes is named, and proven', async () => {
  const folder = project('polluted', {
    'a.test.js': `let bought = false;
test('healthy', () => {});
test('victim', () => { if (bought) throw new Error('full ' + Math.random()); });
test('buys', () => { bought = true; });
`,
    'b.test.js': "test('elsewhere', () => {});\n",
  });
  const { why, stderr, replayed } = await hunt(folder, 'a.test.js::victim', 'order');
  assert.deepEqual(why.culprits, ['a.test.js::buys']);
  assert.match(
    stderr,
    /cause: order: polluted by a\.test\.js › buys \(behind it: failed 8 of 8, alone: failed 0 of 8; p = 0\.0056\)\n/,
  );
  assert.deepEqual(replayed, ['a.test.js::buys', 'a.test.js::victim']);
});

test('a test that pollutes itself', async () => {
  const folder = project('itself', {
    'a.test.js': `let ran = false;
test('once', () => { if (ran) throw new Error('again'); ran = true; });
`,
  });
  await hunt(folder, 'a.test.js::once', 'self');
});

test('a test that goes by random numbers', async () => {
  const folder = project('dice', {
    'a.test.js': `const { randomUUID } = require('crypto');
test('dice', () => { if (parseInt(randomUUID()[0], 16) < 7) throw new Error('unlucky'); });
`,
  });
  await hunt(folder, 'a.test.js::dice', 'random');
});

test('a test that goes by a file that another process left', async () => {
  const folder = project('left', {
    'a.test.js': `const fs = require('fs');
test('caches', () => {
  const file = require('os').tmpdir() + '/cache.json';
  if (fs.existsSync(file)) throw new Error('left');
  fs.writeFileSync(file, '{}');
});
`,
  });
  await hunt(folder, 'a.test.js::caches', 'files');
});

test('what a token asks for is made so: time, zone, limits', async () => {
  const folder = project('asked', {
    'a.test.js': `const fs = require('fs');
test('shows', () => {
  const seen = { dates: [Date.now(), new Date().getTime()], count: 0 };
  seen.zone = new Date(1e12).getTimezoneOffset();
  const open = [];
  try { for (;;) open.push(fs.openSync('/dev/null')); } catch (error) { seen.code = error.code; }
  seen.count = open.length;
  for (const fd of open) fs.closeSync(fd);
  fs.writeFileSync('seen', JSON.stringify(seen));
});
test('another', () => {});
`,
  });
  const around = ['few_files', 'clock', 'entropy', 'zone', 'one_cpu', 'idle', 'busy', 'jitter'];
  const recipe = { items: ['a.test.js::shows'], others: [], beside: '', seed: 7, clock: 1e9 };
  const done = await qe(
    folder,
    `--replay=${tokenOf({ ...recipe, around, args: [], failure: '' })}`,
  );
  assert.equal(done.status, 0, done.stderr);
  assert.match(done.stderr, /Replay: did not fail this time: a\.test\.js::shows\n/);
  const seen = JSON.parse(fs.readFileSync(path.join(folder, 'seen'), 'utf8'));
  for (const ms of seen.dates) assert.ok(ms >= 1e12 && ms < 1e12 + 60_000, String(ms));
  assert.notEqual(seen.zone, new Date(1e12).getTimezoneOffset());
  assert.ok(seen.count <= 10 && ['EMFILE', 'ENFILE'].includes(seen.code), JSON.stringify(seen));
});

test('a token that asks for what is not there fails', async () => {
  const folder = project('unknown', { 'a.test.js': "test('x', () => {});\n" });
  const recipe = { others: [], beside: '', seed: 1, around: [], clock: 0, args: [], failure: '' };
  const token = (id) => tokenOf({ ...recipe, items: [id] });
  const file = await qe(folder, `--replay=${token('b.test.js::x')}`);
  assert.deepEqual(
    [file.status, file.stderr],
    [2, 'qe-jest: --replay: b.test.js::x is not among the tests here\n'],
  );
  const name = await qe(folder, `--replay=${token('a.test.js::y')}`);
  assert.equal(name.status, 1, name.stderr);
  assert.match(name.stderr, /--replay: a\.test\.js::y was not run to its end/);
  const broken = await qe(folder, '--replay=qe1-x');
  assert.deepEqual(
    [broken.status, broken.stderr],
    [2, 'qe-jest: --replay: takes a token of a hunt, but it is not whole\n'],
  );
});
