'use strict';
// One result for a file, of all attempts at it: what was retried, and what was lost
// with a worker.

const { FLAKY } = require('../addon');
const { Names } = require('../progress');

// What does not match is that of the last attempt: all that still fails was in it.
const SUMS = ['added', 'matched', 'updated'];

/** Makes a file's numbers and its message those of its tests. */
function settle(result, test, jest, globalConfig) {
  const of = (status) => result.testResults.filter((one) => one.status === status).length;
  result.numFailingTests = of('failed');
  result.numPassingTests = of('passed');
  result.numPendingTests = of('pending') + of('disabled');
  result.numTodoTests = of('todo');
  result.skipped = result.numPendingTests === result.testResults.length;
  if (result.numFailingTests === 0) result.failureMessage = result.testExecError?.message ?? null;
  const { config } = test.context;
  const failures = jest.formatResultsErrors(result.testResults, config, globalConfig, test.path);
  if (failures) result.failureMessage = failures;
}

class FileResult {
  constructor(test, started) {
    this.test = test;
    this.started = started;
    this.whole = []; // jest's results of attempts that ended
    this.keys = []; // of the tests in each
    this.pairs = null; // of the result that jest is given: keys and results
    this.cases = new Map(); // the last result of each test that ran, by key
    this.invocations = new Map();
    this.before = new Map(); // those of attempts before this one
    this.open = new Set(); // keys of tests that have failed and that jest may run again
    this.running = new Map(); // test cases, by key
    this.hook = { type: null, cases: [] }; // what runs before or after all tests
    this.error = null;
    this.losses = [];
    this.lostBy = undefined; // the outcome of the last of them that was of no test
    this.endings = new Map(); // what became of a test that ended its worker, by key
    this.failures = new Set(); // keys of tests that have failed once
  }

  /** A worker begins with the file, or goes on with it. */
  begin({ attempt, pass, slot }, captured) {
    this.captured = captured; // what it prints; null: nobody asks
    this.attempt = attempt;
    this.pass = pass;
    this.slot = slot;
    this.before = new Map(this.invocations);
    this.open = new Set();
    this.running.clear();
    this.hooked(null, []);
  }

  /** A hook begins, with which tests fail; without a type: it is over. */
  hooked(type, cases) {
    this.hook = { type, cases };
  }

  start(key, testCase) {
    this.running.set(key, testCase);
  }

  done(key, result, isOpen) {
    this.running.delete(key);
    if (isOpen) this.open.add(key);
    else this.open.delete(key);
    this.#keep(key, result);
  }

  /** The last status of each test that ran, by key, but for those that jest runs again. */
  statuses() {
    const over = [...this.cases].filter(([key]) => !this.open.has(key));
    return over.map(([key, { status }]) => [key, status]);
  }

  /** Each test: key, last result, and its outcome where that says less. */
  *tests() {
    for (const [key, result] of this.pairs ?? this.cases) {
      let outcome;
      if (result.status === 'failed') outcome = this.endings.get(key);
      else if (result.status === 'passed' && this.failures.has(key)) outcome = FLAKY;
      yield [key, result, outcome];
    }
  }

