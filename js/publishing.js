'use strict';
// What a run tells other processes while it goes on (`qe ui` shows it): in files beside the
// history, which the core writes; see csrc/include/qe_live.h.

const path = require('node:path');

/**
 * The option `publish` of a run.
 *
 * @param {string} history the history's file
 * @param {string} kind who runs: "qe-jest", "qe-mocha", "qe exec", "qe hunt"
 * @param {string} project the folder of what is tested
 * @param {string[]} names of items, in their order
 */
function publishing(history, kind, project, names) {
  // What jest and mocha are called with: the wrappers' own words are not among them any more.
  const command = [kind.split(' ')[0], ...process.argv.slice(2)];
  const about = JSON.stringify({ kind, command, folder: project });
  return { folder: path.dirname(history), about, names };
}

module.exports = { publishing };
