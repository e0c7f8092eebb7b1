'use strict';
// What of jest's own words a command repeats that makes a test fail again.

const { createRequire } = require('node:module');
const path = require('node:path');

const { limitOf, needed, resolve } = require('../retyping');

/** What chooses among tests, orders them, stops early or reports. */
const WITHOUT = new Set([
  ...['all', 'changedFilesWithAncestor', 'changedSince', 'filter', 'findRelatedTests'],
  ...['lastCommit', 'onlyChanged', 'onlyFailures', 'passWithNoTests', 'runTestsByPath', 'shard'],
  ...['testNamePattern', 'testPathPattern', 'testPathPatterns'],
  ...['maxWorkers', 'randomize', 'runInBand', 'seed', 'showSeed', 'testSequencer', 'bail'],
  ...['collectCoverage', 'collectCoverageFrom', 'coverage', 'coverageDirectory'],
  ...['coveragePathIgnorePatterns', 'coverageProvider', 'coverageReporters'],
  ...['coverageThreshold', 'color', 'colors', 'debug', 'expand', 'json', 'logHeapUsage'],
  ...['noStackTrace', 'notify', 'notifyMode', 'outputFile', 'reporters', 'silent'],
  ...['testFailureExitCode', 'testLocationInResults', 'testResultsProcessor', 'useStderr'],
  ...['verbose', 'watch', 'watchAll', 'watchPathIgnorePatterns'],
]);

const camel = (name) => name.replace(/-+(\w)/g, (_, letter) => letter.toUpperCase());

/** The options of the jest that a project has, as its command declares them to yargs. */
function declared(root) {
  const jest = createRequire(path.join(root, '_')).resolve('jest/package.json');
  return createRequire(jest)('jest-cli').yargsOptions ?? {};
}

/** @param {object} known jest's options, as yargs has them */
function syntaxOf(known) {
  const aliases = new Map();
  for (const [name, { alias = [] }] of Object.entries(known)) {
    for (const each of [alias].flat()) aliases.set(each, name);
  }
  const isKnown = (name) => name in known || WITHOUT.has(name);
  const nameOf = (text) => {
    const name = camel(text.split('.', 1)[0]);
    return resolve(aliases, isKnown, name, camel(text.replace(/^no-/, '')));
  };
  const kindOf = (name) => {
    const { type } = known[name] ?? {};
    return type === 'boolean' || type === 'array' ? type : 'value';
  };
  return { nameOf, kindOf, grouped: true, without: WITHOUT };
}

/**
 * @param {string[]} words
 * @param {string} root the project's folder
 * @param {number} [timeout] of `--test-timeout-hard`
 */
function typedOf(words, root, timeout) {
  // What is asked for by name, or pattern, chooses as well.
  const { options } = needed(words, syntaxOf(declared(root)));
  return { options: [...options, ...limitOf(timeout)] };
}

module.exports = { syntaxOf, typedOf };
