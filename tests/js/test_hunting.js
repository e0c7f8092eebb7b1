'use strict';
// What hunts are made of: the core's strategy, passes that come while a run goes on, and
// random numbers that can be repeated.

const assert = require('node:assert/strict');
const { test } = require('node:test');

const addon = require('../../js/addon');
const { Hunting } = require('../../js/hunting');
const { table } = require('../../js/huntreport');
const { SeededRandom } = require('../../js/random');
const { told } = require('./helpers');

const OPTIONS = { executions: 8, seconds: 0, alpha: 0.05, seed: 3 };
const huntOf = (more = {}) =>
  new addon.Hunt({ ...OPTIONS, groups: [0, 0, 1], secondsEach: [0, 0, 0], ...more });

test('Hunt: wrong arguments are told, and calls out of turn', () => {
  for (const [name, values] of Object.entries({
    groups: [undefined, null, 1, 'x', [-1], ['a'], [2 ** 32]],
    secondsEach: [undefined, [0], [0, 0, -1], [0, 0, NaN], 'x'],
    executions: [undefined, 0, NaN, '8'],
    seconds: [-1, NaN, '1'],
    alpha: [undefined, -1, 2, NaN],
    seed: [-1, 1.5, 2 ** 32, 'x'],
  })) {
    for (const value of values) {
      const what = new RegExp(`^TypeError: hunt\\.(${name}|secondsEach): takes `);
      assert.throws(() => huntOf({ [name]: value }), what, `${name}: ${String(value)}`);
    }
  }
  assert.throws(() => huntOf({ alpha: 1 }), { code: 'QE_EINVAL' });
  const hunt = huntOf();
  assert.throws(() => hunt.result(0, 0, true, 0), { code: 'QE_EINVAL' }); // not under way
  assert.equal(hunt.next().number, 0);
  assert.throws(() => hunt.result(0, 3, true, 0), { code: 'QE_EINVAL' });
  assert.throws(() => hunt.result(0, 0, true, NaN), /^TypeError: seconds: takes /);
  assert.throws(() => hunt.over(1, 0), { code: 'QE_EINVAL' });
  assert.throws(() => hunt.test(3), { code: 'QE_EINVAL' });
});

test('Hunt: what is known of before, laws of rates, and what inquiries have seen', () => {
  const hunt = huntOf({ rates: [0.5, 5] });
  hunt.known(1, 3, 7);
  assert.throws(() => hunt.known(9, 1, 1), { code: 'QE_EINVAL' });
  assert.throws(() => hunt.known(0, -1, 1), /^TypeError: failures: takes /);
  assert.throws(() => hunt.more(0, 'x'), /^TypeError: result: takes /);
  assert.throws(() => huntOf({ rates: [1] }), /^TypeError: hunt\.rates: takes /);
  const first = hunt.next();
  for (const item of first.items) hunt.result(first.number, item, item !== 0, 0.1);
  hunt.over(first.number, 0);
  const second = hunt.next();
  hunt.result(second.number, 0, true, 0.1);
  hunt.more(0, false);
  hunt.more(0, true);
  const { fresh_failures: failures, fresh_passes: passes } = hunt.test(0);
  assert.deepEqual([failures, passes], [1, 1]);
});

test('Hunt: over no tests it is over at once', () => {
  assert.equal(huntOf({ groups: [], secondsEach: [] }).next(), false);
});

test('Hunt: passes, results and verdicts', () => {
  const hunt = huntOf();
  const first = hunt.next();
  assert.deepEqual([first.condition, first.items], ['defined', [0, 1, 2]]);
  assert.ok(Number.isSafeInteger(first.seed));
  hunt.result(0, 0, true, 0.1);
  hunt.result(0, 1, false, 0.1);
  hunt.result(0, 2, undefined, 0.1); // it was skipped
  hunt.over(0, 0.5);
  assert.deepEqual(hunt.next().items, [2, 1, 0]);
  hunt.result(1, 1, true, 0.1);
  hunt.over(1, 0);
  const { verdict, failures, passes } = hunt.test(1);
  assert.deepEqual([verdict, failures, passes], ['suspect', 1, 1]);
  assert.equal(hunt.test(0).verdict, 'clear');
  assert.equal(hunt.test(2).verdict, 'untried');
  assert.equal(hunt.spent(), 6);
});

