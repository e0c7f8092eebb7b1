'use strict';
// This process as a node of a run that several share through a queue's server. The core
// claims, runs and gives back; here the plan is described, what became of files is told,
// and what the server says of the whole run is passed on.

const fs = require('node:fs');

const { Outcome } = require('../units');
const { GoneError, UsageError } = require('../usage');
const { nodeName, projectOf, runOf } = require('./names');
const { pack } = require('./payload');
const { serverOf } = require('./server');

const PREFIX = 'qe';
/** These say that the server is not there, or will not have us; others, what is wrong here. */
const GONE = new Set(['QE_EGONE', 'QE_EUNSUPPORTED', 'QE_ESYS', 'QE_EBUSY']);

/** An address, or a text with one in it, without its password. */
const hidden = (text) => text.replace(/(rediss?:\/\/[^\s:@/]*):[^\s]*@/g, '$1:***@');

const files = (count) => `${count} test file${count === 1 ? '' : 's'}`;

class QueueNode {
  /** What the command line asks for, `wantedOf` has it; null: no queue. */
  static wanted = null;

  #queue;
  #finishing = null;
  #ran = new Set(); // places
  #told = false; // that this is over
  #ended; // before we came: why there is nothing to do
  end = null; // what came of our part, as the addon has it

  /**
   * @param {string} program "qe-jest"
   * @param {object} wanted of `wantedOf`
   * @param {{id: string, expected?: number}[]} units files, the same and in the same order
   *   on all nodes
   * @param {{workers: number, maxFailures: number}} options the latter of the whole run
   * @throws UsageError
   */
  constructor(program, wanted, units, { workers, maxFailures }) {
    const { server, project, run, lease, addon } = wanted;
    this.program = program;
    this.run = run;
    this.name = nodeName();
    this.count = units.length;
    const names = { prefix: PREFIX, project, run, node: this.name };
    try {
      this.#queue = new addon.Queue({ ...server, ...names, workers, maxFailures, lease }, units);
    } catch (error) {
      throw this.#wrong(error);
    }
  }

  /**
   * Comes to the run: false where that has ended before, so nothing is left for this node.
   *
   * @throws UsageError where it is another run's plan, GoneError without a server
   */
  async join() {
    try {
      await this.#queue.join();
      return true;
    } catch (error) {
      if (error.code !== 'QE_ESTATE') throw this.#wrong(error);
      this.#ended = error.message;
      this.end = { over: !error.message.includes('stopped') };
      this.#finishing = Promise.resolve();
      return false;
    }
  }

  #wrong({ code, message }) {
    const Kind = GONE.has(code) ? GoneError : UsageError;
    return new Kind(`--queue: ${hidden(message)}`);
  }

  /** Whether the run has ended before this node came. */
  get isOver() {
    return this.#ended !== undefined;
  }

  /** The option of the core's session. */
  get source() {
    return this.#queue.source();
  }

  /** To be called once, when there is a session. */
  start() {
    this.#queue.start();
  }

  /**
   * An attempt at a file has ended.
   *
   * @param {object} event of the core's, that ended it
   * @param {object} told
   * @param {string} told.outcome by its name
   * @param {boolean} told.again whether it runs once more, on another node if there is one
   * @param {object} told.attempt as of `pack`; its own outcome, where that is another
   */
  tell({ unit, claim, slot }, { outcome, again, attempt }) {
    if (this.#finishing) return;
    const failed = !again && !['passed', 'flaky', 'skipped'].includes(outcome);
    if (again) this.#ran.delete(unit);
    else this.#ran.add(unit);
    const payload = pack({ outcome, ...attempt, worker: slot, node: this.name });
    this.#queue.tell(unit, claim, Outcome[again ? 'none' : outcome], again, failed, payload);
  }

  /** Nothing more is to start, on any node. */
  stop() {
    if (!this.#finishing) this.#queue.stop();
  }

  /** This node runs nothing more: gives back what it holds, and leaves. */
  finish() {
    this.#finishing ??= this.#queue.finish().then(
      (end) => (this.end = end),
      (error) => (this.end = { text: error.message, untold: 0 }),
    );
    return this.#finishing;
  }

  /** What went wrong with the server in mid-run; undefined: nothing. */
  get #trouble() {
    const { over, stopped, text, untold } = this.end ?? {};
    if (over || stopped) return undefined;
    return hidden(text ?? '') || (untold > 0 ? 'the server is gone' : undefined);
  }

  /** The lines about our part, and with which status this process is to end at least. */
  get #lines() {
    const { end, program, run } = this;
    if (this.#ended)
      return [`${program}: ${this.#ended}: nothing was left for this node (run ${run})\n`];
    const others = this.#ran.size < this.count;
    let part = `${this.#ran.size} of ${files(this.count)} ran here`;
    if (others && end?.over) part += ', the others on other nodes';
    if (end?.late) part += `; ${end.late} of them counted elsewhere already`;
    const lines = [`${part} (run ${run})`];
    if (this.#trouble !== undefined) {
      const untold =
        end.untold > 0 ? `; what became of ${files(end.untold)} is known here alone` : '';
      lines.push(`--queue: ${this.#trouble}${untold}`);
    } else if (end?.stopped) {
      lines.push('the run was stopped: not all files have run');
    } else if (!end?.over) {
      lines.push('this node left before the run was over');
    }
    return lines.map((line) => `${program}: ${line}\n`);
  }

  /** Says, when this process ends, what ran here, and sees to its exit status. Once. */
  conclude() {
    if (this.#told) return;
    this.#told = true;
    process.once('exit', (status) => {
      fs.writeSync(2, this.#lines.join('')); // jest may have closed the stream
      if (this.#trouble !== undefined) process.exitCode = 7;
      // Stopped elsewhere; a failure of its own says more. Mocha sets its status right before.
      else if (!(process.exitCode || status) && !this.end?.over) process.exitCode = 2;
    });
  }
}

/**
 * What options and environment say of a queue.
 *
 * @param {object} options as parsed: `queue` is its address
 * @param {string} folder the project's
 * @throws UsageError
 */
function wantedOf(options, folder) {
  try {
    const server = serverOf(options.queue, options);
    const project = projectOf(options.queueProject, folder);
    const run = runOf(options.run);
    delete process.env.QE_QUEUE_PASSWORD; // no test needs it
    const addon = require('./addon').load();
    return { server, project, run, lease: options.queueLease ?? 0, addon };
  } catch (error) {
    if (!(error instanceof UsageError)) throw error;
    throw new UsageError(`--queue: ${hidden(error.message)}`);
  }
}

module.exports = { QueueNode, wantedOf };
