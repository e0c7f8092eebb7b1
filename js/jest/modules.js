'use strict';
// The parts of the user's own jest, found from where that is installed.

const { createRequire } = require('node:module');

const unwrap = (module) => module?.default ?? module;

/** @param {string} core the resolved path of the user's `@jest/core` */
function jestModules(core) {
  const from = createRequire(core);
  const resolver = from('jest-resolve');
  return {
    TestRunner: unwrap(from('jest-runner')),
    Runtime: unwrap(from('jest-runtime')),
    HasteMap: unwrap(from('jest-haste-map')),
    preloadResolver: resolver.preloadResolver,
    createEmptyTestResult: from('@jest/test-result').createEmptyTestResult,
    formatResultsErrors: from('jest-message-util').formatResultsErrors,
    reportersRequire: createRequire(from.resolve('@jest/reporters')),
  };
}

module.exports = { jestModules };
