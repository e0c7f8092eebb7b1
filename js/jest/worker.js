'use strict';
// A worker of a jest run: claims files, runs them by jest's own runner, sends what it
// reports. Started by the core; finds its run by QE_WORKER and QE_JEST_RUN.

const path = require('node:path');
const v8 = require('node:v8');

const qe = require('../addon');
const { change, changeEntropy } = require('../changes');
const { writeReason } = require('../ending');
const { Handles } = require('../handles');
const { existsSync, readFileSync, writeFileSync, writeSync } = require('../natives');
const { encode } = require('../plain');
const { Journal, Names, Progress, attemptOf } = require('../progress');
const { SeededRandom } = require('../random');
const { isAlive, ownTemporary } = require('../scratch');
const { jestModules } = require('./modules');
const messages = require('./messages');
const { Printing } = require('./output');
const { FileRun, listen } = require('./circus');
const { Watchdog, stackFile } = require('../watchdog');
const scriptCache = require('./script-cache');

const AGAIN = Buffer.from('R');
const ELSEWHERE = Buffer.from('E');
const NO_MORE = Buffer.alloc(0);
const OVER = 'over';
const POLL_MS = 5;
const MOST_WAIT_MS = 30_000; // a parent that is as busy as that is none
const MOST_EMPTY = 400; // looks
const SEEDS = 2 ** 31; // of jest's own: so many
const MOST_VAIN = 20; // workers that something kills before a test of a file is over
const PATIENCE_MS = 500; // for what files have left open to end by itself, as jest's

/**
 * Waits until no other process runs the same file: passes of one would be in each
 * other's way as jest's never are. Whose turn it is says a file with the process's
 * number; the turn ends with the process, or when what this returns is called.
 */
async function takeTurn(name) {
  for (let turn = 0, empty = 0; ;) {
    const file = `${name}.${turn}`;
    const end = () => writeFileSync(file, `${OVER}\n`);
    try {
      writeFileSync(file, `${process.pid}\n`, { flag: 'wx', mode: 0o600 });
      return end;
    } catch (error) {
      if (error.code !== 'EEXIST') throw error;
    }
    const text = readFileSync(file, 'utf8').trim();
    empty = text ? 0 : empty + 1; // it is written right now, or never will be
    const holder = Number(text);
    if (holder === process.pid) return end;
    if (text ? text === OVER || !isAlive(holder) : empty > MOST_EMPTY) turn += 1;
    else await new Promise((resolve) => setTimeout(resolve, POLL_MS));
  }
}

class FileWorker {
  constructor(core, run) {
    this.core = core;
    this.run = run;
    this.contexts = new Map();
    this.fileRun = null; // of the file that runs
    this.isChanged = false; // by the core, whose limits hold in its phases
    this.endTurn = null; // where passes may not run a file at once
    this.handles = new Handles();
    const jest = jestModules(run.core);
    this.TestRunner = jest.TestRunner;
    this.jest = jest;
    const { slot } = core.job();
    this.workerId = String(slot + 1);
    process.env.JEST_WORKER_ID = this.workerId;
    const { timeout, maxWorkerRss } = run.options;
    this.watchdog = timeout ? new Watchdog(timeout, stackFile(run.folder, slot)) : null;
    writeReason(path.join(run.folder, `${slot}.report`));
    this.printing = run.holdsTexts ? new Printing(core, () => this.fileRun?.current ?? null) : null;
    this.printing?.streams();
    this.mostMemory = maxWorkerRss ?? run.globalConfig.workerIdleMemoryLimit ?? Infinity;
  }

  /** What runs from now on has the time limit. */
  limit() {
    if (!this.watchdog && !this.isChanged) return;
    this.watchdog?.begin();
    this.core.phase(qe.CALL);
  }

  send(kind, value) {
    this.core.send(kind, encode(value));
  }

  async context(id) {
    let found = this.contexts.get(id);
    if (!found) {
      const { config, moduleMap } = this.run.projects[id];
      await this.jest.preloadResolver?.(config.resolver); // jest 30
      const map = this.jest.HasteMap.getStatic(config).getModuleMapFromJSON(moduleMap);
      const isHeard = listen(
        config.testRunner,
        () => this.fileRun,
        // A verbose one writes to the streams at once.
        this.printing && !this.run.globalConfig.verbose && ((own) => this.printing.console(own)),
      );
      found = { config, isHeard, resolver: this.jest.Runtime.createResolver(config, map) };
      this.contexts.set(id, found);
    }
    return found;
  }

