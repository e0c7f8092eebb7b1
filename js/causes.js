'use strict';
// Why tests are flaky: carries the probes of the core's inquiries (qe_cause.h) to a run,
// and what came of them back.

const qe = require('./addon');

const OWN_FILES = 2 ** 20; // numbers of files from here on are those of probes

/**
 * What an inquiry must not ask for, as nothing here can do it. Threads of JavaScript
 * cannot be slowed one by one; Node has more address space reserved than a limit could
 * spare, has read its locale before anything can change it, and has threads when a
 * worker begins, so that it cannot leave for a network of its own.
 */
const NEVER = ['slow_threads', 'slow_main', 'little_memory', 'c_locale', 'no_network'];

/** Causes as they are told. */
const TOLD = {
  order: 'order: polluted by',
  brittle: 'order: needs',
  self: 'pollutes itself: fails when it runs again in one process',
  files: 'files that an earlier run left',
  random: 'random numbers',
  time: 'time of day, date or zone',
  timing: 'timing of threads or processes',
  neighbours: 'what runs at the same time',
  resources: 'limits of resources',
  unknown: 'unknown',
};

/** A probe that is under way: one pass, or two. */
class Running {
  passes = 0; // that have not ended
  result = undefined;
  started = 0;
  broken = false;

  constructor(inquiry, probe) {
    this.inquiry = inquiry;
    this.probe = probe;
    this.waits = probe.beside === 'then'; // for the first of two
  }
}

/** All inquiries of a run, some at a time. */
class Inquiries {
  #runs = new Map(); // by pass
  #second = []; // runs whose first pass has ended
  #cases;
  #turns;
  #begun = new Map(); // by case, until it has ended
  #files = OWN_FILES;
  #began = performance.now();
  #full = false;
  seconds = 0;
  executions = 0;
  cut = 0; // inquiries that time or room ended
  findings = new Map(); // by item
  unended = new Set(); // items of those that had begun

  /**
   * @param {object[]} cases the tests, the most important first: {item, failed, passed,
   *   neighbours, files, ways, rate}
   * @param {object} options
   * @param {number} options.items how many tests there are
   * @param {number} options.seconds after which no more is begun
   * @param {string[]} options.forbidden changes that the host cannot make
   * @param {(items: number[], others: number[]) => boolean} options.canMeet whether these
   *   can run at once
   * @param {(spec: object) => number} options.give gives the run a pass; its number, or
   *   -1 where there is no room
   * @param {(item: number, passed: boolean) => void} options.evidence hears of each
   *   execution that nothing was changed around
   */
  constructor(cases, { items, seconds, alpha, seed, workers, forbidden, ...host }) {
    Object.assign(this, host);
    this.#cases = cases;
    this.#turns = new qe.Turns(cases.length, workers);
    this.forbidden = new Set([...NEVER, ...forbidden]);
    this.refused = new Set(); // by the system
    this.workers = workers;
    this.until = this.#began + seconds * 1000;
    this.options = { all: Array.from({ length: items }, (_, item) => item), alpha, seed };
  }

  // ---------------------------------------------------------------- what runs

  /** Gives the run what is wanted next; false once all is over. */
  feed() {
    while (this.#runs.size + this.#second.length <= this.workers || this.#second.length > 0) {
      const second = this.#second.pop();
      if (second) this.#giveItems(second);
      else if (!this.#next()) break;
    }
    if (this.#runs.size > 0 || this.#begun.size > 0) return true;
    this.seconds = (performance.now() - this.#began) / 1000;
    this.cut += this.#cases.length - this.#turns.begun();
    return false;
  }

  /** One more probe, of any inquiry. */
  #next() {
    const late = this.#full || performance.now() > this.until;
    if (late) this.#turns.stop();
    for (;;) {
      const number = this.#turns.next();
      if (number === null || number === false) return false;
      const inquiry = this.#begun.get(number) ?? this.#begin(number);
      const probe = late ? false : inquiry.core.next();
      if (probe) {
        this.#turns.asks(number);
        this.#probe(inquiry, probe);
        return true;
      }
      if (probe === null || inquiry.underWay > 0) {
        this.#turns.waits(number);
      } else {
        this.#turns.over(number);
        this.#end(number, late);
      }
    }
  }

  #begin(number) {
    const one = this.#cases[number];
    const { item: test, failed, passed, neighbours, rate } = one;
    const core = new qe.Inquiry({
      ...this.options,
      test,
      failed,
      passed,
      neighbours,
      rate,
      forbidden: [...this.forbidden],
    });
    const inquiry = { one, core, underWay: 0 };
    this.#begun.set(number, inquiry);
    return inquiry;
  }

  #end(number, isEarly) {
    const inquiry = this.#begun.get(number);
    this.#begun.delete(number);
    if (isEarly) {
      this.cut += 1;
      this.unended.add(inquiry.one.item);
    }
    this.findings.set(inquiry.one.item, inquiry.core.finding());
  }

