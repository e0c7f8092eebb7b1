'use strict';
// `qe queue`: what it says is what Python's says of the same runs, in the same words.

const assert = require('node:assert/strict');
const fs = require('node:fs');
const path = require('node:path');
const { test } = require('node:test');

const { ROOT } = require('./helpers');
const { eventually, project, serve, start } = require('./queue-server');

const PYTHON = path.join(ROOT, 'build', 'venv', 'bin', 'python');

const SCRIPTS = {
  'good.sh': 'sleep 0.1',
  'bad.sh': 'echo why it is; exit 3',
  'flaky.sh': 'mkdir mark 2>/dev/null && exit 1; exit 0',
  'dies.sh': 'kill -SEGV $$',
  'of::one.sh': 'exit 0',
  'of::two.sh': 'echo two; exit 1',
  'of::three.sh': 'mkdir three 2>/dev/null && exit 1; exit 0',
};
const KEY = (run) => `qe:{p/${run}}`;

const where = (server) => [`--queue=${server.url}`, '--project=p'];

/** A run that is over: four files, by two nodes. */
async function makeRun(server, own, run, files = Object.keys(SCRIPTS)) {
  const words = ['exec', '--command=sh {file}', ...files, '--attempts=2', '--throttle=0'];
  const args = [...words, '--backoff=0', ...where(server), `--run=${run}`];
  const ends = await Promise.all(['a', 'b'].map((name) => start('qe', own, name, args).ended));
  for (const { status, stderr } of ends) assert.ok(status < 2, stderr);
}

const both = async (own, words, env) => {
  const [ours, python] = [
    start('qe', own, 'c', ['queue', ...words], env),
    start([PYTHON, '-m', 'pytest_qe', 'queue'], own, 'c', words, env),
  ];
  return Promise.all([ours.ended, python.ended]);
};

/** What differs from look to look. */
const steady = (text) => text.replace(/\d+(\.\d+)? s ago/g, 'N s ago').replace(/ +/g, ' ');

/** That both say the same; returns ours. */
async function same(own, words, env) {
  const [ours, python] = await both(own, words, env);
  for (const stream of ['stdout', 'stderr']) {
    assert.equal(steady(ours[stream]), steady(python[stream]), words.join(' '));
  }
  assert.equal(ours.status, python.status, words.join(' '));
  return ours;
}

test('status and abort say what those of Python say', async (t) => {
  const server = await serve(t);
  const own = project(t, SCRIPTS);
  assert.match(
    (await same(own, ['status', ...where(server)])).stdout,
    /has no runs on this server/,
  );
  await makeRun(server, own, 'one');
  await makeRun(server, own, 'two', ['good.sh']);
  await server.ask('SET', `${KEY('odd')}:plan`, 'nothing of ours');
  // Workers of those that come too late, or have other files, are none of the run's.
  const late = ['exec', '--command=sh {file}', 'good.sh', ...where(server)];
  for (const [run, status] of [
    ['one', 2],
    ['two', 0],
  ]) {
    const end = await start('qe', own, 'c', [...late, `--run=${run}`]).ended;
    assert.equal(end.status, status, end.stderr);
  }
  const all = await same(own, ['status', ...where(server)]);
  assert.match(steady(all.stdout), /^over 7 0 3 0 N s ago one$/m);
  assert.match(all.stdout, /^unreadable +odd$/m);
  assert.match(steady(all.stdout), /^over 1 0 0 0 N s ago two$/m);
  const one = await same(own, ['status', 'one', ...where(server)]);
  assert.match(
    one.stdout,
    /^7 of 7 tests done: 2 passed, 2 failed, 1 crashed, 2 flaky; 12 attempts$/m,
  );
  const json = JSON.parse(
    (
      await start('qe', own, 'd', ['queue', 'status', '--run=one', '--json', ...where(server)])
        .ended
    ).stdout,
  );
  const python = await start([PYTHON, '-m', 'pytest_qe', 'queue'], own, 'd', [
    'status',
    'one',
    '--json',
    ...where(server),
  ]).ended;
  const other = JSON.parse(python.stdout);
  for (const times of [json, other]) for (const name of ['age_s', 'idle_s']) delete times[name];
  assert.deepEqual(json, other);
  assert.equal(
    (await same(own, ['abort', 'one', ...where(server)])).stdout,
    'run one had ended already\n',
  );
  const env = { QE_QUEUE: server.url, QE_QUEUE_PROJECT: 'p', QE_QUEUE_RUN: 'two' };
  assert.match((await same(own, ['status'], env)).stdout, /^run two: over/);
  // Errors, each one line and a status.
  for (const [words, status] of [
    [['status', 'none'], 2],
    [['abort', 'none'], 2],
    [['report', 'none'], 2],
    [['gc', 'none'], 2],
    [['report'], 2],
    [['status', 'odd'], 3],
    [['report', 'one', '--junit=none/x.xml'], 2],
    [['report', 'one', '--json=a', '--junit=a'], 2],
  ]) {
    const end = await same(own, [...words, ...where(server)]);
    assert.equal(end.status, status, end.stderr);
    assert.match(end.stderr, /^error: [^\n]+\n$/);
  }
  assert.match((await same(own, ['status'])).stderr, /no queue is given: --queue=redis/);
  await server.end();
  const gone = await same(own, ['status', 'one', ...where(server)]);
  assert.equal(gone.status, 3);
});

