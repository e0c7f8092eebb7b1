'use strict';
// What agents remember of files in the project's history: outcomes and durations.
//
// A file counts as a test there, by its path: `qe history` tells its rate, and the next run
// takes the longest files first. As pytest_qe/agents/remembering.py.

const fs = require('node:fs');
const path = require('node:path');

const qe = require('../addon');
const { MemoryStore } = require('../memory');
const { FOLDER, HISTORY, makeQeFolder } = require('../places');
const { publishing } = require('../publishing');
const { Source } = require('../queue/target');
const { head } = require('../revision');
const { SharedHistory, isShared } = require('../sharedhistory');
const { UsageError } = require('../usage');
const { KNOWN, recordOf } = require('./records');

const KEEP_RUNS = 200;

/**
 * The history beside an agent's store; nothing where the store is another one. Trouble is a
 * line in `warnings`: what is not remembered is no reason to run nothing.
 */
class Remembering {
  #file;
  #live; // whose folder others look into
  #shared = null; // what QE_HISTORY names, where that is on a server
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
    this.#live = this.#file;
    this.#share();
  }

  /** What QE_HISTORY says takes the place of the project's own history. */
  #share() {
    const own = path.join(FOLDER, HISTORY);
    if (!process.env.QE_HISTORY || !this.#file?.endsWith(path.sep + own)) return;
    this.#orWarn(() => {
      if (!isShared(process.env.QE_HISTORY)) return;
      const root = path.resolve(this.#file.slice(0, -own.length));
      this.#shared = new SharedHistory(new Source(process.env.QE_HISTORY, {}, root), root);
      this.#file = this.#shared.file;
    });
  }

  /** Talks of, or to, the server of a shared history. */
  #orWarn(call) {
    try {
      call();
    } catch (error) {
      if (!(error instanceof UsageError)) throw error;
      this.warnings.push(`QE_HISTORY: ${error.message}`);
    }
    this.warnings.push(...(this.#shared?.warnings.splice(0) ?? []));
  }

  /** What other processes are told while the files run, each so many times. */
  publishing(kind, runs = 1) {
    if (this.#live === null) return undefined;
    const names = this.#files.flatMap((file) => Array(runs).fill(this.#name(file)));
    return publishing(this.#live, kind, this.#folder, names);
  }

  /** Seconds that each file will take; 0 where that is not known. */
  expected() {
    const unknown = this.#files.map(() => 0);
    if (this.#shared) this.#orWarn(() => this.#shared.pull());
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
      return;
    }
    if (this.#shared) this.#orWarn(() => this.#shared.push());
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
