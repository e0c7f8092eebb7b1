'use strict';
// Adaptive hunts for flaky tests with jest: what is found, told, written and kept.

const assert = require('node:assert/strict');
const fs = require('node:fs');
const path = require('node:path');
const { spawn } = require('node:child_process');
const { test } = require('node:test');

const { cleanEnv, processesWith, run, until } = require('./helpers');
const { NTH, aloneIn, huntKnown, known, leaver, resultsOf, suite, untold } = require('./hunts');

const { CLI, qe, project, read, report, testHunts } = require('./jest-hunts');

testHunts();

test('a hunt with the same seed has the same orders and random numbers', async () => {
  const folder = project('seed', { 'a.test.js': suite('test') });
  const once = async (seed) => {
    fs.rmSync(path.join(folder, '.qe'), { recursive: true, force: true }); // it starts from that
    fs.rmSync(path.join(folder, 'left'), { force: true });
    fs.rmSync(path.join(folder, 'numbers'), { force: true });
    await qe(folder, '--flaky=6', `--flaky-seed=${seed}`, '--parallel=1');
    const found = report(folder);
    const names = ['goes by chance', 'later victim', 'outer healthy'];
    return [read(folder, 'numbers'), ...names.map((name) => resultsOf(found, name))];
  };
  const first = await once(11);
  assert.deepEqual(await once(11), first);
  assert.notEqual((await once(12))[0], first[0]);
  const numbers = first[0].trim().split('\n');
  assert.ok(new Set(numbers).size >= numbers.length / 2, first[0]); // a repeated pass has its own
});

test('a hunt starts from what the hunts before have seen', async () => {
  const folder = project('known', { 'a.test.js': known('test') });
  const { id, second, forgotten } = await huntKnown(folder, async () => {
    await qe(folder, '--flaky=12', '--flaky-seed=4', '--parallel=1');
    return report(folder);
  });
  assert.equal(id, 'a.test.js::failed before');
  for (const { run: told } of [second, forgotten]) assert.deepEqual(told.hunt.tests, {});
  assert.deepEqual(aloneIn(second), [id]);
  assert.deepEqual(aloneIn(forgotten), []);
});

