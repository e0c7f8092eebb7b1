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
