'use strict';
// How a process ended, in words.

const { constants } = require('node:os');

const signalName = (number) =>
  Object.keys(constants.signals).find((name) => constants.signals[name] === number);

/** What ended a process, from its wait status. */
function describe(status) {
  const signal = status & 0x7f;
  if (signal) return `was killed by ${signalName(signal) ?? `signal ${signal}`}`;
  return `exited with status ${status >> 8}`;
}

module.exports = { describe };
