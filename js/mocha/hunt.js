'use strict';
// An adaptive hunt in mocha. A pass is what one process does: it loads all spec files, then
// runs, one file behind the other, those of their tests, and in the order, that the hunt
// says. The first pass runs all as it is defined. Inquiries, and replays, are passes, too.

const path = require('node:path');

const { Hunting, spareOf } = require('../hunting');
const { explain } = require('../huntreport');
const { Replay, keysOfName } = require('../replay');
const { UsageError } = require('../usage');

const VERDICTS = { passed: true, failed: false };

/** What ran in each pass. */
class Passes {
  #executions = new Map(); // by pass: of each test {thing, status, ...}, as they began
  #over = new Set(); // passes

  constructor(workers, reports) {
    this.workers = workers;
    this.reports = reports;
  }

  #of(pass) {
    if (!this.#executions.has(pass)) this.#executions.set(pass, []);
    return this.#executions.get(pass);
  }

  /** A test begins in a pass, at a time in ms. */
  begin(pass, thing, at) {
    this.#of(pass).push({ thing, started: (at ?? Date.now()) / 1000 });
  }

  /** It has ended, or what came behind its end, as a second call of `done`, says otherwise. */
  end(pass, thing, status, about) {
    const all = this.#of(pass);
    let one = all.findLast((each) => each.thing === thing);
    if (!one) all.push((one = { thing, started: Date.now() / 1000 }));
    const seconds = Math.max(0, (thing.duration ?? 0) / 1000);
    const id = this.reports.id(thing, about.file);
    Object.assign(one, { ...about, id, seconds, status, passed: VERDICTS[status] });
  }

  /** What a pass ran, the first time that its end is told. */
  take(pass) {
    if (this.#over.has(pass)) return null;
    this.#over.add(pass);
    const found = this.#executions.get(pass) ?? [];
    this.#executions.delete(pass);
    return found;
  }

  asks() {
    return false;
  }

  interrupt() {}

  addHook() {}

  /** For a terminal, which hears of nothing else until the end: one line for all passes. */
  told(pass) {
    return `\r\u001b[K${pass === undefined ? '' : `qe-mocha: ${pass} is over`}`;
  }
}

class MochaHunt extends Passes {
  /**
   * @param {object} options of the hunt, as of `huntOf`
   * @param {string[]} args files that were asked for
   * @param {() => object} typed what a proof repeats, as of `Hunting`
   */
  constructor(options, workers, reports, args, typed) {
    super(workers, reports);
    const counts = () => reports.recording.counts();
    const host = { program: 'qe-mocha', root: process.cwd(), args, counts, typed };
    this.hunting = new Hunting(options, workers, host);
    this.spare = spareOf(options, 1);
  }

  #about(thing, file, number, key) {
    const name = [path.relative('', file), ...thing.titlePath()].join(' › ');
    return { file: number, key, name };
  }

  /** All that a pass has sent is known; returns whether that was an inquiry's. */
  over(pass) {
    const asked = this.asks(pass);
    const all = this.take(pass);
    if (!all) return false;
    if (asked) {
      this.hunting.answered(pass, all);
      return true;
    }
    for (const { thing, id, passed, seconds, file, number, key, started, way } of all) {
      if (passed === undefined) continue; // skipped, or tried again
      const about = this.#about(thing, file, number, key);
      this.hunting.result(pass, id, passed, seconds, about, { started, way });
    }
    this.hunting.over(pass);
    return false;
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

  /** Gives the session its next passes, one more than can run at once. */
  feed(session) {
    const { hunting } = this;
    while (!hunting.isOver && hunting.underWay <= this.workers) {
      const spec = hunting.next();
      if (!spec) break;
      if (!session.addPass(spec)) hunting.end(spec.number);
    }
    if (!hunting.isOver || hunting.underWay > 0) return;
    if (!hunting.inquire((spec) => session.addPass(spec))) session.noMorePasses();
  }

  /** What passes have found of a hook that failed in some: hooks are told, not hunted. */
  addHook(thing, file, statuses) {
    const id = this.reports.id(thing, file);
    const about = { ...this.#about(thing, file, -1, ''), fixed: true };
    for (const [pass, status] of statuses.entries()) {
      if (status in VERDICTS) this.hunting.result(pass, id, VERDICTS[status], 0, about);
    }
  }

  /** Of a test or hook that failed and passed: why it is told as failed. */
  why(thing, file) {
    const test = this.hunting.tests.get(this.reports.id(thing, file));
    const passes = test?.results.some(([, passed]) => passed);
    return test?.failed && passes ? explain(this.hunting, test) : null;
  }
}

class MochaReplay extends Passes {
  #underWay = 0;

  /** @param {object} recipe of a token, see js/replay.js */
  constructor(recipe, workers, reports, files) {
    super(workers, reports);
    this.files = files.map((file) => path.relative('', file));
    this.hunting = new Replay(recipe);
    this.spare = recipe.items.length + 1; // more than its passes
    for (const id of [...recipe.items, ...recipe.others]) this.#file(id);
  }

  #unknown(id) {
    return new UsageError(`--replay: ${id} is not among the tests here`);
  }

  /** The number of the file of a test, and what the test is called there. */
  #file(id) {
    const fits = (name) => id.startsWith(`${name}::`);
    const file = this.files.findIndex(fits);
    if (file < 0) throw this.#unknown(id);
    return [file, id.slice(this.files[file].length + 2)];
  }

  #filesOf = (ids) => {
    const found = [];
    for (const id of ids) {
      const [file, name] = this.#file(id);
      if (found.at(-1)?.[0] !== file) found.push([file, []]);
      found.at(-1)[1].push(...keysOfName(name));
    }
    return found;
  };

  /** Refuses what is not there; `keys`: a file's number, and what its tests are called. */
  check(keys) {
    const { items, others } = this.hunting.recipe;
    for (const id of [...items, ...others]) {
      const [file, name] = this.#file(id);
      if (!keysOfName(name).some((key) => keys.has(`${file} test ${key}`))) throw this.#unknown(id);
    }
  }

  over(pass) {
    const all = this.take(pass);
    if (!all) return false;
    this.hunting.over(pass, all);
    this.#underWay -= 1;
    return false;
  }

  refuse(pass, names) {
    process.stderr.write(`qe-mocha: the system refuses: ${names.join(', ')}\n`);
  }

  feed(session) {
    for (const spec of this.hunting.next(this.#underWay, this.#filesOf)) {
      this.#underWay += 1;
      session.addPass(spec);
    }
    if (this.hunting.isOver) session.noMorePasses();
  }

  why() {
    return null;
  }
}

module.exports = { MochaHunt, MochaReplay };
