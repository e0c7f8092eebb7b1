'use strict';
// Options of runs across machines, and how what is wrong with them is said.

const path = require('node:path');
const { Command } = require('commander');

const { GoneError, UsageError } = require('../usage');
const { cannot, wrong } = require('./ends');
const { number, option } = require('./options');

/** Of a command that can be a node. */
const OF_NODES = [
  option(
    '--queue <URL>',
    'share the run with other nodes through a Redis or Valkey server: redis://HOST, rediss:// ' +
      'for TLS',
  ),
  option('--run <ID>', "which run that is (default: QE_QUEUE_RUN, or the CI's)"),
  option('--project <NAME>', 'whose runs: see `qe queue`'),
  option('--queue-password-file <FILE>', "where the server's password is"),
  option('--queue-ca-file <FILE>', 'who vouches for the server'),
  option(
    '--queue-lease <S>',
    'a node that is not heard of for S seconds loses its files (default: 10)',
    number(1, 3600),
  ),
];

/** Of commands that look after runs. */
const SERVER = [
  option(
    '--queue <URL>',
    'the server: redis://HOST[:PORT][/DATABASE], rediss:// for TLS (default: QE_QUEUE)',
  ),
  option(
    '--project <NAME>',
    "whose runs: the same for all nodes (default: QE_QUEUE_PROJECT, or by git's remote origin, " +
      'or the folder)',
  ),
  option(
    '--queue-password-file <FILE>',
    'where the password is; nobody else may read it (default: QE_QUEUE_PASSWORD, or ' +
      'QE_QUEUE_PASSWORD_FILE; the user is QE_QUEUE_USER)',
  ),
  option(
    '--queue-ca-file <FILE>',
    "who vouches for the server (default: QE_QUEUE_CA_FILE, or the system's list)",
  ),
];

const STATUSES = `
Exit status:
  0    it was done (report: every test has its outcome, and none failed)
  1    report: some failed
  2    wrong usage, a bad value, or no such run
  3    it could not be carried out: no server, a wrong password, nothing of ours there
  4    report: the run is not complete; tests without an outcome are named`;

/** What qe-jest calls `--queue-project` is `--project` here. */
const ours = (text) => text.replaceAll('--queue-project', '--project');

/** What is wrong here, beside what has no code: others are the server's. */
const USAGE = ['QE_EINVAL', 'QE_ENOTFOUND'];

/** What is told with the options' names of `qe`, and its statuses. */
function inOurWords(error) {
  const isGone = error instanceof GoneError || (error.code && !USAGE.includes(error.code));
  if (!(error instanceof UsageError)) return error;
  return isGone ? cannot(ours(error.message)) : wrong(ours(error.message));
}

/** The run that the options of a node say; undefined: they say none. */
function targetOf(given) {
  const options = { ...given, queueProject: given.project };
  if (given.queue === undefined) {
    const alone = OF_NODES.find((one) => given[one.attributeName()] !== undefined);
    if (alone) throw wrong(`${alone.long}: is of a run that is shared: --queue`);
    return undefined;
  }
  const { wantedOf } = require('../queue/target');
  try {
    return wantedOf(options, path.resolve(given.cwd ?? '.'));
  } catch (error) {
    throw inOurWords(error);
  }
}

/** Connects as one who reads the runs of a project, as the options say. */
async function reading(given, use) {
  const { Source } = require('../queue/target');
  const url = given.queue || process.env.QE_QUEUE;
  if (!url) {
    throw wrong('no queue is given: --queue=redis://HOST or QE_QUEUE names its server');
  }
  try {
    const source = new Source(url, { ...given, queueProject: given.project }, process.cwd());
    return await source.read(use);
  } catch (error) {
    throw inOurWords(error);
  }
}

/** The run's name, by the argument, the option, or the CI; undefined where none is needed. */
function nameOf(run, named, { needed = true } = {}) {
  const { runOf } = require('../queue/names');
  if (run !== undefined && named !== undefined && run !== named) {
    const both = [named, run].map((name) => JSON.stringify(name));
    throw wrong(`--run: ${both[0]}, and the argument is ${both[1]}: take one of them`);
  }
  try {
    return runOf(run ?? named);
  } catch (error) {
    if (!needed && error.code === 'QE_ENOTFOUND') return undefined;
    throw inOurWords(error);
  }
}

/** A command that looks after runs: its name, and what it does; it takes a run's name. */
function command(name, description) {
  const made = new Command(name)
    .description(description)
    .argument('[RUN]', "the run's name (default: QE_QUEUE_RUN, or the CI's)")
    .option('--run <RUN>', 'the same as RUN');
  for (const one of SERVER) made.addOption(one);
  return made.addHelpText('after', STATUSES);
}

module.exports = { OF_NODES, STATUSES, command, nameOf, reading, targetOf };
