'use strict';
// executeTests and detectFlaky, with the frameworks themselves.

const assert = require('node:assert/strict');
const fs = require('node:fs');
const os = require('node:os');
const path = require('node:path');
const { test } = require('node:test');

const qe = require('../..');
const { ROOT, processesWith } = require('./helpers');

// Where `make test-js` has installed pytest; otherwise one in PATH will do.
const PYTHON = path.join(ROOT, 'build', 'venv', 'bin');
const PATH = `${PYTHON}:${process.env.PATH}`;
const has = (program) => PATH.split(':').some((place) => fs.existsSync(path.join(place, program)));

/** A project with files, and this repository's frameworks; removed when the test is over. */
function project(t, files) {
  const folder = fs.mkdtempSync(path.join(os.tmpdir(), 'qe-test-'));
  t.after(() => fs.rmSync(folder, { recursive: true, force: true }));
  fs.symlinkSync(path.join(ROOT, 'node_modules'), path.join(folder, 'node_modules'));
  for (const [name, text] of Object.entries({ 'package.json': '{}', ...files })) {
    fs.writeFileSync(path.join(folder, name), text);
  }
  return folder;
}

// Fails the first `times` that it is run, by a counter in a file.
const counted = (name, times) => `
  const fs = require('node:fs');
  const runs = fs.existsSync('${name}') ? fs.readFileSync('${name}', 'utf8').length : 0;
  fs.writeFileSync('${name}', 'x'.repeat(runs + 1));
  if (runs < ${times}) throw new Error('not yet');`;

const SUITES = {
  jest: {
    'pass.test.js': "test('one', () => { expect(1).toBe(1); });",
    'fail.test.js': "test('two', () => { expect(1).toBe(2); });",
    'hang.test.js': "test('three', () => { while (true); });",
    'crash.test.js': "test('four', () => { process.kill(process.pid, 'SIGSEGV'); });",
    'flaky.test.js': `test('five', () => { ${counted('runs', 1)} });`,
  },
  mocha: {
    'pass.js': "it('one', () => {});",
    'fail.js': "it('two', () => { throw new Error('no'); });",
    'hang.js': "it('three', () => { while (true); });",
    'crash.js': "it('four', () => { process.kill(process.pid, 'SIGSEGV'); });",
    'flaky.js': `it('five', () => { ${counted('runs', 1)} });`,
  },
  node: {
    'pass.js': "require('node:test')('one', () => {});",
    'fail.js': "require('node:test')('two', () => { throw new Error('no'); });",
    'hang.js': "require('node:test')('three', () => { while (true); });",
    'crash.js': "require('node:test')('four', () => { process.kill(process.pid, 'SIGSEGV'); });",
    'flaky.js': `require('node:test')('five', () => { ${counted('runs', 1)} });`,
  },
  pytest: {
    'test_pass.py': 'def test_one(): pass\n',
    'test_fail.py': 'def test_two(): assert 1 == 2\n',
    'test_hang.py': 'def test_three():\n    while True: pass\n',
    'test_crash.py': 'import os\ndef test_four(): os.kill(os.getpid(), 11)\n',
    'test_flaky.py':
      'import pathlib\ndef test_five():\n    p = pathlib.Path("runs"); n = p.exists()\n' +
      '    p.write_text("x")\n    assert n\n',
  },
};

