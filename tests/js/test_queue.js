'use strict';
// Runs that several nodes share through a queue, with a real server.

const assert = require('node:assert/strict');
const fs = require('node:fs');
const path = require('node:path');
const { test } = require('node:test');

const { ROOT, alive, run } = require('./helpers');
const { eventually, project, ranHere, serve, start } = require('./queue-server');

const ADDON = path.join(ROOT, 'prebuilds', `linux-${process.arch}`, 'queue', 'qe_queue.node');
const FILES = 12;

const gated = (name) => `
  const begun = require('./begun');
  test('waits', () => begun('${name}'), 100_000);
  test('is there', () => {});
`;

/** Test files of jest that wait, by name. */
function jestFiles(count = FILES) {
  const names = Array.from({ length: count }, (_, i) => `f${i}`);
  return Object.fromEntries(names.map((name) => [`${name}.test.js`, gated(name)]));
}

const words = (server, ...more) => [
  `--queue=${server.url}`,
  '--run=1',
  '--queue-project=p',
  ...more,
];

/** Waits until so many nodes have come to the run. */
const nodesOf = (server, count) =>
  eventually(async () => (await server.ask('HLEN', 'qe:{p/1}:nodes')) === String(count), 'nodes');

const sorted = (begun) => begun.map(([name]) => name).sort();

test('three nodes share the files of a jest project: each runs once', async (t) => {
  const server = await serve(t);
  const own = project(t, jestFiles());
  const args = words(server, '--parallel=2', '--json');
  const nodes = ['a', 'b', 'c'].map((name) => start('qe-jest', own, name, args));
  await nodesOf(server, 3);
  own.open();
  const ends = await Promise.all(nodes.map(({ ended }) => ended));
  assert.deepEqual(
    sorted(own.begun()),
    Object.keys(jestFiles())
      .map((f) => f.slice(0, -8))
      .sort(),
  );
  const seen = new Set();
  for (const end of ends) {
    assert.equal(end.status, 0, end.stderr);
    const { testResults, numPassedTestSuites, numPassedTests } = JSON.parse(end.stdout);
    assert.equal(numPassedTestSuites, ranHere(end));
    assert.equal(numPassedTests, 2 * ranHere(end));
    for (const { name } of testResults) seen.add(name);
    assert.match(end.stderr, /^qe-jest: run 1: \d+ of 12 files ran here$/m);
  }
  assert.equal(
    ends.reduce((sum, end) => sum + ranHere(end), 0),
    FILES,
  );
  assert.equal(seen.size, FILES);
});

test('what a killed node had runs on another one', async (t) => {
  const server = await serve(t);
  const own = project(t, jestFiles());
  const args = words(server, '--parallel=2', '--queue-lease=1');
  const first = start('qe-jest', own, 'a', args);
  await eventually(() => own.begun().length >= 2, first.output.stderr);
  const second = start('qe-jest', own, 'b', args);
  await nodesOf(server, 2);
  const had = own.begun().filter(([, node]) => node === 'a');
  assert.equal(had.length, 2);
  first.child.kill('SIGKILL');
  await first.ended;
  own.open();
  const end = await second.ended;
  assert.equal(end.status, 0, end.stderr);
  assert.equal(ranHere(end), FILES);
  const again = own.begun().filter(([name]) => had.some(([each]) => each === name));
  assert.deepEqual(again.map(([, node]) => node).sort(), ['a', 'a', 'b', 'b']);
  assert.equal(alive(first.child.pid), false);
});

