'use strict';
// The core for programs: runs, their events, and flakiness.

const os = require('node:os');

const qe = require('./addon');

const { History, Record, VERSION, cpuCount } = qe;

/** Names of the core's numbers. */
const named = (...names) => Object.fromEntries(names.map(([key, text]) => [qe[key], text]));

const KINDS = named(
  ['EV_WORKER', 'worker'],
  ['EV_START', 'start'],
  ['EV_DATA', 'data'],
  ['EV_FINISH', 'finish'],
  ['EV_LOST', 'lost'],
  ['EV_EXIT', 'exit'],
  ['EV_REFUSED', 'refused'],
  ['EV_GIVE_UP', 'giveUp'],
  ['EV_NONE', 'settled'], // nothing of the core's: what follows a verdict, see `settle`
);

const OUTCOMES = named(
  ['NONE', 'none'],
  ['PASSED', 'passed'],
  ['FAILED', 'failed'],
  ['SKIPPED', 'skipped'],
  ['ERROR', 'error'],
  ['TIMEOUT', 'timeout'],
  ['CRASHED', 'crashed'],
  ['FLAKY', 'flaky'],
);

/** The core's numbers of outcomes, by name. */
const Outcome = Object.freeze(
  Object.fromEntries(Object.entries(OUTCOMES).map(([number, name]) => [name, Number(number)])),
);

const PASSES = { passed: true, failed: false, error: false, timeout: false, crashed: false };
const AGAIN = 'R'; // what the core takes for "another attempt, if any is left"

function refuse(message) {
  return Object.assign(new TypeError(message), { code: 'QE_EINVAL' });
}

/** Outcomes as true (passed), false (failed) or undefined (not counted); maybe none counts. */
function anyResultsOf(outcomes, name) {
  if (!Array.isArray(outcomes)) throw refuse(`${name}: takes an array, not ${typeof outcomes}`);
  return outcomes.map((outcome, i) => {
    if (typeof outcome === 'boolean') return outcome;
    if (!Object.hasOwn(Outcome, outcome)) {
      throw refuse(`${name}[${i}]: takes true, false or the name of an outcome`);
    }
    return PASSES[outcome];
  });
}

/** The same, of which at least one counts. */
function resultsOf(outcomes) {
  const results = anyResultsOf(outcomes, 'outcomes');
  if (!results.some((result) => result !== undefined)) {
    throw refuse('outcomes: none of them counts: takes at least one that passed or failed');
  }
  return results;
}

const analyze = (outcomes) => qe.flakiness(resultsOf(outcomes));

const SIGNALS = Object.fromEntries(
  Object.entries(os.constants.signals).map(([name, number]) => [number, name]),
);

/** How a command ended, and what it printed. */
function endOfCommand({ status, data, stdoutBytes }, { kind, outcome }) {
  const told = kind === 'finish'; // otherwise its worker is gone, and that is its status
  const stdout = told ? data.subarray(0, stdoutBytes).toString() : '';
  const stderr = told ? data.subarray(stdoutBytes).toString() : '';
  const exited = told && outcome !== 'error' && (status & 0x7f) === 0;
  return {
    exitCode: exited ? status >> 8 : null,
    signal: told ? (SIGNALS[status & 0x7f] ?? null) : null,
    stdout,
    stderr,
    ...(told && { message: outcome === 'error' ? stderr.trim() : '' }),
  };
}

/** An event as users see it: of what the core says, that which its kind has. */
function eventOf(core, units, commands) {
  const event = { kind: KINDS[core.kind], worker: core.slot, pid: core.pid };
  if (core.unit !== undefined && event.kind !== 'exit') {
    event.unit = units[core.unit];
    event.attempt = core.attempt;
  }
  switch (event.kind) {
    case 'data':
      event.dataKind = core.dataKind;
      event.data = core.data;
      break;
    case 'finish':
    case 'lost':
      Object.assign(event, {
        outcome: OUTCOMES[core.outcome],
        asks: core.asks,
        again: core.again,
        final: core.final === qe.NONE ? null : OUTCOMES[core.final],
        status: core.status,
        duration: core.duration,
        cpu: core.cpu,
        peakBytes: core.peakBytes,
      });
      if (commands) Object.assign(event, endOfCommand(core, event));
      else if (event.kind === 'finish') event.message = core.data.subarray(1).toString();
      break;
    case 'settled':
      event.again = core.again;
      event.final = core.final === qe.NONE ? null : OUTCOMES[core.final];
      break;
    case 'start':
      event.start = core.start;
      break;
    case 'exit':
    case 'refused':
      event.status = core.status;
      break;
    default:
  }
  return event;
}

