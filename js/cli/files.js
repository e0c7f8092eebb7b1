'use strict';
// Which files are meant, and by which framework they are run.

const fs = require('node:fs');
const path = require('node:path');
const { globSync, isDynamicPattern } = require('tinyglobby');

const { frameworkNames, lookup } = require('../frameworks');
const { wrong } = require('./ends');

const IGNORED = ['**/node_modules/**', '**/__pycache__/**', '**/target/**', '**/vendor/**'];
const SCRIPT = /\.[cm]?[jt]sx?$/;
const BY_NAME = [
  [/\.py$/, 'pytest', '*.py'],
  [/_test\.go$/, 'go', '*_test.go'],
  [/\.rs$/, 'cargo', '*.rs'],
  [/\.cy\..+$/, 'cypress', '*.cy.*'],
];
/** Packages that a project's package.json may name, and the frameworks that they are. */
const PACKAGES = {
  jest: 'jest',
  vitest: 'vitest',
  mocha: 'mocha',
  '@playwright/test': 'playwright',
  cypress: 'cypress',
};

const isFolder = (file) => fs.statSync(file, { throwIfNoEntry: false })?.isDirectory() ?? false;
const exists = (file) => fs.lstatSync(file, { throwIfNoEntry: false }) !== undefined;

function matching(name, folder) {
  if (exists(path.resolve(folder, name)) || !isDynamicPattern(name)) return [name];
  const found = globSync(name, { cwd: folder, onlyFiles: false, expandDirectories: false });
  if (found.length === 0) throw wrong(`no file matches ${JSON.stringify(name)} in ${folder}`);
  return found.map((file) => file.replace(/\/$/, '')).sort();
}

/** A file as it is; of a folder the test files. */
function within(name, folder, framework) {
  const here = path.resolve(folder, name);
  if (!isFolder(here)) return [name];
  const entry = framework === null ? null : lookup(framework);
  if (entry === null && exists(path.join(here, 'CTestTestfile.cmake'))) return [name];
  if (entry?.target.folder) return [name];
  const known = entry === null ? frameworkNames().map(lookup) : [entry];
  const patterns = [...new Set(known.flatMap(({ files = [] }) => files))].sort();
  const found = globSync(
    patterns.map((pattern) => `**/${pattern}`),
    { cwd: here, ignore: IGNORED, expandDirectories: false },
  );
  if (found.length > 0) return found.sort().map((file) => path.join(name, file));
  const what = entry === null ? 'known' : `of ${framework}: ${patterns.join(', ')}`;
  throw wrong(`no test file ${what} is in ${here}`);
}

/** The frameworks that a package.json has, and its script `test`. */
function packages(file) {
  let data;
  try {
    data = JSON.parse(fs.readFileSync(file, 'utf8'));
  } catch {
    return [[], ''];
  }
  const named = { ...data?.dependencies, ...data?.devDependencies };
  const script = data?.scripts?.test;
  const found = Object.keys(PACKAGES).filter((name) => Object.hasOwn(named, name));
  return [found.map((name) => PACKAGES[name]), typeof script === 'string' ? script : ''];
}

/** By the nearest package.json that has one of them. */
function byPackage(file) {
  for (let folder = path.dirname(file); ; folder = path.dirname(folder)) {
    const manifest = path.join(folder, 'package.json');
    if (exists(manifest)) {
      const [all, script] = packages(manifest);
      const named = all.filter((name) => script.split(/[/\s]+/).includes(name));
      if (/node/.test(script) && script.includes('--test') && named.length === 0) {
        return ['node', `by the script test of ${manifest}`];
      }
      const found = named.length > 0 ? named : all;
      if (found.length > 1) {
        throw wrong(`${manifest} has ${found.join(' and ')}: --framework says which`);
      }
      if (found.length === 1) return [found[0], `by ${manifest}`];
    }
    if (exists(path.join(folder, '.git')) || folder === path.dirname(folder)) break;
  }
  return ['node', 'as no package.json has another'];
}

function frameworkOf(file, folder) {
  const here = path.resolve(folder, file);
  if (isFolder(here) && exists(path.join(here, 'CTestTestfile.cmake'))) {
    return ['ctest', 'by CTestTestfile.cmake'];
  }
  const found = BY_NAME.find(([form]) => form.test(path.basename(file)));
  if (found) return [found[1], `by ${found[2]}`];
  if (SCRIPT.test(file)) return byPackage(here);
  const known = frameworkNames().join(', ');
  throw wrong(`cannot tell the framework of ${file}: --framework takes one of ${known}`);
}

/**
 * The files, relative to `cwd` as they were given, the framework, and why that one:
 * {files, framework, why}. A pattern stands for what matches it, a folder for the framework's
 * usual test files in it and below.
 */
function chosen(given, { framework: asked = null, cwd = '.', command }) {
  const folder = path.resolve(cwd);
  if (!isFolder(folder)) throw wrong(`there is no folder ${folder}`);
  const wanted = asked ?? (command === undefined ? null : 'command');
  const framework = wanted === null ? null : lookup(wanted).name;
  const found = new Map(); // by where it is: nothing runs twice
  for (const file of given
    .flatMap((name) => matching(name, folder))
    .flatMap((name) => within(name, folder, framework))) {
    const place = path.resolve(folder, file);
    if (!found.has(place)) found.set(place, file);
  }
  const files = [...found.values()];
  if (framework !== null) return { files, framework, why: 'as given' };
  const by = new Map();
  let why = '';
  for (const file of files) {
    const [name, because] = frameworkOf(file, folder);
    why = because;
    by.set(name, [...(by.get(name) ?? []), file]);
  }
  if (by.size > 1) {
    const parts = [...by].sort().map(([name, of]) => `${of.length} of ${name} (${of[0]} …)`);
    throw wrong(`these are files of several frameworks: ${parts.join(', ')}; run each alone`);
  }
  return { files, framework: [...by.keys()][0], why };
}

module.exports = { chosen };
