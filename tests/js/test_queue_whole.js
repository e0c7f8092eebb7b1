'use strict';
// What the last node of jest and mocha says of the whole run, and one that comes late.

const assert = require('node:assert/strict');
const path = require('node:path');
const { test } = require('node:test');

const { ROOT } = require('./helpers');
const { eventually, project, ranHere, serve, serveTls, start } = require('./queue-server');

const PYTHON = [path.join(ROOT, 'build', 'venv', 'bin', 'python'), '-m', 'pytest_qe'];

const words = (server, ...more) => [
  `--queue=${server.url}`,
  '--run=1',
  '--queue-project=p',
  ...more,
];

/** Waits until so many nodes have come to the run. */
const nodesOf = (server, count) =>
  eventually(async () => (await server.ask('HLEN', 'qe:{p/1}:nodes')) === String(count), 'nodes');

/** A project of one file for each host that waits, or fails: by name. */
const FILES = {
  'qe-jest': (name, fails) => [
    `${name}.test.js`,
    `
      const begun = require('./begun');
      test('waits', async () => {
        await begun('${name}');
        if (${fails}) throw new Error('as it should');
      }, 100_000);
    `,
  ],
  'qe-mocha': (name, fails) => [
    `test/${name}.js`,
    `
      const begun = require('../begun');
      it('waits in ${name}', async () => {
        await begun('${name}');
        if (${fails}) throw new Error('as it should');
      });
    `,
  ],
};
const OPTIONS = { 'qe-jest': [], 'qe-mocha': ['--timeout=0'] };

for (const program of ['qe-jest', 'qe-mocha']) {
  const file = FILES[program];
  const options = OPTIONS[program];

  test(`${program}: the last node fails with what has failed on another, and late ones`, async (t) => {
    const server = await serve(t);
    const own = project(t, Object.fromEntries([file('bad', true), file('good', false)]));
    const args = words(server, '--parallel=1', ...options);
    const first = start(program, own, 'a', args);
    await eventually(() => own.begun().length === 1, first.output.stderr);
    const second = start(program, own, 'b', args);
    await eventually(() => own.begun().length === 2, second.output.stderr);
    own.open();
    const ends = await Promise.all([first.ended, second.ended]);
    const last = ends.filter(({ stderr }) => /this was the last node of 2/.test(stderr));
    assert.equal(last.length, 1, ends.map(({ stderr }) => stderr).join('\n'));
    const name = file('bad')[0];
    for (const { stderr } of last) {
      assert.match(stderr, new RegExp(`^${program}: FAILED on some node: ${name}$`, 'm'));
      assert.match(stderr, /: in the whole run 1 passed, 1 failed$/m);
    }
    // Who had the failure has its status, and the last one has, too.
    const [, by] = own.begun().find(([begun]) => begun === 'bad');
    const bad = ends[by === 'a' ? 0 : 1];
    const status = (end) => (end === bad || last.includes(end) ? 1 : 0);
    assert.deepEqual(
      ends.map((end) => end.status),
      ends.map(status),
    );
    const late = await start(program, own, 'c', args).ended;
    assert.equal(late.status, 1, late.stderr);
    assert.match(late.stderr, /run 1: the run is over; nothing was left for this node$/m);
    assert.match(late.stderr, new RegExp(`^${program}: FAILED on some node: ${name}$`, 'm'));
    assert.match(late.stderr, new RegExp(`^${program}: in the whole run 1 passed, 1 failed$`, 'm'));
    assert.equal(own.begun().length, 2);
    // Both hosts read all that was told.
    const report = ['queue', 'report', '1', `--queue=${server.url}`, '--project=p', '--json=-'];
    const read = [start('qe', own, 'd', report), start(PYTHON, own, 'd', report)];
    const [ours, theirs] = (await Promise.all(read.map((one) => one.ended))).map(({ stdout }) =>
      JSON.parse(stdout),
    );
    assert.deepEqual(ours, theirs);
    assert.deepEqual(ours.run.warnings, []);
    const found = ours.tests.find(({ outcome }) => outcome === 'failed');
    assert.match(JSON.stringify(found.attempts[0].texts), /as it should/);
  });

  test(`${program}: a last node that cannot read the whole does not pass`, async (t) => {
    const server = await serve(t);
    const own = project(t, Object.fromEntries([file('good', false)]));
    own.open();
    await server.ask('HSET', 'qe:{p/1}:nodes', 'x'.repeat(200), '1 1 1');
    const { status, stderr } = await start(program, own, 'a', words(server, ...options)).ended;
    assert.equal(status, 7, stderr);
    assert.match(stderr, /^qe-\w+: the whole run could not be read: what the server has/m);
    assert.equal(ranHere({ stderr, stdout: '' }), 1);
  });

  test(`${program}: an outcome that nobody told fails the last node`, async (t) => {
    const server = await serve(t);
    const files = [file('bad', false), file('good', false)];
    const own = project(t, Object.fromEntries(files));
    const node = start(program, own, 'a', words(server, '--parallel=1', ...options));
    await nodesOf(server, 1);
    await server.ask('HSET', 'qe:{p/1}:out', '7', '1'); // the plan has no such unit
    own.open();
    const { status, stderr } = await node.ended;
    assert.equal(status, 1, stderr);
    assert.match(stderr, /^qe-\w+: proof: there are 1 outcomes of units that the plan does not/m);
  });
}

