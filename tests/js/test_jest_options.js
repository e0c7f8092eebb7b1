'use strict';
// The options that qe-jest adds to jest's, on the jest that this package is built with.

const assert = require('node:assert/strict');
const fs = require('node:fs');
const path = require('node:path');
const { test } = require('node:test');
const { stripVTControlCharacters } = require('node:util');

const { ROOT, cleanEnv, run } = require('./helpers');
const { write } = require('./projects');

const CLI = path.join(ROOT, 'js', 'bin', 'qe-jest.js');

/** A project with these files; jest is found above it. */
function project(name, files) {
  const folder = path.join(ROOT, 'build', 'js-projects', `options-${name}`);
  fs.rmSync(folder, { recursive: true, force: true });
  write(folder, { 'package.json': '{ "name": "project", "jest": {} }', ...files });
  return folder;
}

const qe = (cwd, ...words) =>
  run([process.execPath, CLI, ...words], { cwd, env: cleanEnv(), timeout: 120_000 });

const read = (...names) => fs.readFileSync(path.join(...names), 'utf8');
const readJson = (...names) => JSON.parse(read(...names));
const passes = (name) => `test('${name}', () => {});\n`;

test('a hang is told with its line, where the inspector can say it', async () => {
  const folder = project('hang', {
    'package.json': '{ "jest": { "transform": { "spin": "./oneline.js" } } }',
    // Lines move: the code has a source map, as that of TypeScript.
    'oneline.js': `
const { transformSync } = require('@babel/core');
const how = { compact: true, sourceMaps: 'inline', babelrc: false, configFile: false };
exports.process = (text, filename) => transformSync(text, { filename, ...how });
`,
    'spin.js': `
const { strict } = require('node:assert');
exports.Spinner = class Spinner {
  #turns = 0;
  static of() { return new Spinner(); }
  spin() {
    strict.ok(true);
    for (;;) {
      this.#turns += 1; // line 9
    }
  }
};
`,
    'loop.test.js': `
const { Spinner } = require('./spin');
test('before', () => {});
test('spins', () => {
  Spinner.of().spin(); // line 5
});
test('after', () => {});
`,
    'native.test.js': `
test('waits', () => { require('child_process').execFileSync('sleep', ['60']); });
test('after', () => {});
`,
    'load.test.js': `
const until = Date.now() + 60_000;
while (Date.now() < until); // line 3
test('never', () => {});
`,
  });
  const words = ['--parallel=3', '--test-timeout-hard=1.5', '--report-json=out.json'];
  const done = await qe(folder, ...words);
  assert.equal(done.status, 1, done.stderr);
  assert.match(done.stderr, /● spins\n\n +Timeout: its worker did nothing else for 1\.5 s/);
  assert.match(done.stderr, /> +[89] \| +(for \(;;\)|this\.#turns)/);
  assert.match(done.stderr, /at (Spinner\.)?spin \(spin\.js:[89]:/);
  assert.match(done.stderr, /at .*loop\.test\.js:5:/);
  assert.match(done.stderr, /in native code or waiting for what never came/);
  assert.match(done.stderr, /load\.test\.js:3:/);
  const { tests } = readJson(folder, 'out.json');
  const outcomes = Object.fromEntries(tests.map(({ id, outcome }) => [id, outcome]));
  assert.deepEqual(outcomes, {
    'loop.test.js::before': 'passed',
    'loop.test.js::spins': 'timeout',
    'loop.test.js::after': 'passed',
    'native.test.js::waits': 'timeout',
    'native.test.js::after': 'passed',
    'load.test.js': 'timeout',
  });
});

test('passes differ in order and seed; what differs in result is flaky', async () => {
  const folder = project('flaky', {
    'order.test.js': `
const seen = [];
for (const name of ['a', 'b', 'c', 'd', 'e']) {
  test(name, () => { seen.push(name); expect(1).toBe(1); });
}
test.skip('skipped', () => {});
test('needs a', () => { expect(seen).toContain('a'); });
afterAll(() => require('fs').appendFileSync('orders', seen.join('') + '\\n'));
`,
    'wrong.test.js': "test('wrong', () => { throw new Error('always'); });\n",
    'right.test.js': passes('right'),
  });
  const words = [
    '--parallel=2',
    '--flaky=8',
    '--flaky-mode=fixed',
    '--seed=7',
    '--report-json=out.json',
  ];
  const done = await qe(folder, ...words);
  assert.equal(done.status, 1);
  const orders = read(folder, 'orders').trim().split('\n');
  assert.equal(orders.length, 8);
  assert.ok(orders.includes('abcde'), 'the first pass is in the order of the file');
  assert.ok(new Set(orders).size > 3, orders.join());
  const { run: told, tests } = readJson(folder, 'out.json');
  assert.deepEqual(
    told.orders.map(({ seed, order }) => [seed, order]),
    [7, 8, 9, 10, 11, 12, 13, 14].map((seed) => [seed, seed === 7 ? 'defined' : 'shuffled']),
  );
  const of = (id) => tests.find((each) => each.id === id);
  assert.equal(of('order.test.js::needs a').outcome, 'flaky');
  assert.equal(of('order.test.js::needs a').attempts.length, 8);
  assert.equal(of('order.test.js::skipped').outcome, 'skipped');
  assert.equal(of('wrong.test.js::wrong').outcome, 'failed');
  assert.equal(of('wrong.test.js::wrong').flakiness.pattern, 'STABLE_FAIL');
  assert.equal(of('right.test.js::right').outcome, 'passed');
  assert.match(done.stderr, /Flaky tests \(8 passes\): 1 flaky, 1 failing, 6 passing/);
  assert.match(done.stderr, /Tests: +2 failed, 1 skipped, 6 passed, 9 total/);

  // What is told reproduces it, with stock jest.
  const [, seed] = /its order: --randomize --seed=(-?\d+)/.exec(done.stderr);
  const jest = path.join(ROOT, 'node_modules', 'jest', 'bin', 'jest.js');
  const again = ['order', '-i', '--randomize', `--seed=${seed}`];
  const stock = await run([process.execPath, jest, ...again], { cwd: folder, env: cleanEnv() });
  assert.match(stock.stderr, /✕ needs a/);
});

test('a suite without flaky tests passes', async () => {
  const folder = project('steady', { 'right.test.js': passes('right') });
  const done = await qe(folder, '--flaky=3', '--flaky-mode=fixed');
  assert.equal(done.status, 0, done.stderr);
  assert.match(done.stderr, /3 passes\): 0 flaky, 0 failing, 1 passing/);
  assert.match(done.stderr, /fewer than 10 passes miss most flaky tests/);
});

test('a file that cannot be loaded in some passes is told', async () => {
  const folder = project('load', {
    'load.test.js': `
const fs = require('fs');
if (fs.existsSync('loaded')) throw new Error('a second time');
fs.writeFileSync('loaded', '');
${passes('right')}`,
  });
  const done = await qe(folder, '--flaky=3', '--flaky-mode=fixed', '--parallel=1');
  assert.equal(done.status, 1);
  assert.match(done.stderr, /Flaky: the file could not be run in pass 2, 3:[^]*a second time/);
});

test('shards are disjoint, complete, and balanced by durations', async () => {
  const names = ['a', 'b', 'c', 'd', 'e', 'f'].map((name) => `${name}.test.js`);
  const folder = project('shards', Object.fromEntries(names.map((name) => [name, passes(name)])));
  const files = Object.fromEntries(names.map((name, i) => [name, i === 0 ? 5 : 1]));
  write(folder, { 'durations.json': JSON.stringify({ schema: 1, files }) });

  async function shard(index, of, ...more) {
    const report = `--report-json=${index}.json`;
    const done = await qe(folder, `--shard-by-time=${index}/${of}`, report, ...more);
    assert.equal(done.status, 0, done.stderr);
    return readJson(folder, `${index}.json`).tests.map(({ id }) => id.split('::')[0]);
  }

  for (const more of [[], ['--shard-durations=durations.json']]) {
    const found = [await shard(1, 2, ...more), await shard(2, 2, ...more)];
    assert.deepEqual(found.flat().sort(), names);
    if (more.length > 0) assert.deepEqual(found.map((one) => one.length).sort(), [1, 5]);
    const done = await qe(folder, '--verify-shards', '1.json', '2.json');
    assert.equal(done.stdout, 'qe-jest: 2 shards, 6 test files: disjoint and complete\n');
  }
  assert.deepEqual(readJson(folder, 'durations.json').files, files, 'shards leave it alone');
  const twice = await qe(folder, '--verify-shards', '1.json', '1.json');
  assert.equal(twice.status, 2);
  assert.equal(twice.stderr, 'qe-jest: shard 1 twice: 1.json and 1.json\n');
  const half = await qe(folder, '--verify-shards', '2.json');
  assert.equal(half.stderr, 'qe-jest: missing: shard 1/2\n');
});

test('a run of all files writes the durations', async () => {
  const slow = "test('slow', () => new Promise((done) => setTimeout(done, 700)));\n";
  const folder = project('durations', { 'quick.test.js': passes('quick'), 'slow.test.js': slow });
  write(folder, { 'd.json': '{"schema": 1, "files": {"gone.test.js": 3}}' });
  const done = await qe(folder, '--shard-durations=d.json', '--parallel=1');
  assert.equal(done.status, 0, done.stderr);
  const { files } = readJson(folder, 'd.json');
  assert.deepEqual(Object.keys(files), ['gone.test.js', 'quick.test.js', 'slow.test.js']);
  assert.ok(files['slow.test.js'] >= 0.7, JSON.stringify(files));
});

test('a sequencer that shards by itself is not passed over in silence', async () => {
  const folder = project('sequencer', {
    'package.json': '{ "jest": { "testSequencer": "./sequencer.js" } }',
    'sequencer.js': `
module.exports = class {
  shard(tests) { return tests; }
  sort(tests) { return tests; }
  allFailedTests(tests) { return tests; }
  cacheResults() {}
};`,
    'a.test.js': passes('a'),
  });
  const done = await qe(folder, '--shard-by-time=1/2');
  assert.notEqual(done.status, 0);
  assert.match(done.stderr, /--shard-by-time: the testSequencer of this project shards by itself/);
});

test('a worker over the cap is replaced between files', async () => {
  const notes = "test('notes', () => require('fs').appendFileSync('pids', process.pid + '\\n'));\n";
  const names = ['a', 'b', 'c', 'd'];
  const files = Object.fromEntries(names.map((name) => [`${name}.test.js`, notes]));
  const folder = project('rss', files);
  async function pids(...words) {
    fs.rmSync(path.join(folder, 'pids'), { force: true });
    const done = await qe(folder, '--parallel=1', ...words);
    assert.equal(done.status, 0, done.stderr);
    assert.match(done.stderr, /Tests: +4 passed, 4 total/);
    return new Set(read(folder, 'pids').trim().split('\n')).size;
  }
  assert.equal(await pids(), 1);
  assert.equal(await pids('--max-worker-rss=1M'), 4);
  assert.equal(await pids('--max-worker-rss=8G'), 1);
});

test('JUnit XML has each test once, and holds any text', async () => {
  const folder = project('junit', {
    'src/a.test.js': `
describe('a suite', () => {
  test('fails', () => { throw new Error('bad \\u0001 <&> ]]> \\ud800 end'); });
  test.skip('skipped', () => {});
  test.todo('to do');
});
test('passes', () => {});
test('crashes', () => process.exit(3));
`,
    'src/b.test.js': "throw new Error('never loaded');\n",
  });
  const env = cleanEnv({ GITLAB_CI: 'true', CI_PROJECT_DIR: path.dirname(folder) });
  const words = [process.execPath, CLI, '--parallel=2', '--report-junit=out/junit.xml'];
  await run(words, { cwd: folder, env, timeout: 120_000 });
  assert.match(read(folder, 'out/junit.xml'), / file="options-junit\/src\/a\.test\.js"/);
  const program = `
import json, sys, xml.etree.ElementTree as E
suite = E.parse(sys.argv[1]).getroot().find("testsuite")
print(json.dumps([suite.attrib, [[c.attrib["classname"], c.attrib["name"],
  [[e.tag, e.get("message"), e.text] for e in c]] for c in suite]]))`;
  const parsed = await run(['python3', '-c', program, path.join(folder, 'out', 'junit.xml')]);
  assert.equal(parsed.status, 0, parsed.stderr);
  const [suite, cases] = JSON.parse(parsed.stdout);
  const { tests, failures, errors, skipped } = suite;
  assert.deepEqual([suite.name, tests, failures, errors, skipped], ['jest', '6', '2', '1', '2']);
  const named = cases.map(([within, name, [what]]) => [within, name, what?.[0]]);
  assert.deepEqual(
    named.sort(),
    [
      ['', 'src/b.test.js', 'error'],
      ['src.a.test', 'crashes', 'failure'],
      ['src.a.test', 'passes', undefined],
      ['src.a.test.a suite', 'fails', 'failure'],
      ['src.a.test.a suite', 'skipped', 'skipped'],
      ['src.a.test.a suite', 'to do', 'skipped'],
    ].sort(),
  );
  const [, message, text] = cases.find(([, name]) => name === 'fails')[2][0];
  assert.equal(message, 'Error: bad #x01 <&> ]]> #xD800 end');
  assert.match(text, /^Error: bad #x01 <&> \]\]> #xD800 end\n +at /);
});

for (const [words, message] of [
  [
    ['--shard-by-time=3/2'],
    '--shard-by-time=3/2: takes I/N, such as 1/3: the first of three shards',
  ],
  [
    ['--shard-by-time=0/2'],
    '--shard-by-time=0/2: takes I/N, such as 1/3: the first of three shards',
  ],
  [['--shard-by-time'], '--shard-by-time: takes a value: --shard-by-time=I/N'],
  [['--shard-by-time=1/2', '--shard=1/2'], '--shard-by-time and --shard: takes one of them'],
  [['--max-worker-rss=lots'], '--max-worker-rss=lots: takes bytes from 1, or such as 512M or 1.5G'],
  [['--flaky=1'], '--flaky=1: takes a whole number from 2 to 10000'],
  [['--flaky=3', '--retries=2'], '--flaky and --retries: takes one of them'],
  [['--flaky-mode=quick'], '--flaky-mode=quick: takes one of fixed, adaptive'],
  [['--flaky-budget=0'], '--flaky-budget=0: takes a number from 0.001 to 1000000'],
  [['--flaky-alpha=1'], '--flaky-alpha=1: takes a number from 1e-9 to 0.5'],
  [['--flaky-seed=x'], '--flaky-seed=x: takes a whole number from -2147483648 to 2147483647'],
  [['--flaky=3', '--flaky-budget=5'], '--flaky-budget: is instead of --flaky=N'],
  [['--flaky-budget=5', '--flaky-mode=fixed'], '--flaky-budget: takes --flaky-mode=adaptive'],
  [['--flaky-budget=5', '--retries=2'], '--flaky-budget and --retries: takes one of them'],
  [['--report-junit='], '--report-junit=: takes the path of a file'],
  [['--verify-shards'], '--verify-shards: takes JSON results'],
]) {
  test(`refused: ${words.join(' ')}`, async () => {
    const folder = project('refused', { 'a.test.js': passes('a') });
    const done = await qe(folder, ...words);
    assert.equal(done.stderr, `qe-jest: ${message}\n`);
    assert.equal(done.status, 2);
  });
}

test('--detectLeaks finds what tests leak, and nothing of ours', async () => {
  const files = { 'clean.test.js': passes('clean') };
  // What the process holds for its life holds this file's globals.
  const leaks = "require('node:path').leak = globalThis; test('leaks', () => {});\n";
  const folder = project('leaks', { ...files, 'leaks.test.js': leaks });
  const done = await qe(folder, '--detectLeaks', '--json', '--parallel=2');
  const { testResults } = JSON.parse(done.stdout);
  const failed = testResults.filter(({ status }) => status === 'failed');
  assert.deepEqual(
    failed.map(({ name, message }) => [path.basename(name), /leaking memory/.test(message)]),
    [['leaks.test.js', true]],
    done.stderr,
  );
});

test('--colors colours what workers say, and --no-colors does not', async () => {
  const fails = "test('fails', () => { expect(1).toBe(2); });\n";
  const seen = "test('env', () => { expect(process.env.FORCE_COLOR).toBe('1'); });\n";
  const folder = project('colours', { 'fails.test.js': fails, 'seen.test.js': seen });
  const coloured = await qe(folder, '--colors');
  assert.ok(coloured.stderr.includes('Expected: \x1b[32m2'), coloured.stderr);
  // The variable is what jest gives its own workers.
  assert.match(stripVTControlCharacters(coloured.stderr), /Tests: +1 failed, 1 passed/);
  const plain = await qe(folder, '--no-colors');
  assert.match(plain.stderr, /Expected: 2\n/);
});

test('what jest as it is leaves out of our options is told', async () => {
  const folder = project('left-out', { 'a.test.js': passes('a') });
  const done = await qe(folder, '-i', '--parallel=2', '--flaky=2', '--report-json=out.json');
  const [first] = done.stderr.split('\n');
  assert.equal(first, 'qe-jest: --flaky, --report-json: not heeded, as jest runs as it is');
  assert.equal(done.status, 0);
  const { stderr } = await qe(folder, '-i', '--parallel=2');
  assert.doesNotMatch(stderr, /qe-jest/);
});
