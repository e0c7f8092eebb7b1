'use strict';
// Workers that are killed at any time, and parents that are: run by a given jest.

const assert = require('node:assert/strict');
const { spawn } = require('node:child_process');
const fs = require('node:fs');
const path = require('node:path');
const { before, test } = require('node:test');

const { alive, cleanEnv, processesWith, until } = require('./helpers');
const { project } = require('./projects');

const FILES = 80;
const TESTS = 40; // in each file
const LONGEST_MS = 240_000;
const SEED = 5;

/** Numbers from 0 to 1, the same in each run (a linear congruential generator). */
function draws(seed) {
  let state = seed;
  return () => (state = (state * 1664525 + 1013904223) % 2 ** 32) / 2 ** 32;
}

function files() {
  const found = {};
  for (let i = 0; i < FILES; i++) {
    found[`many/f${i}.test.js`] = `
      const wait = () => new Promise((done) => setTimeout(done, 4));
      describe('file ${i}', () => {
        for (let j = 0; j < ${TESTS}; j++) test('test ' + j, wait);
      });
    `;
  }
  found['hang/a.test.js'] = "test('hangs', () => { while (true); });";
  found['hang/b.test.js'] = `
    const { spawn } = require('node:child_process');
    test('waits for a child', async () => {
      const child = spawn('sleep', ['1000'], { detached: true });
      await new Promise((done) => child.on('exit', done));
    }, 100_000);
  `;
  return found;
}

/** Ids of live processes whose parent is one of some; in all generations below. */
function below(pid) {
  const children = new Map();
  for (const name of fs.readdirSync('/proc')) {
    if (!/^\d+$/.test(name)) continue;
    try {
      const stat = fs.readFileSync(`/proc/${name}/stat`, 'latin1');
      const parent = Number(stat.slice(stat.lastIndexOf(')') + 2).split(' ')[1]);
      children.set(parent, [...(children.get(parent) ?? []), Number(name)]);
    } catch {
      // it has ended
    }
  }
  const found = [];
  for (let next = [pid]; next.length > 0;) {
    next = next.flatMap((each) => children.get(each) ?? []);
    found.push(...next);
  }
  return found;
}

function isWorker(pid) {
  try {
    const words = fs.readFileSync(`/proc/${pid}/cmdline`, 'utf8').split('\0');
    return words.some((word) => word.endsWith('/qe-jest/js/jest/worker.js'));
  } catch {
    return false;
  }
}

/**
 * The tests, for a version range of jest; `most` workers are killed, and with `retries`
 * each test may fail so often.
 */
function kills(name, jest, most, retries) {
  const mark = `${name}-${process.pid}`;
  let folder;

  before(async () => {
    folder = await project(name, [`jest@${jest}`], files());
  });

  function start(...words) {
    const bin = path.join(folder, 'node_modules', '.bin', 'qe-jest');
    const child = spawn(bin, words, {
      cwd: folder,
      env: cleanEnv({ QE_TEST_MARK: mark }),
      stdio: ['ignore', 'pipe', 'pipe'],
      timeout: LONGEST_MS,
      killSignal: 'SIGKILL',
    });
    const output = { stdout: '', stderr: '' };
    for (const stream of ['stdout', 'stderr']) {
      child[stream].setEncoding('utf8').on('data', (text) => (output[stream] += text));
    }
    const closed = new Promise((resolve) => {
      child.on('close', (status, signal) => resolve({ ...output, status, signal }));
    });
    return { child, closed, output };
  }

  const noneLeft = async () => {
    const gone = await until(() => processesWith('QE_TEST_MARK', mark).length === 0, 1000);
    assert.ok(gone, `left: ${processesWith('QE_TEST_MARK', mark)}`);
  };

  test(`${name}: ${most} killed workers lose and double no result`, async () => {
    const draw = draws(SEED);
    const { child, closed } = start(
      '--parallel=4',
      '--json',
      '--ci',
      `--retries=${retries}`,
      'many/',
    );
    let killed = 0;
    while (child.exitCode === null && child.signalCode === null && killed < most) {
      await new Promise((resolve) => setTimeout(resolve, 100 + 300 * draw()));
      const workers = below(child.pid).filter(isWorker);
      const pid = workers[Math.floor(draw() * workers.length)];
      if (pid === undefined || !alive(pid)) continue;
      try {
        process.kill(pid, 'SIGKILL');
        killed += 1;
      } catch {
        // it has ended by itself
      }
    }
    const { stdout, stderr, status } = await closed;
    assert.equal(killed, most, `the run was over after ${killed}: ${stderr.slice(-500)}`);
    const report = JSON.parse(stdout);
    const results = report.testResults.flatMap((file) => file.assertionResults);
    const names = results.map((one) => one.fullName).sort();
    const wanted = Array.from({ length: FILES * TESTS }, (_, i) => {
      return `file ${Math.floor(i / TESTS)} test ${i % TESTS}`;
    });
    assert.deepEqual(names, wanted.sort(), `seed ${SEED}`);
    const failed = results.filter((one) => one.status !== 'passed');
    for (const one of failed) {
      assert.deepEqual(one.failureMessages, ['Crashed: its worker was killed by SIGKILL']);
    }
    assert.equal(report.numRuntimeErrorTestSuites, 0);
    assert.equal(report.numFailedTests, failed.length);
    assert.ok(failed.length <= (retries > 0 ? 0 : killed), `${failed.length} failed`);
    if (retries === 0) assert.ok(failed.length > 0, 'some were killed in a test');
    assert.equal(status, failed.length > 0 ? 1 : 0);
    await noneLeft();
  });

  for (const signal of ['SIGINT', 'SIGTERM', 'SIGKILL']) {
    test(`${name}: ${signal} to the parent leaves no process and no folder`, async () => {
      const tmp = path.join(folder, `tmp-${signal}`);
      fs.mkdirSync(tmp);
      const before = process.env.TMPDIR;
      process.env.TMPDIR = tmp;
      const { child, closed } = start('--parallel=2', 'hang/');
      if (before === undefined) delete process.env.TMPDIR;
      else process.env.TMPDIR = before;
      const sleeping = () => processesWith('QE_TEST_MARK', mark).some(isSleep);
      assert.ok(await until(sleeping, 20_000), 'the tests run');
      child.kill(signal);
      const { signal: by, status } = await closed;
      assert.deepEqual([by, status], [signal, null]);
      await noneLeft();
    });
  }
}

function isSleep(pid) {
  try {
    return fs.readFileSync(`/proc/${pid}/comm`, 'utf8') === 'sleep\n';
  } catch {
    return false;
  }
}

module.exports = { kills };
