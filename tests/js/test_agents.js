'use strict';
// TestExecutor, with the frameworks themselves.

const assert = require('node:assert/strict');
const fs = require('node:fs');
const path = require('node:path');
const { test } = require('node:test');

const qe = require('../..');
const { FAILS, HANGS, KINDS, failsFirst, suite } = require('./agents');
const { ROOT, processesWith, run } = require('./helpers');

const QUICK = { retryAttempts: 1, throttlePeriod: 0 };
const PYTHON = path.join(ROOT, 'build', 'venv', 'bin');

/** An executor in a project, and what its processes are found by. */
function executor(t, { cwd, memory }, more = {}) {
  const mark = `${process.pid} ${path.basename(cwd)}`;
  t.after(() => assert.deepEqual(processesWith('QE_TEST_MARK', mark), []));
  return new qe.TestExecutor({ cwd, memory, ...more, env: { QE_TEST_MARK: mark, ...more.env } });
}

for (const framework of Object.keys(KINDS)) {
  test(`${framework}: basic: files that pass`, async (t) => {
    const made = suite(t, framework, { one: '', two: '', three: '' });
    const agent = executor(t, made);
    const done = await agent.executeTestsParallel(made.files, { framework });
    assert.deepEqual(
      [done.total, done.passed, done.failed, done.passRate, done.framework],
      [3, 3, 0, 100, framework],
    );
    assert.deepEqual(
      done.results.map(({ file, attempts, returncode }) => [file, attempts, returncode]),
      made.files.map((file) => [file, 1, 0]),
    );
    assert.deepEqual([done.retries, done.timeouts, done.flaky], [0, 0, []]);
    assert.deepEqual(done.tests, { total: 3, passed: 3, failed: 0, skipped: 0, errors: 0 });
    assert.equal(done.avgTimePerTest, done.executionTime / 3);
    assert.equal(done.interrupted, false);
  });

  test(`${framework}: failures are counted, and say what failed`, async (t) => {
    const made = suite(t, framework, { good: '', bad: FAILS });
    const agent = executor(t, made);
    const done = await agent.executeTestsParallel(made.files, { framework, params: QUICK });
    assert.deepEqual([done.passed, done.failed, done.passRate], [1, 1, 50]);
    const [, bad] = done.results;
    assert.equal(bad.outcome, 'failed');
    assert.ok(bad.returncode > 0);
    assert.match(bad.ended, /^exit status \d+$/);
    assert.match(bad.failures[0].message, /always/);
    assert.match(bad.failures[0].name, /bad/);
  });

  test(`${framework}: retry: what passes then is flaky, and counts as passed`, async (t) => {
    const made = suite(t, framework, { shaky: failsFirst('runs', 1), bad: FAILS });
    const agent = executor(t, made);
    const params = { retryAttempts: 2, retryBackoff: 0, throttlePeriod: 0 };
    const done = await agent.executeTestsParallel(made.files, { framework, params });
    const [shaky, bad] = done.results;
    assert.deepEqual([shaky.outcome, shaky.passed, shaky.attempts], ['flaky', true, 2]);
    assert.deepEqual(
      shaky.history.map(({ attempt, outcome }) => [attempt, outcome]),
      [
        [1, 'failed'],
        [2, 'passed'],
      ],
    );
    // Of the last attempt, however soon it followed.
    assert.deepEqual(shaky.tests, { total: 1, passed: 1, failed: 0, skipped: 0, errors: 0 });
    assert.deepEqual([bad.outcome, bad.attempts], ['failed', 2]);
    assert.deepEqual([done.flaky, done.retries, done.passRate], [[shaky.file], 2, 50]);
  });

  test(`${framework}: timeout: what hangs is ended`, async (t) => {
    const made = suite(t, framework, { hang: HANGS });
    const agent = executor(t, made, { grace: 0.2 });
    const params = { ...QUICK, retryTimeout: 3 };
    const done = await agent.executeTestsParallel(made.files, { framework, params });
    const [hang] = done.results;
    assert.deepEqual([hang.outcome, hang.timedOut, hang.passed], ['timeout', true, false]);
    assert.ok(hang.duration >= 3, `${hang.duration}`);
    assert.equal(done.timeouts, 1);
  });
}

