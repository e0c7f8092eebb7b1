'use strict';
// `qe show` and `qe store`: what agents have kept.

const fs = require('node:fs');
const { Command } = require('commander');

const { FlakyTestHunter, TestExecutor } = require('../agents');
const { History } = require('../addon');
const { MemoryStore } = require('../memory');
const { historyOfProject } = require('../places');
const remembered = require('../remembered');
const { print } = require('./driving');
const { OK, failed, wrong } = require('./ends');
const { HISTORY } = require('./history');
const { painted, shown, width } = require('./screen');
const { timeline } = require('./timeline');

const KEYS = [TestExecutor.KEY, FlakyTestHunter.KEY];

const SHOW_HELP = `
Examples:
  qe show                          the keys
  qe show last | jq .pass_rate     the last execution or hunt
  qe show last --timeline          the last run of tests: what ran where and when`;

function fileAsked(option) {
  try {
    return remembered.asked(option);
  } catch (error) {
    if (error instanceof remembered.RememberedError) throw wrong(error.message);
    throw error;
  }
}

/** The history; null: there is none. */
function fileOf({ history: option }) {
  const history = fileAsked(option);
  const isFile = (file) => fs.statSync(file, { throwIfNoEntry: false })?.isFile() ?? false;
  if (history !== undefined && !isFile(history))
    throw wrong(`--history: there is no file ${history}`);
  const file = history ?? historyOfProject();
  return isFile(file) ? file : null;
}

/** Calls with the open store; where there is none, `otherwise`. */
async function withStore(given, otherwise, call) {
  const file = fileOf(given);
  if (file === null) return otherwise;
  const memory = new MemoryStore(file);
  try {
    return await call(memory, file);
  } finally {
    memory.close();
  }
}

/** Calls with the open history, likewise. */
function withHistory(given, otherwise, call) {
  const file = fileOf(given);
  if (file === null) return otherwise;
  const history = new History(file);
  try {
    return call(history);
  } finally {
    history.close();
  }
}

const valueOf = (given, key) => withStore(given, null, (memory) => memory.retrieve(key));

/** When a value of ours was made; null: unknown. */
function madeAt(value) {
  const found = [value?.started, value?.timestamp].find((one) => typeof one === 'number');
  return found ?? null;
}

/** A time as the largest unit that fits. */
function span(time) {
  const units = [
    [86400, 'd'],
    [3600, 'h'],
    [60, 'min'],
  ];
  const [size, unit] = units.find(([least]) => time >= least) ?? [1, 's'];
  return `${Math.round(Math.max(0, time) / size)} ${unit}`;
}

async function list(given, pattern) {
  const found = withHistory(given, [], (history) => history.keys(pattern));
  const now = Date.now() / 1000;
  const rows = [];
  for (const [key, expires] of found) {
    const made = madeAt(await valueOf(given, key).catch(() => null)); // another program's
    rows.push({
      key,
      age_s: made === null ? null : now - made,
      expires_s: expires ? expires - now : null,
    });
  }
  if (given.json) return print(`${JSON.stringify(rows, null, 2)}\n`);
  if (rows.length === 0) return print('nothing is stored\n');
  print('   age  expires in  key\n');
  for (const { key, age_s: age, expires_s: left } of rows) {
    const ages = age === null ? '?' : span(age);
    const lefts = left === null ? 'never' : span(left);
    print(`${ages.padStart(6)}  ${lefts.padStart(10)}  ${shown(key)}\n`);
  }
}

async function last(given) {
  const all = await Promise.all(KEYS.map((key) => valueOf(given, key)));
  const found = all.filter((value) => value !== null);
  if (found.length > 0) return found.sort((a, b) => (madeAt(b) ?? 0) - (madeAt(a) ?? 0))[0];
  throw failed('no execution and no hunt is remembered: qe exec and qe hunt make some');
}

