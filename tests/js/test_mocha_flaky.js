'use strict';
// Hunts for flaky tests with mocha: what differs between passes is found, told in each
// reporter's way, and comes back with the options that are told.

const assert = require('node:assert/strict');
const fs = require('node:fs');
const path = require('node:path');
const test = require('node:test');
const { stripVTControlCharacters } = require('node:util');

const { mocha, project, qeMocha } = require('./mocha-project');

/** Tests of which one depends on the order, across files, and one on nothing. */
const ORDERED = {
  'test/a.js': `globalThis.seen = [];
    describe('a', () => {
      for (const name of ['p', 'q', 'r', 's', 't']) it(name, () => { seen.push(name); });
      describe('inner', () => { it('u', () => { seen.push('u'); }); });
    });
    after(() => require('fs').appendFileSync('orders', seen.join('') + '\\n'));`,
  'test/b.js': `describe('b', () => {
      it('needs p', () => { if (!seen.includes('p')) throw new Error('p was not there'); });
      it('fails', () => { throw new Error('always'); });
      it.skip('skipped', () => {});
      it('pends', function () { this.skip(); });
    });`,
};

const report = (folder) => JSON.parse(fs.readFileSync(path.join(folder, 'out.json'), 'utf8'));

test('passes differ in order and seed; what differs in result is flaky', async (t) => {
  const folder = project(t, ORDERED);
  const words = [
    '--parallel=2',
    '--flaky=8',
    '--flaky-mode=fixed',
    '--flaky-seed=7',
    '--report-json=out.json',
  ];
  const done = await qeMocha(folder, words);
  assert.equal(done.code, 2, done.stdout + done.stderr); // mocha's: how many failed
  const orders = fs.readFileSync(path.join(folder, 'orders'), 'utf8').trim().split('\n');
  assert.equal(orders.length, 8);
  assert.ok(new Set(orders).size > 3, orders.join());
  assert.ok(
    orders.every((order) => order.endsWith('u')),
    'tests of a suite come before its suites',
  );
  const { run, tests } = report(folder);
  assert.equal(run.passes, 8);
  assert.deepEqual(
    run.orders.map(({ seed, order }) => [seed, order]),
    [7, 8, 9, 10, 11, 12, 13, 14].map((seed) => [seed, 'shuffled']),
  );
  const of = (name) => tests.find(({ id }) => id.endsWith(`::${name}`));
  assert.equal(of('b needs p').outcome, 'flaky');
  assert.equal(of('b needs p').attempts.length, 8);
  assert.equal(of('b fails').flakiness.pattern, 'STABLE_FAIL');
  assert.equal(of('b skipped').outcome, 'skipped');
  assert.equal(of('b pends').outcome, 'skipped');
  assert.equal(of('a inner u').outcome, 'passed');
  assert.match(done.stderr, /Flaky tests \(8 passes\): 1 flaky, 1 failing, 6 passing/);
  assert.match(done.stderr, /test\/b\.js › b › needs p/);
  assert.match(done.stdout, /6 passing[^]*2 pending[^]*2 failing/);
  assert.match(done.stdout, /Error: Flaky: failed in \d of 8 passes \(pass [\d, ]+\); its order:/);

  // What is told reproduces it.
  const [, again] = /its order: (--parallel=1 --flaky-seed=-?\d+)/.exec(done.stdout);
  const once = await qeMocha(folder, again.split(' '));
  assert.match(once.stdout, /2 failing[^]*Error: p was not there/);
  assert.doesNotMatch(once.stdout + once.stderr, /Flaky/);
});

test('the first pass has the order of the files, and its output is shown once', async (t) => {
  const folder = project(t, {
    'test/a.js': "describe('a', () => { it('x', () => console.log('from x')); });",
    'test/b.js': `before(() => console.log('before all'));
      describe('b', () => { it('y', () => console.log('from y')); it('z', () => {}); });`,
  });
  const [stock, done] = [
    await mocha(folder),
    await qeMocha(folder, ['--flaky=3', '--flaky-mode=fixed']),
  ];
  const masked = (text) => text.replace(/\(\d+m?s\)/g, '(TIME)');
  assert.equal(done.code, 0, done.stdout + done.stderr);
  assert.equal(masked(done.stdout), masked(stock.stdout));
  assert.match(done.stderr, /3 passes\): 0 flaky, 0 failing, 3 passing/);
  assert.match(done.stderr, /fewer than 10 passes miss most flaky tests/);
});

test('a crash or a hang of one pass is that pass’s alone', async (t) => {
  const folder = project(t, {
    'test/a.js': `const fs = require('fs');
      const first = (name) => { try { fs.mkdirSync(name); return true; } catch { return false; } };
      describe('a', () => {
        it('one', () => {});
        it('crashes once', () => { if (first('c')) process.kill(process.pid, 'SIGSEGV'); });
        it('hangs once', () => { if (first('h')) for (;;); });
        it('four', () => {});
      });`,
  });
  const words = [
    '--flaky=4',
    '--flaky-mode=fixed',
    '--test-timeout-hard=2',
    '--report-json=out.json',
  ];
  const done = await qeMocha(folder, words);
  assert.equal(done.code, 2, done.stdout + done.stderr);
  const counts = report(folder).tests.map(({ id, attempts }) => [
    id.split(' ').slice(1).join(' '),
    attempts.map(({ outcome }) => outcome).sort(),
  ]);
  const all = (outcome) => [outcome, 'passed', 'passed', 'passed'];
  assert.deepEqual(Object.fromEntries(counts), {
    one: all('passed'),
    'crashes once': all('crashed'),
    'hangs once': ['passed', 'passed', 'passed', 'timeout'],
    four: all('passed'),
  });
  assert.match(done.stdout, /Flaky: failed in 1 of 4 passes \(pass \d\)[^]*SIGSEGV/);
});