test('storage: the result is remembered for a day, as Python has it', async (t) => {
  const made = suite(t, 'node', { good: '', bad: FAILS });
  const agent = executor(t, made);
  assert.equal(await agent.remembered(), null);
  const before = Date.now() / 1000;
  const done = await agent.executeTestsParallel(made.files, { framework: 'node', params: QUICK });
  const stored = await made.memory.retrieve('aqe/test-executor/last_parallel_execution');
  assert.equal(stored.pass_rate, 50);
  assert.equal(stored.results[1].timed_out, false);
  assert.ok(stored.results[1].rusage.peak_memory_bytes > 2 ** 20);
  assert.doesNotMatch(JSON.stringify(Object.keys(stored)), /[A-Z]/);
  assert.deepEqual(await agent.remembered(), JSON.parse(JSON.stringify(done)));
  const history = new qe.History(made.memory.path);
  const [[, expires]] = history.keys('aqe/*');
  history.close();
  assert.ok(expires >= before + 86400 && expires <= Date.now() / 1000 + 86401, `${expires}`);
});

test('cases: each test is told, and is not remembered', async (t) => {
  const made = suite(t, 'mocha', { good: '', bad: FAILS });
  const agent = executor(t, made, { cases: true });
  const { results } = await agent.executeTestsParallel(made.files, {
    framework: 'mocha',
    params: QUICK,
  });
  const [[good], [bad]] = results.map(({ cases }) => cases);
  assert.deepEqual([good.name, good.outcome, good.message], ['good', 'passed', '']);
  assert.ok(good.seconds >= 0 && good.seconds < 10);
  assert.deepEqual([bad.outcome, /always/.test(bad.message)], ['failed', true]);
  const stored = await agent.remembered();
  assert.equal('cases' in stored.results[0], false);
  const without = executor(t, made);
  const again = await without.executeTestsParallel(['good.js'], { framework: 'mocha' });
  assert.equal('cases' in again.results[0], false);
});

test('that a result cannot be remembered is a warning', async (t) => {
  const made = suite(t, 'node', { good: '' });
  const memory = { store: () => Promise.reject(new Error('full')) };
  for (const name of ['retrieve', 'delete', 'search']) memory[name] = () => null;
  const agent = executor(t, { ...made, memory });
  const done = await agent.executeTestsParallel(made.files, { framework: 'node' });
  assert.deepEqual(done.warnings, ['the result is not remembered: full']);
  assert.equal(done.passed, 1);
});

test('50 files, ten at a time', async (t) => {
  const bodies = Array.from({ length: 50 }, (_, i) => [`f${i}`, '']);
  const made = suite(t, 'node', Object.fromEntries(bodies));
  let running = 0;
  let most = 0;
  const agent = executor(t, made, {
    onStart: () => (most = Math.max(most, ++running)),
    onResult: () => running--,
  });
  const params = { throttlePeriod: 0, retryTimeout: 0 };
  const done = await agent.executeTestsParallel(made.files, { framework: 'node', params });
  assert.deepEqual([done.total, done.passed], [50, 50]);
  assert.deepEqual(
    done.results.map(({ file }) => file),
    made.files,
  );
  assert.ok(most > 1 && most <= 10, `${most}`);
});

