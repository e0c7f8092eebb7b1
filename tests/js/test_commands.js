'use strict';
// Units that are commands: what becomes of them, and what is told.

const assert = require('node:assert/strict');
const os = require('node:os');
const { test } = require('node:test');

const qe = require('../..');
const { processesWith, until } = require('./helpers');

const shell = (id, script, more) => ({ id, argv: ['sh', '-c', script], ...more });

/** The end of each unit's last attempt, by its id. */
async function ends(units, options = {}) {
  const found = {};
  for await (const event of qe.runUnits(units, options)) {
    if (event.kind === 'finish' || event.kind === 'lost') found[event.unit.id] = event;
  }
  return found;
}

test('a command ends with its exit status, its signal, and what it printed', async () => {
  const end = await ends([
    shell('fine', 'echo out; echo err >&2'),
    shell('three', 'exit 3'),
    shell('killed', 'kill -SEGV $$'),
    { id: 'missing', argv: ['qe-no-such-program'] },
    { id: 'nowhere', argv: ['true'], cwd: '/nonexistent' },
  ]);
  assert.equal(end.fine.outcome, 'passed');
  assert.equal(end.fine.exitCode, 0);
  assert.equal(end.fine.stdout, 'out\n');
  assert.equal(end.fine.stderr, 'err\n');
  assert.equal(end.fine.message, '');
  assert.ok(end.fine.peakBytes > 0);
  assert.deepEqual([end.three.outcome, end.three.exitCode], ['failed', 3]);
  assert.equal(end.three.status, 3 << 8);
  const { outcome, exitCode, signal, status } = end.killed;
  assert.deepEqual([outcome, exitCode, signal], ['crashed', null, 'SIGSEGV']);
  assert.equal(status & 0x7f, os.constants.signals.SIGSEGV);
  assert.equal(end.missing.outcome, 'error');
  assert.equal(end.missing.exitCode, null);
  assert.equal(
    end.missing.message,
    'qe: cannot start qe-no-such-program: No such file or directory',
  );
  assert.equal(end.nowhere.message, 'qe: cannot enter /nonexistent: No such file or directory');
});

test('it has its folder, its environment and nothing to read', async () => {
  process.env.QE_TEST_HOST = process.env.QE_TEST_GONE = 'host';
  const more = {
    cwd: '/usr',
    env: { QE_TEST_MORE: 'ä = ö', QE_TEST_NONE: undefined, QE_TEST_GONE: null },
  };
  const end = await ends([
    shell(
      'a',
      'pwd; echo "$QE_TEST_HOST|$QE_TEST_MORE|${QE_TEST_NONE-unset}|${QE_TEST_GONE-gone}"; cat',
      more,
    ),
  ]);
  delete process.env.QE_TEST_HOST;
  delete process.env.QE_TEST_GONE;
  assert.equal(end.a.stdout, '/usr\nhost|ä = ö|unset|gone\n');
});

test('at its limit it is asked to end, then killed; what it printed is kept', async () => {
  const units = [
    shell('polite', 'trap "echo asked; exit 0" TERM; echo up; while :; do sleep 0.01; done', {
      timeout: 0.3,
    }),
    shell('deaf', 'trap "" TERM; echo up; while :; do sleep 0.01; done', { timeout: 0.3 }),
  ];
  const end = await ends(units, { workers: 2, grace: 0.2 });
  assert.deepEqual([end.polite.outcome, end.polite.stdout], ['timeout', 'up\nasked\n']);
  assert.deepEqual([end.deaf.outcome, end.deaf.stdout], ['timeout', 'up\n']);
  assert.equal(end.deaf.signal, 'SIGKILL');
  assert.ok(end.deaf.duration >= 0.5);
});

test('much output is kept at both ends', async () => {
  const script = 'echo first; i=0; while [ $i -lt 5000 ]; do echo $i; i=$((i+1)); done; echo last';
  const { a } = await ends([shell('a', script)], { outputBytes: 200 });
  assert.match(a.stdout, /^first\n0\n1\n/);
  assert.match(a.stdout, /4999\nlast\n$/);
  assert.match(a.stdout, /\n\[qe: \d+ bytes were left out here; 200 are kept of each stream\]\n/);
});

test('a failing command runs again after the backoff, and may turn out flaky', async () => {
  const units = [shell('never', 'exit 1', { retries: 2 })];
  const starts = [];
  let final;
  for await (const event of qe.runUnits(units, { backoff: 0.2, exactBackoff: true })) {
    if (event.kind === 'start') starts.push(event.start);
    if (event.kind === 'finish') final = event.final;
  }
  assert.equal(final, 'failed');
  assert.equal(starts.length, 3);
  assert.ok(starts[1] - starts[0] >= 0.2, `${starts}`);
  assert.ok(starts[2] - starts[1] >= 0.4, `${starts}`);
});

test('starts are as far apart as asked for', async () => {
  const units = Array.from({ length: 5 }, (_, i) => shell(`${i}`, 'true'));
  const began = performance.now();
  await ends(units, { workers: 5, throttle: 0.1 });
  assert.ok(performance.now() - began >= 400);
});

test('leaving the loop ends commands and what they started', async () => {
  const mark = `${process.pid} ${Date.now()}`;
  const env = { QE_TEST_MARK: mark };
  const units = [
    shell('a', 'sleep 1000 & sleep 1000', { env }),
    shell('b', 'setsid sleep 1000 & echo up', { env }),
  ];
  const run = qe.runUnits(units, { workers: 2 });
  let left = 0;
  for await (const event of run) {
    if (event.kind === 'finish') {
      assert.ok(await until(() => processesWith('QE_TEST_MARK', mark).length >= 3, 10_000));
      left++;
      break;
    }
  }
  assert.equal(left, 1);
  assert.deepEqual(processesWith('QE_TEST_MARK', mark), []);
});

test('no units need no program', async () => {
  assert.deepEqual(await ends([]), {});
});
