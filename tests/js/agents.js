'use strict';
// Projects with test files of each framework, for the tests of agents and of `qe`.

const fs = require('node:fs');
const os = require('node:os');
const path = require('node:path');

const qe = require('../..');
const { ROOT } = require('./helpers');

/** Files of a framework: their name, and their text around a body that may throw. */
const KINDS = {
  jest: { name: (n) => `${n}.test.js`, text: (n, body) => `test('${n}', () => {${body}});\n` },
  mocha: { name: (n) => `${n}.js`, text: (n, body) => `it('${n}', () => {${body}});\n` },
  node: {
    name: (n) => `${n}.js`,
    text: (n, body) => `require('node:test')('${n}', () => {${body}});\n`,
  },
};

// Without `counter` a file per run: fails the first `times` that it is run.
const failsFirst = (counter, times) => `
  const fs = require('node:fs');
  fs.appendFileSync('${counter}', 'x');
  if (fs.statSync('${counter}').size <= ${times}) throw new Error('not yet');`;

const FAILS = "throw new Error('always');";
const HANGS = 'while (true);';

/** Makes a project's history: without one it would be what is in a folder above. */
function makeHistory(folder) {
  const file = path.join(folder, '.qe', 'history.db');
  fs.mkdirSync(path.dirname(file));
  new qe.History(file).close();
}

/**
 * A project with files, a history, and this repository's frameworks; removed when the test is
 * over.
 */
function project(t, files = {}) {
  const folder = fs.realpathSync(fs.mkdtempSync(path.join(os.tmpdir(), 'qe-test-')));
  t.after(() => fs.rmSync(folder, { recursive: true, force: true }));
  fs.symlinkSync(path.join(ROOT, 'node_modules'), path.join(folder, 'node_modules'));
  for (const [name, text] of Object.entries({ 'package.json': '{}', ...files })) {
    fs.writeFileSync(path.join(folder, name), text);
  }
  makeHistory(folder);
  return folder;
}

/** A project of test files by their bodies: {cwd, files, memory}. */
function suite(t, framework, bodies) {
  const { name, text } = KINDS[framework];
  const entries = Object.entries(bodies).map(([n, body]) => [name(n), text(n, body)]);
  const cwd = project(t, Object.fromEntries(entries));
  const memory = new qe.MemoryStore(path.join(cwd, '.qe', 'history.db'));
  t.after(() => memory.close());
  return { cwd, files: entries.map(([file]) => file), memory };
}

module.exports = { FAILS, HANGS, KINDS, failsFirst, makeHistory, project, suite };
