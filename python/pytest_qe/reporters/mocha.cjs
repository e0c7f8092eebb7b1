'use strict';
// Given to mocha by --require: writes what became of each test into the file that
// QE_REPORT names, beside whatever reporter the project has.

const fs = require('node:fs');

const file = process.env.QE_REPORT;
delete process.env.QE_REPORT; // not for what the tests start

const MOST = 2000; // characters of a message
const text = (error) => String(error?.stack ?? error?.message ?? error ?? '').slice(0, MOST);

/** mocha calls it before anything runs; `this` is its runner. */
exports.mochaGlobalSetup = function () {
  const tests = new Map(); // one that calls `done` once more fails after it has passed
  const note = (outcome) => (test, error) => {
    const name = test.fullTitle();
    if (test.type === 'hook')
      tests.set(Symbol(name), { name, outcome: 'error', message: text(error) });
    else
      tests.set(test.id ?? test.__mocha_id__ ?? test, {
        name,
        outcome,
        message: text(error),
        milliseconds: test.duration,
      });
  };
  this.on('pass', note('passed'));
  this.on('fail', note('failed'));
  this.on('pending', note('skipped'));
  this.on('end', () => {
    try {
      fs.writeFileSync(file, JSON.stringify({ tests: [...tests.values()] }));
    } catch {
      // Then nobody knows; the tests are what they were.
    }
  });
};
