'use strict';
// What `require('qe-jest')` gives: the core, for programs. index.d.ts documents it.

const { Inquiry, attemptSeed } = require('./addon');
const {
  FlakyTestHunter,
  Metrics,
  TestExecutor,
  adaptive,
  iterationPresets,
  presets,
} = require('./agents');
const { detectFlaky, executeTests } = require('./execute');
const { MemoryStore } = require('./memory');
const { stats } = require('./stats');
const { History, Outcome, Record, VERSION, analyze, cpuCount, runUnits, work } = require('./units');

// Plain names alone: import finds them so.
module.exports = {
  FlakyTestHunter,
  History,
  Inquiry,
  MemoryStore,
  Metrics,
  Outcome,
  Record,
  TestExecutor,
  VERSION,
  adaptive,
  analyze,
  attemptSeed,
  cpuCount,
  detectFlaky,
  executeTests,
  iterationPresets,
  presets,
  runUnits,
  stats,
  work,
};
