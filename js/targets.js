'use strict';
// What is known by looking at a test file: what of it a framework's command is given.

const fs = require('node:fs');
const path = require('node:path');

const { refuse } = require('./units');

// Functions that `go test` runs, one a line: gofmt has no other layout.
const GO_TEST = /^func\s+((?:Test|Example|Fuzz)[\p{L}\p{N}_]*)\s*\(/gmu;

const missing = (message) => Object.assign(new Error(message), { code: 'QE_ENOTFOUND' });

const statOf = (file) => fs.statSync(file, { throwIfNoEntry: false });
const isFile = (file) => statOf(file)?.isFile() ?? false;
const isFolder = (file) => statOf(file)?.isDirectory() ?? false;

/** The folder and those above it. */
function upwards(folder) {
  const parent = path.dirname(folder);
  return parent === folder ? [folder] : [folder, ...upwards(parent)];
}

/** A path as one name: below the folder, as far as it can be. */
const slug = (file, folder) =>
  path
    .relative(folder, file)
    .replace(/[^A-Za-z0-9]+/g, '-')
    .replace(/^-|-$/g, '');

const escaped = (text) => text.replace(/[\\^$.*+?()[\]{}|/]/g, '\\$&');

function go(file) {
  if (isFolder(file)) return { root: file };
  if (!file.endsWith('_test.go')) {
    throw refuse(`go takes NAME_test.go or the folder of a package, not ${file}`);
  }
  const source = fs.readFileSync(file, 'utf8');
  const tests = new Set(Array.from(source.matchAll(GO_TEST), ([, name]) => name));
  return { root: path.dirname(file), tests: [...tests].join('|') };
}

function cargo(file) {
  const above = upwards(isFolder(file) ? file : path.dirname(file));
  const root = above.find((folder) => isFile(path.join(folder, 'Cargo.toml')));
  if (root === undefined) {
    throw refuse(`cargo takes a file of a package: no Cargo.toml lies above ${file}`);
  }
  if (file === root) return { root };
  const [first, second, third, ...more] = path.relative(root, file).split(path.sep);
  if (first === 'tests' && file.endsWith('.rs') && more.length === 0) {
    if (third === undefined) return { root, target: path.basename(second, '.rs') };
    if (third === 'main.rs') return { root, target: second };
  }
  throw refuse(
    'cargo takes tests/NAME.rs or the folder of a package, which runs all of it: ' +
      `${root}, not ${file}`,
  );
}

function ctest(file) {
  if (!isFile(path.join(file, 'CTestTestfile.cmake'))) {
    throw refuse(`ctest takes a build folder, with CTestTestfile.cmake, not ${file}`);
  }
  return { root: file };
}

function below(file, folder) {
  const [first] = path.relative(folder, file).split(path.sep);
  if (first === '..') throw refuse(`unittest takes files below its folder, ${folder}, not ${file}`);
  return {};
}

const LOCATE = { below, cargo, ctest, go };
// A file that stands for its folder.
const OF_FOLDER = { cargo: 'Cargo.toml', ctest: 'CTestTestfile.cmake' };

/**
 * What a framework is to run of what was given: {file, shape, holes}.
 *
 * @param {string} name the framework's
 * @param {object} entry of the table
 * @param {string} given a path, from `folder`
 */
function locate(name, { locate: how, target }, given, folder) {
  let file = path.resolve(folder, given);
  if (path.basename(file) === OF_FOLDER[how] && isFile(file)) file = path.dirname(file);
  const shape = isFolder(file) ? 'folder' : 'file';
  const either = target.folder ? 'file or folder' : 'file';
  if (shape === 'file' ? !isFile(file) : !target.folder) {
    throw missing(`there is no ${either} ${file}${shape === 'folder' ? ': it is a folder' : ''}`);
  }
  const { base, name: stem, dir } = path.parse(file);
  const holes = { file, dir, name: base, stem, pattern: escaped(file) };
  return { file, shape, holes: { ...holes, ...LOCATE[how]?.(file, folder) } };
}

module.exports = { isFolder, locate, missing, slug, upwards };
