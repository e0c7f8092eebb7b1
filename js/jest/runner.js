'use strict';
// The runner that jest calls: it hands test files to workers of the core's, and jest
// what they report. No test file ever runs in this process.

const fs = require('node:fs');
const os = require('node:os');
const path = require('node:path');
const v8 = require('node:v8');

const qe = require('../addon');
const { describe } = require('../ending');
const messages = require('./messages');
const { jestModules } = require('./modules');
const { decode } = require('./plain');
const { Recording } = require('./recording');
const { FileResult } = require('./results');

const WORKER = path.join(__dirname, 'worker.js');
const MOST_ATTEMPTS = 1000; // at one file, those that go on behind a lost test included
const SIGNALS = ['SIGINT', 'SIGTERM', 'SIGHUP']; // that end the run

/** What was asked of jest; where nothing was, the processors that there are for us. */
function defaultWorkers({ maxWorkers, watch, watchAll }) {
  const processors = os.availableParallelism();
  const usual = watch || watchAll ? Math.floor(processors / 2) : processors - 1;
  return maxWorkers === Math.max(usual, 1) ? qe.cpuCount() : maxWorkers;
}

class QeRunner {
  supportsEventEmitters = true;
  #listeners = new Map();

  constructor(globalConfig, context, options = {}) {
    this.globalConfig = globalConfig;
    this.context = context;
    const given = JSON.parse(process.env.QE_JEST_OPTIONS ?? '{}');
    this.options = { retries: 0, timeout: 0, backoff: 0, ...options, ...given };
    const here = require.resolve('@jest/core', {
      paths: [require.resolve('jest/package.json', { paths: [globalConfig.rootDir] })],
    });
    this.core = here;
    this.jest = jestModules(here);
  }

  on(name, listener) {
    const listeners = this.#listeners.get(name) ?? new Set();
    this.#listeners.set(name, listeners.add(listener));
    return () => listeners.delete(listener);
  }

  async emit(name, data) {
    for (const listener of [...(this.#listeners.get(name) ?? [])]) await listener(data);
  }

  async runTests(tests, watcher) {
    if (tests.length === 0) return;
    const folder = fs.mkdtempSync(path.join(os.tmpdir(), 'qe-jest-'));
    try {
      await new Run(this, tests, watcher, folder).finished;
    } finally {
      fs.rmSync(folder, { recursive: true, force: true });
    }
  }

  /** What workers must know, in a file. */
  describeRun(tests, folder) {
    const projects = {};
    for (const { context } of tests) {
      projects[context.config.id] ??= {
        config: context.config,
        moduleMap: context.moduleMap.toJSON(),
      };
    }
    const file = path.join(folder, 'run');
    const run = {
      core: this.core,
      context: this.context,
      folder,
      globalConfig: this.globalConfig,
      options: this.options,
      projects,
      tests: tests.map(({ path: name, context }) => ({ path: name, project: context.config.id })),
    };
    fs.writeFileSync(file, v8.serialize(run), { mode: 0o600 });
    return file;
  }
}

/** One call of runTests. */
class Run {
  #chain = Promise.resolve();

  constructor(runner, tests, watcher, folder) {
    this.runner = runner;
    this.tests = tests;
    this.files = new Map();
    this.interrupted = false;
    process.env.QE_JEST_RUN = runner.describeRun(tests, folder);
    const { timeout, retries, backoff, workers } = runner.options;
    this.recording = new Recording(runner.globalConfig.rootDir, runner.options);
    const units = tests.map((test, item) => ({
      id: `${test.context.config.id}:${test.path}`,
      item,
      retries: MOST_ATTEMPTS,
      timeout,
      expected: this.recording.expected(test),
    }));
    this.workers = Math.min(workers ?? defaultWorkers(runner.globalConfig), tests.length);
    this.finished = new Promise((resolve, reject) => {
      this.resolve = resolve;
      this.reject = reject;
    });
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
        backoff: retries > 0 ? backoff : 0,
      },
      (events, end) => this.take(events, end),
    );
    watcher.on?.('change', (state) => {
      if (state.interrupted) this.stop();
    });
    this.onSignal = (name) => this.end(name);
    for (const name of SIGNALS) process.on(name, this.onSignal);
  }

  stop() {
    this.interrupted = true;
    this.session.kill();
  }

  /** A signal to us: nothing is left behind. */
  end(name) {
    this.interrupted = true;
    this.session.close();
    for (const each of SIGNALS) process.off(each, this.onSignal);
    process.kill(process.pid, name);
  }

  /** Events in their order, each when what the one before told has been heard. */
  take(events, end) {
    this.#chain = this.#chain.then(async () => {
      for (const event of events) if (!this.interrupted) await this.handle(event);
      if (!end) return;
      for (const name of SIGNALS) process.off(name, this.onSignal);
      this.recording.finish({ workers: this.workers, interrupted: this.interrupted });
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
    const file = this.files.get(event.unit);
    switch (event.kind) {
      case qe.EV_START:
        if (!file) {
          this.files.set(event.unit, new FileResult(test, event.start * 1000));
          await this.runner.emit('test-file-start', [test]);
        }
        this.files.get(event.unit).begin(event.attempt, event.slot);
        break;
      case qe.EV_DATA:
        await this.data(event, file, test);
        break;
      case qe.EV_FINISH:
        if (!event.again) await this.conclude(event.unit, file, test);
        break;
      case qe.EV_LOST:
        await this.lost(event, file, test);
        break;
      case qe.EV_GIVE_UP:
        this.gaveUp = 'qe-jest: no worker can be started';
        break;
      default:
    }
  }

  async data(event, file, test) {
    const value = decode(event.data);
    switch (event.dataKind) {
      case messages.CASE_START:
        file.start(value[1]);
        await this.runner.emit('test-case-start', value);
        break;
      case messages.CASE_RESULT:
        this.recording.attempt(test.path, file.done(value[1]), value[1], file.attempt, file.slot);
        await this.runner.emit('test-case-result', value);
        break;
      case messages.FILE_RESULT:
        file.whole.push(value);
        break;
      case messages.FILE_ERROR:
        file.failure = Object.assign(new Error(value.message), value);
        break;
      default:
        throw new Error(`unknown message ${event.dataKind} of ${test.path}`);
    }
  }

  async lost(event, file, test) {
    if (event.outcome === qe.NONE) return;
    const { timeout } = this.runner.options;
    const why =
      event.outcome === qe.TIMEOUT
        ? `Timeout: its worker did nothing else for ${timeout} s and was killed (--test-timeout-hard)`
        : `Crashed: its worker ${describe(event.status)}`;
    for (const [key, result] of file.lost(why, Date.now())) {
      file.endings.set(key, event.outcome);
      this.recording.attempt(test.path, key, result, file.attempt, file.slot, event.outcome);
      await this.runner.emit('test-case-result', [test.path, result]);
    }
    if (!event.again) await this.conclude(event.unit, file, test);
  }

  async conclude(unit, file, test) {
    this.files.delete(unit);
    const seconds = (Date.now() - file.started) / 1000;
    this.recording.file(test.path, seconds, file.hasFailed(), file.tests());
    if (file.failure && file.losses.length === 0) {
      await this.runner.emit('test-file-failure', [test, file.failure]);
      return;
    }
    const result = file.merge(this.runner.jest, this.runner.globalConfig, Date.now());
    await this.runner.emit('test-file-success', [test, result]);
  }
}

module.exports = QeRunner;
