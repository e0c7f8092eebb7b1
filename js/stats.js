'use strict';
// What passes and failures say: the core's statistics. index.d.ts documents them.

const { stats: core } = require('./addon');
const { resultsOf } = require('./units');

const NOT_COUNTED = 2;

/** Outcomes as the core takes them. */
const bytes = (outcomes) =>
  Uint8Array.from(resultsOf(outcomes), (passed) => (passed === undefined ? NOT_COUNTED : +passed));

const stats = Object.freeze({
  ...core,
  changePoint: (outcomes, seed, permutations) =>
    core.changePoint(bytes(outcomes), seed, permutations),
  markov: (outcomes) => core.markov(bytes(outcomes)),
  pattern: (outcomes, alpha, seed, permutations) =>
    core.pattern(bytes(outcomes), alpha, seed, permutations),
});

module.exports = { stats };
