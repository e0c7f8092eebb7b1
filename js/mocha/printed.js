'use strict';
// Whose it is what a worker prints, by mocha's events: a test's own, from its beginning
// through the hooks behind it, or the file's.

const { Captured } = require('../captured');

/** Whether a hook runs before or after each test, not all of them. */
const isOfEach = (hook) =>
  hook.parent._beforeEach.includes(hook) || hook.parent._afterEach.includes(hook);

/** What one run of a file prints. */
class Printed extends Captured {
  now = null; // the test that has begun last, unless its suite has gone on

  /** One of mocha's events of a suite, test or hook. */
  event(name, thing) {
    if (name === 'test') this.#turn(thing);
    else if (name.startsWith('suite')) this.#turn(null);
    else if (name === 'hook' && !isOfEach(thing)) this.#turn(null);
  }

  #turn(thing) {
    if (this.now !== null) this.over(this.now);
    this.now = thing;
  }

  /** @param {{printed: Buffer, error: boolean}} item that a worker has sent */
  print({ printed, error }) {
    this.add(this.now, error ? 'stderr' : 'stdout', printed);
  }
}

/** What all files print, in the one run of each or in several. */
class AllPrinted {
  #found = new Map(); // by run and file

  /** @param {() => Printed | null} make */
  constructor(make) {
    this.make = make;
  }

  /** That of a file in a run; null: nobody asks, or it is of no file. */
  of(run, file) {
    if (file === undefined) return null;
    if (!this.#found.has(run)) this.#found.set(run, new Map());
    const files = this.#found.get(run);
    if (!files.has(file)) files.set(file, this.make());
    return files.get(file);
  }

  /** A run is over. */
  over(run) {
    for (const printed of this.#found.get(run)?.values() ?? []) printed?.close();
    this.#found.delete(run);
  }

  /** All are. */
  end() {
    for (const run of [...this.#found.keys()]) this.over(run);
  }
}

module.exports = { AllPrinted, Printed };
