'use strict';
// How far a file is, written by its worker: a worker that takes the file over, once
// the first was killed, goes on behind the test that hung or crashed.

const fs = require('node:fs');

/** Names are not unique: a test is its name and how many of that name came before. */
class Names {
  #seen = new Map();

  key(name) {
    const count = this.#seen.get(name) ?? 0;
    this.#seen.set(name, count + 1);
    return `${count}:${name}`;
  }

  /** The keys that tests would have, were they to begin now. */
  peek(names) {
    const ahead = new Names();
    ahead.#seen = new Map(this.#seen);
    return names.map((name) => ahead.key(name));
  }
}

const nameOf = (key) => key.slice(key.indexOf(':') + 1);

/** What is known of a file's tests from the attempts so far. */
class Progress {
  constructor(file) {
    this.file = file;
    this.attempts = 0;
    this.done = new Map(); // status, by key
    this.lost = new Set(); // keys of tests that ended their worker
    this.failures = new Map(); // how often a test has failed, by key
    this.stuck = false; // a worker died before any test was over, and none was running
    let ended = true;
    let came = 0; // tests that were over in an attempt
    const running = new Set(); // several, where tests are concurrent
    let hooked = []; // what fails with the hook that runs
    const died = () => this.#died(ended, new Set([...running, ...hooked]), came);
    for (const [what, key, status] of this.#lines()) {
      if (what === 'attempt') {
        died();
        running.clear();
        hooked = [];
        came = 0;
        this.attempts += 1;
        ended = false;
      } else if (what === 'start') {
        running.add(key);
      } else if (what === 'hook') {
        hooked = key;
      } else if (what === 'end') {
        ended = true;
      } else if (what === 'repeated') {
        running.delete(key);
      } else {
        came += 1;
        running.delete(key);
        this.done.set(key, status);
        if (status === 'failed') this.failures.set(key, (this.failures.get(key) ?? 0) + 1);
      }
    }
    died();
    this.complete = this.attempts > 0 && ended; // what is left are failures
  }

  /** The attempt before ended with its worker, unless it said that it had ended. */
  #died(ended, running, came) {
    if (ended) return;
    this.stuck = running.size === 0 && came === 0;
    for (const key of running) {
      this.lost.add(key);
      if (this.done.get(key) === 'passed') continue; // when it ran the first time
      this.failures.set(key, (this.failures.get(key) ?? 0) + 1);
    }
  }

  #lines() {
    let text;
    try {
      text = fs.readFileSync(this.file, 'utf8');
    } catch {
      return [];
    }
    const lines = text.split('\n');
    lines.pop(); // what follows the last line's end was cut short
    return lines.map((line) => JSON.parse(line));
  }
}

/** Notes an attempt's progress. */
class Journal {
  #fd;
  #names = new Names();
  #running = new Map(); // keys, by name

  constructor(file) {
    this.#fd = fs.openSync(file, 'a', 0o600);
    this.#write('attempt');
  }

  #write(...line) {
    fs.writeSync(this.#fd, `${JSON.stringify(line)}\n`);
  }

  start(name) {
    const key = this.#names.key(name);
    this.#running.set(name, [...(this.#running.get(name) ?? []), key]);
    this.#write('start', key);
    return key;
  }

  /** The key of the test of a name that is over next. */
  next(name) {
    return this.#running.get(name)?.[0] ?? this.#names.peek([name])[0];
  }

  done(name, status) {
    const key = this.#running.get(name)?.shift() ?? this.#names.key(name);
    this.#write('done', key, status);
  }

  /** A test whose result is known ran once more. */
  repeated(name) {
    this.#write('repeated', this.#running.get(name)?.shift() ?? this.#names.key(name));
  }

  /** A hook begins, with which tests fail; none: it is over. */
  hook(names) {
    this.#write('hook', this.#names.peek(names));
  }

  /** The attempt ended by itself. */
  end() {
    this.#write('end');
    fs.closeSync(this.#fd);
  }
}

module.exports = { Journal, Names, Progress, nameOf };
