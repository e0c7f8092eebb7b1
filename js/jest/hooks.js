'use strict';
// The hooks that run before and after all tests of a block. Jest tells nobody of them,
// and a worker that dies in one would die without a name.

const CIRCUS = /[\\/]jest-circus[\\/]/; // a test runner of the user's own is left alone

function titlesOf(node) {
  const titles = [];
  for (let at = node; at.parent; at = at.parent) titles.unshift(at.name); // not the root
  return titles;
}

/** The tests of a block that are to be run, as jest tells of those that start. */
function* waiting(block, state) {
  for (const child of block.children) {
    if (child.type === 'describeBlock') {
      yield* waiting(child, state);
      continue;
    }
    const titles = titlesOf(child);
    const fullName = titles.join(' ');
    if (child.mode === 'skip' || child.mode === 'todo') continue;
    if (state.hasFocusedTests && child.mode !== 'only') continue;
    if (state.testNamePattern && !state.testNamePattern.test(fullName)) continue;
    yield { ancestorTitles: titles.slice(0, -1), fullName, title: child.name };
  }
}

/**
 * Has a function called when such a hook begins, with its type and the tests that fail
 * with it, and without any when it is over.
 *
 * @param {string} testRunner what jest runs a file's tests with
 */
function watchHooks(testRunner, tell) {
  if (!CIRCUS.test(testRunner)) return;
  const loaded = require(testRunner);
  const stock = loaded.default ?? loaded;

  async function runTests(globalConfig, config, environment, ...rest) {
    const own = environment.handleTestEvent;
    environment.handleTestEvent = function handleTestEvent(event, state) {
      const type = event.hook?.type;
      if (type === 'beforeAll' || type === 'afterAll') {
        if (event.name === 'hook_start') {
          tell(type, type === 'beforeAll' ? [...waiting(event.hook.parent, state)] : []);
        } else if (event.name === 'hook_success' || event.name === 'hook_failure') {
          tell(null, []);
        }
      }
      return own?.call(this, event, state);
    };
    return stock(globalConfig, config, environment, ...rest);
  }

  const ours = Object.assign(runTests, { default: runTests });
  Object.defineProperty(ours, '__esModule', { value: true });
  require.cache[require.resolve(testRunner)].exports = ours;
}

module.exports = { watchHooks };
