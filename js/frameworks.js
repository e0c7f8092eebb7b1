'use strict';
// How a test file is run by its framework's own command: one entry for each.

const fs = require('node:fs');
const path = require('node:path');

// Where a project keeps its programs, from its folder upwards.
const NODE = [path.join('node_modules', '.bin')];
const PYTHON = [path.join('.venv', 'bin'), path.join('venv', 'bin')];

/**
 * `tool`: the program's name; `places`: the folders of a project that may hold it, before
 * PATH is searched; `args`: what it is given for a file; `env`: changes of the environment;
 * `install`: how to get it.
 */
const FRAMEWORKS = {
  jest: {
    tool: 'jest',
    places: NODE,
    // A path, not a pattern that other files' paths may match as well.
    args: (file) => ['--runTestsByPath', file],
    install: 'npm install --save-dev jest',
  },
  mocha: {
    tool: 'mocha',
    places: NODE,
    args: (file) => [file],
    install: 'npm install --save-dev mocha',
  },
  node: {
    tool: 'node',
    places: NODE,
    args: (file) => ['--test', file],
    // Set where this runs in a test of Node's: its runner runs nothing below itself.
    env: { NODE_TEST_CONTEXT: null },
    install: 'it is not in PATH',
  },
  pytest: {
    tool: 'pytest',
    places: PYTHON,
    args: (file) => [file],
    install: 'pip install pytest',
  },
};

function isProgram(file) {
  try {
    fs.accessSync(file, fs.constants.X_OK);
    return fs.statSync(file).isFile();
  } catch {
    return false;
  }
}

/** The folder and those above it. */
function upwards(folder) {
  const parent = path.dirname(folder);
  return parent === folder ? [folder] : [folder, ...upwards(parent)];
}

/** The path of a framework's program: the project's own, or one in PATH; null: none. */
function findTool({ tool, places }, folder, searched) {
  const own = upwards(folder).flatMap((above) => places.map((place) => path.join(above, place)));
  const all = searched.split(path.delimiter).filter((place) => place !== '');
  const found = [...own, ...all.map((place) => path.resolve(folder, place))].find((place) =>
    isProgram(path.join(place, tool)),
  );
  return found === undefined ? null : path.join(found, tool);
}

module.exports = { FRAMEWORKS, findTool };
