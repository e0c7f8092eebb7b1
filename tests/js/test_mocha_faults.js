'use strict';
// Tests that hang, crash and throw what nobody can print: named, and nothing else lost.

const assert = require('node:assert/strict');
const { once } = require('node:events');
const fs = require('node:fs');
const os = require('node:os');
const path = require('node:path');
const test = require('node:test');
const { setTimeout: sleep } = require('node:timers/promises');
const { stripVTControlCharacters } = require('node:util');

const { QE_MOCHA, REPOSITORY, project, qeMocha, results, start } = require('./mocha-project');

const JSON_REPORT = ['--reporter', 'json', '--parallel=2'];
const TIMED_OUT = /Timeout: its worker did nothing else for 1 s and was killed/;

test('what blocks its worker is killed by name, and the rest runs', async (t) => {
  const folder = project(t, {
    'test/a.js': `
      describe('a', () => {
        it('before it', () => {});
        it('loops', () => { for (;;); });
        it('waits', () => { Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0); });
        it('never settles', function () { this.timeout(100); return new Promise(() => {}); });
        it('has all the time', function () { this.timeout(0); return new Promise(() => {}); });
        it('behind it', () => {});
        describe('hook', () => { beforeEach(() => { for (;;); }); it('x', () => {}); it('y', () => {}); });
        describe('whole', () => { before('first', () => { for (;;); }); it('x', () => {}); });
        describe('last', () => { it('behind all', () => {}); });
      });`,
    'test/b.js': "describe('b', () => { it('passes', () => {}); });",
    'test/c.js': 'for (;;);',
    'test/d.js': "process.kill(process.pid, 'SIGSEGV');",
  });
  const run = await qeMocha(folder, [...JSON_REPORT, '--test-timeout-hard=1']);
  const { tests, stats } = results(run);
  for (const name of ['loops', 'waits', 'has all the time'])
    assert.match(tests[`a ${name}`], TIMED_OUT);
  assert.match(tests['a loops'], /test\/a\.js/);
  assert.match(tests['a never settles'], /Timeout of 100ms exceeded/);
  assert.match(tests['a hook "before each" hook for "x"'], TIMED_OUT);
  assert.match(tests['a whole "before all" hook: first for "x"'], TIMED_OUT);
  assert.match(tests['test/c.js'], /killed.*while it loaded this file/);
  assert.match(tests['test/d.js'], /killed by SIGSEGV while it loaded this file/);
  for (const name of ['a before it', 'a behind it', 'a last behind all', 'b passes']) {
    assert.equal(tests[name], 'passed', name);
  }
  assert.equal(stats.suites, 5, 'each suite is told once');
  assert.match(tests['a has all the time'], /waiting for what never came/);
  assert.equal(run.code, 8);
});

test('hooks at the root and the end of a worker have the limit too', async (t) => {
  const folder = project(t, {
    'after.js': "after('last', () => { for (;;); }); it('a', () => {});",
    'before.js': "before('first', () => { for (;;); }); it('a', () => {});",
    'exit.js': "it('a', () => { process.on('exit', () => { for (;;); }); });",
    'other.js': "it('other', () => {});",
  });
  const named = {
    after: '"after all" hook: last for "other"',
    before: '"before all" hook: first for "a"',
    exit: 'the end of a worker',
  };
  for (const [file, title] of Object.entries(named)) {
    const args = [...JSON_REPORT, '--test-timeout-hard=1', `${file}.js`, 'other.js'];
    const run = await qeMocha(folder, args);
    const { tests, stats } = results(run);
    assert.match(tests[title], TIMED_OUT);
    assert.deepEqual([stats.failures, run.code], [1, 1], file);
    assert.equal(tests.other, file === 'before' ? undefined : 'passed');
  }
});

