'use strict';
// runUnits, work and analyze: what they promise.

const assert = require('node:assert/strict');
const { test } = require('node:test');

const qe = require('../..');
const { alive, told } = require('./helpers');

async function all({ units, options }) {
  const events = [];
  for await (const event of qe.runUnits(units, options)) events.push(event);
  return events;
}

const finals = (events) =>
  Object.fromEntries(
    events.filter((e) => e.final).map((e) => [e.unit.id.replace(/^\d+: /, ''), e.final]),
  );

test('every unit ends once, with its outcome, whatever its process does', async () => {
  const run = told(['pass', 'skip', 'fail', 'exit', 'hang', 'kill', 'wrong', 'sendNothing'], {
    workers: 2,
  });
  run.units[4].timeout = 0.2;
  const events = await all(run);
  assert.deepEqual(finals(events), {
    pass: 'passed',
    skip: 'skipped',
    fail: 'failed',
    exit: 'crashed',
    hang: 'timeout',
    kill: 'crashed',
    wrong: 'failed',
    sendNothing: 'failed',
  });
  assert.equal(events.filter((e) => e.final).length, run.units.length);
  const of = (what, kind) => events.find((e) => e.kind === kind && e.unit.id.endsWith(what));
  assert.match(of('fail', 'finish').message, /^Error: as told\n/);
  assert.match(of('sendNothing', 'finish').message, /^TypeError: data: takes a Buffer/);
  assert.match(of('wrong', 'finish').message, /^TypeError: run: /);
  assert.equal(of('exit', 'lost').status >> 8, 3);
  assert.equal(of('kill', 'lost').status & 0x7f, 11);
  assert.ok(of('hang', 'lost').duration >= 0.2);
  assert.equal(of('pass', 'start').unit, run.units[0]);
  const workers = events.filter((e) => e.kind === 'worker').map((e) => e.pid);
  assert.ok(workers.length >= 3);
  assert.deepEqual(workers.filter(alive), []);
});

test('a unit that passes on a retry is flaky, one that never does has failed', async () => {
  const run = told(['flaky', 'fail']);
  for (const unit of run.units) unit.retries = 2;
  const events = await all(run);
  assert.deepEqual(finals(events), { flaky: 'flaky', fail: 'failed' });
  const attempts = events.filter((e) => e.kind === 'finish').map((e) => [e.unit.id, e.attempt]);
  assert.deepEqual(attempts.sort(), [
    ['0: flaky', 1],
    ['0: flaky', 2],
    ['1: fail', 1],
    ['1: fail', 2],
    ['1: fail', 3],
  ]);
});

test('what a unit sends comes whole and in its order', async () => {
  const events = await all(told(Array(50).fill('send'), { workers: 2 }));
  const sent = {};
  for (const { kind, unit, dataKind, data } of events) {
    if (kind === 'data') (sent[unit.id] ??= []).push([dataKind, data.toString()]);
  }
  assert.equal(Object.keys(sent).length, 50);
  for (const [id, texts] of Object.entries(sent)) {
    const item = Number.parseInt(id, 10);
    assert.deepEqual(
      texts,
      [0, 1, 2].map((i) => [i, `${item}: ${i}`]),
    );
  }
});

test('the options say who runs what: isolated units have a process each', async () => {
  const pids = async (options) => {
    const events = await all(told(['pass', 'pass', 'pass'], options));
    return new Set(events.filter((e) => e.kind === 'start').map((e) => e.pid)).size;
  };
  assert.equal(await pids({ isolate: true }), 3);
  assert.equal(await pids({}), 1);
});

test('a run is given up after more crashes than are allowed', async () => {
  const run = told(['exit', 'exit', 'pass', 'pass'], { inOrder: true, maxRestarts: 0 });
  const events = await all(run);
  assert.equal(events.filter((e) => e.kind === 'giveUp').length, 1);
  assert.deepEqual(finals(events), { exit: 'crashed' });
});

test('a program that cannot be started ends the run', async () => {
  const { units, options } = told(['pass']);
  const events = await all({ units, options: { ...options, argv: ['/nonexistent/program'] } });
  assert.equal(events.at(-1).kind, 'giveUp');
});

test('no units are a run that ends at once', async () => {
  assert.deepEqual(await all(told([])), []);
});

test('leaving the loop ends what runs', async () => {
  const { units, options } = told(['hang', 'hang'], { workers: 2 });
  const pids = [];
  const run = qe.runUnits(units, options);
  for await (const event of run) {
    if (event.kind === 'start' && pids.push(event.pid) === 2) break;
  }
  assert.deepEqual(pids.filter(alive), []);
  assert.deepEqual(await run.next(), { value: undefined, done: true });
  assert.deepEqual(await run.return(7), { value: 7, done: true });
  run.stop(); // too late, and no harm
});

test('a run that is told to stop lets what runs finish', async () => {
  const { units, options } = told(['pause', ...Array(20).fill('pass')], { inOrder: true });
  const run = qe.runUnits(units, options);
  const events = [];
  for await (const event of run) {
    events.push(event);
    if (event.kind === 'start') run.stop();
  }
  assert.deepEqual(finals(events), { pause: 'passed' });
});

test('two runs at once do not mix', async () => {
  const [one, two] = await Promise.all([all(told(['pass', 'fail'])), all(told(['skip']))]);
  assert.deepEqual(finals(one), { pass: 'passed', fail: 'failed' });
  assert.deepEqual(finals(two), { skip: 'skipped' });
});

test('several calls of next() are answered in their order', async () => {
  const { units, options } = told(['pass']);
  const run = qe.runUnits(units, options);
  const answers = await Promise.all([run.next(), run.next(), run.next(), run.next(), run.next()]);
  assert.deepEqual(
    answers.map(({ value }) => value?.kind),
    ['worker', 'start', 'finish', 'exit', undefined],
  );
});

test('cpuCount is what this process may use', () => {
  assert.ok(qe.cpuCount() >= 1);
  assert.ok(qe.cpuCount() <= require('node:os').availableParallelism());
});

test('analyze judges by the core', () => {
  assert.deepEqual(qe.analyze([true, 'passed', 'skipped']), {
    passes: 2,
    failures: 0,
    score: 0,
    isFlaky: false,
    pattern: 'STABLE_PASS',
  });
  // 2 * min(p, f) / n
  assert.deepEqual(qe.analyze([true, false, 'timeout', true, 'crashed', false, true, true]), {
    passes: 4,
    failures: 4,
    score: 1,
    isFlaky: true,
    pattern: 'RANDOM',
  });
  const streaks = [...Array(5).fill(true), ...Array(5).fill(false)];
  assert.equal(qe.analyze(streaks).pattern, 'INTERMITTENT');
  assert.equal(qe.analyze(['failed', 'error']).pattern, 'STABLE_FAIL');
});
