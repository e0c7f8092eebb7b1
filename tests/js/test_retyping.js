'use strict';
// Commands that prove why tests are flaky: they repeat what the tests need of what was typed.

const assert = require('node:assert/strict');
const { randomBytes } = require('node:crypto');
const fs = require('node:fs');
const path = require('node:path');
const test = require('node:test');

const { syntaxOf: jestSyntaxOf } = require('../../js/jest/typed');
const { mochaModules } = require('../../js/mocha/modules');
const { syntaxOf: mochaSyntaxOf } = require('../../js/mocha/typed');
const { commandOf, needed } = require('../../js/retyping');
const { ROOT, cleanEnv, run } = require('./helpers');
const jestHunts = require('./jest-hunts');
const mochaProject = require('./mocha-project');

const JEST = jestSyntaxOf(require('jest-cli').yargsOptions);
const MOCHA = mochaSyntaxOf(mochaModules(path.join(ROOT, 'node_modules', 'mocha')));

test('of jest’s words those stay that tests need', () => {
  for (const [typed, options, places = ''] of [
    ['--config other.js a -t foo --verbose b --bail', '--config other.js', 'a b'],
    ['-c x -w4 -w 4 --env=jsdom', '-c x --env=jsdom'],
    ['--test-name-pattern foo --testNamePattern=foo --no-coverage --no-cache a', '--no-cache', 'a'],
    ['--roots a b --silent c --reporters d e --ci f', '--roots a b --ci', 'c f'],
    ['--testPathIgnorePatterns=a b --json --outputFile c', '--testPathIgnorePatterns=a b'],
    ['-it foo -ub -bu', '-u -u'],
    ['-bt=foo -tc=x', '-c=x'],
    ['--runTestsByPath a --findRelatedTests b', '', 'a b'],
    ['--coverage false --ci true a', '--ci true', 'a'],
    ['--globals.x 3 --coverageThreshold.global.lines 80', '--globals.x 3'],
    [
      '--unknown a --testTimeout 9 --selectProjects b',
      '--unknown a --testTimeout 9 --selectProjects b',
    ],
    ['--seed=-3 --seed -3 --shard=1/2 --randomize -- --ci', '', '--ci'],
  ]) {
    const words = (text) => text.split(' ').filter(Boolean);
    const found = needed(words(typed), JEST);
    assert.deepEqual(found, { options: words(options), places: words(places) }, typed);
  }
});

test('of mocha’s words those stay that tests need, and spec files', () => {
  for (const [typed, options, places = ''] of [
    ['--require ./set.js -R dot a --spec b -r=c', '--require ./set.js --spec b -r=c', 'a'],
    ['--no-timeouts a --no-config b --no-color c -C', '--no-timeouts --no-config', 'a b c'],
    ['--expose-gc a --slow 3 -t 500 --bail b', '--expose-gc -t 500', 'a b'],
    ['--parallel --jobs 3 -j=3 --plugin-option 7 --reporter-options a=b', '--plugin-option 7'],
    ['-g x --grep=y -f z --invert --sort --retries 2 -- a', '--sort --retries 2', 'a'],
  ]) {
    const words = (text) => text.split(' ').filter(Boolean);
    const found = needed(words(typed), MOCHA);
    assert.deepEqual(found, { options: words(options), places: words(places) }, typed);
  }
});

test('a command is what a shell takes for the same words', async () => {
  const words = [
    "it's",
    'a b',
    '$HOME',
    '`x`',
    '"',
    '\\',
    '*',
    'ü',
    '',
    '{"a":1}',
    'a\nb',
    '~',
    '!!',
  ];
  const typed = { options: ['--x', ...words], places: ['a.js', '-odd'] };
  const command = commandOf('qe-mocha', typed, '--replay=x');
  const show = `npx() { '${process.execPath}' -e 'console.log(JSON.stringify(process.argv.slice(1)))' -- "$@"; }`;
  for (const shell of ['sh', 'bash']) {
    const { stdout } = await run([shell, '-c', `${show}\n${command}`]);
    const all = ['qe-mocha', 'a.js', '--x', ...words, '--replay=x', '--', '-odd'];
    assert.deepEqual(JSON.parse(stdout), all);
  }
});

