'use strict';
// Each framework's own command, by the real tool: its exit status and its tests.

const assert = require('node:assert/strict');
const { spawnSync } = require('node:child_process');
const fs = require('node:fs');
const os = require('node:os');
const path = require('node:path');
const { test } = require('node:test');

const qe = require('../..');
const counts = require('../../js/counts');
const { commandsIn } = require('../../js/frameworks');
const { ROOT, cleanEnv } = require('./helpers');

// What test_frameworks.py runs as well: both must count alike.
const CASES = JSON.parse(fs.readFileSync(path.join(ROOT, 'tests', 'frameworks.json'), 'utf8'));

// Where `make test-js` has installed pytest; otherwise one in PATH will do.
const PATH = `${path.join(ROOT, 'build', 'venv', 'bin')}:${process.env.PATH}`;
const MODULES = path.join(ROOT, 'node_modules');
const has = (tool, places) => places.some((place) => fs.existsSync(path.join(place, tool)));

const clean = cleanEnv({ PATH, PYTEST_DISABLE_PLUGIN_AUTOLOAD: '1' });
// What is to be taken away, and what is to be set.
const ENV = Object.fromEntries(Object.keys(process.env).map((name) => [name, clean[name] ?? null]));
Object.assign(ENV, clean);

/** Why a framework cannot be tried here, or false. */
function lacks({ tool, node_modules: modules }) {
  const places = modules ? [path.join(MODULES, '.bin')] : PATH.split(':');
  return !has(tool, places) && `${tool} is not installed here`;
}

/** A folder of its own, removed when the test is over. */
function folderOf(t, files = {}) {
  const folder = fs.mkdtempSync(path.join(os.tmpdir(), 'qe-test-'));
  t.after(() => fs.rmSync(folder, { recursive: true, force: true }));
  for (const [name, lines] of Object.entries(files)) {
    fs.mkdirSync(path.dirname(path.join(folder, name)), { recursive: true });
    fs.writeFileSync(path.join(folder, name), `${lines.join('\n')}\n`);
  }
  return folder;
}

function project(t, { files, node_modules: modules }) {
  const folder = folderOf(t, files);
  if (!modules) return folder;
  const own = path.join(folder, 'node_modules'); // with a cache of its own
  fs.mkdirSync(own);
  for (const name of fs.readdirSync(MODULES)) {
    if (name !== '.cache') fs.symlinkSync(path.join(MODULES, name), path.join(own, name));
  }
  return folder;
}

const leftovers = () =>
  fs.readdirSync(os.tmpdir()).filter((name) => name.includes(`-${process.pid}-`));

for (const [framework, suite] of Object.entries(CASES)) {
  test(
    `${framework}: each file has its status and its tests`,
    { skip: lacks(suite) },
    async (t) => {
      const cwd = project(t, suite);
      const sum = { total: 0, passed: 0, failed: 0, skipped: 0, errors: 0 };
      for (const { file, status, tests, failure, args, template } of suite.cases) {
        const options = { framework, cwd, args, template, env: ENV, retryAttempts: 1 };
        const done = await qe.executeTests([file], options);
        const [result] = done.results;
        const said = `${framework}: ${file}\n${result.stdout}\n${result.stderr}`;
        assert.equal(result.returncode, status, said);
        assert.deepEqual(result.tests, tests, said);
        assert.deepEqual(done.tests, tests);
        assert.equal(result.outcome, status === 0 ? 'passed' : 'failed');
        if (failure) {
          const [title, message] = failure;
          assert.ok(result.failures[0].name.includes(title), result.failures[0].name);
          assert.ok(result.failures[0].message.includes(message), result.failures[0].message);
        }
        const failed = tests === null ? 0 : tests.failed + tests.errors;
        assert.equal(result.failures.length, Math.min(20, failed));
        for (const name of Object.keys(sum)) sum[name] += tests?.[name] ?? 0;
      }
      assert.deepEqual(leftovers(), []);
      if (suite.cases.some(({ args, template }) => args || template)) return;
      // All at once, and their sum.
      const files = suite.cases.map(({ file }) => file);
      const all = await qe.executeTests(files, { framework, cwd, env: ENV, retryAttempts: 1 });
      assert.deepEqual(all.tests, sum, JSON.stringify(all.results, null, 1));
    },
  );
}

