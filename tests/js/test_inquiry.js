'use strict';
// What causes are made of: the core's inquiries, which failures are the same, random
// numbers and seeds, tokens.

const assert = require('node:assert/strict');
const crypto = require('node:crypto');
const fs = require('node:fs');
const os = require('node:os');
const path = require('node:path');
const { test } = require('node:test');
const { deflateSync } = require('node:zlib');

const { Inquiry, attemptSeed, stats } = require('../../js');
const { tell } = require('../../js/causes');
const { Ways, placeOf, wayOf } = require('../../js/failures');
const { SeededRandom } = require('../../js/random');
const { Replay, keysOfName, optionOf, parse, tokenOf } = require('../../js/replay');
const { ROOT, run } = require('./helpers');

const OPTIONS = { test: 3, all: [0, 1, 2, 3], rate: 0.4, alpha: 0.05, seed: 5 };
const FAILED = { items: [2, 1, 0, 3], seed: 11, started: 1e9 };
const PASSED = { items: [3], seed: 12, started: 1e9 };

/** Answers an inquiry by what `fails` says of a probe; all probes. */
function inquire(options, fails) {
  const inquiry = new Inquiry({ ...OPTIONS, failed: FAILED, passed: PASSED, ...options });
  const probes = [];
  for (let probe; (probe = inquiry.next());) {
    probes.push(probe);
    inquiry.result(probe.number, !fails(probe), 1e9);
  }
  return { finding: inquiry.finding(), probes };
}

test('an inquiry names a polluter, both sides, and a proof', () => {
  const { finding, probes } = inquire({}, ({ items }) => items.includes(1));
  assert.deepEqual([finding.cause, finding.culprits], ['order', [1]]);
  assert.deepEqual(finding.with, { name: 'behind it', failed: 8, passed: 0 });
  assert.deepEqual(finding.without, { name: 'alone', failed: 0, passed: 8 });
  assert.ok(finding.p > 0 && finding.p < 0.05, String(finding.p));
  assert.deepEqual(finding.proof.items, [1, 3]);
  assert.deepEqual([finding.proofFailed, finding.proofRuns], [10, 10]);
  assert.equal(finding.probes, probes.length);
  assert.equal(probes.find(({ name }) => name === 'as it failed').seed, FAILED.seed);
  assert.match(
    tell(finding, (item) => `test ${item}`),
    /^order: polluted by test 1 \(behind it: failed 8 of 8, alone: failed 0 of 8; p = 0\.00\d+\)$/,
  );
});

test('an inquiry says how a draw is repeated: seeds come back as they were given', () => {
  const isBad = ({ seed }) => seed % 4 === 1;
  const { finding, probes } = inquire({}, isBad);
  assert.equal(finding.cause, 'random');
  assert.ok(isBad(finding.proof), String(finding.proof.seed));
  assert.deepEqual(finding.proof.around, ['entropy']);
  for (const { seed } of probes) assert.ok(Number.isSafeInteger(seed));
});

test('an inquiry asks for nothing that is forbidden', () => {
  const forbidden = ['entropy', 'clock', 'partner', 'jitter', 'zone', 'one_cpu', 'few_files'];
  const { finding, probes } = inquire({ forbidden }, ({ number }) => number % 3 === 0);
  assert.equal(finding.cause, 'unknown');
  const asked = new Set(probes.flatMap(({ around }) => around));
  assert.deepEqual(
    forbidden.filter((name) => asked.has(name)),
    [],
  );
  assert.ok(asked.has('small_files'), [...asked].join());
});

test('Inquiry: wrong arguments are told', () => {
  for (const [name, values] of Object.entries({
    test: [undefined, -1, 'x'],
    all: [undefined, [-1], 1],
    failed: [1, { items: [3] }, { items: 'x', seed: 1 }],
    neighbours: ['x', [1.5]],
    forbidden: ['x', ['noise'], ['tmp_by_name']],
    rate: [undefined, 2, NaN],
    alpha: [undefined, -1],
    seed: [undefined, 2 ** 53, -1],
    most: [0, 'x'],
  })) {
    for (const value of values) {
      const what = new RegExp(`^TypeError: inquiry\\.${name}(\\.\\w+)?(\\[0\\])?: takes `);
      assert.throws(() => new Inquiry({ ...OPTIONS, [name]: value }), what, `${name}: ${value}`);
    }
  }
  const other = { items: [3, 1], seed: 1 };
  assert.throws(() => new Inquiry({ ...OPTIONS, failed: other }), { code: 'QE_EINVAL' });
  const inquiry = new Inquiry(OPTIONS);
  assert.throws(() => inquiry.result(0, true), { code: 'QE_EINVAL' }); // not under way
});

