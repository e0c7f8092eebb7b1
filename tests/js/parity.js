'use strict';
// A project with what jest can be asked for, run by a given jest, and by qe-jest with it:
// the reports are the same but for times.

const assert = require('node:assert/strict');
const fs = require('node:fs');
const path = require('node:path');
const { before, test } = require('node:test');

const { cleanEnv, run } = require('./helpers');
const { project, write } = require('./projects');
const { comparable } = require('./torture');

const config = (roots, more = {}) => JSON.stringify({ rootDir: '.', roots: [roots], ...more });

const PLAIN = {
  'plain.json': config('<rootDir>/plain'),
  'plain/lib0.js': 'module.exports = 0;\n',
  'plain/lib1.js': 'module.exports = 1;\n',
};
for (let i = 0; i < 6; i++) {
  PLAIN[`plain/p${i}.test.js`] = `
    const lib = require('./lib${i % 2}');
    describe('p${i}', () => {
      test('lib', () => expect(lib).toBe(${i % 2}));
      test('${i === 3 ? 'fails' : 'fine'}', () => expect(${i === 3 ? 2 : 1}).toBe(1));
    });
  `;
}

const COVERED = {
  'covered.json': config('<rootDir>/covered', {
    collectCoverageFrom: ['covered/src/**/*.js'],
    coverageReporters: ['json'],
  }),
  'covered/src/sign.js': `
    exports.sign = (n) => {
      if (n > 0) return 1;
      if (n < 0) return -1;
      return 0;
    };
    exports.never = () => 3;
  `,
  'covered/src/word.js': 'exports.word = (yes) => (yes ? "yes" : "no");\n',
  'covered/src/untested.js': 'module.exports = () => 1;\n',
  'covered/word.test.js': `
    const { word } = require('./src/word');
    test('yes', () => expect(word(1)).toBe('yes'));
  `,
  // In the run that is compared: ends its worker, or fails once.
  'covered/odd.test.js': `
    const fs = require('node:fs');
    const { sign } = require('./src/sign');
    const { word } = require('./src/word');
    test('one', () => expect(sign(3)).toBe(1));
    test('two', () => {
      if (process.env.ODD === 'crash') process.exit(3);
      if (process.env.ODD === 'flaky' && !fs.existsSync('failed')) {
        fs.writeFileSync('failed', '');
        throw new Error('once');
      }
    });
    test('three', () => expect(word(0)).toBe('no'));
    test('four', () => expect(sign(0)).toBe(0));
  `,
};

const SNAPSHOTS = (link) => ({
  'snapshots.json': config('<rootDir>/snapshots'),
  'snapshots/s.test.js': `
    test('old', () => expect({ a: 1 }).toMatchSnapshot());
    test('new', () => expect({ b: 2 }).toMatchSnapshot());
    test('odd', () => { if (process.env.ODD === 'crash') process.exit(3); });
    test('after', () => expect({ c: 3 }).toMatchSnapshot());
    test('changed', () => expect({ d: 5 }).toMatchSnapshot());
  `,
  'snapshots/__snapshots__/s.test.js.snap': `// Jest Snapshot v1, ${link}

exports[\`changed 1\`] = \`
{
  "d": 4,
}
\`;

exports[\`gone 1\`] = \`5\`;

exports[\`old 1\`] = \`
{
  "a": 1,
}
\`;
`,
  'snapshots/__snapshots__/none.test.js.snap': `// Jest Snapshot v1, ${link}

exports[\`gone 1\`] = \`5\`;
`,
});

