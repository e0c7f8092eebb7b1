'use strict';
// qe-mocha's output is serial mocha's, but for times: every reporter, and options that
// mocha's own parallel mode forbids or cannot keep.

const assert = require('node:assert/strict');
const test = require('node:test');

const { mocha, project, qeMocha, same } = require('./mocha-project');

const REPORTERS = [
  'spec',
  'dot',
  'nyan',
  'tap',
  'landing',
  'list',
  'progress',
  'json',
  'json-stream',
  'min',
  'doc',
  'markdown',
  'xunit',
];

const TORTURE = {
  'test/a.js': `
    const assert = require('assert');
    before(function atRoot() { global.prepared = true; });
    describe('values', () => {
      it('passes', () => { assert(prepared); console.log('printed by a test'); });
      it('is slow', (done) => setTimeout(done, 160));
      it('compares', () => assert.deepStrictEqual({ a: 1, b: [1, 2] }, { a: 1, b: [1, 3] }));
      it('compares texts', () => assert.strictEqual('one\\ntwo', 'one\\nthree'));
      it('compares bigints', () => assert.strictEqual(1n, 2n));
      it('is yet to be written');
      it.skip('is skipped', () => {});
      describe('deeper', () => {
        beforeEach(() => {});
        it('passes', () => {});
        it('skips itself', function () { this.skip(); });
      });
    });
    it('has no suite', () => {});`,
  'test/b.js': `
    describe('errors', function () {
      let runs = 0;
      it('passes at the third try', function () {
        this.retries(2);
        if (runs++ < 2) throw new Error('again');
      });
      it('has a cause', () => { throw new Error('outer', { cause: new TypeError('inner') }); });
      it('throws a text', () => { throw 'text'; });
      it('rejects', async () => { await null; throw new RangeError('rejected'); });
      it('has more', () => { throw Object.assign(new Error('more'), { code: 'E_MORE', n: [1] }); });
      it('never settles', function () { this.timeout(50); return new Promise(() => {}); });
      it('calls done with an object', (done) => done({ not: 'an error' }));
    });`,
  'test/c.js': `
    describe('hooks', () => {
      describe('before', () => {
        before('named', () => { throw new Error('in before'); });
        it('does not run', () => {});
      });
      describe('beforeEach', () => {
        beforeEach(function () { if (this.currentTest.title === 'second') throw new Error('each'); });
        it('first', () => {});
        it('second', () => {});
        it('third', () => {});
      });
      describe('after', () => {
        after(() => { throw new Error('in after'); });
        it('passes', () => {});
      });
      describe.skip('skipped', () => { it('does not run', () => {}); });
    });
    it('has no suite either', () => { console.error('printed to stderr'); });`,
  'test/d.js': `describe('empty', () => {}); describe('<last> & least', () => { it('"quoted"', () => {}); });`,
};

test('every reporter writes what it writes serially', async (t) => {
  const folder = project(t, TORTURE);
  for (const reporter of REPORTERS) {
    await t.test(reporter, async () => {
      const { stdout, code } = await same(folder, ['--reporter', reporter]);
      assert.equal(code, 12);
      assert.ok(stdout.length > 500);
    });
  }
});

test('a reporter of the user sees the same events, objects and counts', async (t) => {
  const folder = project(t, {
    ...TORTURE,
    'reporter.js': `module.exports = class {
      constructor(runner) {
        const log = (...all) => console.log(JSON.stringify(all));
        for (const name of ['suite', 'suite end']) runner.on(name, (s) => log(name, s.titlePath(), s.root));
        for (const name of ['hook', 'hook end']) runner.on(name, (h) => log(name, h.title, h.file));
        for (const name of ['test', 'test end', 'pass', 'pending', 'retry', 'fail']) {
          runner.on(name, (x, error) => log(name, x.titlePath(), x.type, x.state, x.pending, x.file,
            x.timeout(), x.slow(), x.currentRetry(), x.retries(), x.isPending(), x.body,
            error && [error instanceof Error, String(error), Object.getOwnPropertyNames(error)]));
        }
        runner.once('start', () => log(runner.total, runner.grepTotal(runner.suite)));
        runner.once('end', () => log({ ...runner.stats, start: 0, end: 0, duration: 0 }, runner.failures));
      }
      done(failures, fn) { console.log('done', failures); fn(failures); }
    };`,
  });
  const { stdout } = await same(folder, ['--reporter', './reporter.js']);
  assert.match(stdout, /"hook"[^]*"retry"[^]*done 12/);
});

