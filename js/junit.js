'use strict';
// JUnit XML of a run, in the form that pytest's has: one suite, a case for each test.

const path = require('node:path');

const { writeWhole } = require('./files');

// What XML 1.0 cannot hold; no reader takes it, escaped or not.
// eslint-disable-next-line no-control-regex
const NOT_XML = /[\u0000-\u0008\u000b\u000c\u000e-\u001f\ufffe\uffff]|\p{Surrogate}/gu;
// eslint-disable-next-line no-control-regex
const COLOUR = /\u001b\[[0-9;]*m/g;

const clean = (text) =>
  String(text)
    .replace(COLOUR, '')
    .replace(NOT_XML, (c) => `#x${c.codePointAt(0).toString(16).toUpperCase().padStart(2, '0')}`);

/** "src/a.test.js" as a class: "src.a.test". */
const classOf = (file) => file.replace(/\.[cm]?[jt]sx?$/, '').replaceAll(path.sep, '.');

class Junit {
  #builder = require('junit-report-builder').newBuilder(); // other runs do without it
  #suite;
  #started = Date.now();

  /** @param {string} name of the suite: "jest" */
  constructor(name) {
    this.#suite = this.#builder
      .testSuite()
      .name(name)
      .timestamp(new Date(this.#started).toISOString());
  }

  /**
   * Adds a test's final result.
   *
   * @param {string} file relative to the project
   * @param {{titles: string[], outcome: 'passed'|'failed'|'error'|'skipped',
   *   seconds: number, message?: string}} test the title last, suites before it;
   *   no title: the file as a whole
   */
  add(file, { titles, outcome, seconds, message = '' }) {
    const name = titles.at(-1) ?? file;
    const within = titles.length > 0 ? [classOf(file), ...titles.slice(0, -1)] : [];
    const found = this.#suite
      .testCase()
      .className(clean(within.join('.')))
      .name(clean(name))
      .time(Math.round(seconds * 1000) / 1000);
    const text = clean(message);
    const first = text.split('\n', 1)[0];
    if (outcome === 'failed') found.failure(first).stacktrace(text);
    else if (outcome === 'error') found.error(first, '', text);
    else if (outcome === 'skipped') found.skipped();
  }

  write(file) {
    this.#suite.time((Date.now() - this.#started) / 1000);
    writeWhole(file, this.#builder.build());
  }
}

module.exports = { Junit };