test('what ends its worker fails with the signal or the status', async (t) => {
  const folder = project(t, {
    'test/a.js': `
      describe('a', () => {
        it('before it', () => {});
        it('aborts', () => process.abort());
        it('segfaults', () => process.kill(process.pid, 'SIGSEGV'));
        it('exits', () => process.exit(3));
        it('exits well', () => process.exit(0));
        it('eats memory', function () {
          this.timeout(0);
          const eaten = [];
          for (;;) eaten.push(new Array(1e5).fill({}));
        });
        it('behind it', () => {});
      });`,
  });
  const run = await qeMocha(folder, [...JSON_REPORT, '--max-old-space-size=64']);
  const { tests } = results(run);
  assert.match(tests['a aborts'], /Crashed: its worker was killed by SIGABRT/);
  assert.match(tests['a segfaults'], /SIGSEGV/);
  assert.match(tests['a exits'], /exited with status 3/);
  assert.match(tests['a exits well'], /exited with status 0/);
  assert.match(tests['a eats memory'], /SIGABRT|status 134/);
  assert.equal(tests['a before it'], 'passed');
  assert.equal(tests['a behind it'], 'passed');
  assert.equal(run.code, 5);
});

test('spec shows each suite once, though its tests crash', async (t) => {
  const folder = project(t, {
    'test/a.js': `describe('outer', () => {
      describe('inner', () => { it('exits', () => process.exit(1)); it('goes on', () => {}); });
      describe('next', () => { it('exits too', () => process.exit(1)); });
    });
    describe('other', () => { it('passes', () => {}); });`,
  });
  const { stdout } = await qeMocha(folder);
  const shown = stripVTControlCharacters(stdout).split('passing')[0].replace(/ +$/gm, '').trim();
  assert.equal(
    shown.replace(/\s+2$/, ''),
    [
      'outer',
      '    inner',
      '      1) exits',
      '      ✔ goes on',
      '    next',
      '      2) exits too',
      '',
      '  other',
      '    ✔ passes',
    ].join('\n'),
  );
});

test('values that cannot be sent are shown, bounded', async (t) => {
  const folder = project(t, {
    'test/a.js': `
      const assert = require('assert');
      const getter = () => ({ get bad() { throw new Error('in a getter'); } });
      it('circular', () => { const e = new Error('round'); e.self = e; e.big = 10n; throw e; });
      it('getter', () => { throw Object.defineProperty(new Error('has one'), 'bad', {
        enumerable: true, get() { throw new Error('in a getter'); } }); });
      it('compared', () => assert.deepStrictEqual(getter(), { a: 1 }));
      it('huge', () => { const e = new Error('x'.repeat(3e6)); e.more = 'y'.repeat(3e6); throw e; });
      it('message', () => { throw { get message() { throw new Error('in message'); } }; });
      it('behind them', () => {});`,
  });
  const run = await qeMocha(folder, JSON_REPORT);
  const { tests } = results(run);
  assert.equal(tests.circular, 'round');
  assert.equal(tests.getter, 'has one');
  assert.match(tests.compared, /deep-equal/);
  assert.match(tests.huge, /^x+… \(2000000 more characters\)/);
  assert.notEqual(tests.message, 'passed');
  assert.equal(tests['behind them'], 'passed');
  assert.equal(run.code, 5);
  const { stdout } = await qeMocha(folder, ['--fgrep', 'circular', '--reporter', 'json']);
  assert.match(stdout, /\[Circular\][^]*10n/);
});

test('handles that are left open are named, and the run ends', async (t) => {
  const folder = project(t, {
    'open.js': `const net = require('net');
      it('opens', (done) => { net.createServer().listen(0, '127.0.0.1', done); });`,
    'closed.js': `const net = require('net');
      it('closes', (done) => { const s = net.createServer().listen(0, '127.0.0.1', () => s.close(done)); });`,
  });
  const { code, stderr } = await qeMocha(folder, ['open.js', 'closed.js', '--parallel=1']);
  assert.equal(stderr, 'qe-mocha: open.js left open: TCPServerWrap\n');
  assert.equal(code, 0);
});

