'use strict';
// The result of an execution as JUnit XML: a case for each test that failed, otherwise one for
// the file.

const { Junit } = require('../junit');

const NOT_ENDED = ['not_run', 'interrupted'];

/** What JUnit calls the outcome of a file. */
function outcomeOf({ passed, outcome }) {
  if (passed) return 'passed';
  if (NOT_ENDED.includes(outcome)) return 'skipped';
  return outcome === 'failed' ? 'failed' : 'error';
}

function writeJunit(file, { results }) {
  const junit = new Junit('qe');
  for (const one of results) {
    const failed = one.history.filter(({ outcome }) => outcome !== 'passed');
    for (const { attempt, outcome } of failed) {
      junit.failed(one.file, one.file, `attempt ${attempt}: ${outcome}`);
    }
    const outcome = outcomeOf(one);
    if (outcome === 'failed' && one.failures.length > 0) {
      for (const { name, message } of one.failures) {
        junit.add(one.file, { titles: [name], outcome, seconds: 0, message });
      }
    } else {
      const { duration, ended } = one;
      junit.add(one.file, {
        titles: [],
        outcome,
        seconds: duration,
        key: one.file,
        message: ended,
      });
    }
  }
  junit.write(file);
}

module.exports = { writeJunit };
