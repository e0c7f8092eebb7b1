'use strict';
// Warm servers: their addresses are known before they listen, and the first is enough.

const assert = require('node:assert/strict');
const fs = require('node:fs');
const path = require('node:path');
const { test } = require('node:test');

const qe = require('../..');
const { WarmServers } = require('../../js/warm');
const { project } = require('./agents');
const { ROOT, processesWith, until } = require('./helpers');

const PYTHON = path.join(ROOT, 'build', 'venv', 'bin');
const PYTEST = path.join(PYTHON, 'pytest');
const pytest = { skip: !fs.existsSync(PYTEST) && 'pytest is not installed here' };
const PARENT = `
import os, time

def test_it():
    with open(f"/proc/{os.getppid()}/cmdline") as file:
        words = file.read().split("\\0")
    print("parent", os.getppid(), "warmserver" in words[1])
`;

/** A command of a project, and servers, of which nothing is left when the test is over. */
function commandIn(t, each) {
  const cwd = project(t, { 'test_a.py': PARENT });
  const mark = `${process.pid} ${path.basename(cwd)}`;
  const servers = new WarmServers(each);
  t.after(() => servers.close());
  t.after(() => assert.deepEqual(processesWith('QE_TEST_MARK', mark), []));
  const env = { QE_TEST_MARK: mark, PYTEST_DISABLE_PLUGIN_AUTOLOAD: '1' };
  return { command: { framework: 'pytest', argv: [PYTEST], cwd, env }, servers };
}

/** Whether somebody listens at an address: of a line of sockets the flag of those that do. */
const listens = (name) =>
  fs
    .readFileSync('/proc/net/unix', 'latin1')
    .split('\n')
    .some((line) => line.includes(' 00010000 ') && line.endsWith(` @${name}`));

test('the first server is waited for, the others come up meanwhile', pytest, async (t) => {
  const { command, servers } = commandIn(t, 3);
  servers.prepare(command);
  servers.prepare(command); // once
  const names = await Promise.all([0, 1, 2, 3].map((run) => servers.nameFor(command, run)));
  assert.equal(new Set(names).size, 3);
  assert.equal(names[3], names[0]);
  assert.ok(listens(names[0]));
  assert.ok(await until(() => names.every(listens), 60_000));
  assert.equal(processesWith('QE_TEST_MARK', command.env.QE_TEST_MARK).length >= 3, true);
  assert.deepEqual(servers.notes, []);
});

test('servers that were closed before they came up leave nothing', pytest, async (t) => {
  const { command, servers } = commandIn(t, 4);
  const before = fs.readdirSync('/proc/self/fd').length;
  servers.prepare(command);
  await servers.close();
  assert.deepEqual(processesWith('QE_TEST_MARK', command.env.QE_TEST_MARK), []);
  assert.equal(fs.readdirSync('/proc/self/fd').length, before);
});

test('a server that does not come up is told once, and fresh interpreters run', async (t) => {
  const { command } = commandIn(t);
  const script = path.join(command.cwd, 'pytest');
  for (const [line, text] of [
    ['#!/nonexistent/python', 'a server did not come up'],
    ['', `${script}: begins with no line that names a Python interpreter`],
  ]) {
    fs.writeFileSync(script, `${line}\n`, { mode: 0o755 });
    const servers = new WarmServers(2);
    const own = { ...command, argv: [script] };
    servers.prepare(own);
    assert.deepEqual([await servers.nameFor(own, 0), await servers.nameFor(own, 1)], ['', '']);
    assert.deepEqual(servers.notes, [`warm: ${text}; fresh interpreters run instead`]);
    await servers.close();
  }
});

test('a warm hunt begins with the first server', pytest, async (t) => {
  const {
    command: { cwd, env },
  } = commandIn(t);
  const memory = new qe.MemoryStore(path.join(cwd, '.qe', 'history.db'));
  t.after(() => memory.close());
  const runs = [];
  const agent = new qe.FlakyTestHunter({
    cwd,
    memory,
    warm: true,
    args: ['-s', '-p', 'no:cacheprovider'],
    env: { ...env, PATH: `${PYTHON}:${process.env.PATH}` },
    onResult: ({ run, stdout }) => (runs[run] = /parent (\d+) (\w+)/.exec(stdout)),
  });
  const options = { framework: 'pytest', iterations: 10 };
  const found = await agent.detectFlakyTests(['test_a.py'], options);
  assert.deepEqual([found.totalRuns, found.flakyTests, found.warnings], [10, 0, []]);
  assert.deepEqual([runs[0][2], runs[5][2]], ['True', 'True']);
  assert.equal(runs[0][1], runs[5][1]); // both are the first server's
});