test('a second worker starts where the tests take longer than loading', async (t) => {
  const files = {};
  for (let i = 0; i < 8; i++) {
    files[`test/${i}.js`] = `it('${i}', (done) => {
      console.log('worker ' + process.pid);
      setTimeout(done, Number(process.env.TAKES));
    });`;
  }
  const folder = project(t, files);
  const workers = async (TAKES, ...more) => {
    const { stdout, code } = await qeMocha(folder, ['--parallel=2', ...more], { TAKES });
    assert.equal(code, 0);
    assert.match(stdout, /8 passing/);
    return new Set(stdout.match(/worker \d+/g)).size;
  };
  assert.equal(await workers('1'), 1);
  assert.equal(await workers('600'), 2);
  assert.equal(await workers('600', '--parallel=1'), 1);
});

test('--bail ends the run at the first failure in serial order', async (t) => {
  const folder = project(t, {
    'test/a.js': "describe('a', () => { it('slow', (done) => setTimeout(done, 300)); });",
    'test/b.js':
      "describe('b', () => { it('crashes', () => process.exit(1)); it('no', () => {}); });",
    'test/c.js': "describe('c', () => { it('no', () => {}); });",
  });
  const { tests } = results(await qeMocha(folder, [...JSON_REPORT, '--bail']));
  assert.deepEqual(Object.keys(tests).sort(), ['a slow', 'b crashes']);
});

/** Processes whose environment names this run's own mark. */
function marked(mark) {
  return fs.readdirSync('/proc').filter((pid) => {
    try {
      return /^\d+$/.test(pid) && fs.readFileSync(`/proc/${pid}/environ`, 'utf8').includes(mark);
    } catch {
      return false;
    }
  });
}

test('workers killed at any time lose and double no result', async (t) => {
  const files = {};
  for (const name of ['a', 'b', 'c', 'd']) {
    files[`test/${name}.js`] = `describe('${name}', () => {
      for (let i = 0; i < 25; i++) it('test ' + i, (done) => setTimeout(done, 40));
    });`;
  }
  const folder = project(t, files);
  const mark = path.basename(folder);
  const running = qeMocha(folder, JSON_REPORT, { QE_TEST_MARK: mark });
  let over = false;
  running.then(() => (over = true));
  let killed = 0;
  while (!over && killed < 12) {
    await sleep(400 + killed * 7); // not in step with the tests
    const workers = marked(`QE_TEST_MARK=${mark}`).filter(isWorker);
    if (workers.length > 0) process.kill(Number(workers[killed++ % workers.length]), 'SIGKILL');
  }
  const { tests, stats } = results(await running);
  assert.ok(killed >= 5, `${killed} killed`);
  const own = Object.entries(tests).filter(([name]) => / test \d+$/.test(name));
  assert.equal(own.length, 100);
  for (const [name, state] of own) {
    assert.ok(state === 'passed' || /SIGKILL/.test(state), `${name}: ${state}`);
  }
  assert.equal(stats.suites, 4);
  assert.equal(stats.passes + stats.failures, Object.keys(tests).length, 'each has one result');
});

/** Kills its worker where that tells for the nth time of the test, once. */
const KILLS = (nth) => `describe('s', () => {
  const fs = require('fs');
  before(function () {
    let told = 0;
    const test = this.test.parent.tests.find(({ title }) => title === "killed");
    if (!test) return;
    Object.defineProperty(test, 'timedOut', {
      set() {},
      get() {
        if (!/tell/.test(new Error().stack) || ++told !== ${nth} || fs.existsSync('killed')) return;
        fs.writeFileSync('killed', '');
        process.kill(process.pid, 'SIGKILL');
      },
    });
  });
  it('first', () => {});
  it('killed', () => { throw new Error('its own'); });
  it('last', () => {});
});`;

test('a worker killed where it tells of a test loses and doubles nothing', async (t) => {
  for (const [nth, why] of [
    [1, /SIGKILL/],
    [2, /SIGKILL/],
    [3, /its own/],
  ]) {
    const folder = project(t, { 'test/a.js': KILLS(nth) });
    const { tests, stats } = results(await qeMocha(folder, JSON_REPORT));
    assert.ok(fs.existsSync(path.join(folder, 'killed')), `${nth}`);
    assert.match(tests['s killed'], why, `${nth}`);
    assert.deepEqual(Object.keys(tests).sort(), ['s first', 's killed', 's last'], `${nth}`);
    assert.deepEqual([stats.tests, stats.passes, stats.failures], [3, 2, 1], `${nth}`);
  }
});

