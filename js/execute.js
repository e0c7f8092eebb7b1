'use strict';
// executeTests and detectFlaky: whole files, each by its framework's own command.

const fs = require('node:fs');
const os = require('node:os');
const path = require('node:path');
const { setTimeout: sleep } = require('node:timers/promises');

const { FRAMEWORKS, findTool } = require('./frameworks');
const { analyze, refuse, runUnits } = require('./units');

const MOST_SECONDS = 1e9;
const MOST_AT_ONCE = 1024;
const MOST_RUNS = 65536;

const EXECUTE = {
  maxConcurrent: { is: 10, least: 1, most: MOST_AT_ONCE, whole: true },
  retryAttempts: { is: 3, least: 1, most: MOST_RUNS, whole: true },
  retryTimeout: { is: 60, least: 0, most: MOST_SECONDS },
  retryBackoff: { is: 2, least: 0, most: MOST_SECONDS },
  throttlePeriod: { is: 0.1, least: 0, most: MOST_SECONDS },
};

const DETECT = {
  iterations: { is: 10, least: 1, most: MOST_RUNS, whole: true },
  maxConcurrent: { is: 3, least: 1, most: MOST_AT_ONCE, whole: true },
  retryTimeout: { is: 30, least: 0, most: MOST_SECONDS },
  throttlePeriod: { is: 0.2, least: 0, most: MOST_SECONDS },
  maxConcurrentFiles: { is: 2, least: 1, most: MOST_AT_ONCE, whole: true },
  fileTimeout: { is: 300, least: 1, most: MOST_SECONDS },
  filePeriod: { is: 0.5, least: 0, most: MOST_SECONDS },
};

const missing = (message) => Object.assign(new Error(message), { code: 'QE_ENOTFOUND' });

function shown(value) {
  if (typeof value === 'string') return JSON.stringify(value);
  return value !== null && typeof value === 'object' ? 'an object' : String(value);
}

/** The numbers among the options, each checked, or its default. */
function numbersOf(options, known) {
  const found = {};
  for (const [name, { is, least, most, whole = false }] of Object.entries(known)) {
    const value = options[name] ?? is;
    const fits = typeof value === 'number' && value >= least && value <= most;
    if (!fits || (whole && !Number.isInteger(value))) {
      const what = `${whole ? 'a whole number' : 'a number'} from ${least} to ${most}`;
      throw refuse(`options.${name}: takes ${what}, not ${shown(value)}`);
    }
    found[name] = value;
  }
  return found;
}

function isFile(file) {
  return fs.statSync(file, { throwIfNoEntry: false })?.isFile() ?? false;
}

/** What is run for each file: all is looked at before anything starts. */
function commandsOf(files, options) {
  if (!Array.isArray(files)) throw refuse(`files: takes an array, not ${shown(files)}`);
  const { framework = 'jest', env, args = [] } = options;
  if (!Object.hasOwn(FRAMEWORKS, framework)) {
    const names = Object.keys(FRAMEWORKS).join(', ');
    throw refuse(`options.framework: takes one of ${names}, not ${shown(framework)}`);
  }
  const { cwd = process.cwd() } = options;
  if (typeof cwd !== 'string') throw refuse(`options.cwd: takes a string, not ${shown(cwd)}`);
  if (!Array.isArray(args)) throw refuse(`options.args: takes an array, not ${shown(args)}`);
  for (const [i, word] of args.entries()) {
    if (typeof word !== 'string') {
      throw refuse(`options.args[${i}]: takes a string, not ${shown(word)}`);
    }
  }
  const folder = path.resolve(cwd);
  const paths = files.map((file, i) => {
    if (typeof file !== 'string' || file === '') {
      throw refuse(`files[${i}]: takes the path of a file, not ${shown(file)}`);
    }
    const found = path.resolve(folder, file);
    if (!isFile(found)) throw missing(`files[${i}]: there is no file ${found}`);
    return found;
  });
  const adapter = FRAMEWORKS[framework];
  const tool = findTool(adapter, folder, env?.PATH ?? process.env.PATH ?? '');
  if (tool === null) {
    throw missing(
      `${framework} is not found, neither in ${folder} and above nor in PATH: ${adapter.install}`,
    );
  }
  return {
    framework,
    commands: paths.map((file) => ({
      argv: [tool, ...args, ...adapter.args(file)],
      cwd: folder,
      env: { ...adapter.env, ...env },
    })),
  };
}

const isEnd = ({ kind }) => kind === 'finish' || kind === 'lost';

/** The events of a run; that it was given up is an error. */
async function* eventsOf(run) {
  for await (const event of run) {
    if (event.kind === 'giveUp') throw new Error('no process can be started');
    yield event;
  }
}

const rounded = (value) => Math.round(value * 100) / 100;
const share = (part, all) => (all === 0 ? 0 : rounded((part / all) * 100));
const secondsSince = (began) => (performance.now() - began) / 1000;
const each = (value, n) => (n === 0 ? 0 : value / n);

