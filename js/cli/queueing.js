'use strict';
// `qe queue`: runs across machines, as their server knows them. As pytest_qe/cli/queueing.py.

const { Command } = require('commander');

const { print } = require('./driving');
const { OK, wrong } = require('./ends');
const { number } = require('./options');
const { STATUSES, command, nameOf, reading } = require('./queueoptions');
const { many, seconds, shown } = require('./screen');

const MOST_LINES = 20; // of the nodes of a run
const HEARD_S = 60; // since a node was: one works on it

const HELP = `
Examples:
  export QE_QUEUE=rediss://queue.example.org QE_QUEUE_PASSWORD_FILE=~/.queue
  qe queue status                   the runs of this project
  qe queue status 4711/1/test       how far one is, and who works on it
  qe queue report 4711/1/test --junit=all.xml --html=all.html
  qe queue abort 4711/1/test
  qe queue gc                       delete what is over, or left behind

A password is best in QE_QUEUE_PASSWORD, or in a file that nobody else can read: the address
and the command line are seen by all who may list processes.
${STATUSES}`;

const say = (line) => print(`${line}\n`);
const printJson = (value) => print(`${JSON.stringify(value, null, 2)}\n`);

// ---------------------------------------------------------------------- status

async function status(run, given) {
  const name = nameOf(run, given.run, { needed: false });
  const found = await reading(given, (reader) =>
    name === undefined ? all(reader) : wholeStatus(reader, name),
  );
  if (given.json) printJson(found);
  else if (name === undefined) sayAll(found);
  else sayStatus(found);
  return OK;
}

/** What there is to say of each run of the project. */
async function all(reader) {
  const rows = [];
  for (const run of await reader.runs()) {
    try {
      rows.push({ run, ...(await reader.status(run)) });
    } catch (error) {
      if (error.code === 'QE_ENOTFOUND') continue; // it was deleted meanwhile
      if (error.code !== 'QE_EFORMAT') throw error;
      rows.push({ run, state: 'unreadable', trouble: error.message });
    }
  }
  return rows;
}

async function wholeStatus(reader, run) {
  const { NAMES } = require('../queue/whole');
  const found = await reader.status(run);
  const [counts, odd] = await reader.outcomes(run, found.units);
  const outcomes = Object.fromEntries(counts.map((count, i) => [NAMES[i], count]));
  return { run, ...found, outcomes, outcomes_of_others: odd };
}

function sayAll(rows) {
  if (rows.length === 0) {
    say('the project has no runs on this server');
    return;
  }
  say('state        tests   left  failed  workers     heard of  run');
  for (const { run, state, units, left, failures, nodes, idle_s: idle } of rows) {
    if (state === 'unreadable') {
      say(`unreadable                                           ${shown(run)}`);
      continue;
    }
    const workers = nodes.reduce((sum, node) => sum + node.workers, 0);
    const columns = [
      state.padEnd(9),
      String(units).padStart(8),
      String(left).padStart(6),
      String(failures).padStart(7),
      String(workers).padStart(8),
      `${seconds(idle)} ago`.padStart(12),
    ];
    say(`${columns.join(' ')}  ${shown(run)}`);
  }
}

function sayStatus(found) {
  const { run, state, laid_by: by, units, left, attempts, outcomes } = found;
  say(`run ${shown(run)}: ${state}, laid by ${shown(by)}`);
  const parts = Object.entries(outcomes).filter(([name, count]) => count > 0 && name !== 'none');
  const told = parts.map(([name, count]) => `${count} ${name}`).join(', ');
  const done = `${units - left} of ${many(units, 'test')} done${told && `: ${told}`}`;
  say(`${done}; ${many(attempts, 'attempt')}`);
  if (found.maxfail) say(`${many(found.failures, 'failure')} of at most ${found.maxfail}`);
  say(`${found.open} of the pieces of work are open, ${found.claimed} claimed`);
  const age = (node) => node.age_s ?? Infinity;
  const nodes = found.nodes.toSorted((a, b) => (age(a) < age(b) ? -1 : 1));
  for (const node of nodes.slice(0, MOST_LINES)) {
    const heard = node.age_s === null ? 'never heard of' : `heard of ${seconds(node.age_s)} ago`;
    const waiting = node.waiting ? `, ${node.waiting} waiting` : '';
    const workers = `${many(node.workers, 'worker')}${waiting}`;
    say(`  ${shown(node.name)}: ${workers}, ${node.claimed} claimed, ${heard}`);
  }
  if (nodes.length > MOST_LINES) say(`  and ${many(nodes.length - MOST_LINES, 'node')} more`);
  const odd = found.outcomes_of_others;
  if (odd) say(`warning: ${odd} outcomes are of no test of it`);
}

