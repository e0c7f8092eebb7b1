'use strict';
// What spec files define, between processes: a worker describes the suites, tests and
// hooks that it has loaded; the parent builds the same ones, which reporters see.

const { createHash } = require('node:crypto');
const path = require('node:path');

const { stringify } = require('../natives');

const HOOKS = ['beforeAll', 'beforeEach', 'afterAll', 'afterEach'];
const ROOT = -1; // the "file" of the root suite and its hooks

/** Numbers what a file defines, in an order that each load of it repeats. */
class Numbers {
  #ids = new WeakMap();

  set(thing, file, number) {
    this.#ids.set(thing, [file, number]);
  }

  /** [file, number]; a retried test has the number of the first. */
  get(thing) {
    return this.#ids.get(thing) ?? this.#ids.get(thing.retriedTest?.());
  }
}

class Describer {
  constructor(numbers, file) {
    this.numbers = numbers;
    this.file = file;
    this.next = 0;
  }

  #added = null; // titles of what is added at run time, each with how often

  #number(thing) {
    const number = this.#added ? this.#title(thing) : this.next++;
    this.numbers.set(thing, this.file, number);
    return number;
  }

  /** What is added again by another attempt may come in another order: it has a name. */
  #title(thing) {
    const title = thing.type === 'hook' ? 'hook' : thing.fullTitle();
    const count = this.#added.get(title) ?? 0;
    this.#added.set(title, count + 1);
    return thing.type === 'hook' ? `+${count}` : `+${count} ${title}`;
  }

  /** What a hook or test has added to a suite: null where that is not known itself. */
  added(thing) {
    const parent = thing.parent && this.numbers.get(thing.parent);
    if (!parent) return null;
    this.#added ??= new Map();
    if (thing.suites) return { parent, list: 'suites', described: this.suite(thing) };
    if (thing.type === 'test') return { parent, list: 'tests', described: this.test(thing) };
    const list = HOOKS.map((kind) => `_${kind}`).find((name) => thing.parent[name].includes(thing));
    return list ? { parent, list, described: this.test(thing) } : null;
  }

  #common(thing) {
    return {
      number: this.#number(thing),
      title: thing.title,
      file: thing.file,
      pending: Boolean(thing.pending),
      timeout: thing._timeout,
      slow: thing._slow,
      retries: thing._retries,
    };
  }

  test(test) {
    return { ...this.#common(test), body: test.body };
  }

  hooks(suite) {
    const found = {};
    for (const kind of HOOKS) {
      const list = suite[`_${kind}`];
      if (list.length > 0) found[kind] = list.map((hook) => this.test(hook));
    }
    return found;
  }

  suite(suite) {
    const described = this.#common(suite);
    described.hooks = this.hooks(suite);
    described.tests = suite.tests.map((test) => this.test(test));
    described.suites = suite.suites.map((child) => this.suite(child));
    // `.only` may name what was not added to this suite: that is nobody's to run.
    const numberOf = (thing) => this.numbers.get(thing)?.[1];
    described.onlyTests = suite._onlyTests.map(numberOf);
    described.onlySuites = suite._onlySuites.map(numberOf);
    return described;
  }
}

/** Which file has added what to the root suite. */
class Owners {
  #current = 0;
  #added = new WeakMap();

  constructor(root, files, constants) {
    this.files = files.map((file) => path.resolve(file));
    const note = (thing) => this.#added.set(thing, this.#current);
    root.on(constants.EVENT_SUITE_ADD_SUITE, note);
    root.on(constants.EVENT_SUITE_ADD_TEST, note);
  }

  enter(file) {
    this.#current = file;
  }

