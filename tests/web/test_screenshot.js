'use strict';
// The README's picture: a script makes it.

const assert = require('node:assert/strict');
const fs = require('node:fs');
const path = require('node:path');
const { test } = require('node:test');

const { run } = require('../js/helpers');
const { folder } = require('./reports');

const ROOT = path.join(__dirname, '..', '..');
const NAME = 'docs/report.png';

/** Width and height of a picture, by its first chunk. */
function sizeOf(file) {
  const data = fs.readFileSync(file);
  assert.equal(data.subarray(0, 8).toString('latin1'), '\x89PNG\r\n\x1a\n');
  assert.ok(data.length < 150_000, `${file}: ${data.length} bytes`);
  return [data.readUInt32BE(16), data.readUInt32BE(20)];
}

test('the script makes a picture like the one in the README', async (t) => {
  const readme = fs.readFileSync(path.join(ROOT, 'README.md'), 'utf8');
  assert.ok(readme.includes(`](${NAME})`));
  const made = path.join(folder(t), 'report.png');
  const words = [process.execPath, path.join(ROOT, 'tools', 'screenshot.js'), made];
  const done = await run(words, { timeout: 200_000 });
  assert.equal(done.status, 0, done.stderr);
  const [width, height] = sizeOf(made);
  const [shown, tall] = sizeOf(path.join(ROOT, NAME));
  assert.equal(width, shown);
  // A worker more or less that retried takes a row.
  assert.ok(Math.abs(height - tall) < 150, `${height} and ${tall}`);
});
