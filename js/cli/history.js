'use strict';
// `qe history`: how often tests failed and how long they took.

const { Command, Option } = require('commander');

const { BY, RememberedError, historyOf, overview } = require('../remembered');
const { print } = require('./driving');
const { OK, failed } = require('./ends');
const { number, option } = require('./options');

const HISTORY = [
  '--history <PATH>',
  'the history: a file, or redis://HOST (default: QE_HISTORY, then .qe/history.db here or above)',
];

const HELP = `
Examples:
  qe history                                   the flakiest, slowest, most often failing
  qe history --limit=50 --json
  qe history 'bank.test.js::rate'              by day
  qe history 'bank.test.js::rate' --by=commit --durations

Exit status: 0, or 1 where the history knows nothing of it, or cannot be read.`;

function tell(test, { by, limit, ...given }) {
  try {
    const text = test === undefined ? overview(limit, given) : historyOf(test, by, given);
    print(`${text}\n`);
    return OK;
  } catch (error) {
    if (error instanceof RememberedError) throw failed(error.message);
    throw error;
  }
}

/** @param {(status: number) => void} onEnd */
function command(onEnd) {
  return new Command('history')
    .description('tell how often tests failed, and how long they took')
    .argument('[TESTID]', 'a test, or a file that agents have run; without: the overview')
    .addOption(new Option('--by <WHAT>', 'of TESTID: what its rows are').choices(BY).default('day'))
    .option('--durations', 'of TESTID: how long it took, instead')
    .addOption(
      option('--limit <N>', 'without TESTID: rows of each table', number(1, 1e9, true)).default(10),
    )
    .option('--json', 'print JSON')
    .option(...HISTORY)
    .addHelpText('after', HELP)
    .action((test, given) => onEnd(tell(test, given)));
}

module.exports = { HISTORY, command };
