'use strict';
// This process as a node of a run that several share through a queue's server. The core
// claims, runs and gives back; here the plan is described, what became of files is told,
// and what the server says of the whole run is passed on.

const fs = require('node:fs');

const { Outcome } = require('../units');
const { nodeName } = require('./names');
const { pack } = require('./payload');
const { PREFIX, hidden, told } = require('./target');

const SIGNALS = ['SIGINT', 'SIGTERM', 'SIGHUP'];
const MOST_NAMES = 30; // of failures elsewhere that are shown

const files = (count) => `${count} file${count === 1 ? '' : 's'}`;

/** Waits; signals are heard by `onSignal` meanwhile. */
async function meanwhile(onSignal, promise) {
  for (const name of SIGNALS) process.on(name, onSignal);
  try {
    return await promise;
  } finally {
    for (const name of SIGNALS) process.off(name, onSignal);
  }
}

class QueueNode {
  /** What the command line asks for, `wantedOf` has it; null: no queue. */
  static wanted = null;

  #target;
  #queue;
  #finishing = null;
  #ran = new Set(); // places
  #concluded = false;
  #program = null; // who says what there is to say, if this class does
  #said = false;
  #dying = false; // by a signal
  #ended; // before we came: why there is nothing to do
  #whole = null; // only the last one knows it, and who came too late
  #end = null; // what came of our part, as the addon has it
  unread = null; // why the whole run could not be read

  /**
   * @param {Target} target
   * @param {{id: string, expected?: number}[]} units files, the same and in the same order
   *   on all nodes
   * @param {object} options
   * @param {number} options.workers
   * @param {number} [options.maxFailures] of the whole run
   * @param {string} [options.program] "qe-jest": it ends by a signal while this class waits for
   *   the server; otherwise who made this hears signals
   * @throws UsageError
   */
  constructor(target, units, { workers, maxFailures = 0, program = null }) {
    this.#program = program;
    const { server, project, run, lease, addon } = target;
    this.#target = target;
    this.run = run;
    this.name = nodeName();
    this.count = units.length;
    const names = { prefix: PREFIX, project, run, node: this.name };
    try {
      this.#queue = new addon.Queue({ ...server, ...names, workers, maxFailures, lease }, units);
    } catch (error) {
      throw this.#wrong(error);
    }
    delete process.env.QE_QUEUE_PASSWORD; // no test needs it
  }

