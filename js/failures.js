'use strict';
// Which failures are the same: by the error's type and the frames that it went through,
// never by its message, which may hold addresses, times or random numbers.

const path = require('node:path');

const MOST_FRAMES = 50;
const MOST_TEXT = 300; // characters of a frame
const CODE = /^[A-Z][A-Z0-9_]{2,60}$/;
const KIND = /^(?:Uncaught )?([\w.$]{1,80})(?: \[([A-Z0-9_]+)\])?(?::|$)/;

/** A frame of a stack as V8 writes it: [function, file, line]; null: none, or native. */
function frameOf(line) {
  const found = /^\s+at (?:async )?(?:(.*?) \()?(?:file:\/\/)?([^()]+?):(\d+):\d+\)?$/.exec(line);
  return found && [found[1] ?? '', found[2], found[3]];
}

/** The frames of a stack: of those outside of the project the innermost counts alone. */
function framesOf(stack, root) {
  const frames = []; // the innermost last
  let outside = '';
  for (const line of stack.split('\n').reverse()) {
    const frame = frameOf(line);
    if (!frame) continue;
    const [name, file, at] = frame;
    const relative = path.relative(root, path.resolve(root, file)); // mocha shortens them
    const isOurs = !/^(node:|<|\w+:\/\/)/.test(file) && !relative.startsWith('..');
    if (isOurs && !relative.includes('node_modules')) {
      frames.push(`${relative}:${at}${name && ` in ${name}`}`.slice(0, MOST_TEXT));
      outside = '';
    } else {
      outside = `${path.basename(file)}${name && ` in ${name}`}`.slice(0, MOST_TEXT);
    }
  }
  return [...frames.slice(-MOST_FRAMES), ...(outside ? [outside] : [])];
}

/** The lines of a stack behind the message, in which anything may stand. */
function withoutMessage(stack, message) {
  const at = message ? stack.indexOf(message) : -1;
  if (at >= 0) return stack.slice(at + message.length);
  const first = stack.search(/^\s+at /m);
  return first < 0 ? '' : stack.slice(first);
}

/**
 * How a test failed: the error's type, then frames, the innermost last.
 *
 * @param {unknown} error an error as reporters see it, or the text of its stack
 * @param {string} root the project's folder
 */
function wayOf(error, root) {
  if (typeof error === 'string') {
    const [, name = 'unknown', code] = KIND.exec(error) ?? [];
    return [code ? `${name} [${code}]` : name, ...framesOf(withoutMessage(error), root)];
  }
  if (error === null || typeof error !== 'object') return [typeof error];
  const name = typeof error.name === 'string' ? error.name.slice(0, MOST_TEXT) : 'Error';
  const stack = typeof error.stack === 'string' ? error.stack : '';
  const { code } = error;
  const kind = typeof code === 'string' && CODE.test(code) ? `${name} [${code}]` : name;
  return [kind, ...framesOf(withoutMessage(stack, String(error.message ?? '')), root)];
}

/** How a test ended its worker; `text`: what is said of that end. */
function wayOfLoss(outcome, text) {
  const { TIMEOUT } = require('./addon'); // tokens are read where there is none, too
  return outcome === TIMEOUT ? ['timeout'] : ['crash', text.split('\n', 1)[0]];
}

/** The innermost frame of the project, if there is one. */
const placeIn = (way) => way.slice(1).findLast((frame) => /:\d+( in |$)/.test(frame)) ?? way.at(-1);

/** Where it failed, for people. */
const placeOf = (way) => (way.length > 1 ? `${way[0]} at ${placeIn(way)}` : way[0]);

/** Ways of failures, to be compared. */
class Ways {
  #all = new Map();

  add(way) {
    this.#all.set(JSON.stringify(way), way);
  }

  has(way) {
    return this.#all.has(JSON.stringify(way));
  }

  /** Where the test failed: that of all which sorts first, so that it is always the same. */
  get place() {
    const [first] = [...this.#all.keys()].sort();
    return first === undefined ? 'unknown' : placeOf(this.#all.get(first));
  }
}

module.exports = { Ways, placeOf, wayOf, wayOfLoss };
