'use strict';
// What the text of failures suggests as a cause: leads, no proofs.

const fs = require('node:fs');
const path = require('node:path');

const TABLE = path.join(__dirname, '..', '..', 'python', 'pytest_qe', 'likely_causes.json');
const MOST_TEXT = 200_000; // characters of one failure
const SHOWN = 160;

let causes;

function read() {
  causes ??= JSON.parse(fs.readFileSync(TABLE, 'utf8')).causes.map((one) => {
    return { ...one, pattern: new RegExp(one.pattern, 'i') };
  });
  return causes;
}

/** The line of a text that has a place. */
function lineOf(text, at) {
  const begin = text.lastIndexOf('\n', at - 1) + 1;
  const end = text.indexOf('\n', at);
  const line = text.slice(at === 0 ? 0 : begin, end < 0 ? undefined : end).trim();
  return line.length <= SHOWN ? line : `${line.slice(0, SHOWN - 1)}…`;
}

/**
 * Causes that the texts of failures suggest, the most frequent first: {cause, says, evidence
 * (the line), failures (in how many texts), source: "message"}.
 *
 * @param {string[]} texts one a failure: its message, or what was printed
 */
function likelyCauses(texts) {
  const found = new Map();
  for (const text of texts.map((one) => one.slice(-MOST_TEXT))) {
    const seen = new Set();
    for (const { cause, pattern, says } of read()) {
      const match = seen.has(cause) ? null : pattern.exec(text);
      if (match === null) continue;
      seen.add(cause);
      if (!found.has(cause)) {
        const evidence = lineOf(text, match.index);
        found.set(cause, { cause, says, evidence, failures: 0, source: 'message' });
      }
      found.get(cause).failures++;
    }
  }
  return [...found.values()].sort((a, b) => b.failures - a.failures);
}

module.exports = { likelyCauses };