test('what cannot work is one line, before anything starts', async (t) => {
  const made = suite(t, 'node', { good: '' });
  const agent = executor(t, made, { onStart: () => assert.fail('it has started') });
  const refused = (options, code, text, files = made.files) =>
    assert.rejects(
      agent.executeTestsParallel(files, { framework: 'node', ...options }),
      (error) => {
        assert.equal(error.code, code);
        assert.match(error.message, text);
        assert.doesNotMatch(error.message, /\n/);
        return true;
      },
    );
  await refused(
    { framework: 'nose' },
    'QE_EINVAL',
    /framework: takes one of pytest, .* not "nose"/,
  );
  await refused({ params: 'slow' }, 'QE_EINVAL', /params: .*one of default, fast, .* not "slow"/);
  await refused({ params: { retries: 3 } }, 'QE_EINVAL', /params\.retries: there is no such/);
  await refused(
    { params: { retryAttempts: 0 } },
    'QE_EINVAL',
    /params\.retryAttempts: takes a whole/,
  );
  await refused({ params: { maxConcurrent: 1025 } }, 'QE_EINVAL', /from 1 to 1024, not 1025/);
  await refused(
    { params: qe.adaptive && { adaptive: { most: 3 } } },
    'QE_EINVAL',
    /most: .*from 10/,
  );
  await refused({ signal: 1 }, 'QE_EINVAL', /signal: takes an AbortSignal, not 1/);
  await refused({}, 'QE_EINVAL', /files: takes an array, not "good\.js"/, 'good.js');
  await refused({}, 'QE_ENOTFOUND', /files\[0\]: there is no file/, ['none.js']);
  for (const [options, text] of [
    [{ limits: { openFiles: 2 } }, /options\.limits\.openFiles: .*from 3/],
    [{ limits: { memory: 2 } }, /options\.limits\.memory: there is no such setting/],
    [{ grace: -1 }, /options\.grace: takes a number from 0/],
    [{ memory: {} }, /options\.memory: takes an object with store, retrieve, delete, search/],
    [{ onstart: () => {} }, /options\.onstart: there is no such setting/],
    [{ warm: 'yes' }, /options\.warm: takes true or false, not "yes"/],
    [{ agentId: '' }, /options\.agentId: takes a string/],
  ]) {
    assert.throws(() => new qe.TestExecutor(options), { code: 'QE_EINVAL', message: text });
  }
});

