'use strict';
// `qe exec`: the bar on a terminal, Ctrl-Z, and the report that others read.

const assert = require('node:assert/strict');
const { spawn } = require('node:child_process');
const fs = require('node:fs');
const path = require('node:path');
const { test } = require('node:test');

const qe = require('../..');
const { FAILS, failsFirst, project, suite } = require('./agents');
const { ROOT, alive, cleanEnv, processesWith, run, until } = require('./helpers');

const BIN = path.join(ROOT, 'js', 'bin', 'qe.js');
const PYTHON = path.join(ROOT, 'build', 'venv', 'bin', 'qe');
const installed = { skip: !fs.existsSync(PYTHON) && 'pytest-qe is not installed in build/venv' };
const SHELL = '--command=sh {file}';
const SEVERAL = `
const test = require('node:test');
test('fine', () => {});
test('left out', { skip: true }, () => {});
test('says nothing', () => { throw new Error(''); });
`;
const TICKS = 'i=0; while [ $i -lt 30 ]; do i=$((i + 1)); echo x >>ticks; sleep 0.05; done';

// ------------------------------------------------------------------- JUnit XML

/** A report as Python reads it: of each element tag, attributes without times, and children. */
async function treeOf(file) {
  const program = `
import json, sys, xml.etree.ElementTree as E
def told(e):
    known = {k: v for k, v in e.attrib.items() if k != "time"}
    text = None if e.tag.startswith("system-") else (e.text or "").strip()
    return [e.tag, known, text, [told(c) for c in e]]
print(json.dumps(told(E.parse(sys.argv[1]).getroot())))`;
  const parsed = await run(['python3', '-c', program, file]);
  assert.equal(parsed.status, 0, parsed.stderr);
  return JSON.parse(parsed.stdout);
}

/** What each host writes of the same files: its tree. */
async function bothTrees(cwd, ...words) {
  const trees = [];
  for (const argv of [[process.execPath, BIN], [PYTHON]]) {
    fs.rmSync(path.join(cwd, 'runs'), { force: true });
    const done = await run([...argv, 'exec', ...words, '--junit=out.xml', '-q'], { cwd });
    assert.equal(done.status, 1, done.stderr);
    trees.push(await treeOf(path.join(cwd, 'out.xml')));
  }
  return trees;
}

const outcomesOf = ([, , , suites]) =>
  suites.map(([, , , [properties]]) => properties[3][1][1].value);

test('--junit: a suite for each file, as the other host writes it', installed, async (t) => {
  const odd = 'console.log("\\u001b[31m <&> ]]> \\uffff");' + "throw new Error('a\\n<b> \\u0001');";
  const shaky = failsFirst('runs', 1);
  const { cwd, files } = suite(t, 'node', { good: '', bad: FAILS, odd, shaky });
  const name = 'we"<i rd&.js';
  fs.writeFileSync(path.join(cwd, name), 'process.exit(3);');
  fs.writeFileSync(path.join(cwd, 'several.js'), SEVERAL);
  files.push(name, 'several.js');
  const [tree, python] = await bothTrees(
    cwd,
    ...files,
    '-f',
    'node',
    '--attempts=2',
    '--backoff=0',
  );
  assert.deepEqual(tree, python);
  const [tag, totals, , suites] = tree;
  const counts = { tests: '8', failures: '3', errors: '1', skipped: '1' };
  assert.deepEqual([tag, totals], ['testsuites', { name: 'qe', ...counts }]);
  assert.deepEqual(
    suites.map(([, attributes]) => attributes.name),
    files,
  );
  const several = suites.at(-1)[3].filter(([kind]) => kind === 'testcase');
  assert.deepEqual(
    several.map(([, { name: title }, , ended]) => [title, ended.map(([kind]) => kind)]),
    [
      ['fine', ['rerunFailure']], // of the file: it is told with the first
      ['left out', ['skipped']],
      ['says nothing', ['failure']],
    ],
  );
  const fails = ['failed', 'failed'];
  assert.deepEqual(outcomesOf(tree), ['passed', ...fails, 'flaky', ...fails]);
});

