'use strict';
// One compiled script for each file of node_modules, for a worker's life.
//
// jest gives each test file a context of its own, and compiles expect, circus and what
// the tests require anew for each: on Node 20 that is most of the time of small tests.
// A script is compiled once and run in each context; what it makes there is the same.

const vm = require('node:vm');

const DYNAMIC_IMPORT = /\bimport\s*\(/; // it goes to the runtime that compiled it
const DEPENDENCY = /[\\/]node_modules[\\/]/;

/** Whether it helps: later Nodes compile functions from a cache of their own. */
function helps(globalConfig) {
  const major = Number.parseInt(process.versions.node, 10);
  return major < 22 && globalConfig.coverageProvider !== 'v8';
}

/** Whether a file may have one script at all, whatever its code is. */
function isDependency(options) {
  return (
    options?.parsingContext !== undefined &&
    typeof options.filename === 'string' &&
    DEPENDENCY.test(options.filename) &&
    options.cachedData === undefined &&
    options.contextExtensions === undefined
  );
}

/** Takes the place of `vm.compileFunction`; returns what puts it back. */
function install() {
  const original = vm.compileFunction;
  const scripts = new Map();

  function compile(code, params, options) {
    const head = `(function (${params.join(',')}) {`;
    const script = new vm.Script(`${head}${code}\n})`, {
      filename: options.filename,
      columnOffset: (options.columnOffset ?? 0) - head.length,
      lineOffset: options.lineOffset,
    });
    return { code, script };
  }

  vm.compileFunction = function compileFunction(code, params = [], options = {}) {
    if (typeof code !== 'string' || !isDependency(options)) {
      return original.call(this, code, params, options);
    }
    const key = `${options.filename}\0${params.join(',')}`;
    let known = scripts.get(key);
    if (known?.code !== code) {
      // What only looks like a function's body once it is wrapped must still fail.
      const compiled = original.call(this, code, params, options);
      if (code.startsWith('#!') || DYNAMIC_IMPORT.test(code)) {
        scripts.set(key, { code, script: null });
        return compiled;
      }
      known = compile(code, params, options);
      scripts.set(key, known);
    }
    if (known.script === null) return original.call(this, code, params, options);
    return known.script.runInContext(options.parsingContext);
  };
  return () => {
    vm.compileFunction = original;
  };
}

module.exports = { helps, install };
