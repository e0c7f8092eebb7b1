'use strict';
// MemoryStore: what one process stores the next one finds, until its time is over.

const assert = require('node:assert/strict');
const fs = require('node:fs');
const os = require('node:os');
const path = require('node:path');
const { after, test } = require('node:test');

const qe = require('../..');
const { ROOT, run } = require('./helpers');

const folder = fs.realpathSync(fs.mkdtempSync(path.join(os.tmpdir(), 'qe-test-')));
after(() => fs.rmSync(folder, { recursive: true }));
const python = path.join(ROOT, 'build', 'venv', 'bin', 'python');

let files = 0;
function fresh() {
  return new qe.MemoryStore(path.join(folder, `deep/${(files += 1)}`, 'memory.db'));
}

test('what was stored is retrieved, replaced, searched and deleted', async () => {
  const memory = fresh();
  assert.equal(await memory.retrieve('aqe/a'), null);
  await memory.store('aqe/a', { list: [1, null, 'ä\0\ud800'] });
  await memory.store('aqe/b', 0, null);
  await memory.store('other', false);
  await memory.store('__proto__', 'own');
  assert.deepEqual(await memory.retrieve('aqe/a'), { list: [1, null, 'ä\0\ud800'] });
  assert.deepEqual(Object.entries(await memory.search('aqe/*')), [
    ['aqe/a', { list: [1, null, 'ä\0\ud800'] }],
    ['aqe/b', 0],
  ]);
  assert.deepEqual(Object.entries(await memory.search('_*')), [['__proto__', 'own']]);
  await memory.store('aqe/b', 'new');
  assert.equal(await memory.retrieve('aqe/b'), 'new');
  assert.equal(await memory.delete('aqe/b'), true);
  assert.equal(await memory.delete('aqe/b'), false);
  assert.equal(await memory.retrieve('aqe/b'), null);
  memory.close();
});

test('what has expired is gone', async () => {
  const memory = fresh();
  await memory.store('soon', 1, 1e-9);
  await memory.store('later', 2, 3600);
  assert.equal(await memory.retrieve('soon'), null);
  assert.deepEqual(await memory.search('*'), { later: 2 });
  await memory.gc();
  assert.equal(await memory.delete('soon'), false);
  memory.close();
});

test('wrong arguments are refused in one line that says what would be right', async () => {
  const memory = fresh();
  const loop = [];
  loop.push(loop);
  for (const value of [undefined, NaN, { a: Infinity }, () => 1, [Symbol('s')], 1n, loop]) {
    await assert.rejects(memory.store('key', value), (error) => {
      assert.ok(error instanceof TypeError);
      assert.match(error.message, /^value of "key": takes what JSON can say: .+$/);
      return true;
    });
  }
  for (const ttl of [0, -1, NaN, '60', 1e10]) {
    await assert.rejects(memory.store('key', 1, ttl), /^RangeError: ttl: takes more than 0 .+$/);
  }
  await assert.rejects(memory.store(5, 1), /key: takes a string, not 5/);
  await assert.rejects(memory.retrieve('a\0b'), /key: takes a string without a NUL/);
  assert.throws(() => new qe.MemoryStore(5), /path: takes a string, not number/);
  assert.equal(await memory.retrieve('key'), null);
  memory.close();
  memory.close();
  await assert.rejects(memory.retrieve('key'), /the store is closed/);
});

test('a damaged file is named, and stays as it is', async () => {
  const file = path.join(folder, 'bad.db');
  fs.writeFileSync(file, 'no database'.repeat(1000));
  const memory = new qe.MemoryStore(file);
  await assert.rejects(memory.store('a', 1), { code: 'QE_ECORRUPT', message: /^\/.*bad\.db: / });
  assert.equal(fs.readFileSync(file, 'utf8'), 'no database'.repeat(1000));
});

test('the default is the history of the project, here or above', async () => {
  const project = path.join(folder, 'project');
  const deep = path.join(project, 'a', 'b');
  fs.mkdirSync(deep, { recursive: true });
  const program = `new (require(${JSON.stringify(ROOT)}).MemoryStore)()`;
  const at = async (cwd) => {
    const done = await run([process.execPath, '-p', `${program}.path`], { cwd });
    assert.equal(done.stderr, '');
    return done.stdout.trim();
  };
  assert.equal(await at(deep), path.join(deep, '.qe', 'history.db'));
  const store = [process.execPath, '-e', `${program}.store('key', [1])`];
  assert.equal((await run(store, { cwd: project })).status, 0);
  assert.ok(fs.existsSync(path.join(project, '.qe', '.gitignore')));
  assert.equal(await at(deep), path.join(project, '.qe', 'history.db'));
});

test('Python reads what Node has stored, and Node what Python has', async () => {
  const file = path.join(folder, 'both.db');
  const memory = new qe.MemoryStore(file);
  await memory.store('aqe/node', { text: 'ä\u{1f600}\0', list: [1.5, null, true] }, 3600);
  memory.close();
  const program = `
import asyncio, sys
from pytest_qe.memory import MemoryStore
async def main():
    with MemoryStore(sys.argv[1]) as memory:
        found = await memory.search("aqe/*")
        await memory.store("aqe/python", found["aqe/node"] | {"more": {"a": ["ö"]}}, ttl=60)
        await memory.store("aqe/gone", 1, ttl=1e-9)
        await memory.delete("aqe/node")
asyncio.run(main())`;
  const done = await run([python, '-c', program, file], { cwd: folder });
  assert.equal(done.stderr, '');
  assert.equal(done.status, 0);
  const other = new qe.MemoryStore(file);
  assert.deepEqual(await other.search('aqe/*'), {
    'aqe/python': {
      text: 'ä\u{1f600}\0',
      list: [1.5, null, true],
      more: { a: ['ö'] },
    },
  });
  other.close();
});

test('processes that store at once all store', async () => {
  const file = path.join(folder, 'many.db');
  const program = `
    const memory = new (require(${JSON.stringify(ROOT)}).MemoryStore)(process.argv[1]);
    (async () => {
      for (let i = 0; i < 15; i++) await memory.store(process.argv[2] + i, { i });
    })();`;
  const all = ['a', 'b', 'c', 'd'].map((name) =>
    run([process.execPath, '-e', program, file, name], { cwd: folder }),
  );
  for (const done of await Promise.all(all)) {
    assert.equal(done.stderr, '');
    assert.equal(done.status, 0);
  }
  const memory = new qe.MemoryStore(file);
  assert.equal(Object.keys(await memory.search('*')).length, 60);
  memory.close();
});
