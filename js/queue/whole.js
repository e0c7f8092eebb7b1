'use strict';
// One result of a whole run across machines, from what its nodes have told the server. It
// proves as it reads: each unit that was collected has exactly one outcome, and an attempt
// that told it; what does not is named. As python/pytest_qe/queuereport.py.

const qe = require('../addon');
const { Texts } = require('../texts');
const { Outcome } = require('../units');
const { PayloadError, unpack } = require('./unpack');

const AT_ONCE = 10_000; // units
const LONGEST_FAILURE = 1 << 16; // characters of it in JUnit
const ALL_FAILURES = 1 << 26;
const MOST_WARNINGS = 100;
const MOST_CPU_S = 1e9; // that a record takes

const NAMES = Object.fromEntries(Object.entries(Outcome).map(([name, number]) => [number, name]));
const FAILING = [qe.FAILED, qe.ERROR, qe.TIMEOUT, qe.CRASHED];
const OUTCOMES = 'passed failed skipped error timeout crashed flaky none'.split(' ');
const WORSE = [qe.NONE, qe.SKIPPED, qe.PASSED, qe.FLAKY, ...FAILING]; // ever
const STOPPED = 'the run was stopped: by --maxfail, or an abort';

const isFailing = (outcome) => FAILING.includes(outcome);

/** A test of the run: a unit, or the units of one name, as a hunt has them. */
class Test {
  outcomes = []; // of its units; NONE: it has none
  attempts = []; // {number, outcome, seconds, text}, as they were told
  message = null;
  quarantined = false;

  constructor(name) {
    this.name = name;
  }

  /** Of all its units. */
  get outcome() {
    const failing = this.outcomes.find(isFailing);
    if (failing !== undefined) return this.outcomes.includes(qe.PASSED) ? qe.FLAKY : failing;
    if (this.outcomes.includes(qe.NONE)) return qe.NONE;
    return this.outcomes.reduce((a, b) => (WORSE.indexOf(b) > WORSE.indexOf(a) ? b : a));
  }

  /** Whether it fails the run. */
  get failed() {
    return !this.quarantined && this.outcomes.some(isFailing);
  }

  /** By its name: that of a test without one is "not_run". */
  get word() {
    return this.outcome === qe.NONE ? 'not_run' : NAMES[this.outcome];
  }
}

/** A run as it was on the server when it was read. */
class Whole {
  #places = []; // of each unit, its test
  #outcomes = [];
  #proven;
  #texts;
  #lanes = new Map(); // by node and slot
  #late = [];
  #left = ALL_FAILURES;
  #first = 0;
  #last = 0;
  #spent = 0;
  record = new qe.Record();
  tests = [];
  troubles = []; // what the proof found wrong, beside units without an outcome
  warnings = [];
  nodes = new Map(); // how many attempts each has told

  constructor(name, status) {
    this.name = name;
    this.status = status;
    this.#texts = new Texts(this.record);
  }

  /**
   * @param {object} reader the addon's, open
   * @param {string} name the run's
   * @throws (rejects) Error with the code QE_ENOTFOUND: there is no such run
   */
  static async read(reader, name) {
    const whole = new Whole(name, await reader.status(name));
    await whole.#readUnits(reader);
    await whole.#readAttempts(reader);
    await whole.#settle(reader);
    return whole;
  }

  // ------------------------------------------------------------- reading

  async #readUnits(reader) {
    const { units: total, state } = this.status;
    const known = new Map();
    for (let at = 0; at < total; at = this.#places.length) {
      const found = await reader.units(this.name, at, Math.min(AT_ONCE, total - at));
      if (found.length === 0) break;
      for (const [id, outcome] of found) {
        const key = id.toString('latin1');
        if (!known.has(key)) known.set(key, this.#addTest(id.toString()));
        const item = known.get(key);
        this.tests[item].outcomes.push(outcome);
        this.#places.push(item);
        this.#outcomes.push(outcome);
      }
    }
    const named = this.#places.length;
    if (named < total && state !== 'laying') {
      this.troubles.push(`the plan has ${total} units, and the names of ${named} of them`);
    }
  }