/** The commands that a hunt has printed. */
const printed = (stderr) =>
  [...stderr.matchAll(/^ {4}again: (.*) {2}# failed 10 of 10$/gm)].map((m) => m[1]);

/** Pastes a command into a shell, where npx finds the program. */
const paste = (command, program, cwd) =>
  run(['sh', '-c', `npx() { shift; '${process.execPath}' '${program}' "$@"; }\n${command}`], {
    cwd,
    env: cleanEnv({ FORCE_COLOR: '0' }),
    timeout: 120_000,
  });

const HUNT = ['--flaky=8', '--flaky-seed=3', '--parallel=2', '--flaky-causes=80'];

test('what a hunt in jest prints can be pasted', async () => {
  const name = `once ${randomBytes(1000).toString('hex')}`; // its token goes into a file
  const folder = jestHunts.project('pasted', {
    "below/it's other.config.js": `module.exports = {
  testMatch: ['**/check_*.js'],
  globals: { configured: true },
};
`,
    'below/check_a.js': `let ran = false;
test('${name}', () => {
  if (!configured || ran) throw new Error('again');
  ran = true;
});
`,
    'below/check_b.js': "test('b', () => {});\n",
  });
  const needs = ['--config', "below/it's other.config.js", '--testTimeout', '4000'];
  const others = [
    '--test-timeout-hard=20',
    '-t',
    'once',
    'check',
    '--verbose',
    '--maxWorkers',
    '1',
  ];
  const done = await jestHunts.qe(folder, ...HUNT, ...needs, ...others);
  const [command, ...more] = printed(done.stderr);
  assert.equal(more.length, 0, done.stderr);
  const start = `npx qe-jest --config 'below/it'\\''s other.config.js' --testTimeout 4000 --test-timeout-hard=20 `;
  assert.ok(command.startsWith(start), command);
  assert.match(command.slice(start.length), /^--replay=@below\/\.qe\/replays\/\w+\.txt$/);
  const again = await paste(command, jestHunts.CLI, folder);
  assert.equal(again.status, 1, again.stderr);
  assert.match(again.stderr, /Replay: failed again: check_a\.js::once/);
  const without = await paste(
    command.replace(/--config .*config\.js' /, ''),
    jestHunts.CLI,
    folder,
  );
  assert.match(without.stdout + without.stderr, /No tests found/);
});

test('what a hunt in mocha prints can be pasted', async (t) => {
  const folder = mochaProject.project(t, {
    'set up.js': 'globalThis.configured = process.argv.length;',
    'checks/a.js': `let ran = false;
      require('fs').appendFileSync('loaded', 'a');
      it('once', () => { if (!globalThis.configured || ran) throw new Error('again'); ran = true; });`,
    'checks/b.js': "require('fs').appendFileSync('loaded', 'b'); it('b', () => {});",
    'test/default.js': "require('fs').appendFileSync('loaded', 'default');",
  });
  const needs = ['--require', './set up.js', '--test-timeout-hard=20'];
  const others = ['-R', 'dot', '--grep', 'once', '--report-json=out.json'];
  const done = await mochaProject.qeMocha(folder, [...HUNT, 'checks/*.js', ...needs, ...others]);
  const [command, ...more] = printed(done.stderr);
  assert.equal(more.length, 0, done.stderr);
  const start =
    "npx qe-mocha 'checks/*.js' --require './set up.js' --test-timeout-hard=20 --replay=";
  assert.ok(command.startsWith(start), command);
  const loaded = path.join(folder, 'loaded');
  for (const words of [
    command,
    `npx qe-mocha --require './set up.js' ${command.split(' ').at(-1)}`,
  ]) {
    fs.rmSync(loaded);
    const again = await paste(words, mochaProject.QE_MOCHA, folder);
    assert.equal(again.status, 1, again.stderr);
    assert.match(again.stderr, /Replay: failed again: checks\/a\.js::once/);
    assert.match(fs.readFileSync(loaded, 'utf8'), /^(ab)+$/, 'as the hunt did');
  }
});