test('a stream tells what happens in its order; hooks and metrics have it, too', async (t) => {
  const made = suite(t, 'node', { shaky: failsFirst('runs', 1) });
  const heard = [];
  const hook = ({ kind }) => void heard.push(kind);
  const hooks = Object.fromEntries(
    ['onStart', 'onAttempt', 'onRetry', 'onTimeout', 'onResult', 'onCost'].map((n) => [n, hook]),
  );
  const agent = executor(t, made, { ...hooks, pricePerCpuHour: 3600 });
  const params = { retryAttempts: 2, retryBackoff: 0 };
  const events = [];
  for await (const event of agent.stream(made.files, { framework: 'node', params })) {
    events.push(event);
  }
  const kinds = ['start', 'attempt', 'retry', 'attempt', 'result', 'cost'];
  assert.deepEqual(heard, kinds);
  assert.deepEqual(
    events.map(({ kind }) => kind),
    [...kinds, 'done'],
  );
  const cost = events.find(({ kind }) => kind === 'cost');
  assert.ok(cost.cpuSeconds > 0 && cost.wallSeconds > 0 && cost.peakMemoryBytes > 2 ** 20);
  assert.ok(Math.abs(cost.price - cost.cpuSeconds) < 1e-9);
  const counted = agent.metrics.asObject();
  assert.deepEqual(counted.qe_attempts_total, [
    { framework: 'node', outcome: 'failed', value: 1 },
    { framework: 'node', outcome: 'passed', value: 1 },
  ]);
  assert.deepEqual([counted.qe_retries_total, counted.qe_attempt_seconds.count], [1, 2]);
  const text = await agent.metrics.openMetrics();
  assert.match(text, /^qe_attempts_total\{framework="node",outcome="passed"\} 1$/m);
  assert.match(text, /^# TYPE qe_attempts counter$/m);
  assert.match(text, /^qe_attempt_seconds_bucket\{le="\+Inf"\} 2$/m);
  assert.ok(text.endsWith('# EOF\n'));
});

test('what a hook throws ends the run, and nothing is left', async (t) => {
  const made = suite(t, 'node', { hang: HANGS });
  const onStart = () => {
    throw new Error('enough');
  };
  const agent = executor(t, made, { onStart });
  await assert.rejects(
    agent.executeTestsParallel(made.files, { framework: 'node' }),
    /^Error: enough/,
  );
  assert.equal(agent.lastResult.interrupted, true);
});

const WAITS = `
  import fs from 'node:fs';
  process.on('SIGINT', () => { fs.writeFileSync('asked', ''); process.exit(7); });
  fs.writeFileSync('waits', '');
  await new Promise((resolve) => setTimeout(resolve, 60_000));`;

test('a signal ends the call: children get their grace, what is known is attached', async (t) => {
  const made = suite(t, 'node', { good: '' });
  fs.writeFileSync(path.join(made.cwd, 'waits.mjs'), WAITS);
  const quit = new AbortController();
  const agent = executor(t, made, { template: ['node', '{file}'], grace: 30 });
  const call = agent.executeTestsParallel(['good.js', 'waits.mjs', 'good.js'], {
    framework: 'command',
    params: { ...QUICK, maxConcurrent: 1 },
    signal: quit.signal,
  });
  while (!fs.existsSync(path.join(made.cwd, 'waits'))) await new Promise(setImmediate);
  quit.abort(new Error('why'));
  await assert.rejects(call, (error) => {
    assert.deepEqual(
      [error.name, error.code, error.cause.message],
      ['AbortError', 'ABORT_ERR', 'why'],
    );
    assert.equal(error.result, agent.lastResult);
    assert.deepEqual(
      error.result.results.map(({ outcome }) => outcome),
      ['passed', 'interrupted', 'not_run'],
    );
    assert.equal(error.result.results[1].returncode, 7);
    assert.equal(error.result.interrupted, true);
    return true;
  });
  assert.ok(fs.existsSync(path.join(made.cwd, 'asked')));
  const options = { framework: 'command', signal: quit.signal };
  await assert.rejects(agent.executeTestsParallel(['good.js'], options), { name: 'AbortError' });
});

test('stop() returns what is known', async (t) => {
  const made = suite(t, 'node', { hang: HANGS, good: '' });
  const agent = executor(t, made, { grace: 0.2, onStart: () => agent.stop() });
  const params = { ...QUICK, maxConcurrent: 1 };
  const done = await agent.executeTestsParallel(made.files, { framework: 'node', params });
  assert.equal(done.interrupted, true);
  assert.equal(done.results[1].outcome, 'not_run');
  assert.equal(done.passed, 0);
});

test('leaving a stream ends what runs', async (t) => {
  const made = suite(t, 'node', { hang: HANGS });
  const agent = executor(t, made);
  for await (const { kind } of agent.stream(made.files, { framework: 'node' })) {
    assert.equal(kind, 'start');
    break;
  }
  assert.equal(agent.lastResult.interrupted, true);
  assert.equal(agent.lastResult.results[0].outcome, 'not_run');
});

test('limits hold for each process', async (t) => {
  const script = `
    const fs = require('node:fs');
    const limits = fs.readFileSync('/proc/self/limits', 'utf8');
    console.log(limits);`;
  const made = suite(t, 'node', { limits: script });
  const limits = { memoryBytes: 2 ** 40, cpuSeconds: 100, openFiles: 200 };
  const agent = executor(t, made, { limits });
  const done = await agent.executeTestsParallel(made.files, { framework: 'node', params: QUICK });
  const { stdout } = done.results[0];
  assert.match(stdout, /^.*Max data size +1099511627776 /m);
  assert.match(stdout, /^.*Max cpu time +100 /m);
  assert.match(stdout, /^.*Max open files +200 /m);
});

test('an adaptive policy says what it did', async (t) => {
  const bodies = Array.from({ length: 12 }, (_, i) => [`f${i}`, '']);
  const made = suite(t, 'node', Object.fromEntries(bodies));
  const agent = executor(t, made);
  const params = qe.adaptive({ most: 4, maxConcurrent: 1, throttlePeriod: 0 });
  const done = await agent.executeTestsParallel(made.files, { framework: 'node', params });
  assert.equal(done.passed, 12);
  for (const { running, why } of done.adaptions) {
    assert.ok(running >= 1 && running <= 4 && ['room', 'cpu', 'memory'].includes(why));
  }
});

test('tasks are routed by their type', async (t) => {
  const made = suite(t, 'node', { good: '' });
  const agent = executor(t, made, { agentId: 'mine' });
  const context = { testFiles: made.files, framework: 'node' };
  const task = { taskId: '1', taskType: 'parallel_execution', context };
  const told = await agent.execute(task);
  assert.deepEqual([told.taskId, told.agentId, told.status], ['1', 'mine', 'completed']);
  assert.equal(told.result.passed, 1);
  assert.equal(task.status, 'completed');
  const wrong = await agent.execute({ taskType: 'mow_the_lawn' });
  assert.deepEqual([wrong.status, wrong.result], ['failed', null]);
  assert.match(wrong.error, /taskType: takes one of .*, not "mow_the_lawn"/);
  const bad = await agent.execute({
    taskType: 'execute_tests',
    context: { testFiles: ['none.js'] },
  });
  assert.match(bad.error, /there is no file/);
});

const hasPytest = fs.existsSync(path.join(PYTHON, 'pytest'));
const pytest = { skip: !hasPytest && 'pytest is not installed here' };

test('warm: pytest files share a server, with the same results', pytest, async (t) => {
  const made = suite(t, 'node', {});
  const write = (name, text) => fs.writeFileSync(path.join(made.cwd, name), text);
  const parent = 'import os\ndef test_it(): print("parent", os.getppid())\n';
  for (const name of ['test_a.py', 'test_b.py']) write(name, parent);
  write('test_c.py', 'def test_no(): assert 1 == 2\n');
  const env = { PATH: `${PYTHON}:${process.env.PATH}`, PYTEST_DISABLE_PLUGIN_AUTOLOAD: '1' };
  const agent = executor(t, made, { warm: true, env, args: ['-s', '-p', 'no:cacheprovider'] });
  const files = ['test_a.py', 'test_b.py', 'test_c.py'];
  const done = await agent.executeTestsParallel(files, { framework: 'pytest', params: QUICK });
  assert.deepEqual(
    done.results.map(({ outcome }) => outcome),
    ['passed', 'passed', 'failed'],
  );
  assert.deepEqual(done.warnings, []);
  const [a, b] = done.results.map(({ stdout }) => /parent (\d+)/.exec(stdout)?.[1]);
  assert.equal(a, b); // the server
  assert.notEqual(a, undefined);
  assert.match(done.results[2].failures[0].message, /assert 1 == 2/);
});

test('a stop waits for no warm server that comes up', pytest, async (t) => {
  const made = suite(t, 'node', {});
  const write = (name, text) => {
    fs.mkdirSync(path.dirname(path.join(made.cwd, name)), { recursive: true });
    fs.writeFileSync(path.join(made.cwd, name), text);
  };
  // A plugin whose import hangs, with what it has started.
  const on = path.join(made.cwd, 'on');
  write('lib/hangs-1.0.dist-info/METADATA', 'Metadata-Version: 2.1\nName: hangs\nVersion: 1.0\n');
  write('lib/hangs-1.0.dist-info/entry_points.txt', '[pytest11]\nhangs = hangs\n');
  write(
    'lib/hangs.py',
    `import pathlib, subprocess, time\nsubprocess.Popen(['sleep', '1000'])\n` +
      `pathlib.Path(${JSON.stringify(on)}).touch()\ntime.sleep(1000)\n`,
  );
  for (const name of ['test_a.py', 'test_b.py']) write(name, 'def test_it(): pass\n');
  const env = {
    PATH: `${PYTHON}:${process.env.PATH}`,
    PYTHONPATH: path.join(made.cwd, 'lib'),
    PYTEST_DISABLE_PLUGIN_AUTOLOAD: null,
  };
  const agent = executor(t, made, { warm: true, env });
  const done = agent.executeTestsParallel(['test_a.py', 'test_b.py'], { framework: 'pytest' });
  while (!fs.existsSync(on)) await new Promise((resolve) => setTimeout(resolve, 20));
  const began = Date.now();
  agent.stop();
  const result = await done;
  assert.ok(Date.now() - began < 15_000); // half a minute: it would have been given up
  assert.equal(result.interrupted, true);
  assert.deepEqual(
    result.results.map(({ outcome }) => outcome),
    ['not_run', 'not_run'],
  );
  assert.deepEqual(result.warnings, []);
});

test('a result that Python has stored is read, and the other way round', pytest, async (t) => {
  const made = suite(t, 'node', { good: '' });
  const agent = executor(t, made);
  await agent.executeTestsParallel(made.files, { framework: 'node' });
  const script = `
import asyncio, sys
from pytest_qe.memory import MemoryStore
memory = MemoryStore(sys.argv[1])
key = "aqe/test-executor/last_parallel_execution"
found = asyncio.run(memory.retrieve(key))
assert found["pass_rate"] == 100.0, found
found["avg_time_per_test"] = 4.5
asyncio.run(memory.store(key, found, ttl=60))
`;
  const done = await run([path.join(PYTHON, 'python'), '-c', script, made.memory.path]);
  assert.equal(done.stderr, '');
  assert.equal((await agent.remembered()).avgTimePerTest, 4.5);
});