  #probe(inquiry, probe) {
    const run = new Running(inquiry, probe);
    run.files = probe.leftFiles ? inquiry.one.files : (this.#files += 1);
    inquiry.underWay += 1;
    if (run.waits) {
      this.#pass(run, probe.others, run.files);
      if (run.passes === 0) this.#over(run);
      return;
    }
    if (probe.beside === 'meanwhile') {
      if (!this.canMeet(probe.items, probe.others)) {
        run.broken = true;
        this.#over(run);
        return;
      }
      run.partner = this.#files += 1;
    }
    this.#giveItems(run);
  }

  #giveItems(run) {
    const { beside, items, others } = run.probe;
    const given = this.#pass(run, items, run.files);
    if (given && beside === 'meanwhile') this.#pass(run, others, run.files);
    if (run.passes === 0) this.#over(run);
  }

  #pass(run, items, temporary) {
    const { probe, partner } = run;
    const { seed, around, clock, beside } = probe;
    const serial = beside === 'exclusive';
    const number = this.give({ items, seed, temporary, around, clock, partner, serial });
    if (number < 0) {
      this.#full = true;
      run.broken = true;
      return false;
    }
    this.executions += items.length;
    run.passes += 1;
    this.#runs.set(number, { run, items });
    return true;
  }

  // ------------------------------------------------------- what came of it

  owns(pass) {
    return this.#runs.has(pass);
  }

  /** The system would not make these changes around a pass. */
  refuse(pass, names) {
    const found = this.#runs.get(pass);
    if (!found) return;
    for (const name of names) {
      this.refused.add(name);
      this.forbidden.add(name);
    }
    found.run.broken = true;
  }

  /**
   * A pass of ours is over.
   *
   * @param {{item: number, passed: boolean | undefined, way?: string[], started: number,
   *   lost?: boolean}[]} executions in the order in which they began
   */
  over(pass, executions) {
    const { run } = this.#runs.get(pass);
    this.#runs.delete(pass);
    run.passes -= 1;
    const { one } = run.inquiry;
    const last = executions.findLast(({ item }) => item === one.item);
    // What others had left in a process that ended is gone.
    if (executions.some((each) => each.lost && each !== last)) run.broken = true;
    if (last && !run.waits && last === executions.at(-1)) this.#hear(run, last, one);
    if (run.waits) {
      run.waits = false;
      this.#second.push(run);
    } else if (run.passes === 0) {
      this.#over(run);
    }
  }

  /** Of two at once it fails if either does. */
  #hear(run, { passed, way, started }, { ways }) {
    const isOther = passed === false && !ways.has(way);
    const result = isOther ? undefined : passed;
    if (run.result !== undefined && result !== false) return;
    run.result = result;
    run.started = started;
  }

  #over(run) {
    const { inquiry, probe } = run;
    const result = run.broken ? undefined : run.result;
    inquiry.underWay -= 1;
    inquiry.core.result(probe.number, result, run.started);
    if (result !== undefined && probe.around.length === 0) {
      this.evidence(inquiry.one.item, result);
    }
  }

  /** What is known of those that were not ended, after Ctrl-C. */
  end() {
    for (const number of [...this.#begun.keys()]) this.#end(number, true);
  }

  describe() {
    return {
      executions: this.executions,
      seconds: Math.round(this.seconds * 1000) / 1000,
      not_ended: this.cut,
      refused: [...this.refused].sort(),
    };
  }
}

/** A finding for the JSON result. */
function describe(finding, idOf) {
  const { cause, p, culprits, probes } = finding;
  const told = { cause, p, culprits: culprits.map(idOf), probes };
  for (const side of ['with', 'without']) if (finding[side]) told[side] = finding[side];
  return told;
}

/** The cause in a line: its culprits, and both sides of the contrast. */
function tell(finding, nameOf) {
  const { cause, p, culprits } = finding;
  let text = TOLD[cause] ?? cause;
  if (culprits.length > 0) {
    if (cause === 'files' || cause === 'neighbours') text += ':';
    text += ` ${culprits.slice(0, 3).map(nameOf).join(', ')}`;
    if (culprits.length > 3) text += ` and ${culprits.length - 3} more`;
  }
  if (!finding.with) return text;
  const sides = [finding.with, finding.without].map(
    ({ name, failed, passed }) => `${name}: failed ${failed} of ${failed + passed}`,
  );
  return `${text} (${sides.join(', ')}; p = ${Number(p.toPrecision(2))})`;
}

module.exports = { Inquiries, NEVER, describe, tell };
