'use strict';
// What is easily lost between a worker and the reporter: each as serial mocha has it.

const assert = require('node:assert/strict');
const fs = require('node:fs');
const path = require('node:path');
const test = require('node:test');

const { project, qeMocha, same } = require('./mocha-project');

test('--bail stops behind a failing test at the root of a file', async (t) => {
  const folder = project(t, {
    'test/a.js': "describe('A', () => { it('a', () => {}); });",
    'test/b.js': "it('at the root', () => { throw new Error('it fails'); });",
    'test/c.js': "it('another', () => {}); describe('C', () => { it('c', () => {}); });",
  });
  const { stdout, code } = await same(folder, ['--bail']);
  assert.match(stdout, /0 passing.*\n +1 failing/);
  assert.equal(code, 1);
});

test('--check-leaks fails a test that has passed', async (t) => {
  const folder = project(t, {
    'test/a.js': "it('leaks', () => { leaky = 1; }); it('next', () => {});",
    'test/b.js': "describe('B', () => { it('b', () => {}); });",
  });
  for (const reporter of ['spec', 'json']) {
    const { stdout, code } = await same(folder, ['--check-leaks', '--reporter', reporter]);
    assert.match(stdout, /global leak\(s\) detected: 'leaky'/);
    assert.equal(code, 1);
  }
});

test('what a hook above a suite skips is skipped for every reporter', async (t) => {
  const folder = project(t, {
    'test/a.js': `describe('skips', () => {
      before(function () { this.skip(); });
      it('one', () => {});
      describe('deep', () => { it('two', () => {}); });
    });`,
  });
  const { stdout } = await same(folder, ['--reporter', 'xunit']);
  assert.equal(stdout.split('<skipped/>').length, 3);
});

test('an end just after the files are loaded ends the run', async (t) => {
  const folder = project(t, {
    'test/a.js': "describe('A', () => { it('a', (done) => setTimeout(done, 50)); });",
    'test/b.js': `
      require('fs').appendFileSync('loaded', 'x');
      const { AT, HOW } = process.env;
      const end = () => {
        if (HOW === 'exit') process.exit(1);
        throw new Error('left behind');
      };
      if (AT === 'soon') setTimeout(end, 0);
      if (AT === 'go') {
        const look = () => process.env.GO ? end() : setImmediate(look);
        look();
      }
      it('b', (done) => setTimeout(done, 50));`,
    'setup.js': "exports.mochaGlobalSetup = () => { process.env.GO = '1'; };",
  });
  const loads = () => fs.readFileSync(path.join(folder, 'loaded'), 'utf8').length;
  for (const AT of ['soon', 'go']) {
    for (const HOW of ['exit', 'throw']) {
      fs.rmSync(path.join(folder, 'loaded'), { force: true });
      const args = ['--parallel=2', '--require', './setup.js'];
      const { code, stdout, signal } = await qeMocha(folder, args, { AT, HOW });
      const what = `${AT} ${HOW}: ${stdout}`;
      assert.equal(signal, null, what);
      assert.notEqual(code, 0, what);
      assert.match(stdout, /[1-9] failing/, what);
      assert.ok(loads() <= 8, `${loads()} loads, ${what}`);
    }
  }
});

test('a temporary folder that is none is one line', async (t) => {
  const folder = project(t, { 'test/a.js': "it('a', () => {});", file: '' });
  for (const [name, code] of [
    ['nowhere', 'ENOENT'],
    ['file', 'ENOTDIR'],
  ]) {
    const TMPDIR = path.join(folder, name);
    const run = await qeMocha(folder, [], { TMPDIR });
    assert.equal(
      run.stderr,
      `qe-mocha: TMPDIR: ${TMPDIR}: no folder can be made there (${code})\n`,
    );
    assert.deepEqual([run.stdout, run.code], ['', 2]);
  }
});

test('reporters can ask a hook for the test that it runs for', async (t) => {
  const folder = project(t, {
    'test/a.js': `describe('a', () => {
      before(() => {});
      beforeEach(() => {});
      afterEach('fails', function () { if (this.currentTest.title === 'two') throw new Error(); });
      after(() => {});
      it('one', () => {});
      it('two', () => {});
    });`,
    'rep.js': `module.exports = class {
      constructor(runner) {
        for (const name of ['hook', 'hook end', 'fail', 'test end'])
          runner.on(name, ({ title, ctx }) => console.log(name, title, ctx.currentTest?.title));
      }
    };`,
  });
  const { stdout } = await same(folder, ['--reporter', './rep.js']);
  assert.match(stdout, /^fail "after each" hook: fails for "two" two$/m);
});

test('what is circular or huge is compared as mocha compares it', async (t) => {
  const folder = project(t, {
    'test/a.js': `const { deepEqual } = require('assert');
      const round = {};
      round.round = round;
      it('circular', () => deepEqual(round, {}));
      it('long', () => deepEqual({ a: 'x'.repeat(20000) }, { a: 'y' }));
      it('many', () => deepEqual(Array.from({ length: 3000 }, (_, i) => ({ i })), []));`,
  });
  await same(folder, ['--reporter', 'json']);
  await same(folder, []);
});

test('files that one worker alone can load do not pass without having run', async (t) => {
  // Nothing ends before the second worker has tried.
  const waits = `it('waits', function (done) {
    this.timeout(60000);
    const look = () =>
      require('fs').existsSync('tried') ? setTimeout(done, 1500) : setTimeout(look, 20);
    look();
  });`;
  const folder = project(t, {
    'test/a.js': `const fs = require('fs');
      if (fs.existsSync('once')) fs.writeFileSync('tried', '');
      fs.mkdirSync('once'); // a second worker cannot
      describe('a', () => { ${waits} });`,
    'test/b.js': `describe('b', () => {
      ${waits}
      it('fails', () => { throw new Error('must be seen'); });
    });`,
  });
  const { stdout, code } = await qeMocha(folder, ['--parallel=2']);
  assert.equal(code, 1, stdout);
  assert.match(stdout, /1 passing[^]*1 failing[^]*1\) test\/a\.js:\n +Error: Not loaded: .*EEXIST/);
});
