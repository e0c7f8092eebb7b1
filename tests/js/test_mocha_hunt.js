'use strict';
// Adaptive hunts for flaky tests with mocha: what is found, told, written and kept.

const assert = require('node:assert/strict');
const fs = require('node:fs');
const path = require('node:path');
const test = require('node:test');
const { stripVTControlCharacters } = require('node:util');

const { processesWith, until } = require('./helpers');
const {
  NTH,
  aloneIn,
  huntKnown,
  known,
  leaver,
  ordersOf,
  readJson,
  resultsOf,
  suite,
  untold,
  wrongVerdicts,
} = require('./hunts');
const { QE_MOCHA, project, qeMocha, start } = require('./mocha-project');

const report = (folder) => readJson(path.join(folder, 'out.json'));
const read = (...names) => fs.readFileSync(path.join(...names), 'utf8');

async function qe(folder, ...words) {
  const done = await qeMocha(folder, ['--report-json=out.json', '--flaky-causes=off', ...words]);
  return { ...done, stdout: stripVTControlCharacters(done.stdout) };
}

test('a hunt finds what orders, repetition, chance and left files show', async (t) => {
  const folder = project(t, {
    'test/a.js': suite('it'),
    'test/b.js': "it('b', () => {}); it.skip('skipped', () => {});",
  });
  const done = await qe(folder, '--flaky=20', '--flaky-seed=5', '--parallel=2');
  assert.equal(done.code, 5, done.stdout + done.stderr); // mocha's: how many failed
  const found = report(folder);
  assert.deepEqual(wrongVerdicts(found, 'test/a.js'), [], done.stderr);
  assert.deepEqual(untold(found), []);
  const { hunt, passes } = found.run;
  assert.deepEqual([hunt.mode, hunt.alpha, hunt.seed], ['adaptive', 0.05, 5]);
  assert.equal(passes, hunt.passes.length);
  const conditions = hunt.passes.map(({ condition }) => condition);
  assert.deepEqual(conditions.slice(0, 4), ['defined', 'reversed', 'twice', 'shuffled']);
  assert.ok(conditions.includes('repeated') && conditions.includes('alone'), conditions.join());
  assert.ok(hunt.executions <= 20 * 8, String(hunt.executions));
  const of = (id) => found.tests.find((one) => one.id === id);
  assert.equal(of('test/a.js::later victim').outcome, 'flaky');
  assert.equal(of('test/a.js::always fails').outcome, 'failed');
  assert.equal(of('test/b.js::skipped').outcome, 'skipped');
  assert.match(done.stdout, /3 passing[^]*1 pending[^]*5 failing/);
  assert.match(
    done.stdout,
    /Error: Flaky \((confirmed flaky|suspect)\): failed in \d+ of \d+ runs/,
  );
  const [, table] = done.stderr.split('Flaky hunt\n');
  assert.match(table, /^verdict +runs +failed +rate +test: failed in\n/);
  assert.match(table, /^failing .*100% .* test\/a\.js › always fails: defined/m);
  assert.match(table, /^(confirmed flaky|suspect) .*› pollutes itself: .*twice/m);
  assert.match(table, /1 failing, 3 nothing seen; \d+ runs in \d+ passes; --flaky-seed=5\n$/);
});

test('a hunt with the same seed has the same orders and random numbers', async (t) => {
  const folder = project(t, { 'test/a.js': suite('it') });
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
});

test('a hunt starts from what the hunts before have seen', async (t) => {
  const folder = project(t, { 'test/a.js': known('it') });
  const { id, second, forgotten } = await huntKnown(folder, async () => {
    await qe(folder, '--flaky=12', '--flaky-seed=4', '--parallel=1');
    return report(folder);
  });
  assert.equal(id, 'test/a.js::failed before');
  for (const { run: told } of [second, forgotten]) assert.deepEqual(told.hunt.tests, {});
  assert.deepEqual(aloneIn(second), [id]);
  assert.deepEqual(aloneIn(forgotten), []);
});