  /** What is known of a file; where a worker was lost with it, once the parent knows. */
  async progress(file) {
    for (let waited = 0; ; waited += POLL_MS) {
      const found = new Progress(file);
      if (!found.missing || waited > MOST_WAIT_MS) return found;
      await new Promise((resolve) => setTimeout(resolve, POLL_MS));
    }
  }

  /**
   * Whether tests whose results are known run once more where a worker was lost: what
   * it had measured of them, and their snapshots, were lost with it.
   */
  repeats(progress, { path: file }) {
    if (progress.complete || progress.attempts === 0) return false;
    return this.run.globalConfig.collectCoverage || this.usesSnapshots({ path: file });
  }

  /** Whether a file, as far as one can see, compares with snapshots that are kept. */
  usesSnapshots({ path: file }) {
    const { dir, base } = path.parse(file);
    if (existsSync(path.join(dir, '__snapshots__', `${base}.snap`))) return true;
    return readFileSync(file, 'utf8').includes('Snapshot(');
  }

  /** What a pass of a hunt says of a file: its seed, and what of it runs; no plan: all. */
  pass({ pass, item }) {
    if (this.spec?.number !== pass) {
      const file = path.join(this.run.folder, `pass.${pass}`);
      const isFirst = pass === 0 && !this.run.hunts.isReplay;
      this.spec = isFirst ? this.run.hunts : v8.deserialize(readFileSync(file));
      ownTemporary(this.run.folder, this.spec.temporary);
    }
    const { seed, files, wanted } = this.spec;
    if (!files) return { seed }; // all
    const keysOf = (list) => list?.find(([file]) => file === item)?.[1];
    return { seed, plan: { order: keysOf(files) ?? [], wanted: keysOf(wanted) } };
  }

