'use strict';
// Notes an attempt's progress for the one that takes over. A test may have put its own
// functions in the place of those of node's that this needs: it has them from before.

const { Names } = require('../jest/progress');
const { closeSync, openSync, stringify, writeSync } = require('../natives');

class Journal {
  #fd;
  #names = new Names();
  #running = new Map(); // key, by name: in mocha one runs at a time

  constructor(file) {
    this.#fd = openSync(file, 'a', 0o600);
    this.#write('attempt');
  }

  #write(...line) {
    writeSync(this.#fd, `${stringify(line)}\n`);
  }

  start(name) {
    const key = this.#names.key(name);
    this.#running.set(name, key);
    this.#write('start', key);
  }

  done(name, status) {
    const key = this.#running.get(name) ?? this.#names.key(name);
    this.#running.delete(name);
    this.#write('done', key, status);
  }

  /** The attempt ended by itself. */
  end() {
    this.#write('end');
    closeSync(this.#fd);
  }
}

module.exports = { Journal };
