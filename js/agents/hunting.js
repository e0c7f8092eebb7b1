'use strict';
// Test files, each run many times: the runs of one call, and what is known of each file.

const { setTimeout: sleep } = require('node:timers/promises');

const { commandsIn } = require('../frameworks');
const { stats } = require('../stats');
const { analyze } = require('../units');
const { each, secondsSince, share } = require('./agent');
const { causesOf } = require('./engine');
const { likelyCauses } = require('./likely');
const { policyOf, RUNS } = require('./params');
const { Run } = require('./running');

const MOST_MS = 2 ** 31 - 1;

/** Events from several sources, in the order in which they come. */
class Queue {
  #items = [];
  #wake = () => {};
  #over = false;
  #error = null;

  push(item) {
    this.#items.push(item);
    this.#wake();
  }

  end(error = null) {
    this.#over = true;
    this.#error = error;
    this.#wake();
  }

  async *[Symbol.asyncIterator]() {
    for (;;) {
      while (this.#items.length > 0) yield this.#items.shift();
      if (this.#over) break;
      await new Promise((resolve) => (this.#wake = resolve));
    }
    if (this.#error) throw this.#error;
  }
}

/** What each failed run says of it: its failures' messages, otherwise what it printed. */
function textsOf(failed) {
  return failed.map(({ failures, stdout, stderr, timedOut }) => {
    if (failures.length > 0) {
      return failures.map(({ name, message }) => `${name}\n${message}`).join('\n');
    }
    const limit = timedOut ? ['timeout: it was ended at its limit'] : [];
    return [stdout, stderr, ...limit].join('\n');
  });
}

/** Each test that failed: how often, and its first message. */
function distinct(failed) {
  const found = new Map();
  for (const failure of failed.flatMap(({ failures }) => failures)) {
    if (!found.has(failure.name)) found.set(failure.name, { ...failure, runs: 0 });
    found.get(failure.name).runs++;
  }
  return [...found.values()].sort((a, b) => b.runs - a.runs);
}

/** What the runs of a file come to. */
function judge(file, ends) {
  const failed = ends.filter(({ passed }) => !passed);
  const verdict = {
    file,
    iterations: ends.length,
    passed: ends.length - failed.length,
    failed: failed.length,
    isFlaky: false,
    flakinessScore: 0,
    passRate: null,
    pattern: null,
    interval: null,
    outcomes: ends.map(({ outcome }) => outcome),
    likelyCauses: [],
    failures: distinct(failed),
  };
  if (ends.length > 0) {
    const { score, isFlaky, pattern } = analyze(ends.map(({ passed }) => passed));
    const { low, high } = stats.jeffreysClamped(verdict.failed, verdict.passed, 0.05);
    const passRate = verdict.passed / ends.length;
    const interval = [low, high];
    Object.assign(verdict, { isFlaky, flakinessScore: score, pattern, passRate, interval });
  }
  if (verdict.isFlaky) verdict.likelyCauses = likelyCauses(textsOf(failed));
  return verdict;
}

/** What has passed has nothing to read. */
const withoutOutput = (result) => (result.passed ? { ...result, stdout: '', stderr: '' } : result);

class Hunt {
  #files;
  #iterations;
  #policy; // how files are taken up
  #asks; // seconds for causes of a flaky file
  #servers;
  #runs = [];
  #judged = [];
  #ends = []; // of each file the results of its runs, but for those that were interrupted
  #settings;
  #began = performance.now();
  #since = Date.now() / 1000;
  #quit = new AbortController(); // nothing else begins
  #under = new Set(); // experiments
  adaptive = null;

  /**
   * @param {string[]} files
   * @param {object} policy numbers of FILES
   * @param {WarmServers | null} more.servers
   * @param {(files: string[]) => Remembering} [more.remembered]
   * @param {number} more.causes seconds for experiments on a flaky file; 0: none
   */
  constructor(
    files,
    iterations,
    framework,
    params,
    settings,
    policy,
    { servers, causes, remembered },
  ) {
    this.#files = files;
    this.#settings = settings;
    this.#iterations = iterations;
    this.#policy = policy;
    this.#asks = causes;
    this.#servers = servers;
    // One run of all files where load decides, otherwise one of each.
    const whole = policyOf(params, RUNS).adaptive !== null;
    const groups = whole ? [[0, files]] : files.map((file, i) => [i, [file]]);
    try {
      for (const [first, group] of groups) {
        const own = policyOf(params, RUNS);
        this.adaptive = own.adaptive;
        const publish = remembered?.(group).publishing('qe hunt', iterations);
        const nameOf = (i) => `files[${first + i}]`;
        const more = { runs: iterations, servers, publish, nameOf };
        this.#runs.push(new Run(group, framework, own, settings, more));
      }
    } catch (error) {
      for (const run of this.#runs) run.close();
      throw error;
    }
    this.framework = commandsIn({ ...settings, framework }).framework;
  }

  /** What runs is interrupted, and has its grace, or is killed; nothing else begins. */
  stop({ atOnce = false } = {}) {
    this.#quit.abort();
    for (const run of this.#runs) run.stop({ atOnce });
    for (const run of this.#under) {
      if (atOnce) run.kill();
      else run.stop(true);
    }
  }

  /** Holds what runs, or lets it go on. */
  pause(on) {
    for (const run of [...this.#runs, ...this.#under]) run.pause(on);
  }

  async close() {
    this.#quit.abort();
    for (const run of this.#runs) run.close();
    for (const run of this.#under) await run.return();
    await this.#servers?.close();
  }

  async *events() {
    const queue = new Queue();
    const all = this.#all(queue).then(
      () => queue.end(),
      (error) => queue.end(error),
    );
    try {
      yield* queue;
    } finally {
      // After the last event nothing runs, so this is for who leaves before.
      this.#quit.abort();
      for (const run of this.#runs) run.leave();
      for (const run of this.#under) await run.return();
      await all;
    }
  }

  async #all(queue) {
    const { maxConcurrentFiles, filePeriod } = this.#policy;
    const { signal } = this.#quit;
    let next = 0;
    let free = performance.now(); // when the next one may begin
    const work = async () => {
      while (next < this.#runs.length && !signal.aborted) {
        const at = next++;
        const wait = free - performance.now();
        free = Math.max(free, performance.now()) + filePeriod * 1000;
        if (wait > 0) await sleep(wait, undefined, { signal }).catch(() => {});
        await this.#one(at, queue);
      }
    };
    const workers = Array.from({ length: Math.min(maxConcurrentFiles, this.#runs.length) }, work);
    try {
      await Promise.all(workers);
    } catch (error) {
      this.#quit.abort();
      for (const run of this.#runs) run.leave();
      await Promise.allSettled(workers);
      throw error;
    }
  }

  /** All runs of one file, or of all files together. */
  async #one(at, queue) {
    const run = this.#runs[at];
    // What has begun by then is let finish, within its own limit.
    const { fileTimeout } = this.#policy;
    const limit = this.adaptive
      ? undefined
      : setTimeout(() => run.noMore(), Math.min(fileTimeout * 1000, MOST_MS));
    try {
      if (!this.#quit.signal.aborted) for await (const event of run.events()) queue.push(event);
    } finally {
      clearTimeout(limit);
      run.files.forEach((file, place) => {
        this.#ends[at + place] = this.#endsOf(run, place);
        this.#judged[at + place] = judge(file, this.#ends[at + place]);
      });
    }
    for (const [place, file] of run.files.entries()) {
      const verdict = this.#judged[at + place];
      if (verdict.isFlaky && this.#asks > 0 && !this.#quit.signal.aborted) {
        verdict.likelyCauses = await this.#lookedInto(run, file, verdict);
      }
      queue.push({ kind: 'judged', ...verdict });
    }
  }

  #resultsOf(run, place) {
    const numbers = Array.from(
      { length: this.#iterations },
      (_, i) => place * this.#iterations + i,
    );
    return numbers.map((n) => run.results.get(n)).filter((one) => one !== undefined);
  }

  #endsOf(run, place) {
    // In the order in which they began: patterns are of time. What was interrupted says nothing.
    return this.#resultsOf(run, place)
      .filter((one) => one.outcome !== 'interrupted')
      .sort((a, b) => a.history[0].started - b.history[0].started);
  }

  async #lookedInto(run, file, verdict) {
    let experiment;
    const found = await causesOf(run.plainCommand(file), this.#asks, (one) => {
      experiment = one;
      this.#under.add(one);
    });
    this.#under.delete(experiment);
    const known = new Set(found.map(({ cause }) => cause));
    return [...found, ...verdict.likelyCauses.filter(({ cause }) => !known.has(cause))];
  }

  /** Of each file the results of those of its runs that ended. */
  results() {
    return this.#runs.flatMap((run) => run.files.map((_, place) => this.#resultsOf(run, place)));
  }

  result() {
    const files = this.#files.map((file, i) => this.#judged[i] ?? judge(file, []));
    const flakyList = files.filter(({ isFlaky }) => isFlaky);
    const patternDistribution = {};
    for (const { pattern } of files) {
      if (pattern === null) continue;
      patternDistribution[pattern] = (patternDistribution[pattern] ?? 0) + 1;
    }
    const executionTime = secondsSince(this.#began);
    const result = {
      totalTests: files.length,
      flakyTests: flakyList.length,
      flakyList,
      flakinessRate: share(flakyList.length, files.length),
      executionTime,
      totalRuns: files.reduce((sum, { iterations }) => sum + iterations, 0),
      avgTimePerTest: each(executionTime, files.length),
      framework: this.framework,
      patternDistribution,
      files,
      timestamp: this.#since,
      warnings: [
        ...this.#runs.flatMap((run) => [...new Set(run.warnings)]),
        ...(this.#servers?.notes ?? []),
      ],
    };
    if (this.adaptive) result.adaptions = this.adaptive.changes;
    if (this.#settings.outputs)
      result.runs = files.map((_, i) => (this.#ends[i] ?? []).map(withoutOutput));
    return result;
  }
}

module.exports = { Hunt };
