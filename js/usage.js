'use strict';
// What was asked for wrongly: one line for the user, exit code 2.

class UsageError extends Error {}

module.exports = { UsageError };
