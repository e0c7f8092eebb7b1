'use strict';
// `qe`: its options, what it prints, and how it ends.

const assert = require('node:assert/strict');
const { spawn } = require('node:child_process');
const fs = require('node:fs');
const path = require('node:path');
const { test } = require('node:test');

const { FAILS, HANGS, failsFirst, suite } = require('./agents');
const { ROOT, cleanEnv, processesWith, run } = require('./helpers');

const BIN = path.join(ROOT, 'js', 'bin', 'qe.js');

const qe = (cwd, ...words) => run([process.execPath, BIN, ...words], { cwd });

test('exec: files, their outcomes, and the sum', async (t) => {
  const { cwd } = suite(t, 'mocha', { good: '', bad: FAILS, shaky: failsFirst('runs', 1) });
  const words = ['-f', 'mocha', '--attempts=2', '--backoff=0'];
  const done = await qe(cwd, 'exec', 'good.js', 'bad.js', 'shaky.js', ...words);
  assert.equal(done.stderr, '');
  assert.equal(done.status, 1);
  assert.match(done.stdout, /^3 files by mocha \(as given\)$/m);
  assert.match(done.stdout, /^passed {3}good\.js {2}\d\.\d\d s, 1 test$/m);
  assert.match(done.stdout, /^FAILED {3}bad\.js .*1 failed, exit status 1, 2 attempts$/m);
  assert.match(done.stdout, /^flaky: shaky\.js passed on attempt 2$/m);
  assert.match(done.stdout, /^3 files: 2 passed \(1 flaky\), 1 failed; 3 tests: .*; 2 retries; /m);
  const [, again] = /run it alone:\n +(.*)/.exec(done.stdout);
  const alone = await run(['sh', '-c', again], { cwd });
  assert.equal(alone.status, 1);
  assert.match(alone.stdout, /always/);
});

