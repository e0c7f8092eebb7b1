'use strict';
// How far a file is, written by its worker: a worker that takes the file over, once
// the first was killed, goes on behind the test that hung or crashed.

const { appendFileSync } = require('node:fs'); // in the parent alone

const natives = require('./natives');

const { closeSync, existsSync, openSync, parse, readFileSync, stringify, writeSync } = natives;

/** Names are not unique: a test is its name and how many of that name came before. */
class Names {
  #seen = new Map();

  key(name) {
    const count = this.#seen.get(name) ?? 0;
    this.#seen.set(name, count + 1);
    return `${count}:${name}`;
  }
}

const nameOf = (key) => key.slice(key.indexOf(':') + 1);

function readLines(file) {
  if (!existsSync(file)) return []; // most often: an exception would take longer
  let text;
  try {
    text = readFileSync(file, 'utf8');
  } catch {
    return [];
  }
  const lines = text.split('\n');
  lines.pop(); // what follows the last line's end was cut short
  return lines.map((line) => parse(line));
}

/**
 * What one worker has begun last, and not ended, as far as it has noted that.
 *
 * @param {string} file of the progress
 * @param {(name: string) => boolean} isMark whether that was noted behind its "attempt", as done
 * @returns {string | undefined} its name
 */
function begunLast(file, isMark) {
  let own = false;
  let running;
  for (const [what, key] of readLines(file)) {
    if (what === 'attempt') own = false;
    else if (what === 'done' && isMark(nameOf(key))) own = true;
    else if (own && what === 'start') running = key;
    else if (own && what === 'done' && key === running) running = undefined;
  }
  return running && nameOf(running);
}

/** What a worker and the parent call an attempt alike. */
const attemptOf = (pid, attempt) => `${pid}.${attempt}`;

const lossesOf = (file) => `${file}.lost`;

/**
 * Notes, in the parent, that a worker was lost: what it had sent is known only there.
 *
 * @param {string} file of the progress
 * @param {string} by the worker's process and the attempt, as `attemptOf` puts them
 * @param {boolean} killed by what may have had no reason in the file
 * @param {string[]} keys of the tests that fail with it
 * @param {[string, string][]} known statuses of tests, by key: others are to be run again
 */
function noteLoss(file, by, killed, keys, known) {
  const line = `${stringify([by, killed, keys, known])}\n`;
  appendFileSync(lossesOf(file), line, { mode: 0o600 });
}

/** What is known of a file's tests from the attempts so far. */
class Progress {
  constructor(file) {
    this.file = file;
    this.attempts = 0;
    this.done = new Map(); // status, by key
    this.lost = new Set(); // keys of tests that ended their worker
    this.failures = new Map(); // how often a test has failed, by key
    this.stuck = false; // the last worker died where no test was running
    this.vain = 0; // how many in a row died so, and before any test was over
    this.killed = false; // the last was killed, by what may have had no reason in the file
    this.missing = false; // what was lost with it is not known yet
    this.count = Infinity; // how many tests the file has, where that is known
    const noted = readLines(file);
    const lost = noted.length > 0 ? readLines(lossesOf(file)) : [];
    const losses = new Map(lost.map(([by, ...loss]) => [by, loss]));
    let ended = true;
    let came = 0; // tests that were over in an attempt
    let by; // the attempt, where the parent says what was lost with its worker
    const running = new Set(); // several, where tests are concurrent
    const failed = new Set(); // in this attempt, in the end
    const died = () => {
      // Also of one that had ended: the parent may not have heard all of it.
      if (losses.has(by)) ended = false;
      for (const key of failed) this.failures.set(key, (this.failures.get(key) ?? 0) + 1);
      failed.clear();
      if (!ended) this.#died(by ? losses.get(by) : [false, running, this.done], came);
    };
    for (const [what, key, status] of noted) {
      if (what === 'attempt') {
        died();
        running.clear();
        came = 0;
        this.attempts += 1;
        by = key;
        ended = false;
      } else if (what === 'start') {
        running.add(key);
      } else if (what === 'end') {
        ended = true;
      } else if (what === 'count') {
        this.count = key;
      } else if (what === 'repeated') {
        running.delete(key);
      } else {
        came += 1;
        running.delete(key);
        this.done.set(key, status);
        if (status === 'failed') failed.add(key);
        else failed.delete(key);
      }
    }
    died();
    this.complete = this.attempts > 0 && ended; // what is left are failures
  }

  /** The attempt before ended with its worker: whether that was killed, and its tests. */
  #died(loss, came) {
    this.missing = loss === undefined;
    const [killed, running, known] = loss ?? [false, [], this.done];
    this.done = new Map(known);
    this.killed = killed;
    this.stuck = [...running].length === 0;
    this.vain = this.stuck && came === 0 ? this.vain + 1 : 0;
    for (const key of running) {
      this.lost.add(key);
      this.failures.set(key, (this.failures.get(key) ?? 0) + 1);
    }
  }
}

/** Notes an attempt's progress. */
class Journal {
  #fd;
  #names = new Names();
  #running = new Map(); // keys, by name

  /** @param {string} [by] of `attemptOf`, where the parent calls `noteLoss` */
  constructor(file, by) {
    this.#fd = openSync(file, 'a', 0o600);
    this.#write('attempt', by);
  }

  #write(...line) {
    writeSync(this.#fd, `${stringify(line)}\n`);
  }

  /** Tests by their names, in the order in which they run. */
  start(name) {
    const key = this.#names.key(name);
    this.#running.set(name, [...(this.#running.get(name) ?? []), key]);
    this.begin(key);
  }

  done(name, status) {
    this.over(this.#running.get(name)?.shift() ?? this.#names.key(name), status);
  }

  /** The file has so many tests. */
  counts(tests) {
    this.#write('count', tests);
  }

  /** Tests by their keys. */
  begin(key) {
    this.#write('start', key);
  }

  over(key, status) {
    this.#write('done', key, status);
  }

  /** A test whose result is known ran once more. */
  repeated(key) {
    this.#write('repeated', key);
  }

  /** The attempt ended by itself. */
  end() {
    this.#write('end');
    closeSync(this.#fd);
  }
}

module.exports = { Journal, Names, Progress, attemptOf, begunLast, lossesOf, nameOf, noteLoss };