const OTHERS = {
  'global.json': config('<rootDir>/global', {
    globalSetup: '<rootDir>/global/setup.js',
    globalTeardown: '<rootDir>/global/teardown.js',
  }),
  'global/setup.js': `
    module.exports = async () => {
      process.env.FROM_SETUP = 'set';
      globalThis.setUp = 'in ' + process.pid;
      require('node:fs').appendFileSync('global.log', 'setup in ' + process.pid + '\\n');
    };
  `,
  'global/teardown.js': `
    module.exports = async () => {
      const text = 'teardown of ' + globalThis.setUp + '\\n';
      require('node:fs').appendFileSync('global.log', text);
    };
  `,
  'global/a.test.js': "test('env', () => expect(process.env.FROM_SETUP).toBe('set'));\n",
  'global/b.test.js': "test('env', () => expect(process.env.FROM_SETUP).toBe('set'));\n",

  'multi.json': JSON.stringify({
    projects: [
      { displayName: 'one', rootDir: '<rootDir>/multi/one' },
      {
        displayName: 'two',
        rootDir: '<rootDir>/multi/two',
        testEnvironment: '<rootDir>/environment.js',
      },
      {
        displayName: 'own',
        rootDir: '<rootDir>/multi/own',
        runner: '<rootDir>/runner.js',
        testMatch: ['**/*.own.js'],
      },
    ],
  }),
  'multi/one/a.test.js': "test('one', () => {});\n",
  'multi/two/a.test.js': "test('two', () => expect(marked).toBe('seen'));\n",
  'multi/two/docblock.test.js': `/** @jest-environment node */
    test('docblock', () => expect(typeof marked).toBe('undefined'));
  `,
  // Hears of hooks and tests as before.
  'multi/two/environment.js': `
    const { TestEnvironment } = require('jest-environment-node');
    module.exports = class extends TestEnvironment {
      handleTestEvent({ name }) {
        if (name === 'test_fn_start') this.global.marked = 'seen';
      }
    };
  `,
  'multi/own/x.own.js': '// no test of jest\n',
  'multi/own/runner.js': `
    module.exports = class {
      async runTests(tests, watcher, onStart, onResult) {
        for (const test of tests) {
          await onStart(test);
          const empty = require('@jest/test-result').createEmptyTestResult();
          const fullName = process.env.QE_WORKER ? 'in a worker' : 'own';
          await onResult(test, {
            ...empty,
            numPassingTests: 1,
            skipped: false,
            testFilePath: test.path,
            testResults: [{
              ancestorTitles: [], failureMessages: [], fullName, location: null,
              numPassingAsserts: 0, status: 'passed', title: fullName,
            }],
          });
        }
      }
    };
  `,

  'esm.json': config('<rootDir>/esm', { transform: {}, testMatch: ['**/*.test.mjs'] }),
  'esm/two.mjs': 'export const two = 2;\n',
  'esm/a.test.mjs': `
    import { jest } from '@jest/globals';
    import { two } from './two.mjs';
    test('imports', async () => {
      expect(two).toBe(2);
      expect((await import('./two.mjs')).two).toBe(2);
      expect(jest.fn()).toBeDefined();
    });
  `,
  'esm/b.test.mjs': `
    const { two } = await import('./two.mjs');
    test('waits at the top', () => expect(two).toBe(2));
  `,

  'typed.json': config('<rootDir>/typed', {
    testMatch: ['**/*.test.ts'],
    transform: {
      '\\.ts$': [
        'babel-jest',
        {
          presets: [
            ['@babel/preset-env', { targets: { node: 'current' } }],
            '@babel/preset-typescript',
          ],
        },
      ],
    },
  }),
  'typed/lib.ts': 'export const add = (a: number, b: number): number => a + b;\n',
  'typed/a.test.ts': `
    import { add } from './lib';
    jest.mock('./lib', () => ({ __esModule: true, add: jest.fn(() => 7) }));
    test('is mocked', () => { const n: number = add(1, 2); expect(n).toBe(7); });
    test('fails', () => { const text: string = 'a'; expect(text).toBe('b'); });
  `,

  'rejected.json': config('<rootDir>/rejected'),
  'rejected/a.test.js': `
    test('leaves a rejection', () => { Promise.reject(new Error('nobody handles it')); });
    test('waits', () => new Promise((done) => setTimeout(done, 50)));
  `,
  'only.json': config('<rootDir>/only'),
  'only/a.test.js': `
    test('not this one', () => { throw new Error('no'); });
    test.only('this one', () => {});
    test.concurrent.only('and this', async () => {});
    describe.skip('skipped', () => { test('inside', () => {}); });
    test.failing('fails as it must', () => { throw new Error('yes'); });
  `,
  'again/a.test.js': `
    let tries = 0;
    jest.retryTimes(2, { logErrorsBeforeRetry: true });
    test('the third time', () => { if (++tries < 3) throw new Error('try ' + tries); });
  `,
  'again.json': config('<rootDir>/again'),
};