test('workers lost before the spec files are loaded are replaced, within a bound', async (t) => {
  const folder = project(t, {
    'test/a.js': "it('passes', () => {});",
    'dies.js': `const fs = require('fs');
      if (fs.readFileSync('/proc/self/cmdline', 'utf8').includes('worker.js')) {
        fs.appendFileSync('loads', '.');
        const most = Number(process.env.MOST_DEATHS);
        if (fs.statSync('loads').size <= most) process.kill(process.pid, 'SIGKILL');
      }`,
  });
  const args = [...JSON_REPORT, '--require', './dies.js'];
  const { tests } = results(await qeMocha(folder, args, { MOST_DEATHS: 3 }));
  assert.deepEqual(tests, { passes: 'passed' });
  fs.rmSync(path.join(folder, 'loads'));
  const { code, stdout, stderr } = await qeMocha(folder, args, { MOST_DEATHS: 1000 });
  assert.equal(code, 1);
  assert.match(stdout + stderr, /killed by SIGKILL before the spec files were loaded/);
  const { size } = fs.statSync(path.join(folder, 'loads'));
  assert.ok(size > 3 && size < 60, `${size} workers`);
});

function isWorker(pid) {
  try {
    return fs.readFileSync(`/proc/${pid}/cmdline`, 'utf8').includes('worker.js');
  } catch {
    return false;
  }
}

const ENDS = [
  ['SIGINT'],
  ['SIGTERM'],
  ['SIGKILL'],
  ['SIGINT', '--expose-gc'],
  ['SIGKILL', '--expose-gc'],
];
for (const [signal, ...flags] of ENDS) {
  test(`${[signal, ...flags].join(' ')} to the parent leaves no process`, async (t) => {
    const folder = project(t, {
      'test/a.js': `it('hangs', () => {
        require('child_process').spawn('sleep', ['300'], { detached: true, stdio: 'ignore' });
        require('fs').writeFileSync('begun', '');
        for (;;);
      });`,
      'test/b.js': "it('passes', () => {});",
    });
    const TMPDIR = path.join(folder, 'tmp');
    fs.mkdirSync(TMPDIR);
    const mark = `QE_TEST_MARK=${path.basename(folder)}`;
    const child = start(QE_MOCHA, folder, ['--parallel=2', ...flags], {
      QE_TEST_MARK: path.basename(folder),
      TMPDIR,
    });
    const gone = once(child, 'exit');
    for (let i = 0; i < 500 && !fs.existsSync(path.join(folder, 'begun')); i++) await sleep(20);
    assert.ok(marked(mark).length >= 3, 'a worker runs, and what it has started');
    child.kill(signal);
    const [, by] = await gone;
    assert.equal(by, signal);
    const end = Date.now() + 1000;
    while (marked(mark).length > 0 && Date.now() < end) await sleep(20);
    assert.deepEqual(marked(mark), []);
    // What a SIGKILL of the one that has it leaves, the next run removes.
    assert.equal(fs.readdirSync(TMPDIR).length, signal === 'SIGKILL' && flags.length === 0 ? 1 : 0);
  });
}

