'use strict';
// How a process ended, in words.

const fs = require('node:fs');
const path = require('node:path');
const { constants } = require('node:os');

const signalName = (number) =>
  Object.keys(constants.signals).find((name) => constants.signals[name] === number);

/** Has Node write down why it gives up, should it: out of memory, it ends by SIGABRT. */
function writeReason(file) {
  const { report } = process;
  if (report.reportOnFatalError) return; // as the user has asked for
  report.directory = path.dirname(file);
  report.filename = path.basename(file);
  report.compact = true;
  if ('excludeNetwork' in report) report.excludeNetwork = true; // Node 22 and later
  report.reportOnFatalError = true;
}

/** What `writeReason` has had written; "" where it was nothing. */
function readReason(file) {
  try {
    const { event } = JSON.parse(fs.readFileSync(file, 'utf8')).header;
    fs.rmSync(file);
    return String(event);
  } catch {
    return '';
  }
}

/**
 * What ended a process, from its wait status.
 *
 * @param {string} [file] where it has written its reason
 */
function describe(status, file) {
  const signal = status & 0x7f;
  if (!signal) return `exited with status ${status >> 8}`;
  const reason = file && readReason(file);
  const killed = `was killed by ${signalName(signal) ?? `signal ${signal}`}`;
  return reason ? `${killed}: ${reason}` : killed;
}

module.exports = { describe, writeReason };