test('counts are those of the last attempt, and never of one before it', async (t) => {
  const cwd = folderOf(t, {
    a: [''],
    run: [
      'if [ -e once ]; then exit 4; fi',
      'touch once',
      'echo "<testsuite><testcase name=\'one\'/></testsuite>" >"$1"',
      'exit 3',
    ],
  });
  const options = { framework: 'command', cwd, template: ['sh', 'run', '{report}', '{file}'] };
  const more = { retryAttempts: 2, retryBackoff: 0 };
  const done = await qe.executeTests(['a'], { ...options, ...more });
  assert.deepEqual([done.results[0].returncode, done.results[0].tests], [4, null]);
  assert.equal(done.tests, null);
  fs.rmSync(path.join(cwd, 'once'));
  const once = await qe.executeTests(['a'], { ...options, retryAttempts: 1 });
  assert.equal(once.tests.passed, 1);
});

test('what a killed run has left is removed by the next one', async (t) => {
  const cwd = folderOf(t, { a: [''] });
  const TMPDIR = folderOf(t);
  const script = `
    const options = { framework: 'command', cwd: ${JSON.stringify(cwd)}, template: ['sh', '-c',
      'kill -KILL $PPID; kill -KILL ' + process.pid + '; sleep 60', '{file}'] };
    require(${JSON.stringify(ROOT)}).executeTests(['a'], options);
    setTimeout(() => {}, 60000);`;
  const env = { ...clean, TMPDIR };
  spawnSync(process.execPath, ['-e', script], { env, timeout: 60_000 });
  assert.equal(fs.readdirSync(TMPDIR).length, 1);
  const next = script.replace(/'kill .*60'/, "'true'").replace(/setTimeout.*/, '');
  const { status, stderr } = spawnSync(process.execPath, ['-e', next], { env, timeout: 60_000 });
  assert.equal(status, 0, String(stderr));
  assert.deepEqual(fs.readdirSync(TMPDIR), []);
});

test('go: what people read is text', { skip: lacks(CASES.go) }, async (t) => {
  const cwd = project(t, CASES.go);
  const { results } = await qe.executeTests(['fail_test.go'], {
    framework: 'go test',
    cwd,
    env: ENV,
    retryAttempts: 1,
  });
  assert.match(results[0].stdout, /^--- FAIL: TestBreaks .*\n/m);
  assert.doesNotMatch(results[0].stdout, /"Action"/);
});

test('cypress, by its documentation: a program stands for it', async (t) => {
  const cwd = folderOf(t, { 'a.cy.js': [''] });
  const bin = path.join(cwd, 'node_modules', '.bin');
  fs.mkdirSync(bin, { recursive: true });
  const text =
    '#!/bin/sh\necho "$@"; echo electron=$ELECTRON_RUN_AS_NODE\nreport=${5#mochaFile=}\n' +
    'echo \'<testsuites><testsuite name="a"><testcase name="one"/><testcase name="two">' +
    '<skipped/></testcase></testsuite></testsuites>\' >"$report"\n';
  fs.writeFileSync(path.join(bin, 'cypress'), text, { mode: 0o755 });
  const options = { framework: 'cypress', cwd, args: ['-b', 'x'] };
  const { results, tests } = await qe.executeTests(['a.cy.js'], options);
  const spec = path.join(cwd, 'a.cy.js');
  const form = /^run --reporter junit --reporter-options mochaFile=\S+ -b x --spec (\S+)\n(.*)\n$/;
  assert.deepEqual(form.exec(results[0].stdout)?.slice(1), [spec, 'electron=']);
  assert.deepEqual(tests, { total: 2, passed: 1, failed: 0, skipped: 1, errors: 0 });
});

