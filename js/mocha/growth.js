'use strict';
// How many workers run: each loads all spec files, which for small suites takes longer
// than the tests do. So one begins, and another follows whenever the tests have run for
// as long as the workers so far have taken to load: loading never costs more than that.

const SOON_MS = 10;

class Growth {
  #wanted;
  #running = 0; // workers that run tests
  #spent = 0; // seconds that these have run
  #since = 0;
  #timer;

  /**
   * @param {number} first how many there are at once
   * @param {(count: number) => void} grow is given how many are to run now
   */
  constructor(first, most, grow) {
    this.#wanted = first;
    this.most = most;
    this.grow = grow;
  }

  /** A worker has loaded all files, which took `cost` seconds, and runs tests from now on. */
  ready(cost) {
    this.#account();
    this.cost ??= cost;
    this.#running += 1;
    this.#look();
  }

  gone() {
    this.#account();
    this.#running -= 1;
  }

  #account() {
    const now = Date.now() / 1000;
    this.#spent += this.#running * (now - this.#since);
    this.#since = now;
  }

  #look() {
    clearTimeout(this.#timer);
    if (this.#wanted >= this.most || this.#running === 0) return;
    this.#account();
    const missing = this.#wanted * this.cost - this.#spent;
    if (missing <= 0) {
      this.#wanted += 1;
      this.grow(this.#wanted);
    }
    const wait = missing <= 0 ? SOON_MS : Math.max((missing * 1000) / this.#running, SOON_MS);
    this.#timer = setTimeout(() => this.#look(), wait).unref();
  }

  end() {
    clearTimeout(this.#timer);
  }
}

module.exports = { Growth };