/**
 * Where the core leaves events. Apart from what reads them: the core holds on to this
 * for as long as it runs, and must not keep a run alive that nobody reads any more.
 */
function mailbox() {
  const box = { events: [], ended: false, wake: null };
  box.take = (events, end) => {
    for (const event of events) box.events.push(event);
    box.ended ||= end;
    box.wake?.();
  };
  return box;
}

class Run {
  #box = mailbox();
  #last = Promise.resolve(); // calls of next() are answered in their order
  #session;
  #units;
  #commands;

  constructor(units, options) {
    this.#session = new qe.Session(units, options, this.#box.take);
    this.#units = [...units];
    this.#commands = options.argv === undefined || options.argv === null;
  }

  next() {
    return (this.#last = this.#last.then(() => this.#next()));
  }

  async #next() {
    const box = this.#box;
    for (;;) {
      while (box.events.length === 0 && !box.ended) {
        await new Promise((resolve) => (box.wake = resolve));
        box.wake = null;
      }
      const core = box.events.shift();
      if (!core) {
        this.#close();
        return { value: undefined, done: true };
      }
      if (KINDS[core.kind])
        return { value: eventOf(core, this.#units, this.#commands), done: false };
    }
  }

  #close() {
    this.#session.close();
    this.#box.ended = true;
    this.#box.events.length = 0;
    this.#box.wake?.();
  }

  /** Ends what runs, at once; `break` in a for-await loop calls it. */
  async return(value) {
    this.#close();
    return { value, done: true };
  }

  /** Nothing new starts; with `interrupt` what runs gets SIGINT, and its grace. */
  stop(interrupt = false) {
    this.#session.stop(interrupt);
  }

  /** Nothing new starts, and what runs is killed. */
  kill() {
    this.#session.kill();
  }

  /** Commands are held, with what they have started, or go on; their limits stand still. */
  pause(on) {
    this.#session.pause(on);
  }

  /** Of commands: from now on at most so many at once, so many seconds between two starts. */
  limit(running, throttle) {
    this.#session.limit(running, throttle);
  }

  /**
   * Under the option `asks`: judges an attempt that has ended, once the host has looked at
   * what it left behind: before that no other attempt begins. "settled" tells what follows.
   *
   * @param {number} unit its index
   * @param {boolean} retryable whether another attempt is of any use
   */
  settle(unit, attempt, outcome, retryable) {
    this.#session.settle(unit, attempt, Outcome[outcome], retryable);
  }

  [Symbol.asyncIterator]() {
    return this;
  }
}

const runUnits = (units, options) => new Run(units, options);

async function work(run) {
  if (typeof run !== 'function') throw refuse(`run: takes a function, not ${typeof run}`);
  const core = new qe.Worker();
  const { slot, seed } = core.job();
  for (let claim; (claim = core.claim(true));) {
    if (!core.start(claim)) break;
    core.phase(qe.SETUP); // the unit's time limit begins
    core.phase(qe.CALL);
    let outcome = 'passed';
    let message = '';
    try {
      const { unit, item, pass, attempt } = claim;
      const send = (kind, data) => core.send(kind, data);
      outcome = (await run({ unit, item, pass, attempt, worker: slot, seed, send })) ?? 'passed';
      if (!Object.hasOwn(Outcome, outcome) || outcome === 'none') {
        throw refuse('run: its result is no name of an outcome');
      }
    } catch (error) {
      outcome = 'failed';
      message = String(error?.stack ?? error);
    }
    core.phase(qe.TEARDOWN);
    const again = PASSES[outcome] === false;
    core.finish(Outcome[outcome], Buffer.from(`${again ? AGAIN : ' '}${message}`));
  }
  core.bye();
}

module.exports = {
  History,
  Outcome,
  Record,
  VERSION,
  analyze,
  anyResultsOf,
  cpuCount,
  refuse,
  resultsOf,
  runUnits,
  work,
};
