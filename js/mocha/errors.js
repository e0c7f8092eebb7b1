'use strict';
// Errors between processes: as a reporter sees them, with the same own properties in the
// same order, bounded, and without anything in them that can throw.

const path = require('node:path');
const util = require('node:util');

const { plain } = require('../plain');

const MOST_CAUSES = 10;
const MOST_PROPERTIES = 100;

const attempt = (get, otherwise) => {
  try {
    return get();
  } catch (error) {
    return otherwise === undefined ? `[Throws: ${plain(String(error?.message))}]` : otherwise;
  }
};

const isErrorLike = (value) =>
  value instanceof Error || Object.prototype.toString.call(value) === '[object Error]';

const OURS = `${__dirname}${path.sep}`;

/** A stack as mocha alone would have it. */
function withoutUs(stack) {
  if (typeof stack !== 'string' || !stack.includes(OURS)) return stack;
  return stack
    .split('\n')
    .filter((line) => !(/^\s+at /.test(line) && line.includes(OURS)))
    .join('\n');
}

/** What JSON keeps of an error. */
function pack(error, Base, depth = 0) {
  if (error === null || typeof error !== 'object') return { value: plain(error) };
  const packed = {
    error: attempt(() => isErrorLike(error), false),
    text: attempt(() => plain(String(error))),
    name: attempt(() => plain(String(error.name))),
    noDiff: !attempt(() => Base.showDiff(error), false),
    properties: [],
  };
  if (attempt(() => typeof error.inspect === 'function', false)) {
    packed.inspect = attempt(() => plain(`${error.inspect()}`));
  }
  const names = attempt(() => Object.getOwnPropertyNames(error), []);
  for (const name of names.slice(0, MOST_PROPERTIES)) {
    const found = attempt(() => error[name]);
    const value = name === 'stack' ? withoutUs(found) : found;
    const nested = isErrorLike(value) && depth < MOST_CAUSES;
    packed.properties.push({
      name,
      enumerable: attempt(() => Object.prototype.propertyIsEnumerable.call(error, name), true),
      ...(nested ? { error: pack(value, Base, depth + 1) } : { value }),
    });
  }
  return packed;
}

/** The error of what was packed. */
function unpack(packed) {
  if (!packed.properties) return packed.value;
  const found = packed.error ? new Error() : {};
  for (const name of Object.getOwnPropertyNames(found)) delete found[name];
  for (const { name, enumerable, value, error } of packed.properties) {
    Object.defineProperty(found, name, {
      value: error ? unpack(error) : value,
      enumerable,
      configurable: true,
      writable: true,
    });
  }
  // Beside the own properties, which reporters list: what the error's class gave.
  const inherited = Object.create(packed.error ? Error.prototype : Object.prototype);
  const give = (name, value) =>
    Object.defineProperty(inherited, name, { value, configurable: true, writable: true });
  give('toString', () => packed.text);
  if (packed.error) give('name', packed.name);
  if (packed.noDiff) give('showDiff', false);
  if (packed.inspect !== undefined) give('inspect', () => packed.inspect);
  if (packed.shown !== undefined) give(util.inspect.custom, () => packed.shown);
  return Object.setPrototypeOf(found, inherited);
}

/** An error of ours: its stack, if any, is that of what it tells of. */
function plainError(message, stack) {
  const error = new Error(message);
  error.stack = stack ? `Error: ${message}\n${stack}` : `Error: ${message}`;
  return error;
}

/** What is told of a file, or of another module, that one worker alone cannot load. */
function unloadable(error, { shown }) {
  const text = String(error?.stack ?? shown);
  const at = text.search(/^ +at /m);
  const message = (at < 0 ? text : text.slice(0, at)).trimEnd();
  const lost = `Not loaded: a worker could not do what another one could: ${message}`;
  return { lost, stack: at < 0 ? undefined : text.slice(at) };
}

module.exports = { pack, plainError, unloadable, unpack };
