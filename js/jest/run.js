'use strict';
// One run of test files: what the core tells of its workers becomes what jest hears.

const fs = require('node:fs');
const os = require('node:os');
const path = require('node:path');
const v8 = require('node:v8');

const qe = require('../addon');
const { describe } = require('../ending');
const { planPasses } = require('../flaky');
const { huntOf } = require('../options');
const { decode } = require('../plain');
const { attemptOf, lossesOf, noteLoss } = require('../progress');
const { QueueNode } = require('../queue/node');
const { holdsTexts } = require('../recording');
const { parse } = require('../replay');
const { UsageError } = require('../usage');
const { LOOK, hangText, readStack, stackFile } = require('../watchdog');
const { FlakyFile } = require('./flaky');
const { JestHunt, JestReplay, WHOLE } = require('./hunt');
const messages = require('./messages');
const { outputOf } = require('./output');
const { Reports } = require('./reports');
const { FileResult } = require('./results');
const { toldOf } = require('./told');
const { typedOf } = require('./typed');

const WORKER = path.join(__dirname, 'worker.js');
const MOST_ATTEMPTS = 1000; // at one file, those that go on behind a lost test included
const { SIGKILL } = os.constants.signals;
const SIGNALS = ['SIGINT', 'SIGTERM', 'SIGHUP']; // that end the run

/** What was asked of jest; where nothing was, the processors that there are for us. */
function defaultWorkers({ maxWorkers, watch, watchAll }) {
  const processors = os.availableParallelism();
  const usual = watch || watchAll ? Math.floor(processors / 2) : processors - 1;
  return maxWorkers === Math.max(usual, 1) ? qe.cpuCount() : maxWorkers;
}

class Run {
  #chain = Promise.resolve();
  #files = new Map(); // by unit
  #flaky = new Map(); // by item, where there are several passes

  constructor(runner, tests, watcher, folder) {
    this.runner = runner;
    this.tests = tests;
    this.folder = folder;
    this.interrupted = false;
    this.queue = null; // this node's part, where a run has several
    this.failures = 0;
    this.left = new Map(); // the kinds of handles that files have left open
    const { globalConfig, options } = runner;
    const seed = options.flakySeed ?? globalConfig.seed;
    const { replay } = options;
    const recipe = replay === undefined ? null : parse(replay, globalConfig.rootDir);
    const hunts = huntOf(options, seed) ?? recipe;
    const { randomize } = globalConfig;
    this.passes = options.flaky && !hunts ? planPasses(options.flaky, { seed, randomize }) : null;
    this.reports = new Reports(globalConfig, options, this.passes);
    const workers = options.workers ?? defaultWorkers(globalConfig);
    this.hunt = hunts ? this.#hunt(hunts, workers, recipe ? JestReplay : JestHunt) : null;
    process.env.QE_JEST_RUN = this.#describe();
    this.units = this.#units();
    this.workers = hunts ? workers : Math.min(workers, this.units.length);
    this.recipe = recipe;
    this.watcher = watcher;
    this.finished = new Promise((resolve, reject) => {
      this.resolve = resolve;
      this.reject = reject;
    });
  }

  /** Starts workers, once this node has come to the run, where there are others. */
  async start() {
    const { hunt, recipe, runner, units, watcher } = this;
    const { options } = runner;
    if (QueueNode.wanted && !(await this.#join(QueueNode.wanted))) return;
    const { FORCE_COLOR: asked } = process.env;
    // What workers say is in colours where jest's own words are, whatever they write to.
    if (runner.jest.colours) process.env.FORCE_COLOR = '1';
    else if (process.stdout.isTTY) process.env.FORCE_COLOR = '0';
    this.session = new qe.Session(
      units,
      {
        argv: [
          process.execPath,
          ...process.execArgv.filter((a) => !a.startsWith('--inspect')),
          WORKER,
        ],
        workers: this.workers,
        callOnly: true,
        lazyEvents: true, // nobody sees some milliseconds
        isolate: this.passes !== null,
        inOrder: this.passes !== null, // else a file's passes would wait for each other
        source: this.queue?.source,
        retriesElsewhere: this.queue ? options.retries : 0,
        spare: hunt?.spare,
        spareRetries: MOST_ATTEMPTS,
        spareTimeout: this.#limit,
        backoff: options.retries > 0 ? options.backoff : 0,
        publish: this.#publishing(),
      },
      (events, end) => this.take(events, end),
    );
    this.queue?.start();
    if (recipe) hunt.feed(this.session); // no pass begins with the run
    if (asked === undefined) delete process.env.FORCE_COLOR;
    else process.env.FORCE_COLOR = asked;
    watcher.on?.('change', (state) => {
      if (state.interrupted) this.stop();
    });
    this.onSignal = (name) => this.end(name);
    for (const name of SIGNALS) process.on(name, this.onSignal);
  }

  /** This node's part in a run, whose files are the same on all. False: nothing is left of it. */
  async #join(wanted) {
    const { globalConfig } = this.runner;
    if (globalConfig.watch || globalConfig.watchAll) {
      throw new UsageError('--queue: a run that watches is on one node');
    }
    const { workers, units } = this;
    this.queue = new QueueNode(wanted, units, {
      workers,
      maxFailures: globalConfig.bail,
      program: 'qe-jest',
    });
    if (await this.queue.join()) return true;
    this.reports.finish({ workers: 0, interrupted: false });
    await this.#leave();
    this.resolve();
    return false;
  }

  #publishing() {
    const names = this.tests.map((test) => this.reports.name(test));
    return this.reports.recording.publishing(names);
  }

