'use strict';
// What several tests use.

const { spawn } = require('node:child_process');
const fs = require('node:fs');
const path = require('node:path');

const ROOT = path.join(__dirname, '..', '..');
const WORKER = path.join(__dirname, 'fixtures', 'worker.js');

// Not the caller's settings of npm and of certificates.
const OURS =
  /^(QE_|JEST_|NODE_(ENV|OPTIONS|PATH|TEST_.*|V8_COVERAGE)$|npm_(lifecycle|package)_|CI$|FORCE_COLOR$)/;

/** This environment without what belongs to this run. */
function cleanEnv(more = {}) {
  const env = {};
  for (const [name, value] of Object.entries(process.env)) {
    if (!OURS.test(name)) env[name] = value;
  }
  return { ...env, ...more };
}

/** Runs a program to its end, for a bounded time: {status, signal, stdout, stderr}. */
function run(argv, { env = cleanEnv(), cwd = ROOT, timeout = 60_000, onStdout } = {}) {
  return new Promise((resolve, reject) => {
    const child = spawn(argv[0], argv.slice(1), {
      cwd,
      env,
      stdio: ['ignore', 'pipe', 'pipe'],
      timeout,
      killSignal: 'SIGKILL',
    });
    let stdout = '';
    let stderr = '';
    child.stdout.on('data', (text) => {
      stdout += text;
      onStdout?.(stdout, child);
    });
    child.stderr.on('data', (text) => (stderr += text));
    child.on('error', reject);
    child.on('close', (status, signal) => resolve({ status, signal, stdout, stderr }));
  });
}

/** Options and units of a run where each unit does what it is called. */
function told(does, { workers = 1, ...more } = {}) {
  return {
    units: does.map((what, i) => ({ id: `${i}: ${what}` })),
    options: {
      argv: ['/usr/bin/env', `QE_TEST_UNITS=${JSON.stringify(does)}`, process.execPath, WORKER],
      workers,
      ...more,
    },
  };
}

/** Whether a process is there, and no zombie. */
function alive(pid) {
  try {
    return !/^\d+ \(.*\) [ZX]/s.test(fs.readFileSync(`/proc/${pid}/stat`, 'latin1'));
  } catch {
    return false;
  }
}

/** Processes whose environment has a variable. */
function processesWith(name, value) {
  return fs.readdirSync('/proc').filter((pid) => {
    if (!/^\d+$/.test(pid) || !alive(pid)) return false;
    try {
      return fs
        .readFileSync(`/proc/${pid}/environ`, 'utf8')
        .split('\0')
        .includes(`${name}=${value}`);
    } catch {
      return false;
    }
  });
}

/** Waits until something holds; false after a time (ms). */
async function until(holds, ms) {
  const end = Date.now() + ms;
  while (!holds()) {
    if (Date.now() > end) return false;
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
  return true;
}

module.exports = { ROOT, WORKER, alive, cleanEnv, processesWith, run, told, until };