// Suites that npm packages ship: object-path's is for mocha, and jest runs it as well; that
// of qs is for tape, and each of its files is one test here.
const SHIPPED = { 'shipped.json': config('<rootDir>/shipped', { testRegex: 'test\\.js$' }) };
for (const file of ['parse', 'stringify', 'utils']) {
  SHIPPED[`shipped/${file}.test.js`] = `
    const tape = require('tape');
    test('${file}', async () => {
      const rows = [];
      const stream = tape.createStream({ objectMode: true });
      stream.on('data', (row) => rows.push(row));
      const over = new Promise((resolve) => stream.on('end', resolve));
      require('./qs/test/${file}');
      await over;
      const asserts = rows.filter((row) => row.type === 'assert');
      expect(asserts.filter((row) => !row.ok).map((row) => row.name)).toEqual([]);
      expect(asserts.length).toBeGreaterThan(100);
    }, 60_000);
  `;
}
const SHIPPED_PACKAGES = [
  'object-path@^0.11',
  'qs@^6.14',
  // What their tests use.
  'chai@^4',
  'es-value-fixtures@^1.7',
  'for-each@^0.3',
  'has-override-mistake@^1',
  'has-property-descriptors@^1',
  'has-proto@^1',
  'has-symbols@^1',
  'has-bigints@^1',
  'iconv-lite@^0.5',
  'mock-property@^1',
  'object-inspect@^1',
  'qs-iconv@^1',
  'safer-buffer@^2',
  'tape@^5',
];

/** How often each thing was covered, or whether it was. */
function covered(coverage, counts) {
  const found = {};
  for (const [file, { s, f, b }] of Object.entries(coverage)) {
    const flat = [s, f, b].map((part) => Object.values(part).flat());
    found[path.basename(file)] = counts ? flat : flat.map((part) => part.map((n) => n > 0));
  }
  return found;
}