test('two nodes share the files of a mocha project: each runs once', async (t) => {
  const server = await serve(t);
  const files = Object.fromEntries(
    Array.from({ length: 6 }, (_, i) => [
      `test/f${i}.js`,
      `
        const begun = require('../begun');
        it('is at the root', () => {});
        describe('suite ${i}', () => {
          it('waits', () => begun('f${i}'));
          it('fails in one', () => { if (${i} === 3) throw new Error('as it should'); });
        });
      `,
    ]),
  );
  const own = project(t, files);
  const args = words(server, '--parallel=2', '--timeout=0', '--reporter=json');
  const nodes = ['a', 'b'].map((name) => start('qe-mocha', own, name, args));
  await nodesOf(server, 2);
  own.open();
  const ends = await Promise.all(nodes.map(({ ended }) => ended));
  assert.deepEqual(sorted(own.begun()), ['f0', 'f1', 'f2', 'f3', 'f4', 'f5']);
  const titles = [];
  for (const end of ends) {
    const { passes, failures } = JSON.parse(end.stdout);
    assert.equal(passes.length + failures.length, 3 * ranHere(end));
    // The last one fails with the other's.
    const isLast = /FAILED on some node: test\/f3\.js/.test(end.stderr);
    assert.equal(end.status, failures.length > 0 || isLast ? 1 : 0, end.stderr);
    titles.push(...[...passes, ...failures].map(({ fullTitle }) => fullTitle));
  }
  assert.equal(titles.length, 18);
  assert.equal(titles.filter((title) => title === 'suite 3 fails in one').length, 1);
  assert.equal(
    ends.reduce((sum, end) => sum + ranHere(end), 0),
    6,
  );
  assert.equal(await server.ask('HGET', 'qe:{p/1}:plan', 'failures'), '1');
});

test('a mocha node that came to nothing says so, and passes', async (t) => {
  const server = await serve(t);
  const own = project(t, {
    'test/f.js': "const begun = require('../begun'); it('waits', () => begun('f'));",
  });
  const args = words(server, '--timeout=0');
  const first = start('qe-mocha', own, 'a', args);
  await eventually(() => own.begun().length === 1, first.output.stderr);
  const second = start('qe-mocha', own, 'b', args);
  await nodesOf(server, 2);
  own.open();
  const [one, none] = await Promise.all([first.ended, second.ended]);
  assert.deepEqual([one.status, none.status], [0, 0], one.stderr + none.stderr);
  assert.match(one.stderr, /^qe-mocha: run 1: 1 of 1 file ran here$/m);
  assert.match(one.stderr, /^qe-mocha: this was the last node of 1: in the whole run 1 passed$/m);
  assert.match(none.stderr, /^qe-mocha: run 1: 0 of 1 file ran here$/m);
  assert.match(none.stdout, /0 passing/);
});

const FLAKY = `
  const fs = require('node:fs');
  test('passes on another node', () => {
    fs.appendFileSync('log', 'flaky ' + process.env.QE_TEST_NODE + '\\n');
    if (fs.existsSync('mark')) return;
    fs.writeFileSync('mark', '');
    throw new Error('the first time');
  });
`;

test('a file that fails is retried on another node, and counts once', async (t) => {
  const server = await serve(t);
  const own = project(t, { 'a.test.js': gated('a'), 'b.test.js': gated('b'), 'z.test.js': FLAKY });
  const args = words(server, '--parallel=1', '--retries=1');
  const nodes = ['a', 'b'].map((name) => start('qe-jest', own, name, args));
  await nodesOf(server, 2);
  own.open();
  const ends = await Promise.all(nodes.map(({ ended }) => ended));
  assert.deepEqual(
    ends.map(({ status }) => status),
    [0, 0],
    ends.map(({ stderr }) => stderr).join(),
  );
  const tried = own.begun().filter(([name]) => name === 'flaky');
  assert.deepEqual(tried.map(([, node]) => node).sort(), ['a', 'b']);
  const text = ends.map(({ stderr }) => stderr).join('');
  assert.match(text, /^qe-jest: z\.test\.js has failed: another node runs it again/m);
  assert.doesNotMatch(text, /^FAIL/m);
  assert.equal(ranHere(ends[0]) + ranHere(ends[1]), 3);
});

