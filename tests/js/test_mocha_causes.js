'use strict';
// Why tests are flaky with mocha: causes, culprits, and commands that prove them.

const assert = require('node:assert/strict');
const fs = require('node:fs');
const path = require('node:path');
const test = require('node:test');

const { readJson } = require('./hunts');
const { project, qeMocha } = require('./mocha-project');

const HUNT = ['--flaky=10', '--flaky-seed=3', '--parallel=2', '--report-json=out.json'];

/** Hunts in a project: what was printed, and why tests are flaky, by id. */
async function hunt(folder, ...words) {
  const done = await qeMocha(folder, [...HUNT, ...words]);
  const { hunt: found } = readJson(path.join(folder, 'out.json')).run;
  const why = Object.entries(found.tests).map(([id, one]) => [id, one.why]);
  return { ...done, found, why: Object.fromEntries(why) };
}

/** A proof, run once more as the user would: by what was printed. */
async function again(folder, { stderr, why }, id) {
  const { command, option, failed, runs } = why[id].replay;
  assert.deepEqual([failed, runs], [10, 10], id);
  assert.ok(command.startsWith('npx qe-mocha ') && command.endsWith(` ${option}`), command);
  assert.ok(stderr.includes(`again: ${command}  # failed 10 of 10\n`), stderr);
  const done = await qeMocha(folder, [option, '--report-json=replay.json']);
  const told = readJson(path.join(folder, 'replay.json'));
  assert.equal(told.run.hunt.reproduced, true, done.stderr);
  assert.ok(done.code > 0);
  assert.ok(done.stderr.includes(`Replay: failed again: ${id} (Error`), done.stderr);
  assert.ok(!done.stderr.includes('; the first was'), done.stderr);
  return told;
}

const side = ({ name, failed, passed }) => [name, failed, passed];

test('who pollutes, who sets up, and who pollutes itself', async (t) => {
  const folder = project(t, {
    'test/0.js': "describe('first', () => { it('sets', () => { globalThis.set = true; }); });",
    'test/a.js': `
      for (let i = 0; i < 3; i++) it('healthy ' + i, () => {});
      describe('a', () => {
        it('victim', () => { if (globalThis.bought) throw new Error('full ' + Math.random()); });
        it('brittle', () => { if (!globalThis.set) throw new Error('p ' + Math.random()); });
        it('self', () => { if (globalThis.once) throw new Error('again'); globalThis.once = 1; });
      });`,
    'test/b.js': "describe('last', () => { it('buys', () => { globalThis.bought = true; }); });",
  });
  const found = await hunt(folder, '--flaky-causes=90');
  const [victim, brittle, self] = ['victim', 'brittle', 'self'].map(
    (name) => `test/a.js::a ${name}`,
  );
  const { why } = found;
  assert.deepEqual(
    [victim, brittle, self].map((id) => [why[id]?.cause, why[id]?.culprits]),
    [
      ['order', ['test/b.js::last buys']],
      ['brittle', ['test/0.js::first sets']],
      ['self', []],
    ],
    found.stderr,
  );
  assert.deepEqual(side(why[victim].with), ['behind it', 8, 0]);
  assert.deepEqual(side(why[victim].without), ['alone', 0, 8]);
  for (const id of [victim, brittle, self]) assert.ok(why[id].p < 0.05, id);
  assert.match(
    found.stderr,
    /cause: order: polluted by test\/b\.js › last › buys \(behind it: failed 8 of 8, alone: failed 0 of 8; p = 0\.0056\)\n/,
  );
  assert.match(found.stderr, /; for causes and proofs \d+ runs in \d+\.\d s; --flaky-seed=3\n/);
  assert.deepEqual([found.found.causes.not_ended, found.found.causes.refused], [0, []]);
  for (const id of [victim, brittle, self]) await again(folder, found, id);
  // What came of the replay is of these tests alone.
  const told = await again(folder, found, victim);
  assert.deepEqual(told.tests.map(({ id }) => id).sort(), [victim, 'test/b.js::last buys']);
});

