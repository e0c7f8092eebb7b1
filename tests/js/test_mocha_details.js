'use strict';
// What is easily lost between a worker and the reporter: each as serial mocha has it.

const assert = require('node:assert/strict');
const test = require('node:test');

const { project, same } = require('./mocha-project');

test('--bail stops behind a failing test at the root of a file', async (t) => {
  const folder = project(t, {
    'test/a.js': "describe('A', () => { it('a', () => {}); });",
    'test/b.js': "it('at the root', () => { throw new Error('it fails'); });",
    'test/c.js': "it('another', () => {}); describe('C', () => { it('c', () => {}); });",
  });
  const { stdout, code } = await same(folder, ['--bail']);
  assert.match(stdout, /0 passing.*\n +1 failing/);
  assert.equal(code, 1);
});

test('--check-leaks fails a test that has passed', async (t) => {
  const folder = project(t, {
    'test/a.js': "it('leaks', () => { leaky = 1; }); it('next', () => {});",
    'test/b.js': "describe('B', () => { it('b', () => {}); });",
  });
  for (const reporter of ['spec', 'json']) {
    const { stdout, code } = await same(folder, ['--check-leaks', '--reporter', reporter]);
    assert.match(stdout, /global leak\(s\) detected: 'leaky'/);
    assert.equal(code, 1);
  }
});

test('what a hook above a suite skips is skipped for every reporter', async (t) => {
  const folder = project(t, {
    'test/a.js': `describe('skips', () => {
      before(function () { this.skip(); });
      it('one', () => {});
      describe('deep', () => { it('two', () => {}); });
    });`,
  });
  const { stdout } = await same(folder, ['--reporter', 'xunit']);
  assert.equal(stdout.split('<skipped/>').length, 3);
});