test('where there is no other node, it is retried on this one', async (t) => {
  const server = await serve(t);
  const own = project(t, { 'z.test.js': FLAKY });
  const end = await start('qe-jest', own, 'a', words(server, '--retries=1')).ended;
  assert.equal(end.status, 0, end.stderr);
  assert.equal(own.begun().length, 2);
  assert.match(end.stderr, /^PASS/m);
  assert.equal(ranHere(end), 1);
});

test('a test that ends its worker fails, and the file goes on on its node', async (t) => {
  const server = await serve(t);
  const own = project(t, {
    'crash.test.js': `
      test('before', () => {});
      test('dies', () => process.kill(process.pid, 'SIGSEGV'));
      test('after', () => {});
    `,
  });
  const end = await start('qe-jest', own, 'a', words(server, '--json')).ended;
  const { testResults } = JSON.parse(end.stdout);
  assert.deepEqual(
    testResults[0].assertionResults.map(({ title, status }) => [title, status]),
    [
      ['before', 'passed'],
      ['dies', 'failed'],
      ['after', 'passed'],
    ],
  );
  assert.equal(end.status, 1);
  assert.equal(await server.ask('HGET', 'qe:{p/1}:plan', 'state'), 'over');
});

test('who comes when the run is over has nothing to do, and passes', async (t) => {
  const server = await serve(t);
  const own = project(t, {
    'a.test.js': "test('a', () => {});",
    'test/a.js': "it('a', () => {});",
  });
  for (const program of ['qe-jest', 'qe-mocha']) {
    const args = [`--queue=${server.url}`, `--run=${program}`];
    assert.equal((await start(program, own, 'a', args).ended).status, 0);
    const late = await start(program, own, 'b', args).ended;
    assert.equal(late.status, 0, late.stderr);
    assert.match(late.stderr, /^qe-\w+: run \S+: the run is over; nothing was left for this node/m);
    assert.match(late.stdout + late.stderr, program === 'qe-jest' ? /0 of 1 total/ : /0 passing/);
  }
});

test('a mocha test that ends its worker fails, and --bail stops every node', async (t) => {
  const server = await serve(t);
  const files = {};
  for (let i = 0; i < 6; i++) {
    files[`test/f${i}.js`] = `
      const begun = require('../begun');
      describe('suite ${i}', () => {
        it('waits', () => begun('f${i}'));
        it('dies in one', () => { if (${i} === 0) process.kill(process.pid, 'SIGKILL'); });
      });
    `;
  }
  const own = project(t, files);
  const args = words(server, '--parallel=1', '--timeout=0', '--bail');
  const first = start('qe-mocha', own, 'a', args);
  await eventually(() => own.begun().length === 1, first.output.stderr);
  const second = start('qe-mocha', own, 'b', args);
  await eventually(() => own.begun().length === 2, second.output.stderr);
  own.open();
  const [failed, stopped] = await Promise.all([first.ended, second.ended]);
  assert.deepEqual([failed.status, stopped.status], [1, 2], failed.stderr + stopped.stderr);
  assert.match(failed.stdout, /Crashed: its worker was killed by SIGKILL/);
  assert.equal(ranHere(failed), 1);
  assert.match(stopped.stderr, /^qe-mocha: the run was stopped: not all files have run$/m);
  assert.ok(own.begun().length < 6);
});

test('--bail ends the run on every node', async (t) => {
  const server = await serve(t);
  const own = project(t, {
    ...jestFiles(8),
    'a.test.js': `
      const begun = require('./begun');
      test('fails', async () => { await begun('a'); throw new Error('as it should'); }, 100_000);
    `,
  });
  const args = words(server, '--parallel=1', '--bail');
  const first = start('qe-jest', own, 'a', args);
  await eventually(() => own.begun().length === 1, first.output.stderr); // "a": the first of all
  const second = start('qe-jest', own, 'b', args);
  await eventually(() => own.begun().length === 2, second.output.stderr);
  own.open();
  const [failed, stopped] = await Promise.all([first.ended, second.ended]);
  assert.deepEqual([failed.status, stopped.status], [1, 2], failed.stderr + stopped.stderr);
  for (const { stderr } of [failed, stopped]) {
    assert.match(stderr, /^qe-jest: the run was stopped: not all files have run$/m);
  }
  assert.ok(own.begun().length < 9);
});

