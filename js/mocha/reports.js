'use strict';
// What a run leaves behind: history, JSON result, JUnit XML, durations for shards.

const fs = require('node:fs');
const path = require('node:path');

const qe = require('../addon');
const { FlakyTable, conditionOf } = require('../flaky');
const { describe, report } = require('../huntreport');
const { Junit } = require('../junit');
const { Names } = require('../progress');
const { Recording } = require('../recording');
const { AllPrinted, Printed } = require('./printed');

const LOAD = 'mocha/load'; // key in the history: seconds that a worker takes to load

const STATUS = { pass: 'passed', fail: 'failed', retry: 'failed', pending: 'pending' };
const JUNIT = { passed: 'passed', failed: 'failed', pending: 'skipped' };

class Reports {
  #files = new Map(); // by name: {seconds, failed, names, tests}
  #keys = new WeakMap(); // of tests and hooks
  #begun = new WeakMap(); // [seconds since the epoch in ms, worker's slot]

  /**
   * @param {boolean} whole whether the files' durations are those of all their tests
   * @param {object[] | null} passes as of `planPasses`
   */
  constructor(options, sharding, whole, passes) {
    this.hunting = null; // an adaptive hunt, once there is one
    this.options = options;
    this.folder = process.cwd();
    this.sharding = sharding;
    const { flaky, flakyBudget, replay } = options;
    const several = Boolean(passes ?? flaky ?? flakyBudget ?? replay);
    this.whole = whole && !several;
    this.passes = passes;
    this.table = passes?.length > 1 ? new FlakyTable(passes.length) : null;
    this.recording = new Recording('mocha', this.folder, options);
    this.printed = new AllPrinted(() => this.recording.captured(Printed));
    this.junit = options.reportJunit ? new Junit('mocha', this.folder, several) : null;
    this.loading = Number(this.recording.history?.get(LOAD) ?? NaN);
  }

  /** What other processes are told: see `publishing`. */
  publishing(files) {
    return this.recording.publishing(files.map((file) => this.recording.name(file)));
  }

  /** Files as all nodes of a run name and order them, whatever each knows of their times. */
  shared(files) {
    const named = files.map((file, item) => ({
      id: this.recording.name(file),
      item,
      expected: this.recording.known(file)?.[0] ?? 0,
    }));
    return named.sort((a, b) => (a.id < b.id ? -1 : 1));
  }

  /** The order in which files begin, by index; and how many workers are worth starting. */
  plan(files, most) {
    const known = files.map((file) => this.recording.known(file));
    const sum = known.reduce((all, one) => all + (one?.[0] ?? 0), 0);
    const first = Math.max(1, Math.min(most, Math.floor(sum / this.loading) || 1));
    const failed = (i) => known[i]?.[1] ?? 0;
    // Others' runs say how long files take, and not what it costs to load them here.
    const spread = first > 1 || (most > 1 && Number.isNaN(this.loading));
    const seconds = (i) => (spread ? (known[i]?.[0] ?? Infinity) : 0);
    const order = files.map((_, i) => i);
    order.sort((a, b) => failed(b) - failed(a) || seconds(b) - seconds(a) || a - b);
    return { order, first };
  }

