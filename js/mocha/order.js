'use strict';
// The order of a pass: the same for the same seed and names, wherever it runs.

const { createHash } = require('node:crypto');
const path = require('node:path');

/**
 * Shuffles files, and what each of their suites holds. As in mocha the tests of a suite
 * come before its suites, and what a file defines stays together.
 *
 * @param {{tests: object[], suites: object[]}} part of the root suite
 * @param {number} seed of the pass
 * @param {(thing: object) => string} fileOf
 */
function shuffle(part, seed, fileOf) {
  const rank = (name) => createHash('sha256').update(`${seed} ${name}`).digest('base64');
  const files = new Map();
  const rankOfFile = (thing) => {
    const file = fileOf(thing);
    if (!files.has(file)) files.set(file, rank(path.relative('', file)));
    return files.get(file);
  };
  const sorted = (things, key) => {
    const keyed = things.map((thing) => [key(thing), thing]);
    keyed.sort(([a], [b]) => Number(a > b) - Number(a < b)); // of one name: as they were
    return keyed.map(([, thing]) => thing);
  };
  const inside = (suite) => {
    suite.tests = sorted(suite.tests, (test) => rank(test.title));
    suite.suites = sorted(suite.suites, (each) => rank(each.title));
    suite.suites.forEach(inside);
  };
  const top = (thing) => rankOfFile(thing) + rank(thing.title);
  part.tests = sorted(part.tests, top);
  part.suites = sorted(part.suites, top);
  part.suites.forEach(inside);
}

module.exports = { shuffle };
