'use strict';
// What test files leave open: it would keep mocha, which waits for it, from ending.

const { activeResources, setTimeout } = require('./natives');

const POLL_MS = 10;
const DRAIN_MS = 500; // what ends by itself within it was not left open

// Handles of the process itself, and work that ends.
const QUIET = new Set(['TTYWrap', 'PipeWrap', 'FSReqPromise', 'FSReqCallback', 'Immediate']);

/** How many handles of each kind are open. */
function open() {
  const counts = new Map();
  for (const kind of activeResources()) {
    if (!QUIET.has(kind)) counts.set(kind, (counts.get(kind) ?? 0) + 1);
  }
  return counts;
}

class Handles {
  #before = new Map();
  #files = new Map(); // the kinds of handles that each left, by file

  begin() {
    this.#before = open();
  }

  /** A file is over: what is open now and was not before it is its own. */
  note(file) {
    const now = open();
    const more = [...now.keys()].filter((kind) => now.get(kind) > (this.#before.get(kind) ?? 0));
    if (more.length > 0) this.#files.set(file, more);
    this.#before = now;
  }

  /** [file, kinds] of what stays open; waits up to `patience` milliseconds for it. */
  async left(patience) {
    const kinds = [...this.#files.values()].flat();
    let now = open();
    for (let waited = 0; waited < Math.min(DRAIN_MS, patience); waited += POLL_MS) {
      if (!kinds.some((kind) => now.has(kind))) return [];
      await new Promise((resolve) => setTimeout(resolve, POLL_MS));
      now = open();
    }
    return [...this.#files]
      .map(([file, found]) => [file, found.filter((kind) => now.has(kind))])
      .filter(([, found]) => found.length > 0);
  }
}

module.exports = { Handles };