test('what goes by random numbers, those of node:crypto, too', async (t) => {
  const folder = project(t, {
    'test/a.js': `
      const { randomBytes } = require('node:crypto');
      it('healthy', () => {});
      it('dice', () => { if (Math.random() < 0.4) throw new Error('unlucky'); });
      it('bytes', () => { if (randomBytes(1)[0] < 64) throw new Error('unlucky'); });`,
  });
  const found = await hunt(folder, '--flaky=24', '--flaky-causes=90');
  for (const id of ['test/a.js::dice', 'test/a.js::bytes']) {
    assert.equal(found.why[id]?.cause, 'random', found.stderr);
    await again(folder, found, id);
  }
});

test('what goes by the time, and by files that were left', async (t) => {
  const folder = project(t, {
    'test/a.js': `
      const fs = require('fs');
      it('healthy', () => {});
      // By turns of a length of its own it could go along with the passes, and always fail.
      it('time', () => {
        const mixed = Math.imul(Math.floor(Date.now() / 700), 0x9e3779b1) >>> 0;
        if (mixed / 2 ** 32 < 0.25) throw new Error('at a bad time');
      });
      it('leaves', () => {
        const file = require('os').tmpdir() + '/left';
        if (fs.existsSync(file)) throw new Error('left');
        fs.writeFileSync(file, '');
      });`,
  });
  const found = await hunt(folder, '--flaky=24', '--flaky-causes=90');
  const [time, leaves] = ['test/a.js::time', 'test/a.js::leaves'];
  assert.equal(found.why[time]?.cause, 'time', found.stderr);
  assert.equal(found.why[leaves]?.cause, 'files', found.stderr);
  for (const id of [time, leaves]) await again(folder, found, id);
});

test('what goes by what runs beside it', async (t) => {
  const folder = project(t, {
    'test/a.js': `
      const fs = require('fs');
      it('lock', (done) => {
        fs.mkdirSync('lock');
        setTimeout(() => { fs.rmdirSync('lock'); done(); }, 800);
      });`,
  });
  const found = await hunt(folder, '--flaky-causes=90');
  const id = 'test/a.js::lock';
  assert.equal(found.why[id]?.cause, 'neighbours', found.stderr);
  assert.deepEqual(found.why[id].culprits, [id]);
  await again(folder, found, id);
});

test('what other changes break is no cause, and none is named without need', async (t) => {
  const folder = project(t, {
    'test/a.js': `
      const fs = require('fs');
      it('by what is on the disk', () => {
        fs.appendFileSync('count', 'x');
        const { size } = fs.statSync('count');
        if ((size * 2654435761) % 7 < 3) throw new Error('at random');
      });`,
  });
  const { why, stderr, found } = await hunt(folder, '--flaky-causes=90');
  assert.equal(why['test/a.js::by what is on the disk'].cause, 'unknown', stderr);
  assert.match(stderr, /\n {4}cause: unknown\n/);
  assert.ok(found.causes.executions > 10, JSON.stringify(found.causes));
});

test('where time is too short for a cause, that is said', async (t) => {
  const folder = project(t, {
    'test/a.js': "it('dice', () => { if (Math.random() < 0.5) throw new Error('unlucky'); });",
  });
  const { stderr, found, why } = await hunt(folder, '--flaky-causes=0.01');
  assert.equal(why['test/a.js::dice'].cause, 'unknown', stderr);
  assert.equal(found.causes.not_ended, 1);
  assert.match(stderr, /cause: unknown \(not asked to the end\)\n/);
  assert.match(
    stderr,
    /\n1 tests were not asked for their cause to the end: --flaky-causes=SECONDS allows more\n/,
  );
});

