'use strict';
// An adaptive hunt (`--flaky-mode=adaptive`): passes that differ, and runs spent where they
// show most. What runs next is for the core to say (qe_hunt.h); this carries its passes to
// a run, and the results back.
//
// Nobody knows the tests before they have run: the first pass, as they are defined, is the
// host's own, and what ran in it is what is hunted.

const qe = require('./addon');
const { Inquiries, describe } = require('./causes');
const { Ways } = require('./failures');
const { optionOf } = require('./replay');

const EACH = 2; // spare units of a file by execution: more than its tests' own take
const LEAST_SPARE = 1 << 14; // some bytes each
const MOST_SPARE = 1 << 18;
const CAUSES_SPARE = 1 << 14; // for inquiries
const CAUSES_S = 30; // seconds for them, if a hunt took less
const LOOKED_AT = 20; // failures of a test: what ran beside them

/** What verdicts are called where they are counted, the worst first. */
const VERDICTS = {
  confirmed: 'confirmed flaky',
  suspect: 'suspect',
  'stable-fail': 'failing',
  clear: 'nothing seen',
  untried: 'not run',
};
const BAD = Object.keys(VERDICTS).slice(0, 3);

/** How many units the passes of a hunt may have in all, over so many files. */
function spareOf({ executions, seconds, causes }, files) {
  const more = causes === 0 ? 0 : CAUSES_SPARE;
  if (seconds > 0) return MOST_SPARE + more;
  return Math.min(MOST_SPARE, Math.max(LEAST_SPARE, EACH * executions * files)) + more;
}

/** A test as the hunt knows it. */
class Hunted {
  results = []; // [pass, whether it passed]
  seconds = 0;
  item = undefined; // in the core; undefined: it was not in the first pass
  asked = 0; // passes behind the first that were to run it, and ran
  came = 0; // those in which it did
  contexts = new Map(); // by result: the cheapest of the executions that had it
  failures = []; // the first of them: {pass, started, ended}
  ways = new Ways();

  constructor(id, about) {
    this.id = id;
    Object.assign(this, about);
  }

  get failed() {
    return this.results.some(([, passed]) => !passed);
  }
}

/** Where an execution stood: behind so many others, in a pass. */
class Context {
  constructor(pass, sequence, started) {
    Object.assign(this, { pass, sequence, place: sequence.length, started });
  }

  isBefore(other) {
    return (
      !other || this.place < other.place || (this.place === other.place && this.pass < other.pass)
    );
  }
}

/** Tests by file, in the order of both. */
function byFile(tests) {
  const files = new Map();
  for (const { file, key } of tests) {
    if (!files.has(file)) files.set(file, []);
    files.get(file).push(key);
  }
  return [...files];
}

/** The same, in the very order: a file comes as often as the tests before are another's. */
function inOrder(tests) {
  const files = [];
  for (const { file, key } of tests) {
    if (files.at(-1)?.[0] !== file) files.push([file, []]);
    files.at(-1)[1].push(key);
  }
  return files;
}

class Hunting {
  tests = new Map(); // by id
  passes = []; // as the JSON result has them
  #core = null;
  #given;
  #items = []; // tests, by the core's number
  #under = new Map(); // passes under way: {items, seen: tests that ran}
  #kept = new Map(); // items of passes that may be repeated, by number
  #failures = new Set(); // numbers of passes in which something failed
  #told = 0; // seconds beside tests
  #spent = 0; // seconds that tests have taken
  #began = performance.now();
  #sequences = new Map(); // by pass, in pass 0 maybe by file: tests as they ran
  #times = []; // of executions: {test, pass, started, ended}
  #probes = 0; // passes of inquiries
  inquiries = null; // once the hunt itself is over
  isOver = false;