test('a server that goes in mid-run: the node ends what it has, with status 7', async (t) => {
  const server = await serve(t);
  const own = project(t, jestFiles(4));
  const node = start('qe-jest', own, 'a', words(server, '--parallel=2', '--queue-lease=1'));
  await eventually(() => own.begun().length === 2, node.output.stderr);
  await server.end();
  own.open();
  const end = await node.ended;
  assert.equal(end.status, 7, end.stderr);
  const lines = end.stderr.split('\n').filter((line) => /^qe-jest: error: --queue: /.test(line));
  assert.equal(lines.length, 1, end.stderr);
  assert.match(end.stderr, /^qe-jest: \d+ results of this node could not be told to the server$/m);
  assert.ok(ranHere(end) >= 2);
});

test('a signal gives back what the node had, at once', async (t) => {
  const server = await serve(t);
  const own = project(t, jestFiles(4));
  const args = words(server, '--parallel=1', '--queue-lease=3600');
  const first = start('qe-jest', own, 'a', args);
  await eventually(() => own.begun().length === 1, first.output.stderr);
  const second = start('qe-jest', own, 'b', args);
  await nodesOf(server, 2);
  first.child.kill('SIGTERM');
  assert.equal((await first.ended).signal, 'SIGTERM');
  own.open();
  const end = await second.ended; // long before the lease would have ended
  assert.equal(end.status, 0, end.stderr);
  assert.equal(ranHere(end), 4);
});

// ------------------------------------------------------------------------- refusals

/** Runs a node that is refused: its one line, and its status. */
async function refused(t, program, args, more) {
  const own = project(t, { 'a.test.js': gated('a'), 'test/a.js': '' });
  const { stderr, status } = await start(program, own, 'a', args, more).ended;
  assert.deepEqual(own.begun(), []);
  const lines = stderr.trim().split('\n');
  assert.equal(lines.length, 1, stderr);
  return [status, lines[0]];
}

test('another plan on another node is refused, with what differs', async (t) => {
  const server = await serve(t);
  const one = project(t, { 'a.test.js': gated('a'), 'b.test.js': gated('b') });
  const two = project(t, { 'a.test.js': gated('a'), 'c.test.js': gated('c') });
  const first = start('qe-jest', one, 'a', words(server));
  await nodesOf(server, 1);
  const { status, stderr } = await start('qe-jest', two, 'b', words(server)).ended;
  one.open();
  assert.equal((await first.ended).status, 0);
  assert.equal(status, 2);
  assert.match(stderr, /^qe-jest: --queue: .*"b\.test\.js" there, "c\.test\.js" here\n$/);
  assert.deepEqual(two.begun(), []);
});

test('without a server, or with a wrong password, the status is 7', async (t) => {
  const server = await serve(t, '--requirepass', 'the-right-one');
  const gone = await serve(t);
  await gone.end();
  for (const program of ['qe-jest', 'qe-mocha']) {
    const none = await refused(t, program, [...words(gone), '--queue-lease=1']);
    assert.equal(none[0], 7);
    assert.match(none[1], new RegExp(`^${program}: --queue: .*127\\.0\\.0\\.1:${gone.port}`));
    const wrong = await refused(t, program, words(server), { QE_QUEUE_PASSWORD: 'not-it' });
    assert.equal(wrong[0], 7);
    assert.match(wrong[1], new RegExp(`^${program}: --queue: .*(WRONGPASS|password)`));
    assert.doesNotMatch(wrong[1], /not-it/);
  }
});