// --------------------------------------------------------------- abort and gc

async function abort(run, given) {
  const name = nameOf(run, given.run);
  const stopped = await reading(given, (reader) => reader.stop(name));
  if (given.json) printJson({ run: name, stopped });
  else say(`run ${shown(name)} ${stopped ? 'is stopped' : 'had ended already'}`);
  return OK;
}

async function gc(run, given) {
  const { names, keys } = await reading(given, async (reader) => {
    if (run !== undefined || given.run !== undefined) {
      const name = nameOf(run, given.run);
      return { names: [name], keys: await deleteOne(reader, name, given.force) };
    }
    const old = (await all(reader)).filter(
      ({ state, idle_s: idle }) =>
        state !== 'unreadable' && idle >= (state === 'over' ? given.overAge : given.age),
    );
    const found = old.map((row) => row.run);
    return { names: found, keys: found.length > 0 ? await reader.delete(found) : 0 };
  });
  if (given.json) {
    printJson({ deleted: names, keys });
    return OK;
  }
  for (const name of names) say(`deleted ${shown(name)}`);
  say(`${many(names.length, 'run')}, ${many(keys, 'key')}`);
  return OK;
}

async function deleteOne(reader, name, force) {
  try {
    const { state, idle_s: idle } = await reader.status(name);
    if (['laying', 'open'].includes(state) && idle < HEARD_S && !force) {
      throw wrong(`nodes work on run ${name}: qe queue abort stops it; --force deletes it`);
    }
  } catch (error) {
    if (error.code !== 'QE_EFORMAT') throw error; // what cannot be read can be deleted
  }
  const keys = await reader.delete([name]);
  if (keys === 0) throw wrong(`there is no run ${name}`);
  return keys;
}

/** @param {(status: number) => void} onEnd */
function made(onEnd) {
  const json = ['--json', 'print JSON'];
  const queue = new Command('queue')
    .description('look after runs that several machines share through a Redis or Valkey server')
    .addHelpText('after', HELP);
  queue.addCommand(
    command(
      'status',
      'tell how far a run is: what has come of its tests, and who works on it; without RUN, ' +
        'and no CI that names one: all runs of the project',
    )
      .option(...json)
      .action(async (run, given) => onEnd(await status(run, given))),
  );
  queue.addCommand(
    command('abort', 'stop a run: nothing more of it starts, on any node')
      .option(...json)
      .action(async (run, given) => onEnd(await abort(run, given))),
  );
  queue.addCommand(
    command(
      'gc',
      'delete all that the server has of a run; without RUN, of those of the project that are ' +
        'over or left behind. What nobody deletes the server forgets by itself, a day after its ' +
        'last use',
    )
      .option(
        '--age <S>',
        'runs that have not ended, and whose nodes have not been heard of for so many seconds',
        number(0, 1e9),
        3600,
      )
      .option(
        '--over-age <S>',
        'runs that are over, likewise: until then a report may still be made of them',
        number(0, 1e9),
        600,
      )
      .option('--force', 'with RUN: also one that nodes work on')
      .option(...json)
      .action(async (run, given) => onEnd(await gc(run, given))),
  );
  queue.addCommand(require('./queuereporting').command(onEnd));
  return queue;
}

module.exports = { command: made };
