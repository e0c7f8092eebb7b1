'use strict';
// A small project of everything that can go wrong, run by a given jest.

const assert = require('node:assert/strict');
const path = require('node:path');
const { before, test } = require('node:test');

const { cleanEnv, processesWith, run, until } = require('./helpers');
const { project } = require('./projects');

const around = (name, body) => `
  test('before ${name}', () => {});
  test('${name}', () => { ${body} });
  test('after ${name}', () => {});
`;

const PRINTS = {
  'prints.test.js': `
    test('prints', () => {
      console.log('logged');
      process.stdout.write('written\\n');
    });
  `,
};

/** What stock jest can run as well; `link` is that of its snapshots' first line. */
const tame = (link) => ({
  'mixed.test.js': `
    const { add } = require('./add');
    describe('outer', () => {
      describe('inner', () => {
        test('passes', () => { expect(add(1, 2)).toBe(3); });
        test('fails', () => { expect({ a: add(1, 2), b: [1] }).toEqual({ a: 4, b: [2] }); });
      });
      test.skip('is skipped', () => {});
      test.todo('is to do');
      test.each([1, 2])('case %d', (n) => { expect(n).toBe(1); });
    });
    test('is told the environment', () => { expect(process.env.NODE_ENV).toBe('shown'); });
    test('twice', () => {});
    test('twice', () => { throw new Error('the second one'); });
    test('promises', async () => { await expect(Promise.resolve(1)).resolves.toBe(1); });
    test('logs', () => { console.log('said'); });
  `,
  'add.js': 'exports.add = (a, b) => a + b;\n',
  'syntax.test.js': 'test("never", () => {',
  'empty.test.js': '// no test\n',
  'throws.test.js': 'throw new Error("while it loads");\n',
  'snapshot.test.js': `
    test('is as it was', () => { expect({ a: 1 }).toMatchSnapshot(); });
    test('is not as it was', () => { expect({ a: 2 }).toMatchSnapshot(); });
  `,
  '__snapshots__/snapshot.test.js.snap': `// Jest Snapshot v1, ${link}

exports[\`is as it was 1\`] = \`
{
  "a": 1,
}
\`;

exports[\`is not as it was 1\`] = \`
{
  "a": 1,
}
\`;
`,
  'hooks.test.js': `
    describe('with a bad hook', () => {
      beforeAll(() => { throw new Error('in beforeAll'); });
      test('is not run', () => {});
    });
    test('is run', () => {});
  `,
});

const WILD = {
  'wild/hang.test.js': around('hangs', 'while (true);'),
  'wild/abort.test.js': around('aborts', 'process.abort();'),
  'wild/exit.test.js': around('exits', 'process.exit(3);'),
  'wild/kill.test.js': around('is killed', 'process.kill(process.pid, "SIGKILL");'),
  // Stock jest 29 makes no report of these, as JSON has no BigInt.
  'wild/values.test.js': around('is told', 'const a = [1n]; a.push(a); expect(a).toEqual([2n]);'),
};

/** A report without what no two runs share. */
function comparable(report) {
  const TIMES = new Set(['startTime', 'endTime', 'startAt', 'duration', 'perfStats', 'runtime']);
  // Who called jest's own code is in the text of its complaint about a file without tests.
  const CALLER = /\n +at Array\.map \(<anonymous>\)\n/g;
  const strip = (value) => {
    if (typeof value === 'string') return value.replace(CALLER, '\n');
    if (Array.isArray(value)) return value.map(strip);
    if (value === null || typeof value !== 'object') return value;
    return Object.fromEntries(
      Object.entries(value)
        .filter(([key]) => !TIMES.has(key))
        .map(([key, inner]) => [key, strip(inner)]),
    );
  };
  const whole = strip(report);
  whole.testResults.sort((a, b) => (a.name < b.name ? -1 : 1)); // in the order of their ends
  return whole;
}

