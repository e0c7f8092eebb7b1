'use strict';
// What qe-mocha leaves behind and goes by: history, JSON and JUnit results, shards by
// time; and what it does about workers that grow, and tests that hang.

const assert = require('node:assert/strict');
const fs = require('node:fs');
const path = require('node:path');
const test = require('node:test');

const { project, qeMocha, results } = require('./mocha-project');

const read = (folder, name) => JSON.parse(fs.readFileSync(path.join(folder, name), 'utf8'));

const MIXED = {
  'test/a.js': `
    describe('a', () => {
      let runs = 0;
      it('passes', () => {});
      it('twice', () => {});
      it('twice', () => { throw new Error('the second one'); });
      it('passes at last', function () { this.retries(2); if (runs++ < 1) throw new Error('not yet'); });
      it.skip('is skipped', () => {});
      it('exits', () => process.exit(3));
      it('loops', () => { for (;;); });
    });`,
  'test/b.js': `
    describe('b', () => {
      describe('in', () => { before('first', () => { throw new Error('in a hook'); }); it('x', () => {}); });
      it('passes', () => {});
    });
    it('has no suite', () => {});`,
};

test('--report-json has each test, each attempt, and what it came to', async (t) => {
  const folder = project(t, MIXED);
  const words = ['--parallel=2', '--test-timeout-hard=1', '--report-json=out/result.json'];
  const { code } = await qeMocha(folder, words);
  assert.equal(code, 4);
  const { schema, run, summary, tests } = read(folder, 'out/result.json');
  assert.equal(schema, 1);
  assert.deepEqual(
    tests.map(({ id, outcome, attempts }) => [id, outcome, attempts.map((one) => one.outcome)]),
    [
      ['test/b.js::has no suite', 'passed', ['passed']],
      ['test/a.js::a passes', 'passed', ['passed']],
      ['test/a.js::a twice', 'passed', ['passed']],
      ['test/a.js::a twice#2', 'failed', ['failed']],
      ['test/a.js::a passes at last', 'flaky', ['failed', 'passed']],
      ['test/a.js::a is skipped', 'skipped', ['skipped']],
      ['test/a.js::a exits', 'crashed', ['crashed']],
      ['test/a.js::a loops', 'timeout', ['timeout']],
      ['test/b.js::b passes', 'passed', ['passed']],
      ['test/b.js::b in "before all" hook: first for "x"', 'error', ['error']],
    ],
  );
  assert.deepEqual(summary, {
    total: 10,
    none: 0,
    passed: 4,
    failed: 1,
    skipped: 1,
    error: 1,
    timeout: 1,
    crashed: 1,
    flaky: 1,
  });
  assert.equal(run.interrupted, false);
  assert.equal(tests[3].message, 'Error: the second one');
  const [loop] = tests[7].attempts;
  assert.ok(loop.duration > 0.9 && loop.start > Date.now() / 1000 - 60, JSON.stringify(loop));
});

