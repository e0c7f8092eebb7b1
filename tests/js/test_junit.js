'use strict';
// Failures of attempts that do not count, as Maven Surefire writes them.

const assert = require('node:assert/strict');
const fs = require('node:fs');
const path = require('node:path');
const { test } = require('node:test');

const { ROOT, cleanEnv, run } = require('./helpers');
const { write } = require('./projects');

/** Cases of a report as Python reads them: name, and of each child tag, type, message, text. */
async function casesOf(file) {
  const program = `
import json, sys, xml.etree.ElementTree as E
suite = E.parse(sys.argv[1]).getroot().find("testsuite")
print(json.dumps({c.attrib["name"]: [
  [e.tag, e.get("type"), e.get("message"), e.findtext("stackTrace") or e.text] for e in c
] for c in suite}))`;
  const parsed = await run(['python3', '-c', program, file]);
  assert.equal(parsed.status, 0, parsed.stderr);
  return JSON.parse(parsed.stdout);
}

test('retries are flakyFailure where the test passed at last, else rerunFailure', async () => {
  const folder = path.join(ROOT, 'build', 'js-projects', 'junit-retries');
  fs.rmSync(folder, { recursive: true, force: true });
  write(folder, {
    'package.json': '{ "name": "project", "jest": {} }',
    'a.test.js': `
const fs = require('fs');
const nth = (name) => { fs.appendFileSync(name, 'x'); return fs.statSync(name).size; };
test('at last', () => { const n = nth('l'); if (n < 3) throw new TypeError('<' + n + '>\\nmore'); });
test('never', () => { throw new Error('try ' + nth('n')); });
test('crashes once', () => { if (nth('c') < 2) process.kill(process.pid, 'SIGSEGV'); });
test('steady', () => {});
`,
  });
  const cli = path.join(ROOT, 'js', 'bin', 'qe-jest.js');
  const words = ['--retries=2', '--report-junit=junit.xml'];
  await run([process.execPath, cli, ...words], { cwd: folder, env: cleanEnv(), timeout: 120_000 });
  const cases = await casesOf(path.join(folder, 'junit.xml'));
  const short = (children) => children.map(([tag, type, message]) => [tag, type, message]);
  assert.deepEqual(short(cases['at last']), [
    ['flakyFailure', 'TypeError', 'TypeError: <1>'],
    ['flakyFailure', 'TypeError', 'TypeError: <2>'],
  ]);
  assert.match(cases['at last'][0][3], /^TypeError: <1>\nmore\n +at .*a\.test\.js:4/);
  assert.deepEqual(short(cases.never), [
    ['failure', null, 'Error: try 3'],
    ['rerunFailure', 'Error', 'Error: try 1'],
    ['rerunFailure', 'Error', 'Error: try 2'],
  ]);
  assert.match(cases['crashes once'][0][2], /SIGSEGV/);
  assert.deepEqual(cases.steady, []);
});
