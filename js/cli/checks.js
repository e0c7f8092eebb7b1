'use strict';
// What `qe doctor` looks at; each look survives what it finds.

const { spawnSync } = require('node:child_process');
const fs = require('node:fs');
const os = require('node:os');
const path = require('node:path');

const { History, VERSION, cpuCount, machine } = require('../addon');
const { findTool, frameworkNames, lookup } = require('../frameworks');
const { historyOfProject } = require('../places');
const { interpreterOf } = require('../warm');

const VERSION_MS = 20_000; // a tool that says no version by then has none
const LITTLE_ROOM = 256 * 2 ** 20; // bytes
const FEW_FILES = 1024;
const FEW_PROCESSES = 256;
const OLDEST_NODE = 20;

const check = (name, state, says, remedy = '') => ({ name, state, says, remedy });

/** The first line that a program prints; "" where it does not end well. */
function said(argv) {
  const env = { ...process.env, PYTEST_DISABLE_PLUGIN_AUTOLOAD: '1', NO_COLOR: '1' };
  const { status, stdout, stderr } = spawnSync(argv[0], argv.slice(1), {
    env,
    timeout: VERSION_MS,
    killSignal: 'SIGKILL',
    stdio: ['ignore', 'pipe', 'pipe'],
    encoding: 'utf8',
  });
  return status === 0 ? (stdout.trim() || stderr.trim()).split('\n')[0] : '';
}

function tool(name) {
  const entry = lookup(name);
  const found = findTool(entry, process.cwd(), process.env);
  if (found === null) return check(name, 'none', 'not found', entry.install);
  const version = said([found, name === 'go' ? 'version' : '--version']);
  if (version === '') {
    return check(name, 'poor', `${found} does not say its version`, 'does it start?');
  }
  return check(name, 'ok', `${version}, ${found}`);
}

/** Whether the environment of the project's pytest has the plugin. */
function plugin() {
  const script = findTool(lookup('pytest'), process.cwd(), process.env);
  const python = script === null ? null : interpreterOf(script);
  if (python === null) return check('plugin', 'none', 'no pytest that it could be a plugin of');
  const seen = "import importlib.metadata as m; print(m.version('pytest-qe'))";
  const version = said([python, '-c', seen]);
  if (version !== '') {
    return check('plugin', 'ok', `pytest-qe ${version}, in the environment of ${script}`);
  }
  const remedy = `for parallel runs and hunts with causes: ${python} -m pip install pytest-qe`;
  return check('plugin', 'none', `not in the environment of ${script}`, remedy);
}

function node() {
  const says = `${process.version}, ${process.execPath}`;
  if (Number.parseInt(process.versions.node, 10) >= OLDEST_NODE) return check('node', 'ok', says);
  return check('node', 'broken', says, `${OLDEST_NODE} is the oldest: ${lookup('node').install}`);
}

const core = () => check('core', 'ok', `qe ${VERSION}, ${os.type()} ${os.release()}`);

function size(count) {
  const units = ['bytes', 'KiB', 'MiB', 'GiB'];
  let rest = count;
  while (rest >= 1024 && units.length > 1) {
    rest /= 1024;
    units.shift();
  }
  return `${rest.toFixed(rest >= 10 || units.length === 4 ? 0 : 1)} ${units[0]}`;
}

function processors() {
  const usable = os.availableParallelism();
  const [load] = os.loadavg();
  const says = `${usable} of ${os.cpus().length} may be used, load ${load.toFixed(2)}`;
  if (load <= 2 * usable) return check('processors', 'ok', says);
  return check('processors', 'poor', says, 'busy: time limits may be reached sooner');
}

/** The limits of this control group and of those above it: [folder, text]. */
function limits(name) {
  const root = '/sys/fs/cgroup';
  const [, own] = /^0::(.*)$/m.exec(fs.readFileSync('/proc/self/cgroup', 'utf8')) ?? [];
  const found = [];
  for (let here = path.join(root, own ?? ''); here.startsWith(root); here = path.dirname(here)) {
    try {
      const text = fs.readFileSync(path.join(here, name), 'utf8').trim();
      if (!text.startsWith('max')) found.push([here, text]);
    } catch {
      // not limited there
    }
  }
  return found;
}

function quota() {
  const shares = limits('cpu.max').map(([folder, text]) => {
    const [part, period] = text.split(' ').map(Number);
    return [part / period, folder];
  });
  if (shares.length === 0) return check('cpu quota', 'ok', 'none');
  const [share, folder] = shares.sort(([a], [b]) => a - b)[0];
  return check(
    'cpu quota',
    'ok',
    `${share.toFixed(2)} processors, by ${folder}; qe takes ${cpuCount()}`,
  );
}

