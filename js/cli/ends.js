'use strict';
// How a command ends: the exit statuses, and the errors that lead to them. As pytest's side.

const OK = 0;
const FAILED = 1; // some tests failed, something is flaky, something is not there
const USAGE = 2;
const CANNOT = 3;
const NO_READER = 141; // as what SIGPIPE ends

const STATUSES = `
Exit status:
  0    all passed (hunt: nothing is flaky)
  1    some failed (hunt: something is flaky)
  2    wrong usage: an unknown framework, a missing tool or file, a bad value
  3    it could not be carried out
  130  interrupted (Ctrl-C); 143: ended by SIGTERM, 129: with its terminal;
       141: nobody reads what it prints`;

/** One line on standard error, and an exit status. */
class Refused extends Error {
  constructor(message, status) {
    super(message);
    this.status = status;
  }
}

module.exports = {
  CANNOT,
  FAILED,
  NO_READER,
  OK,
  Refused,
  STATUSES,
  USAGE,
  cannot: (message) => new Refused(message, CANNOT),
  failed: (message) => new Refused(message, FAILED),
  wrong: (message) => new Refused(message, USAGE),
};
