'use strict';
// Nodes that are held (Ctrl-Z) and go on: for less than a lease, and for more.

const assert = require('node:assert/strict');
const fs = require('node:fs');
const path = require('node:path');
const { test } = require('node:test');

const { alive } = require('./helpers');
const { eventually, project, ranHere, serve, start } = require('./queue-server');

const COUNT = 6;
const jest = (name) => `
  const begun = require('./begun');
  test('waits', () => begun('${name}'), 100_000);
`;
const mocha = (name) => `
  const begun = require('../begun');
  it('waits in ${name}', () => begun('${name}'));
`;
const script = (name) => `
  echo "${name} $QE_TEST_NODE" >> log
  until [ -e gate ]; do sleep 0.02; done
`;
const NAMES = Array.from({ length: COUNT }, (_, i) => `f${i}`);
const filesOf = (place, text) => Object.fromEntries(NAMES.map((n) => [place(n), text(n)]));

/** Of each program: its files, and words beside those of the queue. */
const PROGRAMS = {
  'qe-jest': [filesOf((name) => `${name}.test.js`, jest), ['--parallel=1', '--queue-project=p']],
  'qe-mocha': [
    filesOf((name) => `test/${name}.js`, mocha),
    ['--parallel=1', '--queue-project=p', '--timeout=0'],
  ],
  qe: [
    filesOf((name) => `${name}.sh`, script),
    ['--max-concurrent=1', '--throttle=0', '--project=p'],
  ],
};

/**
 * Starts a node as a job of a shell, which Ctrl-Z can hold: where no shell could have it go on
 * the kernel holds nothing.
 */
async function startJob(t, program, own, name, words) {
  const bin = path.join(__dirname, '..', '..', 'js', 'bin', `${program}.js`);
  const file = path.join(own.folder, `pid.${name}`);
  const shell = 'set -m; "$@" & echo $! > "$0.new"; mv "$0.new" "$0"; wait -f $!';
  const before = ['bash', '-c', shell, file, process.execPath, bin];
  const node = start(before, own, name, words);
  await eventually(() => fs.existsSync(file), 'a job');
  const pid = Number(fs.readFileSync(file, 'utf8'));
  t.after(() => {
    if (alive(pid)) process.kill(pid, 'SIGKILL');
  });
  /** As a terminal does: to the job's group. */
  const signal = (what) => process.kill(-pid, what);
  const state = () => /\) (\S)/.exec(fs.readFileSync(`/proc/${pid}/stat`, 'utf8'))[1];
  const hold = async () => {
    signal('SIGTSTP');
    await eventually(() => state() === 'T', node.output.stderr);
  };
  return { ...node, hold, goOn: () => signal('SIGCONT') };
}

const wordsOf = (program, server, lease) => {
  const [files, more] = PROGRAMS[program];
  const queue = [`--queue=${server.url}`, '--run=1', `--queue-lease=${lease}`, ...more];
  return program === 'qe'
    ? ['exec', '--command=sh {file}', ...Object.keys(files), ...queue]
    : queue;
};

const text = ({ stdout, stderr }) => stdout + stderr;
const countsOf = (own) => {
  const counts = Object.fromEntries(NAMES.map((name) => [name, 0]));
  for (const [name] of own.begun()) counts[name] += 1;
  return counts;
};

for (const program of Object.keys(PROGRAMS)) {
  test(`${program}: held for less than a lease it loses nothing, and runs nothing twice`, async (t) => {
    const server = await serve(t);
    const own = project(t, PROGRAMS[program][0]);
    const words = wordsOf(program, server, 60);
    const first = await startJob(t, program, own, 'a', words);
    await eventually(() => own.begun().length === 1, text(first.output));
    const second = start(program, own, 'b', words);
    await eventually(() => own.begun().length === 2, text(second.output));
    await first.hold();
    own.open();
    // What the one that is held has claimed waits for it, or at least what comes of it.
    const told = async () => Number(await server.ask('XLEN', 'qe:{p/1}:tries'));
    await eventually(async () => (await told()) > 0, 'the other node tells of a file');
    first.goOn();
    const ends = await Promise.all([first.ended, second.ended]);
    for (const end of ends) {
      assert.equal(end.status, 0, text(end));
      assert.doesNotMatch(text(end), /too late|could not be told/);
    }
    assert.equal(ranHere(ends[0]) + ranHere(ends[1]), COUNT);
    assert.ok(ranHere(ends[0]) >= 1);
    assert.deepEqual([...new Set(Object.values(countsOf(own)))], [1]);
  });

  test(`${program}: held for more, others run what it had, and nothing counts twice`, async (t) => {
    const server = await serve(t);
    const own = project(t, PROGRAMS[program][0]);
    const words = wordsOf(program, server, 1);
    const first = await startJob(t, program, own, 'a', words);
    await eventually(() => own.begun().length === 1, text(first.output));
    const [[held]] = own.begun();
    const second = start(program, own, 'b', words);
    await eventually(() => own.begun().length === 2, text(second.output));
    await first.hold();
    own.open();
    const end = await second.ended; // it had to wait for the lease's end
    assert.equal(end.status, 0, text(end));
    assert.match(text(end), new RegExp(`in the whole run ${COUNT} passed`));
    assert.equal(countsOf(own)[held], 2);
    first.goOn();
    const late = await first.ended;
    assert.equal(late.status, 0, text(late));
    assert.match(text(late), /\d attempts? of this node came too late to count/);
    assert.equal(ranHere(end) + ranHere(late), COUNT);
    const told = ['queue', 'report', '1', `--queue=${server.url}`, '--project=p', '--json=-'];
    const { stdout } = await start('qe', own, 'r', told).ended;
    const { run, tests } = JSON.parse(stdout);
    assert.ok(run.queue.complete);
    assert.ok(run.queue.late.some(({ id }) => path.basename(id).startsWith(held)));
    assert.equal(tests.length, COUNT);
    assert.ok(tests.every(({ outcome }) => outcome === 'passed'));
  });
}
