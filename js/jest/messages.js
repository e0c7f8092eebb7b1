'use strict';
// What a worker sends besides the core's own events, by `dataKind`.

module.exports = {
  CASE_START: 1, // [path, test case, key]
  CASE_RESULT: 2, // [path, assertion result, key, whether jest may run it again]
  FILE_RESULT: 3, // jest's result of a whole file
  FILE_ERROR: 4, // why a file could not be run: {message, stack, code}
  HOOK: 5, // [type, test cases]: it fails with these; [null, []]: it is over
  REFUSED: 8, // [pass, names]: changes around it that the system would not make
  KNOWN: 7, // nothing is left to be run: the worker before was lost behind the end
  OUTPUT: 9, // as of `outputOf`: what is printed, by which test and to where
  OPEN: 6, // [path, kinds]: handles that a file has left open
};
