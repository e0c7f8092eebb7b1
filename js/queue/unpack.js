'use strict';
// Attempts from bytes that anybody may have written: every field is checked, and those that
// are not known are passed over, as pytest-qe does (python/pytest_qe/payloads.py).

const { Outcome } = require('../units');
const payload = require('./payload');

const { LONGEST_MESSAGE, LONGEST_NAME, MOST_BYTES, MOST_TEXTS, TESTS, VERSION } = payload;
const MOST_MARKS = 1000;
const MOST_SECONDS = 1e12;
const MOST = 2 ** 31 - 1;
const KINDS = ['failure', 'output'];

/** Bytes that are no payload; the message is one line. */
class PayloadError extends Error {}

const wrong = (message) => {
  throw new PayloadError(message);
};

function loaded(data) {
  if (data.length > MOST_BYTES) wrong(`it has more than ${MOST_BYTES} bytes`);
  let value;
  try {
    value = JSON.parse(new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(data));
  } catch {
    wrong('it is no JSON in UTF-8');
  }
  return isObject(value) ? value : wrong('it is no object of JSON');
}

const isObject = (value) => value !== null && typeof value === 'object' && !Array.isArray(value);

/** A field of a type of JSON's; `otherwise` where there is none. */
function of(value, name, type, otherwise) {
  if (!Object.hasOwn(value, name)) {
    return otherwise === undefined ? wrong(`${name}: missing`) : otherwise;
  }
  const found = value[name];
  return typeof found === type ? found : wrong(`${name}: not of the right type`);
}

function number(value, name, most, otherwise) {
  const found = of(value, name, 'number', otherwise);
  return found >= 0 && found <= most ? found : wrong(`${name}: out of range`);
}

const seconds = (value, name, otherwise) => number(value, name, MOST_SECONDS, otherwise);

function count(value, name, most, otherwise) {
  const found = of(value, name, 'number', otherwise);
  if (!Number.isInteger(found)) wrong(`${name}: not of the right type`);
  return found >= 0 && found <= most ? found : wrong(`${name}: out of range`);
}

/** Of characters as Python counts them. */
const isLong = (text, most) => text.length > most && [...text].length > most;

function text(value, name, most, otherwise) {
  const found = of(value, name, 'string', otherwise);
  return isLong(found, most) ? wrong(`${name}: too long`) : found;
}

function testsOf(value) {
  if (!Object.hasOwn(value, 'tests')) return null;
  const { tests } = value;
  if (!isObject(tests)) wrong('tests: not of the right type');
  return Object.fromEntries(TESTS.map((name) => [name, count(tests, name, MOST)]));
}

function list(value, name, most) {
  const found = Object.hasOwn(value, name) ? value[name] : [];
  if (!Array.isArray(found)) wrong(`${name}: not of the right type`);
  return found.length > most ? wrong(`${name}: too many`) : found;
}

function textOf(one) {
  if (!isObject(one)) wrong('texts: not objects');
  const kind = of(one, 'kind', 'string');
  if (!KINDS.includes(kind)) wrong('kind: there is no such kind of text');
  return { kind, name: text(one, 'name', LONGEST_NAME), text: of(one, 'text', 'string') };
}

const mark = (one) =>
  typeof one === 'string' && !isLong(one, LONGEST_NAME) ? one : wrong('marks: not names');

/**
 * What an attempt was, by its payload.
 *
 * @param {Buffer} data
 * @returns {object} outcome: the core's number; start, duration, cpu, expected: seconds;
 *   peak: bytes; status, pass, worker; message: or null; texts: [{kind, name, text}]; marks;
 *   quarantined; tests: in a file, by what became of them, or null
 * @throws PayloadError
 */
function unpack(data) {
  const value = loaded(data);
  if (value.v !== VERSION) wrong('it is of another version of qe');
  const outcome = of(value, 'outcome', 'string');
  if (!Object.hasOwn(Outcome, outcome)) wrong('outcome: there is no such outcome');
  text(value, 'node', 63, '');
  return {
    outcome: Outcome[outcome],
    start: seconds(value, 'start'),
    duration: seconds(value, 'duration'),
    cpu: seconds(value, 'cpu', 0),
    peak: count(value, 'peak_memory', Number.MAX_SAFE_INTEGER, 0),
    status: count(value, 'status', 0xffff, 0),
    pass: count(value, 'pass', MOST, 0),
    worker: count(value, 'worker', MOST),
    message: (value.message ?? null) === null ? null : text(value, 'message', LONGEST_MESSAGE),
    texts: list(value, 'texts', MOST_TEXTS).map(textOf),
    marks: list(value, 'marks', MOST_MARKS).map(mark),
    quarantined: of(value, 'quarantined', 'boolean', false),
    expected: seconds(value, 'expected', 0),
    tests: testsOf(value),
  };
}

module.exports = { PayloadError, unpack };
