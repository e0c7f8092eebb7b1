'use strict';
// `--replay=TOKEN`: one execution that failed, once more: its order, its seed and what was
// changed around it. A token is text from elsewhere: it names tests, files of the project
// and known changes, and nothing of it is executed. Its format is that of pytest's plugin.

const { createHash } = require('node:crypto');
const fs = require('node:fs');
const path = require('node:path');
const { deflateSync, inflateSync } = require('node:zlib');

const { placeOf } = require('./failures');
const { makeFolder } = require('./files');
const { UsageError } = require('./usage');

const PREFIX = 'qe1-';
const LONGEST = 800; // characters that a command line takes well
const MOST_BYTES = 2 ** 24;
const LAST_CLOCK_S = 9e9 - 1;
const FOLDER = '.qe/replays';
const BESIDE = ['', 'then', 'meanwhile', 'exclusive'];
const CHANGES = [
  ...['one_cpu', 'idle', 'busy', 'jitter', 'few_files', 'small_files', 'files', 'clock'],
  ...['partner', 'entropy', 'zone'],
]; // all but what `NEVER` of js/causes.js has
const NAMED = /^(.*)#([1-9]\d{0,8})$/s;

/**
 * @typedef {{items: string[], others: string[], beside: string, seed: number,
 *   around: string[], clock: number, args: string[], failure: string}} Recipe what a token
 *   says: tests by their ids; `args`: the files that were asked for
 */

function tokenOf({ items, others, beside, seed, around, clock, args, failure }) {
  const data = JSON.stringify([items, others, beside, seed, null, around, clock, args, failure]);
  return PREFIX + deflateSync(data, { level: 9 }).toString('base64url');
}

/**
 * The option that repeats a recipe; a long one's token goes into a file of the project,
 * which is named as seen from the folder where the command will be given.
 */
function optionOf(recipe, root, from = root) {
  const token = tokenOf(recipe);
  if (token.length <= LONGEST) return `--replay=${token}`;
  const name = `${createHash('sha256').update(token).digest('hex').slice(0, 8)}.txt`;
  const file = path.join(root, FOLDER, name);
  try {
    makeFolder(path.dirname(file));
    fs.writeFileSync(file, `${token}\n`);
  } catch {
    return `--replay=${token}`;
  }
  return `--replay=@${path.relative(from, file)}`;
}

const refuse = (why) => {
  throw new UsageError(`--replay: takes a token of a hunt, but ${why}`);
};

/** The text of a file that is not too long; a device may have no end. */
function head(file) {
  const found = Buffer.alloc(MOST_BYTES + 1);
  const fd = fs.openSync(file);
  try {
    let size = 0;
    for (let more = 1; more > 0 && size < found.length; size += more) {
      more = fs.readSync(fd, found, size, found.length - size, null);
    }
    if (size > MOST_BYTES) refuse(`${file} holds too much`);
    return found.toString('latin1', 0, size);
  } finally {
    fs.closeSync(fd);
  }
}

function read(text, root) {
  if (!text.startsWith('@')) return text;
  const name = text.slice(1);
  try {
    const file = fs.existsSync(name) ? name : path.join(root, name);
    return head(file).trim();
  } catch (error) {
    if (error instanceof UsageError) throw error;
    return refuse(`${name} cannot be read (${error.code})`);
  }
}

const isTexts = (value) => Array.isArray(value) && value.every((one) => typeof one === 'string');

/** A path, or a pattern of such, that stays in the project. */
const isInside = (name) =>
  name !== '' &&
  !/^[-/]/.test(name) &&
  !name.includes('\0') &&
  !/(^|[\\/])\.\.([\\/]|$)/.test(name);

/** What was asked for, for a token: files and patterns, by paths that stay in the project. */
function argsOf(given, root) {
  const relative = given.map((name) => path.relative(root, path.resolve(String(name))));
  return relative.every(isInside) ? [...new Set(relative)] : [];
}