/** The tests, for a version range of jest and the link that its snapshots begin with. */
function parity(name, jest, link) {
  const files = { ...PLAIN, ...COVERED, ...SNAPSHOTS(link), ...OTHERS, ...SHIPPED };
  const packages = [`jest@${jest}`, `@jest/test-result@${jest}`];
  let folder;

  before(async () => {
    folder = await project(
      name,
      [...packages, '@babel/preset-env@^7', '@babel/preset-typescript@^7', ...SHIPPED_PACKAGES],
      files,
    );
    for (const shipped of ['qs', 'object-path']) {
      const from = path.join(folder, 'node_modules', shipped);
      fs.cpSync(from, path.join(folder, 'shipped', shipped), { recursive: true });
    }
  });

  const bin = (program) => path.join(folder, 'node_modules', '.bin', program);

  async function ran(program, words, env = {}) {
    const done = await run([bin(program), ...words], { cwd: folder, env: cleanEnv(env) });
    return { ...done, report: done.stdout.startsWith('{"') ? JSON.parse(done.stdout) : null };
  }

  const ours = (words, env) => ran('qe-jest', ['--parallel=2', ...words], env);

  /** Both with the same words: same report, same status; stock's. */
  async function same(words, env) {
    const stock = await ran('jest', ['--json', ...words], env);
    const mine = await ours(['--json', ...words], env);
    assert.ok(stock.report, stock.stderr);
    assert.ok(mine.report, mine.stderr);
    assert.deepEqual(comparable(mine.report), comparable(stock.report), words.join(' '));
    assert.equal(mine.status, stock.status, words.join(' '));
    return stock;
  }

  test(`${name}: tests are chosen as by stock jest`, async () => {
    const plain = ['-c', 'plain.json'];
    for (const [words, count] of [
      [[], 12],
      [['--shard=1/3'], 4],
      [['--shard=3/3'], 4],
      [['-t', 'fine'], 12],
      [['--testNamePattern', 'p[12] '], 12],
      [['--findRelatedTests', 'plain/lib0.js'], 6],
      [['--runTestsByPath', 'plain/p1.test.js'], 2],
      [['-i'], 12],
      [['--detectOpenHandles'], 12],
      [['--bail=1', 'p3'], 2],
      [['--verbose', '--silent'], 12],
    ]) {
      const { report } = await same([...plain, ...words]);
      assert.equal(report.numTotalTests, count, words.join(' '));
    }
    await same(['-c', 'only.json']);
    await same(['-c', 'again.json']);
    await same(['-c', 'rejected.json']);
  });

  test(`${name}: what is only shown is shown by jest`, async () => {
    for (const words of [['--listTests'], ['--showConfig', '--seed=1'], ['--version']]) {
      const stock = await ran('jest', ['-c', 'plain.json', ...words]);
      const mine = await ours(['-c', 'plain.json', ...words]);
      assert.equal(mine.stdout, stock.stdout, words.join(' '));
      assert.equal(mine.status, 0);
    }
  });

  test(`${name}: projects, environments, and a project's own runner`, async () => {
    const { report } = await same(['-c', 'multi.json']);
    assert.equal(report.numTotalTests, 4);
    assert.equal(report.numFailedTests, 0);
    const names = report.testResults.flatMap((one) => one.assertionResults.map((a) => a.fullName));
    assert.ok(names.includes('own'), names.join());
    await same(['-c', 'multi.json', '--selectProjects', 'two']);
    await same(['-c', 'multi.json', '--ignoreProjects', 'own']);
    // A runner that is named on the command line is the user's wish.
    await same(['-c', 'plain.json', '--runner', './multi/own/runner.js']);
  });

  test(`${name}: global setup and teardown run once, in the parent`, async () => {
    const log = path.join(folder, 'global.log');
    await same(['-c', 'global.json']);
    const lines = fs.readFileSync(log, 'utf8').trim().split('\n');
    assert.equal(lines.length, 4); // two runs
    for (const [at, line] of lines.entries()) {
      const [, pid] = /in (\d+)/.exec(lines[at - (at % 2)]);
      assert.equal(line, at % 2 ? `teardown of in ${pid}` : `setup in ${pid}`);
    }
  });

  test(`${name}: modules of ECMAScript, and TypeScript by babel`, async () => {
    const esm = { NODE_OPTIONS: '--experimental-vm-modules --no-warnings' };
    assert.equal((await same(['-c', 'esm.json'], esm)).report.numPassedTests, 2);
    const { report } = await same(['-c', 'typed.json']);
    assert.deepEqual([report.numPassedTests, report.numFailedTests], [1, 1]);
  });

  test(`${name}: the suites of qs and object-path`, async () => {
    const { report } = await same(['-c', 'shipped.json']);
    assert.ok(report.numTotalTests > 80, `${report.numTotalTests} tests`);
    assert.equal(report.numFailedTests, 0);
  });

  for (const provider of ['babel', 'v8']) {
    test(`${name}: coverage by ${provider}; after a crash and a retry, too`, async () => {
      const words = ['-c', 'covered.json', '--coverage', `--coverageProvider=${provider}`];
      const stock = await same(words);
      assert.equal(Object.keys(stock.report.coverageMap).length, 3);

      const crashed = await ours(['--json', ...words], { ODD: 'crash' });
      assert.deepEqual([crashed.report.numPassedTests, crashed.report.numFailedTests], [4, 1]);
      const all = covered(stock.report.coverageMap, true);
      assert.deepEqual(covered(crashed.report.coverageMap, true), all);

      const flaky = await ours(['--json', '--retries=1', ...words], { ODD: 'flaky' });
      fs.rmSync(path.join(folder, 'failed'));
      assert.deepEqual([flaky.status, flaky.report.numPassedTests], [0, 5]);
      assert.deepEqual(
        covered(flaky.report.coverageMap, false),
        covered(stock.report.coverageMap, false),
      );
    });
  }

  test(`${name}: snapshots are written, removed and kept as by stock jest`, async () => {
    const own = path.join(folder, 'snapshots');
    const written = async (program, words, env) => {
      fs.rmSync(own, { recursive: true });
      write(folder, SNAPSHOTS(link));
      const { status, report } = await program(['--json', '-c', 'snapshots.json', ...words], env);
      const found = {};
      for (const file of fs.readdirSync(path.join(own, '__snapshots__')).sort()) {
        found[file] = fs.readFileSync(path.join(own, '__snapshots__', file), 'utf8');
      }
      return { status, report: comparable(report), found };
    };
    const stock = (words, env) => ran('jest', words, env);
    for (const words of [['--ci=false'], ['--ci'], ['--ci=false', '-u'], ['--ci', '-t', 'old']]) {
      const wanted = await written(stock, words);
      assert.deepEqual(await written(ours, words), wanted, words.join(' '));
    }
    for (const words of [['--ci=false'], ['--ci=false', '-u']]) {
      const wanted = await written(stock, words);
      const crashed = await written(ours, words, { ODD: 'crash' });
      assert.deepEqual(crashed.found, wanted.found, words.join(' '));
      assert.deepEqual(crashed.report.snapshot, wanted.report.snapshot, words.join(' '));
    }
  });
}

module.exports = { parity };
