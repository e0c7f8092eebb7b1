'use strict';
// The result of an execution as JUnit XML, as Maven Surefire and others read it.

const { fromTop, Xml } = require('../xml');
const { cannot } = require('./ends');
const { said } = require('./summing');

const NOT_XML = /[^\t\n\r\u0020-\ud7ff\ue000-\ufffd\u{10000}-\u{10ffff}]/gu;
const NOT_ENDED = ['not_run', 'interrupted'];

const rounded = (seconds, digits) => Math.round(seconds * 10 ** digits) / 10 ** digits;

/** Whether what is known of the tests says how the file ended. */
const tells = ({ passed, tests }) => passed || (tests !== null && tests.failed + tests.errors > 0);

const knowsTests = (one) => one.cases.length > 0 && tells(one);

/** What a suite counts: tests where they are known, otherwise the file. */
function countsOf(one) {
  const { tests, outcome } = one;
  if (tests?.total > 0 && tells(one)) {
    const { total, failed, errors, skipped } = tests;
    return { tests: total, failures: failed, errors, skipped };
  }
  return {
    tests: 1,
    failures: Number(outcome === 'failed'),
    errors: Number(['crashed', 'timeout', 'error'].includes(outcome)),
    skipped: Number(NOT_ENDED.includes(outcome)),
  };
}

class Report {
  #xml = new Xml('testsuites', (text) => text.replace(NOT_XML, '\ufffd'));
  #folder;

  constructor(folder) {
    this.#folder = folder;
  }

  /** What became of a file that has no test that is known to have failed. */
  #ended(one) {
    const { passed, outcome, ended } = one;
    if (NOT_ENDED.includes(outcome)) return [this.#xml.element('skipped', { message: outcome })];
    if (passed) return [];
    const tag = outcome === 'failed' ? 'failure' : 'error';
    // GitLab shows the text of what failed, and no attribute of it.
    const text = [ended, ...said(one).flatMap(([, lines]) => lines)].join('\n');
    return [this.#xml.element(tag, { message: ended, type: outcome }, text)];
  }

  #printed(one) {
    return ['stdout', 'stderr'].map((stream, i) =>
      this.#xml.element(['system-out', 'system-err'][i], {}, one[stream]),
    );
  }

  /** The attempts before the one that counts. */
  #before({ history, passed }) {
    const failed = history.slice(0, -1).filter(({ outcome }) => outcome !== 'passed');
    return failed.map(({ attempt, outcome }) => {
      const tag = `${passed ? 'flaky' : 'rerun'}${outcome === 'failed' ? 'Failure' : 'Error'}`;
      return this.#xml.element(tag, { message: `attempt ${attempt}: ${outcome}`, type: outcome });
    });
  }

  /** What became of a test. */
  #came({ outcome, message }) {
    if (outcome === 'passed') return [];
    const [first] = message.split('\n', 1);
    const said = first === '' ? {} : { message: first };
    if (outcome === 'skipped') return [this.#xml.element('skipped', said)];
    const tag = outcome === 'failed' ? 'failure' : 'error';
    return [this.#xml.element(tag, { ...said, type: outcome }, message)];
  }

  /** A case for each test that is known, otherwise one for the file. */
  #cases(one) {
    const { file, cases, duration } = one;
    const place = fromTop(file, this.#folder); // what GitLab links a test to
    const made = (name, seconds, children) => {
      const time = seconds === null ? {} : { time: rounded(seconds, 6) };
      return [
        this.#xml.element('testcase', { name, classname: file, file: place, ...time }),
        children,
      ];
    };
    const all = knowsTests(one)
      ? cases.map((each, i) => {
          const name = each.name || `test ${i + 1}, whose name is not told`;
          const before = each.history ? this.#before(each) : [];
          return made(name, each.seconds, [...this.#came(each), ...before]);
        })
      : [made(file, duration, this.#ended(one))];
    all[0][1].push(...this.#before(one));
    // Of the file as a whole, where nothing is known of its tests: there GitLab reads it.
    if (!knowsTests(one)) all[0][1].push(...this.#printed(one));
    return all.map(([testcase, children]) => {
      this.#xml.append(testcase, children, '    ');
      return testcase;
    });
  }

  #suite(one, framework) {
    const xml = this.#xml;
    const { file: name, duration, outcome, attempts } = one;
    const suite = xml.element('testsuite', {
      name,
      time: rounded(duration, 6),
      ...countsOf(one),
    });
    const told = Object.entries({ framework, outcome, attempts }).filter(([, of]) => of !== '');
    const properties = xml.element('properties');
    xml.append(
      properties,
      told.map(([key, value]) => xml.element('property', { name: `qe.${key}`, value })),
      '    ',
    );
    const printed = knowsTests(one) ? this.#printed(one) : [];
    xml.append(suite, [properties, ...this.#cases(one), ...printed], '  ');
    return suite;
  }

  write(file, { results, framework, executionTime }) {
    const totals = { tests: 0, failures: 0, errors: 0, skipped: 0 };
    for (const counts of results.map(countsOf)) {
      for (const name of Object.keys(totals)) totals[name] += counts[name];
    }
    const suites = results.map((one) => this.#suite(one, framework));
    this.#xml.write(file, { name: 'qe', ...totals, time: rounded(executionTime, 3) }, suites);
  }
}

/**
 * Writes a result, whole or not at all: a test suite for each file.
 *
 * @param {string} file where to
 * @param {object} result of an execution, with `cases`
 * @param {string} folder that its files are relative to
 */
function writeJunit(file, result, folder) {
  try {
    new Report(folder).write(file, result);
  } catch (error) {
    if (error.code === undefined) throw error;
    throw cannot(`${file}: ${error.message}`);
  }
}

module.exports = { writeJunit };