test('what cannot be done is one line that says what to do', async (t) => {
  const folder = project(t, { 'test/a.js': "it('a', () => {});" });
  const empty = fs.mkdtempSync(path.join(os.tmpdir(), 'qe-mocha-test-'));
  t.after(() => fs.rmSync(empty, { recursive: true }));
  const old = path.join(empty, 'old', 'node_modules', 'mocha');
  fs.mkdirSync(old, { recursive: true });
  fs.writeFileSync(path.join(old, 'package.json'), '{ "name": "mocha", "version": "9.2.2" }');
  const cases = [
    [folder, ['--parallel=none'], '--parallel=none: takes a whole number from 1 to 1024'],
    [folder, ['--retry-backoff=3'], '--retry-backoff: is an option of qe-jest alone'],
    [
      folder,
      ['--shard-by-time=3/2'],
      '--shard-by-time=3/2: takes I/N, such as 1/3: the first of three shards',
    ],
    [
      folder,
      ['--max-worker-rss=much'],
      '--max-worker-rss=much: takes bytes from 1, or such as 512M or 1.5G',
    ],
    [folder, ['--parallel=0'], '--parallel=0: takes a whole number from 1 to 1024'],
    [
      folder,
      ['--test-timeout-hard=soon'],
      '--test-timeout-hard=soon: takes a number from 0.001 to 1000000',
    ],
    [empty, [], 'mocha is not installed here: npm install --save-dev mocha'],
    [path.join(empty, 'old'), [], 'mocha 9.2.2 is too old: npm install --save-dev mocha@^10'],
  ];
  for (const [where, args, line] of cases) {
    const { code, stdout, stderr } = await qeMocha(where, args);
    assert.deepEqual([code, stdout, stderr], [2, '', `qe-mocha: ${line}\n`]);
  }
});

test('an addon that is missing, or cannot be loaded, is one line', async (t) => {
  const folder = project(t, {
    'test/a.js': "it('a', () => {});",
    'a.test.js': "test('a', () => {});",
    'package.json': '{}',
  });
  const modules = path.join(REPOSITORY, 'node_modules'); // jest, too
  fs.rmSync(path.join(folder, 'node_modules'));
  fs.symlinkSync(modules, path.join(folder, 'node_modules'));
  const copy = fs.mkdtempSync(path.join(os.tmpdir(), 'qe-mocha-test-'));
  t.after(() => fs.rmSync(copy, { recursive: true }));
  fs.cpSync(path.join(REPOSITORY, 'js'), path.join(copy, 'js'), { recursive: true });
  fs.cpSync(path.join(REPOSITORY, 'package.json'), path.join(copy, 'package.json'));
  fs.symlinkSync(modules, path.join(copy, 'node_modules'));
  const prebuilt = path.join(copy, 'prebuilds', `linux-${process.arch}`);
  const line = (why) =>
    new RegExp(
      `^qe-(mocha|jest): no addon for linux-\\w+ \\(.*${why}.*\\): build it with: node .*\\n$`,
    );
  const check = async (why) => {
    for (const name of ['mocha', 'jest']) {
      const child = start(path.join(copy, `js/bin/qe-${name}.js`), folder, []);
      let said = '';
      child.stderr.setEncoding('utf8').on('data', (text) => (said += text));
      const [code] = await once(child, 'close');
      assert.match(said, line(why));
      assert.equal(code, 2, name);
    }
  };
  await check('No native build was found');
  fs.mkdirSync(prebuilt, { recursive: true });
  fs.writeFileSync(path.join(prebuilt, 'qe-jest.glibc.node'), 'no library');
  await check('invalid ELF header|file too short');
});

test('what a killed run has left in the temporary folder goes with the next one', async (t) => {
  const folder = project(t, {
    'test/a.js': "it('hangs', () => { require('fs').writeFileSync('begun', ''); for (;;); });",
    'quick.js': "it('passes', () => {});",
  });
  const TMPDIR = path.join(folder, 'tmp');
  fs.mkdirSync(path.join(TMPDIR, 'qe-mocha-1-2-mine'), { recursive: true }); // of elsewhere
  const child = start(QE_MOCHA, folder, [], { TMPDIR });
  const gone = once(child, 'exit');
  for (let i = 0; i < 500 && !fs.existsSync(path.join(folder, 'begun')); i++) await sleep(20);
  const left = fs.readdirSync(TMPDIR);
  assert.equal(left.length, 2);
  await qeMocha(folder, ['quick.js'], { TMPDIR });
  assert.deepEqual(fs.readdirSync(TMPDIR), left, 'that of a run that lives stays');
  child.kill('SIGKILL');
  await gone;
  await qeMocha(folder, ['quick.js'], { TMPDIR });
  assert.deepEqual(fs.readdirSync(TMPDIR), ['qe-mocha-1-2-mine']);
});
