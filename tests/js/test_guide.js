'use strict';
// The example in the guide does what the guide says.

const assert = require('node:assert/strict');
const fs = require('node:fs');
const os = require('node:os');
const path = require('node:path');
const { test } = require('node:test');

const { ROOT, run } = require('./helpers');

test("the guide's example prints what the guide says", async () => {
  const folder = fs.mkdtempSync(path.join(os.tmpdir(), 'qe-test-'));
  fs.mkdirSync(path.join(folder, 'node_modules'));
  fs.symlinkSync(ROOT, path.join(folder, 'node_modules', 'qe-jest'));
  const guide = fs.readFileSync(path.join(ROOT, 'docs', 'guide-js.md'), 'utf8');
  for (const [, name, text] of guide.matchAll(/^```js\n\/\/ (\w+\.js)\n(.*?)^```/gms)) {
    fs.writeFileSync(path.join(folder, name), text);
  }
  const { status, stdout, stderr } = await run([process.execPath, 'main.js'], { cwd: folder });
  fs.rmSync(folder, { recursive: true });
  assert.deepEqual([status, stderr], [0, '']);
  const said = guide.match(/It prints `(.*?)`, `(.*?)` and,.*?`(.*?)`/).slice(1);
  assert.deepEqual(stdout.trim().split('\n'), said);
});

test("the guide's example for test files prints what the guide says", async (t) => {
  const folder = fs.mkdtempSync(path.join(os.tmpdir(), 'qe-test-'));
  t.after(() => fs.rmSync(folder, { recursive: true }));
  fs.mkdirSync(path.join(folder, 'node_modules'));
  fs.symlinkSync(ROOT, path.join(folder, 'node_modules', 'qe-jest'));
  for (const name of ['one.test.js', 'two.test.js']) {
    fs.writeFileSync(path.join(folder, name), "require('node:test')('passes', () => {});");
  }
  const guide = fs.readFileSync(path.join(ROOT, 'docs', 'guide-js.md'), 'utf8');
  const [, text] = /^```js\n\/\/ files\.mjs\n(.*?)^```/ms.exec(guide);
  fs.writeFileSync(path.join(folder, 'files.mjs'), text);
  const { status, stdout, stderr } = await run([process.execPath, 'files.mjs'], { cwd: folder });
  assert.deepEqual([status, stderr], [0, '']);
  const said = /it prints `(.*?)`, `(.*?)` and `(.*?)`/.exec(guide).slice(1);
  assert.deepEqual(stdout.trim().split('\n'), said);
});
