'use strict';
// `--flaky`: a file's passes become one result, in which a test that passed in one pass
// and failed in another has failed, and says so.

const { FLAKY, flakiness } = require('../addon');
const { settle } = require('./results');

const FEW_PASSES = 10; // fewer miss most: of a test that fails 1 time in 10, 35 %
const SHOWN = 10; // numbers of passes in a message

const VERDICTS = { passed: true, failed: false };

/**
 * Seed and order of each pass: the first runs tests as they are written, so that what
 * order alone breaks can be told from what fails anyway.
 */
function planPasses(passes, { seed, randomize }) {
  const first = seed ?? Math.floor(Math.random() * 2 ** 31);
  return Array.from({ length: passes }, (_, pass) => ({
    pass,
    seed: (first + pass) | 0,
    order: pass > 0 || randomize ? 'shuffled' : 'defined',
  }));
}

const list = (numbers) =>
  numbers.slice(0, SHOWN).join(', ') + (numbers.length > SHOWN ? ', ...' : '');

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

  /** For each test: key, results by pass (jest's; undefined: it did not run), verdict. */
  *#tests() {
    const keys = new Set();
    for (const { cases } of this.#passes) for (const key of cases.keys()) keys.add(key);
    for (const key of keys) {
      const results = this.#passes.map(({ cases }) => cases.get(key)?.[0]);
      const counted = results.map((result) => VERDICTS[result?.status]);
      const any = counted.some((verdict) => verdict !== undefined);
      yield [key, results, any ? flakiness(counted) : null];
    }
  }

  #show(results, judged) {
    const failed = results.findIndex((result) => result?.status === 'failed');
    const shown = results[failed] ?? results.find(Boolean);
    if (!judged?.isFlaky) return shown;
    const numbers = results.flatMap((result, i) => (result?.status === 'failed' ? [i + 1] : []));
    const { seed, order } = this.#plan[failed];
    const again = order === 'shuffled' ? `; its order: --randomize --seed=${seed}` : '';
    const why =
      `Flaky: failed in ${judged.failures} of ${judged.failures + judged.passes} passes ` +
      `(pass ${list(numbers)})${again}`;
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
    for (const [key, results, judged] of this.#tests()) {
      const shown = this.#show(results, judged);
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

/** What was found in all files, as lines to print. */
class FlakyTable {
  #counts = { flaky: 0, failing: 0, passing: 0 };
  #lines = [];

  constructor(passes) {
    this.passes = passes;
  }

  add(file, result, judged) {
    if (!judged) return;
    const kind = judged.isFlaky ? 'flaky' : judged.failures > 0 ? 'failing' : 'passing';
    this.#counts[kind] += 1;
    if (kind !== 'flaky') return;
    const total = judged.failures + judged.passes;
    const name = [file, ...result.ancestorTitles, result.title].join(' › ');
    this.#lines.push(
      `  ${judged.failures}/${total} failed  score ${judged.score.toFixed(2)}  ${judged.pattern}  ${name}`,
    );
  }

  toString() {
    const { flaky, failing, passing } = this.#counts;
    const head = `Flaky tests (${this.passes} passes): ${flaky} flaky, ${failing} failing, ${passing} passing`;
    const few =
      this.passes < FEW_PASSES ? [`  fewer than ${FEW_PASSES} passes miss most flaky tests`] : [];
    return [head, ...this.#lines.sort(), ...few].map((line) => `${line}\n`).join('');
  }
}

module.exports = { FlakyFile, FlakyTable, planPasses };