test('causes can be left out, and their probes are no results', async (t) => {
  const folder = project(t, {
    'test/a.js': "it('self', () => { if (globalThis.x) throw new Error('x'); globalThis.x = 1; });",
  });
  const id = 'test/a.js::self';
  // Of two workers now one is quicker, now the other.
  const off = await hunt(folder, '--flaky-causes=off', '--parallel=1');
  assert.equal(off.why[id], undefined);
  assert.doesNotMatch(off.stderr, /cause/);
  const attempts = () =>
    readJson(path.join(folder, 'out.json')).tests.find((one) => one.id === id).attempts.length;
  const without = attempts();
  fs.rmSync(path.join(folder, '.qe'), { recursive: true }); // else the next starts from that
  const on = await hunt(folder, '--flaky-causes=30', '--parallel=1');
  assert.equal(on.why[id].cause, 'self', on.stderr);
  assert.equal(attempts(), without);
  assert.equal(on.found.passes.length, off.found.passes.length);
});

test('what a token asks for is made so: time, zone, entropy, limits', async (t) => {
  const folder = project(t, {
    'test/a.js': `
      const fs = require('fs');
      const vm = require('vm');
      it('shows', () => {
        const dates = [Date.now(), new Date().getTime(), vm.runInNewContext('Date.now()')];
        const seen = { dates, zone: new Date(1e12).getTimezoneOffset(), tmp: process.env.TMPDIR };
        seen.uuid = require('crypto').randomUUID();
        seen.files = [];
        try { for (;;) seen.files.push(fs.openSync('/dev/null')); } catch (e) { seen.code = e.code; }
        for (const fd of seen.files) fs.closeSync(fd);
        fs.appendFileSync('seen', JSON.stringify({ ...seen, files: seen.files.length }) + '\\n');
      });`,
  });
  const { tokenOf } = require('../../js/replay');
  const around = ['few_files', 'clock', 'entropy', 'zone', 'one_cpu', 'idle', 'busy', 'jitter'];
  const recipe = { items: ['test/a.js::shows'], others: [], seed: 7, clock: 1e9 };
  const token = tokenOf({ ...recipe, beside: '', around, args: ['test'], failure: '' });
  for (let i = 0; i < 2; i++) {
    const done = await qeMocha(folder, [`--replay=${token}`]);
    assert.equal(done.code, 0, done.stdout + done.stderr);
    assert.match(done.stderr, /Replay: did not fail this time: test\/a\.js::shows\n/);
    assert.doesNotMatch(done.stderr, /refuses/);
  }
  const [one, two] = fs
    .readFileSync(path.join(folder, 'seen'), 'utf8')
    .trim()
    .split('\n')
    .map(JSON.parse);
  for (const ms of one.dates) assert.ok(ms >= 1e12 && ms < 1e12 + 5000, String(ms));
  assert.equal(one.uuid, two.uuid);
  assert.ok(['EMFILE', 'ENFILE'].includes(one.code) && one.files <= 10, JSON.stringify(one));
  assert.notEqual(one.zone, new Date(1e12).getTimezoneOffset());
  assert.notEqual(one.tmp, process.env.TMPDIR);
});

test('a token that asks for what is not there is refused in one line', async (t) => {
  const folder = project(t, { 'test/a.js': "it('x', () => {});" });
  const { tokenOf } = require('../../js/replay');
  const recipe = { items: [], others: [], beside: '', seed: 1, around: [], clock: 0, args: [] };
  const token = (id) => tokenOf({ ...recipe, items: [id], failure: '' });
  for (const [word, line] of [
    [token('test/a.js::y'), 'test/a.js::y is not among the tests here'],
    [token('test/b.js::x'), 'test/b.js::x is not among the tests here'],
    ['qe1-x', 'takes a token of a hunt, but it is not whole'],
  ]) {
    const done = await qeMocha(folder, [`--replay=${word}`]);
    assert.deepEqual([done.code, done.stderr], [2, `qe-mocha: --replay: ${line}\n`]);
  }
  for (const [words, line] of [
    [
      ['--replay=qe1-x', '--flaky=3'],
      '--replay: runs what its token says, without --flaky and --shard-by-time',
    ],
    [['--flaky-causes=x'], '--flaky-causes=x: takes seconds up to 1000000, auto or off'],
  ]) {
    const done = await qeMocha(folder, words);
    assert.deepEqual([done.code, done.stderr], [2, `qe-mocha: ${line}\n`]);
  }
});
