'use strict';
// Results of tests between processes, as JSON: whatever a test put into an assertion is
// shown, and nothing in it can end a run.

const MOST_TEXT = 1_000_000; // characters of one text
const MOST_DEPTH = 100;

/** A copy that JSON can hold: circles, BigInts and getters that throw become texts. */
function plain(value) {
  const above = [];

  function copy(thing) {
    if (typeof thing === 'bigint') return `${thing}n`;
    if (typeof thing === 'symbol') return thing.toString();
    if (typeof thing === 'function') return undefined;
    if (typeof thing === 'string') {
      if (thing.length <= MOST_TEXT) return thing;
      return `${thing.slice(0, MOST_TEXT)}… (${thing.length - MOST_TEXT} more characters)`;
    }
    if (thing === null || typeof thing !== 'object') return thing;
    if (above.includes(thing)) return '[Circular]';
    if (above.length >= MOST_DEPTH) return '[Deep]';
    above.push(thing);
    try {
      if (typeof thing.toJSON === 'function') return copy(thing.toJSON());
      if (Array.isArray(thing)) return thing.map(copy);
      const found = {};
      for (const key of Object.keys(thing)) {
        try {
          found[key] = copy(thing[key]);
        } catch (error) {
          found[key] = `[Throws: ${error}]`;
        }
      }
      return found;
    } catch (error) {
      return `[Throws: ${error}]`;
    } finally {
      above.pop();
    }
  }

  return copy(value);
}

const encode = (value) => Buffer.from(JSON.stringify(plain(value)) ?? 'null');
const decode = (data) => JSON.parse(data.toString());

module.exports = { decode, encode, plain };
