'use strict';
// What other nodes, and reports of a whole run, are told of a file that has ended here.

const { FLAKY } = require('../addon');
const { Outcome } = require('../units');

const NAMES = Object.fromEntries(Object.entries(Outcome).map(([name, number]) => [number, name]));
const OUTCOMES = { passed: 'passed', failed: 'failed' }; // others: skipped

/** What an attempt at a file came to, of its tests. */
function outcomeOf(cases, file, error) {
  if (error) return NAMES[file.ending] ?? 'error';
  const failed = cases.filter(([, of]) => !['passed', 'flaky', 'skipped'].includes(of));
  if (failed.length > 0)
    return failed.every(([, of]) => of === failed[0][1]) ? failed[0][1] : 'failed';
  if (cases.some(([, of]) => of === 'flaky')) return 'flaky';
  return cases.length > 0 && cases.every(([, of]) => of === 'skipped') ? 'skipped' : 'passed';
}

/**
 * @param {object} file a `FileResult`, merged
 * @param {Error} [error] why it could not be run
 * @param {number} now milliseconds since the epoch
 * @param {object} event of the core's, that ended it
 * @returns {object} as `QueueNode.tell` takes it
 */
function toldOf(file, error, now, event) {
  const cases = [];
  const failures = [];
  if (error) failures.push(['the file', String(error.stack || error.message || error)]);
  for (const [, result, ending] of file.tests()) {
    const { fullName, status, duration, failureMessages } = result;
    const outcome = NAMES[ending] ?? OUTCOMES[status] ?? 'skipped';
    cases.push([fullName, ending === FLAKY ? 'flaky' : outcome, (duration ?? 0) / 1000]);
    if (status === 'failed') failures.push([fullName, failureMessages.join('\n\n')]);
  }
  const start = file.started / 1000;
  const outcome = outcomeOf(cases, file, error);
  return {
    // Passed behind an attempt that had failed, on whichever node.
    outcome: outcome === 'passed' && event.claim > 1 ? 'flaky' : outcome,
    again: event.elsewhere,
    attempt: { outcome, start, duration: now / 1000 - start, failures, cases },
  };
}

module.exports = { toldOf };
