'use strict';
// A worker of a jest run: claims files, runs them by jest's own runner, sends what it
// reports. Started by the core; finds its run by QE_WORKER and QE_JEST_RUN.

const fs = require('node:fs');
const path = require('node:path');
const v8 = require('node:v8');

const qe = require('../addon');
const { writeReason } = require('../ending');
const { Handles } = require('../mocha/handles');
const { jestModules } = require('./modules');
const messages = require('./messages');
const { watchHooks } = require('./hooks');
const { encode } = require('./plain');
const { Watchdog } = require('../watchdog');
const { Journal, Progress, attemptOf, nameOf } = require('./progress');
const scriptCache = require('./script-cache');

const escape = (text) => text.replace(/[.*+?^${}()|[\]\\/]/g, '\\$&');
const anyOf = (keys) => [...new Set([...keys].map(nameOf))].map(escape).join('|');

const POLL_MS = 5;
const MOST_WAIT_MS = 30_000; // a parent that is as busy as that is none
const MOST_VAIN = 20; // workers that something kills before a test of a file is over
const PATIENCE_MS = 500; // for what files have left open to end by itself, as jest's

class FileWorker {
  constructor(core, run) {
    this.core = core;
    this.run = run;
    this.contexts = new Map();
    this.journal = null; // of the file that runs
    this.handles = new Handles();
    const jest = jestModules(run.core);
    this.TestRunner = jest.TestRunner;
    this.jest = jest;
    const { slot } = core.job();
    this.workerId = String(slot + 1);
    process.env.JEST_WORKER_ID = this.workerId;
    const { timeout, maxWorkerRss } = run.options;
    this.watchdog = timeout ? new Watchdog(timeout, path.join(run.folder, `${slot}.stack`)) : null;
    writeReason(path.join(run.folder, `${slot}.report`));
    this.mostMemory = maxWorkerRss ?? run.globalConfig.workerIdleMemoryLimit ?? Infinity;
  }

  /** What runs from now on has the time limit. */
  limit() {
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
      watchHooks(config.testRunner, (type, cases) => this.hook(type, cases));
      found = { config, resolver: this.jest.Runtime.createResolver(config, map) };
      this.contexts.set(id, found);
    }
    return found;
  }

  /** A hook begins, with which tests fail, or is over. */
  hook(type, cases) {
    this.limit();
    this.send(messages.HOOK, [type, cases]);
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
    if (this.run.globalConfig.collectCoverage) return true;
    const { dir, base } = path.parse(file);
    if (fs.existsSync(path.join(dir, '__snapshots__', `${base}.snap`))) return true;
    return fs.readFileSync(file, 'utf8').includes('Snapshot(');
  }

  /** Keys of tests that have failed and may run again. */
  again(progress) {
    const { retries } = this.run.options;
    return [...progress.failures]
      .filter(([key, count]) => count <= retries && progress.done.get(key) !== 'passed')
      .map(([key]) => key);
  }

  /** The pattern of the names that are still to be run; null: all, undefined: none. */
  pattern(progress, repeats) {
    const given = this.run.globalConfig.testNamePattern;
    const wanted = given ? `(?=[\\s\\S]*(?:${given}))` : '';
    const again = this.again(progress);
    if (progress.complete) {
      return again.length > 0 ? `^(?:${anyOf(again)})$` : undefined;
    }
    const over = new Set([...(repeats ? [] : progress.done.keys()), ...progress.lost]);
    for (const key of again) over.delete(key);
    return over.size > 0 ? `^(?!(?:${anyOf(over)})$)${wanted}` : null;
  }

  async runFile(claim) {
    const test = this.run.tests[claim.item];
    const file = path.join(this.run.folder, `${claim.unit}.progress`);
    const progress = await this.progress(file);
    const repeats = this.repeats(progress, test);
    const pattern = this.pattern(progress, repeats);
    const retried = new Set(this.again(progress));
    const known = (key) => repeats && progress.done.has(key) && !retried.has(key);
    if (pattern === undefined) {
      this.send(messages.KNOWN, null);
      const failed = [...progress.failures.keys()].some(
        (key) => progress.done.get(key) !== 'passed',
      );
      return { again: false, failed };
    }
    if (progress.vain > (progress.killed ? MOST_VAIN : 0)) return { again: false, failed: true };
    this.limit();
    const journal = (this.journal = new Journal(file, attemptOf(process.pid, claim.attempt)));
    const globalConfig = { ...this.run.globalConfig };
    const order = this.run.passes?.[claim.pass];
    if (order)
      Object.assign(globalConfig, { seed: order.seed, randomize: order.order !== 'defined' });
    if (pattern !== null) globalConfig.testNamePattern = pattern;
    const runner = new this.TestRunner(globalConfig, this.run.context);
    let failed = false;
    let again = false;
    runner.on('test-case-start', (args) => {
      this.limit(); // each test by itself
      const key = journal.start(args[1].fullName);
      if (!known(key)) this.send(messages.CASE_START, args);
    });
    runner.on('test-case-result', (args) => {
      this.limit(); // and what comes between tests
      const { fullName, status } = args[1];
      if (known(journal.next(fullName))) {
        journal.repeated(fullName);
        return;
      }
      journal.done(fullName, status);
      this.send(messages.CASE_RESULT, args);
    });
    runner.on('test-file-success', ([, result]) => {
      failed = result.numFailingTests > 0 || Boolean(result.testExecError);
      this.send(messages.FILE_RESULT, result);
    });
    runner.on('test-file-failure', ([, error]) => {
      failed = true;
      this.send(messages.FILE_ERROR, {
        message: String(error?.message ?? error),
        stack: error?.stack,
        code: error?.code,
      });
    });
    const context = await this.context(test.project);
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
      again = this.pattern(new Progress(file)) !== undefined;
    }
    return { again, failed };
  }

  async work() {
    this.handles.begin();
    for (let claim; (claim = this.core.claim(true));) {
      if (!this.core.start(claim)) break;
      const { again, failed } = await this.runFile(claim);
      if (failed && !again) this.core.countFailure();
      this.watchdog?.end();
      this.core.phase(qe.TEARDOWN);
      this.core.finish(failed ? qe.FAILED : qe.PASSED, Buffer.from(again ? 'R' : ''));
      if (process.memoryUsage.rss() > this.mostMemory) break; // another takes its place
    }
    for (const found of await this.handles.left(PATIENCE_MS)) this.send(messages.OPEN, found);
    this.core.bye();
  }
}

async function main() {
  const core = new qe.Worker();
  const run = v8.deserialize(fs.readFileSync(process.env.QE_JEST_RUN));
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
    fs.writeSync(2, `qe-jest: internal error in a worker: ${error?.stack ?? error}\n`);
    process.exit(1);
  },
);
