'use strict';
// `qe exec` as a node of a run that several share, of both hosts.

const assert = require('node:assert/strict');
const fs = require('node:fs');
const path = require('node:path');
const { test } = require('node:test');

const { ROOT } = require('./helpers');
const { eventually, project, ranHere, serve, start } = require('./queue-server');

const PYTHON = path.join(ROOT, 'build', 'venv', 'bin', 'python');

/** Notes that it ran, and by whom; waits for `open()` before it goes on. */
const script = (name, rest = '') => `
echo "${name} $QE_TEST_NODE" >> log
until [ -e gate ]; do sleep 0.02; done
${rest}
`;

const scripts = (more) =>
  Object.fromEntries(Object.entries(more).map(([n, rest]) => [`${n}.sh`, script(n, rest)]));

const good = (count) => Object.fromEntries(Array.from({ length: count }, (_, i) => [`f${i}`, '']));

const files = ({ folder }) =>
  fs
    .readdirSync(folder)
    .filter((name) => name.endsWith('.sh'))
    .sort();

const words = (server, own, name, ...more) => [
  ...['exec', '--command=sh {file}', ...files(own), '--max-concurrent=1'],
  ...['--throttle=0', '--backoff=0', `--json=${name}.json`],
  ...[`--queue=${server.url}`, '--run=1', '--project=p', ...more],
];

const node = (server, own, name, ...more) =>
  start('qe', own, name, words(server, own, name, ...more));
const pythonNode = (server, own, name, ...more) =>
  start([PYTHON, '-m', 'pytest_qe'], own, name, words(server, own, name, ...more));

const result = ({ folder }, name) =>
  JSON.parse(fs.readFileSync(path.join(folder, `${name}.json`), 'utf8'));

const NODES = 'qe:{p/1}:nodes';
const nodesOf = (server, count) =>
  eventually(async () => (await server.ask('HLEN', NODES)) === String(count), 'nodes');

const statuses = (ends) => ends.map(({ status }) => status);
const printed = (ends) => ends.map(({ stdout, stderr }) => stdout + stderr).join('\n');

async function report(server, own) {
  const args = ['queue', 'report', '1', `--queue=${server.url}`, '--project=p', '--json=-'];
  const { stdout, stderr } = await start('qe', own, 'r', args).ended;
  assert.notEqual(stdout, '', stderr);
  const found = JSON.parse(stdout);
  assert.ok(found.run.queue.complete, stderr);
  return found;
}

for (const [what, first, second] of [
  ['two nodes', node, node],
  ['a node of Python and one of Node', pythonNode, node],
  ['a node of Node and one of Python', node, pythonNode],
]) {
  test(`${what} share files: each runs once, and the last one has the whole`, async (t) => {
    const server = await serve(t);
    const own = project(t, scripts({ ...good(6), z: 'echo why; exit 3' }));
    const one = first(server, own, 'a', '--attempts=1');
    await eventually(() => own.begun().length === 1, printed([one.output]));
    const two = second(server, own, 'b', '--attempts=1');
    await eventually(() => own.begun().length === 2, printed([one.output, two.output]));
    own.open();
    const ends = await Promise.all([one.ended, two.ended]);
    const ran = own.begun().map(([name]) => name);
    assert.deepEqual(ran.sort(), ['f0', 'f1', 'f2', 'f3', 'f4', 'f5', 'z']);
    const results = ['a', 'b'].map((name) => result(own, name));
    assert.equal(results[0].total + results[1].total, 7);
    assert.equal(results[0].failed + results[1].failed, 1);
    assert.equal(ranHere(ends[0]) + ranHere(ends[1]), 7);
    const last = ends.filter((end) => /this was the last node of 2: /.test(printed([end])));
    assert.equal(last.length, 1, printed(ends));
    assert.match(printed(last), /in the whole run 6 passed, 1 failed$/m);
    assert.match(printed(last), /^FAILED on some node: z\.sh$/m);
    for (const [i, end] of ends.entries()) {
      const bad = results[i].failed > 0 || last.includes(end);
      assert.equal(end.status, bad ? 1 : 0, printed([end]));
    }
    const found = (await report(server, own)).tests.find(({ outcome }) => outcome === 'failed');
    assert.equal(found.id, 'z.sh');
    assert.match(JSON.stringify(found.attempts[0].texts), /why/);
    assert.equal(found.attempts[0].message, 'exit status 3');
    const late = await first(server, own, 'c', '--attempts=1').ended;
    assert.equal(late.status, 1, printed([late]));
    assert.match(printed([late]), /run 1: the run is over; nothing was left for this node/);
    assert.equal(own.begun().length, 7);
  });
}

