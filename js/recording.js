'use strict';
// What is remembered of a run: the JSON result, and the history of durations.

const path = require('node:path');

const qe = require('./addon');
const { Captured } = require('./captured');
const { makeFolder } = require('./files');
const { writeHtml } = require('./htmlreport');
const { FOLDER, HISTORY, makeQeFolder } = require('./places');
const { publishing } = require('./publishing');
const { takePassword } = require('./queue/server');
const { Source } = require('./queue/target');
const { head } = require('./revision');
const { SharedHistory, isShared, runsKept } = require('./sharedhistory');
const { Texts } = require('./texts');

const KEEP_RUNS = 200;
/** The newest runs of others, which tell of files that were not run here. */
const OTHERS_RUNS = 10;

const OUTCOMES = {
  passed: qe.PASSED,
  failed: qe.FAILED,
  pending: qe.SKIPPED,
  disabled: qe.SKIPPED,
  skipped: qe.SKIPPED,
  todo: qe.SKIPPED,
};

const firstLine = (text) => String(text ?? '').split('\n', 1)[0];

/** So many failing attempts of one test have their texts. */
const MOST_ATTEMPTS = 20;

/** Whether, by these options, a report is written that holds what tests print. */
const holdsTexts = ({ reportJson, reportHtml }) => Boolean(reportJson || reportHtml);

class Recording {
  static #asked; // where the history is: a file, or that of the project
  static #source = null; // ... or on a server

  /**
   * Where runs of this process are remembered, by `history` or QE_HISTORY.
   *
   * @param {object} options as parsed
   * @throws UsageError
   */
  static ask(options) {
    const given = options.history ?? (process.env.QE_HISTORY || undefined);
    const shared = isShared(given);
    Recording.#asked = shared ? undefined : given;
    Recording.#source = shared ? new Source(given, options, process.cwd()) : null;
    if (shared) takePassword();
  }

  #shared = null; // where it is on a server
  #file = null;
  #record = new qe.Record();
  #items = new Map(); // by id
  #files = {};
  #names = new Map(); // of files, relative
  #started = Date.now() / 1000;
  #texts = new Texts(this.#record);
  #failures = []; // by item: how many attempts have failed

  /**
   * @param {string} runner "jest": what it is called in the history, and in warnings
   * @param {{reportJson?: string, reportHtml?: string}} options
   */
  constructor(runner, rootDir, options) {
    this.runner = runner;
    this.key = `${runner}/files`; // in the history: {file: [seconds, failed]}
    this.rootDir = rootDir;
    this.options = options;
    this.code = head(rootDir);
    this.#record.setCode(this.code.revision, this.code.branch);
    this.history = this.#open();
    this.before = this.#read();
  }

  #open() {
    const given = Recording.#asked;
    const folder = path.join(this.rootDir, FOLDER);
    if (Recording.#source !== null) {
      this.#shared = new SharedHistory(Recording.#source, this.rootDir);
      this.#shared.pull();
      this.#tellShared();
    }
    try {
      if (!this.#shared && given === undefined) makeQeFolder(folder);
      this.#file = this.#shared?.file ?? path.resolve(given ?? path.join(folder, HISTORY));
      return new qe.History(this.#file);
    } catch (error) {
      this.#warn(`history is not used: ${error.message}`);
      return null;
    }
  }

  /** The option of a session that tells other processes what it does. */
  publishing(names) {
    if (!this.history) return undefined;
    return publishing(this.#file, `qe-${this.runner}`, this.rootDir, names);
  }

  #read() {
    try {
      const own = JSON.parse(this.history?.get(this.key) ?? '{}');
      return this.#shared ? { ...this.#readOthers(), ...own } : own;
    } catch {
      return {};
    }
  }

  /** How files were on other machines, by their tests in the newest run that has them. */
  #readOthers() {
    const files = {};
    for (const { id } of this.history.runs(OTHERS_RUNS)) {
      const run = {};
      for (const { id: test, outcome, duration } of this.history.attempts(id)) {
        const one = (run[test.split('::', 1)[0]] ??= [0, 0]);
        one[0] += duration;
        one[1] = one[1] || Number(outcome !== 'passed' && outcome !== 'skipped');
      }
      for (const [name, one] of Object.entries(run)) files[name] ??= one;
    }
    return files;
  }