  /**
   * Comes to the run: false where that has ended before, so nothing is left for this node.
   *
   * @throws UsageError where it is another run's plan, GoneError without a server
   */
  async join() {
    let signal;
    const onSignal = (name) => {
      signal ??= name;
      this.cancel();
    };
    try {
      const joined = this.#queue.join();
      if (this.#program === null) await joined;
      else
        await meanwhile(onSignal, joined).finally(() => {
          if (signal) process.kill(process.pid, signal);
        });
      return true;
    } catch (error) {
      if (error.code !== 'QE_ESTATE') throw this.#wrong(error);
      this.#ended = error.message;
      const { over, stopped } = this.#queue.known();
      this.#end = { over, stopped };
      // A job that is run again under the same name runs nothing: it must not pass for that.
      this.#finishing = stopped ? Promise.resolve() : this.#read();
      await this.#finishing;
      return false;
    }
  }

  /** Nobody waits for the server any longer; one that answers is still told what there is. */
  cancel() {
    this.#queue.cancel();
  }

  /** A signal ends this process: others need not wait for its lease's end, nor we for a server
   * that does not answer. */
  async die(name) {
    if (this.#dying) return;
    this.#dying = true;
    this.cancel();
    await this.finish();
    this.#say();
    process.kill(process.pid, name);
  }

  #say() {
    if (this.#said) return;
    this.#said = true;
    const lines = this.lines.map((line) => `${this.#program}: ${line}\n`);
    fs.writeSync(2, lines.join('')); // jest may have closed the stream
  }

  #wrong(error) {
    const wrong = told(error);
    wrong.message = `--queue: ${wrong.message}`;
    return wrong;
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

  /**
   * This node runs nothing more: gives back what it holds, and leaves. The last one reads what
   * the others have told.
   */
  finish() {
    this.#finishing ??= this.#leave();
    return this.#finishing;
  }

  async #leave() {
    try {
      const finished = this.#queue.finish();
      const die = (name) => this.die(name);
      this.#end = await (this.#program === null ? finished : meanwhile(die, finished));
    } catch (error) {
      this.#end = { text: error.message, untold: 0 };
    }
    if (this.#end.last) await this.#read();
  }

  async #read() {
    try {
      const { Whole } = require('./whole');
      this.#whole = await this.#target.read((reader) => Whole.read(reader, this.run));
    } catch (error) {
      this.unread = error.message;
    }
  }

  // ------------------------------------------------------------- the whole run

  /** Whether the run was stopped, on whatever node. */
  get stopped() {
    return Boolean(this.#end?.stopped);
  }

  /** Names of what has failed on any node, as far as this one knows. */
  get failures() {
    return this.#whole?.failed.map(({ name }) => name) ?? [];
  }

  /** Whether each file has exactly one outcome, as far as this node knows. */
  get proven() {
    return this.#whole?.complete ?? true;
  }

  /** What went wrong with the server in mid-run; null: nothing. */
  get trouble() {
    const { over, stopped, text, untold } = this.#end ?? {};
    if (over || stopped) return null;
    return hidden(text ?? '') || (untold > 0 ? 'the server is gone' : null);
  }

  /** What is said of the run, and of our part in it. */
  get lines() {
    const { run } = this;
    if (this.isOver) {
      const line = `run ${run}: ${this.#ended}; nothing was left for this node`;
      return [line, ...this.#linesOfWhole('')];
    }
    const { counted = this.#ran.size, late, untold, left, over } = this.#end ?? {};
    const here = this.trouble === null ? counted : this.#ran.size;
    const lines = [`run ${run}: ${here} of ${files(this.count)} ran here`];
    if (late > 0) {
      lines.push(
        `${late} attempt${late === 1 ? '' : 's'} of this node came too late to count: their ` +
          'lease had ended, and other nodes ran them',
      );
    }
    if (untold > 0) {
      const results = `${untold} result${untold === 1 ? '' : 's'}`;
      lines.push(`${results} of this node could not be told to the server`);
    }
    if (this.trouble !== null) lines.push(`error: --queue: ${this.trouble}`);
    else if (this.stopped) lines.push('the run was stopped: not all files have run');
    else if (!over) lines.push(`this node left before the run was over: ${files(left)} were left`);
    return [...lines, ...this.#linesOfWhole('this was the last node of {nodes}: ')];
  }

  #linesOfWhole(head) {
    const whole = this.#whole;
    if (whole === null) {
      return this.unread === null ? [] : [`the whole run could not be read: ${this.unread}`];
    }
    const { shown } = require('../cli/screen');
    const { failures } = this;
    const lines = failures.slice(0, MOST_NAMES).map((name) => `FAILED on some node: ${name}`);
    if (failures.length > MOST_NAMES) lines.push(`... and ${failures.length - MOST_NAMES} more`);
    lines.push(...whole.troubles.map((text) => `proof: ${text}`));
    const counts = whole.told.map(([count, name]) => `${count} ${name}`).join(', ');
    lines.push(`${head.replace('{nodes}', whole.nodes.size)}in the whole run ${counts}`);
    return lines.map(shown);
  }

  /** With which status this process is to end that would end with `own`. */
  #statusOf(own) {
    if (this.trouble !== null) return 7;
    if (own) return own; // a failure of its own says more
    if (!this.#end?.over) return 2; // stopped elsewhere
    if (this.failures.length > 0 || !this.proven) return 1;
    return this.unread === null ? 0 : 7; // nobody knows that nothing failed
  }

  /** Says, when this process ends, what ran here, and sees to its exit status. Once. */
  conclude() {
    if (this.#concluded) return;
    this.#concluded = true;
    // Mocha sets its status right before.
    process.once('exit', (status) => {
      this.#say();
      process.exitCode = this.#statusOf(process.exitCode || status);
    });
  }
}

module.exports = { QueueNode };
