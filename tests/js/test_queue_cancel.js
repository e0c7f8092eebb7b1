'use strict';
// A signal to a node that waits for its server: for one that does not answer nobody waits on.

const assert = require('node:assert/strict');
const fs = require('node:fs');
const { test } = require('node:test');

const { eventually, project, serve, start } = require('./queue-server');

/** Far below the two leases that a server is waited for. */
const LEASE_S = 120;
const SOON_MS = 60_000;

const PROJECTS = {
  'qe-jest': { 'f.test.js': "const begun = require('./begun'); test('f', () => begun('f'), 1e5);" },
  'qe-mocha': { 'test/f.js': "const begun = require('../begun'); it('f', () => begun('f'));" },
};
const words = (server, program) => [
  `--queue=${server.url}`,
  '--run=1',
  '--queue-project=p',
  `--queue-lease=${LEASE_S}`,
  ...(program === 'qe-mocha' ? ['--timeout=0'] : ['--parallel=1']),
];

/** Whether anybody has connected to the port. */
function isConnected(port) {
  const remote = `:${port.toString(16).toUpperCase().padStart(4, '0')}`;
  const lines = fs.readFileSync('/proc/net/tcp', 'latin1').split('\n').slice(1, -1);
  return lines.map((line) => line.trim().split(/\s+/)).some((of) => of[2].endsWith(remote));
}

async function interrupted({ child, ended }) {
  const began = Date.now();
  child.kill('SIGINT');
  const end = await ended;
  assert.ok(Date.now() - began < SOON_MS, end.stderr);
  assert.equal(end.signal, 'SIGINT', end.stderr);
  return end;
}

for (const program of Object.keys(PROJECTS)) {
  test(`${program}: who comes to a server that is frozen can be interrupted`, async (t) => {
    const server = await serve(t);
    const own = project(t, PROJECTS[program]);
    server.kill('SIGSTOP');
    const node = start(program, own, 'a', words(server, program));
    await eventually(() => isConnected(server.port), node.output.stderr);
    await interrupted(node);
    server.kill('SIGCONT');
    assert.equal(await server.ask('DBSIZE'), '0');
  });

  test(`${program}: one at its end says what it could not tell`, async (t) => {
    const server = await serve(t);
    const own = project(t, PROJECTS[program]);
    const node = start(program, own, 'a', words(server, program));
    await eventually(() => own.begun().length === 1, node.output.stderr);
    server.kill('SIGSTOP');
    own.open();
    const tasks = `/proc/${node.child.pid}/task`;
    const children = () =>
      fs.readdirSync(tasks).map((task) => fs.readFileSync(`${tasks}/${task}/children`, 'latin1'));
    await eventually(() => children().join('') === '', 'the worker to end');
    const end = await interrupted(node);
    assert.match(end.stderr, /1 result of this node could not be told to the server$/m);
  });
}