test('--report-junit has a case for each test', async (t) => {
  const folder = project(t, MIXED);
  const words = ['--test-timeout-hard=1', '--report-junit=out/junit.xml', '--reporter=dot'];
  await qeMocha(folder, words);
  const xml = fs.readFileSync(path.join(folder, 'out/junit.xml'), 'utf8');
  assert.match(xml, /<testsuite [^>]*tests="10"[^>]*failures="3"[^>]*errors="1"[^>]*skipped="1"/);
  const atLast =
    /name="passes at last"[^>]*><flakyFailure message="(.*?)" type="Error"><stackTrace>/;
  assert.match(xml, atLast); // it failed first, and passed when mocha ran it again
  assert.match(xml, /name="loops"[^>]*>\s*<failure message="Error: Timeout: its worker/);
});

test('the next run begins with what failed, then with what takes longest', async (t) => {
  const files = {};
  for (const name of ['a', 'b', 'c', 'd']) {
    files[`test/${name}.js`] = `const fs = require('fs');
      describe('${name}', () => { it('x', function (done) {
        this.timeout(0);
        fs.appendFileSync('order', '${name}');
        if (process.env.FAILS === '${name}') throw new Error('told to');
        // For one that was claimed before: it begins when its worker has loaded.
        const { AWAITS, SLOW } = process.env;
        const begun = () => !AWAITS || fs.readFileSync('order', 'utf8').includes(AWAITS);
        let patience = 1000;
        (function look() {
          if (!begun() && patience-- > 0) return setTimeout(look, 20);
          setTimeout(done, '${name}' === SLOW ? 8000 : 1);
        })();
      }); });`;
  }
  const folder = project(t, files);
  const order = path.join(folder, 'order');
  const run = async (environment, ...more) => {
    fs.rmSync(order, { force: true });
    const { stdout } = await qeMocha(folder, ['--reporter=json', ...more], environment);
    const shown = JSON.parse(stdout).tests.map(({ fullTitle }) => fullTitle[0]);
    assert.deepEqual(shown.join(''), 'abcd', 'reporters hear of them in serial order');
    return fs.readFileSync(order, 'utf8');
  };
  assert.equal(await run({ FAILS: 'c' }, '--parallel=1'), 'abcd');
  assert.equal(await run({}, '--parallel=1'), 'cabd');
  assert.equal(await run({ SLOW: 'd' }, '--parallel=1'), 'abcd');
  // That is worth two workers at once, and one of them begins with it.
  assert.match(await run({ AWAITS: 'd' }, '--parallel=2'), /^.?d/);
  assert.equal(fs.readFileSync(path.join(folder, '.qe/.gitignore'), 'utf8').includes('*'), true);
});

test('a history that is not usable is one warning', async (t) => {
  const folder = project(t, { 'a.js': "it('a', () => {});", '.qe/history.db': 'no database' });
  const { code, stderr } = await qeMocha(folder, ['a.js']);
  assert.equal(code, 0);
  assert.match(stderr, /^qe-mocha: warning: history is not used: [^\n]+\n$/);
});

test('shards by time are disjoint and complete, and each has all root hooks', async (t) => {
  const files = {};
  for (let i = 0; i < 6; i++) {
    files[`test/${i}.js`] = `describe('${i}', () => { it('x', (done) => {
      if (!global.hooked) throw new Error('no hook');
      setTimeout(done, ${i === 4 ? 400 : 20});
    }); });`;
  }
  files['test/5.js'] += 'beforeEach(() => { global.hooked = true; });';
  const folder = project(t, files);
  const measured = await qeMocha(folder, ['--shard-durations=durations.json']);
  assert.equal(measured.code, 0);
  const run = async (index, ...more) => {
    const words = [`--shard-by-time=${index}/2`, `--report-json=${index}.json`, '--reporter=json'];
    const done = await qeMocha(folder, [...words, ...more]);
    assert.equal(done.code, 0, done.stderr);
    return Object.keys(results(done).tests);
  };
  const durations = '--shard-durations=durations.json';
  const parts = [await run(1, durations), await run(2, durations)];
  assert.deepEqual(parts.flat().sort(), ['0 x', '1 x', '2 x', '3 x', '4 x', '5 x']);
  assert.ok(parts.some((part) => part.join() === '4 x'));
  const verify = (...names) => qeMocha(folder, ['--verify-shards', ...names]);
  const { stdout } = await verify('1.json', '2.json');
  assert.equal(stdout, 'qe-mocha: 2 shards, 6 test files: disjoint and complete\n');
  const missing = await verify('1.json');
  assert.deepEqual([missing.code, missing.stderr], [2, 'qe-mocha: missing: shard 2/2\n']);
  const none = await qeMocha(folder, ['--shard-by-time=1/2', '--shard-durations=no.json']);
  assert.equal(none.code, 2);
  assert.match(none.stderr, /^qe-mocha: --shard-durations=no\.json: no such file[^\n]*\n$/);
});

test('`.only` in one shard leaves nothing of the others', async (t) => {
  const folder = project(t, {
    'test/a.js': "it.only('a', () => {});",
    'test/b.js': "it('b', () => { throw new Error(); });",
    'test/c.js': "describe('c', () => { it('c', () => { throw new Error(); }); });",
  });
  const tests = [];
  const names = [1, 2, 3, 4, 5].map((index) => `${index}.json`);
  for (const index of [1, 2, 3, 4, 5]) {
    // More shards than files: some have none.
    const words = [`--shard-by-time=${index}/5`, `--report-json=${index}.json`, '--reporter=json'];
    const run = await qeMocha(folder, words);
    assert.equal(run.code, 0);
    tests.push(...Object.keys(results(run).tests));
  }
  assert.deepEqual(tests, ['a']);
  const { code } = await qeMocha(folder, ['--verify-shards', ...names]);
  assert.equal(code, 0);
});

test('a worker that holds too much memory is replaced between files', async (t) => {
  const files = {};
  for (let i = 0; i < 4; i++) {
    files[`test/${i}.js`] = `it('${i}', () => { console.log('worker ' + process.pid);
      (global.held ??= []).push(Buffer.alloc(process.env.HOLDS * 2 ** 20, 1)); });`;
  }
  const folder = project(t, files);
  const workers = async (HOLDS) => {
    const words = ['--parallel=1', '--max-worker-rss=250M'];
    const { stdout, code } = await qeMocha(folder, words, { HOLDS });
    assert.equal(code, 0);
    assert.match(stdout, /4 passing/);
    return new Set(stdout.match(/worker \d+/g)).size;
  };
  assert.equal(await workers('1'), 1);
  assert.equal(await workers('250'), 4);
});

test('what hangs is told with the line', async (t) => {
  const folder = project(t, {
    'test/a.js': `
describe('a', () => {
  it('loops', function spin() {
    for (;;);
  });
  it('waits', () => { Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0); });
});`,
    'test/b.js': `function load() {
  for (;;);
}
load();`,
  });
  const run = await qeMocha(folder, ['--test-timeout-hard=1', '--reporter=json']);
  const { failures } = JSON.parse(run.stdout);
  const stack = (title) => failures.find((one) => one.fullTitle === title).err.stack;
  assert.match(stack('a loops'), /\n +at spin \((.*\/)?test\/a\.js:4:\d+\)/);
  assert.doesNotMatch(stack('a loops'), /mocha\/lib/);
  assert.match(stack('test/b.js'), /\n +at load \((.*\/)?test\/b\.js:2:\d+\)/);
  assert.match(stack('a waits'), /in native code|test\/a\.js:6/);
});
