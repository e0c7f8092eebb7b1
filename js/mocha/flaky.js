'use strict';
// `--flaky`: passes over all spec files become one run, in which a test that passed in
// one pass and failed in another has failed, and says so. A pass is what one process
// would do: it runs all files, one behind the other, in an order of its own.

const { wayOf, wayOfLoss } = require('../failures');
const { explain, judge } = require('../flaky');
const { Names } = require('../progress');
const { plainError, unpack } = require('./errors');
const { isWithin, makePlayer } = require('./player');
const { print } = require('./session');
const { Builder, ROOT } = require('./tree');

const again = (seed) => `--parallel=1 --flaky-seed=${seed}`;

/** What a hook is called in every pass: its title names the test that it ran for. */
const hookName = (hook) => `${hook.parent.fullTitle()} ${hook.originalTitle}`;

/** The keys of a file's tests and hooks: names, and which of that name it is. */
class Keys {
  #names = { test: new Names(), hook: new Names() };

  constructor(file) {
    this.file = file;
  }

  /** @param {Iterable<object>} things in the order in which they are defined */
  *of(things) {
    for (const thing of things) {
      if (!thing.type) continue; // a suite
      const name = thing.type === 'hook' ? hookName(thing) : thing.fullTitle();
      yield [thing, `${this.file} ${thing.type} ${this.#names[thing.type].key(name)}`];
    }
  }
}

/** What is known of a test or hook. */
class Found {
  statuses = []; // by pass; undefined: it did not run
  #shown = new Map(); // by status: of the first pass that had it, what happened there

  constructor(thing, file) {
    this.thing = thing;
    this.file = file;
  }

  /**
   * @param {object} ended {status, error, patch}; {printed, tail}: what was printed from
   *   where the suite or the test began, and behind its end, by hooks
   */
  add(pass, ended) {
    this.statuses[pass] = ended.status;
    const before = this.#shown.get(ended.status);
    if (!before || before.pass >= pass) this.#shown.set(ended.status, { ...ended, pass });
  }

  /** What to tell of it: how it failed, if it did. */
  get shown() {
    const others = [...this.#shown.values()].sort((a, b) => a.pass - b.pass);
    return this.#shown.get('failed') ?? others[0];
  }
}

/** An error with a line above its message. */
function prefixed(error, line) {
  const told = error && typeof error === 'object' ? error : plainError(String(error));
  const message = String(told.message ?? '');
  const stack = typeof told.stack === 'string' ? told.stack : `Error: ${message}`;
  const at = message === '' ? -1 : stack.indexOf(message);
  told.message = message === '' ? line : `${line}\n${message}`;
  told.stack =
    at < 0 ? `Error: ${told.message}\n${stack}` : stack.replace(message, () => told.message);
  return told;
}

function makeFlakyRunner(Mocha) {
  const { constants } = Mocha.Runner;
  const builder = new Builder(Mocha);

  return class FlakyRunner extends makePlayer(Mocha) {
    found = new Map(); // by key
    keys = new Map(); // by thing
    stand = new Map(); // by title: for what is in no tree
    known = new Map(); // the first thing of a key: that of the tree, if it is there

    attach(session, tree, things, filtered) {
      super.attach(session, tree, things, filtered);
      this.passes = []; // by number, as of #state
      this.hunt = session.hunt; // an adaptive one
      if (this.hunt) session.interrupted = () => this.#interrupted();
      this.names = new Map(); // Keys, by file
      for (const file of [ROOT, ...session.files.keys()]) {
        this.names.set(file, new Keys(file));
        this.#name(file, things[file].values());
      }
    }

    #name(file, things, keys = this.names.get(file)) {
      for (const [thing, key] of keys.of(things)) {
        this.keys.set(thing, key);
        if (!this.known.has(key)) this.known.set(key, thing);
      }
    }

    #state(pass) {
      return (this.passes[pass] ??= {
        replaced: new Map(), // what files define in it, where that differs from the tree
        printed: [], // by what is to be told next, and which suites have begun for it
        tail: null, // what is printed goes there: a test has ended, and none has begun
        running: null,
        file: undefined, // the number of that whose events came last
      });
    }

    /** What the file that runs in a pass prints, for a report. */
    #printed(pass) {
      if (this.hunt?.asks(pass)) return null;
      return this.session.reports.printed.of(pass, this.#state(pass).file);
    }

