'use strict';
// jest's watch modes, and what git says has changed, by a given jest.

const assert = require('node:assert/strict');
const { spawn } = require('node:child_process');
const fs = require('node:fs');
const path = require('node:path');
const { before, test } = require('node:test');
const { stripVTControlCharacters } = require('node:util');

const { cleanEnv, processesWith, run, until } = require('./helpers');
const { project } = require('./projects');
const { comparable } = require('./torture');

const FILES = { '.gitignore': 'node_modules\npacked\n.qe\n' };
for (const name of ['a', 'b', 'c']) {
  FILES[`${name}.js`] = `module.exports = '${name}';\n`;
  FILES[`${name}.test.js`] = `
    test('is ${name}', () => expect(require('./${name}')).toBe('${name}'));
  `;
}

/** The tests, for a version range of jest. */
function watching(name, jest) {
  const mark = `${name}-${process.pid}`;
  let folder;

  async function git(...words) {
    const own = ['-c', 'user.name=test', '-c', 'user.email=test@example.com'];
    const done = await run(['git', ...own, ...words], { cwd: folder });
    assert.equal(done.status, 0, done.stderr);
  }

  before(async () => {
    folder = await project(name, [`jest@${jest}`], FILES);
    await git('init', '-q');
    await git('add', '-A');
    await git('commit', '-q', '-m', 'all');
  });

  const bin = (program) => path.join(folder, 'node_modules', '.bin', program);

  const change = (file, text) => fs.appendFileSync(path.join(folder, file), text);

  test(`${name}: -o runs what belongs to the changed files`, async () => {
    change('b.js', '// changed\n');
    const report = async (...argv) => {
      const done = await run([...argv, '--json', '-o'], { cwd: folder });
      return comparable(JSON.parse(done.stdout));
    };
    const stock = await report(bin('jest'));
    assert.equal(stock.numTotalTests, 1);
    assert.deepEqual(await report(bin('qe-jest'), '--parallel=2'), stock);
    await git('commit', '-q', '-a', '-m', 'b');
  });

  for (const [mode, first, second] of [
    ['--watchAll', 3, 4],
    ['--watch', 0, 2],
  ]) {
    test(`${name}: ${mode} runs again after a change, and quits`, async () => {
      await git('checkout', '-q', '--', '.');
      const command = `'${bin('qe-jest')}' --parallel=2 --colors=false ${mode}`;
      // A terminal of its own.
      const child = spawn('script', ['-qefc', command, '/dev/null'], {
        cwd: folder,
        env: cleanEnv({ QE_TEST_MARK: mark, TERM: 'xterm', NO_COLOR: '1' }),
        timeout: 120_000,
        killSignal: 'SIGKILL',
      });
      let text = '';
      for (const stream of [child.stdout, child.stderr]) {
        stream.setEncoding('utf8').on('data', (more) => (text += more));
      }
      let end = null;
      child.on('close', (status, signal) => (end = { status, signal }));
      const plain = () => stripVTControlCharacters(text);
      const shows = async (form) => {
        assert.ok(await until(() => form.test(plain()), 20_000), `${form} in: ${plain()}`);
      };
      // jest may see one change twice; a key that comes while it runs only interrupts.
      const interrupted = /Test run was interrupted/;
      const press = async (key, ended) => {
        do {
          text = '';
          child.stdin.write(key);
          await until(() => ended() || interrupted.test(plain()), 20_000);
        } while (interrupted.test(plain()));
        assert.ok(ended(), `after ${key}: ${plain()}`);
      };

      await shows(first > 0 ? new RegExp(`${first} passed, ${first} total`) : /No tests found/);
      await shows(/Watch Usage/);
      text = '';
      change('c.test.js', `test('one more', () => {});\n`);
      await shows(new RegExp(`${second} passed, ${second} total`));
      await shows(/Watch Usage/);
      await press('a', () => /4 passed, 4 total/.test(plain())); // all tests, by hand
      await shows(/Watch Usage/);
      await press('q', () => end !== null);
      assert.deepEqual(end, { status: 0, signal: null }, plain());
      assert.ok(
        await until(() => processesWith('QE_TEST_MARK', mark).length === 0, 10_000),
        'no process is left',
      );
    });
  }
}

module.exports = { watching };
