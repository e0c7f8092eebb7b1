'use strict';
// What tests print, in the reports of qe-jest and qe-mocha.

const assert = require('node:assert/strict');
const { test } = require('node:test');

const { Excerpt } = require('../../js/captured');
const { JEST, MOCHA, outputs, plainly, project, steady, testConsole, told } = require('./outputs');

const FILE = `
const print = (text) => { process.stdout.write(text); };
before(() => print('of all\\n'));
afterEach(() => print('behind each\\n'));
it('passes', () => print('not told\\n'));
it('fails', () => { print('mine\\n'); process.stderr.write('error of mine\\n'); throw new Error('no'); });
it('fails quietly', () => { throw new Error('no'); });
it('prints anything', () => {
  print('\\x1b[31mred\\x1b[0m <script>');
  print(Buffer.from([0xff, 0x00, 0x41]));
  throw new Error('no');
});
it('prints much', () => { print('begin' + 'é'.repeat(1e6) + 'end'); throw new Error('no'); });
`;

function checkFile(result, all) {
  const file = { 'Captured stdout outside of tests': all };
  assert.deepEqual(outputs(result, 'passes'), [{}]);
  assert.deepEqual(outputs(result, 'fails'), [
    {
      'Captured stdout': 'mine\nbehind each\n',
      'Captured stderr': 'error of mine\n',
      ...file,
    },
  ]);
  assert.deepEqual(outputs(result, 'quietly'), [{ 'Captured stdout': 'behind each\n', ...file }]);
  // A byte that is no UTF-8, and one that no text of the core's can hold.
  assert.equal(
    outputs(result, 'anything')[0]['Captured stdout'],
    '\x1b[31mred\x1b[0m <script>\udcff\ufffdAbehind each\n',
  );
  const long = outputs(result, 'much')[0]['Captured stdout'];
  assert.match(long, /^beginé+\n\[qe: \d+ of 2000020 bytes left out\]\né+endbehind each\n$/);
  assert.ok(Buffer.byteLength(long) < (1 << 18) + 100);
}

test('jest: what a failing test prints is its own, what else is its file’s', async () => {
  const folder = project('output-jest', {
    'a.test.js': FILE.replace('before(', 'beforeAll('),
    'b.test.js': "it('is another', () => {});",
  });
  const plain = await plainly(folder, JEST, '--parallel=1');
  const { result, stdout, stderr } = await told(folder, JEST, '--parallel=1');
  checkFile(result, 'of all\n');
  assert.equal(steady(stdout), steady(plain.stdout));
  assert.equal(steady(stderr), steady(plain.stderr));
});

testConsole('output-console');

test('jest: tests that run at once share what they print', async () => {
  const folder = project('output-concurrent', {
    'a.test.js': `
test.concurrent('one', async () => { process.stdout.write('a\\n'); throw new Error('no'); });
test.concurrent('two', async () => { process.stdout.write('b\\n'); });
`,
  });
  const { result } = await told(folder, JEST);
  assert.deepEqual(outputs(result, 'one'), [{ 'Captured stdout outside of tests': 'a\nb\n' }]);
});

for (const [name, program, options] of [
  ['jest', JEST, ['--retries=1']],
  ['mocha', MOCHA, ['--retries=1']],
]) {
  test(`${name}: each attempt has its own, also one that is killed`, async () => {
    const folder = project(`output-ends-${name}`, {
      [name === 'jest' ? 'a.test.js' : 'test/a.js']: `
const fs = require('fs');
const nth = (name) => { fs.appendFileSync(name, 'x'); return fs.statSync(name).size; };
it('again', () => { const n = nth('n'); process.stdout.write('try ' + n); if (n < 2) throw new Error('no'); });
it('hangs', () => { process.stdout.write('on my way'); for (;;); });
it('dies', () => { process.stderr.write('last words'); process.kill(process.pid, 'SIGSEGV'); for (;;); });
`,
    });
    const { result } = await told(folder, program, '--test-timeout-hard=4', ...options);
    assert.deepEqual(outputs(result, 'again'), [{ 'Captured stdout': 'try 1' }, {}]);
    assert.deepEqual(outputs(result, 'hangs')[0], { 'Captured stdout': 'on my way' });
    assert.deepEqual(outputs(result, 'dies')[0], { 'Captured stderr': 'last words' });
  });

  test(`${name}: passes of a hunt have it, too`, async () => {
    const folder = project(`output-hunt-${name}`, {
      [name === 'jest' ? 'a.test.js' : 'test/a.js']: `
const fs = require('fs');
it('is flaky', () => {
  fs.appendFileSync('n', 'x');
  const n = fs.statSync('n').size;
  process.stdout.write('run ' + n);
  if (n % 2 === 0) throw new Error('no');
});
`,
    });
    const words = ['--flaky=6', '--flaky-causes=off', '--flaky-seed=1', '--parallel=1'];
    const { result } = await told(folder, program, ...words);
    const { attempts } = result.tests[0];
    const failed = attempts.filter(({ outcome }) => outcome === 'failed');
    assert.ok(failed.length >= 2, JSON.stringify(attempts));
    const even = failed.map(({ texts }) => texts.find(({ kind }) => kind === 'output').text);
    for (const text of even) assert.equal(Number(/^run (\d+)$/.exec(text)[1]) % 2, 0);
    assert.equal(new Set(even).size, failed.length);
  });
}

test('mocha: what a failing test prints is its own, what else is its file’s', async () => {
  const folder = project('output-mocha', {
    'test/a.js': FILE,
    'test/b.js':
      "it('is another', () => {}); describe('s', () => { before(() => { console.log('hook'); throw new Error('no'); }); it('never', () => {}); });",
  });
  const plain = await plainly(folder, MOCHA, '--parallel=1');
  const { result, stdout, stderr } = await told(folder, MOCHA, '--parallel=1');
  checkFile(result, 'of all\n');
  const [hook] = outputs(result, '"before all" hook for "never"');
  assert.deepEqual(hook, { 'Captured stdout outside of tests': 'hook\n' });
  assert.equal(steady(stdout), steady(plain.stdout));
  assert.equal(steady(stderr), steady(plain.stderr));
});

test('an excerpt has both ends, whatever the pieces', () => {
  const text = Buffer.from(Array.from({ length: 1000 }, (_, i) => i % 251));
  for (const size of [1, 3, 7, 64, 999, 1000]) {
    const excerpt = new Excerpt(64);
    for (let at = 0; at < text.length; at += size) excerpt.add(text.subarray(at, at + size));
    const told = excerpt.bytes().toString('latin1');
    assert.ok(told.startsWith(text.subarray(0, 32).toString('latin1')));
    assert.match(told, /\[qe: 936 of 1000 bytes left out\]/);
    const whole = new Excerpt(1000);
    for (let at = 0; at < text.length; at += size) whole.add(text.subarray(at, at + size));
    assert.deepEqual(whole.bytes(), text);
  }
});

test('an excerpt is cut between characters', () => {
  for (const character of ['é', '€', '😀']) {
    for (let before = 0; before < 4; before++) {
      const excerpt = new Excerpt(64);
      excerpt.add(Buffer.from('x'.repeat(before) + character.repeat(100)));
      const told = excerpt.bytes();
      assert.equal(Buffer.from(told.toString()).compare(told), 0);
      const left = Number(/qe: (\d+) of/.exec(told)[1]);
      const kept = told.length - /\n\[.*\]\n/.exec(told)[0].length;
      assert.equal(left + kept, Buffer.byteLength(character) * 100 + before);
    }
  }
});