  /** What workers must know, in a file. */
  #describe() {
    const { core, context, globalConfig, options: own } = this.runner;
    // With a queue what fails runs again as a whole, by another claim.
    const options = QueueNode.wanted ? { ...own, retries: 0, elsewhere: true } : own;
    const projects = {};
    for (const { context: own } of this.tests) {
      projects[own.config.id] ??= { config: own.config, moduleMap: own.moduleMap.toJSON() };
    }
    const file = path.join(this.folder, 'run');
    const run = {
      core,
      context,
      folder: this.folder,
      globalConfig,
      options,
      passes: this.passes,
      hunts: this.hunt && (this.hunt.hunting.first ?? { isReplay: true }),
      holdsTexts: holdsTexts(options),
      projects,
      tests: this.tests.map((test) => ({ path: test.path, project: test.context.config.id })),
    };
    fs.writeFileSync(file, v8.serialize(run), { mode: 0o600 });
    return file;
  }

  /** Seconds for a test, from where its worker is killed. */
  get #limit() {
    const { timeout } = this.runner.options;
    return timeout && timeout + LOOK;
  }

  #hunt(what, workers, Kind) {
    const { folder, reports } = this;
    const { rootDir: root } = this.runner.globalConfig;
    const words = process.argv.slice(2); // jest's own: ours are not among them any more
    const hunt = new Kind(what, this.tests, {
      folder,
      root,
      limit: this.#limit,
      workers,
      nameOf: (test) => reports.name(test),
      idOf: (test, key) => reports.id(test, key),
      counts: () => reports.recording.counts(),
      failed: (event, key, result) => this.#failedWithFile(event, key, result),
      typed: () => typedOf(words, root, this.runner.options.timeout),
    });
    reports.hunting = hunt.hunting;
    return hunt;
  }

  /** A test has failed as its file could not be run in a pass. */
  #failedWithFile(event, key, result) {
    const own = { ...event, test: this.tests[event.item] };
    if (key === WHOLE) this.reports.broken(own, { message: result.failureMessages[0] });
    else this.reports.attempt(own, key, result);
  }

  #units() {
    if (this.hunt && !this.hunt.hunting.first) return []; // a replay says what runs
    if (QueueNode.wanted) return this.#shared();
    return (this.passes ?? [{ pass: 0 }]).flatMap(({ pass }) =>
      this.tests.map((test, item) => ({
        id: `${test.context.config.id}:${test.path}`,
        item,
        pass,
        retries: MOST_ATTEMPTS,
        timeout: this.#limit,
        ...this.reports.turn(test),
      })),
    );
  }

  /** Files as all nodes name and order them, whatever each knows of their times. */
  #shared() {
    const named = this.tests.map((test, item) => ({
      id: this.reports.name(test),
      item,
      retries: MOST_ATTEMPTS,
      timeout: this.#limit,
      expected: this.reports.turn(test).expected,
    }));
    return named.sort((a, b) => (a.id < b.id ? -1 : 1));
  }

  stop() {
    this.interrupted = true;
    this.session.kill();
  }

  /** A signal to us: nothing is left behind, and what a hunt knows is told and kept. */
  end(name) {
    const first = !this.interrupted;
    this.interrupted = true;
    this.session.close();
    if (this.hunt && first) {
      for (const file of this.#files.values()) file.captured?.close();
      this.hunt.interrupt();
      const { globalConfig, jest } = this.runner;
      for (const [item, test] of this.tests.entries()) {
        const ended = this.hunt.conclude(item, jest, globalConfig);
        if (ended.result || ended.failure) this.reports.file(test, ended);
      }
      this.reports.finish({ workers: this.workers, interrupted: true });
    }
    for (const each of SIGNALS) process.off(each, this.onSignal);
    if (this.queue) this.queue.die(name);
    else process.kill(process.pid, name);
  }

  /** Events in their order, each when what the one before told has been heard. */
  take(events, end) {
    this.#chain = this.#chain.then(async () => {
      for (const event of events) if (!this.interrupted) await this.handle(event);
      if (!end) return;
      if (this.hunt) await this.#concludeHunt();
      await this.#leave();
      for (const name of SIGNALS) process.off(name, this.onSignal);
      this.reports.finish({ workers: this.workers, interrupted: this.interrupted });
      for (const [file, kinds] of this.left) {
        const name = path.relative(this.runner.globalConfig.rootDir, file);
        process.stderr.write(`qe-jest: ${name} leaves open: ${kinds.join(', ')}\n`);
      }
      if (this.gaveUp) throw new Error(this.gaveUp);
      this.resolve();
    });
    this.#chain.catch((error) => {
      this.stop();
      this.reject(error);
    });
  }

  async handle(event) {
    const test = this.tests[event.item];
    const file = this.#files.get(event.unit);
    switch (event.kind) {
      case qe.EV_START:
        if (!file) await this.#begin(event, test);
        this.#beginAttempt(event);
        break;
      case qe.EV_DATA:
        await this.#data(event, file, test);
        break;
      case qe.EV_FINISH:
        if (!event.again) await this.#conclude(event, file, test);
        break;
      case qe.EV_LOST:
        await this.#lost(event, file, test);
        break;
      case qe.EV_GIVE_UP:
        this.gaveUp = 'qe-jest: no worker can be started';
        break;
      case qe.EV_SOURCE:
        break; // `finish` has what the queue has said
      default:
    }
  }

  async #begin(event, test) {
    this.#files.set(event.unit, new FileResult(test, event.start * 1000));
    if (this.#flaky.has(event.item) || (this.hunt && event.pass > 0)) return;
    if (this.passes) this.#flaky.set(event.item, new FlakyFile(test, this.passes));
    await this.runner.emit('test-file-start', [test]);
  }

  /** A worker begins with a file, or goes on with it. */
  #beginAttempt(event) {
    const file = this.#files.get(event.unit);
    file.captured?.close();
    file.begin(event, this.hunt?.asks(event.pass) ? null : this.reports.recording.captured());
  }

  /** Of several passes jest hears at their end. */
  async #emitCase(name, value) {
    if (!this.passes && !this.hunt) await this.runner.emit(name, value);
  }

  async #data(event, file, test) {
    if (event.dataKind === messages.OUTPUT) {
      file?.captured?.add(...outputOf(event.data)); // what comes between files is of none
      return;
    }
    const value = decode(event.data);
    switch (event.dataKind) {
      case messages.CASE_START:
        file.start(value[2], value[1]);
        await this.#emitCase('test-case-start', value.slice(0, 2));
        break;
      case messages.CASE_RESULT:
        file.done(value[2], value[1], value[3]);
        if (!this.hunt?.asks(event.pass)) this.reports.attempt(file, value[2], value[1]);
        file.captured?.over(value[2]);
        // What jest itself may run again has failed when the file has ended.
        if (!value[3]) this.hunt?.result(event, value[2], file.cases.get(value[2]));
        await this.#emitCase('test-case-result', value.slice(0, 2));
        break;
      case messages.HOOK:
        file.hooked(...value);
        break;
      case messages.REFUSED:
        this.hunt.refuse(...value);
        break;
      case messages.KNOWN:
        file.error = null;
        break;
      case messages.OPEN:
        this.left.set(...value);
        break;
      case messages.FILE_RESULT:
        file.ended(...value);
        break;
      case messages.FILE_ERROR:
        file.ended(undefined, undefined, Object.assign(new Error(value.message), value));
        break;
      default:
        throw new Error(`unknown message ${event.dataKind} of ${test.path}`);
    }
  }

  /** Why a worker was lost: a message, where it says where, with the lines of a stack. */
  #reason(event) {
    if (event.outcome !== qe.TIMEOUT) {
      const file = path.join(this.folder, `${event.slot}.report`);
      return `Crashed: its worker ${describe(event.status, file)}`;
    }
    const { timeout } = this.runner.options;
    const stack = readStack(stackFile(this.folder, event.slot));
    return hangText(timeout, stack) + (stack && `\n${stack}`);
  }

  async #lost(event, begun, test) {
    const progress = path.join(this.folder, `${event.unit}.progress`);
    const by = attemptOf(event.pid, event.attempt);
    if (event.outcome === qe.NONE) {
      // What it had sent last cannot be read: no fault of the file's.
      noteLoss(progress, by, true, [], begun?.statuses() ?? []);
      return;
    }
    if (!begun) {
      await this.#begin(event, test); // its worker was lost before it could say so
      this.#beginAttempt(event);
    }
    const file = this.#files.get(event.unit);
    // Nothing but a limit of time or an end of its own has its reason in the file.
    const killed = event.outcome === qe.CRASHED && (event.status & 0x7f) === SIGKILL;
    const lost = file.lost(this.#reason(event), Date.now(), killed);
    if (lost.length === 0) file.lostBy = event.outcome;
    const keys = lost.map(([key]) => key);
    noteLoss(progress, by, killed, keys, file.statuses());
    for (const [key, result] of lost) {
      file.endings.set(key, event.outcome);
      const isAsked = this.hunt?.asks(event.pass); // that is told as a cause
      if (!isAsked) this.reports.attempt(file, key, result, event.outcome);
      this.hunt?.result(event, key, result, event.outcome);
      await this.#emitCase('test-case-result', [test.path, result]);
    }
    if (!event.again) await this.#conclude(event, file, test);
  }

  async #conclude(event, file, test) {
    const { unit, item, pass } = event;
    this.#files.delete(unit);
    const { globalConfig, jest } = this.runner;
    const now = Date.now();
    const isAsked = this.hunt?.asks(pass);
    if (!isAsked) this.reports.took(test, (now - file.started) / 1000);
    const failure = file.whyNone();
    const result = failure ? undefined : file.merge(jest, globalConfig, now);
    const error = failure ?? result?.testExecError;
    if (this.queue) {
      // Before the queue can give it to us again, nothing is known of it.
      if (event.elsewhere) this.#forget(file, unit);
      const told = toldOf(file, error, now, event);
      this.queue.tell(event, told);
      if (event.elsewhere) return;
      await this.#bail(told);
    }
    // Behind the first pass of a hunt its tests are known, which have failed with it.
    if (error && (pass === 0 || !this.hunt)) this.reports.broken(file, error);
    file.captured?.close();
    let ended = { failure, result, tests: [...file.tests()] };
    if (this.hunt) {
      for (const key of file.open) this.hunt.result(event, key, file.cases.get(key));
      if (this.hunt.ended(event, ended)) this.hunt.feed(this.session);
      return;
    }
    if (this.passes) {
      const flaky = this.#flaky.get(item);
      if (!flaky.add(pass, ended)) return;
      ended = flaky.conclude(jest, globalConfig);
      for (const [, result] of ended.tests) {
        await this.runner.emit('test-case-result', [test.path, result]);
      }
    }
    await this.#tell(test, ended);
  }

  /** What has failed here runs again on another node, as if nobody had run it. */
  #forget(file, unit) {
    file.captured?.close();
    const progress = path.join(this.folder, `${unit}.progress`);
    for (const each of [progress, lossesOf(progress)]) fs.rmSync(each, { force: true });
    const name = this.reports.name(file.test);
    process.stderr.write(
      `qe-jest: ${name} has failed: another node runs it again, if there is one\n`,
    );
  }

  /** Jest is about to end this process: the other nodes are to hear before. */
  async #bail({ attempt }) {
    const { bail } = this.runner.globalConfig;
    this.failures += attempt.failures.length;
    if (bail === 0 || this.failures < bail) return;
    this.queue.stop();
    await this.#leave();
  }

  /** This node's part in the run is over. */
  async #leave() {
    if (!this.queue) return;
    await this.queue.finish();
    this.queue.conclude();
  }

  async #tell(test, ended) {
    this.reports.file(test, ended);
    if (ended.result) await this.runner.emit('test-file-success', [test, ended.result]);
    else await this.runner.emit('test-file-failure', [test, ended.failure]);
  }

  /** What a hunt has found, told file by file. */
  async #concludeHunt() {
    const { globalConfig, jest } = this.runner;
    for (const [item, test] of this.tests.entries()) {
      const ended = this.hunt.conclude(item, jest, globalConfig);
      if (!ended.result && !ended.failure) continue; // the run has ended before it
      for (const [, result] of ended.tests) {
        await this.runner.emit('test-case-result', [test.path, result]);
      }
      await this.#tell(test, ended);
    }
  }
}

module.exports = { Run };
