'use strict';
// The addon for runs across machines, beside the one that fits this machine. Nothing but
// --queue loads it: it has a library of its own.

const fs = require('node:fs');
const path = require('node:path');

const { UsageError } = require('../usage');

const ROOT = path.join(__dirname, '..', '..');
const FILE = path.join('queue', 'qe_queue.node');
const DEBIAN = 'apt-get install libhiredis-dev';

/** Where it is, or would be. */
const place = () => path.join(path.dirname(require('node-gyp-build').path(ROOT)), FILE);

/** Its exports. Throws UsageError with what is missing. */
function load() {
  const file = place();
  const script = path.relative('', path.join(ROOT, 'js', 'install.js'));
  if (!fs.existsSync(file)) {
    throw new UsageError(
      'this installation was built without hiredis, which a queue needs ' +
        `(Debian: ${DEBIAN}): install it, and build again with: node ${script}`,
    );
  }
  try {
    return require(file);
  } catch (error) {
    const why = String(error.message).split('\n', 1)[0];
    throw new UsageError(`the addon for queues does not load: ${why}`);
  }
}

module.exports = { load, place };
