'use strict';
// What tests of printed output in reports use.

const assert = require('node:assert/strict');
const fs = require('node:fs');
const path = require('node:path');
const { test } = require('node:test');

const { ROOT, cleanEnv, run } = require('./helpers');
const { write } = require('./projects');

const JEST = path.join(ROOT, 'js', 'bin', 'qe-jest.js');
const MOCHA = path.join(ROOT, 'js', 'bin', 'qe-mocha.js');

/** A project; what npm has installed there stays. */
function project(name, files) {
  const folder = path.join(ROOT, 'build', 'js-projects', name);
  fs.mkdirSync(folder, { recursive: true });
  for (const old of fs.readdirSync(folder))
    if (old !== 'node_modules') fs.rmSync(path.join(folder, old), { recursive: true });
  write(folder, { 'package.json': '{ "name": "project", "jest": {} }', ...files });
  return folder;
}

const command = (cwd, ...words) =>
  run([process.execPath, ...words], { cwd, env: cleanEnv(), timeout: 120_000 });

/** What a run says that writes no report; what it knows of an earlier one, any after it knows. */
async function plainly(folder, program, ...words) {
  await command(folder, program, ...words);
  return command(folder, program, ...words);
}

/** The result of a run, and what it has said. */
async function told(folder, program, ...words) {
  const done = await command(folder, program, '--report-json=result.json', ...words);
  const file = path.join(folder, 'result.json');
  assert.ok(fs.existsSync(file), done.stdout + done.stderr);
  return { ...done, result: JSON.parse(fs.readFileSync(file, 'utf8')) };
}

/** Of each attempt at a test what it printed, by name. */
const outputs = (result, name) =>
  result.tests
    .find(({ id }) => id.endsWith(name))
    .attempts.map(({ texts = [] }) =>
      Object.fromEntries(
        texts.filter(({ kind }) => kind === 'output').map((t) => [t.name, t.text]),
      ),
    );

/** What a terminal shows, without what differs from run to run; `run` cuts in characters. */
const steady = (text) =>
  text
    .replace(/, estimated .*/g, '')
    .replace(/ *\(?\d+(\.\d+)? ?m?s\b\)?/g, '')
    .replace(/[é\ufffd]+/g, 'é');

/** What holds with each version of jest. `name`: of the project, in which one may be. */
function testConsole(name) {
  test('jest: its console, whether it keeps that or not', async () => {
    const a = `
console.log('of the file');
test('fails', () => { console.warn('odd: %d', 7); throw new Error('no'); });
test('passes', () => { console.log('not told'); });
`;
    const folder = project(name, {
      'a.test.js': a,
      'b.test.js': "test('is another', () => {});",
    });
    const plain = await plainly(folder, JEST, '--parallel=1');
    const { result, stderr } = await told(folder, JEST, '--parallel=1');
    assert.equal(steady(stderr), steady(plain.stderr));
    const [own] = outputs(result, 'fails');
    assert.match(own['Captured console'], /^console\.warn at .*a\.test\.js:3:\d+\)?\nodd: 7\n$/);
    assert.match(
      own['Captured console outside of tests'],
      /^console\.log at .*a\.test\.js:2:\d+\)?\nof the file\n$/,
    );
    const verbose = await told(folder, JEST, '--verbose');
    const [streams] = outputs(verbose.result, 'fails');
    assert.match(streams['Captured stdout'], /console\.warn[^]*odd: 7/);
    assert.equal(streams['Captured console'], undefined);
    assert.match(streams['Captured stdout outside of tests'], /of the file/);
    const silent = await told(folder, JEST, '--silent');
    assert.deepEqual(outputs(silent.result, 'fails'), [{}]);
  });
}

module.exports = { JEST, MOCHA, outputs, plainly, project, steady, testConsole, told };
