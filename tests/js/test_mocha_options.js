'use strict';
// Small projects, each with one thing that mocha does, and qe-mocha must do alike: same
// output, same exit code.

const assert = require('node:assert/strict');
const test = require('node:test');

const { mocha, project, qeMocha, same } = require('./mocha-project');

const TWO = {
  'test/a.js': `describe('a', () => {
    it('one', () => {});
    it('two', () => { throw new Error('x'); });
  });`,
  'test/b.js': "describe('b', () => { it('three', () => {}); });",
};
const PRINTS = "exports.mochaHooks = { beforeEach() { console.log('before each'); } };";

/** By name: files, arguments, and what the output must have for the case to be one. */
const CASES = {
  '--forbid-only': [
    { ...TWO, 'test/c.js': "it.only('c', () => {});" },
    ['--forbid-only'],
    /forbid/,
  ],
  '--forbid-pending': [
    { 'a.js': "it('x'); it('y', function () { this.skip(); }); it('z', () => {});" },
    ['--forbid-pending', 'a.js'],
    /2 failing/,
  ],
  '--exit': [TWO, ['--exit'], /1 failing/],
  '--dry-run': [TWO, ['--dry-run'], /3 passing/],
  'root hooks, an object': [{ ...TWO, 'h.js': PRINTS }, ['--require', './h.js'], /before each/],
  'root hooks, a function': [
    {
      ...TWO,
      'h.js': `exports.mochaHooks = async () => ({
        beforeAll() { console.log('before all'); },
        afterEach: [() => console.log('first'), () => console.log('second')],
        afterAll() { console.log('after all'); },
      });`,
    },
    ['--require', './h.js'],
    /before all[^]*first\nsecond[^]*after all/,
  ],
  'root hooks, an ES module': [
    {
      ...TWO,
      'h.mjs': `export const mochaHooks = { beforeEach() { console.log('before each'); } };
        export async function mochaGlobalSetup() { console.log('set up'); }
        export async function mochaGlobalTeardown() { console.log('torn down'); }`,
    },
    ['--require', './h.mjs'],
    /set up[^]*before each[^]*torn down/,
  ],
  'root hooks of a file print once': [
    {
      'test/a.js': `before(() => console.log('begin')); after(() => console.log('end'));
        it('a', (done) => setTimeout(done, 600));`,
      'test/b.js': "it('b', (done) => setTimeout(done, 600));",
    },
    [],
    /begin[^]*2 passing[^]*/,
  ],
  'ES modules': [
    {
      'a.mjs': `import assert from 'node:assert'; await null;
        describe('a', () => { it('x', () => assert(import.meta.url)); });`,
      'b.mjs': "describe('b', () => { it('y', async () => { throw new Error('no'); }); });",
    },
    ['a.mjs', 'b.mjs'],
    /1 passing[^]*1 failing/,
  ],
  'an ES module that imports nothing there is': [
    { 'a.mjs': "import './nowhere.mjs';" },
    ['a.mjs'],
    /nowhere\.mjs/,
  ],
  'a file with an error of syntax': [{ 'a.js': "describe('a', () => {" }, ['a.js'], /Syntax/],
  'this.timeout': [
    {
      'a.js': `describe('a', function () {
        this.timeout(40);
        it('x', (done) => setTimeout(done, 400));
        it('y', function (done) { this.timeout(2000); setTimeout(done, 100); });
      });`,
    },
    ['a.js'],
    /1 passing[^]*Timeout of 40ms/,
  ],
  '--delay with tests that come late': [
    {
      'test/a.js': "setTimeout(() => { describe('a', () => { it('x', () => {}); }); run(); }, 20);",
      'test/b.js': "describe('b', () => { it('y', () => { throw new Error('y'); }); });",
    },
    ['--delay'],
    /1 passing[^]*1 failing/,
  ],
  '--bail and what cleans up': [
    {
      'test/0.js': `describe('0', () => {
          after(() => console.log('after'));
          afterEach(() => console.log('after each'));
          it('r', () => { throw new Error('r'); });
          it('s', () => {});
        });
        after(() => console.log('root after'));`,
      ...TWO,
    },
    ['--bail'],
    /after each\nafter\n[^]*root after[^]*0 passing/,
  ],
  '--bail at a test at the root': [
    { 'test/0.js': "it('r', () => { throw new Error('r'); }); it('s', () => {});", ...TWO },
    ['--bail'],
    /0 passing/,
  ],
  '--bail at a hook': [
    {
      'test/0.js': `describe('0', () => { before(() => { throw new Error('h'); });
        it('p', () => {}); });`,
      ...TWO,
    },
    ['--bail'],
    /0 passing/,
  ],
  '--file with root hooks': [
    { ...TWO, 'first.js': "beforeEach(() => console.log('of the first file'));" },
    ['--file', './first.js'],
    /of the first file/,
  ],
  '--retries': [
    {
      'a.js': `let n = 0; describe('a', () => {
        it('x', () => { if (n++ < 2) throw new Error('no'); });
        it('y', () => { throw new Error('y'); });
      });`,
    },
    ['--retries', '2', 'a.js'],
    /1 passing[^]*1 failing/,
  ],
  'errors that nobody catches': [
    {
      'a.js': `describe('a', () => {
        it('x', (done) => { setTimeout(() => { throw new Error('late'); }, 5); });
        it('y', (done) => { Promise.reject(new Error('rejected')); setTimeout(done, 50); });
        it('z', (done) => { done(); done(); });
        it('last', () => {});
      });`,
    },
    ['a.js'],
    /late[^]*done\(\) called multiple times/,
  ],
  'what is of the process': [
    {
      'a.js': `process.on('exit', () => console.log('at exit'));
        it('x', () => {
          const { basename } = require('path');
          console.log(process.argv.slice(2), basename(process.argv[1]), require.main && basename(require.main.filename));
          process.exitCode = 7;
        });`,
    },
    ['--foo', 'bar', 'a.js'],
    /--foo[^]*mocha\.js[^]*1 passing[^]*at exit/,
  ],
  'what files share when they are loaded': [
    {
      'test/a.js': "globalThis.shared = 1; require('../s').set(1); it('a', () => {});",
      'test/b.js': `it('b', () => { if (shared !== 1 || require('../s').get() !== 1) throw new Error(); });`,
      's.js': 'let v; exports.set = (x) => { v = x; }; exports.get = () => v;',
    },
    [],
    /2 passing/,
  ],
  'skipping in hooks': [
    {
      'test/a.js': `describe('a', () => {
        before(function () { this.skip(); });
        it('x', () => {});
        describe('deeper', () => { it('z', () => {}); });
      });`,
      'test/b.js': "describe('b', () => { it('y', () => {}); });",
    },
    [],
    /1 passing[^]*2 pending/,
  ],
  'a global setup that throws': [
    { ...TWO, 'h.js': "exports.mochaGlobalSetup = () => { throw new Error('in set-up'); };" },
    ['--require', './h.js'],
    /in set-up/,
  ],
  'a file that is named twice': [TWO, ['test/a.js', 'test/a.js'], /1 passing/],
  'configuration in package.json': [
    { ...TWO, 'package.json': '{"mocha": {"reporter": "list", "retries": 1}}' },
    [],
    /2 passing/,
  ],
  'wrong options': [TWO, ['--timeout', 'abc'], /./],
};

for (const [name, [files, args, wanted]] of Object.entries(CASES)) {
  test(name, async (t) => {
    const { stdout, stderr } = await same(project(t, files), args);
    assert.match(stdout + stderr, wanted);
  });
}

test('--watch and --inspect run mocha as it is', async (t) => {
  const folder = project(t, {
    'a.js': `it('a', () => { setTimeout(() => process.exit(5), 200); });`,
  });
  const { stdout, stderr, code } = await qeMocha(folder, ['--watch', 'a.js']);
  assert.match(stderr, /^qe-mocha: --watch keeps one process: running mocha as it is\n/);
  assert.match(stdout, /1 passing/);
  assert.equal(code, 5);
  const stock = await mocha(folder, ['--watch', 'a.js']);
  assert.equal(stock.code, 5);
});
