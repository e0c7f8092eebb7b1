'use strict';
// Tests by what their command has printed, where it writes no file. Each function takes
// (returncode, stdout, stderr), gives [outcome, name, message, seconds] of each test, the
// last where it is told, and throws where the text is not all, or not what it should be.

// eslint-disable-next-line no-control-regex
const COLOUR = /\x1b\[[0-9;:]*[A-Za-z]/g;

class Malformed extends Error {}

const many = (n, outcome) => Array.from({ length: n }, () => [outcome, '', '']);

// --------------------------------------------------------------------------- go

const GO_BUILD = /^FAIL\t(\S+) \[(?:build|setup) failed\]$/;
const GO = new Map([
  ['pass', 'passed'],
  ['fail', 'failed'],
  ['skip', 'skipped'],
]);

/** What `go test -json` says; before Go 1.20, of what cannot be built, as text. */
function* eventsOf(stdout) {
  for (const line of stdout.split('\n')) {
    const failed = GO_BUILD.exec(line);
    if (failed) yield { Action: 'fail', Package: failed[1] };
    if (line.startsWith('{')) yield JSON.parse(line);
  }
}

/** Packages, each {end, tests: by name, text}. */
function packagesOf(stdout) {
  const packages = new Map();
  let built = '';
  for (const event of eventsOf(stdout)) {
    const { Action: action, Package: name, Test: test, Output: text, Elapsed: seconds } = event;
    if (typeof action !== 'string') throw new Malformed();
    if (action === 'build-output') built += text;
    if (name === undefined) continue;
    if (!packages.has(name)) packages.set(name, { end: null, text: '', tests: new Map() });
    const within = packages.get(name);
    if (test !== undefined && !within.tests.has(test)) {
      within.tests.set(test, { end: null, text: '', begun: false });
    }
    const one = test === undefined ? within : within.tests.get(test);
    if (action === 'run') one.begun = true;
    if (action === 'output') one.text += text;
    if (GO.has(action)) Object.assign(one, { end: GO.get(action), seconds });
  }
  return { packages, built };
}

function go(returncode, stdout) {
  const { packages, built } = packagesOf(stdout);
  if (packages.size === 0) throw new Malformed();
  const found = [];
  for (const [name, { end, text, tests }] of packages) {
    if (end === null) throw new Malformed();
    const own = [...tests]
      .filter(([, test]) => test.begun || test.end !== null)
      // One without an end went with its process.
      .map(([title, { end: how, text: said, seconds }]) => [
        how ?? 'errors',
        title,
        how === 'passed' ? '' : said,
        seconds,
      ]);
    const explained = own.some(([outcome]) => outcome === 'failed' || outcome === 'errors');
    if (end === 'failed' && !explained) own.push(['errors', name, built + text]);
    found.push(...own);
  }
  return found;
}

// ------------------------------------------------------------------------ cargo

const RUST_RUNS = /^running (\d+) tests?$/;
const RUST_RESULT =
  /^test result: (?:ok|FAILED)\. (\d+) passed; (\d+) failed; (\d+) ignored; (\d+) measured; /;
const RUST_BINARY = /^ +(?:Running|Doc-tests) /gm;
const RUST_SAID = /^---- (.+) stdout ----$/;

function cargo(returncode, stdout, stderr) {
  let [passed, failed, ignored, results] = [0, 0, 0, 0];
  const said = new Map();
  let wanted = null; // of the binary that is running
  let at = null;
  for (const line of stdout.replace(COLOUR, '').split('\n')) {
    const result = RUST_RESULT.exec(line);
    const head = RUST_SAID.exec(line);
    if (wanted === null) {
      if (result) throw new Malformed(); // then the one before was printed by a test
      const runs = RUST_RUNS.exec(line);
      if (runs) [wanted, at] = [Number(runs[1]), null];
    } else if (result) {
      const [p, f, i, m] = result.slice(1).map(Number);
      if (p + f + i + m !== wanted) continue; // a test has printed it
      passed += p + m;
      failed += f;
      ignored += i;
      results++;
      wanted = null;
    } else if (head) {
      at = [];
      said.set(head[1], at);
    } else if (line === 'failures:') {
      at = null;
    } else {
      at?.push(line);
    }
  }
  const binaries = stderr.replace(COLOUR, '').match(RUST_BINARY)?.length ?? results;
  if (wanted !== null || results === 0 || results !== binaries) throw new Malformed();
  if ((returncode === 0) !== (failed === 0) || said.size > failed) throw new Malformed();
  const told = Array.from(said, ([name, lines]) => ['failed', name, lines.join('\n')]);
  return [
    ...many(passed, 'passed'),
    ...many(ignored, 'skipped'),
    ...told,
    ...many(failed - said.size, 'failed'),
  ];
}

// --------------------------------------------------------------------- unittest

const END = /^-{70}\nRan (\d+) tests? in [^\n]*\n\n(OK|FAILED|NO TESTS RAN)(?: \(([^\n]*)\))?$/gm;
const BLOCK = /^={70}\n(FAIL|ERROR|UNEXPECTED SUCCESS): ([^\n]*)\n/gm;
const OUTSIDE = /^(?:setUp|tearDown)(?:Class|Module) \(/;

/** How many tests passed by a line of progress; null where more was printed. */
function dotsOf(progress) {
  const marks = progress.replace(/\s+/g, '');
  return /^[.FEsxu]*$/.test(marks) ? marks.split('.').length - 1 : null;
}

/** The last line of a run: {at, ran, told: numbers by what is said of them}. */
function endOf(text, returncode) {
  const end = [...text.matchAll(END)].at(-1);
  if (end === undefined) throw new Malformed();
  const [, ran, word, numbers = ''] = end;
  // Otherwise a test has printed it, or something went wrong behind it.
  if ((word === 'FAILED' && returncode === 0) || (word === 'OK' && returncode !== 0)) {
    throw new Malformed();
  }
  const pairs = numbers.split(', ').map((part) => part.split('='));
  const told = new Map(pairs.map(([name, number]) => [name, Number(number)]));
  return { at: end.index, ran: Number(ran), of: (name) => told.get(name) ?? 0 };
}

function unittest(returncode, stdout, stderr) {
  const text = stderr.replaceAll('\r\n', '\n').replace(COLOUR, '');
  const end = endOf(text, returncode);
  const starts = [...text.slice(0, end.at).matchAll(BLOCK)];
  const blocks = new Map();
  const heads = { failed: 0, errors: 0 };
  for (const [i, { 0: head, 1: word, 2: title, index }] of starts.entries()) {
    if (word === 'UNEXPECTED SUCCESS') continue;
    const outcome = word === 'FAIL' ? 'failed' : 'errors';
    heads[outcome]++;
    // Subtests have the test's name, and their own behind it.
    const name = title.replace(/^(\S+ \([^)]*\)).*/, '$1');
    const message = text.slice(index + head.length, starts[i + 1]?.index ?? end.at);
    if (!blocks.has(name) || outcome === 'failed') {
      blocks.set(name, [outcome, name, message.replace(/^[-\n]+|[-\n]+$/g, '')]);
    }
  }
  if (heads.failed !== end.of('failures') || heads.errors !== end.of('errors')) {
    throw new Malformed(); // a test prints what looks like one
  }
  const inside = [...blocks.keys()].filter((name) => !OUTSIDE.test(name)).length;
  const [skipped, expected] = [end.of('skipped'), end.of('expected failures')];
  const surprises = end.of('unexpected successes');
  let passed = dotsOf(text.slice(0, starts[0]?.index ?? end.at));
  if (passed === null) {
    passed = end.ran - inside - expected - surprises - skipped;
    // A class may skip itself, and then is no test that ran.
    if (passed < 0 || skipped > 0) throw new Malformed();
  }
  return [
    ...blocks.values(),
    ...many(passed, 'passed'),
    ...many(skipped + expected, 'skipped'),
    ...Array.from({ length: surprises }, () => ['failed', '', 'unexpected success']),
  ];
}

// -------------------------------------------------------------------------- TAP

function tap(returncode, stdout) {
  const [first] = stdout.trimStart().split('\n', 1);
  if (!/^(?:TAP version \d+|1\.\.\d+(?: *#.*)?)$/.test(first.trimEnd())) throw new Malformed();
  if (!/^1\.\.\d/m.test(stdout)) throw new Malformed(); // the parser makes one up
  const { Parser } = require('tap-parser'); // other runs do without
  let planned = null;
  const tests = [];
  for (const [kind, what] of Parser.parse(stdout.trimStart())) {
    if (kind === 'bailout') throw new Malformed();
    if (kind === 'plan') {
      if (planned !== null) throw new Malformed();
      planned = what.end - what.start + 1;
    } else if (kind === 'assert') {
      const { ok, id, name, skip, todo } = what;
      if (id && id !== tests.length + 1) throw new Malformed();
      const skipped = skip !== false || (todo !== false && !ok);
      tests.push([skipped ? 'skipped' : ok ? 'passed' : 'failed', name, '']);
    }
  }
  if (planned !== tests.length) throw new Malformed();
  return tests;
}

module.exports = { COLOUR, PRINTED: { go, cargo, unittest, tap } };