test('a crash, a hang, a hook and a file that fail in some passes fail there', async () => {
  const folder = project('faults', {
    'a.test.js': `
${NTH}
test('crashes', () => { if (nth('c') === 2) process.kill(process.pid, 'SIGSEGV'); });
test('hangs', () => { if (nth('h') === 2) for (;;); });
test('steady', () => {});
describe('with a hook', () => {
  beforeAll(() => { if (nth('b') === 2) throw new Error('no database'); });
  test('needs it', () => {});
});
`,
    'load.test.js': `
${NTH}
if (nth('l') === 3) throw new Error('not now');
test('loads', () => {});
`,
    'first.test.js': `
${NTH}
if (nth('f') === 1) throw new Error('not the first time');
test('loads at last', () => {});
`,
  });
  const words = ['--flaky=8', '--test-timeout-hard=4', '--report-junit=junit.xml'];
  const done = await qe(folder, '--parallel=2', ...words);
  assert.equal(done.status, 1);
  const { run: told, tests } = report(folder);
  assert.deepEqual(untold({ run: told, tests }), []);
  const bad = ['confirmed', 'suspect'];
  const ids = ['a.test.js::crashes', 'a.test.js::hangs', 'a.test.js::with a hook needs it'];
  for (const id of [...ids, 'load.test.js::loads', 'first.test.js']) {
    assert.ok(bad.includes(told.hunt.tests[id]?.verdict), `${id}\n${done.stderr}`);
    assert.equal(told.hunt.tests[id].failures, 1, id);
  }
  assert.equal(Object.keys(told.hunt.tests).length, 5, done.stderr);
  const outcomes = (id) =>
    new Set(tests.find((one) => one.id === id).attempts.map((a) => a.outcome));
  assert.ok(outcomes('a.test.js::crashes').has('crashed'));
  assert.ok(outcomes('a.test.js::hangs').has('timeout'));
  assert.match(done.stderr, /● loads\s+The file could not be run: Error: not now/);
  assert.match(done.stderr, /could not be run in some passes: not the first time/);
  const xml = read(folder, 'junit.xml');
  assert.match(xml, /name="hangs"[^>]*><failure message="Flaky \(/);
});

test('what jest runs again by itself is what it came to', async () => {
  const folder = project('retried', {
    'a.test.js': `
const fs = require('fs');
jest.retryTimes(2);
let runs = 0;
test('passes at last', () => { runs += 1; if (runs % 2 === 1) throw new Error('not yet'); });
test('never', () => { throw new Error('no'); });
`,
  });
  await qe(folder, '--flaky=6', '--parallel=1');
  const { run: told, tests } = report(folder);
  const { verdict, passes } = told.hunt.tests['a.test.js::never'];
  assert.deepEqual([verdict, passes], ['stable-fail', 0]);
  assert.equal(told.hunt.tests['a.test.js::passes at last'], undefined);
  assert.notEqual(tests.find(({ id }) => id.endsWith('at last')).outcome, 'failed');
});

test('where every test fails the rest of the budget is not spent', async () => {
  const folder = project('fails', {
    'a.test.js': "for (const n of [1, 2, 3]) test('t' + n, () => { throw new Error('no'); });\n",
  });
  const done = await qe(folder, '--flaky=1000');
  assert.equal(done.status, 1);
  assert.match(done.stderr, /every test fails in each run: the rest of the budget was not spent/);
  assert.ok(report(folder).run.hunt.executions <= 3 * 8);
  assert.match(done.stderr, /3 failing; \d+ runs in \d+ passes/);
});

test('where nothing runs there is nothing to hunt', async () => {
  const folder = project('nothing', { 'a.test.js': "test.skip('a', () => {}); test.todo('b');\n" });
  const done = await qe(folder, '--flaky=5');
  assert.equal(done.status, 0, done.stderr);
  assert.match(done.stderr, /Tests: +1 skipped, 1 todo, 2 total/);
  assert.match(done.stderr, /Flaky hunt\nno tests; 0 runs in 1 pass/);
});

test('what has another name in each pass is named', async () => {
  const folder = project('names', {
    'a.test.js': "test('of ' + process.pid, () => {});\ntest('same', () => {});\n",
  });
  const done = await qe(folder, '--flaky=4', '--parallel=1');
  assert.equal(done.status, 0, done.stderr);
  assert.match(done.stderr, /1 test has another name in each pass, .*: a\.test\.js › of \d+\n/);
  assert.match(report(folder).run.hunt.renamed.join(), /^a\.test\.js::of \d+$/);
});

test('snapshots are those of one run, also where tests run twice', async () => {
  const folder = project('snapshots', {
    'a.test.js': "test('shot', () => { expect({ a: 1 }).toMatchSnapshot(); });\n",
  });
  const first = await qe(folder, '--flaky=4');
  const kept = read(folder, '__snapshots__/a.test.js.snap');
  assert.equal(first.status, 0, first.stderr);
  assert.equal(kept.match(/^exports/gm).length, 1, kept);
  const again = await qe(folder, '--flaky=4', '--ci');
  assert.equal(again.status, 0, again.stderr);
  assert.match(again.stderr, /Snapshots: +1 passed, 1 total/);
  assert.equal(read(folder, '__snapshots__/a.test.js.snap'), kept);
});

test('a budget of seconds goes to what shows most a second', async () => {
  const folder = project('budget', {
    'quick.test.js': "for (const n of [1, 2, 3]) test('q' + n, () => {});\n",
    'slow.test.js':
      "test('slow', async () => { await new Promise((r) => setTimeout(r, 1500)); });\n",
  });
  const done = await qe(folder, '--flaky-budget=12', '--parallel=2');
  assert.equal(done.status, 0, done.stderr);
  const { tests } = report(folder);
  const runs = (id) => tests.find((one) => one.id === id).attempts.length;
  assert.ok(runs('quick.test.js::q1') > runs('slow.test.js::slow'), done.stderr);
});

test('a budget that the first pass has spent says nothing of names', async () => {
  const folder = project('spent', {
    'a.test.js': "test('slow', async () => { await new Promise((r) => setTimeout(r, 1200)); });\n",
  });
  const done = await qe(folder, '--flaky-budget=1', '--parallel=2');
  assert.equal(done.status, 0, done.stderr);
  assert.match(done.stderr, /1 nothing seen; 1 runs in 1 passes/);
  assert.doesNotMatch(done.stderr, /another name/);
  assert.equal(report(folder).run.hunt.renamed, undefined);
});

test('passes have temporary files of their own, but one has those of another', async () => {
  const folder = project('temporary', { 'a.test.js': leaver('test') });
  const temporary = path.join(folder, 'own');
  fs.mkdirSync(temporary);
  const argv = [
    process.execPath,
    CLI,
    '--report-json=out.json',
    '--flaky=12',
    '--flaky-seed=1',
    '--flaky-causes=off',
  ];
  // Jest keeps its own cache there, too.
  const words = [`--cacheDirectory=${path.join(folder, 'cache')}`, '--parallel=1'];
  const env = cleanEnv({ TMPDIR: temporary });
  await run([...argv, ...words], { cwd: folder, env });
  const given = read(folder, 'temporary').trim().split('\n');
  const { hunt } = report(folder).run;
  const twice = hunt.passes.filter(({ number, files }) => files !== undefined && files !== number);
  assert.ok(twice.length > 0, JSON.stringify(hunt.passes));
  assert.ok(new Set(given).size > 3 && new Set(given).size < given.length, given.join('\n'));
  assert.ok(['confirmed', 'suspect'].includes(hunt.tests['a.test.js::leaves a file']?.verdict));
  assert.deepEqual(fs.readdirSync(temporary), [], 'nothing is left in the user’s');
});

test('Ctrl-C tells what is known so far, and keeps it', async () => {
  const folder = project('interrupt', {
    'a.test.js': `${suite('test')}
test('slow', async () => {
  fs.appendFileSync('ran', 'x');
  await new Promise((r) => setTimeout(r, 100));
});
`,
  });
  const env = cleanEnv({ QE_TEST_HUNT: folder });
  const words = [
    CLI,
    '--flaky=10000',
    '--flaky-causes=off',
    '--parallel=2',
    '--report-json=out.json',
  ];
  const stdio = ['ignore', 'ignore', 'pipe'];
  const child = spawn(process.execPath, words, { cwd: folder, env, stdio, timeout: 60_000 });
  let stderr = '';
  child.stderr.on('data', (text) => (stderr += text));
  const ended = new Promise((resolve) => child.on('close', (code, signal) => resolve(signal)));
  const size = () => fs.statSync(path.join(folder, 'ran'), { throwIfNoEntry: false })?.size ?? 0;
  assert.ok(await until(() => size() > 8, 30_000), stderr);
  child.kill('SIGINT');
  assert.equal(await ended, 'SIGINT', stderr);
  assert.match(stderr, /Flaky hunt, interrupted: what is known so far\n/);
  assert.match(stderr, /(confirmed flaky|suspect) .*› goes by files/);
  const { run: told, tests } = report(folder);
  assert.equal(told.interrupted, true);
  assert.ok(told.hunt.tests['a.test.js::goes by files']);
  assert.equal(tests.find(({ id }) => id.endsWith('goes by files')).outcome, 'flaky');
  assert.ok(await until(() => processesWith('QE_TEST_HUNT', folder).length === 0, 10_000));
});

test('the history knows the condition of each pass, and the code', async () => {
  const folder = project('history', { 'a.test.js': "test('a', () => {});\n" });
  const git = (...words) => run(['git', ...words], { cwd: folder });
  await git('init', '-b', 'trunk');
  await qe(folder, '--flaky=4', '--flaky-seed=2');
  await qe(folder, '--flaky=2', '--flaky-mode=fixed');
  await qe(folder);
  const program = `
import json, sqlite3
rows = sqlite3.connect(".qe/history.db").execute(
  "select run.branch, condition.pass, condition.name from condition join run on run.id = run"
  " order by run.id, pass")
print(json.dumps(list(rows)))`;
  const rows = JSON.parse((await run(['python3', '-c', program], { cwd: folder })).stdout);
  assert.deepEqual(
    rows.map(([branch, pass, name]) => `${branch} ${pass} ${name}`),
    [
      ...['trunk 0 defined', 'trunk 1 reversed', 'trunk 2 twice'],
      ...['trunk 0 default', 'trunk 1 shuffled'],
      'trunk 0 ordinary',
    ],
  );
});
