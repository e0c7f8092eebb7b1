'use strict';
// Results of tests between processes, as JSON: whatever a test put into an assertion is
// shown, and nothing in it can end a run.

const { bufferFrom, stringify } = require('./natives');

const MOST_TEXT = 1_000_000; // characters of one text
const MOST_DEPTH = 100;
const MOST_DETAILS = 100_000; // values below what was compared, which may be huge

/** A copy that JSON can hold: circles, BigInts and getters that throw become texts. */
function plain(value) {
  const above = [];
  let left = Infinity; // values

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
      if (Array.isArray(thing)) return copyArray(thing);
      return copyObject(thing);
    } catch (error) {
      return `[Throws: ${error}]`;
    } finally {
      above.pop();
    }
  }

  const more = (count) => `[${count} more]`;

  function copyArray(things) {
    if (left === Infinity) return things.map(copy);
    const found = [];
    for (let i = 0; i < things.length; i++) {
      if (--left < 0) return [...found, more(things.length - i)];
      found.push(copy(things[i]));
    }
    return found;
  }

  function copyObject(thing) {
    const found = {};
    const keys = Object.keys(thing);
    for (const [i, key] of keys.entries()) {
      if (--left < 0) return { ...found, [more(keys.length - i)]: true };
      const before = left;
      if (key === 'failureDetails') left = Math.min(left, MOST_DETAILS);
      try {
        found[key] = copy(thing[key]);
      } catch (error) {
        found[key] = `[Throws: ${error}]`;
      }
      if (key === 'failureDetails') left = before;
    }
    return found;
  }

  return copy(value);
}

const encode = (value) => bufferFrom(stringify(plain(value)) ?? 'null');
const decode = (data) => JSON.parse(data.toString());

module.exports = { decode, encode, plain };
