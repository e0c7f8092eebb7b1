'use strict';
// What was asked for wrongly: one line for the user, exit code 2.

class UsageError extends Error {
  status = 2;
}

/** What a run needs of others is not there: likewise, with another exit code. */
class GoneError extends UsageError {
  status = 7;
}

module.exports = { GoneError, UsageError };
