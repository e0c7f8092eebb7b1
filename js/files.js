'use strict';
// Files that are written whole or not at all.

const fs = require('node:fs');
const path = require('node:path');

/** What a link leads to; a device or a pipe is no file that could be replaced. */
function target(file) {
  try {
    const real = fs.realpathSync(file);
    return { real, isFile: fs.statSync(real).isFile() };
  } catch (error) {
    if (error.code !== 'ENOENT') throw error;
    return { real: file, isFile: true };
  }
}

/** Makes a folder and those above it. Node's own way to do so never ends below /proc. */
function makeFolder(folder) {
  if (fs.existsSync(folder)) return;
  makeFolder(path.dirname(folder));
  try {
    fs.mkdirSync(folder);
  } catch (error) {
    if (error.code !== 'EEXIST') throw error; // another process was faster
  }
}

/**
 * Why no file can be written there, in a few words; null where one can. Makes its folder.
 * A device or a pipe is written as it stands.
 */
function whyNot(file) {
  const full = path.resolve(file);
  try {
    const found = fs.statSync(full, { throwIfNoEntry: false });
    if (found?.isDirectory()) return 'is a folder: takes the path of a file';
    if (found && !found.isFile()) return null;
    const { real } = target(full);
    makeFolder(path.dirname(real));
    const trial = `${real}.${process.pid}.tmp`; // as it is written, too
    fs.closeSync(fs.openSync(trial, 'wx', 0o600));
    fs.rmSync(trial);
    return null;
  } catch (error) {
    return `cannot be written: ${error.message}`;
  }
}

function writeWhole(file, text) {
  makeFolder(path.dirname(path.resolve(file)));
  const { real, isFile } = target(file);
  if (!isFile) {
    fs.writeFileSync(real, text);
    return;
  }
  const temporary = `${real}.${process.pid}.tmp`;
  try {
    fs.writeFileSync(temporary, text);
    fs.renameSync(temporary, real);
  } catch (error) {
    fs.rmSync(temporary, { force: true });
    throw error;
  }
}

module.exports = { makeFolder, whyNot, writeWhole };
