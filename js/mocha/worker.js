'use strict';
// A worker of a mocha run: loads all spec files as mocha does, then claims files, runs
// what they define, and sends mocha's events. Started by the core; finds its run by
// QE_WORKER and QE_MOCHA_RUN.

const fs = require('node:fs');
const path = require('node:path');
const util = require('node:util');
const v8 = require('node:v8');

const qe = require('../addon');
const { MOMENTS, change, changeEntropy } = require('../changes');
const { Handles } = require('../handles');
const natives = require('../natives');
const { encode } = require('../plain');
const { Journal, Progress, nameOf } = require('../progress');
const { SeededRandom } = require('../random');
const { ownTemporary } = require('../scratch');
const { arrange, keysOf } = require('./arrange');
const { pack } = require('./errors');
const { Watchdog, stackFile } = require('../watchdog');
const messages = require('./messages');
const { isModule, mochaModules } = require('./modules');
const { shuffle } = require('./order');
const { captureOutput } = require('./output');
const { ROOT, Owners, describe, digest } = require('./tree');
const { keyOf, makeUnitRunner, removeFinished } = require('./unit-runner');

const POLL_MS = 5;
const MOST_TRIES = 3; // at one place between tests

/** How far a file's attempts have come. */
function reached({ done, lost }) {
  return [...done.keys()].filter((key) => !nameOf(key).startsWith('a')).length + lost.size;
}

class SpecWorker {
  constructor(core, run) {
    this.core = core;
    this.run = run;
    this.job = core.job();
    this.open = false; // what is printed is sent
    this.waits = false; // files are loaded before the pass starts
    this.claim = null;
    this.loads = -1; // the file that was loaded last
    this.stage = 1;
    this.journal = null;
    this.handles = new Handles();
    this.ahead = 0; // ms: the clock that tests see, of the true one
    this.names = run.files.map((file) => path.relative('', file));
    this.news = new Map(); // descriptions that are not sent yet, by thing
    const { folder, timeout, maxWorkerRss } = run;
    this.stop = path.join(folder, 'stop');
    this.watchdog = timeout ? new Watchdog(timeout, stackFile(folder, this.job.slot)) : null;
    this.mostMemory = maxWorkerRss ?? Infinity;
    Object.assign(this, mochaModules(run.root));
    process.env.MOCHA_WORKER_ID = String(this.job.slot);
    captureOutput(this);
  }

  /** What runs from now on has the time limit. */
  limit(phase) {
    if (this.waits) return;
    this.watchdog?.begin();
    this.core.phase(phase);
  }

  send(kind, value) {
    this.core.send(kind, encode(value));
  }

  // ------------------------------------------------------------------- loading

