'use strict';
// The package, as a user installs it.

const assert = require('node:assert/strict');
const fs = require('node:fs');
const os = require('node:os');
const path = require('node:path');
const { before, test } = require('node:test');

const { ROOT, cleanEnv, run } = require('./helpers');
const { npm, project } = require('./projects');

const PREBUILDS = `prebuilds/linux-${process.arch}`;
const LIBRARIES = ['libcjson.so.1', 'libsqlite3.so.0'];
const QUEUE = `${PREBUILDS}/queue`;
const MAPS = `
  const qe = require('qe-jest');
  if (qe.cpuCount() < 1) throw new Error('no processors');
  const maps = require('node:fs').readFileSync('/proc/self/maps', 'utf8');
  const outside = Object.keys(require.cache).filter((file) => !file.startsWith(process.cwd()));
  if (outside.length > 0) throw new Error('not of this project: ' + outside);
  const files = new Set(maps.match(/\\/.*(?:sqlite3|cjson|hiredis|\\.node).*/g));
  console.log(JSON.stringify([...files].sort()));
`;

let folder;
let installed;

before(async () => {
  folder = await project('package', ['jest@^30'], {
    'a.test.js': "test('adds', () => expect(1 + 1).toBe(2));\n",
  });
  installed = path.join(folder, 'node_modules', 'qe-jest');
});

/** The files of the addon and its libraries that a process of the project has mapped. */
async function mapped() {
  const done = await run([process.execPath, '-e', MAPS], { cwd: folder });
  assert.equal(done.stderr, '');
  return JSON.parse(done.stdout);
}

test('the tarball holds what runs and what builds, and nothing else', () => {
  const names = fs.readdirSync(installed, { recursive: true }).filter((name) => {
    return fs.statSync(path.join(installed, name)).isFile() && !name.startsWith('node_modules');
  });
  const sources = [
    'csrc',
    'csrc/include',
    'csrc/queue',
    'js',
    'js/addon',
    'js/agents',
    'js/bin',
    'js/cli',
    'js/jest',
    'js/mocha',
    'js/queue',
    'python/pytest_qe/reporters',
    'python/pytest_qe/web',
  ].flatMap((where) =>
    fs
      .readdirSync(path.join(ROOT, where), { withFileTypes: true })
      .filter((entry) => entry.isFile())
      .map((entry) => path.join(where, entry.name)),
  );
  const built = [PREBUILDS, QUEUE].flatMap((where) =>
    fs
      .readdirSync(path.join(ROOT, where))
      .filter((name) => name !== 'queue')
      .map((name) => `${where}/${name}`),
  );
  const common = ['frameworks.json', 'likely_causes.json', 'warmserver.py'];
  const texts = ['CHANGELOG.md', 'LICENSE', 'README.md', 'binding.gyp', 'package.json'];
  const shared = common.map((name) => `python/pytest_qe/${name}`);
  const wanted = new Set([...sources, ...built, ...texts, ...shared]);
  const others = names.filter((name) => !wanted.has(name));
  assert.deepEqual(others, []);
  assert.deepEqual(
    [...wanted].filter((name) => !names.includes(name)),
    [],
  );
  for (const library of LIBRARIES) assert.ok(built.includes(`${PREBUILDS}/${library}`), library);
  const own = built.filter((name) => name.startsWith(QUEUE)).map((name) => path.basename(name));
  assert.ok(own.includes('qe_queue.node'), own.join());
  assert.ok(
    own.some((name) => /^libhiredis\.so\.[\d.]+$/.test(name)),
    own.join(),
  );
});

test('with no install script run, the addon loads with the libraries beside it', async () => {
  assert.equal(fs.existsSync(path.join(installed, 'build')), false);
  const own = [...LIBRARIES, 'qe-jest.glibc.node'].map((n) => path.join(installed, PREBUILDS, n));
  assert.deepEqual(await mapped(), own);
});

