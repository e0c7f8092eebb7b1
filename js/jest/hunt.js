'use strict';
// An adaptive hunt in jest. A pass is a worker that runs test files one behind the other,
// each in an environment of its own, as jest has it, with those of its tests, and in the
// order, that the hunt says. The first pass runs all files, spread over the workers.
// Inquiries, and replays, are passes, too.

const fs = require('node:fs');
const path = require('node:path');
const v8 = require('node:v8');

const { FLAKY } = require('../addon');
const { wayOf, wayOfLoss } = require('../failures');
const { Hunting, spareOf } = require('../hunting');
const { explain } = require('../huntreport');
const { Replay, keysOfName } = require('../replay');
const { UsageError } = require('../usage');
const { settle } = require('./results');

const WHOLE = ''; // the key of a file that could not be run: as such it is hunted

/** What is kept of a file. */
class Kept {
  whole = null; // jest's result of the first pass that has one
  tests = []; // of that pass: keys, results and outcomes
  failure = undefined; // why a pass had none
  shown = new Map(); // by key, what is told: {result, outcome, passed}
}

/** The files of a pass, each once, with what runs there. */
function merged(files) {
  const found = new Map();
  for (const [file, keys] of files) found.set(file, [...(found.get(file) ?? []), ...keys]);
  return [...found];
}

/** What hunts and replays have in common: passes, and what is told of files. */
class Passes {
  left = new Map(); // units to come, by pass
  executions = new Map(); // by pass that is not the hunt's own

  /**
   * @param {object[]} tests jest's
   * @param {{folder: string, root: string, limit: number, workers: number,
   *   nameOf: (test: object) => string, idOf: (test: object, key: string) => string,
   *   counts: () => [string, number, number][], typed: () => object,
   *   failed: (event: object, key: string, result: object) => void}} run `failed`: a test
   *   has, of which nobody else tells
   */
  constructor(tests, run) {
    this.tests = tests;
    this.run = run;
    this.kept = tests.map(() => new Kept());
  }

  /** Gives the session a pass; false: there is no room for it. */
  give(session, given) {
    const { run } = this;
    const spec = { ...given, files: merged(given.files) };
    const { number, serial, clock, partner } = spec;
    const items = spec.files.map(([file]) => file);
    const file = path.join(run.folder, `pass.${number}`);
    fs.writeFileSync(file, v8.serialize(spec), { mode: 0o600 });
    const around = [...(spec.around ?? []), ...(partner === undefined ? [] : ['partner'])];
    if (!session.pass(number, items, run.limit, { serial, around, partner, clock })) return false;
    this.left.set(number, items.length);
    return true;
  }

  /** A file of a pass has ended; whether it was the last. */
  isOver(pass) {
    const left = this.left.get(pass) - 1;
    this.left.set(pass, left);
    if (left > 0) return false;
    this.left.delete(pass);
    return true;
  }

  show(item, key, result, outcome) {
    const passed = result.status === 'passed';
    const { shown } = this.kept[item];
    const before = shown.get(key);
    if (!before || (before.passed && !passed)) shown.set(key, { result, outcome, passed });
  }

  /** How an execution has gone, as inquiries and replays know it. */
  execution(item, key, result, outcome) {
    const { status, failureMessages, startAt, startedAt } = result;
    const text = failureMessages[0] ?? '';
    const way = outcome === undefined ? wayOf(text, this.run.root) : wayOfLoss(outcome, text);
    return {
      id: this.run.idOf(this.tests[item], key),
      passed: status === 'passed',
      way,
      started: (startAt ?? startedAt ?? Date.now()) / 1000,
      lost: outcome !== undefined,
    };
  }

  note(pass, execution) {
    if (!this.executions.has(pass)) this.executions.set(pass, []);
    this.executions.get(pass).push(execution);
  }

  take(pass) {
    const found = this.executions.get(pass) ?? [];
    this.executions.delete(pass);
    return found;
  }

  asks() {
    return false;
  }

  interrupt() {}

  why() {
    return null;
  }

  /** What to tell jest of a file, and what was found of each test; see `FlakyFile`. */
  conclude(item, jest, globalConfig) {
    const { whole, tests, failure, shown } = this.kept[item];
    if (!whole) return { failure, tests: [] };
    const all = new Map(tests.map(([key, result, outcome]) => [key, { result, outcome }]));
    for (const [key, one] of shown) all.set(key, one);
    const found = [...all].map(([key, one]) => this.#told(item, key, one));
    const result = { ...whole, testResults: found.map(([, told]) => told) };
    if (failure && !whole.testExecError) {
      const message = `Flaky: the file could not be run in some passes: ${failure.message}`;
      result.testExecError = { message, stack: failure.stack ?? message };
    }
    settle(result, this.tests[item], jest, globalConfig);
    return { result, tests: found };
  }

  #told(item, key, { result, outcome }) {
    const why = this.why(this.run.idOf(this.tests[item], key));
    if (!why) return [key, result, outcome];
    return [key, { ...result, failureMessages: [why, ...result.failureMessages] }, FLAKY];
  }
}

class JestHunt extends Passes {
  /** @param {object} options of the hunt, as of `huntOf` */
  constructor(options, tests, run) {
    super(tests, run);
    const { counts, root, typed, workers } = run;
    const host = { program: 'qe-jest', root, isSpread: true, isApart: true, counts, typed };
    this.hunting = new Hunting(options, workers, host);
    this.spare = spareOf(options, tests.length);
    this.left.set(0, tests.length);
  }