test('orders keep files and suites together, and tests before suites', async (t) => {
  const folder = project(t, {
    'test/a.js': `globalThis.seen = [];
      for (const block of ['a', 'b']) describe(block, () => {
        before(() => { seen.push('<'); });
        describe('x', () => { it('x', () => { seen.push(block + 'x'); }); });
        for (const n of [1, 2]) it(block + n, () => { seen.push(block + n); });
        after(() => { seen.push('>'); });
      });
      after(() => require('fs').appendFileSync('orders', seen.join('') + '\\n'));`,
    'test/b.js':
      "it('r', () => { seen.push('r0'); }); describe('c', () => { it('1', () => { seen.push('c1'); }); });",
  });
  await qe(folder, '--flaky=8', '--flaky-seed=2', '--parallel=1');
  const orders = read(folder, 'orders').trim().split('\n');
  assert.equal(orders[0], 'r0<a1a2ax><b1b2bx>c1', orders.join('\n'));
  assert.equal(orders[1], 'r0c1<b2b1bx><a2a1ax>');
  assert.equal(orders[2], 'r0r0<a1a1a2a2axax><b1b1b2b2bxbx>c1c1');
  assert.ok(new Set(orders).size > 4, orders.join('\n'));
  for (const order of orders.slice(3))
    assert.match(order, /^r0(c1)?(<(a\d){2}ax>|<(b\d){2}bx>){2}(c1)?$/);
  const names = { 'test/b.js::r': 'r0', 'test/b.js::c 1': 'c1' };
  const nameOf = (id) => names[id] ?? id.replace(/^.*::(\w) (x (x)|\w(\d))$/, '$1$3$4');
  assert.deepEqual(
    ordersOf(report(folder)).map((ids) => ids.map(nameOf)),
    orders.map((order) => order.match(/\w\w/g)),
    'as the JSON result says',
  );
});