test('--junit: what no test explains is of the file', installed, async (t) => {
  const cwd = project(t, { 'hang.sh': 'exec sleep 300', 'crash.sh': 'kill -SEGV $$' });
  const words = ['hang.sh', 'crash.sh', SHELL, '--attempts=2', '--backoff=0', '--timeout=3'];
  const [tree, python] = await bothTrees(cwd, ...words);
  assert.deepEqual(tree, python);
  assert.deepEqual(outcomesOf(tree), ['timeout', 'crashed']);
  const [, , , [, [, , , [, [, , , ended]]]]] = tree;
  assert.deepEqual(
    ended.slice(-2).map(([kind]) => kind),
    ['system-out', 'system-err'],
  );
  assert.deepEqual(
    ended.slice(0, -2).map(([kind, { message }]) => [kind, message]),
    [
      ['error', 'signal SIGSEGV'],
      ['rerunError', 'attempt 1: crashed'],
    ],
  );
});

test('--junit: what did not run to the end is skipped', async (t) => {
  const cwd = project(t, { 'a.sh': 'kill -INT $QE_PID; exec sleep 300', 'b.sh': 'true' });
  const words = ['a.sh', 'b.sh', '-n', '1', '--grace=0.2', '--junit=out.xml'];
  const shell = 'QE_PID=$$; export QE_PID; exec "$@"';
  const argv = ['sh', '-c', shell, 'sh', process.execPath, BIN, 'exec', SHELL, ...words];
  const done = await run(argv, { cwd });
  assert.equal(done.status, 130, done.stderr);
  assert.match(done.stdout, /^interrupted: 0 of 2 files ran to the end$/m);
  assert.match(done.stdout, /^2 files: 0 passed, 2 not run to the end; /m);
  const [, totals, , suites] = await treeOf(path.join(cwd, 'out.xml'));
  assert.deepEqual([totals.tests, totals.skipped], ['2', '2']);
  const skipped = suites.map(([, , , [, testcase]]) =>
    testcase[3].filter(([kind]) => !kind.startsWith('system-')),
  );
  assert.deepEqual(skipped, [
    [['skipped', { message: 'interrupted' }, '', []]],
    [['skipped', { message: 'not_run' }, '', []]],
  ]);
});

// ----------------------------------------------------------------------- a bar

/** What a program prints on a terminal of its own. */
async function onTerminal(argv, cwd) {
  const words = argv.map((word) => `'${word}'`).join(' ');
  const env = cleanEnv({ TERM: 'xterm' });
  const done = await run(['script', '-qefc', words, '/dev/null'], { cwd, env });
  return { ...done, stdout: done.stdout.replaceAll('\r', '\n') };
}

test('the last run says when this one will end', async (t) => {
  const cwd = project(t, { 'slow.sh': 'sleep 3' });
  const argv = [process.execPath, BIN, 'exec', SHELL, 'slow.sh'];
  const first = await onTerminal(argv, cwd);
  assert.equal(first.status, 0, first.stdout);
  assert.match(first.stdout, /0 of 1, \d+s/);
  assert.doesNotMatch(first.stdout, /left|nearly/);
  const second = await onTerminal(argv, cwd);
  assert.equal(second.status, 0, second.stdout);
  assert.match(second.stdout, /0 of 1, \d+s, about [123]\.\d\d s left/);
  assert.match(second.stdout, /0 of 1, \d+s, nearly done/);
  assert.match(second.stdout, /1 file: 1 passed/);
});

test('what is stored and not ours costs no run', async (t) => {
  const cwd = project(t, { 'good.sh': 'true' });
  const memory = new qe.MemoryStore(path.join(cwd, '.qe', 'history.db'));
  t.after(() => memory.close());
  for (const odd of [3, { results: 'none' }, { results: [null, { file: 'good.sh' }] }]) {
    await memory.store('aqe/test-executor/last_parallel_execution', odd);
    const done = await onTerminal([process.execPath, BIN, 'exec', SHELL, 'good.sh'], cwd);
    assert.equal(done.status, 0, done.stdout);
    assert.doesNotMatch(done.stdout, /left|nearly/);
  }
});

