'use strict';
// `qe-jest`: jest's own command line, with our runner in the place of its default one.

const inspector = require('node:inspector');
const path = require('node:path');
const { createRequire } = require('node:module');

const { findPeer } = require('../peer');
const { UsageError, help, parse } = require('./options');

const OLDEST = 29;

/** Why jest runs as it is, without us; null where it does not. */
function stockReason(argv) {
  if (process.platform !== 'linux') return 'workers of the core need Linux';
  if (argv.some((arg) => arg === '-i' || /^--(runInBand|run-in-band)(=true)?$/.test(arg)))
    return '';
  if (argv.some((arg) => /^--detectOpenHandles(=true)?$/.test(arg))) {
    return '--detectOpenHandles looks at one process';
  }
  return inspector.url() === undefined ? null : '';
}

/**
 * Projects name the default runner by the path that it resolves to: what is found
 * there is ours. Projects with a runner of their own keep it.
 */
function replaceRunner(folder) {
  const Runner = require('./runner');
  const jest = createRequire(createRequire(path.join(folder, '_')).resolve('jest'));
  const core = createRequire(jest.resolve('@jest/core'));
  const config = createRequire(core.resolve('jest-config'));
  const places = new Set();
  for (const from of [createRequire(path.join(folder, '_')), core, config]) {
    try {
      places.add(from.resolve('jest-runner'));
    } catch {
      // not to be found from there
    }
  }
  for (const place of places) {
    const stock = require(place);
    const ours = { ...stock, default: Runner };
    Object.defineProperty(ours, '__esModule', { value: true });
    require.cache[place].exports = ours;
  }
}

async function main(argv) {
  try {
    const { options, rest } = parse(argv);
    const jest = require(findPeer('jest', OLDEST, process.cwd()));
    const reason = stockReason(rest);
    if (reason) process.stderr.write(`qe-jest: ${reason}: running jest as it is\n`);
    if (rest.includes('--help') || rest.includes('-h')) process.stdout.write(`${help()}\n`);
    if (reason === null) {
      process.env.QE_JEST_OPTIONS = JSON.stringify(options);
      replaceRunner(process.cwd());
    }
    await jest.run(rest);
  } catch (error) {
    if (!(error instanceof UsageError)) throw error;
    process.stderr.write(`qe-jest: ${error.message}\n`);
    process.exitCode = 2;
  }
}

module.exports = { main };
