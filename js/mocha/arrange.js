'use strict';
// Which tests run in a pass of a hunt, and in which order. As in mocha what a suite holds
// stays together, its tests come before its suites, and so does what a file defines.

const { Names } = require('../progress');

/** The tests of suites in the order in which they run. */
function* testsOf({ tests, suites }) {
  yield* tests;
  for (const suite of suites) yield* testsOf(suite);
}

/** What the tests of each file are called, by test: names, and which of that name it is. */
function keysOf(parts) {
  const keys = new Map();
  for (const part of parts) {
    const names = new Names();
    for (const test of testsOf(part)) keys.set(test, names.key(test.fullTitle()));
  }
  return keys;
}

const sorted = (things, placeOf) => {
  const placed = things.map((thing) => [placeOf(thing), thing]);
  placed.sort(([a], [b]) => (a === b ? 0 : a - b));
  return placed.filter(([place]) => place < Infinity).map(([, thing]) => thing);
};

/** Leaves a suite what stands in the order, sorted by it; returns where its first test is. */
function sort(suite, placeOf) {
  const places = new Map(suite.suites.map((each) => [each, sort(each, placeOf)]));
  suite.tests = sorted(suite.tests, placeOf);
  suite.suites = sorted(suite.suites, (each) => places.get(each));
  const all = [...suite.tests.map(placeOf), ...places.values()];
  return all.reduce((least, place) => Math.min(least, place), Infinity);
}

/** Takes all tests of a suite that are not kept; those that come twice get a second one. */
function keep(suite, isKept, comesTwice) {
  suite.tests = suite.tests
    .filter(isKept)
    .flatMap((test) => (comesTwice(test) && test.fn ? [test, test.clone()] : [test]));
  for (const each of suite.suites) keep(each, isKept, comesTwice);
}

/**
 * @param {{tests: object[], suites: object[]}} part of the root suite: what all files define
 * @param {{files: [number, string[]][], wanted: [number, string[]][] | null}} spec as of
 *   `Hunting.next`
 * @param {Map<object, string>} keys of tests, as of `keysOf`
 * @param {(thing: object) => number} fileOf
 */
function arrange(part, { files, wanted }, keys, fileOf) {
  const idOf = (test) => `${fileOf(test)} ${keys.get(test)}`;
  const places = new Map();
  const times = new Map();
  for (const [file, own] of files) {
    for (const key of own) {
      const id = `${file} ${key}`;
      if (!places.has(id)) places.set(id, places.size);
      times.set(id, (times.get(id) ?? 0) + 1);
    }
  }
  sort(part, (test) => places.get(idOf(test)) ?? Infinity);
  const tests = [...testsOf(part)];
  const last = new Set((wanted ?? []).flatMap(([file, own]) => own.map((key) => `${file} ${key}`)));
  const end = wanted ? tests.findLastIndex((test) => last.has(idOf(test))) : tests.length;
  const kept = new Set(tests.slice(0, end + 1));
  keep(
    part,
    (test) => kept.has(test),
    (test) => times.get(idOf(test)) > 1,
  );
}

module.exports = { arrange, keysOf };