  /** Random numbers of a file in a pass; none where there is no pass. */
  #random(pass, { path: file }) {
    if (!pass) return null;
    return new SeededRandom(pass.seed, path.relative(this.run.globalConfig.rootDir, file));
  }

  /** Keys of tests that have failed and may run again. */
  again(progress) {
    const { retries } = this.run.options;
    return [...progress.failures]
      .filter(([key, count]) => count <= retries && progress.done.get(key) !== 'passed')
      .map(([key]) => key);
  }

  /** Which keys are still to be run; null: all, undefined: none. */
  selection(progress, repeats) {
    const again = this.again(progress);
    if (progress.complete) {
      return again.length > 0 ? (key) => again.includes(key) : undefined;
    }
    const over = new Set([...(repeats ? [] : progress.done.keys()), ...progress.lost]);
    for (const key of again) over.delete(key);
    return over.size > 0 ? (key) => !over.has(key) : null;
  }

  async runFile(claim) {
    const test = this.run.tests[claim.item];
    const file = path.join(this.run.folder, `${claim.unit}.progress`);
    const progress = await this.progress(file);
    const repeats = this.repeats(progress, test);
    const wanted = this.selection(progress, repeats);
    const retried = new Set(this.again(progress));
    const known = (key) => repeats && progress.done.has(key) && !retried.has(key);
    if (wanted === undefined) {
      this.send(messages.KNOWN, null);
      const failed = [...progress.failures.keys()].some(
        (key) => progress.done.get(key) !== 'passed',
      );
      return { again: false, failed };
    }
    const context = await this.context(test.project);
    const { hunts, passes } = this.run;
    if (hunts || passes) {
      this.endTurn = await takeTurn(path.join(this.run.folder, `${claim.item}.turn`));
    }
    if (progress.vain > (progress.killed ? MOST_VAIN : 0) || progress.lost.size > progress.count) {
      return { again: false, failed: true };
    }
    if (wanted !== null && !context.isHeard) return { again: false, failed: true };
    this.limit();
    const journal = new Journal(file, attemptOf(process.pid, claim.attempt));
    const globalConfig = { ...this.run.globalConfig };
    const order = passes?.[claim.pass];
    if (order)
      Object.assign(globalConfig, { seed: order.seed, randomize: order.order !== 'defined' });
    const pass = hunts && this.pass(claim);
    if (hunts) Object.assign(globalConfig, { seed: pass.seed % SEEDS, randomize: false });
    const runner = new this.TestRunner(globalConfig, this.run.context);
    let failed = false;
    let again = false;
    const fileRun = (this.fileRun = new FileRun({
      isWanted: wanted ?? (() => true),
      plan: pass?.plan && { ...pass.plan, once: this.usesSnapshots(test) },
      random: this.#random(order ?? pass, test),
      onBegin: (tests) => journal.counts(tests),
      onHook: (type, cases) => {
        this.limit();
        this.send(messages.HOOK, [type, cases]);
      },
    }));
    const names = new Names(); // where nobody says which test it is
    const running = new Map();
    runner.on('test-case-start', ([name, testCase]) => {
      this.limit(); // each test by itself
      const { fullName } = testCase;
      const key = fileRun.take('started', fullName) ?? names.key(fullName);
      running.set(fullName, key);
      journal.begin(key);
      if (!known(key)) this.send(messages.CASE_START, [name, testCase, key]);
    });
    runner.on('test-case-result', ([name, result]) => {
      this.limit(); // and what comes between tests
      const { fullName, status } = result;
      const kind = status === 'todo' ? 'todo' : 'done';
      const key = fileRun.take(kind, fullName) ?? running.get(fullName) ?? names.key(fullName);
      if (known(key)) {
        journal.repeated(key);
        return;
      }
      journal.over(key, status);
      const isOpen = status === 'failed' && fileRun.retries;
      this.send(messages.CASE_RESULT, [name, result, key, isOpen]);
    });
    runner.on('test-file-success', ([, result]) => {
      failed = result.numFailingTests > 0 || Boolean(result.testExecError);
      this.send(messages.FILE_RESULT, [result, fileRun.order]);
    });
    runner.on('test-file-failure', ([, error]) => {
      failed = true;
      this.send(messages.FILE_ERROR, {
        message: String(error?.message ?? error),
        stack: error?.stack,
        code: error?.code,
      });
    });
    const done = runner.runTests(
      [{ path: test.path, context }],
      { isInterrupted: () => false, on() {} },
      { serial: true },
    );
    process.env.JEST_WORKER_ID = this.workerId; // a serial run has set it to 1
    await done;
    this.handles.note(test.path);
    journal.end();
    if (failed) {
      again = this.selection(new Progress(file)) !== undefined;
    }
    // Where nothing of it runs again here, what it has lost before counts as well.
    if (this.run.options.elsewhere) failed ||= new Progress(file).failures.size > 0;
    return { again, failed };
  }

  async work() {
    this.handles.begin();
    const { around, refused } = change(this.core);
    this.isChanged = around.length > 0;
    changeEntropy(around, () => this.fileRun.random.next());
    for (let claim; (claim = this.core.claim(true));) {
      if (!this.core.start(claim)) break;
      if (refused.length > 0) this.send(messages.REFUSED, [claim.pass, refused.splice(0)]);
      const { again, failed } = await this.runFile(claim);
      this.endTurn?.(); // the file's, before this goes on with others that passes wait for
      this.endTurn = null;
      if (failed && !again) this.core.countFailure();
      const elsewhere = failed && this.run.options.elsewhere ? ELSEWHERE : NO_MORE;
      if (this.watchdog || this.isChanged) {
        this.watchdog?.end();
        this.core.phase(qe.TEARDOWN);
      }
      this.core.finish(failed ? qe.FAILED : qe.PASSED, again ? AGAIN : elsewhere);
      // Another takes its place.
      if (this.mostMemory < Infinity && process.memoryUsage.rss() > this.mostMemory) break;
    }
    for (const found of await this.handles.left(PATIENCE_MS)) this.send(messages.OPEN, found);
    this.core.bye();
  }
}

async function main() {
  const core = new qe.Worker();
  const run = v8.deserialize(readFileSync(process.env.QE_JEST_RUN));
  delete process.env.QE_JEST_RUN;
  delete process.env.QE_JEST_OPTIONS;
  if (run.options.scriptCache !== false && scriptCache.helps(run.globalConfig)) {
    scriptCache.install();
  }
  await new FileWorker(core, run).work();
}

main().then(
  () => process.exit(0),
  (error) => {
    writeSync(2, `qe-jest: internal error in a worker: ${error?.stack ?? error}\n`);
    process.exit(1);
  },
);