  #file(name) {
    if (!this.#files.has(name)) {
      this.#files.set(name, { seconds: 0, failed: false, names: new Names(), tests: new Map() });
    }
    return this.#files.get(name);
  }

  #key(thing, file) {
    const first = thing.retriedTest?.() ?? thing;
    let key = this.#keys.get(first);
    if (!key) this.#keys.set(first, (key = file.names.key(thing.fullTitle())));
    return key;
  }

  /** What a test or hook is called in all that is written. */
  id(thing, otherwise) {
    const where = thing.file ?? otherwise;
    return this.recording.id({ path: where }, this.#key(thing, this.#file(where)));
  }

  /** A test or hook begins, in the worker of a slot. */
  begin(thing, at, slot) {
    this.#begun.set(thing, [at, slot]);
  }

  #result(status, thing, error) {
    const stack = error && String(error.stack || error.message || error);
    return {
      status,
      startAt: (this.#begun.get(thing) ?? [Date.now()])[0],
      duration: thing.duration ?? 0,
      failureMessages: stack ? [stack] : [],
      titles: thing.titlePath(),
    };
  }

  /** What became of a test, or of a hook that failed. */
  end(name, thing, { file: otherwise, error, outcome, pass, printed } = {}) {
    if (!(name in STATUS) || (thing.type === 'hook' && name !== 'fail')) return;
    const where = thing.file ?? otherwise;
    if (!where) return;
    const file = this.#file(where);
    const key = this.#key(thing, file);
    const slot = this.#begun.get(thing)?.[1] ?? 0;
    const attempt = (thing.currentRetry?.() ?? 0) + 1;
    const result = this.#result(STATUS[name], thing, error);
    const ending = outcome ?? (thing.type === 'hook' ? qe.ERROR : undefined);
    if (STATUS[name] === 'failed')
      this.junit?.failed(path.relative(this.folder, where), key, result.failureMessages[0] ?? '');
    const before = file.tests.get(key);
    const captured = { captured: printed, printedBy: printed?.now };
    const own = { test: { path: where }, attempt, pass, slot, ...captured };
    this.recording.attempt(own, key, result, ending);
    const flaky = name === 'pass' && attempt > 1;
    // A test that passed and then failed, by what it left behind, has failed.
    if (before?.[1].status === 'failed' && name !== 'pass') return;
    file.tests.set(key, [key, result, flaky ? qe.FLAKY : ending]);
  }

  /** What several passes have found of a test, or of a hook that failed in one. */
  conclude(status, thing, { file: otherwise, error, outcome, judged }) {
    const where = thing.file ?? otherwise;
    if (!where) return;
    const file = this.#file(where);
    const result = this.#result(status, thing, error);
    const ending = judged?.isFlaky ? qe.FLAKY : outcome;
    file.tests.set(this.#key(thing, file), [this.#key(thing, file), result, ending]);
    this.table?.add(path.relative(this.folder, where), result.titles, judged);
  }

  took(file, seconds) {
    this.#file(file).seconds += seconds;
  }

  /** Writes what there is. `run`: what is said of the run as a whole. */
  finish(run, loading) {
    this.printed.end();
    const seconds = {};
    for (const [path_, file] of this.#files) {
      const tests = [...file.tests.values()];
      const failed = tests.some(([, { status }]) => status === 'failed');
      // What ran in part says nothing of how long the whole takes.
      const took = this.whole ? file.seconds : (this.recording.known(path_)?.[0] ?? 0);
      this.recording.file(path_, took, failed, tests);
      const name = path.relative(this.folder, path_);
      seconds[name] = file.seconds;
      for (const [key, { status, titles, duration, failureMessages }, ending] of tests) {
        this.junit?.add(name, {
          key,
          titles,
          outcome: ending === qe.ERROR ? 'error' : JUNIT[status],
          seconds: duration / 1000,
          message: failureMessages[0],
        });
      }
    }
    if (loading) this.#keep(loading);
    const { hunting } = this;
    const told = {
      ...run,
      passes: hunting?.passes.length ?? (this.table ? this.passes.length : undefined),
      orders: this.passes ?? undefined,
      hunt: hunting ? describe(hunting, (id) => this.recording.numberOf(id)) : undefined,
      shard: this.sharding?.description ?? undefined,
    };
    this.recording.finish(told, hunting?.conditions ?? this.passes?.map(conditionOf));
    const { reportJunit, shardDurations } = this.options;
    this.recording.write('--report-junit', reportJunit, () =>
      this.junit?.write(path.resolve(reportJunit)),
    );
    if (this.whole) {
      this.recording.write('--shard-durations', shardDurations, () =>
        this.sharding?.write(seconds),
      );
    }
    if (!this.table && !hunting) return;
    const text = hunting ? report(hunting, run.interrupted) : String(this.table);
    if (run.interrupted) fs.writeSync(2, `\n${text}`);
    else process.once('exit', () => fs.writeSync(2, `\n${text}`));
  }

  #keep(loading) {
    try {
      this.recording.history?.put(LOAD, String(loading), 0);
    } catch {
      // what follows says why
    }
  }
}

module.exports = { Reports };
