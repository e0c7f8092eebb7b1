'use strict';
// What is kept on a queue's server of an attempt at a file: what a report says of it, in
// the format of pytest-qe (python/pytest_qe/payloads.py), and the file's tests besides.

const { Buffer } = require('node:buffer');

const VERSION = 1;
const MOST_BYTES = 1 << 20;
const KEPT = [1 << 18, 1 << 16, 1 << 13, 1 << 8]; // characters of each text
const MOST_TEXTS = 100;
const LONGEST_NAME = 1 << 12;
const LONGEST_MESSAGE = 1 << 14;

const shorter = (text, most) => (text.length <= most ? text : `${text.slice(0, most - 1)}…`);

const seconds = (value) => (Number.isFinite(value) && value >= 0 && value < 1e12 ? value : 0);

function cut(text, kept) {
  const left = text.length - kept;
  return left <= 0 ? text : `${text.slice(0, kept)}\n[qe: ${left} more characters left out]`;
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
 * @param {[string, string, number][]} [attempt.tests] each: its name, outcome and seconds
 * @returns {Buffer} JSON
 */
function pack({ outcome, start, duration, worker, node, failures, tests = [] }) {
  const value = {
    v: VERSION,
    outcome,
    start: seconds(start),
    duration: seconds(duration),
    worker,
    node,
  };
  if (failures.length > 0) {
    value.message = shorter(failures[0][1].split('\n', 1)[0], LONGEST_MESSAGE);
  }
  const described = tests.map(([name, of, took]) => ({
    name: shorter(name, LONGEST_NAME),
    outcome: of,
    duration: seconds(took),
  }));
  const texts = (kept) =>
    failures.slice(0, MOST_TEXTS).map(([name, text]) => ({
      kind: 'failure',
      name: shorter(name, LONGEST_NAME),
      text: cut(text, kept),
    }));
  const variants = KEPT.map((kept) => () => ({ ...value, texts: texts(kept), tests: described }));
  for (const variant of variants) {
    const data = Buffer.from(JSON.stringify(variant()));
    if (data.length <= MOST_BYTES) return data;
  }
  return Buffer.from(JSON.stringify(value));
}

module.exports = { pack };