test('a report is that of Python: on the screen, as JSON, JUnit XML and HTML', async (t) => {
  const server = await serve(t);
  const own = project(t, SCRIPTS);
  await makeRun(server, own, 'one');
  const read = (name) => fs.readFileSync(path.join(own.folder, name), 'utf8');
  const files = ['--json=r.json', '--junit=r.xml', '--html=r.html'];
  const words = ['report', 'one', ...where(server)];
  const ours = await start('qe', own, 'c', ['queue', ...words, ...files]).ended;
  assert.equal(ours.status, 1, ours.stderr);
  assert.match(ours.stdout, /^FAILED {3}bad\.sh: exit status 3$/m);
  assert.match(
    ours.stdout,
    /^run one \(over\): 7 tests: 2 passed, 2 failed, 1 crashed, 2 flaky; /m,
  );
  const made = ['r.json', 'r.xml', 'r.html'].map(read);
  const python = [PYTHON, '-m', 'pytest_qe', 'queue'];
  const theirs = await start(python, own, 'c', [...words, ...files]).ended;
  assert.equal(ours.stdout, theirs.stdout);
  assert.deepEqual(JSON.parse(made[0]), JSON.parse(read('r.json')));
  /** Elements with their attributes, whatever the order of those and however they are closed. */
  const rounded = (_, time) => `time="${Number(time).toFixed(6)}"`;
  const sorted = (xml) =>
    xml
      .replace(/time="([\d.]+)"/g, rounded)
      .split('<')
      .map((tag) => tag.replace(/\?>|\/?>/, ' >').split(/\s+(?=[\w.-]+=|>)/))
      .map((words) =>
        words
          .map((word) => word.trim())
          .sort()
          .join(' '),
      )
      .filter((tag) => tag !== '' && !/^> \/|\?xml/.test(tag))
      .sort();
  assert.deepEqual(sorted(made[1]), sorted(read('r.xml')));
  assert.match(made[1], /<testcase name="two\.sh" classname="of"/);
  assert.match(made[1], /<flakyFailure [^>]*attempt 1: failed/);
  assert.ok(made[2].length > made[0].length);
  const printed = await start('qe', own, 'c', ['queue', ...words, '--json=-']).ended;
  assert.deepEqual(JSON.parse(printed.stdout), JSON.parse(made[0]));
  assert.match(printed.stderr, /^run one \(over\)/m);
});

test('a report of a run with a loss is not complete: status 4, and names', async (t) => {
  const server = await serve(t);
  const own = project(t, SCRIPTS);
  await makeRun(server, own, 'one', ['good.sh', 'bad.sh']);
  const words = ['report', 'one', ...where(server)];
  await server.ask('HSET', `${KEY('one')}:out`, '9', '1');
  const odd = await same(own, words);
  assert.equal(odd.status, 4);
  assert.match(odd.stdout, /^error: there are 1 outcomes of units that the plan does not have$/m);
  await server.ask('HDEL', `${KEY('one')}:out`, '0', '9');
  const lost = await same(own, words);
  assert.equal(lost.status, 4);
  assert.match(lost.stdout, /^no outcome: good\.sh$/m);
  assert.match(lost.stdout, /1 without an outcome/);
  await server.ask('DEL', `${KEY('one')}:tries`);
  const untold = await same(own, words);
  assert.equal(untold.status, 4);
  assert.match(untold.stdout, /^error: no attempt told the outcome of bad\.sh$/m);
});