  /**
   * @param {{executions: number, seconds: number, alpha: number, seed: number,
   *   causes?: number}} options `causes`: seconds for them; 0: none, undefined: as a rule
   * @param {number} workers all of them spend the seconds
   * @param {object} host
   * @param {boolean} host.isSpread whether the files of the first pass run anywhere
   * @param {boolean} host.isApart whether a file never runs beside itself
   * @param {string[]} host.forbidden changes around a pass that it cannot make
   * @param {string} host.program what a proof is a command of
   * @param {() => {options: string[], places?: string[]}} host.typed what that repeats, see
   *   js/retyping.js
   * @param {string} host.root the project's folder
   * @param {string[]} host.args files that were asked for
   * @param {() => [string, number, number][]} host.counts how often tests have failed and
   *   passed in runs before
   */
  constructor(options, workers, host = {}) {
    this.options = options;
    this.workers = workers;
    this.host = host;
    this.#given = { ...options, seed: options.seed >>> 0 }; // to the core: below 0 it has none
    // That of the first pass does not depend on the tests.
    const { seed } = new qe.Hunt({ ...this.#given, groups: [0], secondsEach: [0] }).next();
    this.first = { number: 0, condition: 'defined', seed, temporary: 0 };
  }

  /** How many passes are under way, the first included. */
  get underWay() {
    return this.#core ? this.#under.size : 1;
  }

  /** The condition of the pass of this number, and its seed. */
  condition(pass) {
    return this.passes[pass]?.condition ?? 'defined';
  }

  /**
   * An execution of a test.
   *
   * @param {string} id
   * @param {boolean} passed
   * @param {{file: number, key: string, name: string}} about a file by its number, what a
   *   test is called there, and what it is called where results are shown
   * @param {{started: number, way: string[]}} [seen] seconds since the epoch, and how it
   *   failed; where nobody can ask for the cause, none
   */
  result(pass, id, passed, seconds, about, seen) {
    let test = this.tests.get(id);
    if (!test) this.tests.set(id, (test = new Hunted(id, about)));
    test.results.push([pass, passed]);
    this.#spent += seconds;
    this.#see(test, pass, passed, seconds, seen);
    if (!passed) this.#failures.add(pass);
    if (this.#core) this.#under.get(pass)?.seen.add(test);
    if (test.item === undefined) test.seconds += seconds;
    else if (this.#under.has(pass)) this.#core.result(pass, test.item, passed, seconds);
  }

  /** Keeps what an inquiry will want to know. */
  #see(test, pass, passed, seconds, seen) {
    if (!seen) return;
    const key = pass === 0 && this.host.isSpread ? `0 ${test.file}` : pass;
    if (!this.#sequences.has(key)) this.#sequences.set(key, []);
    const sequence = this.#sequences.get(key);
    sequence.push(test);
    const context = new Context(pass, sequence, seen.started);
    if (context.isBefore(test.contexts.get(passed))) test.contexts.set(passed, context);
    const times = { test, pass, started: seen.started, ended: seen.started + seconds };
    this.#times.push(times);
    if (passed) return;
    test.ways.add(seen.way);
    if (test.failures.length < LOOKED_AT) test.failures.push(times);
  }

  /** The tests of a file that a pass was to run, and has not. */
  *missing(pass, file) {
    const { items = [], seen } = this.#under.get(pass) ?? {};
    for (const item of new Set(items)) {
      const test = this.#items[item];
      if (test.file === file && !seen.has(test)) yield test;
    }
  }

  /** A pass has ended; what it has not run counts for nothing. */
  over(pass) {
    if (!this.#core) {
      this.#begin();
      return;
    }
    const { items, seen } = this.#under.get(pass);
    const asked = pass > 0 ? items : []; // in the first nobody was
    for (const test of new Set(asked.map((item) => this.#items[item]))) {
      test.asked += 1;
      test.came += seen.has(test) ? 1 : 0;
    }
    this.#under.delete(pass);
    if (!this.#failures.has(pass) || !this.#isScreening(pass)) this.#kept.delete(pass);
    this.#core.over(pass, this.#beside());
  }

  #isScreening = (pass) => !['repeated', 'alone'].includes(this.passes[pass].condition);

  /** The first pass is over: what ran in it is hunted. */
  #begin() {
    // Files in their order, whichever worker was quicker; tests as they ran.
    this.#items = [...this.tests.values()].sort((a, b) => a.file - b.file);
    for (const [item, test] of this.#items.entries()) test.item = item;
    const counts = this.host.counts?.() ?? [];
    this.#core = new qe.Hunt({
      ...this.#given,
      seconds: this.options.seconds * this.workers,
      groups: this.#items.map(({ file }) => file),
      secondsEach: this.#items.map(({ results, seconds }) => seconds / results.length),
      rates: qe.ratesFit(counts.map(([, ...numbers]) => numbers)),
    });
    for (const [id, failures, passes] of counts) {
      const item = this.tests.get(id)?.item;
      if (item !== undefined) this.#core.known(item, failures, passes);
    }
    const first = this.#next();
    if (!first) return;
    for (const { item, results, seconds } of this.#items) {
      const each = seconds / results.length;
      for (const [, passed] of results) this.#core.result(0, item, passed, each);
    }
    this.over(0);
  }

  /** Seconds that workers have spent beside tests, each told once. */
  #beside() {
    const all = ((performance.now() - this.#began) / 1000) * this.workers;
    const found = Math.max(0, all - this.#spent - this.#told);
    this.#told += found;
    return found;
  }

  #next() {
    const found = this.#core.next();
    if (found === false) this.isOver = true;
    if (!found) return null;
    const { number, condition, seed, repeats, files, items } = found;
    this.passes[number] = { number, condition, seed, tests: items.length };
    if (repeats !== undefined) this.passes[number].repeats = repeats;
    if (files !== undefined) this.passes[number].files = files;
    this.#under.set(number, { items, seen: new Set() });
    this.#kept.set(number, items);
    return found;
  }

  /**
   * The next pass; null: none before another is over, or the hunt is.
   *
   * @returns {{number: number, condition: string, seed: number, temporary: number,
   *   files: [number, string[]][], wanted: [number, string[]][] | null} | null} `temporary`:
   *   the pass whose temporary files it has, often itself; `files`: numbers of files with keys of
   *   their tests, in the order to run; one may come twice. `wanted`: of these, those of
   *   which the last ends the pass; null: all
   */
  next() {
    if (this.isOver || !this.#core) return null;
    const found = this.#next();
    if (!found) return null;
    const { number, condition, seed, repeats, files: temporary, items } = found;
    const tests = (list) => byFile(list.map((item) => this.#items[item]));
    const spec = { number, condition, seed, files: tests(items), wanted: null };
    spec.temporary = temporary ?? number;
    if (repeats !== undefined && this.#kept.has(repeats)) {
      spec.files = tests(this.#kept.get(repeats));
      spec.wanted = tests(items);
    }
    return spec;
  }

  /** No pass follows: there is no room for another one. */
  end(pass) {
    this.isOver = true;
    if (pass === undefined) return;
    this.#under.delete(pass);
    this.passes.length = pass;
  }

  // ----------------------------------------------------------------- inquiries

  /**
   * Gives the run what inquiries want next, once the hunt itself is over; false: all is.
   *
   * @param {(spec: object) => boolean} give gives it a pass, as of `next`, if there is room
   */
  inquire(give) {
    this.inquiries ??= this.#inquiriesOf(give);
    return this.inquiries.feed();
  }

  #inquiriesOf(give) {
    const hunted = (performance.now() - this.#began) / 1000;
    const { alpha, causes, seconds } = this.options;
    const known = causes ?? (seconds > 0 ? seconds : Math.max(CAUSES_S, hunted));
    return new Inquiries(known > 0 ? this.#cases() : [], {
      items: this.#items.length,
      seconds: known,
      alpha,
      seed: this.#given.seed,
      workers: this.workers,
      forbidden: [...(this.host.forbidden ?? []), ...(this.workers > 1 ? [] : ['partner'])],
      canMeet: (items, others) => !this.host.isApart || !this.#areOfOne([...items, ...others]),
      give: (probe) => this.#give(probe, give),
      evidence: (item, passed) => this.#core.more(item, passed),
    });
  }

  /** Whether any of these are of one file. */
  #areOfOne(items) {
    return new Set(items.map((item) => this.#items[item].file)).size < items.length;
  }

  /** What is asked of the tests that both failed and passed, the surest first. */
  #cases() {
    const found = [];
    for (const test of this.#items) {
      const { verdict, failures, passes, ln_evidence: sure } = this.verdict(test);
      if (!['confirmed', 'suspect'].includes(verdict) || !test.contexts.has(false)) continue;
      const { pass } = test.contexts.get(false);
      const one = {
        item: test.item,
        failed: this.#contextOf(test.contexts.get(false)),
        passed: this.#contextOf(test.contexts.get(true)),
        neighbours: this.#neighbours(test),
        files: this.passes[pass].files ?? pass,
        ways: test.ways,
        rate: failures / (failures + passes),
      };
      found.push([sure, one]);
    }
    return found.sort(([a], [b]) => b - a).map(([, one]) => one);
  }

  #contextOf(context) {
    if (!context) return null;
    const { pass, sequence, place, started } = context;
    const tests = sequence.slice(0, place).filter(({ item }) => item !== undefined);
    return { items: tests.map(({ item }) => item), seed: this.passes[pass].seed, started };
  }

  /** Who ran, in another process, while a test failed. */
  #neighbours({ item: own, failures, file }) {
    const isElsewhere = (pass, other) =>
      other.pass !== pass || (pass === 0 && this.host.isSpread && other.test.file !== file);
    const found = new Set();
    for (const { pass, started, ended } of failures) {
      for (const other of this.#times) {
        if (other.started > ended || other.ended < started) continue;
        const { item } = other.test;
        if (item !== undefined && item !== own && isElsewhere(pass, other)) found.add(item);
      }
    }
    return [...found];
  }

  #give({ items, ...more }, give) {
    const number = this.passes.length + this.#probes;
    const files = inOrder(items.map((item) => this.#items[item]));
    if (!give({ ...more, number, condition: 'probe', files, wanted: null })) return -1;
    this.#probes += 1;
    return number;
  }

  /** Whether a pass is that of an inquiry: what it has is no result of the hunt. */
  asks(pass) {
    return this.inquiries?.owns(pass) ?? false;
  }

  /** Executions of such a pass are known: {id, passed, way, started, lost}, in their order. */
  answered(pass, executions) {
    const known = executions.map((one) => ({ ...one, item: this.tests.get(one.id)?.item }));
    this.inquiries.over(pass, known);
  }

  /** Nothing more is run: what is known by now is told. */
  interrupt() {
    this.inquiries?.end();
  }

  /** Why a test is flaky, if that was asked. */
  finding(test) {
    return this.inquiries?.findings.get(test.item);
  }

  /** What tests are called, by the core's number. */
  nameOf = (item) => this.#items[item].name;

  /** The option that makes a test fail again, if one was found. */
  replayOf(test) {
    const proof = this.finding(test)?.proof;
    if (!proof) return null;
    const { seed, beside, around } = proof;
    const ids = (items) => items.map((item) => this.#items[item].id);
    const clock = around.includes('clock') ? proof.clock : 0;
    const recipe = { items: ids(proof.items), others: ids(proof.others), beside, seed, around };
    const { args = [], root = '' } = this.host;
    return optionOf({ ...recipe, clock, args, failure: test.ways.place }, root, process.cwd());
  }

  #why(test) {
    const finding = this.finding(test);
    if (!finding) return {};
    const why = describe(finding, (item) => this.#items[item].id);
    const option = this.replayOf(test);
    const { proofFailed: failed, proofRuns: runs } = finding;
    return { why: { ...why, ...(option && { replay: { option, failed, runs } }) } };
  }

  /** What is known of a test, in the words of the JSON result. */
  verdict(test) {
    if (test.item !== undefined && this.#core) return this.#core.test(test.item);
    const passes = test.results.filter(([, passed]) => passed).length;
    const failures = test.results.length - passes;
    const sure = failures === 0 ? 'clear' : 'stable-fail';
    return {
      verdict: failures > 0 && passes > 0 ? 'suspect' : sure,
      failures,
      passes,
      fresh_failures: 0,
      fresh_passes: 0,
      ln_evidence: 0,
    };
  }

  /** Tests that are not called the same in each pass. */
  get renamed() {
    const all = [...this.tests.values()];
    // What of a file is new once it can be run is no wonder.
    const whole = new Set(all.filter(({ fixed }) => fixed).map(({ file }) => file));
    return all.filter(({ item, asked, came, file }) => {
      if (!this.#core || whole.has(file)) return false;
      return item === undefined || (asked > 0 && came === 0);
    });
  }

  /** What ran in a pass, as it ran; of the first, where files run anywhere, file by file. */
  #ranIn({ number }) {
    const files = number === 0 && this.host.isSpread ? this.#items.map(({ file }) => file) : null;
    const keys = files ? [...new Set(files)].map((file) => `0 ${file}`) : [number];
    return keys.flatMap((key) => this.#sequences.get(key) ?? []);
  }

  /**
   * For the JSON result. Tests of which nothing was seen are not listed.
   *
   * @param {(id: string) => number} numberOf the place of a test there
   */
  describe(numberOf) {
    const passes = this.passes.map((pass) => {
      return { ...pass, order: this.#ranIn(pass).map(({ id }) => numberOf(id)) };
    });
    const found = [...this.tests.values()].map((test) => {
      return [test.id, { ...this.verdict(test), ...this.#why(test) }];
    });
    const renamed = this.renamed.map(({ id }) => id);
    return {
      mode: 'adaptive',
      executions: this.#core?.spent() ?? 0,
      alpha: this.options.alpha,
      seed: this.options.seed,
      passes,
      tests: Object.fromEntries(found.filter(([, { verdict }]) => BAD.includes(verdict))),
      ...(renamed.length > 0 && { renamed }),
      ...(this.inquiries && { causes: this.inquiries.describe() }),
    };
  }

  /** For the history. */
  get conditions() {
    const passes = this.passes.length > 0 ? this.passes : [this.first];
    return passes.map(({ number, condition, seed }) => ({ pass: number, condition, seed }));
  }
}

module.exports = { BAD, Hunting, VERDICTS, spareOf };
