'use strict';
// executeTests and detectFlaky: whole files, each by its framework's own command, in one call.
// The agents do the same by the same means, with hooks, and remember it.

const { secondsSince } = require('./agents/agent');
const { summed } = require('./agents/executor');
const { Hunt } = require('./agents/hunting');
const { EXECUTE, FILES, RUNS, numbersOf, settingsOf } = require('./agents/params');
const { Run, filesOf } = require('./agents/running');

const OUTPUT_BYTES = 256 * 1024;
const DETAILS = ['interval', 'outcomes', 'likelyCauses', 'failures'];
const ONCE = ['maxConcurrent', 'retryTimeout', 'throttlePeriod'];
const DETECT = Object.fromEntries(ONCE.map((name) => [name, RUNS[name]]));

const settings = ({ args, cwd, env, template }) =>
  settingsOf({ args, cwd, env, template, outputBytes: OUTPUT_BYTES });

const framed = ({ framework = 'jest' }) => framework;

/** An object without some of its keys. */
const without = (from, ...keys) =>
  Object.fromEntries(Object.entries(from).filter(([key]) => !keys.includes(key)));

/** A file's result, as it is told here. */
function resultOf(result) {
  const { cpuSeconds: cpu, peakMemoryBytes: peakBytes } = result.rusage;
  return { ...without(result, 'rusage', 'history', 'ended'), cpu, peakBytes };
}

/** Has all of it happen: what it comes to is asked for afterwards. */
async function exhaust(events) {
  while (!(await events.next()).done);
}

async function executeTests(files, options = {}) {
  const policy = { ...numbersOf(options, EXECUTE), jitter: false, adaptive: null };
  const run = new Run(filesOf(files), framed(options), policy, settings(options));
  const began = performance.now();
  try {
    await exhaust(run.events());
    const told = without(summed(run, secondsSince(began)), 'flaky', 'warnings');
    return { ...told, results: told.results.map(resultOf) };
  } finally {
    run.close();
  }
}

async function detectFlaky(files, options = {}) {
  const params = numbersOf(options, DETECT);
  const how = numbersOf(options, { ...FILES, iterations: { ...RUNS.retryAttempts, is: 10 } });
  const hunt = new Hunt(
    filesOf(files),
    how.iterations,
    framed(options),
    params,
    settings(options),
    how,
    { servers: null, causes: 0 },
  );
  try {
    await exhaust(hunt.events());
  } finally {
    await hunt.close();
  }
  const { flakyList, ...told } = hunt.result();
  const flaky = flakyList.map((one) => without(one, ...DETAILS));
  return { ...without(told, 'files', 'timestamp', 'warnings'), flakyList: flaky };
}

module.exports = { detectFlaky, executeTests };