test('a hook that fails in one pass is flaky, and so is what a hook adds', async (t) => {
  const folder = project(t, {
    'test/a.js': `const fs = require('fs');
      const first = (name) => { try { fs.mkdirSync(name); return true; } catch { return false; } };
      describe('a', () => {
        before(function () {
          this.test.parent.addTest(it('added', () => { if (first('t')) throw new Error('t'); }));
          if (first('h')) throw new Error('no database');
        });
        it('one', () => {});
      });`,
    'test/b.js': "describe('b', () => { it('two', () => {}); });",
  });
  const done = await qeMocha(folder, [
    '--flaky=4',
    '--flaky-mode=fixed',
    '--bail',
    '--report-json=out.json',
  ]);
  assert.match(done.stdout, /"before all" hook[^]*Flaky: failed in 1 of 4 passes[^]*no database/);
  assert.match(done.stdout, /Flaky: failed in 1 of 3 passes/);
  const { tests } = report(folder);
  const of = (name) => tests.find(({ id }) => id.endsWith(name));
  assert.equal(of('a one').attempts.length, 3, 'it did not run behind the hook');
  assert.equal(of('b two').attempts.length, 4, '--bail ends no pass');
});

test('tests that have other names in each process are told, each in its passes', async (t) => {
  const folder = project(t, {
    'test/a.js': `describe('a', () => {
        it('of ' + process.pid, () => {});
        it('same', () => {});
      });`,
  });
  const done = await qeMocha(folder, ['--flaky=3', '--flaky-mode=fixed', '--report-json=out.json']);
  assert.equal(done.code, 0, done.stdout + done.stderr);
  const counts = report(folder).tests.map(({ attempts }) => attempts.length);
  assert.deepEqual(counts.sort(), [1, 1, 1, 3]);
});

test('shards, --grep and .only choose what passes run', async (t) => {
  const file = (name) => `describe('${name}', () => { it('x', () => {}); it('y', () => {}); });`;
  const folder = project(t, { 'test/a.js': file('a'), 'test/b.js': file('b') });
  const found = [];
  for (const part of ['1/2', '2/2']) {
    const words = [
      `--shard-by-time=${part}`,
      '--flaky=2',
      '--flaky-mode=fixed',
      '--grep=x',
      '--report-json=out.json',
    ];
    const done = await qeMocha(folder, words);
    assert.equal(done.code, 0, done.stdout + done.stderr);
    found.push(...report(folder).tests.map(({ id }) => id));
  }
  assert.deepEqual(found.sort(), ['test/a.js::a x', 'test/b.js::b x']);
});

test('what is printed stands beside its test, and each suite begins once', async (t) => {
  const folder = project(t, {
    'test/a.js': `const fs = require('fs');
      afterEach(function () { console.log('behind', this.currentTest.title); });
      describe('a', () => {
        it('one', () => console.log('in one'));
        describe('b', () => {
          // Each of these is told as it was in another pass.
          for (const n of [1, 2, 3, 4]) it('fails in ' + n, () => {
            console.log('in', n);
            fs.appendFileSync('seen' + n, 'x');
            if (fs.statSync('seen' + n).size === n) throw new Error('now');
          });
        });
      });
      after(() => console.log('the end'));`,
  });
  const done = await qeMocha(folder, [
    '--flaky=5',
    '--flaky-mode=fixed',
    '--flaky-seed=3',
    '--parallel=1',
  ]);
  assert.equal(done.code, 4, done.stdout + done.stderr);
  const [told] = stripVTControlCharacters(done.stdout).split(/^ +1 passing/m);
  const lines = told.split('\n').map((line) => line.replace(/\(\d+m?s\)|\S\) /, '').trim());
  const of = (n) => [`in ${n}`, `fails in ${n}`, `behind fails in ${n}`];
  assert.deepEqual(lines.filter(Boolean), [
    ...['a', 'in one', '✔ one', 'behind one'],
    ...['b', ...of(1), ...of(2), ...of(3), ...of(4)],
    'the end',
  ]);
});

test('a file that cannot be loaded in some passes fails the run', async (t) => {
  const folder = project(t, {
    'test/a.js': `const fs = require('fs');
      fs.appendFileSync('loads', 'x');
      if (fs.statSync('loads').size > 1) throw new Error('only once');
      describe('a', () => { it('one', () => {}); });`,
  });
  const words = ['--parallel=1', '--flaky=4', '--flaky-mode=fixed', '--report-json=out.json'];
  const done = await qeMocha(folder, words);
  assert.equal(done.code, 1, done.stdout + done.stderr);
  assert.match(done.stdout, /1 passing[^]*1 failing[^]*Error: Not loaded: .*only once/);
  const { tests } = report(folder);
  const counts = tests.map(({ id, attempts }) => [id, attempts.length]);
  assert.deepEqual(counts, [
    ['test/a.js::a one', 1],
    ['test/a.js::test/a.js', 3],
  ]);
});

test('what is no number of passes, and no seed, is refused in one line', async (t) => {
  const folder = project(t, { 'test/a.js': '' });
  for (const [word, line] of [
    ['--flaky=1', 'qe-mocha: --flaky=1: takes a whole number from 2 to 10000\n'],
    [
      '--flaky-seed=x',
      'qe-mocha: --flaky-seed=x: takes a whole number from -2147483648 to 2147483647\n',
    ],
  ]) {
    const done = await qeMocha(folder, [word]);
    assert.deepEqual([done.code, done.stderr], [2, line]);
  }
});