/** Runs a session of one unit, which `give` may give passes; what ran, by worker. */
function sessionOf(does, more, give) {
  const { units, options } = told(does);
  return new Promise((resolve, reject) => {
    const ran = new Map();
    const limit = setTimeout(() => reject(new Error('the run does not end')), 30_000);
    const session = new addon.Session([units[0]], { ...options, ...more }, (events, end) => {
      for (const event of events) {
        if (event.kind !== addon.EV_FINISH) continue;
        const worker = `${event.slot}.${event.epoch}`;
        ran.set(worker, [...(ran.get(worker) ?? []), [event.pass, event.item]]);
        give(session, event);
      }
      if (!end) return;
      clearTimeout(limit);
      resolve([...ran.values()]);
    });
  });
}

test('a pass runs its items in their order, in a worker of its own', async () => {
  const given = [];
  const ran = await sessionOf(['pass', 'fail', 'pass'], { spare: 5 }, (session, { pass, item }) => {
    if (pass === 0) {
      given.push(session.pass(1, [2, 0, 2], 0), session.pass(2, [1, 1, 1], 0));
      given.push(session.pass(3, [1, 0], 0), session.pass(4, [0], 0));
    }
    if (pass === 3 && item === 0) session.noMore();
  });
  assert.deepEqual(given, [true, false, true, false], 'no room for three, and none for a sixth');
  const passes = ran.map((one) => one.map(([pass]) => pass));
  for (const one of passes) assert.equal(new Set(one).size, 1, JSON.stringify(ran));
  assert.deepEqual(ran, [
    [[0, 0]],
    [
      [1, 2],
      [1, 0],
      [1, 2],
    ],
    [
      [3, 1],
      [3, 0],
    ],
  ]);
});

test('a worker that dies in a pass loses one item, and passes have limits', async () => {
  const does = ['pass', 'kill', 'hang', 'pass'];
  const ran = await sessionOf(does, { spare: 8 }, (session, { pass, item }) => {
    if (pass === 0) session.pass(1, [1, 2, 3], 1);
    if (item === 3) session.noMore();
  });
  assert.deepEqual(ran.flat(), [
    [0, 0],
    [1, 3],
  ]);
});

test('a run with room for passes ends when none follows', async () => {
  const ran = await sessionOf(['pass'], { spare: 3 }, (session) => session.noMore());
  assert.deepEqual(ran, [[[0, 0]]]);
});

test('Session: passes with wrong arguments are told', async () => {
  await sessionOf(['pass'], { spare: 3 }, (session) => {
    assert.throws(() => session.pass(-1, [0], 0), /^TypeError: number: takes /);
    assert.throws(() => session.pass(1, 'x', 0), /^TypeError: items: takes /);
    assert.throws(() => session.pass(1, [-1], 0), /^TypeError: items: takes /);
    assert.throws(() => session.pass(1, [0], -1), /^TypeError: timeout: takes /);
    for (const [more, name] of [
      [{ around: ['noise'] }, 'around'],
      [{ around: ['tmp_by_name'] }, 'around'],
      [{ around: 'clock' }, 'around'],
      [{ serial: 1 }, 'serial'],
      [{ partner: -1 }, 'partner'],
      [{ clock: -1 }, 'clock'],
      [{ clock: NaN }, 'clock'],
    ]) {
      const what = new RegExp(`^TypeError: pass\\.${name}: takes `);
      assert.throws(() => session.pass(1, [0], 0, more), what, JSON.stringify(more));
    }
    assert.equal(session.pass(1, [], 0), false);
    session.noMore();
  });
  const { options, units } = told(['pass']);
  const wrong = { ...options, spare: 2 ** 20 + 1 };
  assert.throws(
    () => new addon.Session(units, wrong, () => {}),
    /^TypeError: options\.spare: takes/,
  );
});

