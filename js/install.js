'use strict';
// The install script: builds the addon from its sources, where no prebuilt one fits. May
// be called by hand as well, where npm runs no install scripts.

const { spawnSync } = require('node:child_process');
const fs = require('node:fs');
const path = require('node:path');

const ROOT = path.join(__dirname, '..');
const { place } = require('./queue/addon');

const NEEDS = 'g++, make, python3, pkg-config and the headers of SQLite and cJSON';
const DEBIAN = 'apt-get install g++ make python3 pkg-config libsqlite3-dev libcjson-dev';

/** Whether nothing is left to be built: a queue's addon only where its library is. */
function loads() {
  try {
    require('./addon');
  } catch {
    return false;
  }
  return fs.existsSync(place()) || !hasHiredis();
}

function hasHiredis() {
  return spawnSync('pkg-config', ['--exists', 'hiredis >= 0.14']).status === 0;
}

/** How node-gyp is called: npm says where its own is; otherwise npm finds or gets it. */
function nodeGyp() {
  const own = process.env.npm_config_node_gyp;
  return own ? [process.execPath, own] : ['npm', 'exec', '--yes', '--', 'node-gyp'];
}

function build() {
  const env = { JOBS: 'max', ...process.env };
  // The headers of the Node that runs; where it has none, node-gyp fetches some.
  const prefix = path.dirname(path.dirname(fs.realpathSync(process.execPath)));
  if (fs.existsSync(path.join(prefix, 'include', 'node', 'node_api.h'))) {
    env.npm_config_nodedir = prefix;
  }
  const [program, ...words] = [...nodeGyp(), 'rebuild'];
  const done = spawnSync(program, words, { cwd: ROOT, env, stdio: 'inherit' });
  return done.status === 0 && loads();
}

function main() {
  if (process.platform !== 'linux') return; // there the user's own runner runs as it is
  // A checkout builds by its Makefile; node-gyp would empty its folder "build".
  if (fs.existsSync(path.join(ROOT, 'Makefile')) || loads()) return;
  if (build()) return;
  process.stderr.write(
    `qe-jest: the addon could not be built; it needs ${NEEDS} (Debian: ${DEBIAN})\n`,
  );
  process.exitCode = 1;
}

main();