test('options mean what they mean serially', async (t) => {
  const folder = project(t, TORTURE);
  const lines = [
    '--bail',
    '--file test/c.js',
    '--sort --dry-run',
    '--retries 1 --timeout 70',
    '--grep nothing --fail-zero',
    '--fgrep passes --invert',
    '--forbid-pending',
    '--check-leaks',
    '--inline-diffs --no-diff',
    '--posix-exit-codes',
    '--slow 10 --async-only',
    '--pass-on-failing-test-suite',
    '--version',
    '--list-reporters',
    'nowhere.js',
  ];
  for (const line of lines) await t.test(line, () => same(folder, line.split(' ')));
});

test('`.only` in one file leaves nothing of the others', async (t) => {
  const folder = project(t, {
    'test/a.js': `describe('a', () => { it('no', () => { throw new Error(); }); });
      it('no', () => { throw new Error(); });`,
    'test/b.js': `describe('b', () => {
      it('no', () => { throw new Error(); });
      it.only('yes', () => {});
      describe.only('whole', () => { it('yes', () => {}); });
    });`,
    'test/c.mjs': `describe.only('c', () => { it('yes', () => {}); });`,
  });
  const { stdout } = await same(folder, ['--reporter', 'json', 'test']);
  assert.equal(JSON.parse(stdout.replaceAll('MASKED', '0')).stats.tests, 2);
  await same(folder, ['test/*.*js']);
});

test('hooks at the root, of files and of --require, are for all files', async (t) => {
  const folder = project(t, {
    'hooks.js': `
      exports.mochaHooks = {
        beforeAll() { global.calls = 0; },
        beforeEach() { global.calls += 1; },
        afterAll() { if (process.env.FAIL_AFTER) throw new Error('in the last hook'); },
      };
      exports.mochaGlobalSetup = () => { process.env.FROM_SETUP = 'yes'; console.log('set up'); };
      exports.mochaGlobalTeardown = () => { console.log('torn down'); };`,
    'test/a.js': `beforeEach(function () {
        if (this.currentTest.title === process.env.FAIL_AT) throw new Error('at the root');
      });
      it('a', () => {});`,
    'test/b.js': `describe('b', () => { it('b', () => {
        if (!(calls > 0) || process.env.FROM_SETUP !== 'yes') throw new Error('no hooks');
      }); });`,
    'test/c.js': `describe('c', () => { it('c', () => {}); });`,
  });
  const { stdout, code } = await same(folder, ['--require', './hooks.js']);
  assert.equal(code, 0);
  assert.match(stdout, /set up[^]*3 passing[^]*torn down/);
  const failed = await same(folder, ['--require', './hooks.js'], { FAIL_AFTER: '1' });
  assert.equal(failed.code, 1);
  await same(folder, ['--require', './hooks.js'], { FAIL_AT: 'b' });
});

test('a configuration, other interfaces, --delay and flags of node', async (t) => {
  const folder = project(t, {
    '.mocharc.json': '{ "spec": ["spec/*.js"], "reporter": "tap" }',
    'spec/one.js': "it('one', () => {});",
    'spec/two.js': "it('has gc', () => { if (process.env.GC && !global.gc) throw new Error(); });",
    'tdd.js': "suite('s', () => { suiteSetup(() => {}); setup(() => {}); test('t', () => {}); });",
    'qunit.js': "suite('one'); test('1', () => {}); suite('two'); test('2', () => { throw 2; });",
    'exports.js':
      'module.exports = { before() {}, one: { works() {}, two: { fails() { throw 2; } } } };',
    'require.js':
      "const { describe, it } = require('mocha'); describe('r', () => { it('r', () => {}); });",
    'delay.js': "setTimeout(() => { describe('late', () => { it('d', () => {}); }); run(); }, 30);",
    'empty.js': '',
  });
  await same(folder, []);
  await same(folder, ['--expose-gc'], { GC: '1' });
  const own = ['--no-config', '--reporter', 'spec'];
  await same(folder, [...own, '--ui', 'tdd', 'tdd.js']);
  await same(folder, [...own, '--ui', 'qunit', 'qunit.js']);
  await same(folder, [...own, '--ui', 'exports', 'exports.js']);
  await same(folder, [...own, '--delay', 'delay.js', 'require.js']);
  await same(folder, [...own, 'empty.js', 'require.js']);
  await same(folder, [...own, 'empty.js']);
});

test('a file that cannot be loaded ends the run, as in mocha', async (t) => {
  const folder = project(t, {
    'test/a.js': "it('a', () => {});",
    'test/b.js': "throw Object.assign(new Error('while loading'), { code: 'E_LOAD' });",
  });
  const head = ({ stderr }) => stderr.split('\n').slice(0, 4);
  const serial = await mocha(folder);
  const ours = await qeMocha(folder);
  assert.deepEqual(head(ours), head(serial));
  assert.match(ours.stderr, /while loading[^]*E_LOAD/);
  assert.deepEqual([ours.code, ours.stdout], [serial.code, serial.stdout]);
});
