'use strict';
// All tests of qe-mocha, with another version of mocha's than the repository's.

const fs = require('node:fs');
const path = require('node:path');
const { before } = require('node:test');

const { ROOT } = require('./helpers');
const { npm } = require('./projects');

/** To be called first in a test file; `version` is a range of npm's. */
function testMocha(version) {
  const folder = path.join(ROOT, 'build', 'js-projects', `mocha${version.replace(/\W/g, '')}`);
  const manifest = path.join(folder, 'package.json');
  process.env.QE_TEST_MODULES = path.join(folder, 'node_modules');
  before(async () => {
    fs.mkdirSync(folder, { recursive: true });
    fs.writeFileSync(manifest, '{ "name": "project", "private": true }');
    await npm(folder, 'install', '--prefer-offline', '--no-audit', '--no-fund', `mocha@${version}`);
  });
  for (const name of [
    'parity',
    'options',
    'faults',
    'reports',
    'details',
    'stubs',
    'added',
    'flaky',
    'hunt',
  ])
    require(`./test_mocha_${name}`);
}

module.exports = { testMocha };