test('it loads by require and by import, in threads as well, from the same files', async () => {
  const own = [...LIBRARIES, 'qe-jest.glibc.node'].map((n) => path.join(installed, PREBUILDS, n));
  const used = `
    const passed = qe.analyze([true, false, true]).score > 0 && qe.cpuCount() >= 1;
    const maps = fs.readFileSync('/proc/self/maps', 'utf8');
    const files = [...new Set(maps.match(/\\/.*(?:sqlite3|cjson|\\.node)\\S*/g))].sort();
  `;
  const thread = `
    const fs = require('node:fs');
    const qe = require('qe-jest');
    ${used}
    require('node:worker_threads').parentPort.postMessage({ passed, files });
  `;
  const main = `
    import fs from 'node:fs';
    import { Worker } from 'node:worker_threads';
    import * as qe from 'qe-jest';
    ${used}
    const told = [{ passed, files }];
    for (let i = 0; i < 3; i++) {
      const worker = new Worker(${JSON.stringify(thread)}, { eval: true });
      told.push(await new Promise((resolve, reject) => {
        worker.once('message', resolve);
        worker.once('error', reject);
      }));
    }
    console.log(JSON.stringify(told));
  `;
  fs.writeFileSync(path.join(folder, 'main.mjs'), main);
  const done = await run([process.execPath, 'main.mjs'], { cwd: folder });
  assert.equal(done.stderr, '');
  const wanted = { passed: true, files: own };
  assert.deepEqual(JSON.parse(done.stdout), [wanted, wanted, wanted, wanted]);
});

test('the commands run, by npx and by their files', async () => {
  const { stderr } = await npm(folder, 'exec', '--no', '--', 'qe-jest', '--parallel=2');
  assert.match(stderr, /^PASS .*a\.test\.js/m);
  assert.match(stderr, /Tests: +1 passed, 1 total/);
  const bin = path.join(folder, 'node_modules', '.bin', 'qe-jest');
  const done = await run([bin, '--version'], { cwd: folder });
  assert.match(done.stdout, /^30\./);
});

test('a jest config can name the runner', async () => {
  const jest = path.join(folder, 'node_modules', '.bin', 'jest');
  const done = await run([jest, '--config={"runner":"qe-jest/runner"}', '--json'], { cwd: folder });
  assert.equal(JSON.parse(done.stdout).numPassedTests, 1);
  assert.equal(done.status, 0);
});

test('without a jest, one line says what to install', async () => {
  const empty = fs.mkdtempSync(path.join(os.tmpdir(), 'qe-test-'));
  const bin = path.join(installed, 'js', 'bin', 'qe-jest.js');
  const done = await run([process.execPath, bin], { cwd: empty });
  fs.rmSync(empty, { recursive: true });
  assert.equal(done.status, 2);
  assert.equal(done.stderr, 'qe-jest: jest is not installed here: npm install --save-dev jest\n');
});

test('the oldest glibc and libstdc++ for the prebuilt addon are as documented', (t) => {
  if (!/^VERSION_ID="12"$/m.test(fs.readFileSync('/etc/os-release', 'utf8'))) {
    t.skip('what is published is built on Debian 12');
    return;
  }
  const newest = (prefix) => {
    let found = [0];
    for (const name of fs.readdirSync(path.join(ROOT, PREBUILDS), { recursive: true })) {
      if (!/\.(node|so)/.test(name)) continue;
      const text = fs.readFileSync(path.join(ROOT, PREBUILDS, name), 'latin1');
      for (const [, version] of text.matchAll(new RegExp(`\\b${prefix}_([0-9.]+)\\0`, 'g'))) {
        const numbers = version.split('.').map(Number);
        const at = numbers.findIndex((n, i) => n !== (found[i] ?? 0));
        if (at >= 0 && numbers[at] > (found[at] ?? 0)) found = numbers;
      }
    }
    return found.join('.');
  };
  const guide = fs.readFileSync(path.join(ROOT, 'docs', 'guide-js.md'), 'utf8');
  const [, glibc, cxx] = /glibc ([0-9.]+) and GLIBCXX ([0-9.]+)/.exec(guide);
  assert.deepEqual([newest('GLIBC'), newest('GLIBCXX')], [glibc, cxx]);
});

