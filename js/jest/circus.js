'use strict';
// What jest's own test runner tells of a file while it runs: which of its tests are
// which, and the hooks of which jest tells nobody. Names alone do not tell: several
// tests may share one, and orders may be shuffled.

const { Names } = require('../progress');
const { arrange, testsOf } = require('./arrange');

const RETRY_TIMES = Symbol.for('RETRY_TIMES'); // where jest.retryTimes puts its number
const CIRCUS = /[\\/]jest-circus[\\/]/; // a test runner of the user's own is left alone

const heard = new Set(); // test runners that have a listener

function titlesOf(node) {
  const titles = [];
  for (let at = node; at.parent; at = at.parent) titles.unshift(at.name); // not the root
  return titles;
}

/** The tests of a block that are to be run. */
function* waiting(block, state) {
  for (const test of testsOf(block)) {
    if (test.mode === 'skip' || test.mode === 'todo') continue;
    if (state.hasFocusedTests && test.mode !== 'only') continue;
    if (state.testNamePattern && !state.testNamePattern.test(titlesOf(test).join(' '))) continue;
    yield test;
  }
}

/** One run of one file. */
class FileRun {
  #keys = new Map(); // by test, as of `Names`, in the order in which they were defined
  #told = new Map(); // keys of what jest will be told next, by kind and name
  order = null; // keys in the order of jest's result
  current = null; // the key of the test that runs, where that is one alone
  #overlap = false; // whether tests of the file run at once
  retries = false; // whether jest itself runs what failed once more

  /**
   * @param {object} on
   * @param {(key: string) => boolean} on.isWanted whether a test runs
   * @param {(tests: number) => void} on.onBegin
   * @param {(type: string|null, cases: [string, object][]) => void} on.onHook a hook
   *   begins, with which these tests fail; without a type: it is over
   * @param {object} [on.plan] as of `arrange`: which tests run, and in which order
   * @param {object} [on.random] the file's random numbers
   */
  constructor({ isWanted, onBegin, onHook, plan, random }) {
    this.isWanted = isWanted;
    this.plan = plan;
    this.random = random;
    this.onBegin = onBegin;
    this.onHook = onHook;
  }

  #begin(root) {
    const names = new Names();
    for (const test of testsOf(root)) {
      const key = names.key(titlesOf(test).join(' '));
      this.#keys.set(test, key);
      if (!this.isWanted(key)) test.mode = 'skip';
      if (test.concurrent) this.#overlap = true;
    }
    this.onBegin(this.#keys.size);
    if (this.plan) arrange(root, this.#keys, this.plan);
  }

  #cases(block, state) {
    return [...waiting(block, state)].map((test) => {
      const titles = titlesOf(test);
      const named = { ancestorTitles: titles.slice(0, -1), fullName: titles.join(' ') };
      return [this.#keys.get(test), { ...named, title: test.name }];
    });
  }

  #note(kind, test) {
    const key = this.#keys.get(test);
    const name = `${kind} ${titlesOf(test).join(' ')}`;
    this.#told.set(name, [...(this.#told.get(name) ?? []), key]);
  }

  /** The key of the test of which jest is told now: "started", "done" or "todo". */
  take(kind, fullName) {
    return this.#told.get(`${kind} ${fullName}`)?.shift();
  }

  handle(event, state) {
    switch (event.name) {
      case 'run_start':
        this.#begin(state.rootDescribeBlock);
        break;
      case 'test_start':
        this.random?.begin(this.#keys.get(event.test));
        break;
      case 'test_started': // its hooks follow
      case 'test_done':
      case 'test_todo':
        this.#note(event.name.slice('test_'.length), event.test);
        if (!this.#overlap)
          this.current = event.name === 'test_started' ? this.#keys.get(event.test) : null;
        break;
      case 'run_finish':
        this.order = [...testsOf(state.rootDescribeBlock)].map((test) => this.#keys.get(test));
        this.#keys = new Map(); // the file's own objects, which --detectLeaks would find here
        break;
      case 'hook_start':
        if (event.hook.type === 'beforeAll') {
          this.onHook(event.hook.type, this.#cases(event.hook.parent, state));
        } else if (event.hook.type === 'afterAll') {
          this.onHook(event.hook.type, []);
        }
        break;
      case 'hook_success':
      case 'hook_failure':
        if (event.hook.type === 'beforeAll' || event.hook.type === 'afterAll') {
          this.onHook(null, []);
        }
        break;
      default:
    }
  }
}

/**
 * Has a FileRun of ours hear of what happens in each file.
 *
 * @param {string} testRunner what jest runs a file's tests with
 * @param {() => FileRun} current that of the file which runs now
 * @param {((console: object) => void) | null | false} [onConsole] hears of the console of each file
 * @returns whether it can be heard
 */
function listen(testRunner, current, onConsole) {
  if (!CIRCUS.test(testRunner)) return false;
  if (heard.has(testRunner)) return true; // of another project
  heard.add(testRunner);
  const loaded = require(testRunner);
  const stock = loaded.default ?? loaded;

  async function runTests(globalConfig, config, environment, ...rest) {
    const own = environment.handleTestEvent;
    if (environment.global?.Math) current()?.random?.install(environment.global.Math);
    if (onConsole) onConsole(environment.global?.console);
    environment.handleTestEvent = function handleTestEvent(event, state) {
      const run = current();
      run.retries = Number(environment.global[RETRY_TIMES]) > 0;
      run.handle(event, state);
      return own?.call(this, event, state);
    };
    return stock(globalConfig, config, environment, ...rest);
  }

  const ours = Object.assign(runTests, { default: runTests });
  Object.defineProperty(ours, '__esModule', { value: true });
  require.cache[require.resolve(testRunner)].exports = ours;
  return true;
}

module.exports = { FileRun, listen };
