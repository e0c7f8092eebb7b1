'use strict';
// Agents remember files and their runs in the project's history, as those of Python do.

const assert = require('node:assert/strict');
const fs = require('node:fs');
const path = require('node:path');
const { test } = require('node:test');

const qe = require('../..');
const { failsFirst, makeHistory, project, suite } = require('./agents');
const { ROOT, run } = require('./helpers');

const BIN = path.join(ROOT, 'js', 'bin', 'qe.js');
const PYTHON = path.join(ROOT, 'build', 'venv', 'bin');
const ONE = { maxConcurrent: 1, retryAttempts: 1, throttlePeriod: 0 };
const SHELL = ['sh', '{file}'];

/** A project of shell scripts: {cwd, memory, files}. */
function scripts(t, bodies) {
  const cwd = project(t, bodies);
  const memory = new qe.MemoryStore(path.join(cwd, '.qe', 'history.db'));
  t.after(() => memory.close());
  return { cwd, memory, files: Object.keys(bodies) };
}

/** What the history of a project knows: what `ask` returns. */
function known({ memory }, ask) {
  const history = new qe.History(memory.path);
  try {
    return ask(history);
  } finally {
    history.close();
  }
}

test('files are remembered, and the longest begins first', async (t) => {
  const made = scripts(t, {
    'a.sh': 'true',
    'b.sh': 'exit 1',
    'c.sh': 'sleep 0.3',
    'd.sh': 'sleep 0.1',
  });
  const { cwd, memory, files } = made;
  const order = [];
  const onStart = ({ file }) => order.push(file);
  const agent = new qe.TestExecutor({ cwd, memory, template: SHELL, onStart });
  for (let i = 0; i < 2; i++) {
    const done = await agent.executeTestsParallel(files, { framework: 'command', params: ONE });
    assert.deepEqual([done.results.map(({ file }) => file), done.warnings], [files, []]);
  }
  assert.deepEqual(order.slice(0, 4), files);
  // What never passed has no duration to go by.
  assert.deepEqual(
    order.slice(4).filter((file) => file !== 'b.sh'),
    ['c.sh', 'd.sh', 'a.sh'],
  );
  const counts = known(made, (history) => history.counts()).sort();
  assert.deepEqual(counts, [
    ['a.sh', 0, 2],
    ['b.sh', 2, 0],
    ['c.sh', 0, 2],
    ['d.sh', 0, 2],
  ]);
  assert.ok(fs.existsSync(path.join(cwd, '.qe', '.gitignore')));
});

test('what passes on a retry is remembered so, with the time and the code', async (t) => {
  const made = suite(t, 'node', { shaky: failsFirst('runs', 1) });
  fs.mkdirSync(path.join(made.cwd, '.git'));
  fs.writeFileSync(path.join(made.cwd, '.git', 'HEAD'), `${'c'.repeat(40)}\n`);
  const agent = new qe.TestExecutor({ cwd: made.cwd, memory: made.memory });
  const before = Date.now() / 1000;
  const params = { ...ONE, retryAttempts: 2, retryBackoff: 0 };
  await agent.executeTestsParallel([path.join(made.cwd, 'shaky.js')], {
    framework: 'node',
    params,
  });
  const [row, ...more] = known(made, (history) => history.rates('shaky.js', 'commit'));
  assert.deepEqual(more, []);
  assert.deepEqual([row.label, row.failures, row.passes, row.recovered], ['c'.repeat(40), 1, 0, 1]);
  assert.ok(row.first >= before - 1 && row.mean > 0 && row.mean === row.longest);
});

test('each run of a hunt is remembered', async (t) => {
  const shaky = 'printf x >>runs; [ $(($(wc -c <runs) % 2)) = 0 ]';
  const made = scripts(t, { 'shaky.sh': shaky, 'good.sh': 'true' });
  const { cwd, memory, files } = made;
  const agent = new qe.FlakyTestHunter({ cwd, memory, template: SHELL, causes: false });
  const params = { ...ONE, retryTimeout: 30 };
  const options = { framework: 'command', iterations: 10, params };
  const { warnings } = await agent.detectFlakyTests(files, options);
  assert.deepEqual(warnings, []);
  assert.deepEqual(known(made, (history) => history.counts()).sort(), [
    ['good.sh', 0, 10],
    ['shaky.sh', 5, 5],
  ]);
});