const statuses = (report) =>
  Object.fromEntries(
    report.testResults.flatMap((file) =>
      file.assertionResults.map((one) => [one.fullName, one.status]),
    ),
  );

/** The tests, for a version range of jest and the link that its snapshots begin with. */
function torture(name, jest, link) {
  const mark = `${name}-${process.pid}`;
  let folder;

  before(async () => {
    folder = await project(name, [`jest@${jest}`], { ...tame(link), ...PRINTS, ...WILD });
  });

  async function report(program, ...words) {
    const bin = path.join(folder, 'node_modules', '.bin', program);
    const done = await run([bin, '--json', '--ci', ...words], {
      cwd: folder,
      env: cleanEnv({ QE_TEST_MARK: mark }),
    });
    assert.ok(
      await until(() => processesWith('QE_TEST_MARK', mark).length === 0, 1000),
      'no process is left',
    );
    assert.ok(done.stdout.startsWith('{'), done.stderr.slice(-2000));
    return { ...done, report: JSON.parse(done.stdout) };
  }

  test(`${name}: what stock jest can run has the same report, but for times`, async () => {
    const only = '--testPathIgnorePatterns=wild|prints';
    const stock = await report('jest', only);
    const ours = await report('qe-jest', '--parallel=2', only);
    assert.equal(ours.status, stock.status);
    assert.equal(stock.report.numTotalTests, 15);
    assert.deepEqual(comparable(ours.report), comparable(stock.report));
  });

  test(`${name}: a filter, a report with locations, and one file are the same too`, async () => {
    for (const words of [
      ['-t', 'inner', 'mixed'],
      ['--testLocationInResults', 'mixed'],
      ['mixed', '--coverage', '--coverageReporters=json'],
      ['--passWithNoTests', 'nothing-has-this-name'],
      ['--bail', 'throws'],
    ]) {
      const stock = await report('jest', ...words);
      const ours = await report('qe-jest', '--parallel=2', ...words);
      assert.equal(ours.status, stock.status, words.join(' '));
      assert.deepEqual(comparable(ours.report), comparable(stock.report), words.join(' '));
    }
  });

  test(`${name}: what tests print past jest is printed`, async () => {
    const printed = async (program, ...words) => {
      const bin = path.join(folder, 'node_modules', '.bin', program);
      const done = await run([bin, '--verbose', 'prints', ...words], {
        cwd: folder,
        env: cleanEnv({}),
      });
      assert.equal(done.status, 0, done.stderr);
      return done.stdout;
    };
    const stock = await printed('jest', '-i');
    assert.match(stock, /logged[^]*written/);
    assert.equal(await printed('qe-jest', '--parallel=2'), stock);
  });

  test(`${name}: a hang, a crash and an exit cost their own tests alone`, async () => {
    const done = await report('qe-jest', '--parallel=2', '--test-timeout-hard=2', 'wild');
    assert.equal(done.status, 1);
    const wanted = {};
    for (const what of ['hangs', 'aborts', 'exits', 'is killed', 'is told']) {
      wanted[`before ${what}`] = 'passed';
      wanted[what] = 'failed';
      wanted[`after ${what}`] = 'passed';
    }
    assert.deepEqual(statuses(done.report), wanted);
    const why = (what) =>
      done.report.testResults
        .flatMap((file) => file.assertionResults)
        .find((one) => one.fullName === what)
        .failureMessages.join();
    assert.match(why('hangs'), /^Timeout: .* 2 s .*--test-timeout-hard/);
    assert.match(why('aborts'), /^Crashed: .*SIGABRT/);
    assert.match(why('exits'), /^Crashed: .*status 3/);
    assert.match(why('is killed'), /^Crashed: .*SIGKILL/);
    assert.match(why('is told'), /2n/);
    assert.deepEqual(
      [done.report.numTotalTests, done.report.numPassedTests, done.report.numFailedTests],
      [15, 10, 5],
    );
  });
}

module.exports = { comparable, torture };