  of(thing) {
    const named = thing.file ? this.files.indexOf(path.resolve(thing.file)) : -1;
    return named < 0 ? (this.#added.get(thing) ?? this.#current) : named;
  }
}

/** Describes all that was loaded; `parts` has what each file gave the root suite. */
function describe(root, owners) {
  const numbers = new Numbers();
  const top = new Describer(numbers, ROOT);
  numbers.set(root, ROOT, top.next++);
  const parts = owners.files.map(() => ({ tests: [], suites: [] }));
  for (const test of root.tests) parts[owners.of(test)].tests.push(test);
  for (const suite of root.suites) parts[owners.of(suite)].suites.push(suite);
  const describers = parts.map((_, index) => new Describer(numbers, index));
  const files = parts.map(({ tests, suites }, index) => {
    const describer = describers[index];
    return {
      tests: tests.map((test) => describer.test(test)),
      suites: suites.map((suite) => describer.suite(suite)),
    };
  });
  const tree = {
    hooks: top.hooks(root),
    files,
    onlyTests: root._onlyTests.map((test) => numbers.get(test)),
    onlySuites: root._onlySuites.map((suite) => numbers.get(suite)),
    tests: root.tests.map((test) => numbers.get(test)),
    suites: root.suites.map((suite) => numbers.get(suite)),
  };
  return { tree, parts, numbers, describers };
}

const digest = (described) => createHash('sha256').update(stringify(described)).digest('base64');

class Builder {
  constructor({ Suite, Test, Hook }) {
    this.classes = { Suite, Test, Hook };
  }

  #fill(thing, described) {
    thing.file = described.file;
    thing.pending = described.pending;
    thing._timeout = described.timeout;
    thing._slow = described.slow;
    thing._retries = described.retries;
    if (described.body !== undefined) thing.body = described.body;
    return thing;
  }

  test(parent, described, found) {
    const run = described.pending && !described.body ? undefined : () => {};
    const test = new this.classes.Test(described.title, run);
    test.parent = parent;
    test.ctx = parent.ctx;
    found.set(described.number, this.#fill(test, described));
    return test;
  }

  hooks(suite, hooks, found) {
    for (const kind of HOOKS) {
      const list = hooks[kind] ?? [];
      suite[`_${kind}`] = list.map((described) => this.hook(suite, described, found));
    }
  }

  hook(suite, described, found) {
    const hook = new this.classes.Hook(described.title, () => {});
    hook.originalTitle = described.title;
    hook.parent = suite;
    hook.ctx = suite.ctx;
    found.set(described.number, this.#fill(hook, described));
    return hook;
  }

  /** What was added at run time, as `added` of the describer has it. */
  add(parent, { list, described }, found) {
    if (!parent || found.has(described.number)) return; // another attempt has told of it
    const kind = { tests: 'test', suites: 'suite' }[list] ?? 'hook';
    parent[list].push(this[kind](parent, described, found));
  }

  suite(parent, described, found) {
    const suite = new this.classes.Suite(described.title, parent.ctx);
    suite.parent = parent;
    suite.root = false;
    found.set(described.number, this.#fill(suite, described));
    this.hooks(suite, described.hooks, found);
    suite.tests = described.tests.map((test) => this.test(suite, test, found));
    suite.suites = described.suites.map((child) => this.suite(suite, child, found));
    const things = (numbers) => numbers.map((number) => found.get(number)).filter(Boolean);
    suite._onlyTests = things(described.onlyTests);
    suite._onlySuites = things(described.onlySuites);
    return suite;
  }

  /** What one file defines, by number, below the root but not of it. */
  file(root, { tests, suites }) {
    const found = new Map();
    for (const test of tests) this.test(root, test, found);
    for (const suite of suites) this.suite(root, suite, found);
    return found;
  }

  /** Fills the root suite; returns what each file defines, by number. */
  build(root, tree) {
    const files = tree.files.map((each) => this.file(root, each));
    const things = (ids) => ids.map(([file, number]) => files[file].get(number)).filter(Boolean);
    root.tests = things(tree.tests);
    root.suites = things(tree.suites);
    root._onlyTests = things(tree.onlyTests);
    root._onlySuites = things(tree.onlySuites);
    const top = new Map([[0, root]]);
    this.hooks(root, tree.hooks, top);
    files[ROOT] = top;
    return files;
  }
}

module.exports = { Builder, Owners, ROOT, describe, digest };