test('what others have told is checked, as Python does', async (t) => {
  const server = await serve(t);
  const own = project(t, SCRIPTS);
  await makeRun(server, own, 'one', ['good.sh']);
  const whole = { v: 1, outcome: 'passed', start: 1e9, duration: 1, worker: 0 };
  const payloads = [
    'no JSON',
    '[1]',
    '{"v":2}',
    { ...whole, outcome: 'odd' },
    { ...whole, outcome: undefined },
    { ...whole, start: '1' },
    { ...whole, duration: -1 },
    { ...whole, worker: 1.5 },
    { ...whole, status: 1e6 },
    { ...whole, node: 'n'.repeat(64) },
    { ...whole, message: 'm'.repeat(20_000) },
    { ...whole, message: 1 },
    { ...whole, texts: [1] },
    { ...whole, texts: [{ kind: 'odd', name: '', text: '' }] },
    { ...whole, texts: [{ kind: 'output', name: '' }] },
    { ...whole, marks: [1] },
    { ...whole, quarantined: 1 },
    { ...whole, tests: [] },
    { ...whole, tests: { total: 1 } },
    `${JSON.stringify(whole).slice(0, -1)},"cpu":1e999}`,
    // These are good, whatever else is in them.
    { ...whole, more: { of: 'a newer node' }, cpu: 1e12, message: '\u{1f600}'.repeat(16_000) },
    {
      ...whole,
      quarantined: true,
      marks: ['slow', 'a\nb'],
      expected: 2,
      texts: [{ kind: 'failure', name: 'x\0', text: 'y\0z' }],
    },
  ];
  for (const one of payloads) {
    const payload = typeof one === 'string' ? one : JSON.stringify(one);
    const fields = ['u', '0', 'a', '1', 'o', '1', 'n', 'other', 'late', '1', 'p', payload];
    await server.ask('XADD', `${KEY('one')}:tries`, '*', ...fields);
  }
  const words = ['report', 'one', ...where(server), '--json=-'];
  const [ours, python] = await both(own, words);
  const warnings = (end) => end.stderr.split('\n').filter((line) => line.startsWith('warning: '));
  assert.equal(warnings(ours).length, 20, ours.stderr);
  assert.equal(warnings(python).length, 20, python.stderr);
  const counted = ({ stdout }) => JSON.parse(stdout).tests.map((one) => one.attempts.length);
  assert.deepEqual(counted(ours), counted(python));
  assert.equal(ours.status, 0);
});

test('gc deletes what is over, or left behind, and nothing that nodes work on', async (t) => {
  const server = await serve(t);
  const own = project(t, {
    ...SCRIPTS,
    'waits.sh': 'echo waits >> log; until [ -e gate ]; do sleep 0.02; done',
  });
  for (const run of ['one', 'two', 'three']) await makeRun(server, own, run, ['good.sh']);
  const queue = (...words) => start('qe', own, 'c', ['queue', ...words, ...where(server)]).ended;
  assert.match((await queue('gc')).stdout, /^0 runs, 0 keys$/m);
  assert.match((await queue('gc', 'one')).stdout, /^deleted one\n1 run, \d+ keys$/m);
  const args = ['exec', '--command=sh {file}', 'waits.sh', ...where(server), '--run=works'];
  const works = start('qe', own, 'a', args);
  await eventually(() => own.begun().length === 1, 'a file');
  const refused = await queue('gc', '--run=works');
  assert.equal(refused.status, 2);
  assert.match(refused.stderr, /^error: nodes work on run works: qe queue abort stops it; --force/);
  const { stdout } = await queue('gc', '--over-age=0', '--json');
  assert.deepEqual(JSON.parse(stdout).deleted, ['three', 'two']);
  own.open();
  assert.equal((await works.ended).status, 0);
  assert.match((await queue('gc', 'works', '--force')).stdout, /^1 run, \d+ keys$/m);
  assert.match((await queue('status')).stdout, /has no runs/);
});

test('a reader is used by one call at a time, and is there as long as that', async (t) => {
  const server = await serve(t);
  const { Reader } = require('../../js/queue/addon').load();
  const reader = new Reader({ url: server.url, project: 'p' });
  assert.throws(() => reader.runs(), { code: 'QE_ESTATE' });
  await reader.open();
  await assert.rejects(reader.open(), { code: 'QE_ESTATE' });
  const first = reader.runs();
  for (const call of [() => reader.runs(), () => reader.close()]) {
    assert.throws(call, { code: 'QE_EBUSY' });
  }
  assert.deepEqual(await first, []);
  await assert.rejects(reader.status('none'), { code: 'QE_ENOTFOUND', message: /no run none/ });
  await assert.rejects(reader.status('a{b'), { code: 'QE_EINVAL' });
  assert.throws(() => reader.tries('1', 1, 'x'.repeat(100)), { code: 'QE_EINVAL' });
  reader.close();
  reader.close();
  assert.throws(() => reader.runs(), { code: 'QE_ESTATE' });
  assert.throws(() => new Reader({ url: 'http://x', project: 'p' }), {
    code: 'QE_EINVAL',
    message: /^the queue's address: /,
  });
  await assert.rejects(new Reader({ url: server.url, project: 'a/b' }).open(), {
    code: 'QE_EINVAL',
  });
});
