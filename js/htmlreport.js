'use strict';
// --report-html, `qe exec --html`: the JSON result in a page that shows it. The page is a build product, the
// same as pytest-qe's; the packed result takes the place of one marker in it.

const fs = require('node:fs');
const os = require('node:os');
const path = require('node:path');
const zlib = require('node:zlib');

const { writeWhole } = require('./files');

const TEMPLATE = path.join(__dirname, '..', 'python', 'pytest_qe', 'web', 'report.html');
const MARKER = '@QE-RESULT@';

/** Why no page can be made at all, in one line; null: one can. */
function missing() {
  if (fs.existsSync(TEMPLATE)) return null;
  return `${TEMPLATE} is missing: run \`make build/web.stamp\` in the sources of qe`;
}

/**
 * Writes the page, whole or not at all.
 *
 * @param {string} file where to
 * @param {(file: string) => void} writeJson writes the result to the path that it is given
 */
function writeHtml(file, writeJson) {
  const [before, after, ...more] = fs.readFileSync(TEMPLATE, 'utf8').split(MARKER);
  if (after === undefined || more.length > 0)
    throw new Error(`${TEMPLATE} is not the page that belongs to this version`);
  const folder = fs.mkdtempSync(path.join(os.tmpdir(), 'qe-'));
  let packed;
  try {
    const result = path.join(folder, 'result.json');
    writeJson(result);
    packed = zlib.gzipSync(fs.readFileSync(result), { level: 9 }).toString('base64');
  } finally {
    fs.rmSync(folder, { recursive: true, force: true });
  }
  writeWhole(file, before + packed + after);
}

module.exports = { missing, writeHtml };
