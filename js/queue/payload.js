'use strict';
// What is kept on a queue's server of an attempt at a file: what a report says of it, in
// the format of pytest-qe (python/pytest_qe/payloads.py), and the file's cases besides.

const { Buffer } = require('node:buffer');

const VERSION = 1;
const MOST_BYTES = 1 << 20;
const KEPT = [1 << 18, 1 << 16, 1 << 13, 1 << 8]; // characters of each text
const MOST_TEXTS = 100;
const LONGEST_NAME = 1 << 12;
const LONGEST_MESSAGE = 1 << 14;

/** What the tests of a file are counted by: all of them, and by what became of them. */
const TESTS = ['total', 'passed', 'failed', 'skipped', 'errors'];
const COUNTED = { passed: 'passed', flaky: 'passed', skipped: 'skipped', error: 'errors' };

const shorter = (text, most) => (text.length <= most ? text : `${text.slice(0, most - 1)}…`);

const seconds = (value) => (Number.isFinite(value) && value >= 0 && value < 1e12 ? value : 0);

function cut(text, kept) {
  const left = text.length - kept;
  return left <= 0 ? text : `${text.slice(0, kept)}\n[qe: ${left} more characters left out]`;
}

/** How many tests there were, and what became of them; null: none is known. */
function countsOf(cases) {
  if (cases.length === 0) return null;
  const counts = Object.fromEntries(TESTS.map((name) => [name, 0]));
  for (const [, outcome] of cases) {
    counts.total += 1;
    counts[COUNTED[outcome] ?? 'failed'] += 1;
  }
  return counts;
}

/**
 * @param {object} attempt
 * @param {string} attempt.outcome by its name: that of the attempt
 * @param {number} attempt.start seconds since the epoch
 * @param {number} attempt.duration seconds
 * @param {number} attempt.worker its slot
 * @param {string} attempt.node
 * @param {[string, string][]} attempt.failures what people read of what has failed: of
 *   which test, and what
 * @param {[string, string][]} [attempt.output] of what was printed: where, and what
 * @param {[string, string, number][]} [attempt.cases] each: its name, outcome and seconds
 * @param {object | null} [attempt.tests] how many tests the file had, and what became of them,
 *   by `TESTS`; by default those of the cases
 * @param {number} [attempt.cpu] seconds of processor time
 * @param {number} [attempt.peak] bytes of memory
 * @param {number} [attempt.status] of its process, as from `wait`
 * @param {number} [attempt.expected] seconds that the history knew
 * @returns {Buffer} JSON
 */
function pack({ outcome, start, duration, worker, node, failures, ...more }) {
  const { output = [], cases = [], tests = countsOf(cases) } = more;
  const { cpu, peak, status, expected } = more;
  const optional = {
    cpu: seconds(cpu),
    peak_memory: peak,
    status,
    expected: seconds(expected),
  };
  const value = {
    v: VERSION,
    outcome,
    start: seconds(start),
    duration: seconds(duration),
    worker,
    node,
    ...Object.fromEntries(Object.entries(optional).filter(([, of]) => of)),
  };
  if (failures.length > 0) {
    value.message = shorter(failures[0][1].split('\n', 1)[0], LONGEST_MESSAGE);
  }
  if (tests) value.tests = Object.fromEntries(TESTS.map((name) => [name, tests[name]]));
  const described = cases.map(([name, of, took]) => ({
    name: shorter(name, LONGEST_NAME),
    outcome: of,
    duration: seconds(took),
  }));
  const last = described.length > 0 ? { cases: described } : {};
  const all = [
    ...failures.map((one) => ['failure', ...one]),
    ...output.map((one) => ['output', ...one]),
  ];
  const texts = (kept) =>
    all.slice(0, MOST_TEXTS).map(([kind, name, text]) => ({
      kind,
      name: shorter(name, LONGEST_NAME),
      text: cut(text, kept),
    }));
  const variants = KEPT.map((kept) => () => ({ ...value, texts: texts(kept), ...last }));
  for (const variant of variants) {
    const data = Buffer.from(JSON.stringify(variant()));
    if (data.length <= MOST_BYTES) return data;
  }
  return Buffer.from(JSON.stringify(value));
}

module.exports = {
  LONGEST_MESSAGE,
  LONGEST_NAME,
  MOST_BYTES,
  MOST_TEXTS,
  TESTS,
  VERSION,
  pack,
};
