'use strict';
// index.d.ts: it compiles, says what there is, and forbids what is wrong.

const assert = require('node:assert/strict');
const fs = require('node:fs');
const path = require('node:path');
const { test } = require('node:test');

const { ROOT, run } = require('./helpers');

const folder = path.join(ROOT, 'build', 'test-types');

test('programs in TypeScript compile against index.d.ts, CommonJS and ESM', async () => {
  fs.rmSync(folder, { recursive: true, force: true });
  fs.mkdirSync(path.join(folder, 'node_modules'), { recursive: true });
  fs.symlinkSync(ROOT, path.join(folder, 'node_modules', 'qe-jest'));
  const program = fs.readFileSync(path.join(__dirname, 'types.ts'));
  for (const name of ['program.cts', 'program.mts']) {
    fs.writeFileSync(path.join(folder, name), program);
  }
  const compilerOptions = {
    module: 'nodenext',
    target: 'es2022',
    lib: ['es2023'],
    strict: true,
    noUnusedLocals: true,
    exactOptionalPropertyTypes: true,
    noEmit: true,
    typeRoots: [path.join(ROOT, 'node_modules', '@types')],
    types: ['node'],
  };
  const config = { compilerOptions, files: ['program.cts', 'program.mts'] };
  fs.writeFileSync(path.join(folder, 'tsconfig.json'), JSON.stringify(config));
  const tsc = path.join(ROOT, 'node_modules', 'typescript', 'bin', 'tsc');
  const done = await run([process.execPath, tsc, '-p', folder], { cwd: folder });
  assert.equal(done.stdout + done.stderr, '');
  assert.equal(done.status, 0);
});

test('index.d.ts declares what index.js exports', () => {
  const text = ['index.d.ts', 'agents/index.d.ts']
    .map((name) => fs.readFileSync(path.join(ROOT, 'js', name), 'utf8'))
    .join('\n');
  const declared = [...text.matchAll(/^export (?:const|function|class) (\w+)/gm)].map((m) => m[1]);
  const qe = require('../..');
  assert.deepEqual([...new Set(declared)].sort(), Object.keys(qe).sort());
  for (const one of [qe.Record, qe.History]) {
    const [, body] = new RegExp(`^export class ${one.name} \\{\\n(.*?)^\\}`, 'ms').exec(text);
    const methods = [...body.matchAll(/^ {2}(\w+)\(/gm)].map((m) => m[1]);
    assert.deepEqual(methods.filter((n) => n !== 'constructor').sort(), namesOf(one));
  }
});

function namesOf(one) {
  return Object.getOwnPropertyNames(one.prototype)
    .filter((name) => name !== 'constructor')
    .sort();
}

test('import and require give the same', async () => {
  const imported = await import(path.join(ROOT, 'js', 'index.js'));
  const required = require('../..');
  assert.equal(imported.default, required);
  for (const name of Object.keys(required)) assert.equal(imported[name], required[name], name);
});