test('the password comes from a file that is ours alone, and reaches no test', async (t) => {
  const server = await serve(t, '--requirepass', 'the-right-one');
  const own = project(t, {
    'a.test.js': `
      test('knows nothing', () => {
        const text = JSON.stringify([process.env, process.argv]);
        expect(text).not.toMatch(/the-right-one/);
      });
    `,
  });
  const file = path.join(own.folder, 'password');
  fs.writeFileSync(file, 'the-right-one\n', { mode: 0o644 });
  const args = words(server, `--queue-password-file=${file}`);
  const open = await start('qe-jest', own, 'a', args).ended;
  assert.equal(open.status, 2);
  assert.match(open.stderr, /others may read it \(mode 0644\): chmod 600 it\n$/);
  fs.chmodSync(file, 0o600);
  const end = await start('qe-jest', own, 'a', args).ended;
  assert.equal(end.status, 0, end.stderr);
  const url = server.url.replace('//', '//:the-right-one@');
  const more = { QE_QUEUE_PASSWORD: 'the-right-one' };
  for (const address of [url, server.url]) {
    const run2 = [`--queue=${address}`, `--run=${address.length}`];
    const done = await start('qe-jest', own, 'a', run2, address === url ? {} : more).ended;
    assert.equal(done.status, 0, done.stderr);
    assert.doesNotMatch(done.stderr, /the-right-one/);
  }
});