test('seeds of executions are the core’s: the second is the first of the next seed', () => {
  assert.equal(attemptSeed(7, 3, 1), attemptSeed(8, 3));
  assert.notEqual(attemptSeed(7, 3), attemptSeed(7, 4));
  const draw = (seed, times) => {
    const math = {};
    const seeded = new SeededRandom(seed, 'a.js');
    seeded.install(math);
    for (let i = 0; i < times; i++) seeded.begin('x');
    return math.random();
  };
  assert.equal(draw(5, 3), draw(7, 1));
  assert.ok(Number.isFinite(draw(-(2 ** 31), 1)));
});

test('stats.ratesFit: a law of many tests, and none of few', () => {
  const counts = Array.from({ length: 60 }, (_, i) => [i % 20, 100 - (i % 20)]);
  const [a, b] = stats.ratesFit(counts);
  assert.ok(a > 0 && b > 0 && Math.abs(a / (a + b) - 0.095) < 0.03, `${a} ${b}`);
  assert.equal(stats.ratesFit([[1, 2]]), null);
  assert.throws(() => stats.ratesFit([[1]]), /^TypeError: passes: takes /);
});

test('what node:crypto draws comes from a seed, and is of the same form', async () => {
  const program = `
    require(${JSON.stringify(path.join(ROOT, 'js/entropy'))}).install((() => {
      let x = 1; return () => (x = (Math.imul(x, 1103515245) + 12345) >>> 0);
    })());
    const c = require('crypto');
    const seen = [c.randomBytes(8).toString('hex'), c.randomUUID(), crypto.randomUUID(),
      c.randomInt(10), c.randomInt(5, 7), c.randomFillSync(Buffer.alloc(4), 2).toString('hex'),
      Array.from(crypto.getRandomValues(new Uint16Array(3))),
      Array.from(c.getRandomValues(new Uint8Array(3)))];
    for (const wrong of [() => c.randomBytes(-1), () => c.randomInt('x'),
      () => crypto.getRandomValues(new Float32Array(1))]) {
      try { wrong(); seen.push('accepted'); } catch (error) { seen.push(error.name === 'TypeMismatchError' ? error.name : error.code); }
    }
    c.randomBytes(2, (e1, b) => c.randomInt(3, (e2, n) => c.randomFill(Buffer.alloc(2), (e3, f) => {
      import('node:crypto').then(({ randomBytes }) => {
        seen.push(b.length, n, f.length, randomBytes(3).toString('hex'));
        console.log(JSON.stringify(seen));
      });
    })));`;
  const once = () => run([process.execPath, '-e', program]);
  const [first, second] = [await once(), await once()];
  assert.equal(first.stdout, second.stdout);
  const seen = JSON.parse(first.stdout);
  for (const uuid of seen.slice(1, 3)) {
    assert.match(uuid, /^[\da-f]{8}-[\da-f]{4}-4[\da-f]{3}-[89ab][\da-f]{3}-[\da-f]{12}$/);
  }
  assert.ok(seen[3] < 10 && [5, 6].includes(seen[4]), String(seen));
  assert.match(seen[5], /^0000/);
  assert.deepEqual(seen.slice(8, 11), [
    'ERR_OUT_OF_RANGE',
    'ERR_INVALID_ARG_TYPE',
    'TypeMismatchError',
  ]);
  assert.deepEqual([seen[11], seen[13]], [2, 2]);
});