  #about(item, key, titles) {
    const file = this.run.nameOf(this.tests[item]);
    return { file: item, key, name: [file, ...titles].join(' › '), fixed: key === WHOLE };
  }

  #tell(pass, item, key, passed, seconds, titles, seen) {
    const test = this.tests[item];
    const id = key === WHOLE ? this.run.nameOf(test) : this.run.idOf(test, key);
    this.hunting.result(pass, id, passed, seconds, this.#about(item, key, titles), seen);
  }

  /** Whether a pass is an inquiry's. */
  asks(pass) {
    return this.hunting.asks(pass);
  }

  refuse(pass, names) {
    this.hunting.inquiries?.refuse(pass, names);
  }

  interrupt() {
    this.hunting.interrupt();
  }

  /** An execution of a test has ended; `outcome`: where that says more. */
  result({ pass, item }, key, result, outcome) {
    const { status, duration, ancestorTitles, title } = result;
    if (status !== 'passed' && status !== 'failed') return;
    const execution = this.execution(item, key, result, outcome);
    if (this.asks(pass)) {
      this.note(pass, execution);
      return;
    }
    const seconds = Math.max(0, duration ?? 0) / 1000;
    const titles = [...ancestorTitles, title];
    this.#tell(pass, item, key, status === 'passed', seconds, titles, execution);
    this.show(item, key, result, outcome);
  }

  /**
   * A file has ended in a pass.
   *
   * @param {{result?: object, failure?: Error, tests: Array}} ended as of `conclude`
   * @returns whether the pass is over with it
   */
  ended(event, { result, failure, tests }) {
    const { pass, item } = event;
    if (this.asks(pass)) {
      if (!this.isOver(pass)) return false;
      this.hunting.answered(pass, this.take(pass));
      return true;
    }
    const kept = this.kept[item];
    if (result && !kept.whole) Object.assign(kept, { whole: result, tests });
    const error = failure ?? result?.testExecError;
    if (error) this.#failed(event, error);
    else this.#missing(pass, item, (test) => test.key === WHOLE, true);
    if (!this.isOver(pass)) return false;
    this.hunting.over(pass);
    return true;
  }

  /** A file could not be run: with it all have failed that were to run there. */
  #failed(event, error) {
    const { pass, item } = event;
    const kept = this.kept[item];
    kept.failure ??= error;
    if (pass === 0) this.#tell(pass, item, WHOLE, false, 0, []);
    const message = `The file could not be run: ${error.stack || error.message}`;
    for (const test of this.#missing(pass, item, () => true, false)) {
      const failed = { status: 'failed', failureMessages: [message] };
      this.run.failed(event, test.key, failed);
      const before = kept.shown.get(test.key);
      if (!before?.passed) continue;
      kept.shown.set(test.key, { result: { ...before.result, ...failed }, passed: false });
    }
  }

  #missing(pass, item, which, passed) {
    const found = [...this.hunting.missing(pass, item)].filter(which);
    for (const test of found) this.hunting.result(pass, test.id, passed, 0, test);
    return found;
  }

  /** Gives the session its next passes, one more than can run at once. */
  feed(session) {
    const { hunting, run } = this;
    while (!hunting.isOver && hunting.underWay <= run.workers) {
      const spec = hunting.next();
      if (!spec) break;
      if (!this.give(session, spec)) hunting.end(spec.number);
    }
    if (!hunting.isOver || hunting.underWay > 0) return;
    if (!hunting.inquire((spec) => this.give(session, spec))) session.noMore();
  }

  /** Of a test that failed and passed: why it is told as failed. */
  why(id) {
    const test = this.hunting.tests.get(id);
    const passes = test?.results.some(([, passed]) => passed);
    return test?.failed && passes ? explain(this.hunting, test) : null;
  }
}

class JestReplay extends Passes {
  #underWay = 0;

  /** @param {object} recipe of a token, see js/replay.js */
  constructor(recipe, tests, run) {
    super(tests, run);
    this.hunting = new Replay(recipe);
    this.spare = 2 * tests.length + 1; // its passes
    for (const id of [...recipe.items, ...recipe.others]) this.#find(id);
  }

  /** The number of the file of a test, and what the test is called there. */
  #find(id) {
    for (const [item, test] of this.tests.entries()) {
      const name = `${this.run.nameOf(test)}::`;
      if (id.startsWith(name)) return [item, keysOfName(id.slice(name.length))];
    }
    throw new UsageError(`--replay: ${id} is not among the tests here`);
  }

  result({ pass, item }, key, result, outcome) {
    const { status } = result;
    if (status !== 'passed' && status !== 'failed') return;
    this.note(pass, this.execution(item, key, result, outcome));
    this.show(item, key, result, outcome);
  }

  ended({ pass, item }, { result, failure, tests }) {
    const kept = this.kept[item];
    if (result && !kept.whole) Object.assign(kept, { whole: result, tests });
    kept.failure ??= failure;
    if (!this.isOver(pass)) return false;
    this.hunting.over(pass, this.take(pass));
    this.#underWay -= 1;
    return true;
  }

  refuse(pass, names) {
    process.stderr.write(`qe-jest: the system refuses: ${names.join(', ')}\n`);
  }

  feed(session) {
    const filesOf = (ids) => ids.map((id) => this.#find(id));
    for (const spec of this.hunting.next(this.#underWay, filesOf)) {
      this.#underWay += 1;
      this.give(session, spec);
    }
    if (this.hunting.isOver) session.noMore();
  }

  conclude(item, jest, globalConfig) {
    const ended = super.conclude(item, jest, globalConfig);
    const { name, result } = this.hunting;
    if (result || this.#find(name)[0] !== item || ended.failure) return ended;
    return { failure: new Error(`--replay: ${name} was not run to its end`), tests: [] };
  }
}

module.exports = { JestHunt, JestReplay, WHOLE };
