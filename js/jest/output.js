'use strict';
// What tests print, in a worker: it comes out as ever, and is sent for a report.

const { bufferFrom, concat, parse, stringify } = require('../natives');
const messages = require('./messages');

const LINE = 0x0a;

/** Bytes that were printed, with the test that they are of and where they went. */
function packed(test, stream, chunk, encoding) {
  const head = bufferFrom(`${stringify([test, stream])}\n`);
  const text = typeof chunk === 'string';
  const coded = typeof encoding === 'string' ? encoding : 'utf8';
  return concat([head, text ? bufferFrom(chunk, coded) : chunk]);
}

/** The test (null: none is known), the stream and the bytes of such a message. */
function outputOf(data) {
  const at = data.indexOf(LINE);
  return [...parse(data.subarray(0, at).toString()), data.subarray(at + 1)];
}

/** Takes what one worker prints. */
class Printing {
  /**
   * @param {object} core of the worker
   * @param {() => string | null} current the key of the test that runs
   */
  constructor(core, current) {
    this.core = core;
    this.current = current;
  }

  #send(stream, chunk, encoding) {
    try {
      this.core.send(messages.OUTPUT, packed(this.current(), stream, chunk, encoding));
    } catch {
      // nothing that can be written: what is printed says so
    }
  }

  /** What goes to this process's own streams. */
  streams() {
    for (const name of ['stdout', 'stderr']) {
      const stream = process[name];
      const write = stream.write;
      stream.write = (chunk, encoding, ...rest) => {
        this.#send(name, chunk, encoding);
        return write.call(stream, chunk, encoding, ...rest);
      };
    }
  }

  /** What jest keeps of a file's console until the file is over; that of one which jest
   * writes at once goes to the streams. */
  console(own) {
    const kept = own?._buffer;
    if (!Array.isArray(kept)) return;
    const value = (...entries) => {
      for (const { message, origin, type } of entries)
        this.#send('console', told(message, origin, type));
      return Array.prototype.push.apply(kept, entries);
    };
    Object.defineProperty(kept, 'push', { value, configurable: true, writable: true });
  }
}

/** An entry of a console, as jest shows it, but for where in node that is. */
function told(message, origin, type) {
  const [place = ''] = String(origin ?? '')
    .split('\n')
    .map((line) => line.trim())
    .filter(Boolean);
  return `console.${type}${place && ` ${place}`}\n${message}\n`;
}

module.exports = { Printing, outputOf };
