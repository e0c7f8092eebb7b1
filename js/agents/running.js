'use strict';
// Test files as commands, run once or many times: the events of a run, in order.

const fs = require('node:fs');
const os = require('node:os');

const counts = require('../counts');
const { commandsIn, shown } = require('../frameworks');
const { scratch } = require('../scratch');
const { refuse, runUnits } = require('../units');

const LOOK_MS = 250; // between two looks at the machine's load

/** The paths of test files, as they were given. */
function filesOf(files) {
  if (!Array.isArray(files)) throw refuse(`files: takes an array, not ${shown(files)}`);
  for (const [i, file] of files.entries()) {
    if (typeof file !== 'string' || file === '') {
      throw refuse(`files[${i}]: takes the path of a file, not ${shown(file)}`);
    }
  }
  return files;
}

/** An exit status as Python has it: -N for the signal N, null where there was no process. */
function returncodeOf({ kind, exitCode, signal, status }) {
  if (kind === 'lost') return null;
  if (signal !== null) return -os.constants.signals[signal];
  return exitCode ?? ((status & 0x7f) === 0 ? null : -(status & 0x7f));
}

const SIGNALS = new Map(Object.entries(os.constants.signals).map(([name, n]) => [n, name]));

/** What ended a process, in words. */
function describeEnd(returncode) {
  if (returncode === null) return 'no process could be started';
  if (returncode >= 0) return `exit status ${returncode}`;
  return `signal ${SIGNALS.get(-returncode) ?? -returncode}`;
}

/**
 * Runs of test files under one policy, as events.
 *
 * An event has `kind`, `file` and `run` (from 0, of that file); index.d.ts has the kinds.
 */
class Run {
  #session = null;
  #settings;
  #servers;
  #publish;
  #folder;
  #commands;
  #attempts = new Map(); // by number of the command
  #ended = new Map(); // attempts that are being settled
  #starts = new Map(); // when the attempts that run began
  #left = false;
  #expected = [];
  results = new Map(); // likewise
  retries = 0;
  timeouts = 0;
  interrupted = false;
  warnings = [];
  shared = null; // at the end: what is known of the whole run, where nodes share it
  #node = null; // our part in it

  /**
   * @param {string[]} files
   * @param {object} policy of `policyOf`
   * @param {object} settings of `settingsOf`
   * @param {number} [more.runs] of each file
   * @param {WarmServers} [more.servers]
   * @param {object} [more.publish] what other processes are told, of `publishing`
   * @param {(i: number) => string} [more.nameOf] what messages call the i-th file
   */
  constructor(files, framework, policy, settings, more = {}) {
    const { runs = 1, servers = null, nameOf = (i) => `files[${i}]` } = more;
    this.files = files;
    this.runs = runs;
    this.policy = policy;
    this.#settings = settings;
    this.#servers = servers;
    this.#publish = more.publish;
    this.#folder = scratch('qe-files');
    try {
      const { framework: name, commandFor } = commandsIn({ ...settings, framework }, this.#folder);
      this.framework = name;
      this.#commands = files.flatMap((file, i) => this.#commandsOf(file, commandFor, nameOf(i)));
    } catch (error) {
      this.close();
      throw error;
    }
  }

  #commandsOf(file, commandFor, name) {
    try {
      return Array.from({ length: this.runs }, (_, run) => {
        const command = commandFor(file, run);
        this.#servers?.prepare(command); // it comes up while the others are looked at
        return command;
      });
    } catch (error) {
      error.message = `${name}: ${error.message}`;
      throw error;
    }
  }

  /** Seconds that each file will take, 0 where nobody knows: the longest begin first. */
  expect(expected) {
    this.#expected = expected;
  }

