'use strict';
// Agents that run and judge test files. index.d.ts documents them.

const { TestExecutor } = require('./executor');
const { FlakyTestHunter } = require('./hunter');
const { Metrics } = require('./metrics');
const { adaptive, iterationPresets, presets } = require('./params');

module.exports = { FlakyTestHunter, Metrics, TestExecutor, adaptive, iterationPresets, presets };