    advance() {
      if (this.over) return;
      const { hunt, session } = this;
      for (const unit of session.events) {
        for (const { events } of unit.stages) {
          for (const item of events.splice(0)) this.#take(item, unit.index);
        }
        if (unit.isOver) this.session.reports.printed.over(unit.index);
        if (unit.isOver && hunt?.over(unit.index)) delete this.passes[unit.index];
      }
      if (!session.done) return hunt?.feed(session);
      for (const item of session.atEnd) this.#take(item, 0);
      this.#tellAll();
      for (const item of this.#state(0).printed) if (item.printed) print(item);
      this.end();
    }

    /** What a hunt knows so far is kept. */
    #interrupted() {
      this.hunt.interrupt();
      for (const found of this.#all()) {
        const { thing, file, shown, statuses } = found;
        this.session.reports.conclude(shown.status, thing, {
          file,
          error: shown.error,
          outcome: shown.outcome,
          judged: this.#judge(thing, file, statuses).judged,
        });
      }
      this.session.report(true);
    }

    // ------------------------------------------------------------------ passes

    #take(item, pass) {
      const state = this.#state(pass);
      if (item.printed) {
        this.#printed(pass)?.print(item);
        (state.tail ?? state.printed).push(item);
      } else if (item.described) this.#describe(item, state);
      else if (item.lost) this.#lost(item, pass);
      else if (item.event) this.#event(item, pass);
    }

    /** In this pass a file defines something else: what has the same name is the same. */
    #describe({ of, described }, { replaced }) {
      const found = builder.file(this.suite, described);
      replaced.set(of, found);
      this.#name(of, found.values(), new Keys(of));
    }

    #find(id, { replaced }) {
      const thing = id ? (replaced.get(id[0]) ?? this.things[id[0]])?.get(id[1]) : undefined;
      return this.known.get(this.keys.get(thing)) ?? thing;
    }

    #add(added, [file], state) {
      const found = state.replaced.get(file) ?? this.things[file];
      const before = found.size;
      builder.add(this.#find(added.parent, state), added, found);
      if (found.size > before) this.#name(file, [...found.values()].slice(before));
    }

    #foundOf(thing, file) {
      const key = this.keys.get(thing) ?? `unknown ${thing.title}`;
      if (!this.found.has(key)) this.found.set(key, new Found(thing, file));
      return this.found.get(key);
    }

    #event({ event, slot }, pass) {
      const { name, id, title, patch, current, error, at, passed, added } = event;
      const state = this.#state(pass);
      if (added) this.#add(added, id, state);
      const thing = this.#find(id, state) ?? this.unknown(title);
      if (id?.[0] >= 0) [state.file] = id;
      this.#printed(pass)?.event(name, thing);
      Object.assign(thing, patch);
      if (!thing.type) {
        if (name !== constants.EVENT_SUITE_BEGIN) return;
        state.tail = null;
        state.printed.push({ begun: thing });
        return;
      }
      if (at && !this.hunt?.asks(pass)) this.session.reports.begin(thing, at, slot);
      if (name === constants.EVENT_TEST_BEGIN) {
        state.tail = null;
        state.running = thing;
        this.hunt?.begin(pass, thing, at);
      }
      // What the hooks at the end of a pass print is no test's.
      if (this.suite._afterAll.includes(thing)) state.tail = null;
      if (passed) this.#ended('passed', 'pass', { thing, id, patch }, pass);
      const status = { fail: 'failed', pass: 'passed', pending: 'pending' }[name];
      const given = error === undefined ? undefined : unpack(error);
      if (status || name === 'retry') {
        const forTest = this.#find(current, state);
        this.#ended(status, name, { thing, id, patch, error: given, forTest }, pass);
      } else if (name === constants.EVENT_HOOK_END) {
        this.#hookPassed(thing, this.#fileOf(id), pass);
      }
    }

    #fileOf = (id) => (id?.[0] >= 0 ? this.session.files[id[0]] : undefined);

    #hookPassed(thing, file, pass) {
      if (this.hunt?.asks(pass)) return;
      const found = this.#foundOf(thing, file);
      if (found.statuses[pass] === undefined)
        found.add(pass, { status: 'passed', printed: [], tail: [] });
    }

    /** @param {string | undefined} status none: it is tried again */
    #ended(status, name, { thing, id, patch, error, outcome, forTest, lost }, pass) {
      const state = this.#state(pass);
      const file = this.#fileOf(id);
      const isAsked = this.hunt?.asks(pass); // what came of it is told as a cause
      const told = { file, error, outcome, pass, printed: this.#printed(pass) };
      if (!isAsked) this.session.reports.end(name, thing, told);
      if (!status) return;
      if (thing.type === 'test' && file && this.hunt) {
        const way = lost ? wayOfLoss(outcome, lost) : wayOf(error, process.cwd());
        this.#hunted(thing, status, { file, way, lost: Boolean(lost) }, pass);
      }
      if (isAsked) return;
      const begun = state.running === thing;
      const { printed } = state;
      state.printed = [];
      state.tail = [];
      const ended = { status, error, patch, printed, tail: state.tail, begun, outcome };
      this.#foundOf(thing, file).add(pass, { ...ended, forTest });
    }

    #hunted(thing, status, about, pass) {
      const number = this.session.files.indexOf(about.file);
      const key = this.keys.get(thing)?.slice(`${number} test `.length);
      if (key) this.hunt.end(pass, thing, status, { ...about, number, key });
    }

    /** What stands for a file, or the like, is the same in each pass. */
    #standIn(item) {
      const made = this.lostThing(item);
      if (!this.stand.has(made.title)) this.stand.set(made.title, made);
      return this.stand.get(made.title);
    }

    #lost(item, pass) {
      const { running, outcome, file: name, slot } = item;
      const thing = this.#find(running?.id, this.#state(pass)) ?? this.#standIn(item);
      if (running) {
        Object.assign(thing, running.patch);
        if (!this.hunt?.asks(pass)) this.session.reports.begin(thing, running.since, slot);
      } else if (name && this.session.files.includes(name)) {
        thing.file = name;
      }
      const error = this.lostError(thing, item);
      const duration = running ? Math.max(0, Date.now() - running.since) : 0;
      const patch = { ...running?.patch, state: 'failed', duration };
      Object.assign(thing, patch);
      const id = running?.id;
      this.#ended('failed', 'fail', { thing, id, patch, error, outcome, lost: item.lost }, pass);
    }

    // -------------------------------------------------------------- what is told

    /** All that ran, in the order in which it is defined. */
    #all() {
      const order = new Map(); // by thing
      const walk = (suite) => {
        const { _beforeAll, _beforeEach, tests, suites, _afterEach, _afterAll } = suite;
        for (const thing of [..._beforeAll, ..._beforeEach, ...tests]) order.set(thing, order.size);
        suites.forEach(walk);
        for (const thing of [..._afterEach, ..._afterAll]) order.set(thing, order.size);
      };
      walk(this.suite);
      const place = ({ thing }) => order.get(thing) ?? Infinity;
      const all = [...this.found.values()].filter(
        ({ thing, statuses }) => thing.type === 'test' || statuses.includes('failed'),
      );
      const placed = all.map((found) => [place(found), found]);
      placed.sort(([a], [b]) => (a === b ? 0 : a - b));
      return placed.map(([, found]) => found);
    }

    #tellAll() {
      for (const found of this.#all()) this.#tell(found);
    }

    /** Whether a test or hook is flaky, and what is said of it then. */
    #judge(thing, file, statuses) {
      const plan = this.session.passes;
      if (!this.hunt) {
        const judged = judge(Array.from(plan, (_, pass) => statuses[pass]));
        return { judged, why: judged?.isFlaky && explain(judged, statuses, plan, again) };
      }
      if (!(thing.file ?? file)) return { judged: null };
      if (thing.type === 'hook') this.hunt.addHook(thing, file, statuses);
      const why = this.hunt.why(thing, file);
      return { judged: why && { isFlaky: true }, why };
    }

    /** Begins a suite and those that it stands in, and ends all others. */
    #openTo(suite) {
      const above = [];
      for (let each = suite; !each.root; each = each.parent) above.unshift(each);
      for (const each of above) this.enter(each);
      this.closeTo(suite);
    }

    #tell({ thing, file, statuses, shown }) {
      const { status, printed, tail, patch, begun, outcome, forTest } = shown;
      const { judged, why } = this.#judge(thing, file, statuses);
      const error = why ? prefixed(shown.error, why) : shown.error;
      // What comes before the first suite was printed by hooks at the root.
      if (!printed.some((item) => item.begun)) this.#openTo(thing.parent);
      for (const item of printed) {
        if (item.printed) print(item);
        else if (isWithin(thing, item.begun) && !this.open.includes(item.begun))
          this.#openTo(item.begun);
      }
      this.#openTo(thing.parent);
      Object.assign(thing, patch);
      this.session.reports.conclude(status, thing, { file, error, outcome, judged });
      const hook = thing.type === 'hook';
      if (hook) this.runsFor(thing, forTest);
      if (hook) this.emit(constants.EVENT_HOOK_BEGIN, thing);
      else if (begun) this.emit(constants.EVENT_TEST_BEGIN, thing);
      if (status === 'passed') this.emit(constants.EVENT_TEST_PASS, thing);
      if (status === 'pending') this.emit(constants.EVENT_TEST_PENDING, thing);
      if (status === 'failed') {
        thing.state = 'failed';
        this.failures += 1;
        this.emit(constants.EVENT_TEST_FAIL, thing, error);
      }
      if (!hook) this.emit(constants.EVENT_TEST_END, thing);
      tail.forEach(print);
    }
  };
}

module.exports = { makeFlakyRunner };
