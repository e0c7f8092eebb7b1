'use strict';
// When a run will end, by how long its files took the last time.

const { seconds } = require('./screen');

const ENOUGH = 0.8; // with less than most of them known it would be a guess

/** Seconds that each file took, by its name. */
function durationsOf(last) {
  if (!Array.isArray(last?.results)) return new Map(); // nothing, or nothing of ours
  const ended = last.results.filter(
    (one) => one?.outcome !== 'not_run' && Number.isFinite(one?.duration),
  );
  return new Map(ended.map(({ file, duration }) => [file, duration]));
}

class Expected {
  #atOnce;
  #waiting; // seconds, by file
  #running = new Map(); // [since when in ms, seconds], likewise
  #enough;

  /**
   * @param {object | null} last the last execution that the store knows
   * @param {string[]} files those that will run
   * @param {number} atOnce how many of them
   */
  constructor(last, files, atOnce) {
    const all = durationsOf(last);
    const known = new Map(files.filter((file) => all.has(file)).map((f) => [f, all.get(f)]));
    const times = [...known.values()];
    const mean = times.reduce((sum, one) => sum + one, 0) / (times.length || 1);
    this.#atOnce = atOnce;
    this.#waiting = new Map(files.map((file) => [file, known.get(file) ?? mean]));
    this.#enough = known.size >= ENOUGH * files.length;
  }

  /** Keeps up with what happens. */
  take({ kind, file }) {
    if (kind === 'start' && this.#waiting.has(file)) {
      this.#running.set(file, [performance.now(), this.#waiting.get(file)]);
      this.#waiting.delete(file);
    } else if (kind === 'result') {
      this.#running.delete(file);
    }
  }

  /** Seconds that are left; null: nobody knows. */
  left() {
    if (!this.#enough) return null;
    const now = performance.now();
    const running = [...this.#running.values()].map(([since, whole]) =>
      Math.max(0, whole - (now - since) / 1000),
    );
    const rest = [...running, ...this.#waiting.values()];
    return Math.max(0, rest.reduce((sum, one) => sum + one, 0) / this.#atOnce, ...rest);
  }

  /** The same in words, for a bar. */
  words() {
    const left = this.left();
    if (left === null) return '';
    return left >= 1 ? `, about ${seconds(left)} left` : ', nearly done';
  }
}

module.exports = { Expected };
