'use strict';
// One machine's part of the test files, agreed on without talking: by the hash of a
// file's path, or longest first over the shards, by the durations in a file.

const fs = require('node:fs');
const path = require('node:path');

const qe = require('./addon');
const { writeWhole } = require('./files');
const { UsageError } = require('./usage');

const SCHEMA = 1;
const DESCRIBED = ['of', 'by', 'collected', 'collection_digest', 'durations_digest'];

/** Seconds by file. Throws UsageError where that is no durations file. */
function readDurations(file) {
  try {
    const { schema, files } = JSON.parse(fs.readFileSync(file, 'utf8'));
    if (schema !== SCHEMA) throw new Error(`its schema is ${schema}, not ${SCHEMA}`);
    const wrong = Object.entries(files).find(([, s]) => !(Number.isFinite(s) && s >= 0 && s < 1e9));
    if (wrong) throw new Error(`"${wrong[0]}": takes seconds from 0`);
    return files;
  } catch (error) {
    if (error.code === 'ENOENT') {
      throw new UsageError(
        `--shard-durations=${file}: no such file; a run without --shard-by-time writes it, ` +
          'and every shard must be given the same one',
      );
    }
    throw new UsageError(`--shard-durations=${file}: no durations file: ${error.message}`);
  }
}

function writeDurations(file, files) {
  const names = Object.keys(files).sort();
  const rounded = Object.fromEntries(
    names.map((name) => [name, Math.round(files[name] * 1e4) / 1e4]),
  );
  writeWhole(file, `${JSON.stringify({ schema: SCHEMA, files: rounded }, null, 1)}\n`);
}

class Sharding {
  /** The run's; null where it has none. */
  static current = null;

  /** What the JSON result says of it; null until files were chosen. */
  description = null;
  #shard;
  #file;
  #durations = null;

  /**
   * @param {{shard?: [number, number], durations?: string}} options
   * @throws UsageError where the durations file is wrong
   */
  constructor({ shard, durations }) {
    this.#shard = shard;
    this.#file = durations === undefined ? undefined : path.resolve(durations);
    if (shard && durations !== undefined) this.#durations = readDurations(durations);
  }

  /** Whether a shard was asked for, but nobody has asked for its files. */
  get isUnheard() {
    return this.#shard !== undefined && this.description === null;
  }

  /** Those of the names that are this shard's, each once. */
  select(names) {
    const [index, of] = this.#shard;
    const all = [...new Set(names)].sort();
    const seconds = this.#durations && all.map((name) => this.#durations[name] ?? 0);
    const shards = qe.shardAssign(all, seconds, of);
    const mine = all.filter((_, i) => shards[i] === index - 1);
    this.description = {
      index,
      of,
      by: seconds ? 'durations' : 'path',
      collected: all.length,
      collection_digest: qe.digest(all),
      durations_digest: this.#durations
        ? qe.digest(
            Object.entries(this.#durations)
              .sort()
              .map((pair) => pair.join('=')),
          )
        : null,
      files: mine,
    };
    return new Set(mine);
  }

  /** After a run of all files: the durations for the shards of the next ones. */
  write(seconds) {
    if (this.#file === undefined || this.#shard) return;
    let known = {};
    try {
      known = readDurations(this.#file);
    } catch (error) {
      if (!(error instanceof UsageError)) throw error;
    }
    writeDurations(this.#file, { ...known, ...seconds });
  }
}

function readResult(file) {
  try {
    const { shard } = JSON.parse(fs.readFileSync(file, 'utf8')).run;
    for (const name of ['index', 'files', ...DESCRIBED]) {
      if (shard[name] === undefined) throw new Error(`no ${name}`);
    }
    return shard;
  } catch (error) {
    throw new UsageError(
      `${file}: no JSON result of a run with --shard-by-time and --report-json: ${error.message}`,
    );
  }
}

/**
 * Whether these JSON results are the disjoint and complete shards of one collection;
 * returns a sentence that says so, throws UsageError with what is wrong.
 */
function verify(files) {
  if (files.length === 0) throw new UsageError('--verify-shards: takes JSON results');
  const shards = files.map(readResult);
  const [first] = shards;
  const owner = new Map();
  const seen = new Map();
  shards.forEach((shard, i) => {
    for (const name of DESCRIBED) {
      if (shard[name] !== first[name]) {
        throw new UsageError(
          `${files[i]}: ${name} is ${shard[name]}, but ${first[name]} in ${files[0]}`,
        );
      }
    }
    const twice = seen.get(shard.index);
    if (twice) throw new UsageError(`shard ${shard.index} twice: ${twice} and ${files[i]}`);
    seen.set(shard.index, files[i]);
    for (const name of shard.files) {
      if (owner.has(name)) {
        throw new UsageError(`${name} is in ${owner.get(name)} and in ${files[i]}`);
      }
      owner.set(name, files[i]);
    }
  });
  for (let index = 1; index <= first.of; index++) {
    if (!seen.has(index)) throw new UsageError(`missing: shard ${index}/${first.of}`);
  }
  if (
    owner.size !== first.collected ||
    qe.digest([...owner.keys()].sort()) !== first.collection_digest
  ) {
    throw new UsageError(`${first.collected} files were collected, the shards hold ${owner.size}`);
  }
  return `${first.of} shards, ${owner.size} test files: disjoint and complete`;
}

module.exports = { Sharding, verify };
