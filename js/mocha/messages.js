'use strict';
// What a worker sends besides the core's own events, by `dataKind`.

module.exports = {
  TREE: 1, // what all files define, once they are loaded
  LOAD_ERROR: 2, // why loading them failed: a packed error, and which file's that is
  EVENT: 3, // {name, id, patch, current, error, stage, passed} of mocha's own events
  STAGE: 4, // the tests at the root of a file are over; its suites follow
  STDOUT: 5,
  STDERR: 6,
  STOP: 7, // mocha would run nothing behind this point
  UNLOADABLE: 8, // the claimed file has ended a worker when it was loaded
  FILE: 9, // what this file defines, where it differs from what was told before
  OPEN: 10, // [file, kinds]: handles that a file has left open
  READY: 11, // all files are loaded, which took so many seconds; tests run from here on
  REFUSED: 13, // names of changes around a pass that the system would not make
  LEAVING: 12, // nothing of mocha's follows: what is printed now, listeners of "exit" print
};