// ---------------------------------------------------------------------- Ctrl-Z

const lines = (file) =>
  fs.existsSync(file) ? fs.readFileSync(file, 'utf8').split('\n').length - 1 : 0;
const stateOf = (pid) =>
  /^\d+ \(.*\) (\w)/s.exec(fs.readFileSync(`/proc/${pid}/stat`, 'latin1'))[1];

test('Ctrl-Z holds what runs for longer than its limit, and it passes', async (t) => {
  const cwd = project(t, { 'ticks.sh': TICKS });
  const mark = `${process.pid} ${path.basename(cwd)}`;
  // Under job control the job has a group of its own, which the kernel lets stop.
  const words = [process.execPath, BIN, 'exec', 'ticks.sh', SHELL, '--timeout=4', '--attempts=1'];
  const shell = spawn('bash', ['-c', 'set -m; "$@" & wait -f $!', 'bash', ...words], {
    cwd,
    env: cleanEnv({ QE_TEST_MARK: mark }),
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  let said = '';
  shell.stdout.on('data', (text) => (said += text));
  const ended = new Promise((resolve) => shell.on('close', resolve));
  t.after(() => processesWith('QE_TEST_MARK', mark).forEach((pid) => process.kill(pid, 'SIGKILL')));
  const ticks = path.join(cwd, 'ticks');
  assert.ok(await until(() => lines(ticks) >= 3, 30_000));
  const ours = processesWith('QE_TEST_MARK', mark);
  const [host] = ours.filter((pid) => {
    const argv = fs.readFileSync(`/proc/${pid}/cmdline`, 'utf8').split('\0');
    return argv[0] === process.execPath && argv[1] === BIN;
  });
  const group = () =>
    processesWith('QE_TEST_MARK', mark).filter((pid) =>
      fs.readFileSync(`/proc/${pid}/cmdline`, 'utf8').endsWith('/ticks.sh\0'),
    );
  // Once for longer than the limit of what is held: the only thing to wait for is time.
  for (const [count, ms] of [
    [3, 4500],
    [10, 100],
  ]) {
    assert.ok(await until(() => lines(ticks) >= count, 30_000));
    process.kill(Number(host), 'SIGTSTP');
    assert.ok(await until(() => stateOf(host) === 'T', 10_000), 'the host is stopped');
    assert.ok(group().length > 0 && group().every((pid) => stateOf(pid) === 'T'));
    const before = lines(ticks);
    await new Promise((resolve) => setTimeout(resolve, ms));
    assert.equal(lines(ticks), before);
    process.kill(Number(host), 'SIGCONT');
  }
  assert.equal(await ended, 0, said);
  assert.equal(lines(ticks), 30);
  assert.match(said, /1 file: 1 passed; \d/);
  assert.equal(alive(host), false);
});

test('an agent holds what runs, and lets it go on', async (t) => {
  const cwd = project(t, { 'ticks.sh': TICKS });
  const mark = `${process.pid} ${path.basename(cwd)}`;
  const memory = new qe.MemoryStore(path.join(cwd, '.qe', 'history.db'));
  t.after(() => memory.close());
  const env = { QE_TEST_MARK: mark };
  const agent = new qe.FlakyTestHunter({ cwd, memory, env, template: ['sh', '{file}'] });
  const found = agent.detectFlakyTests(['ticks.sh'], {
    framework: 'command',
    iterations: 1,
    params: { retryTimeout: 60 },
  });
  const ticks = path.join(cwd, 'ticks');
  assert.ok(await until(() => lines(ticks) >= 3, 30_000));
  agent.pause(true);
  const ours = () => processesWith('QE_TEST_MARK', mark);
  const held = () => ours().length > 0 && ours().every((pid) => stateOf(pid) === 'T');
  assert.ok(await until(held, 10_000));
  agent.pause(false);
  const { totalRuns, files } = await found;
  assert.deepEqual([totalRuns, files[0].passed, lines(ticks)], [1, 1, 30]);
});
