'use strict';
// Projects of users, with the package as npm packs it.

const assert = require('node:assert/strict');
const fs = require('node:fs');
const path = require('node:path');

const { ROOT, run } = require('./helpers');

const PROJECTS = path.join(ROOT, 'build', 'js-projects');
// What cannot be fetched is told before the test's time is up.
const QUIET = ['--no-audit', '--no-fund', '--no-package-lock', '--fetch-retries=1'];

/** Runs npm, which must succeed. */
async function npm(cwd, ...words) {
  const done = await run(['npm', ...words], { cwd, timeout: 240_000 });
  assert.equal(done.status, 0, `npm ${words.join(' ')}\n${done.stdout}${done.stderr}`);
  return done;
}

/** The package as npm packs it: a path. */
async function pack(folder) {
  fs.mkdirSync(folder, { recursive: true });
  const done = await npm(ROOT, 'pack', '--ignore-scripts', '--json', '--pack-destination', folder);
  return path.join(folder, JSON.parse(done.stdout)[0].filename);
}

/**
 * A project with files, and with the packed package and others installed, no install
 * script having run. What npm has fetched for an earlier run is used again.
 */
async function project(name, packages, files) {
  const folder = path.join(PROJECTS, name);
  const tarball = await pack(path.join(folder, 'packed'));
  for (const old of fs.readdirSync(folder)) {
    if (old !== 'packed' && old !== 'node_modules') {
      fs.rmSync(path.join(folder, old), { recursive: true });
    }
  }
  fs.rmSync(path.join(folder, 'node_modules', 'qe-jest'), { recursive: true, force: true });
  // npm goes by its own list of what is there.
  fs.rmSync(path.join(folder, 'node_modules', '.package-lock.json'), { force: true });
  write(folder, { 'package.json': '{ "name": "project", "private": true }', ...files });
  await npm(
    folder,
    'install',
    '--ignore-scripts',
    '--prefer-offline',
    ...QUIET,
    ...packages,
    tarball,
  );
  return folder;
}

function write(folder, files) {
  for (const [name, text] of Object.entries(files)) {
    const file = path.join(folder, name);
    fs.mkdirSync(path.dirname(file), { recursive: true });
    fs.writeFileSync(file, text);
  }
}

module.exports = { npm, pack, project, write };
