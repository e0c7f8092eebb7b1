'use strict';
// Where a test hangs: a thread beside it looks, once its time is over, at what the main
// thread executes. The core kills the process, whether or not that could be said.

const fs = require('node:fs');
const path = require('node:path');
const { Worker } = require('node:worker_threads');

const natives = require('./natives');

const THREAD = path.join(__dirname, 'watchdog-thread.js');

const { exchange, notify, store } = Atomics;

/** Seconds that the look may take, also on a busy machine; the core's limit is so much later. */
const LOOK = 1;

class Watchdog {
  #deadline = new BigInt64Array(new SharedArrayBuffer(8)); // by the monotonic clock; 0: none
  #file;
  #limit;

  /**
   * @param {number} seconds after which it looks, from each call of `begin`
   * @param {string} file that it writes what it sees to
   */
  constructor(seconds, file) {
    this.#file = file;
    this.#limit = BigInt(Math.round(seconds * 1e9));
    const thread = new Worker(THREAD, {
      workerData: { deadline: this.#deadline, file },
      execArgv: [],
      env: {}, // what NODE_OPTIONS load is the tests'
    });
    thread.on('error', () => {}); // then nothing is said
    thread.unref();
  }

  begin() {
    const before = exchange(this.#deadline, 0, natives.monotonic() + this.#limit);
    if (before !== 0n) return; // the thread sleeps until then by itself
    try {
      natives.unlinkSync(this.#file); // of what was late, but ended
    } catch {
      // there is none
    }
    notify(this.#deadline, 0);
  }

  end() {
    store(this.#deadline, 0, 0n);
  }
}

/** What a watchdog has seen, as the lines of a stack; "" where it saw nothing. */
function readStack(file) {
  let text;
  try {
    text = fs.readFileSync(file, 'utf8');
    fs.rmSync(file);
  } catch {
    return '';
  }
  return text.endsWith('\n') ? text.trimEnd() : ''; // or it was cut short
}

/** Where the watchdog of the worker in a slot writes, in the run's folder. */
const stackFile = (folder, slot) => path.join(folder, `${slot}.stack`);

/**
 * What is said of a worker that was killed at its limit.
 *
 * @param {string} stack as of `readStack`
 * @param {string} [what] it did then, from a space on
 */
function hangText(seconds, stack, what = '') {
  const killed = `its worker did nothing else for ${seconds} s and was killed`;
  const where = stack ? '' : ', in native code or waiting for what never came';
  return `Timeout: ${killed} (--test-timeout-hard)${what}${where}`;
}

module.exports = { LOOK, Watchdog, hangText, readStack, stackFile };
