'use strict';
// FlakyTestHunter, with the frameworks themselves.

const assert = require('node:assert/strict');
const { test } = require('node:test');

const qe = require('../..');
const { FAILS, KINDS, suite } = require('./agents');

/** A hunter that does not look for causes, which takes a while. */
const hunter = ({ cwd, memory }, more = {}) =>
  new qe.FlakyTestHunter({ cwd, memory, causes: false, ...more });

// Fails in every second run, by what the runs before it have left.
const EVERY_OTHER = `
  const fs = require('node:fs');
  fs.appendFileSync('runs', 'x');
  if (fs.statSync('runs').size % 2 === 0) throw new Error('connect ECONNREFUSED 127.0.0.1:1');`;

const ALONE = { maxConcurrent: 1, throttlePeriod: 0 };

for (const framework of Object.keys(KINDS)) {
  test(`${framework}: stable, failing and flaky files are told apart`, async (t) => {
    const made = suite(t, framework, { stable: '', failing: FAILS, shaky: EVERY_OTHER });
    const options = { framework, iterations: 4, params: ALONE };
    const done = await hunter(made).detectFlakyTests(made.files, options);
    const [stable, failing, shaky] = done.files;
    assert.deepEqual([stable.isFlaky, stable.passRate, stable.pattern], [false, 1, 'STABLE_PASS']);
    assert.deepEqual([failing.isFlaky, failing.passRate, failing.failed], [false, 0, 4]);
    assert.deepEqual([shaky.isFlaky, shaky.passed, shaky.failed], [true, 2, 2]);
    assert.deepEqual(shaky.outcomes, ['passed', 'failed', 'passed', 'failed']);
    assert.deepEqual(
      [done.totalTests, done.flakyTests, done.flakinessRate, done.totalRuns, done.framework],
      [3, 1, 33.33, 12, framework],
    );
    assert.deepEqual(done.flakyList, [shaky]);
    const count = Object.values(done.patternDistribution).reduce((a, b) => a + b);
    assert.equal(count, 3);
    // Of the failures' messages: a lead.
    const [cause] = shaky.likelyCauses;
    assert.deepEqual([cause.cause, cause.source, cause.failures], ['network', 'message', 2]);
    assert.match(cause.evidence, /ECONNREFUSED/);
    assert.equal(shaky.failures[0].runs, 2);
    const [low, high] = shaky.interval;
    assert.ok(low > 0 && low < 0.5 && high > 0.5 && high < 1);
    assert.match(done.warnings[0], /^4 iterations say little: .* chance of 66%/);
  });
}

test('many files: two at a time, and the result is remembered for a week', async (t) => {
  const bodies = Object.fromEntries(Array.from({ length: 6 }, (_, i) => [`f${i}`, '']));
  const made = suite(t, 'node', bodies);
  const running = new Map();
  let most = 0;
  const agent = hunter(made, {
    onStart: ({ file }) => {
      running.set(file, (running.get(file) ?? 0) + 1);
      most = Math.max(most, running.size);
    },
    onResult: ({ file }) => {
      running.set(file, running.get(file) - 1);
      if (running.get(file) === 0) running.delete(file);
    },
  });
  const options = { framework: 'node', iterations: 10, params: { throttlePeriod: 0 } };
  const done = await agent.detectFlakyTests(made.files, options);
  assert.deepEqual([done.totalRuns, done.flakyTests, done.warnings], [60, 0, []]);
  assert.ok(most <= 2, `${most}`);
  const stored = await made.memory.retrieve('aqe/flaky-tests/alcall-detection');
  assert.deepEqual([stored.total_runs, stored.flakiness_rate], [60, 0]);
  assert.deepEqual(stored.pattern_distribution, { STABLE_PASS: 6 });
  assert.ok(stored.timestamp > 1e9);
  assert.deepEqual(await agent.remembered(), JSON.parse(JSON.stringify(done)));
  const history = new qe.History(made.memory.path);
  const [, expires] = history.keys('aqe/flaky-tests/*')[0];
  history.close();
  assert.ok(Math.abs(expires - Date.now() / 1000 - 7 * 86400) < 60);
});

test('presets, and what cannot work', async (t) => {
  assert.deepEqual(qe.iterationPresets, { quick: 5, thorough: 20, research: 50 });
  const made = suite(t, 'node', { good: '' });
  const agent = hunter(made);
  const params = { throttlePeriod: 0 };
  const done = await agent.detectFlakyTests(made.files, {
    framework: 'node',
    iterations: 'quick',
    params,
  });
  assert.equal(done.totalRuns, 5);
  for (const [options, message] of [
    [{ iterations: 'slow' }, /iterations: takes a number or one of quick, .* not "slow"/],
    [{ iterations: 0 }, /iterations: takes a whole number from 1/],
    [{ framework: 'nose' }, /framework: takes one of/],
  ]) {
    await assert.rejects(agent.detectFlakyTests(made.files, options), {
      code: 'QE_EINVAL',
      message,
    });
  }
  assert.throws(() => new qe.FlakyTestHunter({ causes: -1 }), { code: 'QE_EINVAL' });
});

test('adaptive: the runs of all files are taken together', async (t) => {
  const made = suite(t, 'node', { one: '', two: '' });
  const params = qe.adaptive({ most: 4, maxConcurrent: 2, throttlePeriod: 0 });
  const options = { framework: 'node', iterations: 10, params };
  const done = await hunter(made).detectFlakyTests(made.files, options);
  assert.deepEqual([done.totalRuns, done.flakyTests], [20, 0]);
  assert.ok(Array.isArray(done.adaptions));
});

test('a signal ends a hunt: what is known is attached', async (t) => {
  const made = suite(t, 'node', { shaky: EVERY_OTHER });
  const quit = new AbortController();
  let ended = 0;
  const onResult = () => {
    if (++ended === 4) quit.abort();
  };
  const options = { framework: 'node', iterations: 1000, params: ALONE, signal: quit.signal };
  await assert.rejects(
    hunter(made, { onResult }).detectFlakyTests(made.files, options),
    (error) => {
      assert.equal(error.name, 'AbortError');
      const [shaky] = error.result.files;
      assert.ok(shaky.isFlaky && shaky.iterations >= 4 && shaky.iterations < 1000);
      assert.equal(error.result.interrupted, true);
      return true;
    },
  );
});

test('jest: the cause is found by experiment', async (t) => {
  const made = suite(t, 'jest', { shaky: "if (Math.random() < 0.5) throw new Error('odd');" });
  const agent = hunter(made, { causes: 60 });
  const options = { iterations: 12, params: { throttlePeriod: 0 } };
  const done = await agent.detectFlakyTests(made.files, options);
  const [shaky] = done.flakyList;
  assert.ok(shaky, 'of 12 runs one passes and one fails but for 1 time in 2048');
  const found = shaky.likelyCauses.find(({ source }) => source === 'hunt');
  assert.equal(found?.cause, 'random');
  assert.match(found.replay, /^npx qe-jest --replay=/);
});
