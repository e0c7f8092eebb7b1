'use strict';
// How agents run commands: how many at once, how often, how fast.

const path = require('node:path');

const { Adaptive } = require('./adaptive');
const { shown } = require('../frameworks');
const { refuse } = require('../units');
const { UsageError } = require('../usage');

const MOST_SECONDS = 1e9;
const MOST_AT_ONCE = 1024; // what the core allows
const MOST_RUNS = 65536;
const MOST_OUTPUT_BYTES = 64 * 2 ** 20;
const GRACE_S = 2; // from SIGTERM, or SIGINT where the run is interrupted, to SIGKILL
const OUTPUT_BYTES = 64 * 1024; // kept of each stream of an attempt, half of it from its end

const ATTEMPTS = { least: 1, most: MOST_RUNS, whole: true };
const AT_ONCE = { least: 1, most: MOST_AT_ONCE, whole: true };
const SECONDS = { least: 0, most: MOST_SECONDS };
const LEASE = { least: 1, most: 3600 };

/** What an executor's `params` may have, and their defaults. */
const EXECUTE = {
  maxConcurrent: { is: 10, ...AT_ONCE },
  retryAttempts: { is: 3, ...ATTEMPTS },
  retryTimeout: { is: 60, ...SECONDS },
  retryBackoff: { is: 2, ...SECONDS },
  throttlePeriod: { is: 0.1, ...SECONDS },
};

/** What a hunter's may have: how the runs of one file go. */
const RUNS = {
  maxConcurrent: { is: 3, ...AT_ONCE },
  retryAttempts: { is: 1, ...ATTEMPTS },
  retryTimeout: { is: 30, ...SECONDS },
  retryBackoff: { is: 2, ...SECONDS },
  throttlePeriod: { is: 0.2, ...SECONDS },
};

/** How a hunter takes up files. */
const FILES = {
  maxConcurrentFiles: { is: 2, ...AT_ONCE },
  fileTimeout: { is: 300, least: 1, most: MOST_SECONDS },
  filePeriod: { is: 0.5, ...SECONDS },
};

/** Policies that have a name. */
const presets = Object.freeze({
  default: {},
  fast: { maxConcurrent: 20, retryAttempts: 2, retryTimeout: 30, throttlePeriod: 0.05 },
  stability: { maxConcurrent: 5, retryAttempts: 5, retryTimeout: 120, throttlePeriod: 0.5 },
  constrained: { maxConcurrent: 3, retryAttempts: 3, retryTimeout: 60, throttlePeriod: 1 },
});

/** Runs of each file, by name. */
const iterationPresets = Object.freeze({ quick: 5, thorough: 20, research: 50 });

function numberOf(name, value, { least, most, whole = false }) {
  const fits = typeof value === 'number' && value >= least && value <= most;
  if (fits && (!whole || Number.isInteger(value))) return value;
  const what = `${whole ? 'a whole number' : 'a number'} from ${least} to ${most}`;
  throw refuse(`${name}: takes ${what}, not ${shown(value)}`);
}

/** The numbers among the options, each checked, or its default. */
function numbersOf(options, known, of = 'options') {
  return Object.fromEntries(
    Object.entries(known).map(([name, rule]) => {
      return [name, numberOf(`${of}.${name}`, options[name] ?? rule.is, rule)];
    }),
  );
}

function objectOf(name, value) {
  if (value !== null && typeof value === 'object' && !Array.isArray(value)) return value;
  throw refuse(`${name}: takes an object, not ${shown(value)}`);
}

function flagOf(name, value) {
  if (typeof value === 'boolean') return value;
  throw refuse(`${name}: takes true or false, not ${shown(value)}`);
}

/** What there is no such setting as is refused. */
function checkNames(of, given, names) {
  for (const name of Object.keys(given)) {
    if (names.includes(name)) continue;
    throw refuse(`${of}.${name}: there is no such setting; there are ${names.join(', ')}`);
  }
}

/**
 * A policy from `params`: an object, the name of a preset, or nothing.
 *
 * @param {object} known EXECUTE or RUNS: the defaults
 * @returns {object} its numbers, `jitter`, and `adaptive`: an Adaptive, or null
 */