test('the commands are those of the other host', (t) => {
  const python = path.join(ROOT, 'build', 'venv', 'bin', 'python');
  if (!fs.existsSync(python)) {
    t.skip('build/venv is not made: make build/editable.stamp');
    return;
  }
  const script = `
import json, sys
from pytest_qe import frameworks
for given in json.load(sys.stdin):
    command = frameworks.command_for(given.pop("framework"), given.pop("file"), **given)
    print(json.dumps([command.argv, command.cwd, command.env, command.report, command.kind]))
`;
  const asked = [];
  const ours = [];
  for (const [framework, suite] of Object.entries(CASES)) {
    if (lacks(suite)) continue;
    const cwd = project(t, suite);
    for (const reports of ['/reports', null]) {
      for (const { file, args = [], template } of suite.cases) {
        const env = { PATH, A: null, B: 'b', VIRTUAL_ENV: path.join(ROOT, 'build', 'venv') };
        const given = { framework, cwd, args, env, ...(template && { template }) };
        asked.push({ ...given, file, reports, run: 2 });
        const {
          argv,
          cwd: where,
          env: changes,
          report,
          kind,
        } = commandsIn(given, reports).commandFor(file, 2);
        ours.push([argv, where, changes, report, kind]);
      }
    }
  }
  const options = { input: JSON.stringify(asked), encoding: 'utf8', timeout: 60_000 };
  const { stdout, stderr } = spawnSync(python, ['-c', script], options);
  const theirs = stdout
    .trim()
    .split('\n')
    .map((line) => JSON.parse(line));
  assert.equal(theirs.length, ours.length, stderr);
  // Numbers of reports count on; pytest and python may be those of the running interpreter.
  const plain = (one) =>
    JSON.parse(JSON.stringify(one).replace(/\d+\.report/g, 'N.report')).map((part, i) =>
      i === 0 ? [path.basename(part[0]), ...part.slice(1)] : part,
    );
  assert.deepEqual(ours.map(plain), theirs.map(plain));
});

const JUNIT =
  '<?xml version="1.0"?>\n<testsuites><testsuite name="a"><testcase name="one"/>' +
  '<testcase name="two"><failure message="no">it</failure></testcase></testsuite></testsuites>';
const LIST = JSON.stringify({
  tests: [
    { name: 'one', outcome: 'passed', message: '' },
    { name: 'two', outcome: 'failed', message: 'no' },
  ],
});
const FILES = { junit: JUNIT, pytest: JUNIT, ctest: JUNIT, playwright: JUNIT, list: LIST };
const TWO = { total: 2, passed: 1, failed: 1, skipped: 0, errors: 0 };

test('a report that is cut off, missing, or meant to harm is null', (t) => {
  const folder = folderOf(t);
  const report = path.join(folder, '1.report');
  const read = (kind, data) => {
    fs.writeFileSync(report, data);
    return counts.read({ kind, report }, 1, '', '');
  };
  const hostile = [
    '',
    'null',
    '3',
    '['.repeat(100_000),
    '<testcase/>',
    '<html><testcase/></html>',
    `<!DOCTYPE a [<!ENTITY a "b">]>${JUNIT.slice(22)}`,
    `<!DOCTYPE a [<!ENTITY a "b">]>${JUNIT.slice(22).replace('it</', '&a;</')}`,
    JUNIT.replace('it</', '&unknown;</'),
    Buffer.from(JUNIT, 'utf16le'),
    Buffer.from(JUNIT.replace('one', '\xff'), 'latin1'),
    '<testsuite>'.repeat(20_000) + '</testsuite>'.repeat(20_000),
    '{"tests": null}',
    LIST.replace('passed', 'fine'),
  ];
  for (const [kind, whole] of Object.entries(FILES)) {
    assert.deepEqual(read(kind, whole).tests, TWO);
    for (let at = 0; at < whole.length; at++) {
      assert.equal(read(kind, whole.slice(0, at)), null, whole.slice(0, at));
    }
    for (const data of hostile) assert.equal(read(kind, data), null, String(data).slice(0, 80));
    fs.writeFileSync(report, whole);
    fs.truncateSync(report, 100_000_000);
    for (const missing of [report, folder, path.join(folder, 'no'), null]) {
      assert.equal(counts.read({ kind, report: missing }, 0, '', ''), null);
    }
  }
});

