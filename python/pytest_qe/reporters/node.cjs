'use strict';
// A reporter of Node's test runner: what became of each test, as JSON.

const path = require('node:path');

const MOST = 2000; // characters of a message

function outcomeOf(type, { name, nesting, skip, todo, file, details }) {
  const failed = type === 'test:fail';
  const why = details?.error?.failureType;
  // A file that defines no test, or that died, is told as if it were one.
  if (nesting === 0 && file !== undefined && path.resolve(name) === file) {
    return failed ? 'error' : null;
  }
  if (details?.type === 'suite') return failed && why !== 'subtestsFailed' ? 'error' : null;
  if (skip !== undefined || (todo !== undefined && todo !== false)) return 'skipped';
  if (!failed) return 'passed';
  return why === 'cancelledByParent' ? 'error' : 'failed';
}

function messageOf({ details }) {
  const error = details?.error;
  const cause = error?.cause ?? error;
  return String(cause?.stack ?? cause?.message ?? cause ?? '').slice(0, MOST);
}

module.exports = async function* (source) {
  const tests = [];
  for await (const { type, data } of source) {
    if (type !== 'test:pass' && type !== 'test:fail') continue;
    const outcome = outcomeOf(type, data);
    if (outcome === null) continue;
    const message = type === 'test:fail' ? messageOf(data) : '';
    tests.push({ name: data.name, outcome, message, milliseconds: data.details?.duration_ms });
  }
  yield JSON.stringify({ tests });
};