  #addTest(name) {
    this.tests.push(new Test(name));
    return this.record.addTest(name);
  }

  async #readAttempts(reader) {
    const count = this.#places.length;
    this.#proven = new Uint8Array(count);
    for (let after = ''; ;) {
      const found = await reader.tries(this.name, count, after);
      if (found.tries.length === 0) return;
      for (const one of found.tries) this.#add(one);
      after = found.after;
    }
  }

  #add({ unit, outcome: told, node, late, payload }) {
    const item = this.#places[unit];
    const test = this.tests[item];
    const counts = told !== qe.NONE && told === this.#outcomes[unit];
    this.nodes.set(node, (this.nodes.get(node) ?? 0) + 1);
    const one = this.#payloadOf(payload, node, test);
    const outcome = one?.outcome ?? told;
    // Of attempts with one number, as after a lost lease, each has its own here.
    const number = test.attempts.length + 1;
    test.attempts.push({ number, outcome, seconds: one?.duration ?? 0, text: this.#failure(one) });
    this.#record(item, number, outcome, node, one);
    if (late) this.#late.push({ id: test.name, attempt: number, node });
    if (one && counts && !this.#proven[unit]) this.#take(item, one);
    if (counts) this.#proven[unit] = 1;
  }

  #payloadOf(data, node, { name }) {
    if (data.length === 0) return null;
    try {
      return unpack(data);
    } catch (error) {
      if (!(error instanceof PayloadError)) throw error;
      if (this.warnings.length < MOST_WARNINGS) {
        const what = `what ${node} told of an attempt of ${name}`;
        this.warnings.push(`${what} cannot be read: ${error.message}`);
      }
      return null;
    }
  }

  #record(item, attempt, outcome, node, one) {
    const lane = `${one?.worker ?? 0} ${node}`;
    if (!this.#lanes.has(lane)) this.#lanes.set(lane, this.#lanes.size);
    const worker = this.#lanes.get(lane);
    if (!one) {
      const nothing = { start: 0, duration: 0, cpu: 0, peakBytes: 0 };
      this.record.addAttempt({ item, attempt, worker, outcome, ...nothing });
      return;
    }
    const { start, duration, pass } = one;
    this.record.addAttempt({
      item,
      pass,
      attempt,
      worker,
      outcome,
      start,
      duration,
      cpu: Math.min(one.cpu, MOST_CPU_S),
      peakBytes: one.peak,
      status: one.status,
      message: one.message,
    });
    const place = { item, pass, attempt };
    for (const { kind, name, text } of one.texts) {
      this.#texts.add(place, kind === 'failure' ? qe.TEXT_FAILURE : qe.TEXT_OUTPUT, name, text);
    }
    this.#spent += duration;
    if (start > 0) {
      this.#first = Math.min(this.#first || start, start);
      this.#last = Math.max(this.#last, start + duration);
    }
  }

  /** What an attempt says of its test, where it is the one that counts. */
  #take(item, { message, quarantined, marks, expected }) {
    const test = this.tests[item];
    test.message = message || test.message;
    test.quarantined ||= quarantined;
    if (marks.length > 0) this.record.setMarks(item, marks);
    if (expected > 0) this.record.setExpected(item, expected);
  }

  #failure(one) {
    if (!one || [qe.PASSED, qe.SKIPPED].includes(one.outcome)) return '';
    const failures = one.texts.filter(({ kind }) => kind === 'failure').map(({ text }) => text);
    const all = failures.join('\n') || one.message || '';
    const text = all.slice(0, Math.min(LONGEST_FAILURE, Math.max(this.#left, 1 << 10)));
    this.#left -= text.length;
    return text;
  }

  async #settle(reader) {
    for (const [item, test] of this.tests.entries()) {
      this.record.setOutcome(item, test.outcome, test.message);
      if (test.quarantined) this.record.setQuarantined(item);
    }
    const [, odd] = await reader.outcomes(this.name, this.status.units);
    if (odd > 0) {
      this.troubles.push(`there are ${odd} outcomes of units that the plan does not have`);
    }
    for (const [unit, outcome] of this.#outcomes.entries()) {
      if (outcome === qe.NONE || this.#proven[unit]) continue;
      this.troubles.push(`no attempt told the outcome of ${this.#nameOf(unit)}`);
    }
  }

  #nameOf(unit) {
    return this.tests[this.#places[unit]].name;
  }

  // ------------------------------------------------------------ what came of it

  /** Whether tests have several units, as in a hunt. */
  get isFlaky() {
    return this.tests.length < this.#places.length;
  }

  /** Names of the units that have no outcome. */
  get missing() {
    const units = [...this.#outcomes.keys()];
    return units.filter((unit) => this.#outcomes[unit] === qe.NONE).map((n) => this.#nameOf(n));
  }

  /** Whether every unit has exactly one outcome, and nothing has more. */
  get complete() {
    const { units, state } = this.status;
    return (
      !this.#outcomes.includes(qe.NONE) &&
      this.troubles.length === 0 &&
      this.#outcomes.length === units &&
      state !== 'laying'
    );
  }

  /** Tests that fail the run. */
  get failed() {
    return this.tests.filter(({ failed }) => failed);
  }

  /** How many tests came to each outcome, in words: those of which there are any. */
  get told() {
    const counts = new Map(OUTCOMES.map((name) => [name, 0]));
    for (const { outcome } of this.tests) {
      counts.set(NAMES[outcome], counts.get(NAMES[outcome]) + 1);
    }
    return [...counts].filter(([, count]) => count > 0).map(([name, count]) => [count, name]);
  }

  /** Seconds from the first attempt's beginning to the last one's end. */
  get wall() {
    return Math.max(0, this.#last - this.#first);
  }

  // ----------------------------------------------------------------- reports

  /** The part of the JSON result about the run. */
  run() {
    const { state, units } = this.status;
    const lanes = [...this.#lanes].map(([lane, number]) => {
      const at = lane.indexOf(' ');
      return [`gw${number}`, `${lane.slice(at + 1)}/gw${lane.slice(0, at)}`];
    });
    return {
      ...(this.#first > 0 && { started: this.#first }),
      wall: this.wall,
      test_time: this.#spent,
      workers: this.#lanes.size,
      lanes: Object.fromEntries(lanes),
      warnings: this.warnings,
      ...(state === 'stopped' && { stopped: STOPPED }),
      queue: {
        run: this.name,
        state,
        units,
        complete: this.complete,
        missing: this.missing,
        troubles: this.troubles,
        nodes: Object.fromEntries(this.nodes),
        late: this.#late,
      },
    };
  }
}

module.exports = { NAMES, OUTCOMES, Whole };
