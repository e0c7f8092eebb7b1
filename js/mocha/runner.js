'use strict';
// Mocha's runner, as the parent has it: it emits what workers have sent, in the order
// in which one process would have run it, so that every reporter works as it is.

const { unpack } = require('./errors');
const { makePlayer } = require('./player');
const { STAGES, print } = require('./session');
const { Builder, ROOT } = require('./tree');

function makeParentRunner(Mocha) {
  const { constants } = Mocha.Runner;
  const builder = new Builder(Mocha);

  return class ParentRunner extends makePlayer(Mocha) {
    replaced = new Map(); // what files define where that differs from the tree
    tellers = new Map(); // which worker tells of each hook at the root
    muted = new Set(); // workers in a hook that another one tells of
    cursor = { stage: 0, file: 0 };

    /** Plays what can be played: files in their order, first their tests at the root,
     * last the suites that were added to it meanwhile. */
    advance() {
      if (this.over) return;
      while (!this.stopping) {
        const { cursor, session } = this;
        if (this.#atEnd()) break;
        const { index, stages } = session.turns[cursor.file];
        const stage = stages[cursor.stage];
        while (stage.events.length > 0) {
          if (!this.#play(stage.events.shift(), index)) return this.#stop();
        }
        const none = cursor.stage === 0 && !this.#atRoot(index);
        if (!stage.over && !none) return;
        if (cursor.stage > 0) this.closeTo(this.suite);
        // Serially nothing of the next file would begin.
        if (this.failures > 0 && this.suite.bail()) return this.#stop();
        if (session.node) cursor.stage += 1;
        else cursor.file += 1;
      }
      if (!this.session.done) return;
      for (const item of this.session.atEnd) this.#play(item, ROOT);
      this.end();
    }

    /**
     * Whether nothing is left to be played, as far as one knows. In a run of several nodes
     * nobody knows which files are still to come: each is played whole when it has begun.
     */
    #atEnd() {
      const { cursor, session } = this;
      const { length } = session.turns;
      if (session.node) {
        if (cursor.stage === STAGES) Object.assign(cursor, { stage: 0, file: cursor.file + 1 });
        return cursor.file === length;
      }
      if (cursor.file < length) return false;
      if (cursor.stage === STAGES - 1) return true;
      Object.assign(cursor, { stage: cursor.stage + 1, file: 0 });
      return false;
    }

    /** Nothing of the files is played any more: hooks at the root, in leaving workers, are. */
    #stop() {
      this.stopping = true;
      this.closeTo(this.suite);
      this.session.stop();
      this.advance();
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
        if (this.muted.has(item.worker)) return true;
        this.#printed(file)?.print(item);
        print(item);
      } else if (item.stop) {
        return false;
      } else if (item.described) {
        this.replaced.set(item.of, builder.file(this.suite, item.described));
      } else if (item.lost) {
        this.#lost(item, file);
        return !this.suite.bail();
      } else {
        this.#event(item.event, file, item);
      }
      return true;
    }

    /** What a file prints, for a report. */
    #printed(file) {
      return this.session.reports.printed.of(0, file === ROOT ? undefined : file);
    }

    #event(event, file, { worker, slot }) {
      const { name, id, title, patch, current, error, at, passed, added } = event;
      if (added) this.#add(added, file);
      let thing = this.#find(id, file) ?? this.unknown(title, this.open.at(-1));
      if (this.#isRepeated(thing, worker)) {
        if (name === constants.EVENT_HOOK_BEGIN) this.muted.add(worker);
        else this.muted.delete(worker);
        return;
      }
      this.#printed(file)?.event(name, thing);
      if (name === constants.EVENT_SUITE_BEGIN) return this.enter(Object.assign(thing, patch));
      if (name === constants.EVENT_SUITE_END) return this.closeTo(thing.parent);
      if (name === constants.EVENT_TEST_BEGIN) {
        this.closeTo(thing.parent);
        if (patch._currentRetry > thing.currentRetry()) thing = this.#again(thing, id, file);
      }
      if (patch) Object.assign(thing, patch);
      if (thing.type === 'hook') this.runsFor(thing, this.#find(current, file));
      if (name === constants.EVENT_TEST_FAIL) this.failures += 1;
      if (at) this.session.reports.begin(thing, at, slot);
      if (passed) this.#tell(constants.EVENT_TEST_PASS, thing, file);
      this.#tell(name, thing, file, ...(error === undefined ? [] : [unpack(error)]));
      if (name === constants.EVENT_HOOK_END) {
        this.runsFor(thing);
        const { parent } = thing;
        thing.title = `${thing.originalTitle} in "${parent.title || (parent.root ? '{root}' : '')}"`;
      }
    }

    #tell(name, thing, file, ...told) {
      const printed = this.#printed(file);
      const where = this.session.files[file];
      this.session.reports.end(name, thing, { file: where, error: told[0], printed });
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
      const found = this.replaced.get(file) ?? this.things[file];
      builder.add(this.#find(added.parent, file), added, found);
    }

    /** A test, hook or file has ended its worker. */
    #lost(item, file) {
      const { running, hook, outcome, file: name, worker, slot } = item;
      const known = running && this.#find(running.id, file);
      if (known && this.#isRepeated(known, worker)) return;
      const thing = known ?? this.lostThing(item);
      if (running?.patch) Object.assign(thing, running.patch);
      if (name) thing.file = name;
      thing.state = 'failed';
      thing.duration = running ? Math.max(0, Date.now() - running.since) : 0;
      this.failures += 1;
      const error = this.lostError(thing, item);
      if (running) this.session.reports.begin(thing, running.since, slot);
      const printed = this.#printed(file);
      const where = this.session.files[file];
      this.session.reports.end('fail', thing, { file: where, error, outcome, printed });
      this.emit(constants.EVENT_TEST_FAIL, thing, error);
      if (!hook) this.emit(constants.EVENT_TEST_END, thing);
    }
  };
}

module.exports = { makeParentRunner };
