'use strict';
// Texts of a record: what attempts left for people to read, cut where it is too much.

/** How many characters of a text are kept, of all of a run, and of one beyond that. */
const LONGEST = 1 << 18;
const ALL = 1 << 26;
const SHORT = 1 << 10;

function cut(text, limit) {
  const left = text.length - limit;
  if (left <= 0) return text;
  const note = `\n[qe: ${left} of ${text.length} characters left out]\n`;
  return `${text.slice(0, limit / 2)}${note}${text.slice(-limit / 2)}`;
}

/** Adds texts to a record, with one measure for all of them. */
class Texts {
  #record;
  #left = ALL;

  /** @param {object} record has the attempts that texts are added to */
  constructor(record) {
    this.#record = record;
  }

  /** Whether texts are to be short from here on. */
  get isFull() {
    return this.#left <= 0;
  }

  /**
   * One text of an attempt.
   *
   * @param {{item: number, pass: number, attempt: number}} place
   * @param {number} kind qe.TEXT_FAILURE or qe.TEXT_OUTPUT
   * @param {string} name where it comes from
   * @param {string | Buffer} text bytes are those of an excerpt
   */
  add(place, kind, name, text) {
    const limit = this.isFull ? SHORT : LONGEST;
    const told = typeof text === 'string' ? cut(text, limit) : text;
    this.#left -= told.length;
    this.#record.addText({ ...place, kind, name, text: told });
  }
}

module.exports = { Texts };
