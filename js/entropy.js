'use strict';
// What node:crypto draws, from a seed: for the passes of a hunt that ask whether a test
// goes by it. Keys that are made by OpenSSL itself are left as they are.

const crypto = require('node:crypto');
const { syncBuiltinESMExports } = require('node:module');

const { nextTick } = require('./natives');

const HALF = 2 ** 32;
const VERSION_4 = 0x40;
const VARIANT = 0x80;

/** Calls back as node does, or returns. */
function answer(value, callback) {
  if (typeof callback !== 'function') return value;
  nextTick(callback, null, value);
  return undefined;
}

const bytesOf = (view) =>
  ArrayBuffer.isView(view)
    ? new Uint8Array(view.buffer, view.byteOffset, view.byteLength)
    : new Uint8Array(view);

/**
 * Replaces what draws. Each calls node's own first, which refuses what is wrong.
 *
 * @param {() => number} next gives 32 random bits
 */
function install(next) {
  const stock = { ...crypto };
  const fill = (bytes) => {
    for (let i = 0; i < bytes.length; i++) bytes[i] = next() & 0xff;
  };
  const drawn = (size) => {
    const found = stock.randomBytes(size);
    fill(found);
    return found;
  };
  const filled = (buffer, offset, size) => {
    stock.randomFillSync(buffer, offset, size);
    const width = buffer.BYTES_PER_ELEMENT ?? 1;
    const all = bytesOf(buffer);
    const from = (offset ?? 0) * width;
    fill(all.subarray(from, size === undefined ? all.length : from + size * width));
    return buffer;
  };
  const uuid = () => {
    const bytes = drawn(16);
    bytes[6] = (bytes[6] & 0x0f) | VERSION_4;
    bytes[8] = (bytes[8] & 0x3f) | VARIANT;
    return bytes.toString('hex').replace(/^(.{8})(.{4})(.{4})(.{4})(.{12})$/, '$1-$2-$3-$4-$5');
  };

  crypto.randomBytes = (size, callback) => answer(drawn(size), callback);
  crypto.pseudoRandomBytes = crypto.randomBytes;
  crypto.randomFillSync = filled;
  crypto.randomFill = (buffer, ...rest) => {
    const callback = rest.pop();
    if (typeof callback !== 'function') return stock.randomFill(buffer, ...rest, callback);
    return answer(filled(buffer, ...rest), callback);
  };
  crypto.randomInt = (...given) => {
    const callback = typeof given.at(-1) === 'function' ? given.pop() : undefined;
    stock.randomInt(...given);
    const [least, most] = given.length > 1 ? given : [0, given[0]];
    const share = ((next() & 0xffff) * HALF + next()) / 2 ** 48;
    return answer(least + Math.floor(share * (most - least)), callback);
  };
  crypto.randomUUID = (options) => {
    stock.randomUUID(options);
    return uuid();
  };
  const web = Object.getPrototypeOf(crypto.webcrypto);
  const { getRandomValues, randomUUID } = web;
  web.getRandomValues = function seededRandomValues(view) {
    getRandomValues.call(this, view);
    fill(bytesOf(view));
    return view;
  };
  web.randomUUID = function seededUUID() {
    randomUUID.call(this);
    return uuid();
  };
  syncBuiltinESMExports(); // for those who import by name
}

module.exports = { install };