function policyOf(params, known = EXECUTE) {
  let given = params ?? {};
  if (typeof given === 'string') {
    if (!Object.hasOwn(presets, given)) {
      const names = Object.keys(presets).join(', ');
      throw refuse(`params: takes an object or one of ${names}, not ${shown(given)}`);
    }
    given = presets[given];
  }
  objectOf('params', given);
  checkNames('params', given, [...Object.keys(known), 'jitter', 'adaptive']);
  const policy = numbersOf(given, known, 'params');
  policy.jitter = flagOf('params.jitter', given.jitter ?? false);
  policy.adaptive = null;
  if (given.adaptive !== undefined && given.adaptive !== null) {
    const { most } = objectOf('params.adaptive', given.adaptive);
    numberOf('params.adaptive.most', most, { ...AT_ONCE, least: policy.maxConcurrent });
    policy.adaptive = new Adaptive(policy.maxConcurrent, most, policy.throttlePeriod);
  }
  return policy;
}

/**
 * A policy whose `maxConcurrent` and `throttlePeriod` are only where it begins; see
 * index.d.ts.
 */
function adaptive({ most = 32, ...params } = {}) {
  const given = { maxConcurrent: Math.min(10, most), ...params, adaptive: { most } };
  policyOf(given);
  return Object.freeze(given);
}

const LIMITS = {
  memoryBytes: { is: 0, least: 0, most: Number.MAX_SAFE_INTEGER, whole: true },
  cpuSeconds: { is: 0, least: 0, most: MOST_SECONDS, whole: true },
  openFiles: { is: 0, least: 0, most: 2 ** 32 - 1, whole: true },
};

function limitsOf(given) {
  checkNames('options.limits', objectOf('options.limits', given), Object.keys(LIMITS));
  const limits = numbersOf(given, LIMITS, 'options.limits');
  const { openFiles } = limits;
  if (openFiles > 0) numberOf('options.limits.openFiles', openFiles, { least: 3, most: 2 ** 32 });
  return limits;
}

const SHARED = ['url', 'run', 'project', 'passwordFile', 'caFile', 'lease'];

/** The run that this is to be a node of: a Target; null: none. */
function sharedOf(given, cwd) {
  if (given === undefined || given === null) return null;
  const { Target } = require('../queue/target');
  if (given instanceof Target) return given;
  const { url, lease, ...names } = objectOf('options.shared', given);
  checkNames('options.shared', given, SHARED);
  for (const [name, value] of Object.entries({ url: url ?? null, ...names })) {
    if (value === undefined || typeof value === 'string') continue;
    throw refuse(`options.shared.${name}: takes a string, not ${shown(value)}`);
  }
  if (lease !== undefined) numberOf('options.shared.lease', lease, LEASE);
  const options = {
    run: names.run,
    queueProject: names.project,
    queuePasswordFile: names.passwordFile,
    queueCaFile: names.caFile,
    queueLease: lease,
  };
  try {
    return new Target(url, options, path.resolve(cwd ?? '.'));
  } catch (error) {
    throw error instanceof UsageError ? refuse(`options.shared: ${error.message}`) : error;
  }
}

/** How the commands of an agent are made, and what they may use. */
function settingsOf({ args, cwd, env, template, ...more }) {
  return {
    shared: sharedOf(more.shared, cwd),
    args,
    cwd,
    env,
    template,
    warm: flagOf('options.warm', more.warm ?? false),
    cases: flagOf('options.cases', more.cases ?? false),
    outputs: flagOf('options.outputs', more.outputs ?? false),
    limits: limitsOf(more.limits ?? {}),
    grace: numberOf('options.grace', more.grace ?? GRACE_S, SECONDS),
    outputBytes: numberOf('options.outputBytes', more.outputBytes ?? OUTPUT_BYTES, {
      least: 2,
      most: MOST_OUTPUT_BYTES,
      whole: true,
    }),
    pricePerCpuHour:
      more.pricePerCpuHour === undefined || more.pricePerCpuHour === null
        ? null
        : numberOf('options.pricePerCpuHour', more.pricePerCpuHour, SECONDS),
  };
}

/** Runs of each file: a number, or the name of a preset. */
function iterationsOf(given) {
  if (typeof given === 'string') {
    if (Object.hasOwn(iterationPresets, given)) return iterationPresets[given];
    const names = Object.keys(iterationPresets).join(', ');
    throw refuse(`options.iterations: takes a number or one of ${names}, not ${shown(given)}`);
  }
  return numberOf('options.iterations', given, ATTEMPTS);
}

module.exports = {
  EXECUTE,
  FILES,
  RUNS,
  adaptive,
  checkNames,
  flagOf,
  iterationPresets,
  iterationsOf,
  numbersOf,
  policyOf,
  presets,
  settingsOf,
};