test('a repeated pass is told with all that its first run had before the suspects', () => {
  const hunting = new Hunting(OPTIONS, 1);
  const names = ['a', 'b', 'c', 'd'];
  const tell = (pass, failing) => {
    for (const key of names) {
      hunting.result(pass, key, !failing.includes(key), 0.01, { file: 0, key, name: key });
    }
    hunting.over(pass);
  };
  tell(0, []);
  const reversed = hunting.next();
  assert.deepEqual(reversed.files, [[0, ['d', 'c', 'b', 'a']]]);
  assert.equal(reversed.wanted, null);
  tell(1, ['c']);
  let repeated;
  for (let spec, i = 0; !repeated && i < 20 && (spec = hunting.next()); i++) {
    if (spec.condition === 'repeated') repeated = spec;
    else tell(spec.number, []);
  }
  assert.deepEqual([repeated.seed, repeated.files], [reversed.seed, reversed.files]);
  assert.deepEqual(repeated.wanted, [[0, ['d', 'c']]]);
  assert.match(table(hunting), /^suspect +\d+ +1 .* c: reversed$/m);
});

test('what failed in runs before runs alone, as it may fail seldom', () => {
  const names = ['a', 'b', 'c'];
  const alone = (counts) => {
    const hunting = new Hunting({ ...OPTIONS, executions: 20 }, 1, { counts: () => counts });
    const tell = (pass, keys) => {
      for (const key of keys) hunting.result(pass, key, true, 0.01, { file: 0, key, name: key });
      hunting.over(pass);
    };
    tell(0, names);
    const found = new Set();
    for (let spec, i = 0; i < 100 && (spec = hunting.next()); i++) {
      const keys = spec.files.flatMap(([, own]) => own);
      if (spec.condition === 'alone') keys.forEach((key) => found.add(key));
      tell(spec.number, keys);
    }
    assert.deepEqual(hunting.describe().tests, {}, 'which makes no suspect of it');
    return [...found];
  };
  assert.deepEqual(alone([]), []);
  assert.deepEqual(alone(undefined), []);
  const before = [
    ['b', 2, 9],
    ['c', 0, 50],
    ['of another project', 3, 3],
  ];
  assert.deepEqual(alone(before), ['b']);
});

test('the law of failure rates is that of the runs before', () => {
  // Where tests fail more often, what takes long is worth more runs.
  const runs = (failures) => {
    const counts = Array.from({ length: 40 }, (_, i) => [`x${i}`, i < failures ? 9 : 0, 40]);
    const options = { ...OPTIONS, executions: 1, seconds: 30 };
    const hunting = new Hunting(options, 1, { counts: () => counts });
    const tell = (pass, keys) => {
      for (const key of keys) {
        hunting.result(pass, key, true, key === 'slow' ? 3 : 0.3, { file: 0, key, name: key });
      }
      hunting.over(pass);
      return keys.filter((key) => key === 'slow').length;
    };
    let slow = tell(0, ['slow', 'quick']);
    for (let spec, i = 0; i < 200 && (spec = hunting.next()); i++) {
      slow += tell(
        spec.number,
        spec.files.flatMap(([, own]) => own),
      );
    }
    return slow;
  };
  assert.ok(runs(3) > runs(0), `${runs(3)} ${runs(0)}`); // of 40 none failed: they tell nothing
});

test('random numbers are those of a seed, a name and how often it came', () => {
  const draw = (seed, ...names) => {
    const math = {};
    const seeded = new SeededRandom(seed);
    seeded.install(math);
    return names.map((name) => {
      seeded.begin(name);
      return math.random();
    });
  };
  const first = draw(1, 'a', 'b', 'a');
  assert.deepEqual(draw(1, 'a', 'b', 'a'), first);
  assert.equal(draw(1, 'b')[0], first[1], 'whatever came before');
  assert.equal(draw(2, 'a')[0], first[2], 'as the core’s seeds of attempts');
  assert.equal(new Set([...first, ...draw(9, 'a', 'b')]).size, 5);
});

test('random numbers are even, and like those of Math.random to look at', () => {
  const math = {};
  new SeededRandom(7).install(math);
  const counts = new Array(10).fill(0);
  for (let i = 0; i < 100_000; i++) counts[Math.floor(math.random() * 10)] += 1;
  // Chi square of 9 degrees: above 33.7 one time in 10,000; the seed is fixed.
  const chi = counts.reduce((sum, count) => sum + (count - 10_000) ** 2 / 10_000, 0);
  assert.ok(chi < 33.7, String(chi));
  const { writable, enumerable, configurable } = Object.getOwnPropertyDescriptor(math, 'random');
  assert.deepEqual([writable, enumerable, configurable], [true, false, true]);
  assert.deepEqual([math.random.name, math.random.length], ['random', 0]);
  assert.throws(() => new math.random(), TypeError);
});
