'use strict';
// --report-html and --report-trace of qe-jest and qe-mocha: they hold the JSON result.

const assert = require('node:assert/strict');
const fs = require('node:fs');
const path = require('node:path');
const { test } = require('node:test');
const zlib = require('node:zlib');

const qe = require('../../js/addon');
const { ROOT, cleanEnv, run } = require('./helpers');
const { write } = require('./projects');

const JEST = path.join(ROOT, 'js', 'bin', 'qe-jest.js');
const MOCHA = path.join(ROOT, 'js', 'bin', 'qe-mocha.js');
const REPORTS = [
  '--report-html=out/report.html',
  '--report-json=result.json',
  '--report-trace=out/trace.json',
];

function project(name, files) {
  const folder = path.join(ROOT, 'build', 'js-projects', name);
  fs.rmSync(folder, { recursive: true, force: true });
  write(folder, files);
  return folder;
}

const command = (cwd, ...words) =>
  run([process.execPath, ...words], { cwd, env: cleanEnv(), timeout: 120_000 });

/** The result in a page. */
function held(file) {
  const packed = /id="qe-result">([A-Za-z0-9+/=]+)<\/script>/.exec(
    fs.readFileSync(file, 'utf8'),
  )[1];
  return JSON.parse(zlib.gunzipSync(Buffer.from(packed, 'base64')));
}

const readJson = (...names) => JSON.parse(fs.readFileSync(path.join(...names), 'utf8'));
const textsOf = (result, name) =>
  result.tests.find(({ id }) => id.endsWith(name)).attempts.map(({ texts }) => texts);

/** Of each attempt its test, outcome and worker: by the trace, and by the result. */
const traced = (file) =>
  readJson(file)
    .traceEvents.filter(({ ph }) => ph === 'X')
    .map(({ name, cat, tid }) => `${name} ${cat} gw${tid}`)
    .sort();
const attempted = ({ tests }) =>
  tests
    .flatMap(({ id, attempts }) => attempts.map((one) => `${id} ${one.outcome} ${one.worker}`))
    .sort();

test('qe-jest writes the page, with what each attempt has failed by', async () => {
  const folder = project('html-jest', {
    'package.json': '{ "name": "project", "jest": {} }',
    'a.test.js': `
const fs = require('fs');
test('differs', () => expect({ a: 1 }).toEqual({ a: 2 }));
test('at last', () => { fs.appendFileSync('n', 'x'); if (fs.statSync('n').size < 2) throw new Error('not yet'); });
test('long', () => { throw new Error('begin' + 'x'.repeat(1e6)); });
test('passes', () => {});
`,
  });
  await command(folder, JEST, '--retries=1', ...REPORTS);
  const result = held(path.join(folder, 'out', 'report.html'));
  assert.deepEqual(result, readJson(folder, 'result.json'));
  assert.deepEqual(fs.readdirSync(path.join(folder, 'out')), ['report.html', 'trace.json']);
  assert.deepEqual(traced(path.join(folder, 'out', 'trace.json')), attempted(result));
  const [first, second] = textsOf(result, 'at last');
  assert.match(first[0].text, /^Error: not yet\n +at .*a\.test\.js:4/);
  assert.equal(second, undefined);
  assert.match(textsOf(result, 'differs')[0][0].text, /toEqual/);
  assert.match(textsOf(result, 'long')[0][0].text, /begin[^]*characters left out/);
  assert.deepEqual(textsOf(result, 'passes'), [undefined]);
  const expected = ({ tests }) => tests.filter((one) => one.expected > 0).map(({ id }) => id);
  assert.deepEqual(expected(result), [], 'the history knew nothing before');
  await command(folder, JEST, ...REPORTS);
  const again = expected(held(path.join(folder, 'out', 'report.html')));
  assert.deepEqual(again.sort(), ['a.test.js::at last', 'a.test.js::passes'], 'what has passed');
});

test('qe-mocha writes the page, too', async () => {
  const folder = project('html-mocha', {
    'package.json': '{ "name": "project" }',
    'test/a.js': `
it('fails', () => { throw new Error('<script>'); });
it('passes', () => {});
`,
  });
  const done = await command(folder, MOCHA, ...REPORTS);
  const file = path.join(folder, 'out', 'report.html');
  assert.ok(fs.existsSync(file), done.stdout + done.stderr);
  const result = held(file);
  assert.deepEqual(result, readJson(folder, 'result.json'));
  assert.match(textsOf(result, 'fails')[0][0].text, /^Error: <script>\n +at /);
  assert.deepEqual(traced(path.join(folder, 'out', 'trace.json')), attempted(result));
});

