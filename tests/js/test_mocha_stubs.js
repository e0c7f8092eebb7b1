'use strict';
// Tests that stub what node has, and spy on it: what qe-mocha itself calls is not theirs.

const assert = require('node:assert/strict');
const test = require('node:test');

const { project, same } = require('./mocha-project');

test('a stub of what qe-mocha calls between tests changes nothing', async (t) => {
  // What each stubs, as an object and the name of a function.
  const stubbed = [
    ["require('fs')", 'existsSync', '() => true'],
    ["require('fs')", 'writeSync'],
    ["require('fs')", 'openSync'],
    ["require('fs')", 'unlinkSync'],
    ["require('fs')", 'rmSync'],
    ['JSON', 'stringify'],
    ['Buffer', 'from'],
    ['Date', 'now'],
    ['performance', 'now'],
    ['process.hrtime', 'bigint'],
    ['process', 'nextTick', 'real'],
    ['process', 'getActiveResourcesInfo'],
    ['process.memoryUsage', 'rss'],
    ['Atomics', 'exchange'],
    ['globalThis', 'setImmediate', '() => {}'],
  ];
  const files = {};
  stubbed.forEach(([object, name, other = '() => { throw new Error("stubbed"); }'], i) => {
    files[`test/${String(i).padStart(2, 0)}.js`] = `
      describe(${JSON.stringify(`${object}.${name}`)}, () => {
        const real = ${object}.${name};
        let calls = 0;
        before(() => {
          ${object}.${name} = (...args) => { calls += 1; return (${other})(...args); };
        });
        after(() => { ${object}.${name} = real; });
        it('one', () => {});
        it('fails', () => { throw new Error('of its own'); });
        describe('deeper', () => { it('two', () => {}); });
        it('is called by nobody', () => {
          if (calls > 0) throw new Error(calls + ' calls');
        });
      });`;
  });
  const folder = project(t, files);
  for (const more of [[], ['--test-timeout-hard=20', '--max-worker-rss=4G']]) {
    const { stdout } = await same(folder, ['--reporter', 'json', ...more]);
    assert.match(stdout, new RegExp(`"passes": ${3 * stubbed.length},`));
    assert.match(stdout, new RegExp(`"failures": ${stubbed.length},`));
  }
});

test('a stub that a file leaves behind keeps no other file from running', async (t) => {
  const folder = project(t, {
    'test/a.js': "it('fakes', () => { global.setImmediate = () => {}; });",
    'test/b.js': "it('also', () => { global.setTimeout = () => {}; });",
    'test/c.js': "it('exits in vain', () => { process.exit = () => {}; });",
    'test/d.js': "it('fails', () => { throw new Error('of its own'); });",
  });
  const { code } = await same(folder, []);
  assert.equal(code, 1);
});
