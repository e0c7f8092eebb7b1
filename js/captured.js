'use strict';
// What tests print, as far as a report is to hold it: of each test by itself where that is
// known, else of the file, and of much of it the beginning and the end.

const LONGEST = 1 << 18; // bytes of what a test prints to one stream
const LONGEST_OF_FILE = 1 << 15; // ... and of what a file prints outside of its tests
const SHORT = 1 << 10; // ... and of either, where a report is full
const GROWS = 1 << 10;

const CONTINUES = 0x80; // of a byte that continues a UTF-8 sequence: its two highest bits
const isInside = (byte) => (byte & 0xc0) === CONTINUES;

/** The length of the longest part of some bytes that ends between two characters. */
function wholeEnd(bytes) {
  let end = bytes.length;
  for (let back = 1; back <= 3 && back <= bytes.length; back++) {
    const byte = bytes[bytes.length - back];
    if (isInside(byte)) continue;
    const takes = byte >= 0xf0 ? 4 : byte >= 0xe0 ? 3 : byte >= 0xc0 ? 2 : 1;
    if (takes > back) end = bytes.length - back;
    break;
  }
  return end;
}

/** Where the first character of some bytes begins; what is no UTF-8 stays. */
function wholeStart(bytes) {
  for (let at = 0; at <= 3 && at < bytes.length; at++) if (!isInside(bytes[at])) return at;
  return 0;
}

/** The beginning and the end of bytes that come piece by piece. */
class Excerpt {
  #head = Buffer.alloc(0);
  #held = 0; // bytes of the head
  #ring = null; // the last of those behind the head
  #behind = 0; // how many these are

  constructor(limit) {
    this.half = limit / 2;
  }

  add(bytes) {
    const first = bytes.subarray(0, this.half - this.#held);
    this.#hold(first);
    this.#turn(bytes.subarray(first.length));
  }

  #hold(bytes) {
    const needed = this.#held + bytes.length;
    if (needed > this.#head.length) {
      const grown = Buffer.alloc(Math.min(this.half, Math.max(GROWS, 2 * needed)));
      this.#head.copy(grown, 0, 0, this.#held);
      this.#head = grown;
    }
    bytes.copy(this.#head, this.#held);
    this.#held = needed;
  }

  #turn(bytes) {
    if (bytes.length === 0) return;
    this.#ring ??= Buffer.alloc(this.half);
    const last = bytes.subarray(-this.half);
    const at = (this.#behind + bytes.length - last.length) % this.half;
    const copied = last.copy(this.#ring, at);
    last.copy(this.#ring, 0, copied);
    this.#behind += bytes.length;
  }

  /** All of it; or both ends, between characters, and a word on what is left out. */
  bytes() {
    const head = this.#head.subarray(0, this.#held);
    if (!this.#ring) return head;
    if (this.#behind <= this.half)
      return Buffer.concat([head, this.#ring.subarray(0, this.#behind)]);
    const at = this.#behind % this.half;
    const tail = Buffer.concat([this.#ring.subarray(at), this.#ring.subarray(0, at)]);
    const begin = head.subarray(0, wholeEnd(head));
    const end = tail.subarray(wholeStart(tail));
    const total = this.#held + this.#behind;
    const left = total - begin.length - end.length;
    const note = `\n[qe: ${left} of ${total} bytes left out]\n`;
    return Buffer.concat([begin, Buffer.from(note), end]);
  }
}

/** What one test prints, or a file: an excerpt for each stream. */
class Output {
  #streams = new Map();

  constructor(limit) {
    this.limit = limit;
  }

  add(stream, bytes) {
    let excerpt = this.#streams.get(stream);
    if (!excerpt) this.#streams.set(stream, (excerpt = new Excerpt(this.limit)));
    excerpt.add(bytes);
  }

  /** Each stream that anything was printed to, and what. */
  *texts() {
    for (const [stream, excerpt] of this.#streams) yield [stream, excerpt.bytes()];
  }
}

/** What one run of a file prints, or of a pass. */
class Captured {
  #report;
  #own = new Map(); // by test: its Output
  #waiting = new Map(); // by test: attempts that failed while it ran
  #file;
  #failed = []; // places of all attempts that have failed

  /**
   * @param {{isFull: boolean, add: (place: object, name: string, text: Buffer) => void}} report
   *   takes a text of an attempt that has failed
   */
  constructor(report) {
    this.#report = report;
    this.#file = new Output(report.isFull ? SHORT : LONGEST_OF_FILE);
  }

  /** @param test anything that stands for it; null: none is known */
  add(test, stream, bytes) {
    if (test === null) this.#file.add(stream, bytes);
    else this.#outputOf(test).add(stream, bytes);
  }

  #outputOf(test) {
    let output = this.#own.get(test);
    if (!output) this.#own.set(test, (output = new Output(this.#report.isFull ? SHORT : LONGEST)));
    return output;
  }

  /** An attempt has failed, which the report has at this place. */
  failed(test, place) {
    this.#failed.push(place);
    if (test !== null) this.#waiting.set(test, [...(this.#waiting.get(test) ?? []), place]);
  }

  /** A test prints nothing more: of one that has passed nothing is kept. */
  over(test) {
    const texts = this.#waiting.has(test) ? [...(this.#own.get(test)?.texts() ?? [])] : [];
    for (const place of this.#waiting.get(test) ?? [])
      for (const [stream, text] of texts) this.#report.add(place, `Captured ${stream}`, text);
    this.#own.delete(test);
    this.#waiting.delete(test);
  }

  /** Nothing more is printed, nor fails. */
  close() {
    for (const test of [...this.#waiting.keys()]) this.over(test);
    if (this.#failed.length > 0) {
      for (const [stream, text] of this.#file.texts())
        for (const place of this.#failed)
          this.#report.add(place, `Captured ${stream} outside of tests`, text);
    }
    this.#failed = [];
    this.#own.clear();
  }
}

module.exports = { Captured, Excerpt };
