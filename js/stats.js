'use strict';
// What passes and failures say: the core's statistics. index.d.ts documents them.

const { ratesFit, stats: core } = require('./addon');
const { anyResultsOf, refuse, resultsOf } = require('./units');

const NOT_COUNTED = 2;

const byte = (passed) => (passed === undefined ? NOT_COUNTED : +passed);

/** Outcomes as the core takes them. */
const bytes = (outcomes) => Uint8Array.from(resultsOf(outcomes), byte);

function analyse(tests, alpha) {
  if (!Array.isArray(tests)) throw refuse(`tests: takes an array, not ${typeof tests}`);
  const each = tests.map((outcomes, i) => anyResultsOf(outcomes, `tests[${i}]`).map(byte));
  return core.analyse(
    Uint8Array.from(each.flat()),
    each.map((results) => results.length),
    alpha,
  );
}

const stats = Object.freeze({
  ...core,
  analyse,
  changePoint: (outcomes, seed, permutations) =>
    core.changePoint(bytes(outcomes), seed, permutations),
  markov: (outcomes) => core.markov(bytes(outcomes)),
  ratesFit,
  pattern: (outcomes, alpha, seed, permutations) =>
    core.pattern(bytes(outcomes), alpha, seed, permutations),
});

module.exports = { stats };
