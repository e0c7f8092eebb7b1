'use strict';
// What runs tell other processes while they go on: the files beside the history.

const assert = require('node:assert/strict');
const { spawn } = require('node:child_process');
const fs = require('node:fs');
const path = require('node:path');
const { test } = require('node:test');

const { History, runUnits } = require('../..');
const { ROOT, cleanEnv, told, until } = require('./helpers');
const { write } = require('./projects');

const BIN = (name) => path.join(ROOT, 'js', 'bin', `${name}.js`);
const PATIENCE_MS = 60_000;
const WAITS = `
const fs = require('fs');
const waits = (done) => {
  const look = () => (fs.existsSync('go') ? done() : setTimeout(look, 10));
  look();
};
`;

function project(t, name, files) {
  const folder = path.join(ROOT, 'build', 'js-projects', name);
  fs.rmSync(folder, { recursive: true, force: true });
  write(folder, files);
  return folder;
}

function states(folder) {
  const live = path.join(folder, '.qe', 'live');
  const names = fs.existsSync(live) ? fs.readdirSync(live) : [];
  return names
    .filter((name) => name.endsWith('.json'))
    .flatMap((name) => {
      try {
        return [JSON.parse(fs.readFileSync(path.join(live, name), 'utf8'))];
      } catch (error) {
        if (error.code === 'ENOENT') return []; // it has ended meanwhile
        throw error;
      }
    });
}

const running = (folder) =>
  states(folder)
    .flatMap((state) => state.running)
    .map(({ id }) => id);

function start(t, cwd, ...words) {
  const child = spawn(process.execPath, words, { cwd, env: cleanEnv(), stdio: 'ignore' });
  const ended = new Promise((resolve) => child.on('close', resolve));
  t.after(async () => {
    fs.writeFileSync(path.join(cwd, 'go'), '');
    await ended;
  });
  return { child, ended };
}

for (const [name, words, files] of [
  ['qe-jest', ['--parallel'], { 'a.test.js': `${WAITS}test('waits', waits, 60000);` }],
  [
    'qe-mocha',
    ['--timeout=60000', 'a.test.js'],
    { 'a.test.js': `${WAITS}it("waits", waits).timeout(60000);` },
  ],
]) {
  test(`${name} tells which file runs`, async (t) => {
    const folder = project(t, `publishing-${name}`, {
      'package.json': '{ "name": "project", "jest": {} }',
      ...files,
    });
    const { child, ended } = start(t, folder, BIN(name), ...words);
    assert.ok(await until(() => running(folder).length > 0, PATIENCE_MS));
    const [state] = states(folder);
    assert.deepEqual(running(folder), ['a.test.js']);
    assert.deepEqual([state.about.kind, state.about.folder], [name, folder]);
    assert.equal(state.about.command[0], name);
    assert.deepEqual([state.pid, state.done, state.all], [child.pid, 0, 1]);
    fs.writeFileSync(path.join(folder, 'go'), '');
    assert.equal(await ended, 0);
    assert.deepEqual(states(folder), []);
  });
}

test('what failed the last time comes first, and is expected to take as long as it did', async (t) => {
  const folder = project(t, 'publishing-failed', {
    'package.json': '{ "name": "project", "jest": {} }',
    'a.test.js': `${WAITS}
if (fs.existsSync('fail')) test('fails', () => { throw new Error('no'); });
else test('waits', waits, 60000);`,
    'b.test.js': "test('longer', () => new Promise((done) => setTimeout(done, 1000)));",
    fail: '',
  });
  await start(t, folder, BIN('qe-jest'), '--parallel=1').ended;
  fs.rmSync(path.join(folder, 'fail'));
  start(t, folder, BIN('qe-jest'), '--parallel=1');
  assert.ok(await until(() => running(folder).length > 0, PATIENCE_MS));
  const [{ done, running: all, left_s: left }] = states(folder);
  assert.deepEqual([all[0].id, done], ['a.test.js', 0]);
  assert.ok(all[0].expected_s > 0 && all[0].expected_s < 100, `${all[0].expected_s}`);
  assert.ok(left < 100, `${left}`);
});

for (const kind of ['exec', 'hunt']) {
  test(`qe ${kind} tells which files run`, async (t) => {
    const sh = 'for i in $(seq 600); do test -e go && exit 0; sleep 0.1; done; exit 1';
    const folder = project(t, `publishing-${kind}`, { 'a.sh': sh, '.qe/.gitignore': '*' });
    new History(path.join(folder, '.qe', 'history.db')).close(); // none above is nearer
    start(t, folder, BIN('qe'), kind, '--command=sh {file}', 'a.sh');
    assert.ok(await until(() => running(folder).includes('a.sh'), PATIENCE_MS));
    const [state] = states(folder);
    assert.equal(state.about.kind, `qe ${kind}`);
    assert.deepEqual(state.about.command.slice(0, 2), ['qe', kind]);
  });
}

test('units go by their names, or by their id', async (t) => {
  const folder = project(t, 'publishing-units', { 'go.not': '' });
  const { units, options } = told(['hang', 'hang'], { workers: 2 });
  const publish = { folder, about: '{"kind":"own"}', names: ['first'] };
  const session = runUnits(units, { ...options, publish });
  const live = path.join(folder, 'live');
  const found = () => {
    const [name] = fs.existsSync(live) ? fs.readdirSync(live) : [];
    if (!name?.endsWith('.json')) return [];
    const { running: all } = JSON.parse(fs.readFileSync(path.join(live, name), 'utf8'));
    return all.map(({ id }) => id).sort();
  };
  assert.ok(await until(() => found().length === 2, PATIENCE_MS));
  assert.deepEqual(found(), ['1: hang', 'first']);
  await session.return();
  assert.deepEqual(fs.readdirSync(live), []);
});

test('what cannot be published is refused', () => {
  const { units, options } = told(['pass']);
  for (const [publish, words] of [
    [{ folder: '.', about: 'no' }, /invalid argument/],
    [{ about: '{}' }, /options\.publish\.folder/],
    [{ folder: '.', about: '{}', names: 1 }, /options\.publish\.names/],
  ]) {
    assert.throws(() => runUnits(units, { ...options, publish }), words);
  }
});
