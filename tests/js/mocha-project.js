'use strict';
// Small mocha projects in temporary folders, and both programs run in them.

const assert = require('node:assert/strict');
const fs = require('node:fs');
const os = require('node:os');
const path = require('node:path');
const { spawn } = require('node:child_process');

const REPOSITORY = path.join(__dirname, '..', '..');
const QE_MOCHA = path.join(REPOSITORY, 'js', 'bin', 'qe-mocha.js');
// Another version of mocha's: the folder node_modules where it is.
const MODULES = process.env.QE_TEST_MODULES ?? path.join(REPOSITORY, 'node_modules');
const MOCHA = path.join(MODULES, 'mocha', 'bin', 'mocha.js');
const LONGEST_MS = 150_000; // causes of a few tests, on a loaded machine

/** Writes a project; `files` are texts by name. Removed when the test `t` is over. */
function project(t, files) {
  const folder = fs.mkdtempSync(path.join(os.tmpdir(), 'qe-mocha-test-'));
  t.after(() => fs.rmSync(folder, { recursive: true, force: true }));
  fs.symlinkSync(MODULES, path.join(folder, 'node_modules'));
  for (const [name, text] of Object.entries(files)) {
    fs.mkdirSync(path.dirname(path.join(folder, name)), { recursive: true });
    fs.writeFileSync(path.join(folder, name), text);
  }
  return folder;
}

function start(program, folder, args, environment = {}) {
  const env = { ...process.env, FORCE_COLOR: '0', ...environment };
  for (const name of ['NODE_TEST_CONTEXT', 'NODE_OPTIONS']) {
    if (!(name in environment)) delete env[name];
  }
  return spawn(process.execPath, [program, ...args], {
    cwd: folder,
    env,
    stdio: ['ignore', 'pipe', 'pipe'],
    timeout: LONGEST_MS,
    killSignal: 'SIGKILL',
  });
}

function run(program, folder, args = [], environment) {
  const child = start(program, folder, args, environment);
  const output = { stdout: '', stderr: '' };
  for (const name of ['stdout', 'stderr']) {
    child[name].setEncoding('utf8').on('data', (text) => (output[name] += text));
  }
  return new Promise((resolve) => {
    child.on('close', (code, signal) => resolve({ ...output, code, signal }));
  });
}

const qeMocha = (folder, ...rest) => run(QE_MOCHA, folder, ...rest);
const mocha = (folder, ...rest) => run(MOCHA, folder, ...rest);

/** What is of one run alone is taken out of an output. */
function masked({ stdout, stderr, code }) {
  const text = stdout
    .replace(/\(\d+(\.\d+)?m?s\)/g, '(TIME)')
    .replace(/: \d+ms$/gm, ': TIME')
    .replace(/"(start|end|speed)": *"[^"]*"/g, '"$1":MASKED')
    .replace(/"duration": *\d+/g, '"duration":MASKED')
    .replace(/(time|timestamp)="[^"]*"/g, '$1="MASKED"')
    .replace(/node:events:\d+:\d+/g, 'node:events');
  // Whoever has asked mocha to load the files.
  const loading = stderr.replace(/^ +at (async|process\.processTicks).*\n/gm, '');
  return { stdout: text, stderr: loading, code };
}

/** Runs both, whose outputs must be equal; returns that of mocha. */
async function same(folder, args, environment) {
  const serial = masked(await mocha(folder, args, environment));
  const ours = masked(await qeMocha(folder, ['--parallel=2', ...args], environment));
  assert.deepEqual(ours, serial, args.join(' '));
  return serial;
}

/** What the json reporter wrote: states and messages, by full title. */
function results({ stdout }) {
  const report = JSON.parse(stdout.slice(stdout.indexOf('{')));
  const found = {};
  for (const { fullTitle } of report.passes) found[fullTitle] = 'passed';
  for (const { fullTitle } of report.pending) found[fullTitle] = 'pending';
  for (const { fullTitle, err } of report.failures) found[fullTitle] = err.message;
  return { stats: report.stats, tests: found };
}

module.exports = {
  MOCHA,
  QE_MOCHA,
  REPOSITORY,
  mocha,
  project,
  qeMocha,
  results,
  same,
  start,
};