  #loading(slot, epoch) {
    return path.join(this.run.folder, `loading.${slot}.${epoch}`);
  }

  /**
   * Files that end their worker when they are loaded: one that took its time limit, or
   * two of this slot. A single crash may have come from elsewhere.
   */
  #unloadable() {
    const found = new Set();
    const crashed = new Set();
    const limit = this.run.timeout * 1000 || Infinity;
    for (let epoch = 0; epoch < this.job.epoch; epoch++) {
      try {
        const marker = this.#loading(this.job.slot, epoch);
        const index = Number(fs.readFileSync(marker, 'utf8'));
        const hung = natives.dateNow() - fs.statSync(marker).mtimeMs >= limit;
        if (hung || crashed.has(index)) found.add(index);
        crashed.add(index);
      } catch {
        // that one has loaded all
      }
    }
    return found;
  }

  async load() {
    const { Mocha, helpers } = this;
    const options = { ...this.run.options };
    const { rootHooks } = await helpers.handleRequires(options.require, {
      ignoredPlugins: ['mochaGlobalSetup', 'mochaGlobalTeardown'],
    });
    helpers.validateLegacyPlugin(options, 'ui', Mocha.interfaces);
    this.mocha = new Mocha({ ...options, rootHooks, reporter: this.#reporter() });
    const { suite } = this.mocha;
    const { constants } = Mocha.Suite;
    this.marker = this.#loading(this.job.slot, this.job.epoch);
    this.owners = new Owners(suite, this.run.files, constants);
    this.unloadable = this.#unloadable();
    suite.on(constants.EVENT_FILE_PRE_REQUIRE, (context, file) => {
      const index = this.run.files.indexOf(file);
      this.owners.enter(index);
      this.loads = index;
      fs.writeFileSync(this.marker, String(index));
      this.random?.begin(path.relative('', file));
      this.limit(qe.CALL); // each file has the time limit
    });
    const ready = options.delay && new Promise((resolve) => suite.once('run', resolve));
    const numbered = this.run.files.map((file, index) => [file, index]);
    this.mocha.files = numbered.filter(([, i]) => !this.unloadable.has(i)).map(([file]) => file);
    await this.mocha.loadFilesAsync();
    this.#loadEnds();
    await ready;
    this.mocha.options.delay = false;
    Object.assign(this, describe(suite, this.owners));
    if (this.run.hunts) this.keys = keysOf(this.parts); // before `.only` is obeyed
  }

  #loadEnds() {
    if (this.marker && natives.existsSync(this.marker)) natives.unlinkSync(this.marker);
  }

  /** Loads, tells what there is, and waits until the parent says that tests may run. */
  async prepare() {
    try {
      await this.load();
    } catch (error) {
      this.#loadEnds(); // it has not ended its worker
      this.#startLate();
      const packed = pack(error, this.Mocha.reporters.Base);
      const file = this.run.files[this.loads];
      this.send(messages.LOAD_ERROR, { ...packed, shown: util.inspect(error), file });
      return false;
    }
    this.seconds = natives.now() / 1000; // since this process began
    const go = path.join(this.run.folder, 'go');
    if (!natives.existsSync(go)) this.send(messages.TREE, this.tree);
    this.watchdog?.end();
    if (!this.waits) this.core.phase(qe.TEARDOWN); // waiting has no limit
    const pause = (resolve) => natives.setTimeout(resolve, POLL_MS);
    while (!natives.existsSync(go)) await new Promise(pause);
    const { environment, digests } = natives.parse(natives.readFileSync(go, 'utf8'));
    for (const [name, value] of Object.entries(environment)) {
      if (value === null) delete process.env[name];
      else process.env[name] = value;
    }
    this.digests = digests;
    this.handles.begin();
    this.send(messages.READY, this.seconds);
    return true;
  }

  // ------------------------------------------------------------------- running

  next() {
    if (!this.claim) {
      if (natives.residentBytes() > this.mostMemory) return null; // another takes its place
      const claim = this.core.claim(true);
      if (!claim || !this.core.start(claim)) return null;
      this.#begin(claim);
    }
    this.began = natives.now(); // the first waited until all were loaded
    const files = this.run.passes ? this.run.mine : [this.claim.item];
    for (const index of files) {
      const described = this.tree.files[index];
      if (digest(described) !== this.digests[index]) this.send(messages.FILE, [index, described]);
      if (this.unloadable.has(index)) this.send(messages.UNLOADABLE, index);
    }
    const part = this.#part(files);
    const progress = new Progress(this.#journalFile());
    this.progress = progress;
    if (progress.attempts > 0) removeFinished(part, this.numbers, progress);
    const root = [...progress.lost].some((key) => nameOf(key).startsWith('root'));
    const none = files.every((index) => this.unloadable.has(index));
    const over = root || this.#isStuck(progress) || none;
    this.journal = new Journal(this.#journalFile());
    const { slot, epoch } = this.job;
    const mark = `a${reached(progress)}.${progress.attempts}.${slot}.${epoch}`;
    this.journal.done(mark, 'attempt');
    this.stage = part.tests.length > 0 && !over ? 0 : 1;
    return over ? { tests: [], suites: [] } : part;
  }

  /** What these files have given the root suite, in the order of the claimed pass. */
  #part(files) {
    const parts = files.map((index) => this.parts[index]);
    const part = {
      tests: parts.flatMap(({ tests }) => tests),
      suites: parts.flatMap(({ suites }) => suites),
    };
    const fileOf = (thing) => this.numbers.get(thing)[0];
    const { seed, order, spec } = this.#pass() ?? {};
    if (spec) arrange(part, spec, this.keys, fileOf);
    else if (order === 'shuffled') shuffle(part, seed, (thing) => this.run.files[fileOf(thing)]);
    return part;
  }

  /** What is known of the claimed pass; `spec`: what a hunt says of it. */
  #pass() {
    const { folder, hunts, passes } = this.run;
    const { item } = this.claim;
    if (!hunts || item < passes.length) return passes?.[item];
    const spec = v8.deserialize(natives.readFileSync(path.join(folder, `pass.${item}`)));
    return { seed: spec.seed, order: spec.condition, temporary: spec.temporary, spec };
  }

  /** Whether workers die between this file's tests, and get no further. */
  #isStuck(progress) {
    const here = `a${reached(progress)}.`;
    const tries = [...progress.done.keys()].filter((key) => nameOf(key).startsWith(here));
    return progress.stuck && tries.length >= MOST_TRIES;
  }

  #journalFile() {
    return path.join(this.run.folder, `${this.claim.unit}.progress`);
  }

  #begin(claim) {
    this.claim = claim;
    this.failed = false;
    [this.file] = this.run.mine;
    this.began = natives.now();
    this.open = true;
    this.limit(qe.CALL);
  }

  stageEnds() {
    if (this.stage === 0) this.send(messages.STAGE, null);
    this.stage = 1;
  }

  finish(stopped) {
    this.stageEnds();
    if (stopped) this.send(messages.STOP, null);
    if (!this.run.passes) this.handles.note(this.run.files[this.claim.item]);
    this.journal?.end();
    this.watchdog?.end();
    this.core.phase(qe.TEARDOWN);
    const seconds = (natives.now() - this.began) / 1000;
    this.core.finish(this.failed ? qe.FAILED : qe.PASSED, natives.bufferFrom(String(seconds)));
    this.claim = null;
  }

  end() {
    this.limit(qe.SESSION);
  }

  /** Mocha's reporter in this process: sends the events that real reporters get. */
  #reporter() {
    const worker = this;
    const { Mocha } = this;
    const { constants } = Mocha.Runner;
    const { stringify } = Mocha.utils;
    const { Base } = Mocha.reporters;
    const steps = [constants.EVENT_TEST_BEGIN, constants.EVENT_HOOK_BEGIN];
    const ends = [
      constants.EVENT_TEST_END,
      constants.EVENT_TEST_RETRY,
      constants.EVENT_HOOK_END,
      constants.EVENT_SUITE_END,
    ];

    // What reporters compare must be text before it leaves, and must not throw: where
    // mocha's own way to make it that does, each side by itself.
    const stringified = (error) => {
      try {
        if (!Base.showDiff(error)) return;
        if (typeof error.actual === 'string' && typeof error.expected === 'string') return;
        for (const side of ['actual', 'expected']) {
          try {
            error[side] = stringify(error[side]);
          } catch (thrown) {
            error[side] = `[Throws: ${thrown?.message}]`;
          }
        }
      } catch {
        // the error is shown without a difference
      }
    };

    return class Sender extends Base {
      constructor(runner, options) {
        super(runner, options);
        const [stock] = runner.listeners(constants.EVENT_TEST_FAIL).slice(-1);
        runner.off(constants.EVENT_TEST_FAIL, stock);
        runner.on(constants.EVENT_TEST_FAIL, (test, error) => {
          try {
            stock(test, error);
          } catch {
            stringified(error);
            stock(test, error);
          }
        });
        for (const name of steps) runner.on(name, (thing) => worker.step(name, thing));
        for (const name of ends) runner.on(name, (thing, error) => worker.over(name, thing, error));
        runner.on(constants.EVENT_SUITE_BEGIN, (suite) => worker.event('suite', suite));
        runner.on(constants.EVENT_TEST_PASS, (test) => worker.event('pass', test));
        runner.on(constants.EVENT_TEST_PENDING, (test) => worker.event('pending', test));
        runner.on(constants.EVENT_TEST_FAIL, (thing, error) => worker.fail(thing, error));
      }
    };
  }

  /** The name of a thing in the journal; undefined where it is not of this load. */
  #key(thing) {
    return this.#id(thing) && keyOf(thing, this.numbers);
  }

  step(name, thing) {
    this.limit(this.claim ? qe.CALL : qe.SESSION); // each has the time limit
    if (natives.existsSync(this.stop)) this.runner.abort();
    const key = this.#key(thing);
    if (key && this.claim) this.journal.start(key);
    if (thing.type === 'test') this.random?.begin(this.#nameOf(thing));
    this.event(name, thing);
  }

  /** What a test is called by its random numbers, whatever else there is. */
  #nameOf(test) {
    const key = this.keys?.get(test.retriedTest?.() ?? test) ?? test.fullTitle();
    return `${this.names[this.file] ?? ''} ${key}`;
  }

  over(name, thing, error) {
    this.limit(this.claim ? qe.CALL : qe.SESSION); // and so has what comes between
    this.event(name, thing, error);
    const key = this.#key(thing);
    if (key && this.claim) this.journal.done(key, thing.state ?? name);
    const { parent } = thing;
    if (!this.claim || this.progress.attempts === 0 || thing.type !== 'hook') return;
    if (!parent.root && parent._beforeAll.includes(thing)) this.#removeAdded(parent);
  }

  fail(thing, error) {
    this.failed = true;
    this.event('fail', thing, error);
    if (thing.type === 'hook' && this.claim) this.journal.done(this.#key(thing), 'failed');
  }

  event(name, thing, error) {
    // Mocha says these two in a row: they go in one, unless a leak is told between them.
    if (name === 'pass') {
      this.passed = thing;
      return;
    }
    if (this.passed && name === 'fail') this.#tell('pass', this.passed);
    this.#tell(name, thing, error);
  }

  #tell(name, thing, error) {
    const message = { name, stage: this.stage, id: this.#id(thing) ?? null };
    if (this.news.has(thing)) message.added = this.news.get(thing);
    this.news.delete(thing);
    if (thing.type) message.patch = this.#patch(thing);
    else message.patch = { pending: Boolean(thing.pending) }; // a hook above it may skip it
    const current = thing.type === 'hook' ? thing.ctx?.currentTest : undefined;
    if (current) message.current = this.numbers.get(current);
    if (name === 'test' || name === 'hook') message.at = natives.dateNow() - this.ahead;
    if (!message.id) message.title = thing.title;
    else if (message.id[0] !== ROOT) [this.file] = message.id;
    if (error !== undefined) message.error = pack(error, this.Mocha.reporters.Base);
    if (name === 'test end' && this.passed === thing) message.passed = true;
    this.passed = null;
    this.send(messages.EVENT, message);
  }

  /** What a thing is called; what was added at run time is described at its first event. */
  #id(thing) {
    if (this.claim && !this.numbers.get(thing)) {
      const added = this.describers[this.#fileOf(thing)].added(thing);
      if (added) this.news.set(thing, added);
    }
    return this.numbers.get(thing);
  }

  /** The file that has added something at run time: what stands at the root was added by
   * what has run last. */
  #fileOf(thing) {
    if (!this.run.passes) return this.claim.item;
    const [file] = this.numbers.get(thing.parent) ?? [ROOT];
    return file === ROOT ? this.file : file;
  }

  /** A hook may have added what an earlier attempt has run. */
  #removeAdded(suite) {
    for (const thing of [...suite.tests, ...suite.suites]) this.#id(thing);
    removeFinished({ tests: [], suites: [suite] }, this.numbers, this.progress);
  }

  #patch(thing) {
    return {
      title: thing.title,
      state: thing.state,
      pending: Boolean(thing.pending),
      duration: thing.duration,
      timedOut: thing.timedOut,
      _currentRetry: thing._currentRetry,
      _retries: thing._retries,
      _slow: thing._slow,
      _timeout: thing._timeout,
    };
  }

  /**
   * Whether a pass that is about a moment is to start once all is loaded. A worker that
   * has ended before that is followed by one that starts at once, and whose end counts.
   */
  #isLate({ item }, around) {
    if (!around.some((name) => MOMENTS.includes(name))) return false;
    const marker = path.join(this.run.folder, `late.${item}`);
    if (natives.existsSync(marker)) return false;
    natives.writeFileSync(marker, '');
    return true;
  }

  #startLate() {
    if (!this.waits) return true;
    this.waits = false;
    return this.core.start(this.late);
  }

  async work() {
    const { around, refused } = change(this.core);
    const claim = this.core.claim(true);
    if (!claim) return;
    this.waits = this.#isLate(claim, around);
    this.late = claim;
    if (!this.waits && !this.core.start(claim)) return;
    this.#begin(claim);
    const pass = this.#pass();
    if (pass) this.random = new SeededRandom(pass.seed);
    if (this.run.hunts) ownTemporary(this.run.folder, pass.temporary);
    this.random?.install(Math);
    changeEntropy(around, () => this.random.next());
    if (!(await this.prepare())) {
      this.core.finish(qe.FAILED, natives.bufferFrom(''));
      return;
    }
    if (!this.#startLate()) return;
    this.ahead = this.core.ahead() * 1000;
    if (refused.length > 0) this.send(messages.REFUSED, refused);
    this.limit(qe.CALL);
    this.mocha._runnerClass = makeUnitRunner(this.Mocha.Runner, {
      next: () => this.next(),
      isLast: () => Boolean(this.run.passes) || this.claim.item === this.run.last,
      stage: () => this.stageEnds(),
      added: () => (this.stage = 2),
      finish: (stopped) => this.finish(stopped),
      end: () => this.end(),
    });
    this.mocha.cleanReferencesAfterRun(false);
    await new Promise((resolve) => (this.runner = this.mocha.run(resolve)));
    if (this.claim) this.finish(true); // an error outside of all suites ends mocha's run
    this.limit(qe.SESSION);
    const patience = this.run.timeout * 500 || Infinity; // half the time limit
    for (const found of await this.handles.left(patience)) this.send(messages.OPEN, found);
  }
}

async function main() {
  const core = new qe.Worker();
  const run = v8.deserialize(fs.readFileSync(process.env.QE_MOCHA_RUN));
  delete process.env.QE_MOCHA_RUN;
  process.argv = run.argv;
  Error.stackTraceLimit = Infinity; // as mocha's command line has it
  const worker = new SpecWorker(core, run);
  // What tests see as require.main: from mocha 12 on it is an ES module, so there is none.
  if (isModule(run.root)) process.mainModule = undefined;
  else module.filename = process.argv[1];
  await worker.work();
  worker.send(messages.LEAVING, null);
  worker.limit(qe.SESSION);
  natives.onProcess('exit', () => core.bye()); // behind the listeners of tests, which may hang
}

main().then(
  () => natives.exit(0),
  (error) => {
    natives.writeSync(2, `qe-mocha: internal error in a worker: ${error?.stack ?? error}\n`);
    natives.exit(1);
  },
);
