'use strict';
// What is changed around a pass (qe_around.h), in the worker that runs it: by the core
// what is about the process, here what is about the language. Nothing of it is put back:
// a pass has a worker of its own, and ends with it.

const entropy = require('./entropy');

/** Far from UTC, by quarters of an hour, with summer time; and one for who lives there. */
const ZONES = ['Pacific/Chatham', 'America/Los_Angeles'];

/** What is about a moment, which is that of the start: tests are to be loaded by then. */
const MOMENTS = ['clock', 'partner'];

function changeZone() {
  const before = new Date(0).getTimezoneOffset();
  for (const zone of ZONES) {
    process.env.TZ = zone; // Node reads it anew
    if (new Date(0).getTimezoneOffset() !== before) return true;
  }
  return false;
}

/** Changes what the pass of a worker asks for, before its first claim: {around, refused}. */
function change(core) {
  const { around } = core.job();
  if (around.length === 0) return { around, refused: [] };
  const refused = core.around();
  if (around.includes('zone') && !changeZone()) refused.push('zone');
  return { around, refused };
}

/** Has what node:crypto draws come from a pass's random numbers, where that is asked for. */
function changeEntropy(around, next) {
  if (around.includes('entropy')) entropy.install(next);
}

module.exports = { MOMENTS, change, changeEntropy };
