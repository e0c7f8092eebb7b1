'use strict';
// What workers have told of one unit, until it is played, and what that says of the unit.

const path = require('node:path');

const qe = require('../addon');
const { Outcome } = require('../units');
const { unpack } = require('./errors');

const STAGES = 3; // of a file's events
const NAMES = Object.fromEntries(Object.entries(Outcome).map(([name, number]) => [number, name]));

/**
 * The events of one unit, a file or a pass over all: those of its tests at the root, those
 * of its suites, and those of suites that it has added to the root at run time.
 */
class UnitEvents {
  constructor(index, title) {
    this.index = index;
    this.title = title; // a path, or what stands for one
    this.stages = Array.from({ length: STAGES }, () => ({ events: [], over: false }));
    this.stage = 1;
    this.running = new Map(); // what runs now: 'test' and 'hook', as [id, since]
    this.started = 0; // seconds since the epoch, where a run has several nodes
    this.untold = null; // the event that began it, until other nodes are told
    this.counts = { passed: 0, failures: [] };
    this.ended = undefined; // the id of what was over last, unless something has begun since
  }

  push(event, stage = this.stage) {
    this.stage = stage;
    this.#count(event);
    this.stages[stage].events.push(event);
  }

  /** What other nodes are told of, see `toldOf`. */
  #count({ event, lost, outcome, stack, running, file }) {
    const { name, patch, error, passed } = event ?? {};
    if (lost !== undefined) {
      const title = running?.patch?.title ?? path.relative('', file ?? this.title);
      this.counts.failures.push([title, [lost, stack].filter(Boolean).join('\n'), outcome]);
    } else if (name === 'fail') {
      const { stack: at, message } = unpack(error) ?? {};
      this.counts.failures.push([patch?.title ?? this.title, String(at ?? message), qe.FAILED]);
    } else if (name === 'pass' || passed) {
      this.counts.passed += 1;
    }
  }

  /** Notes what runs, to name it should its worker be lost. */
  note({ name, id, patch }) {
    const begins = name === 'test' || name === 'hook' || name === 'retry';
    this.ended = begins ? undefined : (id?.join() ?? this.ended);
    if (name === 'test') this.running.set('test', { id, patch, since: Date.now() });
    else if (name === 'hook') this.running.set('hook', { id, patch, since: Date.now() });
    else if (name === 'test end' || name === 'retry') this.running.delete('test');
    else if (name === 'hook end') this.running.delete('hook');
    else if (name === 'fail' && this.running.get('hook')?.id?.join() === id?.join()) {
      this.running.clear(); // mocha goes on behind the hook's suite
    } else if (name === 'fail' || name === 'pending') {
      const test = this.running.get('test');
      if (test) test.told = true;
    }
  }

  close() {
    for (const stage of this.stages) stage.over = true;
  }

  get isOver() {
    return this.stages.every((stage) => stage.over);
  }
}

/** What other nodes, and reports of a whole run, are told of a file that is over here. */
function toldOf({ counts: { passed, failures }, started }) {
  const [, , first] = failures[0] ?? [];
  const outcome = failures.every(([, , each]) => each === first) ? first : qe.FAILED;
  const told = failures.length > 0 ? NAMES[outcome] : passed > 0 ? 'passed' : 'skipped';
  const attempt = {
    start: started,
    duration: Date.now() / 1000 - started,
    failures: failures.map(([title, text]) => [title, text]),
  };
  return { outcome: told, again: false, attempt };
}

module.exports = { STAGES, UnitEvents, toldOf };
