'use strict';
// However a process ends that runs units, nothing is left of them.

const assert = require('node:assert/strict');
const path = require('node:path');
const { test } = require('node:test');
const { Worker } = require('node:worker_threads');

const { ROOT, alive, cleanEnv, processesWith, run, until } = require('./helpers');

const HOST = path.join(__dirname, 'fixtures', 'host.js');
const LEFT_MS = 1000;

/** Runs the host; `kill`: the signal it gets once its workers run. */
async function host(ending, { kill, nodeOptions = [] } = {}) {
  const mark = `${ending}-${process.pid}`;
  let seen = null; // our processes, while the units run
  const done = await run([process.execPath, ...nodeOptions, HOST, ending], {
    env: cleanEnv({ QE_TEST_MARK: mark }),
    timeout: 30_000,
    onStdout(text, child) {
      if (seen !== null || !text.includes('\n')) return;
      seen = processesWith('QE_TEST_MARK', mark).length;
      if (kill) child.kill(kill);
    },
  });
  // The supervisor has the mark too: all of ours is found, not only the workers.
  const none = await until(() => processesWith('QE_TEST_MARK', mark).length === 0, LEFT_MS);
  assert.ok(none, `left after ${LEFT_MS} ms: ${processesWith('QE_TEST_MARK', mark)}`);
  const lines = done.stdout.trim().split('\n');
  return { ...done, seen, lines: lines.map((line) => JSON.parse(line)) };
}

test('process.exit() while units run', async () => {
  const { status, lines } = await host('exit');
  assert.equal(status, 5);
  assert.equal(lines[0].length, 2);
  assert.deepEqual(lines[0].filter(alive), []);
});

test('an error that nobody caught', async () => {
  const { status, stderr, lines } = await host('throw');
  assert.equal(status, 1);
  assert.match(stderr, /Error: not caught/);
  assert.deepEqual(lines[0].filter(alive), []);
});

for (const signal of ['SIGKILL', 'SIGTERM', 'SIGINT', 'SIGSEGV']) {
  test(`${signal} to the process, with its workers hanging`, async () => {
    const { signal: ended, seen, lines } = await host('wait', { kill: signal });
    assert.ok(seen >= 4, `${seen} processes`); // this, a supervisor, two workers
    assert.equal(ended, signal);
    assert.deepEqual(lines[0].filter(alive), []);
  });
}

test('a run that nobody reads any more is collected, and its units with it', async () => {
  const { status, signal, lines } = await host('drop', { nodeOptions: ['--expose-gc'] });
  assert.deepEqual([status, signal], [0, null]); // nothing else has kept it alive
  assert.deepEqual(lines[0].filter(alive), []);
});

test('a worker thread that is ended takes its units along', async () => {
  const { status, signal, lines } = await host('terminate');
  assert.deepEqual([status, signal], [0, null]);
  assert.deepEqual(lines.slice(1), ['worker', 'start', 'finish', 'exit']);
  assert.deepEqual(lines[0].filter(alive), []);
});

test('a worker thread ends with events on their way to it', async () => {
  const { status, signal, lines } = await host('flood');
  assert.deepEqual([status, signal, lines], [0, null, ['survived']]);
});

test('worker threads run units side by side, each its own', async () => {
  const script = `
    const { parentPort, workerData } = require('node:worker_threads');
    const qe = require(${JSON.stringify(ROOT)});
    const { told } = require(${JSON.stringify(path.join(__dirname, 'helpers.js'))});
    (async () => {
      const { units, options } = told([workerData, 'pass', workerData]);
      const finals = [];
      for await (const e of qe.runUnits(units, options)) if (e.final) finals.push(e.final);
      parentPort.postMessage([finals, qe.analyze([true, false]).score, qe.cpuCount()]);
    })();
  `;
  const answers = await Promise.all(
    ['skip', 'fail', 'exit', 'pass'].map((workerData) => {
      const thread = new Worker(script, { eval: true, workerData });
      return new Promise((resolve, reject) => {
        thread.once('message', resolve);
        thread.once('error', reject);
      });
    }),
  );
  assert.deepEqual(
    answers.map(([finals]) => finals.sort().join()),
    [
      'passed,skipped,skipped',
      'failed,failed,passed',
      'crashed,crashed,passed',
      'passed,passed,passed',
    ],
  );
});
