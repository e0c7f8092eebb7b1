'use strict';
// Where a project's .qe folder and its history are: one answer for all that asks.

const fs = require('node:fs');
const path = require('node:path');

const FOLDER = '.qe';
const HISTORY = 'history.db';
const IGNORE = '# Everything here is made by qe; nothing of it belongs in git.\n*\n';

function* upwards(folder) {
  for (let here = path.resolve(folder); ; here = path.dirname(here)) {
    yield here;
    if (here === path.dirname(here)) return;
  }
}

const kind = (file) => fs.statSync(file, { throwIfNoEntry: false });

/**
 * Where a project's history is, or is to be made: that of the folder or of the nearest above;
 * otherwise in the nearest .qe folder; otherwise in one of the folder's own. Nothing is made.
 */
function historyOfProject(folder = process.cwd()) {
  for (const here of upwards(folder)) {
    const file = path.join(here, FOLDER, HISTORY);
    if (kind(file)?.isFile()) return file;
  }
  for (const here of upwards(folder)) {
    if (kind(path.join(here, FOLDER))?.isDirectory()) return path.join(here, FOLDER, HISTORY);
  }
  return path.join(path.resolve(folder), FOLDER, HISTORY);
}

/** Makes a .qe folder that git leaves alone; one that is there stays as it is. */
function makeQeFolder(folder) {
  fs.mkdirSync(folder, { recursive: true });
  const ignore = path.join(folder, '.gitignore');
  if (!fs.existsSync(ignore)) fs.writeFileSync(ignore, IGNORE);
}

module.exports = { FOLDER, HISTORY, historyOfProject, makeQeFolder };
