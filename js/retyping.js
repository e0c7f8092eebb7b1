'use strict';
// Which of the words that were typed a command must repeat to run the same tests. Left out
// is what chooses among tests, orders them, stops early or reports: a token says what runs.
// All else stays, also options that nobody here knows: a test may ask for them.

const NUMBER = /^-\.?\d/; // with a minus, no option
const PLAIN = /^[\w@%+=:,./-]+$/; // what a shell takes as it is
const SHORT = /^-(\w+?)(-?\.?\d[\d.]*|\W.*)?$/s; // letters, and the value of the last
const NEGATED = /^--no-./;

const isOption = (word) => word.startsWith('-') && word !== '-' && !NUMBER.test(word);

/**
 * How a runner reads its words.
 *
 * @typedef {object} Syntax
 * @property {(name: string) => string} nameOf what an option is called, of all that it may be
 * @property {(name: string) => 'boolean' | 'array' | 'value'} kindOf what follows it: nothing,
 *   all words as far as the next option, or one word
 * @property {boolean} grouped whether letters stand together behind one dash
 * @property {Set<string>} without names of what is left out
 */

/** Which options a word has: {names, write}; `write`: the word with some of them. */
function optionsOf(word, { nameOf, grouped }) {
  const short = grouped && !word.startsWith('--') ? SHORT.exec(word) : null;
  if (!short) {
    const [text] = word.replace(/^--?/, '').split('=', 1);
    return { names: [nameOf(text)], write: () => word };
  }
  const letters = [...short[1]];
  const write = (isKept) => {
    const value = isKept.at(-1) ? (short[2] ?? '') : '';
    return `-${letters.filter((_, i) => isKept[i]).join('')}${value}`;
  };
  return { names: letters.map(nameOf), write, hasValue: short[2] !== undefined };
}

/** How many of the words behind an option are its values. */
function countValues(words, kind, hasValue) {
  if (kind === 'boolean') return !hasValue && /^(true|false)$/.test(words[0]) ? 1 : 0;
  const end = words.findIndex(isOption);
  const free = end < 0 ? words.length : end;
  return kind === 'array' ? free : Math.min(free, hasValue ? 0 : 1);
}

/**
 * What of a command line is needed: {options, places}; the places are the files and
 * patterns in it.
 *
 * @param {string[]} typed
 * @param {Syntax} syntax
 */
function needed(typed, syntax) {
  const options = [];
  const places = [];
  let words = [...typed];
  while (words.length > 0) {
    const [word, ...rest] = words;
    words = rest;
    if (word === '--') {
      places.push(...words);
      break;
    }
    if (!isOption(word)) {
      places.push(word);
      continue;
    }
    const { names, write, hasValue = word.includes('=') } = optionsOf(word, syntax);
    const kind = NEGATED.test(word) ? 'boolean' : syntax.kindOf(names.at(-1));
    const values = words.splice(0, countValues(words, kind, hasValue));
    const isKept = names.map((name) => !syntax.without.has(name));
    if (isKept.includes(true)) options.push(write(isKept));
    if (isKept.at(-1)) options.push(...values);
  }
  return { options, places };
}

/** What an option is called: `name`, or without its "no" `positive`, if only that is known. */
function resolve(aliases, isKnown, name, positive) {
  const found = aliases.get(name) ?? name;
  return isKnown(found) || positive === name ? found : (aliases.get(positive) ?? positive);
}

/** Our own that says how a test runs. */
const limitOf = (timeout) => (timeout ? [`--test-timeout-hard=${timeout}`] : []);

/** A word as a shell takes it. */
const quote = (word) => (PLAIN.test(word) ? word : `'${word.replaceAll("'", `'\\''`)}'`);

/** A command to paste: places come first, as no option takes them for its values there. */
function commandOf(program, { options = [], places = [] } = {}, option) {
  const behind = places.filter((place) => isOption(place));
  const before = places.filter((place) => !isOption(place));
  const words = [...before, ...options, option, ...(behind.length > 0 ? ['--', ...behind] : [])];
  return ['npx', program, ...words.map(quote)].join(' ');
}

module.exports = { commandOf, limitOf, needed, resolve };
