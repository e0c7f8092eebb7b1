'use strict';
// Results of commands as the record of a run, which the history and every report are made from.
// As pytest_qe/agents/records.py.

const qe = require('../addon');
const { Texts } = require('../texts');
const { Outcome } = require('../units');
const { describeEnd } = require('./running');

/** What the core calls outcomes; what was interrupted, or never ran, has none. */
const KNOWN = ['passed', 'failed', 'error', 'timeout', 'crashed', 'flaky'];

const outcomeOf = (name) => (KNOWN.includes(name) ? Outcome[name] : qe.NONE);

/** One line that says what failed; null: nothing. */
function messageOf({ outcome, failures = [], ended }) {
  if (outcome === 'passed') return null;
  if (failures.length === 0) return ended;
  const [{ name, message }] = failures;
  return `${name}: ${message.trim().split('\n', 1)[0]}`;
}

/** How a process died, as `wait(2)` tells it; 0: it did not. */
function statusOf({ returncode, outcome }) {
  if (returncode === null || outcome === 'passed') return 0;
  if (returncode < 0) return -returncode;
  return outcome === 'crashed' ? returncode * 256 : 0;
}

/**
 * The record of commands that were run.
 *
 * @param {[string, object[]][]} entries of each command its name and its results, one a run,
 *   as `Run.results` has them: the first is pass 0. One without any has no outcome
 * @param {boolean} [options.texts] what attempts printed, and what failed in them, is in it
 */
function recordOf(entries, { texts = false } = {}) {
  const record = new qe.Record();
  const kept = texts ? new Texts(record) : null;
  for (const [name, results] of entries) {
    const item = record.addTest(name);
    for (const [pass, result] of results.entries()) add(record, item, pass, result, kept);
    const known = results.find(({ expected }) => expected);
    if (known) record.setExpected(item, known.expected);
    if (results.length === 0) continue;
    const worst = results.find(({ passed }) => !passed) ?? results[0];
    record.setOutcome(item, outcomeOf(worst.outcome), messageOf(worst));
  }
  return record;
}

function add(record, item, pass, result, kept) {
  const last = result.history.at(-1);
  for (const attempt of result.history) {
    const left = attempt === last ? result : attempt;
    const { outcome, returncode } = attempt;
    const ended = left.ended ?? describeEnd(returncode);
    // What was interrupted: what it would have come to nobody knows.
    const isOpen = attempt === last && !KNOWN.includes(result.outcome);
    record.addAttempt({
      item,
      pass,
      attempt: attempt.attempt,
      worker: attempt.worker,
      outcome: isOpen ? qe.NONE : outcomeOf(outcome),
      start: attempt.started,
      duration: attempt.seconds,
      cpu: attempt.cpuSeconds,
      peakBytes: attempt.peakMemoryBytes,
      status: statusOf(attempt),
      message: messageOf({ ...left, outcome, ended }),
    });
    if (kept === null) continue;
    const place = { item, pass, attempt: attempt.attempt };
    for (const { name, message } of left.failures ?? [])
      kept.add(place, qe.TEXT_FAILURE, name, message);
    for (const stream of ['stdout', 'stderr'])
      if (left[stream]) kept.add(place, qe.TEXT_OUTPUT, stream, left[stream]);
  }
}

module.exports = { KNOWN, recordOf };