test('what a killed node had runs on another one', async (t) => {
  const server = await serve(t);
  const own = project(t, scripts(good(5)));
  const first = node(server, own, 'a', '--queue-lease=1');
  await eventually(() => own.begun().length === 1, printed([first.output]));
  const second = node(server, own, 'b', '--queue-lease=1');
  await eventually(() => own.begun().length === 2, printed([second.output]));
  first.child.kill('SIGKILL');
  await first.ended;
  own.open();
  const end = await second.ended;
  assert.equal(end.status, 0, printed([end]));
  assert.equal(ranHere(end), 5);
  const found = await report(server, own);
  assert.deepEqual([...new Set(found.tests.map(({ outcome }) => outcome))], ['passed']);
});

test('another attempt is made by another node, if there is one', async (t) => {
  const server = await serve(t);
  const flaky = '[ $(grep -c "^a " log) -gt 1 ]';
  const own = project(t, scripts({ a: flaky, b: '', c: '' }));
  const nodes = ['1', '2'].map((name) => node(server, own, name, '--attempts=3'));
  await nodesOf(server, 2);
  own.open();
  const ends = await Promise.all(nodes.map(({ ended }) => ended));
  assert.deepEqual(statuses(ends), [0, 0], printed(ends));
  const by = own.begun().filter(([name]) => name === 'a');
  assert.deepEqual(by.map(([, name]) => name).sort(), ['1', '2']);
  const found = (await report(server, own)).tests.find(({ id }) => id === 'a.sh');
  assert.equal(found.outcome, 'flaky');
  assert.deepEqual(
    found.attempts.map(({ outcome }) => outcome),
    ['failed', 'passed'],
  );
});

test('what Ctrl-C has ended here runs on another node, and has not failed', async (t) => {
  const server = await serve(t);
  const own = project(t, scripts(good(3)));
  const first = node(server, own, 'a', '--attempts=1', '--queue-lease=3600');
  await eventually(() => own.begun().length === 1, printed([first.output]));
  const second = node(server, own, 'b', '--attempts=1');
  await eventually(() => own.begun().length === 2, printed([second.output]));
  first.child.kill('SIGINT');
  const gone = await first.ended;
  assert.equal(gone.status, 130, printed([gone]));
  assert.match(printed([gone]), /this node left before the run was over/);
  own.open();
  const end = await second.ended; // long before the lease would have ended
  assert.equal(end.status, 0, printed([end]));
  assert.equal(ranHere(end), 3);
});

test('a server that goes in mid-run: what runs ends, and the status is 3', async (t) => {
  const server = await serve(t);
  const own = project(t, scripts(good(8)));
  const first = node(server, own, 'a', '--queue-lease=1');
  await eventually(() => own.begun().length === 1, printed([first.output]));
  await server.end();
  own.open();
  const end = await first.ended;
  assert.equal(end.status, 3, printed([end]));
  assert.match(end.stderr, /^error: --queue: /m);
  assert.equal(result(own, 'a').passed, own.begun().length);
});

test('an abort on the server ends every node, with status 1', async (t) => {
  const server = await serve(t);
  const own = project(t, scripts(good(4)));
  const first = node(server, own, 'a');
  await eventually(() => own.begun().length === 1, printed([first.output]));
  const where = [`--queue=${server.url}`, '--project=p'];
  const done = await start('qe', own, 'x', ['queue', 'abort', '1', ...where]).ended;
  assert.equal(done.stdout, 'run 1 is stopped\n');
  const again = await start('qe', own, 'x', ['queue', 'abort', '1', ...where]).ended;
  assert.equal(again.stdout, 'run 1 had ended already\n');
  assert.equal(await server.ask('HGET', 'qe:{p/1}:plan', 'state'), 'stopped');
  // Each answer says so: the node has had one when it has called for the second time since.
  const name = await server.ask('EVAL', "return redis.call('HKEYS', KEYS[1])[1]", '1', NODES);
  for (let i = 0; i < 2; i++) {
    const before = await server.ask('HGET', NODES, name);
    await eventually(async () => (await server.ask('HGET', NODES, name)) !== before, 'a beat');
  }
  own.open();
  const end = await first.ended;
  assert.equal(end.status, 1, printed([end]));
  assert.match(printed([end]), /^the run was stopped: not all files have run$/m);
});

