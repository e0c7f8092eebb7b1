'use strict';
// Mocha's runner, as a worker has it: it runs what one unit gave the root suite, then
// asks for the next one: a file, or a pass over all. All files are loaded, so root hooks, `.only` and `--grep` are
// what they are serially.

const { parse, setImmediate, stringify } = require('../natives');
const { nameOf } = require('../progress');

/** What a test, suite or hook is called in the journal of an attempt. */
function keyOf(thing, numbers) {
  const name = (each) => numbers.get(each)?.join('/');
  if (thing.type === 'test') return `t${name(thing)}`;
  const suite = thing.type === 'hook' ? thing.parent : thing;
  if (suite.root) return `root.${name(thing)}`;
  return thing.type === 'hook' ? `h${stringify([name(suite), name(thing)])}` : `s${name(suite)}`;
}

/** Which test or hook that is, the other way; undefined for anything else. */
function thingOf(key) {
  const id = (text) => text.split('/').map(Number);
  if (key.startsWith('t')) return { name: 'test', id: id(key.slice(1)) };
  if (key.startsWith('h')) return { name: 'hook', id: id(parse(key.slice(1))[1]) };
  return key.startsWith('root.') ? { name: 'hook', id: id(key.slice('root.'.length)) } : undefined;
}

/** Leaves of a unit what earlier attempts have not run; `progress` is what they noted. */
function removeFinished(part, numbers, progress) {
  const over = new Set([...progress.done.keys(), ...progress.lost].map(nameOf));
  // A hook that has failed, or ended its worker: as in mocha its suite is then over.
  const failed = [...progress.done].filter(([, status]) => status === 'failed');
  for (const key of [...progress.lost, ...failed.map(([one]) => one)]) {
    const name = nameOf(key);
    if (name.startsWith('h')) over.add(`s${parse(name.slice(1))[0]}`);
  }
  const isOver = (thing) => over.has(keyOf(thing, numbers));
  const prune = (suite) => {
    const whole = isOver(suite);
    suite.tests = whole ? [] : suite.tests.filter((test) => !isOver(test));
    if (whole) suite.suites = [];
    suite.suites.forEach(prune);
  };
  part.suites.forEach(prune);
  part.tests = part.tests.filter((test) => !isOver(test));
}

/**
 * @param {Function} Stock mocha's runner
 * @param {object} units where the files come from: `next()` gives the next part
 *   {tests, suites} of the root suite or null, `isLast()` says whether no file comes
 *   behind its, `stage()` hears that a part's tests are over, `added()` that its suites
 *   are and those that were added at run time follow, `finish(stopped)` that the part is, and `end()` that all is.
 */
function makeUnitRunner(Stock, units) {
  // Users see the name in stacks: it is mocha's.
  return class Runner extends Stock {
    runSuite(suite, fn) {
      if (!suite.root) return super.runSuite(suite, fn);
      this.suite = suite;
      this.#wanted = { tests: suite.tests, suites: suite.suites };
      this.#newSuites(suite);
      this.#nextPart(suite, fn);
    }

    #wanted; // what `.only` has left of the root suite
    #known = new Set(); // the root's suites that have had, or have, their turn
    #early = { tests: [], suites: [] }; // what hooks at the root have added to it
    #prepared = false;
    #broken = false; // a root hook has failed: mocha runs nothing more

    #nextPart(root, fn) {
      const part = units.next();
      if (!part) return this.#leave(root, fn);
      this.failures = 0; // --bail looks at this file's alone; the parent at the whole
      // A test may come twice: the second is made as mocha makes those that it runs again.
      const first = (test) => test.retriedTest?.() ?? test;
      const tests = part.tests.filter((test) => this.#wanted.tests.includes(first(test)));
      const suites = part.suites.filter((each) => this.#wanted.suites.includes(each));
      const wanted = (test) => this._grep.test(test.fullTitle()) !== Boolean(this._invert);
      let any = tests.some(wanted);
      for (const each of suites) any ||= this.grepTotal(each) > 0;
      if (!any || this.#broken) return this.#finish(root, fn, this.#broken);
      this.#prepare(root, (error) => {
        if (error) return this.#finish(root, fn, true);
        // Each worker has these: the last file's runs them, as they come last serially.
        const early = units.isLast() ? this.#early : { tests: [], suites: [] };
        root.tests = [...tests, ...early.tests];
        this.runTests(root, (errSuite) => {
          units.stage();
          this.#runSuites(root, [...suites, ...early.suites], errSuite, (stopped) =>
            this.#finish(root, fn, stopped),
          );
        });
      });
    }

    /** The root's `before` hooks, once in a worker. */
    #prepare(root, then) {
      if (this.#prepared) return then();
      this.#prepared = true;
      const before = root.tests.length;
      this.hook('beforeAll', (error) => {
        this.#early = { tests: root.tests.slice(before), suites: this.#newSuites(root) };
        this.#broken = Boolean(error);
        then(error);
      });
    }

    /** What was added to the root since this was asked. */
    #newSuites(root) {
      const found = root.suites.filter((suite) => !this.#known.has(suite));
      for (const suite of found) this.#known.add(suite);
      return found;
    }

    #runSuites(root, own, errSuite, then) {
      const suites = [...own];
      let index = 0;
      const next = (failed) => {
        if (failed === root) {
          this.#broken = true;
          return then(true);
        }
        if (this._abort) return then(true);
        suites.push(...this.#newSuites(root));
        if (index >= suites.length) return then(false);
        if (index === own.length) units.added();
        const suite = suites[index++];
        Stock.immediately(() => super.runSuite(suite, next));
      };
      this.nextSuite = next;
      next(errSuite);
    }

    #finish(root, fn, stopped) {
      this.suite = root;
      root.tests = this.#wanted.tests; // the titles of the root's hooks name one
      delete this.test;
      // What a test left to the event loop is still this file's.
      setImmediate(() => {
        units.finish(stopped);
        this.#nextPart(root, fn);
      });
    }

    #leave(root, fn) {
      units.end();
      if (!this.#prepared) return fn();
      this.suite = root;
      delete this.test;
      this.hook('afterAll', () => fn());
    }
  };
}

module.exports = { keyOf, makeUnitRunner, removeFinished, thingOf };
