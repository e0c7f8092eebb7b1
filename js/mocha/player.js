'use strict';
// Mocha's runner, as a parent has it: it runs nothing, but emits what workers have sent.

const path = require('node:path');

const { plainError } = require('./errors');
const { print } = require('./session');

/** Whether a suite is this thing or above it. */
const isWithin = (thing, suite) => {
  for (let each = thing; each; each = each.parent) if (each === suite) return true;
  return false;
};

/** Subclasses have `advance()`, which is called whenever workers have sent something. */
function makePlayer(Mocha) {
  const { Runner, Test } = Mocha;
  const { constants } = Runner;

  return class Player extends Runner {
    /** The session whose events are played, and the tree, from loading. */
    attach(session, tree, things, filtered) {
      this.session = session;
      this.filtered = filtered; // `.only` has been obeyed
      this.tree = tree;
      this.things = things;
      this.open = []; // suites that have begun, outermost first
    }

    run(fn = () => {}) {
      const root = this.suite;
      if (this._opts.delay) {
        this.emit(constants.EVENT_DELAY_BEGIN, root);
        this.emit(constants.EVENT_DELAY_END);
      }
      if (!this.filtered && root.hasOnly()) root.filterOnly();
      this.state = constants.STATE_RUNNING;
      this.finish = fn;
      const runs = this.grepTotal(root) > 0;
      Runner.immediately(() => {
        this.emit(constants.EVENT_RUN_BEGIN);
        if (!runs && this.session.bad.size === 0) return this.end();
        this.emit(constants.EVENT_SUITE_BEGIN, root);
        this.open.push(root);
        this.session.changed = () => this.advance();
        this.session.go(this.tree);
        this.advance();
      });
      return this;
    }

    /** Begins a suite, whose parent has begun. */
    enter(suite) {
      // A fresh worker goes on with what the one before it has begun.
      if (this.open.includes(suite)) return;
      this.closeTo(suite.parent);
      this.open.push(suite);
      this.emit(constants.EVENT_SUITE_BEGIN, suite);
    }

    /** Ends the suites that have begun below this one and beside it. */
    closeTo(suite) {
      while (this.open.length > 1 && !isWithin(suite, this.open.at(-1))) {
        this.emit(constants.EVENT_SUITE_END, this.open.pop());
      }
    }

    /** What stands for something that is not in the tree. */
    unknown(title = 'unknown', parent = this.suite) {
      const test = new Test(title, () => {});
      test.parent = parent;
      return test;
    }

    /** Reporters ask a hook for the test that it runs for. */
    runsFor(hook, test) {
      if (test) hook.ctx.currentTest = test;
      else delete hook.ctx.currentTest;
    }

    /** What has ended its worker; a file by its name, or what stands for one. */
    lostThing({ file }) {
      return this.unknown(file && path.relative('', file), this.open.at(-1));
    }

    /** Why a thing has failed with its worker. */
    lostError(thing, { lost, stack }) {
      const where = thing.file ? ` (${thing.file})` : '';
      return plainError(`${lost}${where}`, this.#filtered(stack));
    }

    /** A stack as mocha shows it. */
    #filtered(stack) {
      if (!stack || this.fullStackTrace) return stack;
      return Mocha.utils.stackTraceFilter()(stack);
    }

    end() {
      if (this.over) return;
      this.over = true;
      this.session.close();
      while (this.open.length > 0) this.emit(constants.EVENT_SUITE_END, this.open.pop());
      if (!this.total && this._opts.failZero) this.failures = 1;
      this.session.report();
      process.once('exit', () => this.session.last.forEach(print));
      this.emit(constants.EVENT_RUN_END);
      this.state = constants.STATE_STOPPED;
      for (const warning of this.session.warnings ?? []) {
        process.stderr.write(`qe-mocha: ${warning}\n`);
      }
      this.finish(this.failures);
    }
  };
}

module.exports = { isWithin, makePlayer };
