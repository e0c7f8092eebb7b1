'use strict';
// `qe queue report`: one result of a whole run across machines. As
// pytest_qe/cli/queuereporting.py.

const fs = require('node:fs');
const os = require('node:os');
const path = require('node:path');

const { print } = require('./driving');
const { FAILED, OK, cannot, wrong } = require('./ends');
const { checkOwn, checkWritable } = require('./options');
const { command, nameOf, reading } = require('./queueoptions');
const { many, seconds, shown } = require('./screen');

const MOST_NAMES = 20; // of tests, on the screen
const NOT_COMPLETE = 4;

/** Whether the words of outcomes say that something failed outside of a test. */
const isError = (word) => ['error', 'timeout', 'crashed'].includes(word);

async function report(run, given) {
  check(given);
  const name = nameOf(run, given.run);
  const { Whole } = require('../queue/whole');
  const whole = await reading(given, (reader) => Whole.read(reader, name));
  write(whole, given);
  summary(whole, given.json === '-');
  if (!whole.complete) return NOT_COMPLETE;
  return whole.failed.length > 0 ? FAILED : OK;
}

function check({ json, junit, html }) {
  if (json !== undefined) checkWritable('--json', json);
  if (junit !== undefined) {
    checkOwn('--junit', junit, [json]);
    checkWritable('--junit', junit);
  }
  if (html === undefined) return;
  checkOwn('--html', html, [json, junit]);
  checkWritable('--html', html);
  const why = require('../htmlreport').missing();
  if (why !== null) throw wrong(`--html: ${why}`);
}

function write(whole, { json, junit, html }) {
  const told = JSON.stringify(whole.run());
  const writeJson = (file) => whole.record.writeJson(file, told, whole.isFlaky);
  try {
    if (json === '-') printJson(writeJson);
    else if (json !== undefined) writeJson(path.resolve(json));
  } catch (error) {
    throw cannot(`${json}: ${error.message}`);
  }
  if (html !== undefined) {
    require('./recorded').writePage(html, {
      record: whole.record,
      run: whole.run(),
      isFlaky: whole.isFlaky,
    });
  }
  if (junit !== undefined) {
    require('./junitfile').writeJunit(junit, junitOf(whole), process.cwd());
  }
}

function printJson(writeJson) {
  const folder = fs.mkdtempSync(path.join(os.tmpdir(), 'qe-'));
  try {
    const file = path.join(folder, 'result.json');
    writeJson(file);
    print(fs.readFileSync(file));
  } finally {
    fs.rmSync(folder, { recursive: true, force: true });
  }
}

// ----------------------------------------------------------------------- JUnit

/** A result as `junitfile` writes it: a suite for each file. */
function junitOf(whole) {
  const files = new Map();
  for (const test of whole.tests) {
    const [file] = test.name.split('::', 1);
    if (!files.has(file)) files.set(file, []);
    files.get(file).push(test);
  }
  return {
    framework: '',
    executionTime: whole.wall,
    results: [...files].map(([file, tests]) => suiteOf(file, tests)),
  };
}

function suiteOf(file, tests) {
  const one = tests.length === 1 && tests[0].name === file ? tests[0] : null;
  const count = (is) => tests.filter(({ word }) => is(word)).length;
  const failed = count((word) => word === 'failed');
  const errors = count(isError);
  const missing = count((word) => word === 'not_run');
  const skipped = count((word) => word === 'skipped') + missing;
  const passed = failed + errors + missing === 0;
  const attempts = tests.flatMap((test) => test.attempts);
  return {
    file,
    outcome: one ? one.word : passed ? 'passed' : 'failed',
    passed,
    duration: attempts.reduce((sum, attempt) => sum + attempt.seconds, 0),
    attempts: Math.max(...tests.map((test) => test.attempts.length)),
    tests: one ? null : { total: tests.length, failed, errors, skipped },
    cases: one ? [] : tests.map((test) => caseOf(file, test)),
    history: one ? historyOf(one) : [],
    failures: [],
    stdout: '',
    stderr: '',
    ended: one ? one.message || one.word : '',
  };
}

function caseOf(file, test) {
  const { name, word, attempts } = test;
  const text = attempts.findLast((attempt) => attempt.text !== '')?.text ?? '';
  return {
    name: name.startsWith(`${file}::`) ? name.slice(file.length + 2) : name,
    seconds: attempts.at(-1)?.seconds ?? 0,
    outcome: { not_run: 'skipped', flaky: 'passed' }[word] ?? word,
    message: word === 'not_run' ? 'it has no outcome' : toldOf(test, text),
    passed: word !== 'failed' && !isError(word),
    history: historyOf(test),
  };
}

/** What failed, in a line, and below it how. */
function toldOf({ message }, text) {
  if (!message || text.startsWith(message)) return text;
  return `${message}\n${text}`.trimEnd();
}

function historyOf({ attempts }) {
  const { NAMES } = require('../queue/whole');
  return attempts.map(({ number, outcome }) => ({ attempt: number, outcome: NAMES[outcome] }));
}

// --------------------------------------------------------------------- a screen

function summary(whole, toStderr) {
  const say = (text) => (toStderr ? process.stderr.write(`${text}\n`) : print(`${text}\n`));
  const nameSome = (what, names) => {
    for (const name of names.slice(0, MOST_NAMES)) say(`${what} ${shown(name)}`);
    if (names.length > MOST_NAMES) say(`${what} and ${names.length - MOST_NAMES} more`);
  };
  const failed = whole.failed.map(({ name, message }) => name + (message ? `: ${message}` : ''));
  nameSome('FAILED  ', failed);
  const { missing } = whole;
  nameSome('no outcome:', missing);
  nameSome('error:', whole.troubles);
  nameSome('warning:', whole.warnings);
  const counts = whole.told.filter(([, name]) => name !== 'none');
  const parts = counts.map(([count, name]) => `${count} ${name}`);
  if (missing.length > 0) parts.push(`${missing.length} without an outcome`);
  say(
    `run ${shown(whole.name)} (${whole.status.state}): ` +
      `${many(whole.tests.length, 'test')}: ${parts.join(', ') || 'nothing'}; ` +
      `${many(whole.nodes.size, 'node')}, ${seconds(whole.wall)}`,
  );
}

/** @param {(status: number) => void} onEnd */
function made(onEnd) {
  return command(
    'report',
    'make one result of a whole run, of what its nodes have told; it is proved that each test ' +
      'that was collected has exactly one outcome',
  )
    .option('--json <PATH>', 'write the result as JSON; - is standard output')
    .option('--junit <PATH>', 'write it as JUnit XML')
    .option('--html <PATH>', 'write it as one page for a browser')
    .action(async (run, given) => onEnd(await report(run, given)));
}

module.exports = { command: made };
