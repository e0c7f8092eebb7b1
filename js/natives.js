'use strict';
// What our code calls between and inside tests, as it was before any of these ran: tests
// put stubs, spies and fake clocks in its place, which must neither change what we do nor
// count our calls.

const fs = require('node:fs');

const { parse, stringify } = JSON;
const { setImmediate, setTimeout } = globalThis;
const { closeSync, existsSync, openSync, readFileSync, unlinkSync, writeFileSync, writeSync } = fs;

module.exports = {
  closeSync,
  existsSync,
  openSync,
  parse,
  readFileSync,
  setImmediate,
  setTimeout,
  stringify,
  unlinkSync,
  writeFileSync,
  writeSync,
  activeResources: process.getActiveResourcesInfo.bind(process),
  bufferFrom: Buffer.from.bind(Buffer),
  concat: Buffer.concat.bind(Buffer),
  dateNow: Date.now,
  exit: process.exit.bind(process),
  monotonic: process.hrtime.bigint,
  nextTick: process.nextTick.bind(process),
  now: performance.now.bind(performance),
  onProcess: process.on.bind(process),
  residentBytes: process.memoryUsage.rss,
};
