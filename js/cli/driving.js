'use strict';
// Drives an agent's stream: what happens is shown as it happens, signals are heeded.

const fs = require('node:fs');
const os = require('node:os');

const { writeWhole } = require('../files');
const { snake } = require('../agents/keys');
const { FAILED, OK, cannot } = require('./ends');

const HELD_MS = 100; // what runs is held by then
const STOPPED_MS = 50; // ... and this process has met its signal

/**
 * SIGTSTP (Ctrl-Z) holds what runs, which has process groups of its own, and then this
 * process, until SIGCONT. Returns what has that end.
 */
function heedStop(agent) {
  let timer;
  const on = () => {
    agent.pause(true);
    clearTimeout(timer);
    timer = setTimeout(stopHere, HELD_MS);
  };
  const stopHere = () => {
    // By its default: the kernel stops nothing that no shell could have go on.
    process.off('SIGTSTP', on);
    process.kill(process.pid, 'SIGTSTP');
    timer = setTimeout(goOn, STOPPED_MS); // which is after SIGCONT
  };
  const goOn = () => {
    process.on('SIGTSTP', on);
    agent.pause(false);
  };
  process.on('SIGTSTP', on);
  return () => {
    clearTimeout(timer);
    process.off('SIGTSTP', on);
  };
}

/** Whether a signal is ignored, as nohup has it. */
function isIgnored(name) {
  const [, mask] = /^SigIgn:\s*([0-9a-f]+)/m.exec(fs.readFileSync('/proc/self/status', 'utf8'));
  return (BigInt(`0x${mask}`) >> BigInt(os.constants.signals[name] - 1)) % 2n === 1n;
}

/**
 * The first SIGINT, SIGTERM or SIGHUP asks, the second ends what runs, a third this process.
 * Returns {first: the name, or null, leave}.
 */
function heed(agent, note, grace) {
  const heard = { first: null, count: 0 };
  const signals = ['SIGINT', 'SIGTERM', ...(isIgnored('SIGHUP') ? [] : ['SIGHUP'])];
  const on = (name) => {
    heard.count += 1;
    if (heard.count === 1) {
      heard.first = name;
      const again = name === 'SIGINT' ? '; once more ends it now' : '';
      agent.stop();
      note(`interrupted: what runs has ${grace} s to end${again}`);
      return;
    }
    agent.stop({ atOnce: true });
    leave();
  };
  const leave = () => signals.forEach((name) => process.off(name, on));
  signals.forEach((name) => process.on(name, on));
  return Object.assign(heard, { leave });
}

/** Runs a stream to its end: {result, signal: what ended it early, or null}. */
async function drive(agent, stream, view, grace) {
  const heard = heed(agent, view.note, grace);
  const leaveStop = heedStop(agent);
  let result;
  try {
    for await (const event of stream) {
      if (event.kind === 'done') ({ result } = event);
      else view.take(event);
    }
  } finally {
    heard.leave();
    leaveStop();
  }
  return { result, signal: heard.first };
}

/** On standard output, at once: also where that is a pipe and the process ends soon. */
function print(text) {
  let rest = Buffer.from(text);
  while (rest.length > 0) {
    try {
      rest = rest.subarray(fs.writeSync(1, rest));
    } catch (error) {
      if (error.code !== 'EAGAIN') throw error;
      Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 5);
    }
  }
}

const printLine = (value) => print(`${JSON.stringify(snake(value))}\n`);

/** Writes a result, whole or not at all; `-` is standard output. */
function writeJson(file, value) {
  const text = `${JSON.stringify(snake(value), null, 2)}\n`;
  if (file === '-') return print(text);
  try {
    writeWhole(file, text);
  } catch (error) {
    throw cannot(`${file}: ${error.message}`);
  }
}

/** Does each of several things, whatever else fails; the first error is thrown in the end. */
function eachOf(...calls) {
  const errors = [];
  for (const call of calls) {
    try {
      call();
    } catch (error) {
      errors.push(error);
    }
  }
  if (errors.length > 0) throw errors[0];
}

/** The exit status of a run. */
function statusOf(bad, signal) {
  if (signal !== null) return 128 + os.constants.signals[signal];
  return bad ? FAILED : OK;
}

module.exports = { drive, eachOf, print, printLine, statusOf, writeJson };
