'use strict';
// `--flaky`: a file's passes become one result, in which a test that passed in one pass
// and failed in another has failed, and says so.

const { FLAKY } = require('../addon');
const { explain, judge, list } = require('../flaky');
const { settle } = require('./results');

const again = (seed) => `--randomize --seed=${seed}`;

/** The passes of one file. */
class FlakyFile {
  #left;
  #passes = [];
  #plan;

  constructor(test, plan) {
    this.test = test;
    this.#plan = plan;
    this.#left = plan.length;
  }

  /**
   * @param {number} pass from 0
   * @param {{result?: object, failure?: Error, tests: Array}} ended jest's result of the
   *   file, or why there is none; its tests as `conclude` gives them
   * @returns whether that was the last
   */
  add(pass, { result, failure, tests }) {
    const cases = new Map(tests.map(([key, ...rest]) => [key, rest]));
    this.#passes[pass] = { result, failure, cases };
    this.#left -= 1;
    return this.#left === 0;
  }

  /** For each test: key, what to tell of it, verdict. */
  *#tests() {
    const keys = new Set();
    for (const { cases } of this.#passes) for (const key of cases.keys()) keys.add(key);
    for (const key of keys) {
      const results = this.#passes.map(({ cases }) => cases.get(key)?.[0]);
      const statuses = results.map((result) => result?.status);
      const judged = judge(statuses);
      yield [key, this.#show(results, statuses, judged), judged];
    }
  }

  #show(results, statuses, judged) {
    const shown = results[statuses.indexOf('failed')] ?? results.find(Boolean);
    if (!judged?.isFlaky) return shown;
    const why = explain(judged, statuses, this.#plan, again);
    return { ...shown, failureMessages: [why, ...shown.failureMessages] };
  }

  /**
   * What to tell jest of the file, and what was found of each test.
   *
   * @returns {{failure?: Error, result?: object, tests: Array<[string, object, number?,
   *   object?]>}} of a test: key, result, outcome where it is another, verdict
   */
  conclude(jest, globalConfig) {
    const whole = this.#passes.find(({ result }) => result)?.result;
    const lost = this.#passes.flatMap(({ failure }, i) => (failure ? [i + 1] : []));
    const { failure } = this.#passes[lost[0] - 1] ?? {};
    if (!whole) return { failure, tests: [] };
    const tests = [];
    for (const [key, shown, judged] of this.#tests()) {
      const endings = this.#passes.map(({ cases }) => cases.get(key)?.[1]);
      const outcome = judged?.isFlaky ? FLAKY : endings.find((ending) => ending !== undefined);
      tests.push([key, shown, outcome, judged]);
    }
    const result = { ...whole, testResults: tests.map(([, shown]) => shown) };
    if (failure) {
      const message = `Flaky: the file could not be run in pass ${list(lost)}: ${failure.message}`;
      result.testExecError = { message, stack: failure.stack ?? message };
    }
    settle(result, this.test, jest, globalConfig);
    return { result, tests };
  }
}

module.exports = { FlakyFile };