test('what is refused is one line', async (t) => {
  const server = await serve(t, '--requirepass', 'the-right-one');
  const gone = await serve(t);
  await gone.end();
  const own = project(t, scripts(good(2)));
  own.open();
  const url = `--queue=${server.url}`;
  const cases = [
    [['--run=1'], 2, /^error: --run: is of a run that is shared: --queue$/],
    [['--queue-lease=5'], 2, /^error: --queue-lease: is of a run that is shared: --queue$/],
    [[url], 2, /^error: --queue: no run is given: --run names it/],
    [[url, '--run=1', '--project=a/b'], 2, /^error: --queue: --project: .*no slash/],
    [[url, '--run=1', '--queue-lease=0.5'], 2, /--queue-lease.*from 1 to 3600/],
    [[url, '--run=1', '--queue-lease=1'], 3, /^error: --queue: .*(password|NOAUTH)/],
    [[`--queue=${gone.url}`, '--run=1', '--queue-lease=1'], 3, /^error: --queue: .*127\.0\.0\.1/],
  ];
  for (const [more, status, line] of cases) {
    const args = ['exec', '--command=sh {file}', 'f0.sh', ...more];
    const end = await start('qe', own, 'a', args).ended;
    assert.equal(end.status, status, printed([end]));
    assert.match(end.stderr.trim(), line);
  }
  assert.deepEqual(own.begun(), []);
  const plain = await serve(t);
  assert.equal((await node(plain, own, 'a').ended).status, 0);
  const other = ['exec', '--command=sh {file}', 'f0.sh', `--queue=${plain.url}`, '--run=1'];
  // Over already: its plan is looked at all the same.
  const end = await start('qe', own, 'b', [...other, '--project=p']).ended;
  assert.equal(end.status, 2, printed([end]));
  assert.match(end.stderr, /^error: --queue: the run has 2 tests, this node 1/);
});

test('agents share what they execute, and hunt alone', async (t) => {
  const server = await serve(t, '--requirepass', 'the-right-one');
  const own = project(t, scripts({ a: 'exit 1', b: 'echo "$QE_QUEUE_PASSWORD" > password' }));
  own.open();
  const code = `
    const { FlakyTestHunter, TestExecutor } = require(${JSON.stringify(ROOT)});
    (async () => {
      const shared = { url: ${JSON.stringify(server.url)}, run: '1', project: 'p', lease: 5 };
      const policy = { retryAttempts: 1, throttlePeriod: 0 };
      const options = { framework: 'command', params: policy };
      const made = { shared, template: ['sh', '{file}'] };
      const agent = new TestExecutor(made);
      const { total, failed, shared: told } = await agent.executeTestsParallel(['a.sh', 'b.sh'], options);
      const wrong = [];
      const refused = async (call) => wrong.push(await call().then(() => 'not', (e) => [e.code, e.message]));
      await refused(() => new FlakyTestHunter(made).detectFlakyTests(['a.sh'], { framework: 'command' }));
      await refused(async () => new TestExecutor({ shared: 'redis://x' }));
      await refused(async () => new TestExecutor({ shared: { url: 1 } }));
      await refused(async () => new TestExecutor({ shared: { ...shared, lease: 0 } }));
      await refused(async () => new TestExecutor({ shared: { ...shared, run: 'a{' } }));
      await refused(async () => new TestExecutor({ shared: { ...shared, name: 'x' } }));
      const other = new TestExecutor({ ...made, shared: { ...shared, url: shared.url.replace('//', '//:no@') } });
      await refused(() => other.executeTestsParallel(['a.sh'], options));
      console.log(JSON.stringify({ total, failed, told, wrong }));
    })();
  `;
  const env = { QE_QUEUE_PASSWORD: 'the-right-one' };
  const { stdout, stderr, status } = await start([process.execPath, '-e', code], own, 'a', [], env)
    .ended;
  assert.equal(status, 0, stderr);
  const { total, failed, told, wrong } = JSON.parse(stdout);
  assert.deepEqual([total, failed], [2, 1]);
  assert.deepEqual(told.failures, ['a.sh']);
  assert.deepEqual([told.stopped, told.proven, told.trouble], [false, true, null]);
  assert.match(
    told.lines.at(-1),
    /^this was the last node of 1: in the whole run 1 passed, 1 failed$/,
  );
  const expected = [
    ['QE_EINVAL', /^options\.shared: is of executions; each node can hunt/],
    ['QE_EINVAL', /^options\.shared: takes an object/],
    ['QE_EINVAL', /^options\.shared\.url: takes a string, not 1$/],
    ['QE_EINVAL', /^options\.shared\.lease: takes a number from 1 to 3600, not 0$/],
    ['QE_EINVAL', /^options\.shared: --run: takes at most 200 letters/],
    ['QE_EINVAL', /^options\.shared\.name: there is no such setting/],
    ['QE_EUNSUPPORTED', /^--queue: .*(WRONGPASS|password)/],
  ];
  assert.equal(wrong.length, expected.length);
  for (const [i, [codeOf, message]] of expected.entries()) {
    assert.equal(wrong[i][0], codeOf, wrong[i][1]);
    assert.match(wrong[i][1], message);
  }
  assert.equal(fs.readFileSync(path.join(own.folder, 'password'), 'utf8'), '\n');
});
