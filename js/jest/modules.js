'use strict';
// The parts of the user's own jest, found from where that is installed.

const { createRequire } = require('node:module');

const unwrap = (module) => module?.default ?? module;

/**
 * Each is loaded when it is first asked for: a worker that merely runs tests, and a
 * parent whose workers all lived, need few of them.
 *
 * @param {string} core the resolved path of the user's `@jest/core`
 */
function jestModules(core) {
  const from = createRequire(core);
  return {
    get TestRunner() {
      return unwrap(from('jest-runner'));
    },
    get Runtime() {
      return unwrap(from('jest-runtime'));
    },
    get HasteMap() {
      return unwrap(from('jest-haste-map'));
    },
    /** Jest 30 has it, 29 needs none. */
    get preloadResolver() {
      return from('jest-resolve').preloadResolver;
    },
    createEmptyTestResult: () => from('@jest/test-result').createEmptyTestResult(),
    formatResultsErrors: (...args) => from('jest-message-util').formatResultsErrors(...args),
    reportersRequire: (name) => createRequire(from.resolve('@jest/reporters'))(name),
  };
}

module.exports = { jestModules };