test('a file that cannot be run is among the tests', async () => {
  const folder = project('html-broken', {
    'package.json': '{ "name": "project", "jest": {} }',
    'a.test.js': "console.log('begins'); process.stdout.write('now\\n'); require('./missing');",
    'b.test.js': "test('passes', () => {});",
  });
  await command(folder, JEST, '--retries=1', ...REPORTS);
  const result = held(path.join(folder, 'out', 'report.html'));
  const { id, outcome, message, attempts } = result.tests.find(
    ({ id: one }) => one === 'a.test.js',
  );
  assert.deepEqual([id, outcome, attempts.length], ['a.test.js', 'error', 1]);
  assert.match(message, /^Cannot find module '\.\/missing'|^Error: Cannot find module/);
  const [failure, ...printed] = attempts[0].texts;
  assert.match(failure.text, /missing[^]*a\.test\.js:1/);
  assert.deepEqual(printed.map(({ name }) => name).sort(), [
    'Captured console outside of tests',
    'Captured stdout outside of tests',
  ]);
  assert.equal(result.summary.error, 1);
});

test('a trace is written without other reports', async () => {
  const folder = project('trace-alone', {
    'package.json': '{ "name": "project", "jest": {} }',
    'a.test.js': "test('passes', () => {});",
  });
  await command(folder, JEST, '--report-trace=trace.json');
  assert.deepEqual(traced(path.join(folder, 'trace.json')), ['a.test.js::passes passed gw0']);
});

for (const [name, program] of [
  ['jest', JEST],
  ['mocha', MOCHA],
]) {
  const file = name === 'jest' ? 'a.test.js' : 'test/a.js';
  const refused = [
    ['--report-html=file/report.html', /cannot be written: E(NOTDIR|EXIST)/],
    ['--report-json=folder', /is a folder: takes the path of a file/],
    ['--report-trace=/proc/qe/no/trace.json', /cannot be written: ENOENT/],
    ['--report-junit=file/out.xml', /cannot be written: E(NOTDIR|EXIST)/],
  ];

  test(`${name}: what cannot be written is refused before the first test`, async () => {
    const folder = project(`nowhere-${name}`, {
      'package.json': '{ "name": "project", "jest": {} }',
      [file]: "it('runs', () => { require('fs').writeFileSync('ran', ''); });",
      file: '',
      'folder/other': '',
    });
    for (const [option, why] of refused) {
      const done = await command(folder, program, option);
      assert.deepEqual([done.status, done.stdout], [2, ''], done.stderr);
      assert.ok(done.stderr.startsWith(`qe-${name}: ${option}: `), done.stderr);
      assert.match(done.stderr, why);
      assert.equal(done.stderr.trim().split('\n').length, 1, done.stderr);
    }
    assert.ok(!fs.existsSync(path.join(folder, 'ran')));
  });

  test(`${name}: what cannot be written any more is a warning, and loses no other`, async () => {
    const folder = project(`away-${name}`, {
      'package.json': '{ "name": "project", "jest": {} }',
      [file]: `
it('takes it away', () => {
  const fs = require('fs');
  fs.rmdirSync('away');
  fs.writeFileSync('away', '');
});`,
    });
    const options = ['--report-html', '--report-json', '--report-trace', '--report-junit'];
    for (const lost of options) {
      fs.rmSync(path.join(folder, 'out'), { recursive: true, force: true });
      fs.rmSync(path.join(folder, 'away'), { force: true });
      const placed = options.map((one) => [
        one,
        `${one === lost ? 'away' : 'out'}/${one.slice(2)}`,
      ]);
      const words = placed.map(([option, where]) => `${option}=${where}`);
      const done = await command(folder, program, ...words);
      assert.equal(done.status, 0, done.stderr);
      const warned = done.stderr.split('\n').filter((line) => line.includes('warning'));
      assert.equal(warned.length, 1, done.stderr);
      const told = `qe-${name}: warning: ${lost}: away/${lost.slice(2)} was not written: `;
      assert.ok(warned[0].startsWith(told), warned[0]);
      for (const [option, where] of placed)
        assert.equal(fs.existsSync(path.join(folder, where)), option !== lost, option);
    }
  });
}

test('a record takes texts of attempts that it has', () => {
  const record = new qe.Record();
  record.addTest('t');
  record.addAttempt({ item: 0, outcome: qe.FAILED, start: 0, duration: 0 });
  record.addText({ item: 0, name: 'test', text: 'a' });
  assert.throws(() => record.addText({ item: 0, attempt: 2, name: 'test', text: 'a' }), {
    code: 'QE_ENOTFOUND',
  });
  assert.throws(() => record.addText({ item: 1, name: 'test', text: 'a' }));
  assert.throws(() => record.addText({ item: 0, kind: 2, name: 'test', text: 'a' }));
});
