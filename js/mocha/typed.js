'use strict';
// What of mocha's own words a command repeats that makes a test fail again. Spec files stay:
// a replay loads all, as a run does.

const { limitOf, needed, resolve } = require('../retyping');

/** What chooses among tests, stops early or reports. `--sort` orders what is loaded. */
const WITHOUT = new Set([
  ...['bail', 'color', 'diff', 'dry-run', 'fail-zero', 'fgrep', 'full-trace', 'grep', 'growl'],
  ...['inline-diffs', 'invert', 'jobs', 'no-colors', 'parallel', 'pass-on-failing-test-suite'],
  ...['posix-exit-codes', 'reporter', 'reporter-option', 'slow', 'watch', 'watch-files'],
  ...['watch-ignore'],
]);

/** @param {{metadata: object, flags: object}} parts mocha's, see `mochaModules` */
function syntaxOf({ metadata, flags }) {
  const aliases = new Map();
  for (const [name, others] of Object.entries(metadata.aliases)) {
    for (const each of others) aliases.set(each, name);
  }
  const isBoolean = (name) => metadata.types.boolean.includes(name) || flags.isNodeFlag(name);
  const isKnown = (name) => WITHOUT.has(name);
  const nameOf = (text) => resolve(aliases, isKnown, text, text.replace(/^no-/, ''));
  const kindOf = (name) => (isBoolean(name) ? 'boolean' : 'value');
  return { nameOf, kindOf, grouped: false, without: WITHOUT };
}

/** @param {number} [timeout] of `--test-timeout-hard` */
function typedOf(words, parts, timeout) {
  const { options, places } = needed(words, syntaxOf(parts));
  return { options: [...options, ...limitOf(timeout)], places };
}

module.exports = { syntaxOf, typedOf };
