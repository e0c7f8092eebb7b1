'use strict';
// A real server for queues, and projects whose runs nodes share.

const assert = require('node:assert/strict');
const { spawn } = require('node:child_process');
const fs = require('node:fs');
const net = require('node:net');
const os = require('node:os');
const path = require('node:path');

const { ROOT, cleanEnv, run, until } = require('./helpers');

const LONGEST_MS = 120_000;
const READY_MS = 20_000;
/** Names that CIs have for what runs: the caller's must not reach the tests. */
const CI = /^(GITHUB_|CI_|BUILDKITE_|CIRCLE_|BUILD_TAG$)/;

const folderOf = (t, name) => {
  const folder = fs.realpathSync(fs.mkdtempSync(path.join(os.tmpdir(), name)));
  t.after(() => fs.rmSync(folder, { recursive: true, force: true }));
  return folder;
};

async function freePort() {
  const server = net.createServer();
  await new Promise((resolve) => server.listen(0, '127.0.0.1', resolve));
  const { port } = server.address();
  await new Promise((resolve) => server.close(resolve));
  return port;
}

/** A server of a test's own: {port, url, ask, end, restart, kill}. It ends with the test. */
async function serve(t, ...words) {
  const folder = folderOf(t, 'qe-queue-server-');
  const port = await freePort();
  return serveIn(t, folder, port, ['--port', port, ...words]);
}

/** One that speaks TLS alone, by the certificate of `caFile`, for "localhost". */
async function serveTls(t) {
  const folder = folderOf(t, 'qe-queue-server-');
  const port = await freePort();
  const files = ['key.pem', 'cert.pem'].map((name) => path.join(folder, name));
  const made = await run([
    ...['openssl', 'req', '-x509', '-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:prime256v1'],
    ...['-nodes', '-days', '2', '-subj', '/CN=localhost'],
    ...['-addext', 'subjectAltName=DNS:localhost', '-keyout', files[0], '-out', files[1]],
  ]);
  assert.equal(made.status, 0, made.stderr);
  const server = await serveIn(t, folder, port, [
    ...['--port', 0, '--tls-port', port, '--tls-auth-clients', 'no'],
    ...['--tls-key-file', files[0], '--tls-cert-file', files[1], '--tls-ca-cert-file', files[1]],
  ]);
  return { ...server, url: `rediss://localhost:${port}/`, caFile: files[1] };
}

async function serveIn(t, folder, port, words) {
  let end;
  let kill;
  const begin = async () => {
    const child = spawn(
      'redis-server',
      ['--bind', '127.0.0.1', '--dir', folder, '--save', '', ...words].map(String),
      { stdio: ['ignore', 'pipe', 'inherit'] },
    );
    const closed = new Promise((resolve) => child.once('close', resolve));
    let text = '';
    child.stdout.setEncoding('utf8').on('data', (more) => (text += more));
    kill = (name) => child.kill(name);
    end = async () => {
      child.kill('SIGKILL');
      await closed;
    };
    assert.ok(await until(() => /Ready to accept connections/.test(text), READY_MS), text);
  };
  t.after(() => end());
  await begin();
  /** Kills it, and starts it again with what it has written by then. */
  const restart = async () => {
    await end();
    await begin();
  };

  /** What the server answers to a command: a number, a word or a text, or the first line. */
  const ask = (...command) =>
    new Promise((resolve, reject) => {
      const parts = command.map((word) => `$${Buffer.byteLength(word)}\r\n${word}\r\n`);
      const sent = `*${parts.length}\r\n${parts.join('')}`;
      const socket = net.connect(port, '127.0.0.1', () => socket.write(sent));
      let answer = '';
      socket.setEncoding('utf8').on('data', (more) => {
        answer += more;
        const text = /^\$\d/.test(answer);
        const found = (text ? /^\$\d+\r\n([^]*)\r\n$/ : /^.(.*)\r\n/).exec(answer);
        if (!found) return;
        socket.destroy();
        resolve(found[1]);
      });
      socket.on('error', reject);
    });
  const url = `redis://127.0.0.1:${port}/`;
  return { port, url, ask, end: () => end(), restart, kill: (name) => kill(name) };
}

/**
 * A project in a folder of its own. Its files say in `log` that they have begun, and wait
 * there for `open()`, if they call `begun(name)`.
 */
function project(t, files) {
  const folder = folderOf(t, 'qe-queue-test-');
  fs.symlinkSync(path.join(ROOT, 'node_modules'), path.join(folder, 'node_modules'));
  const all = {
    'package.json': '{ "name": "project", "private": true }',
    'begun.js': `
      const fs = require('node:fs');
      const path = require('node:path');
      module.exports = async (name) => {
        fs.appendFileSync(path.join(__dirname, 'log'), name + ' ' + process.env.QE_TEST_NODE + '\\n');
        while (!fs.existsSync(path.join(__dirname, 'gate'))) {
          await new Promise((resolve) => setTimeout(resolve, 10));
        }
      };
    `,
    log: '',
    ...files,
  };
  for (const [name, text] of Object.entries(all)) {
    fs.mkdirSync(path.dirname(path.join(folder, name)), { recursive: true });
    fs.writeFileSync(path.join(folder, name), text);
  }
  return {
    folder,
    open: () => fs.writeFileSync(path.join(folder, 'gate'), ''),
    /** What has begun, as [name, node], in that order. */
    begun: () =>
      fs
        .readFileSync(path.join(folder, 'log'), 'utf8')
        .split('\n')
        .slice(0, -1)
        .map((line) => line.split(' ')),
  };
}

/** Starts a node of a run: a program of ours, or any argv; `more` is its environment besides. */
function start(program, { folder }, name, words, more = {}) {
  const env = cleanEnv({ QE_TEST_NODE: name, FORCE_COLOR: '0', ...more });
  for (const each of Object.keys(env)) if (CI.test(each) && !(each in more)) delete env[each];
  const ours = () => [process.execPath, path.join(ROOT, 'js', 'bin', `${program}.js`)];
  const [file, ...before] = Array.isArray(program) ? program : ours();
  const child = spawn(file, [...before, ...words], {
    cwd: folder,
    env,
    stdio: ['ignore', 'pipe', 'pipe'],
    timeout: LONGEST_MS,
    killSignal: 'SIGKILL',
  });
  const output = { stdout: '', stderr: '' };
  for (const stream of ['stdout', 'stderr']) {
    child[stream].setEncoding('utf8').on('data', (text) => (output[stream] += text));
  }
  const ended = new Promise((resolve) => {
    child.on('close', (status, signal) => resolve({ ...output, status, signal }));
  });
  return { child, ended, output };
}

/** How many files a node says that it has run. */
function ranHere({ stderr, stdout }) {
  const found = /^(?:qe-\w+: )?run .*: (\d+) of (\d+) files? ran here$/m.exec(stderr + stdout);
  assert.ok(found, stderr + stdout);
  return Number(found[1]);
}

/** Waits for something to come true that one has to ask for. */
async function eventually(holds, what) {
  const end = Date.now() + READY_MS;
  while (!(await holds())) {
    assert.ok(Date.now() < end, what);
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
}

module.exports = { eventually, project, ranHere, serve, serveTls, start };
