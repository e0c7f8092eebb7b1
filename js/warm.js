'use strict';
// Warm servers: an interpreter that has imported pytest, and forks for each run.

const { spawn } = require('node:child_process');
const fs = require('node:fs');
const os = require('node:os');
const path = require('node:path');

const { bindWarm } = require('./addon');

const SCRIPT = path.join(__dirname, '..', 'python', 'pytest_qe', 'warmserver.py');
const READY_MS = 30_000;
const END_MS = 12_000;
const MOST_BYTES = 4096;
const SOCKET = 3; // of a server: the descriptor where it listens
const AT_ONCE = Math.max(1, Math.floor(os.availableParallelism() / 2)); // that come up at a time

/** The beginning of a file. */
function beginningOf(file) {
  const fd = fs.openSync(file, 'r');
  try {
    const bytes = Buffer.alloc(MOST_BYTES);
    return bytes.subarray(0, fs.readSync(fd, bytes, 0, MOST_BYTES, 0)).toString('latin1');
  } finally {
    fs.closeSync(fd);
  }
}

/** The Python that runs a script, by its first line; null: it has none. */
function interpreterOf(script) {
  const text = beginningOf(script);
  const [line] = text.split('\n', 1);
  const named = /^#!\s*(\/\S*python[0-9.]*)\s*$/.exec(line);
  if (named !== null) return named[1];
  // What pip writes where the path is long or has spaces: #!/bin/sh, then '''exec' ...
  if (line.startsWith('#!/bin/sh')) {
    const long = /'''exec' "?(\/[^"\n]*python[0-9.]*)"? /.exec(text);
    if (long !== null) return long[1];
  }
  return /^#!\s*\/usr\/bin\/env\s+(python[0-9.]*)\s*$/.exec(line)?.[1] ?? null; // in PATH
}

/** Environment of this process, with changes. */
function changed(env = {}) {
  const all = Object.entries({ ...process.env, ...env });
  return Object.fromEntries(all.filter(([, value]) => value !== null && value !== undefined));
}

/**
 * Runs `warmserver.py` for a script; closed, it ends all that it has started. It ends with
 * this process, too, however that ends: it listens for the end of a pipe.
 */
class WarmServer {
  #start;
  #socket;
  #child = null;
  #ended = Promise.resolve();
  #hasCome = false;
  name; // its address, known before it listens
  isUp = Promise.resolve(false); // of what has not been started

  constructor(script, options, { env, cwd }) {
    const python = interpreterOf(script);
    if (python === null) {
      throw new Error(`${script}: begins with no line that names a Python interpreter`);
    }
    const { fd, name } = bindWarm();
    this.#socket = fd;
    this.name = name;
    this.#start = () =>
      spawn(python, [SCRIPT, script, ...options], {
        cwd,
        env: { ...changed(env), QE_WARM_SOCKET: `${SOCKET}` },
        stdio: ['pipe', 'pipe', 'ignore', fd],
      });
  }

  /** Starts its process, once, without waiting for it; not after its end. */
  start() {
    if (this.#socket === null) return;
    try {
      this.#child = this.#start();
    } catch {
      return; // it does not come up
    } finally {
      this.#forget();
    }
    this.#child.stdin?.on('error', () => {}); // it has gone already
    this.#ended = new Promise((resolve) => {
      this.#child.on('error', resolve); // no such interpreter
      this.#child.on('close', resolve);
    });
    this.isUp = this.#awaitLine();
    this.isUp.then((isUp) => (this.#hasCome = isUp));
  }

  #forget() {
    if (this.#socket !== null) fs.closeSync(this.#socket);
    this.#socket = null;
  }

  async #awaitLine() {
    const { stdout } = this.#child;
    let limit;
    const line = new Promise((resolve) => {
      stdout?.on('data', (bytes) => bytes.includes('\n') && resolve(true));
      limit = setTimeout(() => resolve(false), READY_MS);
      this.#ended.then(() => resolve(false));
    });
    const isUp = await line;
    clearTimeout(limit);
    return isUp;
  }

  /**
   * Nobody begins to use it: it is not started. One that has not come up imports plugins, for
   * as long as they take, and nothing runs for it yet: it is killed, with what they have
   * started in its process group, which it makes first of all.
   */
  noMore() {
    this.#forget();
    if (this.#hasCome || !this.#child?.pid || this.#child.exitCode !== null) return;
    try {
      process.kill(-this.#child.pid, 'SIGKILL');
    } catch {
      this.#child.kill('SIGKILL'); // it has none yet
    }
  }

  /** Has it end, and what runs for it. */
  end() {
    this.noMore();
    this.#child?.stdin?.end('\n'); // a word, as others may hold the pipe, too
  }

  /** The same, and waits for that. */
  async close() {
    this.end();
    const limit = setTimeout(() => this.#child?.kill('SIGKILL'), END_MS);
    await this.#ended;
    clearTimeout(limit);
  }
}

/** What of a command's words may say which plugins are not to be loaded. */
const optionsOf = ({ argv }) =>
  argv.flatMap((word, i) => (word === '-p' && i + 1 < argv.length ? [word, argv[i + 1]] : []));

const keyOf = ({ argv, cwd, env }) => JSON.stringify([argv[0], cwd, Object.entries(env).sort()]);

const DOWN = 'warm: a server did not come up; fresh interpreters run instead';

/**
 * Servers for the commands of an agent: one set for each script, folder and environment.
 * There are several of a set where runs are to differ in the order of sets and dicts of
 * strings, as fresh interpreters do: each server has drawn its own hash seed.
 */
class WarmServers {
  #each;
  #sets = new Map();
  #isOver = false;
  notes = [];

  constructor(each = 1) {
    this.#each = each;
  }

  /** Starts what a command needs, without waiting for it. */
  prepare(command) {
    const key = keyOf(command);
    if (this.#sets.has(key)) return;
    const servers = [];
    this.#sets.set(key, servers);
    if (command.framework !== 'pytest') {
      const { framework } = command;
      this.notes.push(`warm: pytest files share a server, those of ${framework} do not`);
      return;
    }
    try {
      for (let i = 0; i < this.#each; i++) {
        servers.push(new WarmServer(command.argv[0], optionsOf(command), command));
      }
      for (const server of servers.slice(0, AT_ONCE)) server.start();
      this.#startRest(servers);
    } catch (error) {
      for (const server of servers.splice(0)) server.end();
      this.notes.push(`warm: ${error.message}; fresh interpreters run instead`);
    }
  }

  /**
   * The others, each when one has come up: more at once would come up no sooner, and the
   * first runs of all need the first servers alone. A run whose server is not there yet has a
   * fresh interpreter.
   */
  async #startRest(servers) {
    for (const [i, server] of servers.slice(AT_ONCE).entries()) {
      await servers[i].isUp;
      server.start();
    }
  }

  /** The address of the server for a run of a command; '': there is none. */
  async nameFor(command, number) {
    const servers = this.#sets.get(keyOf(command)) ?? [];
    if (servers.length === 0) return '';
    const first = await Promise.all(servers.slice(0, AT_ONCE).map(({ isUp }) => isUp));
    if (first.every(Boolean)) return servers[number % servers.length].name;
    if (!this.notes.includes(DOWN) && !this.#isOver) this.notes.push(DOWN);
    return '';
  }

  /** The run is to end: nothing is waited for any more. */
  noMore() {
    this.#isOver = true;
    for (const server of [...this.#sets.values()].flat()) server.noMore();
  }

  async close() {
    const servers = [...this.#sets.values()].flat();
    this.#sets.clear();
    for (const server of servers) server.end();
    await Promise.all(servers.map((server) => server.close()));
  }
}

module.exports = { WarmServers, interpreterOf };
