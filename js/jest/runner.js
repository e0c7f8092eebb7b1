'use strict';
// The runner that jest calls: it hands test files to workers of the core's, and jest
// what they report. No test file ever runs in this process.

const fs = require('node:fs');

const { refuse } = require('../command');
const { scratch } = require('../scratch');
const { Sharding } = require('../sharding');
const { UsageError } = require('../usage');
const { jestModules } = require('./modules');
const { Run } = require('./run');

class QeRunner {
  supportsEventEmitters = true;
  #listeners = new Map();

  constructor(globalConfig, context, options = {}) {
    this.globalConfig = globalConfig;
    this.context = context;
    const given = JSON.parse(process.env.QE_JEST_OPTIONS ?? '{}');
    this.options = { retries: 0, timeout: 0, backoff: 0, ...options, ...given };
    const here = require.resolve('@jest/core', {
      paths: [require.resolve('jest/package.json', { paths: [globalConfig.rootDir] })],
    });
    this.core = here;
    this.jest = jestModules(here);
  }

  on(name, listener) {
    const listeners = this.#listeners.get(name) ?? new Set();
    this.#listeners.set(name, listeners.add(listener));
    return () => listeners.delete(listener);
  }

  async emit(name, data) {
    for (const listener of [...(this.#listeners.get(name) ?? [])]) await listener(data);
  }

  async runTests(tests, watcher) {
    if (tests.length === 0) return;
    if (Sharding.current?.isUnheard) {
      throw new Error('--shard-by-time: the testSequencer of this project shards by itself');
    }
    const folder = scratch('qe-jest');
    try {
      const run = new Run(this, tests, watcher, folder);
      await run.start();
      await run.finished;
    } catch (error) {
      if (!(error instanceof UsageError)) throw error;
      fs.rmSync(folder, { recursive: true, force: true });
      refuse('qe-jest', error);
      process.exit(); // jest would show it with its stack
    } finally {
      fs.rmSync(folder, { recursive: true, force: true });
    }
  }
}

module.exports = QeRunner;
