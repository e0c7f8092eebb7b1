'use strict';
// What `require('qe-jest')` gives: the core, for programs. index.d.ts documents it.

const { Inquiry, attemptSeed } = require('./addon');
const { detectFlaky, executeTests } = require('./execute');
const { MemoryStore } = require('./memory');
const { stats } = require('./stats');
const { History, Outcome, Record, VERSION, analyze, cpuCount, runUnits, work } = require('./units');

// Plain names alone: import finds them so.
module.exports = {
  History,
  Inquiry,
  MemoryStore,
  Outcome,
  Record,
  VERSION,
  analyze,
  attemptSeed,
  cpuCount,
  detectFlaky,
  executeTests,
  runUnits,
  stats,
  work,
};