for (const [framework, files] of Object.entries(SUITES)) {
  const skipped = {
    skip: framework === 'pytest' && !has('pytest') && 'pytest is not installed here',
  };
  test(`${framework}: each file has its outcome, whatever it does`, skipped, async (t) => {
    const mark = `${process.pid} ${framework}`;
    const cwd = project(t, files);
    const hanging = Object.keys(files).find((name) => /hang/.test(name));
    const names = Object.keys(files).filter((name) => name !== hanging);
    const options = {
      framework,
      cwd,
      env: { PATH, QE_TEST_MARK: mark, PYTEST_DISABLE_PLUGIN_AUTOLOAD: '1' },
      maxConcurrent: 2,
      retryAttempts: 2,
      retryBackoff: 0.1,
      throttlePeriod: 0.01,
    };
    const done = await qe.executeTests(names, options);
    const [pass, fail, crash, flaky] = done.results;
    // Apart: on a busy machine a framework may need some time for any file.
    const hung = await qe.executeTests([hanging], { ...options, retryTimeout: 3 });
    const [hang] = hung.results;
    assert.deepEqual(
      done.results.map((result) => result.file),
      names,
    );
    const of = ({ outcome, passed, attempts, timedOut }) => [outcome, passed, attempts, timedOut];
    assert.deepEqual(of(pass), ['passed', true, 1, false], pass.stdout + pass.stderr);
    assert.deepEqual(of(fail), ['failed', false, 2, false]);
    assert.deepEqual(of(hang), ['timeout', false, 2, true]);
    assert.deepEqual(of(flaky), ['flaky', true, 2, false]);
    assert.equal(crash.passed, false);
    // The test runner of Node has a process for the file, and outlives it.
    if (framework !== 'node') {
      const { SIGSEGV } = os.constants.signals;
      // mocha's command ends itself by the signal of its child, or with its number.
      assert.ok([-SIGSEGV, 128 + SIGSEGV].includes(crash.returncode), `${crash.returncode}`);
    }
    assert.equal(pass.returncode, 0);
    assert.ok(fail.returncode > 0);
    assert.match(fail.stdout + fail.stderr, /two/);
    assert.ok(hang.duration >= 3);
    assert.ok(pass.cpu > 0 && pass.peakBytes > 2 ** 20);
    assert.deepEqual(
      [done.total, done.passed, done.failed, done.passRate, done.framework],
      [4, 2, 2, 50, framework],
    );
    assert.deepEqual([done.retries, done.timeouts], [3, 0]);
    assert.deepEqual([hung.retries, hung.timeouts], [1, 2]);
    assert.ok(hung.executionTime >= 6);
    assert.equal(done.avgTimePerTest, done.executionTime / 4);
    assert.deepEqual(processesWith('QE_TEST_MARK', mark), []);
  });
}

test('defaults: three attempts, and no more than what there is', async (t) => {
  const cwd = project(t, { 'a.js': counted('a', 2), 'b.js': counted('b', 9) });
  const began = performance.now();
  const done = await qe.executeTests(['a.js', 'b.js'], { framework: 'node', cwd });
  // 2 and 4 seconds between the attempts.
  assert.ok(performance.now() - began >= 6000);
  assert.deepEqual(
    done.results.map(({ outcome, attempts }) => [outcome, attempts]),
    [
      ['flaky', 3],
      ['failed', 3],
    ],
  );
  assert.equal(done.passRate, 50);
});

test('detectFlaky tells by many runs', async (t) => {
  const cwd = project(t, {
    'stable.js': '',
    'failing.js': "throw new Error('always');",
    'flaky.js': counted('runs', 2),
  });
  const files = ['stable.js', 'failing.js', 'flaky.js'];
  const done = await qe.detectFlaky(files, {
    framework: 'node',
    cwd,
    iterations: 6,
    maxConcurrent: 1, // so that the first two are those that fail
    throttlePeriod: 0.01,
    filePeriod: 0.01,
  });
  assert.deepEqual(done.flakyList, [
    {
      file: 'flaky.js',
      iterations: 6,
      passed: 4,
      failed: 2,
      isFlaky: true,
      flakinessScore: 2 / 3,
      passRate: 4 / 6,
      pattern: 'INTERMITTENT',
    },
  ]);
  const { executionTime, avgTimePerTest, ...rest } = done;
  assert.equal(avgTimePerTest, executionTime / 3);
  delete rest.flakyList;
  assert.deepEqual(rest, {
    totalTests: 3,
    flakyTests: 1,
    flakinessRate: 33.33,
    totalRuns: 18,
    framework: 'node',
    patternDistribution: { STABLE_PASS: 1, STABLE_FAIL: 1, INTERMITTENT: 1 },
  });
});

test('detectFlaky: two files at a time, three runs of each, as far apart as is said', async (t) => {
  const cwd = project(t, {
    'a.js': 'setTimeout(() => {}, 300);',
    'b.js': 'setTimeout(() => {}, 300);',
  });
  const began = performance.now();
  const done = await qe.detectFlaky(['a.js', 'b.js'], { framework: 'node', cwd, iterations: 4 });
  // The second file begins 0.5 s later, and its fourth run 0.6 s after its first.
  assert.ok(performance.now() - began >= 1400);
  assert.equal(done.totalRuns, 8);
  assert.equal(done.flakyTests, 0);
});

test('detectFlaky: a file whose time is over starts no more runs', async (t) => {
  const cwd = project(t, { 'slow.js': 'setTimeout(() => {}, 400);' });
  const done = await qe.detectFlaky(['slow.js'], {
    framework: 'node',
    cwd,
    iterations: 50,
    maxConcurrent: 1,
    fileTimeout: 1,
  });
  assert.ok(done.totalRuns >= 1 && done.totalRuns < 10, `${done.totalRuns}`);
});