  #keep(key, { startedAt, ...result }) {
    // In jest 30's result of a file that is called `startAt`.
    if (startedAt !== undefined) result.startAt ??= startedAt;
    // Jest counts those within an attempt by itself (jest.retryTimes).
    const invocations = (this.before.get(key) ?? 0) + (result.invocations ?? 1);
    this.invocations.set(key, invocations);
    if (result.status === 'failed') this.failures.add(key);
    else this.endings.delete(key);
    this.cases.set(key, { ...result, invocations });
  }

  /**
   * An attempt came to its end, with jest's result of the file, or why there is none.
   *
   * @param {string[]} [keys] of the tests in the result
   */
  ended(result, keys, failure) {
    if (result) {
      const names = new Names();
      this.whole.push(result);
      this.keys.push(keys ?? result.testResults.map((one) => names.key(one.fullName)));
    }
    this.failure = failure;
    if (this.error?.killed) this.error = null; // the file had no part in that
  }

  /**
   * The worker died.
   *
   * @param {string} why the message
   * @param {number} now milliseconds since the epoch
   * @param {boolean} killed by what may have had no reason in the file
   */
  lost(why, now, killed) {
    const failed = [];
    const { type, cases } = this.hook;
    const [first, ...stack] = why.split('\n');
    if (type) why = [`${first}, in a hook ${type}`, ...stack].join('\n');
    for (const [key, testCase] of [...this.running, ...cases]) {
      const result = {
        ancestorTitles: testCase.ancestorTitles,
        duration: Math.max(0, now - (testCase.startedAt ?? now)),
        failing: false,
        failureDetails: [{}],
        failureMessages: [why],
        fullName: testCase.fullName,
        invocations: 1,
        location: testCase.location ?? null,
        numPassingAsserts: 0,
        retryReasons: [],
        startAt: testCase.startedAt ?? null,
        status: 'failed',
        title: testCase.title,
      };
      this.#keep(key, result);
      failed.push([key, result]);
    }
    this.losses.push(why);
    if (failed.length === 0) this.error = { message: why, stack: why, killed: killed && !type };
    this.running.clear();
    this.hooked(null, []);
    return failed;
  }

  /** The outcome of what a worker was lost by, if that is why the file could not be run. */
  get ending() {
    return this.failure || this.whole.at(-1)?.testExecError ? undefined : this.lostBy;
  }

  /** Why jest gets no result of the file; undefined: it gets one. */
  whyNone() {
    if (this.failure || this.losses.length === 0) return this.failure;
    if (this.cases.size > 0 || this.whole.length > 0) return undefined;
    const [message, ...stack] = this.losses.at(-1).split('\n');
    return Object.assign(new Error(message), { stack: [`Error: ${message}`, ...stack].join('\n') });
  }

  /** Jest's result of the file, from all attempts. */
  merge(jest, globalConfig, now) {
    const last = this.whole.at(-1);
    const listed = (last?.testResults ?? []).map((one, i) => [this.keys.at(-1)[i], one]);
    this.pairs = listed;
    if (this.whole.length === 1 && this.losses.length === 0) return last;
    this.pairs = this.#inOrder(listed);
    const result = last ? { ...last } : jest.createEmptyTestResult();
    result.testFilePath = this.test.path;
    result.testResults = this.pairs.map(([, one]) => one);
    this.#mergeParts(result, jest);
    const start = Math.min(this.started, last?.perfStats.start ?? this.started);
    result.perfStats = { ...result.perfStats, start, end: now, runtime: now - start };
    if (this.error) {
      const { message, stack } = this.error;
      result.testExecError = { message, stack };
    }
    settle(result, this.test, jest, globalConfig);
    return result;
  }

  #inOrder(listed) {
    const left = new Map(this.cases);
    const found = [];
    for (const [key, result] of listed) {
      found.push([key, left.get(key) ?? result]);
      left.delete(key);
    }
    return [...found, ...left];
  }

  #mergeParts(result, jest) {
    if (this.whole.length < 2) return;
    const lists = (name) => this.whole.flatMap((one) => one[name] ?? []);
    if (this.whole.some((one) => one.console)) result.console = lists('console');
    if (this.whole.some((one) => one.v8Coverage)) result.v8Coverage = lists('v8Coverage');
    result.snapshot = { ...result.snapshot };
    for (const name of SUMS) {
      if (typeof result.snapshot[name] === 'number') {
        result.snapshot[name] = this.whole.reduce((sum, one) => sum + (one.snapshot[name] ?? 0), 0);
      }
    }
    const maps = this.whole.map((one) => one.coverage).filter(Boolean);
    if (maps.length > 1) {
      const { createCoverageMap } = jest.reportersRequire('istanbul-lib-coverage');
      const merged = createCoverageMap({});
      for (const map of maps) merged.merge(map);
      result.coverage = merged.toJSON();
    }
  }
}

module.exports = { FileResult, settle };
