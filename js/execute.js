'use strict';
// executeTests and detectFlaky: whole files, each by its framework's own command.

const fs = require('node:fs');
const os = require('node:os');
const { setTimeout: sleep } = require('node:timers/promises');

const counts = require('./counts');
const { commandsIn, shown } = require('./frameworks');
const { scratch } = require('./scratch');
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

/** The paths of test files, as they were given. */
function namesOf(files) {
  if (!Array.isArray(files)) throw refuse(`files: takes an array, not ${shown(files)}`);
  for (const [i, file] of files.entries()) {
    if (typeof file !== 'string' || file === '') {
      throw refuse(`files[${i}]: takes the path of a file, not ${shown(file)}`);
    }
  }
  return files;
}

/**
 * What is run for each file, `runs` times: all is looked at before anything starts.
 *
 * @param {string | null} reports as of `commandsIn`
 */
function commandsOf(files, options, reports = null, runs = 1) {
  const names = namesOf(files);
  const { framework, commandFor } = commandsIn(options, reports);
  const commands = names.map((file, i) => {
    try {
      return Array.from({ length: runs }, (_, run) => commandFor(file, run));
    } catch (error) {
      error.message = `files[${i}]: ${error.message}`;
      throw error;
    }
  });
  return { framework, commands };
}

/** What the core is told of a command. */
const unitOf = ({ argv, cwd, env }) => ({ argv, cwd, env });

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
function resultOf(file, command, end) {
  const { final: outcome, attempt: attempts, duration, stdout, stderr, cpu, peakBytes } = end;
  const returncode = returncodeOf(end);
  const found = counts.read(command, returncode, stdout, stderr);
  return {
    file,
    outcome,
    passed: outcome === 'passed' || outcome === 'flaky',
    attempts,
    returncode,
    timedOut: outcome === 'timeout',
    duration,
    stdout: counts.printed(command, stdout),
    stderr,
    cpu,
    peakBytes,
    tests: found?.tests ?? null,
    failures: found?.failures ?? [],
  };
}

/** Runs a command for each file, with retries: its results, and what they took. */
async function runFiles(files, commands, numbers) {
  const units = commands.map((command, i) => ({
    id: `${i}: ${files[i]}`,
    item: i,
    retries: numbers.retryAttempts - 1,
    timeout: numbers.retryTimeout,
    ...unitOf(command),
  }));
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
    const { item } = event.unit;
    if (event.final !== null) {
      results[item] = resultOf(files[item], commands[item], event);
      retries += event.attempt - 1;
    }
    counts.discard(commands[item]); // what a later attempt does not write is not its own
  }
  return { results, retries, timeouts };
}

async function executeTests(files, options = {}) {
  const numbers = numbersOf(options, EXECUTE);
  commandsOf(files, options); // before there is a folder
  const reports = scratch('qe-files');
  try {
    const { framework, commands } = commandsOf(files, options, reports);
    const began = performance.now();
    const { results, retries, timeouts } = await runFiles(files, commands.flat(), numbers);
    const executionTime = secondsSince(began);
    const passed = results.filter((result) => result.passed).length;
    return {
      total: results.length,
      passed,
      failed: results.length - passed,
      passRate: share(passed, results.length),
      results,
      tests: counts.sum(results.map((result) => result.tests)),
      executionTime,
      retries,
      timeouts,
      framework,
      avgTimePerTest: each(executionTime, results.length),
    };
  } finally {
    fs.rmSync(reports, { recursive: true, force: true });
  }
}

/** One file, many times: its outcomes in the order of the runs. */
async function runOften(file, commands, numbers, runs) {
  const units = commands.map((command, pass) => ({
    id: file,
    pass,
    timeout: numbers.retryTimeout,
    ...unitOf(command),
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
  const { framework, commands } = commandsOf(files, options, null, numbers.iterations);
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
