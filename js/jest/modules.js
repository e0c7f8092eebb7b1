'use strict';
// The parts of the user's own jest, found from where that is installed.

const Module = require('node:module');

const { createRequire } = Module;

const unwrap = (module) => module?.default ?? module;

/** What jest's runner tells its listeners with, without a promise for each of them. */
class Events {
  #listeners = new Map();

  on(name, listener) {
    this.#listeners.set(name, listener);
  }

  emit(name, data) {
    this.#listeners.get(name)?.(data);
  }
}

/**
 * Jest's runner, as a worker has it: what it tells is told at once and not copied, as it
 * is sent at once. Jest watches promises, more of them with every file: each is dear.
 *
 * @param {string} place the resolved path of `jest-runner`
 */
function leanRunner(place) {
  const load = Module._load;
  const lean = {
    emittery: () => Events,
    'jest-util': (found) => ({ ...found, deepCyclicCopy: (value) => value }),
  };
  Module._load = function _load(request, parent, ...rest) {
    const found = load.call(this, request, parent, ...rest);
    return parent?.filename === place && lean[request] ? lean[request](found) : found;
  };
  return unwrap(require(place));
}

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
      return leanRunner(from.resolve('jest-runner'));
    },
    get Runtime() {
      // As jest's runner asks for it with each file: Node finds it again by who was first.
      return unwrap(createRequire(from.resolve('jest-runner'))('jest-runtime'));
    },
    get HasteMap() {
      return unwrap(from('jest-haste-map'));
    },
    /** Whether jest writes in colours. */
    get colours() {
      return Boolean(from('chalk').supportsColor);
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