test('failures are the same by type and place, whatever they say', () => {
  const at = (message, line, name = 'Error') => ({
    name,
    message,
    stack:
      `${name}: ${message}\n    at check (/p/lib/c.js:9:1)\n    at /p/node_modules/x/y.js:1:2\n` +
      `    at Context.<anonymous> (/p/test/a.js:${line}:3)\n    at process.next (node:internal/q:5:1)`,
  });
  const way = wayOf(at('it is 3', 5), '/p');
  assert.deepEqual(way, ['Error', 'test/a.js:5 in Context.<anonymous>', 'lib/c.js:9 in check']);
  assert.deepEqual(wayOf(at('it is 4\n    at 0x7f (/p/x.js:1:1)', 5), '/p'), way);
  assert.notDeepEqual(wayOf(at('it is 3', 6), '/p'), way);
  assert.notDeepEqual(wayOf(at('it is 3', 5, 'TypeError'), '/p'), way);
  assert.equal(placeOf(way), 'Error at lib/c.js:9 in check');
  assert.equal(placeOf([...way, 'node:fs in open']), 'Error at lib/c.js:9 in check');
  const short = { ...at('x', 5), stack: at('x', 5).stack.replaceAll('/p/', '') };
  assert.deepEqual(wayOf(short, '/p'), way, 'as mocha shortens it');
  const library = {
    name: 'E',
    message: '',
    stack: 'E\n    at f (/o/z.js:7:1)\n    at /p/a.js:2:1',
  };
  assert.deepEqual(wayOf(library, '/p'), ['E', 'a.js:2', 'z.js in f']);
  assert.deepEqual(wayOf({ name: 'Error', code: 'ERR_MOCHA_TIMEOUT' }, '/p'), [
    'Error [ERR_MOCHA_TIMEOUT]',
  ]);
  assert.deepEqual(wayOf(at('x', 5).stack, '/p'), way);
  for (const odd of [null, undefined, 7, {}, { stack: 7 }]) assert.ok(wayOf(odd, '/p')[0]);
  const ways = new Ways();
  assert.equal(ways.place, 'unknown');
  ways.add(way);
  assert.ok(ways.has([...way]) && !ways.has(['Error']));
});

const RECIPE = {
  items: ['test/a.js::x', 'test/a.js::y'],
  others: [],
  beside: '',
  seed: 2 ** 53 - 1,
  around: ['clock'],
  clock: 1.5e9,
  args: ['test'],
  failure: 'Error at test/a.js:1',
};

test('a token says what was put into it, a long one by a file', (t) => {
  const folder = fs.mkdtempSync(path.join(os.tmpdir(), 'qe-replay-'));
  t.after(() => fs.rmSync(folder, { recursive: true }));
  assert.deepEqual(parse(tokenOf(RECIPE), folder), RECIPE);
  assert.match(optionOf(RECIPE, folder), /^--replay=qe1-[\w-]+$/);
  const items = Array.from({ length: 400 }, () => `test/a.js::${crypto.randomUUID()}`);
  const option = optionOf({ ...RECIPE, items }, folder);
  assert.match(option, /^--replay=@\.qe\/replays\/[\da-f]{8}\.txt$/);
  assert.deepEqual(parse(option.slice('--replay='.length), folder).items, items);
});

test('a token asks for nothing but what is known', () => {
  const packed = (value) => `qe1-${deflateSync(JSON.stringify(value)).toString('base64url')}`;
  const refused = (token, why) =>
    assert.throws(
      () => parse(token, '/nowhere'),
      { name: 'Error', message: why },
      token.slice(0, 80),
    );
  refused('x', /does not begin with qe1-/);
  refused('qe1-!!!', /not whole/);
  refused('@/nowhere/x', /cannot be read \(ENOENT\)/);
  refused('@/dev/zero', /holds too much/);
  refused('@/dev/null', /does not begin with/);
  refused(packed('x'.repeat(2 ** 24)), /holds too much/);
  refused(packed([1]), /another version/);
  for (const wrong of [
    { items: [] },
    { items: [1] },
    { others: ['x'] },
    { beside: 'then' },
    { beside: 'sometimes', others: ['x'] },
    { seed: -1 },
    { seed: 2 ** 53 },
    { around: ['tmp_by_name'] },
    { around: ['slow_main'] },
    { around: 'clock' },
    { clock: -1 },
    { clock: 1e12 },
    { args: ['--require=x'] },
    { args: ['/etc/x.js'] },
    { args: ['a/../../x.js'] },
    { failure: null },
  ]) {
    refused(tokenOf({ ...RECIPE, ...wrong }), /asks for what is not known here/);
  }
});

test('a replay’s passes: both at once, or one behind the other', () => {
  const passes = (beside) => {
    const replay = new Replay({ ...RECIPE, beside, others: ['test/a.js::z'] });
    const all = [[...replay.next(0, (ids) => ids)], [...replay.next(0, (ids) => ids)]];
    return all.map((specs) => specs.map(({ files, partner }) => [files.length, partner]));
  };
  assert.deepEqual(passes('meanwhile'), [
    [
      [2, 1],
      [1, 1],
    ],
    [],
  ]);
  assert.deepEqual(passes('then'), [[[1, undefined]], [[2, undefined]]]);
  assert.deepEqual(keysOfName('a#2'), ['1:a', '0:a#2']);
  assert.deepEqual(keysOfName('a#1'), ['0:a#1']);
});