test('names of failed files obey no terminal, and what is told is checked', async (t) => {
  const server = await serve(t);
  const [, text] = FILES['qe-jest']('bad', true);
  const own = project(t, { 'a\u001b[31m.test.js': text, 'b.test.js': text });
  const node = start('qe-jest', own, 'a', words(server, '--parallel=1'));
  await eventually(() => own.begun().length === 1, node.output.stderr);
  await server.ask(
    'XADD',
    'qe:{p/1}:tries',
    '*',
    ...'u 0 a 1 o 1 n evil late 1 p {"v":1}'.split(' '),
  );
  own.open();
  const { status, stderr } = await node.ended;
  assert.equal(status, 1, stderr);
  assert.match(stderr, /^qe-jest: FAILED on some node: a\\x1b\[31m\.test\.js$/m);
  assert.match(stderr, /this was the last node of 2: in the whole run 2 failed$/m);
});

// ------------------------------------------------------------------------------ TLS

test('nodes share a run by TLS, and the certificate is looked at', async (t) => {
  const server = await serveTls(t);
  const [name, text] = FILES['qe-jest']('a', false);
  const other = FILES['qe-jest']('b', false);
  const own = project(t, { [name]: text, [other[0]]: other[1] });
  const args = words(server, '--parallel=1', `--queue-ca-file=${server.caFile}`);
  const nodes = ['a', 'b'].map((node) => start('qe-jest', own, node, args));
  await eventually(() => own.begun().length === 2, nodes[0].output.stderr);
  own.open();
  const ends = await Promise.all(nodes.map(({ ended }) => ended));
  assert.deepEqual(
    ends.map(({ status }) => status),
    [0, 0],
    ends.map(({ stderr }) => stderr).join('\n'),
  );
  assert.deepEqual(
    own
      .begun()
      .map(([, node]) => node)
      .sort(),
    ['a', 'b'],
  );
  // The same in the environment, to read it.
  const read = ['queue', 'report', '1', `--queue=${server.url}`, '--project=p'];
  const told = await start('qe', own, 'c', read, { QE_QUEUE_CA_FILE: server.caFile }).ended;
  assert.equal(told.status, 0, told.stderr);
  assert.match(told.stdout, /^run 1 \(over\): 2 tests: 2 passed; 2 nodes, /m);
  const refused = [
    [[...words(server)], /certificate/], // nobody vouches for it
    [words({ url: server.url.replace('localhost', '127.0.0.1') }), /certificate/],
    [words({ url: server.url.replace('rediss', 'redis') }), /TLS|answer/],
  ];
  for (const [bad, why] of refused) {
    const { status, stderr } = await start('qe-jest', own, 'd', [...bad, '--queue-lease=1']).ended;
    assert.equal(status, 7, stderr);
    assert.match(stderr, why);
    assert.equal(stderr.trim().split('\n').length, 1, stderr);
  }
});