test('what was cut out of what is printed, or ended by a signal, is null', () => {
  const tap = 'TAP version 13\n1..2\nok 1 - one\nnot ok 2 - two\n';
  const read = (stdout, returncode = 1) =>
    counts.read({ kind: 'tap', report: null }, returncode, stdout, '');
  assert.deepEqual(read(tap).tests, TWO);
  assert.equal(read(tap, -9), null);
  assert.equal(read(tap, null), null);
  assert.equal(
    read(`${tap}\n[qe: 17 bytes were left out here; 1 are kept of each stream]\n`),
    null,
  );
  for (let at = 0; at < tap.length; at++) {
    const found = read(tap.slice(0, at));
    if (found !== null) assert.deepEqual(found.tests, TWO);
  }
});

test('failures are bounded', (t) => {
  const report = path.join(folderOf(t), '1.report');
  const one = { name: 'n'.repeat(5000), outcome: 'failed', message: `\x1b[31m${'m'.repeat(5000)}` };
  fs.writeFileSync(report, JSON.stringify({ tests: Array(100).fill(one) }));
  const { tests, failures } = counts.read({ kind: 'list', report }, 1, '', '');
  assert.deepEqual([tests.failed, failures.length], [100, 20]);
  assert.deepEqual([failures[0].name.length, failures[0].message.length], [2000, 2000]);
});

test('what cannot work is one line before anything starts', async (t) => {
  const cwd = folderOf(t, { 'a.py': [''], 'c/Cargo.toml': [''], 'c/src/lib.rs': [''] });
  const refuses = (file, options, code, message) =>
    assert.rejects(qe.executeTests([file], { cwd, env: { PATH }, ...options }), { code, message });
  const command = (template) => ({ framework: 'command', template });
  await refuses('a.py', { framework: 'go' }, 'QE_EINVAL', /^files\[0\]: go takes NAME_test\.go or/);
  await refuses('a.py', { framework: 'cargo' }, 'QE_EINVAL', /no Cargo\.toml lies above/);
  await refuses('c/src/lib.rs', { framework: 'cargo' }, 'QE_EINVAL', /cargo takes tests\/NAME\.rs/);
  await refuses('c', { framework: 'ctest' }, 'QE_EINVAL', /ctest takes a build folder, with/);
  const away = { framework: 'unittest', cwd: path.join(cwd, 'c') };
  await refuses('../a.py', away, 'QE_EINVAL', /unittest takes files below its folder/);
  await refuses('a.py', command(), 'QE_EINVAL', /^options\.template: takes an array/);
  await refuses('a.py', command([]), 'QE_EINVAL', /^options\.template: has no program/);
  await refuses('a.py', command(['cat']), 'QE_EINVAL', /^options\.template: names no file/);
  await refuses('a.py', command(['nope', '{file}']), 'QE_ENOTFOUND', /^nope is not found, neither/);
  const misplaced = { framework: 'pytest', template: ['cat', '{file}'] };
  await refuses('a.py', misplaced, 'QE_EINVAL', /goes with the framework command, not with pytest/);
  await refuses('a.py', { cwd: '/nonexistent' }, 'QE_ENOTFOUND', /there is no folder/);
});
