'use strict';
// What tests can do to their worker and to the run, each in each place where a test file
// has code, run by a given jest.

const assert = require('node:assert/strict');
const path = require('node:path');
const { before, test } = require('node:test');

const { cleanEnv, processesWith, run, until } = require('./helpers');
const { project } = require('./projects');

const around = (name, body = '') => `
  test('before ${name}', () => {});
  test('${name}', () => { ${body} });
  test('after ${name}', () => {});
`;

/** Files in which a statement ends the process, by where it is. */
const ending = (name, code) => ({
  [`${name}/load.test.js`]: `${code}; ${around('load')}`,
  [`${name}/before-all.test.js`]: `
    test('earlier', () => {});
    describe('block', () => {
      beforeAll(() => { ${code}; });
      ${around('hook')}
      test.skip('skipped', () => {});
    });
    test('later', () => {});
  `,
  [`${name}/after-all.test.js`]: `
    describe('block', () => {
      afterAll(() => { ${code}; });
      ${around('hook')}
    });
    test('later', () => {});
  `,
  [`${name}/each.test.js`]: `
    describe('block', () => {
      afterEach(() => { if (expect.getState().currentTestName === 'block each') ${code}; });
      ${around('each')}
    });
  `,
  [`${name}/timer.test.js`]: `
    ${around('timer')}
    test('waits', async () => {
      const timer = setTimeout(() => { ${code}; }, 20);
      await new Promise((done) => setTimeout(done, 2000));
      clearTimeout(timer);
    });
  `,
});

const VALUES = {
  circular: '(() => { const a = { n: 1 }; a.self = a; return a; })()',
  bigint: '{ n: 10n }',
  huge: "'x'.repeat(50 * 1024 * 1024)",
  many: "Array.from({ length: 300_000 }, (_, i) => ({ i, text: 'y'.repeat(150) }))",
  getter: "{ ok: 1, get bad() { throw new Error('not to be looked at'); } }",
};

const FILES = {
  ...ending('exit', 'process.exit(3)'),
  ...ending('abort', 'process.abort()'),
  'memory/full.test.js': around('memory', 'for (const all = []; ; ) all.push(new Array(1e5));'),
  'open/handle.test.js': around(
    'open',
    "require('node:net').createServer().listen(0); setInterval(() => {}, 1000);",
  ),
  'open/none.test.js': around('none', 'setTimeout(() => {}, 20);'),
  'never/never.test.js': `
    test('never', () => new Promise(() => {}), 300);
    test('after', () => {});
  `,
};
for (const [name, value] of Object.entries(VALUES)) {
  FILES[`values/${name}.test.js`] = around(name, `expect(${value}).toEqual('nothing');`);
  FILES[`logs/${name}.test.js`] = around(name, `console.log(${value});`);
}

/** Statuses and first lines of messages, by file and test. */
function told(report) {
  const found = {};
  for (const file of report.testResults) {
    const name = path.basename(file.name, '.test.js');
    const line = (text) => (text ? ` ${text.split('\n', 1)[0]}` : '');
    found[name] = file.assertionResults.map(
      (one) => `${one.fullName}: ${one.status}${line(one.failureMessages[0])}`,
    );
    if (file.assertionResults.length === 0 || file.status === 'failed') {
      const crashes = file.message.match(/Crashed: .*/g) ?? [];
      found[`${name} as a whole`] = [...new Set(crashes)];
    }
  }
  return found;
}