test('what was interrupted or not run is not remembered', async (t) => {
  const made = scripts(t, { 'a.sh': 'true', 'b.sh': 'exec sleep 1000', 'c.sh': 'true' });
  const { cwd, memory, files } = made;
  const agent = new qe.TestExecutor({
    cwd,
    memory,
    template: SHELL,
    grace: 0.2,
    onStart: ({ file }) => file === 'b.sh' && agent.stop(),
  });
  const done = await agent.executeTestsParallel(files, { framework: 'command', params: ONE });
  assert.deepEqual(
    done.results.map(({ outcome }) => outcome),
    ['passed', 'interrupted', 'not_run'],
  );
  assert.deepEqual(
    known(made, (history) => history.counts()),
    [['a.sh', 0, 1]],
  );
});

test('a history that cannot be used is a warning, and costs no result', async (t) => {
  const { cwd, memory, files } = scripts(t, { 'a.sh': 'true' });
  fs.writeFileSync(memory.path, 'no database, and longer than the head of one would be'.repeat(20));
  const agent = new qe.TestExecutor({ cwd, memory, template: SHELL });
  const done = await agent.executeTestsParallel(files, { framework: 'command', params: ONE });
  assert.equal(done.passed, 1);
  assert.match(done.warnings[0], /^the history cannot be read: /);
  assert.match(done.warnings[1], /^the history was not saved: /);
  const other = { store() {}, retrieve: () => null, delete() {}, search() {} };
  const apart = new qe.TestExecutor({ cwd, memory: other, template: SHELL });
  const quiet = await apart.executeTestsParallel(files, { framework: 'command', params: ONE });
  assert.deepEqual([quiet.passed, quiet.warnings], [1, []]);
});

for (const [framework, text] of Object.entries({
  jest: "test('a', () => process.reallyExit(0)); test('b', () => { throw new Error(); });",
  mocha: "it('a', () => process.reallyExit(0)); it('b', () => { throw new Error(); });",
})) {
  test(`${framework}: a run that leaves without a report is told`, async (t) => {
    const { cwd, memory, files } = suite(t, framework, { good: '' });
    const leaves = files[0].replace('good', 'leaves');
    fs.writeFileSync(path.join(cwd, leaves), text);
    const agent = new qe.TestExecutor({ cwd, memory });
    const done = await agent.executeTestsParallel([leaves, ...files], { framework, params: ONE });
    assert.deepEqual([done.results[0].returncode, done.results[0].tests], [0, null]);
    const left = 'it may have left before its tests had ended';
    assert.deepEqual(done.warnings, [
      `${leaves}: exit status 0 and no report of ${framework}: ${left}`,
    ]);
    const hunter = new qe.FlakyTestHunter({ cwd, memory, causes: false });
    const hunt = await hunter.detectFlakyTests([leaves], { framework, iterations: 10 });
    assert.deepEqual(hunt.warnings, done.warnings); // once
  });
}

const installed = {
  skip: !fs.existsSync(path.join(PYTHON, 'qe')) && 'pytest-qe is not installed in build/venv',
};

test('what one host has run, the other one knows', installed, async (t) => {
  const made = scripts(t, { 'a.sh': 'sleep 0.3', 'b.sh': 'true', 'c.sh': 'sleep 0.6' });
  const words = ['exec', 'a.sh', 'b.sh', 'c.sh', '--command=sh {file}', '-n', '1', '--json-lines'];
  const hosts = [[process.execPath, BIN], [path.join(PYTHON, 'qe')]];
  for (const [first, second] of [hosts, [...hosts].reverse()]) {
    fs.rmSync(path.join(made.cwd, '.qe'), { recursive: true });
    makeHistory(made.cwd);
    const starts = [];
    for (const argv of [first, second]) {
      const done = await run([...argv, ...words], { cwd: made.cwd });
      assert.equal(done.status, 0, done.stderr);
      const events = done.stdout
        .trim()
        .split('\n')
        .map((line) => JSON.parse(line));
      starts.push(events.filter(({ kind }) => kind === 'start').map(({ file }) => file));
    }
    assert.deepEqual(starts, [made.files, ['c.sh', 'a.sh', 'b.sh']]);
    assert.deepEqual(known(made, (history) => history.counts()).sort(), [
      ['a.sh', 0, 2],
      ['b.sh', 0, 2],
      ['c.sh', 0, 2],
    ]);
  }
});
