'use strict';
// Nodes of both hosts, and the server, are killed again and again in one run: nothing is lost,
// and nothing counts twice.

const assert = require('node:assert/strict');
const path = require('node:path');
const { test } = require('node:test');

const { ROOT } = require('./helpers');
const { eventually, project, serve, start } = require('./queue-server');

const PYTHON = [path.join(ROOT, 'build', 'venv', 'bin', 'python'), '-m', 'pytest_qe'];
const SEED = Number(process.env.QE_TEST_SEED ?? Date.now() % 100_000);

/** Numbers from 0 to 1, the same for a seed. */
function random(seed) {
  let state = seed;
  return () => {
    state = (Math.imul(state, 1103515245) + 12345) & 0x7fffffff;
    return state / 0x80000000;
  };
}

const named = (count, place, text) =>
  Object.fromEntries(Array.from({ length: count }, (_, i) => [place(`f${i}`), text(`f${i}`)]));

const begins = (name, folder) => `
  require('fs').appendFileSync(require('path').join(__dirname, '${folder}log'), '${name} n\\n');
  await new Promise((resolve) => setTimeout(resolve, 50));
`;
/** Of each kind of run its files, and the nodes that can have a part in it. */
const RUNS = {
  jest: {
    files: named(
      24,
      (n) => `${n}.test.js`,
      (n) => `test('t', async () => {${begins(n, '')}});`,
    ),
    nodes: [['qe-jest', ['--parallel=2', '--queue-project=p']]],
    kills: 5,
  },
  mocha: {
    files: named(
      24,
      (n) => `test/${n}.js`,
      (n) => `it('t', async () => {${begins(n, '../')}});`,
    ),
    nodes: [['qe-mocha', ['--parallel=2', '--queue-project=p']]],
    kills: 5,
  },
  'qe exec of Node and of Python': {
    files: named(
      60,
      (n) => `${n}.sh`,
      (n) => `echo "${n} n" >> log; sleep 0.05`,
    ),
    nodes: ['qe', PYTHON].map((program) => [program, null]),
    kills: 10,
  },
};

/** The words of a node. */
function wordsOf(own, more, server) {
  const queue = [`--queue=${server.url}`, '--run=1', '--queue-lease=2'];
  if (more) return [...queue, ...more];
  const files = Object.keys(own.files);
  const exec = ['exec', '--command=sh {file}', ...files, '--max-concurrent=2', '--throttle=0'];
  return [...exec, ...queue, '--project=p'];
}

for (const [name, { files, nodes, kills }] of Object.entries(RUNS)) {
  test(`${name}: nodes that are killed lose nothing`, async (t) => {
    t.diagnostic(`QE_TEST_SEED=${SEED}`);
    const next = random(SEED);
    const pick = (list) => list[Math.floor(next() * list.length)];
    const server = await serve(t, '--appendonly', 'yes', '--appendfsync', 'always');
    const own = { ...project(t, files), files };
    const alive = new Set();
    const begin = (i) => {
      const [program, more] = nodes[i % nodes.length];
      const node = start(program, own, 'n', wordsOf(own, more, server));
      alive.add(node);
      t.after(() => node.child.kill('SIGKILL'));
      return node;
    };
    for (let i = 0; i < 2; i++) begin(i);
    const state = () => server.ask('HGET', 'qe:{p/1}:plan', 'state');
    for (let i = 0; i < kills; i++) {
      const before = own.begun().length;
      const isOver = async () => (await state()) === 'over';
      await eventually(async () => own.begun().length > before || (await isOver()), 'a file');
      if (await isOver()) break;
      const node = pick([...alive]);
      node.child.kill('SIGKILL');
      alive.delete(node);
      await node.ended;
      begin(i);
      if (i % 3 === 2) await server.restart();
    }
    for (const node of alive) {
      const end = await node.ended;
      assert.equal(end.status, 0, end.stdout + end.stderr);
    }
    const words = ['queue', 'report', '1', `--queue=${server.url}`, '--project=p', '--json=-'];
    const told = await start('qe', own, 'r', words).ended;
    assert.equal(told.status, 0, told.stderr);
    const { run, tests } = JSON.parse(told.stdout);
    assert.ok(run.queue.complete, told.stderr);
    assert.equal(tests.length, Object.keys(files).length);
    assert.ok(tests.every(({ outcome }) => outcome === 'passed'));
    const ran = new Set(own.begun().map(([each]) => each));
    assert.equal(ran.size, tests.length);
  });
}
