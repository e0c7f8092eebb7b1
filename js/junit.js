'use strict';
// JUnit XML of a run, in the form that pytest's has: one suite, a case for each test. What
// failed in attempts that do not count is there as Maven Surefire writes it.

const fs = require('node:fs');
const path = require('node:path');

const { fromTop, Xml } = require('./xml');

// What XML 1.0 cannot hold; no reader takes it, escaped or not.
// eslint-disable-next-line no-control-regex
const NOT_XML = /[\u0000-\u0008\u000b\u000c\u000e-\u001f\ufffe\uffff]|\p{Surrogate}/gu;
// eslint-disable-next-line no-control-regex
const COLOUR = /\u001b\[[0-9;]*m/g;

const clean = (text) =>
  text
    .replace(COLOUR, '')
    .replace(NOT_XML, (c) => `#x${c.codePointAt(0).toString(16).toUpperCase().padStart(2, '0')}`);

const MOST_OTHERS = 20; // of a test: a hunt may have thousands
const TYPE = /^[A-Za-z_][\w.]*(?=:|$)/;

/** "src/a.test.js" as a class: "src.a.test". */
const classOf = (file) => file.replace(/\.[cm]?[jt]sx?$/, '').replaceAll(path.sep, '.');

const firstLine = (text) => String(text).split('\n', 1)[0];

class Junit {
  #cases = [];
  #counts = { tests: 0, failures: 0, errors: 0, skipped: 0 };
  #failures = new Map(); // texts, by file and key
  #started = Date.now();

  /**
   * @param {string} name of the suite: "jest"
   * @param {string} folder that files are relative to
   * @param {boolean} hunts whether the first failure of a test is the one that counts;
   *   otherwise it is the last one
   */
  constructor(name, folder, hunts = false) {
    this.name = name;
    this.folder = folder;
    this.hunts = hunts;
    this.xml = new Xml('testsuites', clean);
  }

  /** A failure that does not count: of an attempt before the last one, or of a pass. */
  #other(tag, text) {
    const message = firstLine(text);
    const [type] = TYPE.exec(message) ?? ['Error'];
    return this.xml.element(tag, { message, type }, undefined, [
      this.xml.element('stackTrace', {}, text),
    ]);
  }

  /** An attempt at a test has failed; `key` as of `Names`. */
  failed(file, key, text) {
    const id = `${file}\n${key}`;
    const texts = this.#failures.get(id) ?? [];
    if (texts.length <= MOST_OTHERS) texts.push(text);
    this.#failures.set(id, texts);
  }

  /** What GitLab links a test to; of several projects a name is no path. */
  #place(file) {
    return fs.existsSync(path.resolve(this.folder, file))
      ? { file: fromTop(file, this.folder) }
      : {};
  }

  /** Failures of a test but for the one that counts, if any does. */
  #others(file, key, counts) {
    const texts = this.#failures.get(`${file}\n${key}`) ?? [];
    if (!counts) return texts.slice(0, MOST_OTHERS);
    return this.hunts ? texts.slice(1) : texts.slice(0, -1);
  }

  /**
   * Adds a test's final result.
   *
   * @param {string} file relative to the project
   * @param {{titles: string[], outcome: 'passed'|'failed'|'error'|'skipped',
   *   seconds: number, key?: string, message?: string}} test the title last, suites
   *   before it; no title: the file as a whole. `key`: as `failed` has heard it
   */
  add(file, { titles, outcome, seconds, key, message = '' }) {
    const name = titles.at(-1) ?? file;
    const within = titles.length > 0 ? [classOf(file), ...titles.slice(0, -1)] : [];
    const children = [];
    const failure = { message: firstLine(message) };
    if (outcome === 'failed') children.push(this.xml.element('failure', failure, message));
    const counts = outcome === 'failed' || outcome === 'error';
    const tag = counts ? 'rerunFailure' : 'flakyFailure';
    for (const text of this.#others(file, key, counts)) children.push(this.#other(tag, text));
    if (outcome === 'skipped') children.push(this.xml.element('skipped', {}));
    if (outcome === 'error') children.push(this.xml.element('error', failure, message));
    this.#counts.tests += 1;
    this.#counts.failures += outcome === 'failed' ? 1 : 0;
    this.#counts.errors += outcome === 'error' ? 1 : 0;
    this.#counts.skipped += outcome === 'skipped' ? 1 : 0;
    const time = Math.round(seconds * 1000) / 1000;
    this.#cases.push(
      this.xml.element(
        'testcase',
        { classname: within.join('.'), name, ...this.#place(file), time },
        undefined,
        children,
      ),
    );
  }

  write(file) {
    const suite = this.xml.element('testsuite', {
      name: this.name,
      timestamp: new Date(this.#started).toISOString(),
      time: (Date.now() - this.#started) / 1000,
      ...this.#counts,
    });
    this.xml.append(suite, this.#cases, '  ');
    this.xml.write(file, this.#counts, [suite]);
  }
}

module.exports = { Junit };