/** The recipe of a token, or of the file that "@PATH" names. */
function parse(text, root) {
  const token = read(text, root);
  if (!token.startsWith(PREFIX)) refuse(`this one does not begin with ${PREFIX}`);
  let value;
  try {
    const packed = Buffer.from(token.slice(PREFIX.length), 'base64url');
    value = JSON.parse(inflateSync(packed, { maxOutputLength: MOST_BYTES }).toString());
  } catch (error) {
    refuse(error.code === 'ERR_BUFFER_TOO_LARGE' ? 'this one holds too much' : 'it is not whole');
  }
  if (!Array.isArray(value) || value.length !== 9) refuse('this one is of another version');
  const [items, others, beside, seed, hashSeed, around, clock, args, failure] = value;
  const isKnown =
    isTexts(items) &&
    items.length > 0 &&
    isTexts(others) &&
    BESIDE.includes(beside) &&
    (others.length === 0) === ['', 'exclusive'].includes(beside) &&
    Number.isSafeInteger(seed) &&
    seed >= 0 &&
    hashSeed === null &&
    isTexts(around) &&
    around.every((name) => CHANGES.includes(name)) &&
    Number.isFinite(clock) &&
    clock >= 0 &&
    clock < LAST_CLOCK_S &&
    isTexts(args) &&
    args.every(isInside) &&
    typeof failure === 'string';
  if (!isKnown) refuse('this one asks for what is not known here');
  return { items, others, beside, seed, around, clock, args, failure };
}

/**
 * What a test may be called in its file: the end of an id tells which of one name it is,
 * or is the end of the name.
 */
function keysOfName(name) {
  const [, base, number] = NAMED.exec(name) ?? [];
  return number > 1 ? [`${number - 1}:${base}`, `0:${name}`] : [`0:${name}`];
}

/** A replay as passes of a run, and what came of it. */
class Replay {
  isOver = false;
  passes = []; // as the JSON result has them
  #given = 0;
  #results = []; // of the test in the end: {passed, way}

  /** @param {Recipe} recipe */
  constructor(recipe) {
    this.recipe = recipe;
  }

  get name() {
    return this.recipe.items.at(-1);
  }

  get result() {
    const counted = this.#results.filter(({ passed }) => passed !== undefined);
    return counted.find(({ passed }) => !passed) ?? counted[0];
  }

  /**
   * The passes that can be begun now; see `Hunting.next`.
   *
   * @param {number} underWay passes that have not ended
   * @param {(ids: string[]) => object[]} filesOf
   */
  *next(underWay, filesOf) {
    const { items, others, beside } = this.recipe;
    const wanted = { then: [others, items], meanwhile: [items, others] }[beside] ?? [items];
    while (this.#given < wanted.length && (beside !== 'then' || underWay === 0)) {
      underWay += 1;
      yield this.#spec(wanted[this.#given], filesOf);
    }
    this.isOver = this.#given === wanted.length;
  }

  #spec(ids, filesOf) {
    const { seed, around, clock, beside } = this.recipe;
    const number = this.#given++;
    this.passes[number] = { number, condition: 'replay', seed, tests: ids.length };
    return {
      number,
      condition: 'replay',
      seed,
      temporary: 0,
      files: filesOf(ids),
      wanted: null,
      around,
      clock,
      partner: beside === 'meanwhile' ? 1 : undefined,
      serial: beside === 'exclusive',
    };
  }

  /** Executions of a pass in their order: {id, passed, way}. */
  over(pass, executions) {
    const ran = executions.filter(({ passed }) => passed !== undefined);
    this.passes[pass].order = ran.map(({ id }) => id);
    const asked = this.recipe.beside === 'then' ? pass === 1 : true;
    const last = executions.at(-1);
    if (asked && last?.id === this.name) this.#results.push(last);
  }

  /** For the JSON result; `numberOf` as of `Hunting.describe`. */
  describe(numberOf) {
    const passes = this.passes.map((pass) => ({ ...pass, order: pass.order?.map(numberOf) }));
    return { mode: 'replay', reproduced: this.result?.passed === false, passes };
  }

  get conditions() {
    return this.passes.map(({ number, condition, seed }) => ({ pass: number, condition, seed }));
  }

  /** What came of it, in a line. */
  table() {
    const { name, result, recipe } = this;
    if (!result) return `Replay: was not run to its end: ${name}\n`;
    if (result.passed) return `Replay: did not fail this time: ${name}\n`;
    const place = placeOf(result.way);
    const same = place === recipe.failure ? '' : `; the first was ${recipe.failure}`;
    return `Replay: failed again: ${name} (${place}${same})\n`;
  }
}

module.exports = { Replay, argsOf, keysOfName, optionOf, parse, tokenOf };