/** The tests, for a version range of jest. */
function faults(name, jest) {
  const mark = `${name}-${process.pid}`;
  let folder;

  before(async () => {
    folder = await project(name, [`jest@${jest}`], FILES);
  });

  async function report(words, env = {}) {
    const bin = path.join(folder, 'node_modules', '.bin', 'qe-jest');
    const done = await run([bin, '--parallel=2', '--json', ...words], {
      cwd: folder,
      env: cleanEnv({ QE_TEST_MARK: mark, ...env }),
    });
    assert.ok(
      await until(() => processesWith('QE_TEST_MARK', mark).length === 0, 1000),
      'no process is left',
    );
    return { ...done, report: JSON.parse(done.stdout) };
  }

  for (const [what, how] of [
    ['exit', 'its worker exited with status 3'],
    ['abort', 'its worker was killed by SIGABRT'],
  ]) {
    test(`${name}: ${what} at any place costs the tests there alone`, async () => {
      const done = await report([`^${folder}/${what}/`]);
      const crashed = `Crashed: ${how}`;
      const hook = ['block before hook', 'block hook', 'block after hook'];
      assert.deepEqual(told(done.report), {
        load: [],
        'load as a whole': [crashed],
        'before-all': [
          'earlier: passed',
          ...hook.map((one) => `${one}: failed ${crashed}, in a hook beforeAll`),
          'block skipped: pending',
          'later: passed',
        ],
        'before-all as a whole': [`${crashed}, in a hook beforeAll`],
        'after-all': [...hook.map((one) => `${one}: passed`), 'later: passed'],
        'after-all as a whole': [`${crashed}, in a hook afterAll`],
        each: [
          'block before each: passed',
          `block each: failed ${crashed}`,
          'block after each: passed',
        ],
        'each as a whole': [crashed],
        timer: [
          'before timer: passed',
          'timer: passed',
          'after timer: passed',
          `waits: failed ${crashed}`,
        ],
        'timer as a whole': [crashed],
      });
      assert.equal(done.status, 1);
      const { numTotalTests, numFailedTestSuites, numRuntimeErrorTestSuites } = done.report;
      assert.deepEqual([numTotalTests, numFailedTestSuites, numRuntimeErrorTestSuites], [17, 5, 2]);
    });
  }

  test(`${name}: a worker out of memory says so`, async () => {
    const { report: found, status } = await report(['memory/'], {
      NODE_OPTIONS: '--max-old-space-size=80',
    });
    assert.equal(status, 1);
    assert.deepEqual(told(found).full, [
      'before memory: passed',
      'memory: failed Crashed: its worker was killed by SIGABRT: ' +
        'Allocation failed - JavaScript heap out of memory',
      'after memory: passed',
    ]);
  });

  test(`${name}: odd and huge values are shown and bounded`, async () => {
    const { report: found, status, stdout, stderr } = await report(['values/']);
    assert.equal(status, 1);
    assert.deepEqual([found.numPassedTests, found.numFailedTests], [10, 5]);
    const first = (name) =>
      found.testResults.find((file) => file.name.endsWith(`${name}.test.js`)).assertionResults[1]
        .failureMessages[0];
    assert.match(first('circular'), /"self": \[Circular\]/);
    assert.match(first('bigint'), /"n": 10n/);
    assert.match(first('huge'), /x{1000}.*… \(\d+ more characters\)/);
    assert.match(first('many'), /"text": "y{150}"/);
    assert.match(first('getter'), /not to be looked at/);
    for (const text of [stdout, stderr]) assert.ok(text.length < 25e6, `${text.length} characters`);

    const logs = await report(['logs/']);
    assert.equal(logs.status, 0);
    assert.equal(logs.report.numPassedTests, 15);
    for (const text of ['[Circular *1]', '10n', 'xxxxxxxxxx', 'yyyyyyyyyy', '[Getter]']) {
      assert.ok(`${logs.stdout}${logs.stderr}`.includes(text), text);
    }
  });

  test(`${name}: what is left open is named, and the run ends`, async () => {
    const { report: found, status, stderr } = await report(['open/']);
    assert.equal(status, 0);
    assert.equal(found.numPassedTests, 6);
    assert.match(stderr, /^qe-jest: open\/handle\.test\.js leaves open: .*TCP.*Timeout/m);
    assert.doesNotMatch(stderr, /none\.test\.js leaves/);
  });

  test(`${name}: a promise that never settles is jest's own to end`, async () => {
    const { report: found, status } = await report(['never/']);
    assert.equal(status, 1);
    const [never, after] = told(found).never;
    assert.match(never, /^never: failed .*Exceeded timeout of 300 ms/);
    assert.equal(after, 'after: passed');
  });
}

module.exports = { faults };