  #tellShared() {
    for (const text of this.#shared.warnings.splice(0)) this.#warn(text);
  }

  /** How often each test has failed and passed in runs before: [id, failures, passes]. */
  counts() {
    try {
      return this.history?.counts() ?? [];
    } catch (error) {
      this.#warn(`history cannot be read: ${error.message}`);
      return [];
    }
  }

  #warn(text) {
    process.stderr.write(`qe-${this.runner}: warning: ${text}\n`);
  }

  /**
   * What a file is called in all that is written.
   *
   * @param {string|{path: string, label?: string}} file where several have one path
   */
  name(file) {
    const { path: own, label } = typeof file === 'string' ? { path: file } : file;
    const key = label ? `${label}: ${own}` : own;
    let name = this.#names.get(key);
    if (name === undefined) {
      name = path.relative(this.rootDir, own);
      if (label) name = `${label}: ${name}`;
      this.#names.set(key, name);
    }
    return name;
  }

  /** How a file was the last time: [seconds, failed]; undefined where it was not. */
  known(file) {
    return this.before[this.name(file)];
  }

  /** When a file is to begin: what failed the last time first, then what is longest. */
  turn(test) {
    const [expected, failed] = this.known(test) ?? [(test.duration ?? 0) / 1000, 0];
    return { expected, first: Boolean(failed) };
  }

  /** The place of a test in the JSON result. */
  numberOf(id) {
    let item = this.#items.get(id);
    if (item === undefined) {
      item = this.#items.size;
      this.#record.addTest(id);
      this.#items.set(id, item);
    }
    return item;
  }

  /**
   * An attempt at a test of a file: `key` as of `Names`; `captured`: what is printed, of
   * which that is the part of `printedBy`, by default the key.
   */
  attempt({ test, attempt, pass, slot, captured, printedBy }, key, result, outcome) {
    const item = this.numberOf(this.id(test, key));
    this.#record.addAttempt({
      item,
      attempt,
      pass,
      worker: slot,
      outcome: outcome ?? OUTCOMES[result.status] ?? qe.SKIPPED,
      start: (result.startAt ?? result.startedAt ?? Date.now()) / 1000,
      duration: (result.duration ?? 0) / 1000,
      message: result.failureMessages.length > 0 ? firstLine(result.failureMessages[0]) : null,
    });
    if (result.status !== 'failed') return;
    const by = printedBy === undefined ? key : printedBy;
    this.#tellFailure({ item, pass, attempt }, result.failureMessages, captured, by);
  }

  /** What people read of an attempt that has failed. */
  #tellFailure(place, messages, captured, printedBy) {
    const { item } = place;
    if (!this.#reports) return;
    this.#failures[item] = (this.#failures[item] ?? 0) + 1;
    if (this.#failures[item] > MOST_ATTEMPTS) return;
    this.#texts.add(place, qe.TEXT_FAILURE, 'test', messages.join('\n\n'));
    captured?.failed(printedBy, place);
  }

  /**
   * A file could not be run: it stands for what it would have held, by its own name.
   *
   * @param {{message: string, stack?: string}} error
   * @param {number} [more.outcome] that of what its worker was lost by
   * @param {number} [more.start] seconds since the epoch; now, where nobody knows
   */
  broken({ test, attempt, pass, slot, captured }, { message, stack }, more = {}) {
    const { outcome = qe.ERROR, start = Date.now() / 1000 } = more;
    const item = this.numberOf(this.name(test));
    const text = String(stack || message);
    const duration = Math.max(0, Date.now() / 1000 - start);
    const made = { item, attempt, pass, worker: slot, outcome, start, duration };
    this.#record.addAttempt({ ...made, message: firstLine(text) });
    this.#record.setOutcome(item, outcome, firstLine(text));
    this.#tellFailure({ item, pass, attempt }, [text], captured, null);
  }

  /** Takes what a run of a file prints; null: nothing of that is to be written. */
  captured(Kind = Captured) {
    return this.#reports ? new Kind(this) : null;
  }

  /** Whether texts are to be short from here on. */
  get isFull() {
    return this.#texts.isFull;
  }

  /** What was printed in an attempt that is in the record. */
  add(place, name, text) {
    this.#texts.add(place, qe.TEXT_OUTPUT, name, text);
  }

  /** Whether the result is written to a file, with its texts. */
  get #reports() {
    return holdsTexts(this.options);
  }

  /** What a test is called in all that is written; `key` as of `Names`. */
  id(file, key) {
    const at = key.indexOf(':');
    const count = Number(key.slice(0, at));
    const name = `${this.name(file)}::${key.slice(at + 1)}`;
    return count === 0 ? name : `${name}#${count + 1}`;
  }

  /** A file has ended. `tests`: key, last result, and outcome where it is another. */
  file(file, seconds, failed, tests) {
    this.#files[this.name(file)] = [seconds, failed ? 1 : 0];
    for (const [key, result, outcome] of tests) {
      const message = result.failureMessages[0];
      this.#record.setOutcome(
        this.numberOf(this.id(file, key)),
        outcome ?? OUTCOMES[result.status] ?? qe.SKIPPED,
        message === undefined ? undefined : firstLine(message),
      );
    }
  }

  /** What the history knows of the tests' durations before this run is in it. */
  #addExpected() {
    const seconds = this.history.durations([...this.#items.keys()]);
    seconds.forEach((expected, item) => this.#record.setExpected(item, expected));
  }

  /** Tells under which condition each pass ran; without passes: the ordinary one. */
  #addPasses(passes = [{ pass: 0, condition: 'ordinary', seed: 0 }]) {
    for (const { pass, condition, seed } of passes) this.#record.addPass(pass, condition, seed);
  }

  /**
   * Writes what there is.
   *
   * @param {object} run what is said of the run as a whole
   * @param {{pass: number, condition: string, seed: number}[]} [passes]
   */
  finish(run, passes) {
    const wall = Date.now() / 1000 - this.#started;
    this.#addPasses(passes);
    try {
      if (this.history) {
        if (this.#reports) this.#addExpected();
        this.history.put(this.key, JSON.stringify({ ...this.before, ...this.#files }), 0);
        this.history.save(this.#record, this.#started, wall, run.workers);
        this.history.gc(this.#shared ? runsKept(this.#items.size) : KEEP_RUNS);
        this.history.close();
        // One that was interrupted does not wait for a server: it is appended with the next.
        if (this.#shared && !run.interrupted) this.#shared.push();
      }
    } catch (error) {
      this.#warn(`history was not saved: ${error.message}`);
    }
    if (this.#shared) this.#tellShared();
    const { reportJson, reportHtml, reportTrace } = this.options;
    if (!(reportJson || reportHtml || reportTrace)) return;
    const told = {
      started: this.#started,
      wall,
      node: process.versions.node,
      revision: this.code.revision ?? undefined,
      branch: this.code.branch ?? undefined,
      ...run,
    };
    const writeJson = (file) =>
      this.#record.writeJson(file, JSON.stringify(told), told.passes !== undefined);
    if (reportJson) {
      this.write('--report-json', reportJson, () => {
        makeFolder(path.dirname(path.resolve(reportJson)));
        writeJson(path.resolve(reportJson));
      });
    }
    if (reportTrace) {
      this.write('--report-trace', reportTrace, () => {
        makeFolder(path.dirname(path.resolve(reportTrace)));
        this.#record.writeTrace(path.resolve(reportTrace), this.#started);
      });
    }
    if (reportHtml)
      this.write('--report-html', reportHtml, () => writeHtml(path.resolve(reportHtml), writeJson));
  }

  /** Writes a file that an option has asked for; that it could not is a warning. */
  write(option, file, write) {
    try {
      write();
    } catch (error) {
      this.#warn(`${option}: ${file} was not written: ${error.message}`);
    }
  }
}

module.exports = { Recording, holdsTexts };
