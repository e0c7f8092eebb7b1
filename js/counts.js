'use strict';
// How many tests a test file's command ran, and what became of them. What a command has
// written or printed comes from elsewhere: whatever is missing, cut off or not what it
// should be gives null, never an exception and never a wrong count.

const fs = require('node:fs');
const path = require('node:path');

const { COLOUR, PRINTED } = require('./printed');

const MOST_BYTES = 16 * 2 ** 20; // of a report
const MOST_FAILURES = 20;
const MOST_TEXT = 2000; // characters of a name or a message
const CUT = /^\[qe: \d+ bytes were left out /m; // qe_excerpt.c

class Malformed extends Error {}

/** A name or a message, as far as it is shown. */
function short(given) {
  const text = String(given).replace(COLOUR, '').trim();
  const points = text.length > MOST_TEXT ? Array.from(text.slice(0, 2 * MOST_TEXT)) : [];
  return points.length > MOST_TEXT ? `${points.slice(0, MOST_TEXT - 1).join('')}…` : text;
}

/** Of tests as [outcome, name, message, seconds]: their numbers, what failed, and each. */
function counted(all) {
  const tests = { total: 0, passed: 0, failed: 0, skipped: 0, errors: 0 };
  const cases = all.map(([outcome, name, message, seconds]) => {
    tests.total++;
    tests[outcome]++;
    return { outcome, name: short(name), message: short(message), seconds: seconds ?? null };
  });
  const failures = cases
    .filter(({ outcome }) => outcome === 'failed' || outcome === 'errors')
    .slice(0, MOST_FAILURES)
    .map(({ name, message }) => ({ name, message }));
  return { tests, failures, cases };
}

/** A time that a report tells, in so many parts of a second; null where it is none. */
const secondsOf = (given, by = 1) =>
  typeof given === 'number' && given >= 0 && given < 1e9 ? given / by : null;

/** The text of a report: UTF-8, and not too much of it. */
function textOf(file) {
  if (file === null || !fs.statSync(file).isFile()) throw new Malformed();
  const fd = fs.openSync(file, 'r');
  try {
    const { size } = fs.fstatSync(fd);
    if (size > MOST_BYTES) throw new Malformed();
    return new TextDecoder('utf-8', { fatal: true }).decode(fs.readFileSync(fd));
  } finally {
    fs.closeSync(fd);
  }
}

// ------------------------------------------------------------------------ JUnit

function elements(parent, tag) {
  const found = [];
  for (let child = parent.firstChild; child !== null; child = child.nextSibling) {
    if (child.nodeType === 1 && child.tagName === tag) found.push(child);
  }
  return found;
}

const attribute = (element, name) => element.getAttribute(name) ?? '';

function documentOf(text) {
  const { DOMParser } = require('@xmldom/xmldom'); // other runs do without
  const onError = () => {
    throw new Malformed();
  };
  // Every kind of reference to what a document type declares is refused, so is the type.
  const document = new DOMParser({ onError }).parseFromString(text, 'text/xml');
  if (document.doctype !== null) throw new Malformed();
  const root = document.documentElement;
  if (root.tagName !== 'testsuites' && root.tagName !== 'testsuite') throw new Malformed();
  return root;
}

function casesOf(suite) {
  const inner = elements(suite, 'testsuite');
  const own = suite.tagName === 'testsuite' ? elements(suite, 'testcase') : [];
  return [...own, ...inner.flatMap(casesOf)];
}

const RESULTS = [
  ['failure', 'failed'],
  ['error', 'errors'],
  ['skipped', 'skipped'],
];

function caseOf(element, kind) {
  const title = attribute(element, 'name');
  const where = attribute(element, 'classname');
  const name = where !== '' && where !== title ? `${where} › ${title}` : title;
  const said = (result) => [attribute(result, 'message'), result.textContent];
  const all = RESULTS.flatMap(([tag]) => elements(element, tag));
  const time = attribute(element, 'time').trim();
  const seconds = time === '' ? null : secondsOf(Number(time));
  let text = all.flatMap(said).filter(Boolean).join('\n');
  if (kind === 'ctest') {
    const status = attribute(element, 'status');
    const [skipped] = elements(element, 'skipped');
    if (status === 'disabled') return ['skipped', name, ''];
    // What ctest cannot run has failed, whatever this says; not so what skips itself.
    const own = skipped !== undefined && attribute(skipped, 'message').startsWith('SKIP_');
    if (status === 'notrun' && !own) return ['errors', name, text, seconds];
    if (status === 'fail' && text === '') {
      text = elements(element, 'system-out')[0]?.textContent ?? '';
    }
  }
  for (const [tag, outcome] of RESULTS) {
    if (elements(element, tag).length === 0) continue;
    // Playwright's errors are tests that failed by anything but an expectation.
    const failed = kind === 'playwright' && outcome === 'errors';
    return [failed ? 'failed' : outcome, name, text, seconds];
  }
  return ['passed', name, '', seconds];
}

const junit = (text, kind) => {
  const tests = casesOf(documentOf(text)).map((one) => caseOf(one, kind));
  if (kind !== 'pytest') return tests;
  // One that fails, and then in its teardown, is there twice.
  const failed = new Set(tests.filter(([how]) => how === 'failed').map(([, name]) => name));
  return tests.filter(([how, name]) => how !== 'errors' || !failed.has(name));
};

// ------------------------------------------------------------------------- JSON

const JEST = new Map([
  ['passed', 'passed'],
  ['failed', 'failed'],
  ['pending', 'skipped'],
  ['skipped', 'skipped'],
  ['todo', 'skipped'],
  ['disabled', 'skipped'],
]);

const LIST = new Map([
  ['passed', 'passed'],
  ['failed', 'failed'],
  ['skipped', 'skipped'],
  ['error', 'errors'],
]);

function known(outcomes, name) {
  if (!outcomes.has(name)) throw new Malformed();
  return outcomes.get(name);
}

function jest(text) {
  const report = JSON.parse(text);
  const tests = report.testResults.flatMap((file) => {
    const own = file.assertionResults.map(({ status, fullName, failureMessages, duration }) => [
      known(JEST, status),
      fullName,
      (failureMessages ?? []).join('\n'),
      secondsOf(duration, 1000),
    ]);
    if (file.status === 'failed' && !own.some(([outcome]) => outcome === 'failed')) {
      own.push(['errors', path.basename(file.name), file.message]);
    }
    return own;
  });
  const number = (outcome) => tests.filter(([one]) => one === outcome).length;
  if (report.numPassedTests !== number('passed') || report.numFailedTests !== number('failed')) {
    throw new Malformed();
  }
  return tests;
}

const list = (text) =>
  JSON.parse(text).tests.map(({ name, outcome, message, milliseconds }) => [
    known(LIST, outcome),
    name,
    message,
    secondsOf(milliseconds, 1000),
  ]);

// ----------------------------------------------------------------------------

const FILES = { pytest: junit, playwright: junit, junit, ctest: junit, jest, list };

function testsOf({ kind, report }, returncode, stdout, stderr) {
  if (Object.hasOwn(FILES, kind)) return FILES[kind](textOf(report), kind);
  if (!Object.hasOwn(PRINTED, kind) || returncode === null || returncode < 0) return null;
  if (CUT.test(stdout) || CUT.test(stderr)) return null;
  return PRINTED[kind](returncode, stdout, stderr);
}

/**
 * The tests of a command that has ended: {tests: {total, passed, failed, skipped, errors},
 * failures: [{name, message}], cases: [{outcome, name, message, seconds}]}; null where they
 * are not known.
 */
function read(command, returncode, stdout, stderr) {
  try {
    const tests = testsOf(command, returncode, stdout, stderr);
    return tests === null ? null : counted(tests);
  } catch {
    return null; // whatever it is made of: it is no report
  }
}

/** Removes what a command has written for `read`: before it runs again, and in the end. */
function discard({ report }) {
  if (report !== null) fs.rmSync(report, { force: true, recursive: true });
}

/** What a command has printed, for people: of `go test -json`, the text in it. */
function printed({ kind }, stdout) {
  if (kind !== 'go') return stdout;
  return stdout
    .split(/(?<=\n)/)
    .map((line) => {
      if (!line.startsWith('{')) return line;
      try {
        return String(JSON.parse(line).Output ?? '');
      } catch {
        return line;
      }
    })
    .join('');
}

/** The sum of files' numbers, of those that are known; null where none is. */
function sum(all) {
  const found = all.filter((tests) => tests !== null);
  if (found.length === 0) return null;
  const names = Object.keys(found[0]);
  return Object.fromEntries(names.map((name) => [name, found.reduce((n, t) => n + t[name], 0)]));
}

module.exports = { discard, printed, read, sum };