/** The number of a run, and its attempts. */
function attemptsOf(history, key) {
  const [newest] = key === 'last' ? history.runs(1) : [];
  if (key !== 'last' && !/^\d+$/.test(key))
    throw wrong(`--timeline: takes \`last\`, or the number of a run, not '${shown(key)}'`);
  const number = newest?.id ?? Number(key);
  try {
    if (Number.isSafeInteger(number)) return [number, history.attempts(number)];
  } catch (error) {
    if (error.code !== 'QE_ENOTFOUND') throw error;
  }
  const which = key === 'last' ? 'no run' : `no run ${key}`;
  const makes = 'pytest --qe-parallel, npx qe-jest and npx qe-mocha make some';
  throw failed(`${which} is remembered: ${makes}`);
}

function drawn(key, given) {
  const [number, attempts] = remembered.withHistory(given.history, (history) =>
    attemptsOf(history, key),
  );
  if (given.json) {
    const told = attempts.map(({ peakBytes, status, message, ...one }) => {
      return { ...one, peak_bytes: peakBytes, status, message };
    });
    return print(`${JSON.stringify(told, null, 2)}\n`);
  }
  if (attempts.length === 0) throw failed(`run ${number} has no attempts`);
  for (const line of timeline(attempts, width()))
    print(`${line.map(([text, style]) => painted(process.stdout, text, style)).join('')}\n`);
}

async function show(key, given) {
  if (given.timeline) {
    drawn(key ?? 'last', given);
    return OK;
  }
  if (key === undefined) {
    await list(given, '*');
    return OK;
  }
  let value = await valueOf(given, key);
  if (value === null && key === 'last') value = await last(given);
  if (value === null)
    throw failed(`nothing is stored under '${shown(key)}': qe show lists the keys`);
  print(`${JSON.stringify(value, null, 2)}\n`);
  return OK;
}

async function remove(keys, given) {
  const missing = await withStore(given, keys, async (memory) => {
    const gone = [];
    for (const key of keys) if (!(await memory.delete(key))) gone.push(key);
    return gone;
  });
  for (const key of keys) if (!missing.includes(key)) print(`deleted ${shown(key)}\n`);
  if (missing.length === 0) return OK;
  throw failed(`nothing is stored under ${missing.map((key) => `'${shown(key)}'`).join(', ')}`);
}

async function gc(given) {
  const size = (file) => fs.statSync(file).size;
  const text = await withStore(
    given,
    'there is no history here or in a folder above',
    async (memory, file) => {
      const before = size(file);
      await memory.gc();
      return `${file}: ${Math.max(0, before - size(file))} bytes given back`;
    },
  );
  print(`${text}\n`);
  return OK;
}

/** @param {(status: number) => void} onEnd */
function commands(onEnd) {
  const store = new Command('store').description('list, delete and tidy what is stored');
  store
    .command('list')
    .description('list the keys that match a pattern (* any letters, ? one, [a-z] one of a set)')
    .argument('[PATTERN]', '', '*')
    .option('--json', 'print JSON')
    .option(...HISTORY)
    .action(async (pattern, given) => onEnd((await list(given, pattern)) ?? OK));
  store
    .command('delete')
    .description('delete what is stored under these keys')
    .argument('<KEYS...>')
    .option(...HISTORY)
    .action(async (keys, given) => onEnd(await remove(keys, given)));
  store
    .command('gc')
    .description('take all that has expired off the disk')
    .option(...HISTORY)
    .action(async (given) => onEnd(await gc(given)));
  const showing = new Command('show')
    .description('print what is stored under a key; without one: the keys')
    .argument('[KEY]', 'the key "last" stands for the last execution or hunt')
    .option('--json', 'JSON also of the keys')
    .option('--timeline', 'what each worker ran when, in the run of KEY: a number, or "last"')
    .option(...HISTORY)
    .addHelpText('after', SHOW_HELP)
    .action(async (key, given) => onEnd(await show(key, given)));
  return [showing, store];
}

module.exports = { commands };
