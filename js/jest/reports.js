'use strict';
// What a run leaves behind: history, JSON result, JUnit XML, durations for shards, and
// the table of flaky tests.

const fs = require('node:fs');
const path = require('node:path');

const { FlakyTable, conditionOf } = require('../flaky');
const { describe, report } = require('../huntreport');
const { Junit } = require('../junit');
const { Recording } = require('../recording');
const { Sharding } = require('../sharding');

const JUNIT_OUTCOMES = { passed: 'passed', failed: 'failed' }; // others: skipped

class Reports {
  #took = new Map(); // by name: {path, seconds}

  /** @param {object[] | null} passes of `--flaky-mode=fixed`, as of `planPasses` */
  constructor(globalConfig, options, passes) {
    this.hunting = null; // an adaptive hunt, once there is one
    this.options = options;
    this.rootDir = globalConfig.rootDir;
    this.several = globalConfig.projects.length > 1;
    this.watches = globalConfig.watch || globalConfig.watchAll;
    this.passes = passes;
    this.recording = new Recording('jest', this.rootDir, options);
    this.junit = options.reportJunit
      ? new Junit(
          'jest',
          this.rootDir,
          Boolean(options.flaky ?? options.flakyBudget ?? options.replay),
        )
      : null;
    this.table = passes ? new FlakyTable(passes.length) : null;
  }

  /** A test file as it is remembered: with several projects it may be in each. */
  #file({ path: file, duration, context: { config } }) {
    const own = config.displayName?.name || path.relative(this.rootDir, config.rootDir);
    return { path: file, duration, label: this.several ? own || config.id : undefined };
  }

  name(test) {
    return this.recording.name(this.#file(test));
  }

  /** What a test of a file is called; `key` as of `Names`. */
  id(test, key) {
    return this.recording.id(this.#file(test), key);
  }

  turn(test) {
    return this.recording.turn(this.#file(test));
  }

  /** An attempt at a test; `key` as of `Names`. */
  attempt({ test, attempt, pass, slot, captured }, key, result, outcome) {
    const own = { test: this.#file(test), attempt, pass, slot, captured };
    this.recording.attempt(own, key, result, outcome);
    if (result.status === 'failed') {
      this.junit?.failed(this.name(test), key, result.failureMessages.join('\n\n'));
    }
  }

  /** A file could not be run; `started`: when it began, in milliseconds; `ending`: as of `FileResult`. */
  broken({ test, attempt, pass, slot, captured, started, ending }, error) {
    const own = { test: this.#file(test), attempt, pass, slot, captured };
    this.recording.broken(own, error, { outcome: ending, start: started && started / 1000 });
  }

  /** How long a file took, or a pass over it. */
  took(test, seconds) {
    const took = this.#took.get(this.name(test));
    if (took) took.seconds = Math.max(seconds, took.seconds);
    else this.#took.set(this.name(test), { path: test.path, seconds });
  }

  /** Seconds by path: shards keep what is in several projects together. */
  #bySharding() {
    const found = {};
    for (const { path: file, seconds } of this.#took.values()) {
      const name = path.relative(this.rootDir, file);
      found[name] = (found[name] ?? 0) + seconds;
    }
    return found;
  }

  /** A file has ended. `tests`: key, last result, outcome where it is another, verdict. */
  file(test, { failure, result, tests }) {
    const name = this.name(test);
    const error = failure ?? result?.testExecError;
    const failed = Boolean(error) || tests.some(([, one]) => one.status === 'failed');
    this.recording.file(this.#file(test), this.#took.get(name).seconds, failed, tests);
    if (error) {
      const message = error.stack || error.message || String(error);
      this.junit?.add(name, { titles: [], outcome: 'error', seconds: 0, message });
    }
    for (const [key, one, , judged] of tests) {
      this.junit?.add(name, {
        key,
        titles: [...one.ancestorTitles, one.title],
        outcome: JUNIT_OUTCOMES[one.status] ?? 'skipped',
        seconds: (one.duration ?? 0) / 1000,
        message: one.failureMessages.join('\n\n'),
      });
      this.table?.add(name, [...one.ancestorTitles, one.title], judged);
    }
  }

  /** Writes what there is. `run`: what is said of the run as a whole. */
  finish(run) {
    const { reportJunit, shardDurations } = this.options;
    const sharding = Sharding.current;
    const { hunting } = this;
    const told = {
      ...run,
      passes: hunting?.passes.length ?? this.passes?.length,
      orders: this.passes ?? undefined,
      hunt: hunting ? describe(hunting, (id) => this.recording.numberOf(id)) : undefined,
      shard: sharding?.description ?? undefined,
    };
    this.recording.finish(told, hunting?.conditions ?? this.passes?.map(conditionOf));
    this.recording.write('--report-junit', reportJunit, () =>
      this.junit?.write(path.resolve(reportJunit)),
    );
    if (!run.interrupted) {
      this.recording.write('--shard-durations', shardDurations, () =>
        sharding?.write(this.#bySharding()),
      );
    }
    if (!this.table && !hunting) return;
    const text = hunting ? report(hunting, run.interrupted) : String(this.table);
    const tell = () => fs.writeSync(2, `\n${text}`);
    if (this.watches || run.interrupted) tell();
    else process.once('exit', tell); // behind what jest says of the run
  }
}

module.exports = { Reports };
