'use strict';
// The parts of the user's own mocha, found from where that is installed. Up to mocha 11
// they end in .js; in mocha 12 those that can be required end in .cjs.

const fs = require('node:fs');
const path = require('node:path');
const v8 = require('node:v8');
const { pathToFileURL } = require('node:url');

const { findPeer } = require('../peer');

const OLDEST = 10;

/** The folder of the mocha that is installed where the command was given. */
const findMocha = (folder) => findPeer('mocha', OLDEST, folder);

function part(root, name) {
  const file = path.join(root, name);
  return require(fs.existsSync(`${file}.cjs`) ? `${file}.cjs` : `${file}.js`);
}

/** Whether its program is an ES module. */
function isModule(root) {
  const { type } = JSON.parse(fs.readFileSync(path.join(root, 'package.json'), 'utf8'));
  return type === 'module';
}

function mochaModules(root) {
  return {
    Mocha: part(root, 'lib/mocha'),
    metadata: part(root, 'lib/cli/run-option-metadata'),
    helpers: part(root, 'lib/cli/run-helpers'),
    loadOptions: part(root, 'lib/cli/options').loadOptions,
    flags: part(root, 'lib/cli/node-flags'),
    main: async (argv, options) => {
      const found = await import(pathToFileURL(path.join(root, 'lib/cli/cli.js')));
      return (found.main ?? found.default.main)(argv, options);
    },
  };
}

/** What a copy in another process can have of mocha's options. */
function sendable(options) {
  const found = {};
  for (const [key, value] of Object.entries(options)) {
    try {
      v8.serialize(value);
      found[key] = value;
    } catch {
      // functions: workers find their own
    }
  }
  for (const key of ['rootHooks', 'globalSetup', 'globalTeardown', 'reporter', 'R']) {
    delete found[key];
  }
  return { ...found, parallel: false, files: undefined };
}

module.exports = { findMocha, isModule, mochaModules, sendable };