test('without a prebuilt addon, one line says how to build it, and that builds it', async () => {
  fs.rmSync(path.join(installed, 'prebuilds'), { recursive: true });
  const before = await run([process.execPath, '-e', MAPS], { cwd: folder });
  assert.equal(before.status, 1);
  const [, line] = before.stderr.match(/^Error: (no addon .*)/m);
  const bin = path.join(folder, 'node_modules', '.bin', 'qe-jest');
  const command = await run([bin], { cwd: folder });
  assert.deepEqual([command.status, command.stderr], [2, `qe-jest: ${line}\n`]);
  const [, script] = /build it with: node (.*)$/.exec(line);
  assert.equal(script, path.join('node_modules', 'qe-jest', 'js', 'install.js'));

  // Where something is missing, one line more than the compiler's says what.
  const bad = await run([process.execPath, script], {
    cwd: folder,
    env: cleanEnv({ PKG_CONFIG_LIBDIR: '/nonexistent', npm_config_node_gyp: nodeGyp() }),
  });
  assert.equal(bad.status, 1);
  assert.match(bad.stderr.trim().split('\n').at(-1), /^qe-jest: .*libsqlite3-dev libcjson-dev/);

  await npm(folder, 'rebuild', 'qe-jest', '--ignore-scripts=false', '--foreground-scripts');
  const built = path.join(installed, 'build', 'Release', 'qe.node');
  const maps = await mapped();
  assert.ok(maps.includes(built), maps.join());
  assert.equal(maps.length, 3); // with the system's libraries
  assert.ok(fs.existsSync(path.join(installed, 'build', 'Release', 'queue', 'qe_queue.node')));
});

test('without hiredis all but --queue is there, which says so in one line', async () => {
  // What pkg-config finds, but for that.
  const found = fs.mkdtempSync(path.join(os.tmpdir(), 'qe-test-'));
  const { stdout } = await run(['pkg-config', '--variable=pc_path', 'pkg-config']);
  for (const name of ['sqlite3.pc', 'libcjson.pc']) {
    const from = stdout
      .trim()
      .split(':')
      .map((where) => path.join(where, name));
    fs.symlinkSync(
      from.find((file) => fs.existsSync(file)),
      path.join(found, name),
    );
  }
  fs.rmSync(path.join(installed, 'build'), { recursive: true });
  const script = path.join(installed, 'js', 'install.js');
  const env = cleanEnv({ PKG_CONFIG_LIBDIR: found, npm_config_node_gyp: nodeGyp() });
  const done = await run([process.execPath, script], { cwd: folder, env, timeout: 240_000 });
  fs.rmSync(found, { recursive: true });
  assert.equal(done.status, 0, done.stderr);
  assert.equal((await mapped()).length, 3);
  const bin = path.join(folder, 'node_modules', '.bin', 'qe-jest');
  const words = ['--queue=redis://127.0.0.1/', '--run=1'];
  const queue = await run([bin, ...words], { cwd: folder });
  assert.equal(queue.status, 2);
  assert.match(queue.stderr, /^qe-jest: --queue: .* without hiredis, .*libhiredis-dev.*\n$/);
});

function nodeGyp() {
  return path.join(ROOT, 'node_modules', 'node-gyp', 'bin', 'node-gyp.js');
}

test('an install script that has nothing to do does nothing', async () => {
  const done = await run([process.execPath, path.join(installed, 'js', 'install.js')], {
    cwd: folder,
    env: cleanEnv({ PKG_CONFIG_LIBDIR: '/nonexistent', npm_config_node_gyp: '/nonexistent' }),
  });
  assert.deepEqual([done.status, done.stdout, done.stderr], [0, '', '']);
});
