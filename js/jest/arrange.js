'use strict';
// Which tests of a file run in a pass of a hunt, and in which order: blocks stay together,
// so that their hooks run as they are meant.

/** The tests of a block in their order. */
function* testsOf(block) {
  for (const child of block.children) {
    if (child.type === 'describeBlock') yield* testsOf(child);
    else yield child;
  }
}

/** Sorts what a block holds by where the first of its tests stands; returns that of all. */
function sort(block, placeOf) {
  const placed = block.children.map((child) => [
    child.type === 'describeBlock' ? sort(child, placeOf) : placeOf(child),
    child,
  ]);
  placed.sort(([a], [b]) => (a === b ? 0 : a - b)); // neither stands anywhere: as they were
  block.children = placed.map(([, child]) => child);
  return placed[0]?.[0] ?? Infinity;
}

/** Circus runs each object once: this is the same test once more. */
const again = (test) => ({
  ...test,
  errors: [],
  retryReasons: [],
  ...(test.unhandledRejectionErrorByPromise && { unhandledRejectionErrorByPromise: new Map() }),
});

function repeat(block, keys, times) {
  block.children = block.children.flatMap((child) => {
    if (child.type === 'describeBlock') repeat(child, keys, times);
    const isTest = child.type === 'test' && !child.concurrent; // those have begun already
    if (!isTest || !(times.get(keys.get(child)) > 1)) return [child];
    const more = again(child);
    keys.set(more, keys.get(child));
    return [child, more];
  });
}

/**
 * @param {object} root circus's outermost block
 * @param {Map<object, string>} keys of all tests
 * @param {object} plan
 * @param {string[]} plan.order keys of those that run; one may come twice, and "" stands
 *   for all
 * @param {string[]} [plan.wanted] behind the last of these nothing runs
 * @param {boolean} plan.once whether none may come twice: snapshots count how often they
 *   are compared
 */
function arrange(root, keys, { order, wanted, once }) {
  const places = new Map();
  const times = new Map();
  for (const [place, key] of order.entries()) {
    if (!places.has(key)) places.set(key, place);
    times.set(key, (times.get(key) ?? 0) + 1);
  }
  sort(root, (test) => places.get(keys.get(test)) ?? Infinity);
  const tests = [...testsOf(root)];
  const last = wanted ? new Set(wanted) : null;
  const end = last ? tests.findLastIndex((test) => last.has(keys.get(test))) : tests.length;
  const all = places.has('');
  for (const [at, test] of tests.entries()) {
    if (at > end || !(all || places.has(keys.get(test)))) test.mode = 'skip';
  }
  if (!once) repeat(root, keys, times);
}

module.exports = { arrange, testsOf };
