'use strict';
// The native addon: a prebuilt one that fits this machine, or one built from source.

const path = require('node:path');

const { UsageError } = require('./usage');

function load() {
  try {
    return require('node-gyp-build')(path.join(__dirname, '..'));
  } catch (error) {
    const why = String(error.message).split('\n', 1)[0];
    const script = path.relative('', path.join(__dirname, 'install.js'));
    throw new UsageError(
      `no addon for ${process.platform}-${process.arch} (${why}): ` +
        `build it with: node ${script}`,
    );
  }
}

module.exports = load();
