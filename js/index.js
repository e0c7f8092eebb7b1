'use strict';
// What `require('qe-jest')` gives: the core, for programs. index.d.ts documents it.

const { detectFlaky, executeTests } = require('./execute');
const { stats } = require('./stats');
const { History, Outcome, Record, VERSION, analyze, cpuCount, runUnits, work } = require('./units');

// Plain names alone: import finds them so.
module.exports = {
  History,
  Outcome,
  Record,
  VERSION,
  analyze,
  cpuCount,
  detectFlaky,
  executeTests,
  runUnits,
  stats,
  work,
};
