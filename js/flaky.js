'use strict';
// What hunts for flaky tests have in common: seeds and orders of their passes, and what
// is said of a test that passed in one pass and failed in another.

const { flakiness } = require('./addon');

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

/** What the history calls a pass's condition: of one name with those of pytest. */
const conditionOf = ({ pass, seed, order }) => {
  return { pass, condition: order === 'defined' ? 'default' : order, seed };
};

/**
 * The verdict of a test; null where it never ran.
 *
 * @param {Array<string | undefined>} statuses by pass: "passed", "failed", or another,
 *   which counts for neither
 */
function judge(statuses) {
  const counted = statuses.map((status) => VERDICTS[status]);
  return counted.some((verdict) => verdict !== undefined) ? flakiness(counted) : null;
}

/** The numbers of passes, from 1, as text. */
const list = (numbers) =>
  numbers.slice(0, SHOWN).join(', ') + (numbers.length > SHOWN ? ', ...' : '');

/** What is said of a flaky test. `again`: options that give a shuffled pass's order. */
function explain(judged, statuses, plan, again) {
  const numbers = statuses.flatMap((status, i) => (status === 'failed' ? [i + 1] : []));
  const { seed, order } = plan[numbers[0] - 1];
  return (
    `Flaky: failed in ${judged.failures} of ${judged.failures + judged.passes} passes ` +
    `(pass ${list(numbers)})${order === 'shuffled' ? `; its order: ${again(seed)}` : ''}`
  );
}

/** What was found in all files, as lines to print. */
class FlakyTable {
  #counts = { flaky: 0, failing: 0, passing: 0 };
  #lines = [];

  constructor(passes) {
    this.passes = passes;
  }

  add(file, titles, judged) {
    if (!judged) return;
    const kind = judged.isFlaky ? 'flaky' : judged.failures > 0 ? 'failing' : 'passing';
    this.#counts[kind] += 1;
    if (kind !== 'flaky') return;
    const total = judged.failures + judged.passes;
    const name = [file, ...titles].join(' › ');
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

module.exports = { FlakyTable, conditionOf, explain, judge, list, planPasses };
