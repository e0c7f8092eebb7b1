'use strict';
// What agents remember: values under keys, with a time to live, for every process of a
// project. pytest_qe.memory.MemoryStore reads and writes the same.

const path = require('node:path');

const qe = require('./addon');
const { makeFolder } = require('./files');
const { historyOfProject, makeQeFolder } = require('./places');

const MOST_SECONDS = 1e9;
const ALL_RUNS = 0xffffffff;

function shown(value) {
  return typeof value === 'string' ? JSON.stringify(value) : String(value);
}

/** A value as JSON; what JSON would leave out or change without a word is refused. */
function dumped(key, value) {
  const cannot = (why) => new TypeError(`value of ${shown(key)}: takes what JSON can say: ${why}`);
  const check = (name, one) => {
    if (typeof one === 'number' && !Number.isFinite(one)) throw cannot(`${one} is no JSON`);
    if (typeof one === 'function' || typeof one === 'symbol') throw cannot(`a ${typeof one}`);
    return one;
  };
  if (value === undefined) throw cannot('undefined');
  try {
    return JSON.stringify(value, check);
  } catch (error) {
    throw error.message.startsWith('value of') ? error : cannot(error.message.split('\n', 1)[0]);
  }
}

function loaded(key, text) {
  try {
    return JSON.parse(text);
  } catch {
    throw new Error(`value of ${shown(key)}: what is stored there is no JSON`);
  }
}

function seconds(ttl) {
  if (ttl === undefined || ttl === null || ttl === Infinity) return 0; // for ever
  if (typeof ttl === 'number' && ttl > 0 && ttl <= MOST_SECONDS) return ttl;
  throw new RangeError(`ttl: takes more than 0 seconds, or null for ever, not ${shown(ttl)}`);
}

class MemoryStore {
  #history = null;
  #given;
  #closed = false;

  /** @param {string} [file] the database; default: the project's history */
  constructor(file) {
    if (file !== undefined && file !== null && typeof file !== 'string') {
      throw new TypeError(`path: takes a string, not ${typeof file}`);
    }
    this.#given = file !== undefined && file !== null;
    this.path = this.#given ? path.resolve(file) : historyOfProject();
  }

  #opened() {
    if (this.#closed) throw new Error('the store is closed');
    if (this.#history === null) {
      const folder = path.dirname(this.path);
      if (this.#given) makeFolder(folder);
      else makeQeFolder(folder);
      this.#history = new qe.History(this.path);
    }
    return this.#history;
  }

  #use(call) {
    try {
      return call(this.#opened());
    } catch (error) {
      // Not where the caller's own argument is wrong.
      if (error.code?.startsWith?.('QE_') && error.code !== 'QE_EINVAL')
        error.message = `${this.path}: ${error.message}`;
      throw error;
    }
  }

  async store(key, value, ttl) {
    const text = dumped(key, value);
    const live = seconds(ttl);
    this.#use((history) => history.put(key, text, live));
  }

  async retrieve(key) {
    const text = this.#use((history) => history.get(key));
    return text === null ? null : loaded(key, text);
  }

  async delete(key) {
    return this.#use((history) => history.delete(key));
  }

  async search(pattern) {
    const found = this.#use((history) =>
      history.keys(pattern).map(([key]) => [key, history.get(key)]),
    );
    // Not by assignment: a key may be "__proto__".
    return Object.fromEntries(
      found.filter(([, text]) => text !== null).map(([key, text]) => [key, loaded(key, text)]),
    );
  }

  async gc() {
    this.#use((history) => history.gc(ALL_RUNS));
  }

  close() {
    this.#closed = true;
    this.#history?.close();
    this.#history = null;
  }
}

module.exports = { MemoryStore };
