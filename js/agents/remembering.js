'use strict';
// What agents remember of files in the project's history: outcomes and durations.
//
// A file counts as a test there, by its path: `qe history` tells its rate, and the next run
// takes the longest files first. As pytest_qe/agents/remembering.py.

const fs = require('node:fs');
const path = require('node:path');

const qe = require('../addon');
const { MemoryStore } = require('../memory');
const { FOLDER, makeQeFolder } = require('../places');
const { publishing } = require('../publishing');
const { head } = require('../revision');
const { KNOWN, recordOf } = require('./records');

const KEEP_RUNS = 200;

/**
 * The history beside an agent's store; nothing where the store is another one. Trouble is a
 * line in `warnings`: what is not remembered is no reason to run nothing.
 */
class Remembering {
  #file;
  #folder;
  #files;
  warnings = [];

  /**
   * @param {object} memory the agent's
   * @param {string} folder the project's
   * @param {string[]} files as they were given
   */
  constructor(memory, folder, files) {
    this.#file = memory instanceof MemoryStore ? memory.path : null;
    this.#folder = path.resolve(folder ?? '.');
    this.#files = files;
  }

  /** What other processes are told while the files run, each so many times. */
  publishing(kind, runs = 1) {
    if (this.#file === null) return undefined;
    const names = this.#files.flatMap((file) => Array(runs).fill(this.#name(file)));
    return publishing(this.#file, kind, this.#folder, names);
  }

  /** Seconds that each file will take; 0 where that is not known. */
  expected() {
    const unknown = this.#files.map(() => 0);
    if (this.#file === null || !fs.existsSync(this.#file)) return unknown;
    try {
      return this.#with((history) => history.durations(this.#files.map((f) => this.#name(f))));
    } catch (error) {
      this.warnings.push(`the history cannot be read: ${error.message}`);
      return unknown;
    }
  }

  /**
   * Saves what became of the files.
   *
   * @param {object[][]} runs of each file its results, one a run, as `Run.results` has them;
   *   what was interrupted or not run is left out
   * @param {number} began seconds since the epoch
   * @param {number} wall seconds
   */
  save(runs, began, wall) {
    if (this.#file === null) return;
    try {
      const record = this.#recordOf(runs);
      if (record === null) return;
      const folder = path.dirname(this.#file);
      if (path.basename(folder) === FOLDER) makeQeFolder(folder);
      this.#with((history) => {
        history.save(record, began, wall, 1);
        history.gc(KEEP_RUNS);
      });
    } catch (error) {
      this.warnings.push(`the history was not saved: ${error.message}`);
    }
  }

  #with(call) {
    const history = new qe.History(this.#file);
    try {
      return call(history);
    } finally {
      history.close();
    }
  }

  #recordOf(runs) {
    const all = runs.map((results, i) => [
      this.#name(this.#files[i]),
      results.filter(({ outcome }) => KNOWN.includes(outcome)),
    ]);
    const known = all.filter(([, results]) => results.length > 0);
    if (known.length === 0) return null;
    const record = recordOf(known);
    const { revision, branch } = head(this.#folder);
    record.setCode(revision, branch);
    return record;
  }

  #name(file) {
    return path.relative(this.#folder, path.resolve(this.#folder, file));
  }
}

module.exports = { Remembering };
