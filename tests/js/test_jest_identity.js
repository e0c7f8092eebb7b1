'use strict';
// Which test is which, where names do not tell: what was done is never taken for what
// is still to be done.

const assert = require('node:assert/strict');
const fs = require('node:fs');
const path = require('node:path');
const { test } = require('node:test');

const { ROOT, cleanEnv, run } = require('./helpers');
const { write } = require('./projects');

const CLI = path.join(ROOT, 'js', 'bin', 'qe-jest.js');
const ONCE = (what) =>
  `if (!require('fs').existsSync('once')) { require('fs').writeFileSync('once', ''); ${what} }`;

/** Runs a project with these files: its report, exit status and error output. */
async function qe(name, files, ...words) {
  const folder = path.join(ROOT, 'build', 'js-projects', `identity-${name}`);
  fs.rmSync(folder, { recursive: true, force: true });
  write(folder, { 'package.json': '{ "name": "project", "jest": {} }', ...files });
  const argv = [process.execPath, CLI, '--json', '--report-json=out.json', ...words];
  const done = await run(argv, { cwd: folder, env: cleanEnv(), timeout: 120_000 });
  const { testResults } = JSON.parse(done.stdout);
  const cases = testResults.flatMap(({ assertionResults }) => assertionResults);
  return {
    ...done,
    told: cases.map(({ fullName, status }) => `${fullName}: ${status}`),
    recorded: JSON.parse(fs.readFileSync(path.join(folder, 'out.json'), 'utf8')).tests,
  };
}

test('names that differ in case alone are different tests', async () => {
  const file = `
test('get', () => {});
test('crashes once', () => { ${ONCE('process.exit(3);')} });
test('GET', () => { throw new Error('real'); });
`;
  const done = await qe('case', { 'a.test.js': file }, '--retries=1');
  assert.deepEqual(done.told, ['get: passed', 'crashes once: passed', 'GET: failed']);
  assert.equal(done.status, 1);
});

test('tests of one name behind a lost one run', async () => {
  const file = `
test('a', () => process.abort());
test('a', () => {});
test('a', () => { throw new Error('real'); });
test('b', () => {});
`;
  const done = await qe('same', { 'a.test.js': file });
  assert.deepEqual(done.told, ['a: failed', 'a: passed', 'a: failed', 'b: passed']);
});

test('tests of one name are not mixed up by shuffled orders', async () => {
  const file = `
describe('s', () => {
  test('same', () => { throw new Error('always'); });
  test('same', () => {});
});
`;
  const done = await qe(
    'shuffled',
    { 'a.test.js': file },
    '--flaky=6',
    '--flaky-mode=fixed',
    '--seed=1',
  );
  assert.deepEqual(done.told.sort(), ['s same: failed', 's same: passed']);
  assert.match(done.stderr, /0 flaky, 1 failing, 1 passing/);
});

test("jest's own retries are one test", async () => {
  const file = `
jest.retryTimes(2);
let n = 0;
test('in the end', () => { if (n++ < 1) throw new Error('first'); });
test('never', () => { throw new Error('x'); });
`;
  for (const words of [[], ['--retries=1']]) {
    const done = await qe('retried', { 'a.test.js': file }, ...words);
    assert.deepEqual(done.told, ['in the end: passed', 'never: failed']);
    assert.deepEqual(
      done.recorded.map(({ id, outcome }) => [id, outcome]),
      [
        ['a.test.js::in the end', 'flaky'],
        ['a.test.js::never', 'failed'],
      ],
    );
  }
});

test("jest's own retries are not lost with a worker", async () => {
  const file = `
jest.retryTimes(3);
let n = 0;
test('in the end', () => { if (n++ < 2) throw new Error('flaky'); });
test('dies', () => { process.abort(); });
test('last', () => {});
`;
  const done = await qe('retried-lost', { 'a.test.js': file });
  assert.deepEqual(done.told, ['in the end: passed', 'dies: failed', 'last: passed']);
});

test('a crashing test whose name is another each time does not run for ever', async () => {
  const file = `
test('id ' + Math.random(), () => process.kill(process.pid, 'SIGSEGV'));
test('ok', () => {});
`;
  const started = Date.now();
  const done = await qe('random', { 'a.test.js': file });
  assert.equal(done.status, 1);
  assert.ok(done.told.length >= 1 && done.told.every((one) => /^id .*failed$|^ok/.test(one)));
  assert.ok(Date.now() - started < 60_000);
});

test('passes of one file do not run beside each other', async () => {
  const file = `
const fs = require('fs');
test('alone', async () => {
  fs.mkdirSync('lock');
  await new Promise((done) => setTimeout(done, 700));
  fs.rmdirSync('lock');
});
`;
  const done = await qe(
    'beside',
    { 'a.test.js': file },
    '--flaky=3',
    '--flaky-mode=fixed',
    '--parallel=3',
  );
  assert.equal(done.status, 0, done.stderr);
});

test('what tests do to fs is not done to us, and what we do is not seen by them', async () => {
  const file = `
const fs = require('fs');
const spies = [];
beforeAll(() => {
  for (const name of ['writeSync', 'appendFileSync', 'readFileSync', 'existsSync', 'openSync']) {
    spies.push(jest.spyOn(fs, name).mockImplementation(() => { throw new Error(name); }));
  }
  spies.push(jest.spyOn(Buffer, 'from'));
});
afterAll(() => spies.forEach((spy) => spy.mockRestore()));
test('one', () => {});
test('two', () => { for (const spy of spies) expect(spy).not.toHaveBeenCalled(); });
`;
  const done = await qe('spies', { 'a.test.js': file });
  assert.deepEqual(done.told, ['one: passed', 'two: passed']);
});

test('the same file in two projects is two', async () => {
  const name = (text) => `{ "displayName": "${text}", "globals": { "BAD": ${text === 'bad'} } }`;
  const files = {
    'package.json': `{ "jest": { "projects": [${name('good')}, ${name('bad')}] } }`,
    'x.test.js': `
test('one', () => { if (BAD) throw new Error('bad'); });
test('one', () => {});
`,
  };
  const done = await qe('projects', files, '--parallel=1'); // one worker has both
  const told = ['one: failed', 'one: passed', 'one: passed', 'one: passed'];
  assert.deepEqual(done.told.sort(), told);
  assert.deepEqual(done.recorded.map(({ id, outcome }) => [id, outcome]).sort(), [
    ['bad: x.test.js::one#2', 'passed'],
    ['bad: x.test.js::one', 'failed'],
    ['good: x.test.js::one#2', 'passed'],
    ['good: x.test.js::one', 'passed'],
  ]);
});
