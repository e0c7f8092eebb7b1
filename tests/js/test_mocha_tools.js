'use strict';
// qe-mocha among other programs: coverage by c8 and nyc, TypeScript through a loader.

const assert = require('node:assert/strict');
const fs = require('node:fs');
const path = require('node:path');
const { before, test } = require('node:test');

const { ROOT, cleanEnv, run } = require('./helpers');
const { npm, write } = require('./projects');

const QE_MOCHA = path.join(ROOT, 'js', 'bin', 'qe-mocha.js');
const folder = path.join(ROOT, 'build', 'js-projects', 'mocha-tools');
const bin = (name) => path.join(folder, 'node_modules', '.bin', name);

// Long enough for two workers.
const spec = (file, value) => `
  const { which } = require('../lib/which');
  describe('${file}', () => {
    it('x', (done) => { which(${value}); setTimeout(done, 700); });
    it('y', (done) => { setTimeout(done, 700); });
    after(() => console.log('worker ' + process.pid));
  });`;

before(async () => {
  fs.mkdirSync(folder, { recursive: true });
  for (const name of fs.readdirSync(folder)) {
    if (name !== 'node_modules') fs.rmSync(path.join(folder, name), { recursive: true });
  }
  write(folder, {
    'package.json': '{ "name": "project", "private": true }',
    'lib/which.js': `exports.which = (n) => {
      if (n > 1) {
        return 'more';
      }
      if (n > 0) {
        return 'one';
      }
      return 'none';
    };
    exports.never = () => {
      return 1;
    };`,
    'test/a.js': spec('a', 0),
    'test/b.js': spec('b', 2),
    'fails/a.js': `const { which } = require('../lib/which');
      it('fails', () => { which(2); throw new Error('no'); });
      it('does not run', () => { which(0); });`,
    'ts/a.ts': `import assert from 'node:assert';
      interface Thing { name: string }
      describe('typed', () => {
        it('passes', () => { const thing: Thing = { name: 'x' }; assert.equal(thing.name, 'x'); });
        it('fails', () => { throw new Error('in TypeScript' as string); });
      });`,
  });
  const packages = ['mocha@^11', 'c8@^10', 'nyc@^17', 'tsx@^4'];
  const words = ['--ignore-scripts', '--prefer-offline', '--no-audit', '--no-fund'];
  await npm(folder, 'install', ...words, ...packages);
});

/** Runs mocha, and qe-mocha with two workers, behind a program; returns both. */
async function both(program, ...words) {
  const env = cleanEnv({ FORCE_COLOR: '0' });
  const runs = [];
  for (const runner of [[bin('mocha')], [QE_MOCHA, '--parallel=2']]) {
    for (const name of ['.nyc_output', 'coverage']) {
      fs.rmSync(path.join(folder, name), { recursive: true, force: true });
    }
    runs.push(await run([...program, process.execPath, ...runner, ...words], { cwd: folder, env }));
  }
  return runs;
}

const table = ({ stdout }) => stdout.slice(stdout.indexOf('-----'));
/**
 * Without the branches: V8 tells of those that a process took, and c8 counts what several
 * tell; two processes of any program give other numbers than one.
 */
const unbranched = (text) => text.replace(/^((?:[^|]*\|){2})[^|]*\|/gm, '$1');
const PROGRAMS = { c8: [bin('c8'), '--reporter=text'], nyc: [bin('nyc'), '--reporter=text'] };
for (const [name, program] of Object.entries(PROGRAMS)) {
  test(`coverage by ${name} is that of a serial run`, async () => {
    const [stock, ours] = await both(program);
    assert.equal(ours.status, 0, ours.stderr);
    assert.equal(new Set(ours.stdout.match(/worker \d+/g)).size, 2);
    assert.match(table(ours), /which\.js +\|/);
    const compared = name === 'c8' ? unbranched : (text) => text;
    assert.equal(compared(table(ours)), compared(table(stock)));
  });

  test(`coverage by ${name} is kept where --bail ends the run`, async () => {
    const [stock, ours] = await both(program, '--bail', 'fails/a.js');
    assert.equal(ours.status, 1, ours.stderr);
    assert.match(table(ours), /which\.js +\|/);
    assert.equal(table(ours), table(stock));
  });
}

test('TypeScript runs through a loader', async () => {
  for (const loader of [['--require', 'tsx/cjs'], ['--import=tsx']]) {
    const words = ['--reporter=json', ...loader, 'ts/*.ts'];
    const [stock, ours] = await both([], ...words);
    const told = ({ stdout }) => {
      const { passes, failures } = JSON.parse(stdout);
      return [passes.map((one) => one.fullTitle), failures.map((one) => one.err.message)];
    };
    assert.deepEqual(told(ours), [['typed passes'], ['in TypeScript']]);
    assert.deepEqual(told(ours), told(stock));
    assert.equal(ours.status, stock.status);
  }
});
