'use strict';
// Math.random in hunts: a generator with a seed, so that a pass can be repeated.

const { createHash } = require('node:crypto');

const { attemptSeed } = require('./addon');

const { imul } = Math; // tests may replace it
const BITS_53 = 2 ** 53;

/** A generator of 32 random bits: xoshiro128**, by Blackman and Vigna (2018). */
function generator(text) {
  const seed = createHash('sha256').update(text).digest();
  let [a, b, c, d] = [0, 4, 8, 12].map((at) => seed.readUInt32LE(at));
  const rotated = (x, by) => (x << by) | (x >>> (32 - by));
  return () => {
    const found = imul(rotated(imul(b, 5), 7), 9);
    const kept = b << 9;
    c ^= a;
    d ^= b;
    b ^= c;
    a ^= d;
    c ^= kept;
    d = rotated(d, 11);
    return found >>> 0;
  };
}

class SeededRandom {
  #next;
  #times = new Map(); // how often each name has begun

  /**
   * @param {number} seed of the pass
   * @param {string} [scope] where names are unique
   */
  constructor(seed, scope = '') {
    this.seed = seed < 0 ? seed >>> 0 : seed;
    this.scope = scope;
    this.begin('');
  }

  /**
   * From now on numbers are those of a test, or of what its name stands for; each further
   * time others, as a name that it makes for a file is to be new.
   */
  begin(name) {
    const times = this.#times.get(name) ?? 0;
    this.#times.set(name, times + 1);
    const key = createHash('sha256').update(`${this.scope} ${name}`).digest().readUInt32LE();
    this.#next = generator(String(attemptSeed(this.seed, key, times)));
  }

  /** 32 random bits. */
  next() {
    return this.#next();
  }

  /** Replaces `random` of a realm's Math. */
  install(math) {
    const next = () => this.#next();
    const random = {
      // As it is natively: no constructor, and named so.
      random() {
        return ((next() >>> 5) * 2 ** 26 + (next() >>> 6)) / BITS_53;
      },
    }.random;
    Object.defineProperty(math, 'random', {
      value: random,
      writable: true,
      enumerable: false,
      configurable: true,
    });
  }
}

module.exports = { SeededRandom };