  /** What is executed for a file that is not to write results. */
  plainCommand(file) {
    return commandsIn({ ...this.#settings, framework: this.framework }).commandFor(file);
  }

  /** Nothing new starts; what runs is interrupted, and has its grace, or is killed. */
  stop({ atOnce = false } = {}) {
    this.interrupted = true;
    this.#node?.cancel();
    this.#servers?.noMore();
    if (atOnce) this.#session?.kill();
    else this.#session?.stop(true);
  }

  /** Holds what runs, or lets it go on. */
  pause(on) {
    this.#session?.pause(on);
  }

  /** Nothing new starts. */
  noMore() {
    this.#session?.stop();
  }

  /** Ends what runs, at once. */
  leave() {
    this.#left = true;
    this.#session?.return();
  }

  close() {
    this.leave();
    fs.rmSync(this.#folder, { recursive: true, force: true });
  }

  async *events() {
    const warm = await Promise.all(
      this.#commands.map((command, i) => this.#servers?.nameFor(command, i) ?? ''),
    );
    const count = this.#commands.length;
    if (count === 0 || this.#left || this.interrupted) return;
    const { policy } = this;
    const { adaptive } = policy;
    const workers = Math.min(adaptive?.most ?? policy.maxConcurrent, count);
    if (!(await this.#join(workers))) return;
    const session = runUnits(
      this.#commands.map((command, i) => this.#unit(command, i, warm[i])),
      {
        asks: true,
        workers,
        firstWorkers: adaptive ? Math.min(adaptive.running, count) : 0,
        // The order in which files begin shows in nothing but the time that all take.
        inOrder: !this.#expected.some((seconds) => seconds > 0),
        backoff: policy.retryBackoff,
        exactBackoff: !policy.jitter,
        throttle: adaptive?.throttle ?? policy.throttlePeriod,
        grace: this.#settings.grace,
        outputBytes: this.#settings.outputBytes,
        publish: this.#publish,
        source: this.#node?.source,
      },
    );
    this.#node?.start();
    this.#session = session;
    if (this.interrupted) session.stop(true);
    let running = 0;
    const told = []; // changes by load
    const looking =
      adaptive &&
      setInterval(() => {
        const change = adaptive.look(running >= adaptive.running);
        if (change === null) return;
        session.limit(adaptive.running, adaptive.throttle);
        told.push({ kind: 'adapt', ...change });
      }, LOOK_MS);
    try {
      for await (const event of session) {
        if (event.kind === 'giveUp') throw new Error('no process can be started');
        if (event.kind === 'start') running++;
        if (event.kind === 'finish' || event.kind === 'lost') running--;
        yield* this.#told(event, session);
        yield* told.splice(0);
      }
    } finally {
      clearInterval(looking);
      this.#session = null;
      await session.return();
      await this.#part();
    }
  }

  // ------------------------------------------------------------------ inside

  /** Comes to the run, if several share it; false: nothing is left of it for this node. */
  async #join(workers) {
    const { shared, cwd } = this.#settings;
    if (shared === null) return true;
    const { CommandNode } = require('./sharing');
    const files = this.#commands.map((_, number) => this.#file(number));
    const expected = this.#commands.map((_, number) => this.#expectedOf(number));
    this.#node = new CommandNode(shared, files, expected, workers, cwd);
    let joined;
    try {
      joined = await this.#node.join();
    } catch (error) {
      if (!this.interrupted) throw error;
      this.#node = null; // nothing has begun
      return false;
    }
    if (joined && !this.#left && !this.interrupted) return true;
    await this.#part();
    return false;
  }

  /** This node runs nothing more. */
  async #part() {
    if (this.#node) this.shared = await this.#node.part();
  }

  #unit({ argv, cwd, env }, number, warm) {
    const { policy } = this;
    return {
      id: `${number}`,
      item: number,
      retries: policy.retryAttempts - 1,
      timeout: policy.retryTimeout,
      expected: this.#expected[Math.floor(number / this.runs)] ?? 0,
      argv,
      cwd,
      env,
      limits: this.#settings.limits,
      ...(warm && { warm }),
    };
  }

  *#told(event, session) {
    switch (event.kind) {
      case 'start':
        this.#starts.set(event.unit.item, { started: event.start, worker: event.worker });
        if (event.attempt === 1) yield { kind: 'start', ...this.#about(event.unit.item) };
        break;
      case 'finish':
      case 'lost':
        if (!event.asks && event.final === null) break; // void: it runs again
        yield* this.#ends(event, session);
        break;
      case 'settled':
        yield* this.#settled(event.unit.item, event.final);
        break;
      default:
    }
  }

  #about(number) {
    return { file: this.#file(number), run: number % this.runs };
  }

  #file(number) {
    return this.files[Math.floor(number / this.runs)];
  }

  /** An attempt has ended: what it has written is read, and removed before another begins. */
  *#ends(event, session) {
    const number = event.unit.item;
    const command = this.#commands[number];
    const returncode = returncodeOf(event);
    const found = counts.read(command, returncode, event.stdout, event.stderr);
    counts.discard(command);
    this.#ended.set(number, { event, returncode, found });
    // What cannot be executed will not be the next time.
    const { attempt, outcome } = event;
    if (event.asks) session.settle(number, attempt, outcome, outcome !== 'error');
    else yield* this.#settled(number, event.final);
  }

  *#settled(number, final) {
    const { event, returncode, found } = this.#ended.get(number);
    this.#ended.delete(number);
    const about = this.#about(number);
    const attempt = {
      attempt: event.attempt,
      ...(this.#starts.get(number) ?? { started: 0, worker: 0 }),
      outcome: event.outcome,
      returncode,
      seconds: event.duration,
      cpuSeconds: event.cpu,
      peakMemoryBytes: event.peakBytes,
    };
    this.#node?.tell(number, event, attempt, final, found?.tests ?? null, this.interrupted);
    if (!this.#attempts.has(number)) this.#attempts.set(number, []);
    const attempts = this.#attempts.get(number);
    attempts.push(attempt);
    yield { kind: 'attempt', framework: this.framework, ...about, ...attempt };
    if (event.outcome === 'timeout') {
      this.timeouts++;
      const limit = this.policy.retryTimeout;
      yield { kind: 'timeout', ...about, attempt: event.attempt, limit };
    }
    if (final === null) {
      this.retries++;
      if (this.#settings.outputs)
        attempts[attempts.length - 1] = { ...attempt, ...this.#leftBy(number, event, found) };
      const delay = this.policy.retryBackoff * 2 ** (event.attempt - 1);
      yield { kind: 'retry', ...about, attempt: event.attempt + 1, delay };
      return;
    }
    const result = this.#result(number, event, final, returncode, found);
    this.results.set(number, result);
    yield { kind: 'result', ...about, ...result };
    yield { kind: 'cost', ...about, ...this.#cost(attempts) };
  }

  #result(number, event, final, returncode, found) {
    const passed = final === 'passed' || final === 'flaky';
    const file = this.#file(number);
    if (passed && found === null && this.#commands[number].report !== null) {
      this.warnings.push(
        `${file}: exit status 0 and no report of ${this.framework}: it may have left before ` +
          'its tests had ended',
      );
    }
    return {
      file,
      // What it would have come to nobody knows.
      outcome: this.interrupted && !passed ? 'interrupted' : final,
      passed,
      attempts: event.attempt,
      returncode,
      duration: event.duration,
      timedOut: event.outcome === 'timeout',
      rusage: { cpuSeconds: event.cpu, peakMemoryBytes: event.peakBytes },
      tests: found?.tests ?? null,
      expected: this.#expectedOf(number),
      ...this.#leftBy(number, event, found),
      ...this.#casesOf(found?.cases),
      history: this.#attempts.get(number),
      ended: describeEnd(returncode),
    };
  }

  /** Seconds by the history, before this run. */
  #expectedOf(number) {
    return this.#expected[Math.floor(number / this.runs)] || null;
  }

  /** What an attempt left to read. */
  #leftBy(number, event, found) {
    return {
      stdout: counts.printed(this.#commands[number], event.stdout),
      stderr: event.stderr,
      failures: found?.failures ?? [],
    };
  }

  #casesOf(cases = []) {
    return this.#settings.cases ? { cases } : {};
  }

  #cost(attempts) {
    const sum = (key) => attempts.reduce((all, one) => all + one[key], 0);
    const cpuSeconds = sum('cpuSeconds');
    const price = this.#settings.pricePerCpuHour;
    return {
      cpuSeconds,
      wallSeconds: sum('seconds'),
      peakMemoryBytes: Math.max(...attempts.map((one) => one.peakMemoryBytes)),
      price: price === null ? null : (cpuSeconds / 3600) * price,
    };
  }

  /** The result of a file that has none, as the run was stopped before. */
  #notRun(number) {
    const history = this.#attempts.get(number) ?? [];
    return {
      file: this.#file(number),
      outcome: 'not_run',
      passed: false,
      attempts: history.length,
      returncode: null,
      duration: 0,
      timedOut: false,
      stdout: '',
      stderr: '',
      rusage: { cpuSeconds: 0, peakMemoryBytes: 0 },
      tests: null,
      expected: this.#expectedOf(number),
      failures: [],
      ...this.#casesOf(),
      history,
      ended: 'not run: the run was stopped',
    };
  }

  /** One of each command, in their order; of those alone that this node ran, where others have
   * a part. */
  allResults() {
    return this.resultsByFile().flat();
  }

  /** Of each file what `allResults` has of it. */
  resultsByFile() {
    const found = this.files.map(() => []);
    for (const number of this.#commands.keys()) {
      if (this.#settings.shared && !this.results.has(number)) continue;
      const one = this.results.get(number) ?? this.#notRun(number);
      found[Math.floor(number / this.runs)].push(one);
    }
    return found;
  }
}

module.exports = { Run, describeEnd, filesOf };
