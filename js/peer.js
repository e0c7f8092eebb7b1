'use strict';
// The user's own jest or mocha, from where the command was given.

const fs = require('node:fs');
const path = require('node:path');
const { createRequire } = require('node:module');

const { UsageError } = require('./usage');

/** The folder of a peer dependency. `oldest` is the first major version that will do. */
function findPeer(name, oldest, folder) {
  let manifest;
  try {
    manifest = createRequire(path.join(folder, '_')).resolve(`${name}/package.json`);
  } catch {
    throw new UsageError(`${name} is not installed here: npm install --save-dev ${name}`);
  }
  const { version } = JSON.parse(fs.readFileSync(manifest, 'utf8'));
  if (Number.parseInt(version, 10) < oldest) {
    throw new UsageError(
      `${name} ${version} is too old: npm install --save-dev ${name}@^${oldest}`,
    );
  }
  return path.dirname(manifest);
}

module.exports = { findPeer };