function memory() {
  const info = fs.readFileSync('/proc/meminfo', 'utf8');
  const field = (name) => Number(new RegExp(`^${name}:\\s+(\\d+)`, 'm').exec(info)[1]) * 1024;
  let free = field('MemAvailable');
  let says = `${size(free)} of ${size(field('MemTotal'))} available`;
  for (const [folder, text] of limits('memory.max')) {
    const used = Number(fs.readFileSync(path.join(folder, 'memory.current'), 'utf8'));
    free = Math.min(free, Number(text) - used);
    says += `; ${size(used)} of ${size(Number(text))} used in ${folder}`;
  }
  if (free >= LITTLE_ROOM) return check('memory', 'ok', says);
  return check('memory', 'poor', says, 'run fewer at once: --max-concurrent, --adaptive');
}

/** What `ulimit` says of this process: [soft, hard]. */
function limited(what) {
  const text = fs.readFileSync('/proc/self/limits', 'utf8');
  const [, ...both] = new RegExp(`^${what}\\s+(\\S+)\\s+(\\S+)`, 'm').exec(text);
  return both.map((limit) => (limit === 'unlimited' ? 'no limit' : limit));
}

function processes() {
  const [soft] = limited('Max processes');
  const others = limits('pids.max');
  const says = [`ulimit -u: ${soft}`, ...others.map(([folder, text]) => `${text} in ${folder}`)];
  const few = [soft, ...others.map(([, text]) => text)].some((n) => Number(n) < FEW_PROCESSES);
  const remedy = few ? 'raise it, or run fewer at once: --max-concurrent' : '';
  return check('processes', few ? 'poor' : 'ok', says.join('; '), remedy);
}

function descriptors() {
  const [soft, hard] = limited('Max open files');
  const says = `ulimit -n: ${soft}, may be raised to ${hard}`;
  if (!(Number(soft) < FEW_FILES)) return check('descriptors', 'ok', says);
  return check('descriptors', 'poor', says, `ulimit -n ${FEW_FILES}`);
}

/** What the kernel lets this process do. */
function kernel() {
  const { memfd, pidfd, namespaces } = machine();
  return [
    memfd === null
      ? check('memfd', 'ok', 'can be made')
      : check('memfd', 'broken', `refused: ${memfd}`, 'allow memfd_create'),
    pidfd === null
      ? check('pidfd', 'ok', 'can be opened')
      : check('pidfd', 'poor', `refused: ${pidfd}`, 'a thread waits for each process instead'),
    namespaces === null
      ? check('namespaces', 'ok', 'user and network namespaces can be made')
      : check(
          'namespaces',
          'poor',
          `no user namespace can be made: ${namespaces}`,
          'hunts cannot take the network away from tests: sysctl user.max_user_namespaces',
        ),
  ];
}

function pressure() {
  try {
    const [, some] = /some avg10=(\S+)/.exec(fs.readFileSync('/proc/pressure/cpu', 'utf8')) ?? [];
    return check('pressure', 'ok', `waiting for a processor: ${some ?? '?'} %`);
  } catch (error) {
    return check(
      'pressure',
      'poor',
      `/proc/pressure: ${error.code}`,
      '--adaptive goes by the load instead',
    );
  }
}

function temporary() {
  const folder = os.tmpdir();
  try {
    fs.rmSync(fs.mkdtempSync(path.join(folder, 'qe-doctor-')), { recursive: true });
  } catch (error) {
    return check(
      'temporary',
      'broken',
      error.message,
      'set TMPDIR to a folder that can be written',
    );
  }
  const { bavail, bsize } = fs.statfsSync(folder);
  const says = `${folder}, ${size(bavail * bsize)} free`;
  if (bavail * bsize >= LITTLE_ROOM) return check('temporary', 'ok', says);
  return check('temporary', 'poor', says, 'make room there, or set TMPDIR');
}

function history() {
  const file = historyOfProject();
  if (!fs.existsSync(file)) {
    let folder = path.dirname(file);
    while (!fs.existsSync(folder)) folder = path.dirname(folder);
    try {
      fs.accessSync(folder, fs.constants.W_OK);
    } catch {
      return check('history', 'poor', `${folder} cannot be written`, 'nothing is remembered');
    }
    return check('history', 'none', 'there is none yet: runs make .qe/history.db');
  }
  try {
    const opened = new History(file);
    const says = `${file}, ${opened.counts().length} tests, ${opened.keys('*').length} keys`;
    opened.close();
    return check('history', 'ok', says);
  } catch (error) {
    return check(
      'history',
      'broken',
      `${file}: ${error.message}`,
      `move it away: mv ${file} ${file}.broken`,
    );
  }
}

/** One look that fails hides no other. */
function looked(look, name) {
  try {
    return look(name);
  } catch (error) {
    return check(name ?? look.name, 'poor', `cannot be told: ${error.message}`);
  }
}

/** All of them, in an order for people. */
function checks() {
  const tools = frameworkNames().filter((name) => !['node', 'command', 'pytest'].includes(name));
  const rest = [processors, quota, memory, processes, descriptors, pressure];
  return [
    ...[node, core].map((look) => looked(look)),
    looked(tool, 'pytest'),
    looked(plugin),
    ...tools.map((name) => looked(tool, name)),
    ...rest.map((look) => looked(look)),
    looked(kernel),
    ...[temporary, history].map((look) => looked(look)),
  ].flat();
}

module.exports = { checks };
