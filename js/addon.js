'use strict';
// The native addon: a prebuilt one that fits this machine, or one built from source.

const path = require('node:path');

function load() {
  try {
    return require('node-gyp-build')(path.join(__dirname, '..'));
  } catch (error) {
    const why = String(error.message).split('\n', 1)[0];
    throw new Error(
      `qe-jest: no addon for ${process.platform}-${process.arch} (${why}); ` +
        'build one with `npm rebuild qe-jest --foreground-scripts` ' +
        '(needs a C++ compiler, libsqlite3-dev and libcjson-dev)',
    );
  }
}

module.exports = load();
