'use strict';
// A history on a server, which machines share, with a real server.

const assert = require('node:assert/strict');
const fs = require('node:fs');
const path = require('node:path');
const { test } = require('node:test');

const { History } = require('../../js/addon');
const { runsKept } = require('../../js/sharedhistory');
const { project, serve, start } = require('./queue-server');

const LOG = 'qe:{p/}:history';
const SLOW_MS = 400;

const begins = (name, ms) => `
  const fs = require('node:fs');
  (global.test ?? global.it)('is ${name}', (done) => {
    fs.appendFileSync(__dirname + '/began', '${name} ');
    setTimeout(done, ${ms});
  });
`;

/** A machine: a project of three files, of which the last one by name is slow. */
const machine = (t, more) =>
  project(t, {
    'a.test.js': begins('a', 0),
    'b.test.js': begins('b', 0),
    'z.test.js': begins('z', SLOW_MS),
    ...more,
  });

const history = ({ url }) => [`--history=${url}`, '--queue-project=p'];

const PROGRAMS = {
  'qe-jest': ['--parallel=1'],
  'qe-mocha': ['--parallel=2', '*.test.js'],
};

/** Runs a program on a machine, to its end. */
async function ran(program, own, words, env) {
  const end = await start(program, own, 'n', words, env).ended;
  assert.equal(end.status, 0, end.stdout + end.stderr);
  return end;
}

const began = ({ folder }) => fs.readFileSync(path.join(folder, 'began'), 'utf8').trim().split(' ');

/** How many runs a machine knows. */
function known({ folder }) {
  const [name] = fs.readdirSync(path.join(folder, '.qe')).filter((one) => /^shared-/.test(one));
  const own = new History(path.join(folder, '.qe', name, 'history.db'));
  try {
    return own.runs(100).length;
  } finally {
    own.close();
  }
}

for (const [program, words] of Object.entries(PROGRAMS)) {
  test(`${program} on a fresh machine begins with what took long on another`, async (t) => {
    const server = await serve(t);
    const [one, other] = [machine(t), machine(t)];
    const args = [...words, ...history(server)];
    await ran(program, one, args);
    assert.equal(await server.ask('XLEN', LOG), '1');
    const end = await ran(program, other, args);
    assert.equal(began(other)[0], 'z');
    assert.equal(await server.ask('XLEN', LOG), '2');
    assert.equal(known(other), 2);
    assert.doesNotMatch(end.stderr, /warning/);
    assert.ok(!fs.existsSync(path.join(one.folder, '.qe', 'history.db')));
    const shown = await start('qe', one, 'n', ['history', `--history=${server.url}`], {
      QE_QUEUE_PROJECT: 'p',
    }).ended;
    assert.match(shown.stdout, /z\.test\.js::is z/);
  });

  test(`${program} goes on without its server, and loses nothing`, async (t) => {
    const server = await serve(t);
    const own = machine(t, { 'x.test.js': begins('x', 0) });
    const args = [...words, ...history(server)];
    await ran(program, own, args);
    await server.end();
    const { stderr } = await ran(program, own, args);
    const said = stderr.split('\n').filter((line) => line.includes('shared history'));
    assert.equal(said.length, 2, stderr);
    assert.match(said[0], /^qe-\w+: warning: .* refused: what is known here is used$/);
    assert.match(said[1], /refused: this run is appended at the next contact$/);
    assert.equal(known(own), 2);
    await serve(t, '--port', server.port); // without its data
    await ran(program, own, args);
    await ran(program, own, args);
    assert.equal(known(own), 4);
    assert.equal(await server.ask('XLEN', LOG), '3'); // the first went with the data
  });

  test(`${program} refuses an address that is none`, async (t) => {
    const own = machine(t);
    for (const url of ['http://host/', 'redis://', 'redis://ann:secret%@h']) {
      const end = await start(program, own, 'n', [...words, `--history=${url}`]).ended;
      assert.notEqual(end.status, 0);
      assert.match(end.stderr, /history/);
      assert.doesNotMatch(end.stdout + end.stderr, /secret|\n\s+at /);
    }
  });
}

test('a password is told to nobody', async (t) => {
  const server = await serve(t, '--requirepass', 'open-sesame');
  const own = machine(t, {
    'seen.test.js': `test('is not seen', () => {
      expect(JSON.stringify(process.env)).not.toMatch(/sesame/);
    });`,
  });
  const url = server.url.replace('//', '//:open-sesame@');
  const args = ['--parallel=1', '--queue-project=p', '--report-json=r.json'];
  await ran('qe-jest', own, [...args, `--history=${url}`]);
  assert.equal(known(own), 1);
  const wrong = url.replace('sesame', 'sesam');
  const end = await ran('qe-jest', own, [...args, `--history=${wrong}`]);
  assert.match(end.stderr, /WRONGPASS.*: what is known here is used$/m);
  assert.equal(known(own), 2); // of either password it is one history
  const told = end.stdout + end.stderr + fs.readFileSync(path.join(own.folder, 'r.json'), 'utf8');
  assert.doesNotMatch(told, /sesam/);
});

test('a password of the environment is for queue and history, and for no test', async (t) => {
  const server = await serve(t, '--requirepass', 'open-sesame');
  const own = machine(t, {
    'seen.test.js': `test('is not seen', () => {
      expect(JSON.stringify(process.env)).not.toMatch(/sesame/);
    });`,
  });
  const env = { QE_QUEUE_PASSWORD: 'open-sesame', QE_HISTORY: server.url };
  const node = [`--queue=${server.url}`, '--queue-project=p', '--run=1'];
  for (const words of [['--queue-project=p'], node]) {
    const end = await ran('qe-jest', own, ['--parallel=1', ...words], env);
    assert.doesNotMatch(end.stderr, /warning/);
  }
  assert.equal(known(own), 2);
  const more = ['--framework=jest', `--queue=${server.url}`, '--run=2'];
  const end = await ran('qe', own, ['exec', 'a.test.js', ...more], {
    ...env,
    QE_QUEUE_PROJECT: 'p',
  });
  assert.doesNotMatch(end.stdout + end.stderr, /shared history/);
  assert.equal(known(own), 3);
});

test('QE_HISTORY is for agents, too, and may be a file', async (t) => {
  const server = await serve(t);
  const [one, other] = [machine(t), machine(t)];
  const env = { QE_HISTORY: server.url, QE_QUEUE_PROJECT: 'p' };
  const words = ['exec', 'a.test.js', 'z.test.js', '--framework=jest'];
  await ran('qe', one, words, env);
  assert.equal(await server.ask('XLEN', LOG), '1');
  await ran('qe', other, words, env);
  assert.equal(known(other), 2);
  await ran('qe-jest', one, ['--parallel=1'], { QE_HISTORY: 'own.db' });
  assert.ok(fs.existsSync(path.join(one.folder, 'own.db')));
});

test('as many runs are kept as of a history', () => {
  assert.deepEqual([1, 20_000, 1e9].map(runsKept), [200, 50, 10]);
});