test('options that do not go together, or say too little, are one line', async (t) => {
  const url = '--queue=redis://127.0.0.1:1/';
  const cases = [
    [['--run=1'], /^--run: takes --queue, too$/],
    [[url], /^--queue: no run is given: --run names it/],
    [[url, '--run=a{b'], /^--queue: --run: takes at most 200 letters, no braces, not "a\{b"$/],
    [[url, '--run=1', '--queue-project=a/b'], /^--queue: --queue-project: .*no slash/],
    [[url, '--run=1', '--queue-lease=0.5'], /^--queue-lease=0\.5: takes seconds from 1 to 3600$/],
    [[url, '--run=1', '--flaky=3'], /^--queue and --flaky: takes one of them$/],
    [[url, '--run=1', '--shard-by-time=1/2'], /^--queue and --shard-by-time: takes one of them$/],
    [[url, '--run=1', '--queue-ca-file=/none'], /^--queue: the queue's CA file: there is no file/],
    [['--queue=http://h/', '--run=1'], /^--queue: .*redis:\/\/ or rediss:\/\//],
    [['--queue=redis://u:top-secret@h:x/', '--run=1'], /^--queue: (?!.*top-secret)/],
  ];
  for (const program of ['qe-jest', 'qe-mocha']) {
    for (const [args, wanted] of cases) {
      const [status, line] = await refused(t, program, args);
      assert.equal(status, 2, line);
      assert.match(line.replace(`${program}: `, ''), wanted);
    }
  }
});

// ---------------------------------------------------------------------------- parts

test('runs, projects and nodes have the names that pytest gives them', (t) => {
  const { nodeName, projectOf, runOf } = require('../../js/queue/names');
  const cases = [
    [{ GITHUB_RUN_ID: '12', GITHUB_RUN_ATTEMPT: '2', GITHUB_JOB: 'js test' }, '12/2/js-test'],
    [{ CI_PIPELINE_ID: '9', CI_JOB_NAME: 'test 3/8' }, '9/test'],
    [{ CI_PIPELINE_ID: '9', CI_JOB_NAME: 'test: [a, b] 3/8' }, '9/test:-[a,-b]'],
    [{ BUILDKITE_BUILD_ID: '0188-af' }, '0188-af'],
    [{ CIRCLE_WORKFLOW_ID: 'w', CIRCLE_JOB: 'j' }, 'w/j'],
    [{ BUILD_TAG: 'jenkins-folder-7' }, 'jenkins-folder-7'],
    [{ BUILD_TAG: 'x', QE_QUEUE_RUN: 'own' }, 'own'],
  ];
  for (const [environ, name] of cases) assert.equal(runOf(undefined, environ), name);
  assert.equal(runOf('given', cases[0][0]), 'given');
  assert.throws(() => runOf(undefined, {}), /no run is given/);
  const remotes = [
    ['https://example.org/owner/name.git', 'owner.name'],
    ['git@example.org:owner/name.git', 'owner.name'],
    ['ssh://git@example.org:22/group/sub/name/', 'sub.name'],
    ['/srv/git/name.git', 'name'],
  ];
  for (const [url, name] of remotes) {
    const { folder } = project(t, {
      '.git/HEAD': 'ref: refs/heads/main\n',
      '.git/config': `[core]\n\tbare = false\n[remote "origin"]\n\turl = ${url}\n[remote "b"]\n\turl = x\n`,
    });
    assert.equal(projectOf(undefined, folder, {}), name);
    assert.equal(projectOf('own', folder, {}), 'own');
  }
  const plain = project(t, { 'sub folder/a': '' });
  assert.equal(projectOf(undefined, path.join(plain.folder, 'sub folder'), {}), 'sub-folder');
  assert.match(nodeName(), /^[\w-]{1,40}-\d+-[0-9a-f]{6}$/);
});

test('what is told of a file is what pytest reads, and never too much', async () => {
  const { pack } = require('../../js/queue/payload');
  const attempt = { outcome: 'failed', start: 5, duration: 0.5, worker: 1, node: 'n' };
  const small = JSON.parse(pack({ ...attempt, failures: [['t', 'wrong\nat a.js']] }));
  assert.deepEqual(small, {
    v: 1,
    ...attempt,
    message: 'wrong',
    texts: [{ kind: 'failure', name: 't', text: 'wrong\nat a.js' }],
  });
  const cases = [
    ['a', 'passed', 0.5],
    ['b', 'timeout', 1],
    ['c', 'flaky', 0],
    ['d', 'error', 0],
    ['e', 'skipped', 0],
  ];
  const whole = JSON.parse(pack({ ...attempt, failures: [], cases }));
  assert.deepEqual(whole.tests, { total: 5, passed: 2, failed: 1, skipped: 1, errors: 1 });
  assert.deepEqual(whole.cases[1], { name: 'b', outcome: 'timeout', duration: 1 });
  const many = Array.from({ length: 500 }, (_, i) => [`t${i}`, 'x'.repeat(1e5)]);
  const big = pack({ ...attempt, failures: many, cases: [['t', 'failed', NaN]] });
  assert.ok(big.length <= 1 << 20);
  assert.equal(JSON.parse(big).texts.length, 100);
  assert.equal(JSON.parse(big).cases[0].duration, 0);
  // The other host's own reader of it.
  const python = path.join(ROOT, 'build', 'venv', 'bin', 'python');
  const code = 'import sys; from pytest_qe.payloads import unpack; unpack(sys.argv[1].encode())';
  for (const one of [small, whole]) {
    const read = await run([python, '-c', code, JSON.stringify(one)]);
    assert.equal(read.status, 0, read.stderr);
  }
});

test('the addon for queues has no OpenSSL of its own, and only --queue loads it', async () => {
  const { stdout } = await run(['ldd', ADDON]);
  assert.match(stdout, /libhiredis\S* => \S*\/queue\/libhiredis/);
  assert.doesNotMatch(stdout, /libssl|libcrypto/);
  const code = `
    require(${JSON.stringify(path.join(ROOT, 'js', 'queue', 'node.js'))});
    const mapped = () => /hiredis|qe_queue/.test(require('fs').readFileSync('/proc/self/maps'));
    const before = mapped();
    require(${JSON.stringify(path.join(ROOT, 'js', 'queue', 'addon.js'))}).load();
    console.log(JSON.stringify([before, mapped()]));
  `;
  const done = await run([process.execPath, '-e', code]);
  assert.deepEqual(JSON.parse(done.stdout), [false, true], done.stderr);
});