test('exec: JSON, lines of JSON and JUnit XML, with keys as Python has them', async (t) => {
  const { cwd } = suite(t, 'node', { good: '', bad: FAILS });
  const words = ['exec', 'good.js', 'bad.js', '--attempts=1', '--json-lines'];
  const done = await qe(cwd, ...words, '--json=out.json', '--junit=out.xml');
  assert.equal(done.status, 1);
  const events = done.stdout
    .trim()
    .split('\n')
    .map((line) => JSON.parse(line));
  assert.deepEqual(events.at(-1).kind, 'done');
  const result = JSON.parse(fs.readFileSync(path.join(cwd, 'out.json'), 'utf8'));
  assert.deepEqual(events.at(-1).result, result);
  assert.deepEqual([result.pass_rate, result.results[1].timed_out], [50, false]);
  assert.equal(
    events.filter(({ kind }) => kind === 'cost').every((e) => e.cpu_seconds > 0),
    true,
  );
  const xml = fs.readFileSync(path.join(cwd, 'out.xml'), 'utf8');
  assert.match(xml, /<testsuites name="qe" tests="2" failures="1" errors="0" skipped="0" time="/);
  assert.match(xml, /<testcase name="[^"]*" classname="bad.js" file="bad.js" /);
  const piped = await qe(cwd, 'exec', 'good.js', '--json=-', '-q');
  assert.equal(JSON.parse(piped.stdout).passed, 1);
  assert.match(piped.stderr, /^1 file: 1 passed/m);
});

test('exec: folders, patterns, templates, and what follows --', async (t) => {
  const { cwd } = suite(t, 'node', {});
  fs.mkdirSync(path.join(cwd, 'test'));
  const body = "require('node:test')('x', () => {});\n";
  for (const name of ['a.test.js', 'b.test.js'])
    fs.writeFileSync(path.join(cwd, 'test', name), body);
  const folder = await qe(cwd, 'exec', 'test', '-f', 'node');
  assert.match(folder.stdout, /^2 files: 2 passed; 2 tests/m);
  const pattern = await qe(cwd, 'exec', 'test/a.*', 'test/a.test.js');
  assert.match(pattern.stdout, /^1 file by node \(as no package\.json has another\)$/m);
  const words = ['exec', 'test/a.test.js', "--command=test 'it has' = 'it has' -a -f {file}"];
  const template = await qe(cwd, ...words);
  assert.equal(template.status, 0, template.stdout + template.stderr);
  const args = await qe(cwd, 'exec', 'test/a.test.js', '--', '--test-name-pattern=none');
  assert.match(args.stdout, /1 file: 1 passed/);
  assert.doesNotMatch(args.stdout, /1 test: 1 passed/);
});

test('what is wrong is one line, and 2', async (t) => {
  const { cwd } = suite(t, 'node', { good: '' });
  for (const [words, text] of [
    [['exec', 'none.js'], /^error: files\[0\]: there is no file .*none\.js\n$/],
    [['exec', 'good.js', '-f', 'nose'], /^error: framework: takes one of pytest, .* not "nose"\n$/],
    [['exec', 'good.js', '--attempts=0'], /^error: option '--attempts <N>' .*from 1 to 10000\.\n$/],
    [['exec', 'good.js', '--env=A'], /^error: option '-e, --env .*It takes NAME=VALUE/],
    [['exec', 'good.js', '-v', '-q'], /^error: --verbose and --quiet: take one of them\n$/],
    [['exec', 'good.js', '--json=.'], /^error: --json: \. is a folder\n$/],
    [['exec', 'none*.js'], /^error: no file matches "none\*\.js" in /],
    [['exec', 'good.js', '--preset=slow'], /^error: option '--preset <NAME>' .*Allowed choices/],
    [['exec'], /^error: missing required argument 'FILES'\n$/],
    [['hunt', 'good.js', '--preset=quick', '-i', '3'], /^error: --iterations and --preset/],
    [['frob'], /^error: unknown command 'frob'\n$/],
    [['show', '--history=none.db'], /^error: --history: there is no file none\.db\n$/],
  ]) {
    const done = await qe(cwd, ...words);
    assert.match(done.stderr, text);
    assert.deepEqual([done.status, done.stdout], [2, ''], words.join(' '));
  }
});

test('help has examples and statuses', async (t) => {
  const { cwd } = suite(t, 'node', {});
  for (const words of [
    ['--help'],
    ['exec', '--help'],
    ['hunt', '-h'],
    ['show', '-h'],
    ['doctor', '-h'],
  ]) {
    const done = await qe(cwd, ...words);
    assert.deepEqual([done.status, done.stderr], [0, '']);
    assert.match(done.stdout, /^Usage: qe/);
    assert.match(done.stdout, /Examples:|Exit status:/);
  }
  const bare = await qe(cwd);
  assert.equal(bare.status, 2);
});

test('hunt tells which file is flaky', async (t) => {
  const shaky = `
    const fs = require('node:fs');
    fs.appendFileSync('runs', 'x');
    if (fs.statSync('runs').size % 2 === 0) throw new Error('ECONNREFUSED');`;
  const { cwd } = suite(t, 'node', { good: '', shaky });
  const words = ['--iterations=4', '-n', '1', '--throttle=0', '--no-causes', '--json=out.json'];
  const done = await qe(cwd, 'hunt', 'good.js', 'shaky.js', ...words);
  assert.equal(done.status, 1, done.stderr);
  assert.match(done.stdout, /^FLAKY {4}shaky\.js {2}failed 2 of 4 runs: 50%, /m);
  assert.match(done.stdout, /^stable {3}good\.js {2}4 of 4 passed$/m);
  assert.match(done.stdout, /likely cause: network, another host/);
  assert.match(done.stdout, /^2 files: 1 flaky, 1 stable; 8 runs; /m);
  const result = JSON.parse(fs.readFileSync(path.join(cwd, 'out.json'), 'utf8'));
  assert.deepEqual([result.flaky_tests, result.flaky_list[0].is_flaky], [1, true]);
});

test('show and store: what is remembered', async (t) => {
  const { cwd } = suite(t, 'node', { good: '' });
  assert.equal((await qe(cwd, 'show', 'last')).status, 1);
  await qe(cwd, 'exec', 'good.js');
  const key = 'aqe/test-executor/last_parallel_execution';
  assert.match((await qe(cwd, 'show')).stdout, new RegExp(`24 h {2}${key}`));
  assert.equal(JSON.parse((await qe(cwd, 'show', key)).stdout).pass_rate, 100);
  assert.equal(JSON.parse((await qe(cwd, 'show', 'last')).stdout).passed, 1);
  const [row] = JSON.parse((await qe(cwd, 'store', 'list', 'aqe/*', '--json')).stdout);
  assert.equal(row.key, key);
  assert.match((await qe(cwd, 'store', 'gc')).stdout, /bytes given back/);
  assert.equal((await qe(cwd, 'store', 'delete', key)).stdout, `deleted ${key}\n`);
  const gone = await qe(cwd, 'store', 'delete', key);
  assert.deepEqual([gone.status, gone.stderr], [1, `error: nothing is stored under '${key}'\n`]);
});

const checksOf = ({ stdout }) =>
  Object.fromEntries(JSON.parse(stdout).checks.map(({ name, ...check }) => [name, check]));

test('doctor says what is here', async (t) => {
  const { cwd } = suite(t, 'node', {});
  const done = await qe(cwd, 'doctor', '--json');
  assert.equal(done.status, 0);
  assert.equal(JSON.parse(done.stdout).ok, true);
  const { node, jest, memfd, processes } = checksOf(done);
  assert.deepEqual([node.state, node.says], ['ok', `${process.version}, ${process.execPath}`]);
  assert.deepEqual([jest.state, memfd.says], ['ok', 'can be made']);
  assert.match(processes.says, /^ulimit -u: (\d+|no limit)/);
});

const python = path.join(ROOT, 'build', 'venv', 'bin', 'qe');
const installed = { skip: !fs.existsSync(python) && 'pytest-qe is not installed in build/venv' };

test('doctor looks at what that of pytest-qe looks at', installed, async (t) => {
  const { cwd } = suite(t, 'node', {});
  const env = cleanEnv({ PATH: `${path.dirname(python)}:${process.env.PATH}` });
  const both = [[process.execPath, BIN], [python]].map((argv) =>
    run([...argv, 'doctor', '--json'], { cwd, env }).then(checksOf),
  );
  const [ours, { python: own, ...theirs }] = await Promise.all(both);
  assert.equal(own.state, 'ok'); // what runs that doctor
  assert.deepEqual(Object.keys(ours).sort(), Object.keys(theirs).sort());
  for (const name of ['plugin', 'pytest', 'processes', 'memfd', 'pidfd', 'namespaces', 'history']) {
    assert.equal(ours[name].state, theirs[name].state, name);
  }
  assert.equal(ours.plugin.says, theirs.plugin.says);
  assert.deepEqual(ours.processes, theirs.processes);
});

test('doctor says what is broken or poor, and what to do', async (t) => {
  const { cwd } = suite(t, 'node', {});
  const file = path.join(cwd, '.qe', 'history.db');
  fs.writeFileSync(file, 'no database');
  const script = 'ulimit -n 500; TMPDIR=/nonexistent exec "$@" doctor --json';
  const done = await run(['sh', '-c', script, 'sh', process.execPath, BIN], { cwd });
  assert.equal(done.status, 1, done.stderr);
  const { history, descriptors, temporary } = checksOf(done);
  assert.deepEqual(
    [history.state, history.remedy],
    ['broken', `move it away: mv ${file} ${file}.broken`],
  );
  assert.equal(temporary.state, 'broken');
  assert.deepEqual(descriptors, {
    state: 'poor',
    says: 'ulimit -n: 500, may be raised to 500',
    remedy: 'ulimit -n 1024',
  });
  const told = await qe(cwd, 'doctor');
  assert.equal(told.status, 1);
  assert.match(told.stdout, /^BROKEN {2}history .*\n +move it away: mv /m);
  assert.match(told.stdout, /^1 of these must be mended$/m);
});

test('completion knows commands, options and their values', async (t) => {
  const { cwd } = suite(t, 'node', {});
  const words = async (...typed) => (await qe(cwd, 'complete', '--', ...typed)).stdout.split('\n');
  assert.deepEqual(await words('st'), ['store', '']);
  assert.deepEqual(await words('exec', '--fr'), ['--framework', '']);
  assert.deepEqual(await words('exec', '--framework', 'j'), ['jest', '']);
  assert.deepEqual(await words('hunt', '--preset', 'r'), ['research', '']);
  const bash = await qe(cwd, 'completion', 'bash');
  const checked = await run(['bash', '-n', '-c', bash.stdout]);
  assert.deepEqual([checked.status, checked.stderr], [0, '']);
});

for (const [signal, status] of Object.entries({ SIGINT: 130, SIGTERM: 143, SIGHUP: 129 })) {
  test(`${signal} ends what runs, tells what is known, and is the status`, async (t) => {
    const { cwd, files } = suite(t, 'node', { hang: HANGS });
    const mark = `${process.pid} ${signal}`;
    const child = spawn(process.execPath, [BIN, 'exec', ...files, '--grace=0.2', '-v'], {
      cwd,
      env: cleanEnv({ QE_TEST_MARK: mark }),
      stdio: ['ignore', 'pipe', 'pipe'],
    });
    t.after(() => child.kill('SIGKILL'));
    let said = '';
    for await (const text of child.stdout) {
      if (!said.includes('start  ') && (said + text).includes('start  ')) child.kill(signal);
      said += text;
    }
    if (child.exitCode === null) await new Promise((resolve) => child.on('close', resolve));
    assert.equal(child.exitCode, status, said);
    assert.match(said, /interrupted: what runs has 0\.2 s to end/);
    assert.match(said, /^interrupted: 0 of 1 file ran to the end$/m);
    assert.deepEqual(processesWith('QE_TEST_MARK', mark), []);
  });
}
