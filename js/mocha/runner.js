'use strict';
// Mocha's runner, as the parent has it: it emits what workers have sent, in the order
// in which one process would have run it, so that every reporter works as it is.

const { plainError, unpack } = require('./errors');
const { STAGES, print } = require('./session');
const { Builder, ROOT } = require('./tree');

/** Whether a suite is this thing or above it. */
const isWithin = (thing, suite) => {
  for (let each = thing; each; each = each.parent) if (each === suite) return true;
  return false;
};

function makeParentRunner(Mocha) {
  const { Runner, Test } = Mocha;
  const { constants } = Runner;

  return class ParentRunner extends Runner {
    /** The session whose events are played, and the tree, from loading. */
    attach(session, tree, things, filtered) {
      this.session = session;
      this.filtered = filtered; // `.only` has been obeyed
      this.tree = tree;
      this.things = things;
    }

    run(fn = () => {}) {
      const root = this.suite;
      if (this._opts.delay) {
        this.emit(constants.EVENT_DELAY_BEGIN, root);
        this.emit(constants.EVENT_DELAY_END);
      }
      if (!this.filtered && root.hasOnly()) root.filterOnly();
      this.state = constants.STATE_RUNNING;
      this.open = []; // suites that have begun, outermost first
      this.replaced = new Map();
      this.tellers = new Map(); // which worker tells of each hook at the root
      this.muted = new Set(); // workers in a hook that another one tells of
      this.cursor = { stage: 0, file: 0 };
      this.finish = fn;
      const runs = this.grepTotal(root) > 0;
      Runner.immediately(() => {
        this.emit(constants.EVENT_RUN_BEGIN);
        if (!runs && this.session.bad.size === 0) return this.#end();
        this.emit(constants.EVENT_SUITE_BEGIN, root);
        this.open.push(root);
        this.session.changed = () => this.#advance();
        this.session.go(this.tree);
        this.#advance();
      });
      return this;
    }

    /** Plays what can be played: files in their order, first their tests at the root,
     * last the suites that were added to it meanwhile. */
    #advance() {
      if (this.over) return;
      while (!this.stopping) {
        const { cursor, session } = this;
        if (cursor.file === session.files.length) {
          if (cursor.stage === STAGES - 1) break;
          Object.assign(cursor, { stage: cursor.stage + 1, file: 0 });
        }
        const stage = session.events[cursor.file].stages[cursor.stage];
        while (stage.events.length > 0) {
          if (!this.#play(stage.events.shift(), cursor.file)) return this.#stop();
        }
        const none = cursor.stage === 0 && !this.#atRoot(cursor.file);
        if (!stage.over && !none) return;
        if (cursor.stage > 0) this.#closeTo(this.suite);
        // Serially nothing of the next file would begin.
        if (this.failures > 0 && this.suite.bail()) return this.#stop();
        cursor.file += 1;
      }
      if (!this.session.done) return;
      for (const item of this.session.atEnd) this.#play(item, ROOT);
      this.#end();
    }

    /** Nothing of the files is played any more: hooks at the root, in leaving workers, are. */
    #stop() {
      this.stopping = true;
      this.#closeTo(this.suite);
      this.session.stop();
      this.#advance();
    }

    /** Whether a file has tests at the root that will run. */
    #atRoot(file) {
      const found = this.things[file];
      return this.suite.tests.some((test) => found.get(this.numberOf(test, file)) === test);
    }

    numberOf(test, file) {
      this.numbers ??= new Map();
      if (!this.numbers.has(file)) {
        const numbers = new Map();
        for (const [number, thing] of this.things[file]) numbers.set(thing, number);
        this.numbers.set(file, numbers);
      }
      return this.numbers.get(file).get(test);
    }

    #find(id, file) {
      if (!id) return undefined;
      const replaced = id[0] === file ? this.replaced.get(file) : undefined;
      return (replaced ?? this.things[id[0]])?.get(id[1]);
    }

    /** Emits one thing. False: mocha would run nothing behind it. */
    #play(item, file) {
      if (item.printed) {
        if (!this.muted.has(item.worker)) print(item);
      } else if (item.stop) {
        return false;
      } else if (item.described) {
        this.replaced.set(file, new Builder(Mocha).file(this.suite, item.described));
      } else if (item.lost) {
        this.#lost(item, file);
        return !this.suite.bail();
      } else {
        this.#event(item.event, file, item);
      }
      return true;
    }

    #event({ name, id, title, patch, error, at, passed, added }, file, { worker, slot }) {
      if (added) this.#add(added, file);
      let thing = this.#find(id, file) ?? this.#unknown(title);
      if (this.#isRepeated(thing, worker)) {
        if (name === constants.EVENT_HOOK_BEGIN) this.muted.add(worker);
        else this.muted.delete(worker);
        return;
      }
      if (name === constants.EVENT_SUITE_BEGIN) return this.#begin(Object.assign(thing, patch));
      if (name === constants.EVENT_SUITE_END) return this.#closeTo(thing.parent);
      if (name === constants.EVENT_TEST_BEGIN) {
        this.#closeTo(thing.parent);
        if (patch._currentRetry > thing.currentRetry()) thing = this.#again(thing, id, file);
      }
      if (patch) Object.assign(thing, patch);
      if (name === constants.EVENT_TEST_FAIL) this.failures += 1;
      if (at) this.session.reports.begin(thing, at, slot);
      if (passed) this.#tell(constants.EVENT_TEST_PASS, thing, file);
      this.#tell(name, thing, file, ...(error === undefined ? [] : [unpack(error)]));
      if (name === constants.EVENT_HOOK_END) {
        const { parent } = thing;
        thing.title = `${thing.originalTitle} in "${parent.title || (parent.root ? '{root}' : '')}"`;
      }
    }

    #tell(name, thing, file, ...told) {
      this.session.reports.end(name, thing, { file: this.session.files[file], error: told[0] });
      this.emit(name, thing, ...told);
    }

    /** Each worker runs the root's `before` and `after` hooks: one of them tells. */
    #isRepeated(thing, worker) {
      const { _beforeAll, _afterAll } = this.suite;
      if (!_beforeAll.includes(thing) && !_afterAll.includes(thing)) return false;
      if (!this.tellers.has(thing)) this.tellers.set(thing, worker);
      return this.tellers.get(thing) !== worker;
    }

    /** Mocha runs a test again as a copy. */
    #again(test, id, file) {
      const copy = test.clone();
      copy.body = test.body;
      (this.replaced.get(file) ?? this.things[file]).set(id[1], copy);
      return copy;
    }

    /** A suite, test or hook that was added at run time. */
    #add(added, file) {
      const parent = this.#find(added.parent, file);
      const found = this.replaced.get(file) ?? this.things[file];
      if (parent && !found.has(added.described.number))
        new Builder(Mocha).add(parent, added, found);
    }

    #unknown(title = 'unknown') {
      const test = new Test(title, () => {});
      test.parent = this.open.at(-1) ?? this.suite;
      return test;
    }

    #begin(suite) {
      // A fresh worker goes on with what the one before it has begun.
      if (this.open.includes(suite)) return;
      this.#closeTo(suite.parent);
      this.open.push(suite);
      this.emit(constants.EVENT_SUITE_BEGIN, suite);
    }

    /** Ends the suites that have begun below this one and beside it. */
    #closeTo(suite) {
      while (this.open.length > 1 && !isWithin(suite, this.open.at(-1))) {
        this.emit(constants.EVENT_SUITE_END, this.open.pop());
      }
    }

    /** A test, hook or file has ended its worker. */
    #lost({ running, hook, lost, outcome, stack, file: name, worker, slot }, file) {
      const known = running && this.#find(running.id, file);
      if (known && this.#isRepeated(known, worker)) return;
      const thing = known ?? this.#unknown(running?.title ?? this.#fileTitle(name));
      if (running?.patch) Object.assign(thing, running.patch);
      if (name) thing.file = name;
      thing.state = 'failed';
      thing.duration = running ? Math.max(0, Date.now() - running.since) : 0;
      this.failures += 1;
      const where = thing.file ? ` (${thing.file})` : '';
      const error = plainError(`${lost}${where}`, this.#filtered(stack));
      if (running) this.session.reports.begin(thing, running.since, slot);
      this.session.reports.end('fail', thing, { file: this.session.files[file], error, outcome });
      this.emit(constants.EVENT_TEST_FAIL, thing, error);
      if (!hook) this.emit(constants.EVENT_TEST_END, thing);
    }

    /** A stack as mocha shows it. */
    #filtered(stack) {
      if (!stack || this.fullStackTrace) return stack;
      return Mocha.utils.stackTraceFilter()(stack);
    }

    #fileTitle(name) {
      return require('node:path').relative('', name);
    }

    #end() {
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

module.exports = { makeParentRunner };