test('crashes, hangs and hooks that fail in some passes fail there', async (t) => {
  const folder = project(t, {
    'test/a.js': `${NTH}
      describe('a', () => {
        it('crashes', () => { if (nth('c') === 2) process.kill(process.pid, 'SIGSEGV'); });
        it('hangs', () => { if (nth('h') === 2) for (;;); });
        it('ends twice', (done) => { done(); done(); });
        it('steady', () => {});
      });
      describe('with a hook', () => {
        before(() => { if (nth('b') === 2) throw new Error('no database'); });
        it('needs it', () => {});
      });`,
  });
  const words = ['--flaky=8', '--test-timeout-hard=4', '--report-junit=junit.xml'];
  const done = await qe(folder, '--parallel=2', ...words);
  const { run: told, tests } = report(folder);
  const verdicts = Object.entries(told.hunt.tests).map(([id, { verdict, failures }]) => [
    id.replace(/ for ".*/, ''),
    verdict.replace('confirmed', 'suspect'),
    verdict === 'stable-fail' ? undefined : failures,
  ]);
  assert.deepEqual(
    verdicts.sort(),
    [
      ['test/a.js::a crashes', 'suspect', 1],
      ['test/a.js::a ends twice', 'stable-fail', undefined],
      ['test/a.js::a hangs', 'suspect', 1],
      ['test/a.js::with a hook "before all" hook', 'suspect', 1],
    ],
    done.stdout + done.stderr,
  );
  const outcomes = (id) =>
    new Set(tests.find((one) => one.id === id).attempts.map((a) => a.outcome));
  assert.ok(outcomes('test/a.js::a crashes').has('crashed'));
  assert.ok(outcomes('test/a.js::a hangs').has('timeout'));
  assert.match(read(folder, 'junit.xml'), /name="hangs"[^>]*><failure message="Error: Flaky \(/);
});

test('--grep, .only and shards choose what is hunted', async (t) => {
  const folder = project(t, {
    'test/a.js':
      "describe('a', () => { it('x', () => {}); it('y', () => { throw new Error(); }); });",
    'test/b.js': "describe('b', () => { it('x', () => {}); it('y', () => {}); });",
  });
  const ids = () => report(folder).tests.map(({ id }) => id);
  assert.equal((await qe(folder, '--flaky=4', '--grep=x')).code, 0);
  assert.deepEqual(ids().sort(), ['test/a.js::a x', 'test/b.js::b x']);
  const found = [];
  for (const part of ['1/2', '2/2']) {
    await qe(folder, '--flaky=4', `--shard-by-time=${part}`);
    found.push(...ids());
  }
  assert.equal(new Set(found).size, 4);
  fs.writeFileSync(path.join(folder, 'test/c.js'), "it.only('only', () => {});");
  await qe(folder, '--flaky=4');
  assert.deepEqual(ids(), ['test/c.js::only']);
});

test('where every test fails the rest of the budget is not spent', async (t) => {
  const folder = project(t, {
    'test/a.js': "for (const n of [1, 2, 3]) it('t' + n, () => { throw new Error('no'); });",
  });
  const done = await qe(folder, '--flaky=1000');
  assert.equal(done.code, 3);
  assert.match(done.stderr, /every test fails in each run: the rest of the budget was not spent/);
  assert.ok(report(folder).run.hunt.executions <= 3 * 8);
});

test('where nothing runs there is nothing to hunt', async (t) => {
  const folder = project(t, { 'test/a.js': "it.skip('a', () => {});" });
  const skipped = await qe(folder, '--flaky=5');
  assert.equal(skipped.code, 0, skipped.stderr);
  assert.match(skipped.stderr, /Flaky hunt\nno tests; 0 runs in 1 pass/);
  fs.writeFileSync(
    path.join(folder, 'test/a.js'),
    "before(() => { throw new Error('a hook'); }); it('a', () => {});",
  );
  const hook = await qe(folder, '--flaky=5');
  assert.equal(hook.code, 1, hook.stderr);
  assert.match(hook.stdout, /"before all" hook[^]*a hook/);
});

test('what has another name in each pass is named', async (t) => {
  const folder = project(t, {
    'test/a.js': "it('of ' + process.pid, () => {}); it('same', () => {});",
  });
  const done = await qe(folder, '--flaky=4', '--parallel=1');
  assert.equal(done.code, 0, done.stdout + done.stderr);
  assert.match(done.stderr, /1 test has another name in each pass, .*: test\/a\.js › of \d+\n/);
});

test('a budget of seconds is kept to', async (t) => {
  const folder = project(t, {
    'test/a.js': `it('quick', () => {});
      it('slow', function (done) { this.timeout(0); setTimeout(done, 1000); });`,
  });
  const done = await qe(folder, '--flaky-budget=4', '--parallel=2');
  assert.equal(done.code, 0, done.stdout + done.stderr);
  const { tests } = report(folder);
  const runs = (id) => tests.find((one) => one.id === id).attempts.length;
  assert.ok(runs('test/a.js::quick') > runs('test/a.js::slow'), done.stderr);
});

test('passes have temporary files of their own, but one has those of another', async (t) => {
  const folder = project(t, { 'test/a.js': leaver('it') });
  const temporary = path.join(folder, 'own');
  fs.mkdirSync(temporary);
  const words = [
    '--report-json=out.json',
    '--flaky-causes=off',
    '--flaky=12',
    '--flaky-seed=1',
    '--parallel=1',
  ];
  await qeMocha(folder, words, { TMPDIR: temporary });
  const given = read(folder, 'temporary').trim().split('\n');
  const { hunt } = report(folder).run;
  const twice = hunt.passes.filter(({ number, files }) => files !== undefined && files !== number);
  assert.ok(twice.length > 0, JSON.stringify(hunt.passes));
  assert.ok(new Set(given).size > 3 && new Set(given).size < given.length, given.join('\n'));
  assert.ok(['confirmed', 'suspect'].includes(hunt.tests['test/a.js::leaves a file']?.verdict));
  assert.deepEqual(fs.readdirSync(temporary), [], 'nothing is left in the user’s');
});

test('Ctrl-C tells what is known so far, and keeps it', async (t) => {
  const folder = project(t, {
    'test/a.js': `${suite('it')}
      it('slow', (done) => { fs.appendFileSync('ran', 'x'); setTimeout(done, 100); });`,
  });
  const words = ['--flaky=10000', '--flaky-causes=off', '--parallel=2', '--report-json=out.json'];
  const child = start(QE_MOCHA, folder, words, { QE_TEST_HUNT: folder });
  let stderr = '';
  child.stderr.on('data', (text) => (stderr += text));
  const ended = new Promise((resolve) =>
    child.on('close', (code, signal) => resolve([code, signal])),
  );
  const size = () => fs.statSync(path.join(folder, 'ran'), { throwIfNoEntry: false })?.size ?? 0;
  assert.ok(await until(() => size() > 8, 30_000), stderr);
  child.kill('SIGINT');
  const [code, signal] = await ended;
  assert.ok(signal === 'SIGINT' || code === 130, `${code} ${signal} ${stderr}`);
  assert.match(stderr, /Flaky hunt, interrupted: what is known so far\n/);
  assert.match(stderr, /(confirmed flaky|suspect) .*› goes by files/);
  const { run: told, tests } = report(folder);
  assert.equal(told.interrupted, true);
  assert.equal(tests.find(({ id }) => id.endsWith('goes by files')).outcome, 'flaky');
  assert.ok(await until(() => processesWith('QE_TEST_HUNT', folder).length === 0, 10_000));
});

test('what says different things of a hunt is refused in one line', async (t) => {
  const folder = project(t, { 'test/a.js': '' });
  for (const [words, line] of [
    [['--flaky=2', '--flaky-budget=5'], '--flaky-budget: is instead of --flaky=N'],
    [['--flaky-budget=5', '--flaky-mode=fixed'], '--flaky-budget: takes --flaky-mode=adaptive'],
    [['--flaky-mode=x'], '--flaky-mode=x: takes one of fixed, adaptive'],
  ]) {
    const done = await qe(folder, ...words);
    assert.deepEqual([done.code, done.stderr], [2, `qe-mocha: ${line}\n`]);
  }
});