/** An exit status as Python has it: -N for the signal N, null where there was no process. */
function returncodeOf({ kind, exitCode, signal, status }) {
  if (kind === 'lost') return null;
  if (signal !== null) return -os.constants.signals[signal];
  return exitCode ?? ((status & 0x7f) === 0 ? null : -(status & 0x7f));
}

/** The result of a file by the end of its last attempt. */
function resultOf(file, end) {
  const { final: outcome, attempt: attempts, duration, stdout, stderr, cpu, peakBytes } = end;
  return {
    file,
    outcome,
    passed: outcome === 'passed' || outcome === 'flaky',
    attempts,
    returncode: returncodeOf(end),
    timedOut: outcome === 'timeout',
    duration,
    stdout,
    stderr,
    cpu,
    peakBytes,
  };
}

async function executeTests(files, options = {}) {
  const numbers = numbersOf(options, EXECUTE);
  const { framework, commands } = commandsOf(files, options);
  const units = commands.map((command, i) => ({
    id: `${i}: ${files[i]}`,
    item: i,
    retries: numbers.retryAttempts - 1,
    timeout: numbers.retryTimeout,
    ...command,
  }));
  const began = performance.now();
  const results = Array(units.length);
  let retries = 0;
  let timeouts = 0;
  const run = runUnits(units, {
    workers: Math.max(1, Math.min(numbers.maxConcurrent, units.length)),
    inOrder: true,
    backoff: numbers.retryBackoff,
    exactBackoff: true,
    throttle: numbers.throttlePeriod,
  });
  for await (const event of eventsOf(run)) {
    if (!isEnd(event)) continue;
    if (event.outcome === 'timeout') timeouts++;
    if (event.final === null) continue;
    const { item } = event.unit;
    results[item] = resultOf(files[item], event);
    retries += event.attempt - 1;
  }
  const executionTime = secondsSince(began);
  const passed = results.filter((result) => result.passed).length;
  return {
    total: results.length,
    passed,
    failed: results.length - passed,
    passRate: share(passed, results.length),
    results,
    executionTime,
    retries,
    timeouts,
    framework,
    avgTimePerTest: each(executionTime, results.length),
  };
}

/** One file, many times: its outcomes in the order of the runs. */
async function runOften(file, command, numbers, runs) {
  const units = Array.from({ length: numbers.iterations }, (_, pass) => ({
    id: file,
    pass,
    timeout: numbers.retryTimeout,
    ...command,
  }));
  const run = runUnits(units, {
    workers: Math.min(numbers.maxConcurrent, units.length),
    inOrder: true,
    throttle: numbers.throttlePeriod,
  });
  runs.add(run);
  // What has begun by then is let finish, within its own limit.
  const limit = setTimeout(() => run.stop(), Math.min(numbers.fileTimeout * 1000, 2 ** 31 - 1));
  const outcomes = [];
  try {
    for await (const event of eventsOf(run)) {
      if (isEnd(event) && event.final !== null) outcomes[event.unit.pass] = event.final;
    }
  } finally {
    clearTimeout(limit);
    runs.delete(run);
  }
  return outcomes.filter((outcome) => outcome !== undefined);
}

function flakinessOf(file, outcomes) {
  const { passes, failures, score, isFlaky, pattern } = analyze(outcomes);
  return {
    file,
    iterations: outcomes.length,
    passed: passes,
    failed: failures,
    isFlaky,
    flakinessScore: score,
    passRate: passes / outcomes.length,
    pattern,
  };
}

/** Waits until a turn is free; turns are `period` seconds apart. */
function turnstile(period) {
  let free = 0;
  return async () => {
    const now = performance.now();
    const turn = Math.max(now, free);
    free = turn + period * 1000;
    if (turn > now) await sleep(turn - now);
  };
}

async function detectFlaky(files, options = {}) {
  const numbers = numbersOf(options, DETECT);
  const { framework, commands } = commandsOf(files, options);
  const began = performance.now();
  const found = Array(commands.length);
  const turn = turnstile(numbers.filePeriod);
  const runs = new Set(); // under way
  let next = 0;
  const hunt = async () => {
    while (next < commands.length) {
      const at = next++;
      await turn();
      const outcomes = await runOften(files[at], commands[at], numbers, runs);
      found[at] = flakinessOf(files[at], outcomes);
    }
  };
  try {
    await Promise.all(Array.from({ length: numbers.maxConcurrentFiles }, hunt));
  } catch (error) {
    next = commands.length;
    await Promise.all([...runs].map((run) => run.return()));
    throw error;
  }
  const executionTime = secondsSince(began);
  const flakyList = found.filter((one) => one.isFlaky);
  const patternDistribution = {};
  for (const { pattern } of found) {
    patternDistribution[pattern] = (patternDistribution[pattern] ?? 0) + 1;
  }
  return {
    totalTests: found.length,
    flakyTests: flakyList.length,
    flakyList,
    flakinessRate: share(flakyList.length, found.length),
    executionTime,
    totalRuns: found.reduce((sum, one) => sum + one.iterations, 0),
    avgTimePerTest: each(executionTime, found.length),
    framework,
    patternDistribution,
  };
}

module.exports = { detectFlaky, executeTests };
