'use strict';
// Commands of a run that several nodes share through a queue's server. As
// pytest_qe/agents/sharing.py: nodes of both hosts can have parts in one run.

const path = require('node:path');

const { QueueNode } = require('../queue/node');

const TAIL = 64 * 1024; // characters of each stream of a failure
const PASSING = ['passed', 'flaky'];

class CommandNode {
  #node;
  #expected;

  /**
   * @param {Target} target
   * @param {string[]} files that the commands are for: the same on every node
   * @param {(number | null)[]} expected seconds of each
   * @param {number} workers how many run at once
   * @param {string} [cwd] the project's folder
   * @throws UsageError
   */
  constructor(target, files, expected, workers, cwd) {
    const folder = path.resolve(cwd ?? '.');
    this.#expected = expected;
    this.#node = new QueueNode(
      target,
      files.map((file, i) => ({
        id: path.relative(folder, path.resolve(folder, file)) || '.',
        expected: expected[i] ?? 0,
      })),
      { workers },
    );
  }

  /** Nobody waits for the server any longer; one that answers is still told what there is. */
  cancel() {
    this.#node.cancel();
  }

  /** Comes to the run: false where nothing is left of it. Errors as of `QueueNode`. */
  join() {
    return this.#node.join();
  }

  get source() {
    return this.#node.source;
  }

  start() {
    this.#node.start();
  }

  /**
   * An attempt has ended.
   *
   * @param {number} unit
   * @param {object} event of `runUnits`
   * @param {object} attempt as of `FileAttempt`
   * @param {string | null} final the command's outcome; null: it runs again
   * @param {object | null} tests what became of its tests, where that is known
   * @param {boolean} interrupted whether this node is being ended
   */
  tell(unit, event, attempt, final, tests, interrupted) {
    const { outcome, started, seconds, cpuSeconds, peakMemoryBytes, returncode } = attempt;
    const bad = !PASSING.includes(outcome);
    // What a signal to this node has ended has come to nothing: another one runs it.
    if (interrupted && bad) return;
    const { describeEnd } = require('./running');
    const output = ['stdout', 'stderr'].map((name) => [name, event[name].slice(-TAIL)]);
    const told = {
      outcome,
      start: started,
      duration: seconds,
      cpu: cpuSeconds,
      peak: peakMemoryBytes,
      status: event.status,
      expected: this.#expected[unit] ?? 0,
      failures: bad ? [['run', describeEnd(returncode)]] : [],
      output: bad ? output.filter(([, text]) => text !== '') : [],
      tests,
    };
    const claim = { unit, claim: event.attempt, slot: event.worker };
    this.#node.tell(claim, { outcome: final, again: final === null, attempt: told });
  }

  /** This node runs nothing more. Resolves with what is said of the run in a result. */
  async part() {
    const node = this.#node;
    await node.finish();
    const { lines, failures, stopped, proven } = node;
    return { lines, failures, stopped, proven, trouble: node.trouble ?? node.unread };
  }
}

module.exports = { CommandNode };