test("the project's own tool comes before one in PATH", async (t) => {
  const cwd = project(t, { 'a.js': '' });
  fs.rmSync(path.join(cwd, 'node_modules'));
  for (const [place, says] of [
    [path.join(cwd, 'node_modules', '.bin'), 'own'],
    [path.join(cwd, 'bin'), 'path'],
  ]) {
    fs.mkdirSync(place, { recursive: true });
    fs.writeFileSync(path.join(place, 'mocha'), `#!/bin/sh\necho ${says} "$@"\n`, { mode: 0o755 });
  }
  const below = path.join(cwd, 'packages');
  fs.mkdirSync(below);
  const env = { PATH: `${path.join(cwd, 'bin')}:${process.env.PATH}` };
  const said = async () => {
    const options = { framework: 'mocha', cwd: below, env };
    const { results } = await qe.executeTests(['../a.js'], options);
    return results[0].stdout;
  };
  assert.match(await said(), /^own --require=\S+mocha\.cjs \S+a\.js\n$/);
  fs.rmSync(path.join(cwd, 'node_modules'), { recursive: true });
  assert.match(await said(), /^path .*a\.js\n$/);
});

test('args come before the file: mocha with a configuration that names no others', async (t) => {
  const cwd = project(t, {
    '.mocharc.json': '{ "spec": "*.js" }',
    'no-spec.json': '{ "slow": 1 }',
    'a.js': "it('is a', () => {});",
    'b.js': "it('is b', () => {});",
  });
  const options = { framework: 'mocha', cwd, args: ['--config', 'no-spec.json'] };
  const { results } = await qe.executeTests(['a.js'], options);
  assert.match(results[0].stdout, /is a/);
  assert.doesNotMatch(results[0].stdout, /is b/);
});

test('what cannot work is an error before anything starts', async (t) => {
  const cwd = project(t, { 'a.js': "require('node:fs').writeFileSync('started', '');" });
  for (const call of [qe.executeTests, qe.detectFlaky]) {
    const refuses = (files, options, code, message) =>
      assert.rejects(call(files, { framework: 'node', cwd, ...options }), { code, message });
    await refuses(['a.js', 'no.js'], {}, 'QE_ENOTFOUND', /^files\[1\]: there is no file .*no\.js$/);
    await refuses(['.'], {}, 'QE_ENOTFOUND', /^files\[0\]: there is no file/);
    await refuses('a.js', {}, 'QE_EINVAL', /^files: takes an array, not "a.js"$/);
    await refuses(['a.js', 3], {}, 'QE_EINVAL', /^files\[1\]: takes the path of a file, not 3$/);
    await refuses(
      ['a.js'],
      { framework: 'nose' },
      'QE_EINVAL',
      /^options\.framework: takes one of pytest, jest, .*, command, not "nose"$/,
    );
    await refuses(['a.js'], { framework: 'toString' }, 'QE_EINVAL', /^options\.framework/);
    await refuses(['a.js'], { cwd: 3 }, 'QE_EINVAL', /^options\.cwd/);
    await refuses(['a.js'], { args: '-q' }, 'QE_EINVAL', /^options\.args: takes an array/);
    await refuses(['a.js'], { args: [3] }, 'QE_EINVAL', /^options\.args\[0\]: takes a string/);
    await refuses(
      ['a.js'],
      { framework: 'pytest', env: { PATH: '/nonexistent' } },
      'QE_ENOTFOUND',
      /^pytest is not found, neither in .* nor in PATH: pip install pytest$/,
    );
    for (const value of [0, 1.5, 1025, '2', NaN, {}]) {
      const name = /^options\.maxConcurrent: takes a whole number from 1 to 1024, not /;
      await refuses(['a.js'], { maxConcurrent: value }, 'QE_EINVAL', name);
    }
    await refuses(['a.js'], { throttlePeriod: -1 }, 'QE_EINVAL', /^options\.throttlePeriod/);
    await refuses(['a.js'], { env: { A: 1 } }, 'QE_EINVAL', /env\.A: takes a string/);
  }
  assert.equal(fs.existsSync(path.join(cwd, 'started')), false);
  const none = await qe.executeTests([], { framework: 'node' });
  assert.deepEqual([none.total, none.passRate, none.results], [0, 0, []]);
  assert.equal((await qe.detectFlaky([], { framework: 'node' })).totalTests, 0);
});
