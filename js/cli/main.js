'use strict';
// The `qe` command, as that of pytest's side: the same options, lines of JSON and statuses.

const { Command, CommanderError } = require('commander');

const { GoneError, UsageError } = require('../usage');
const { CANNOT, NO_READER, OK, Refused, STATUSES, USAGE } = require('./ends');

const HELP = `
Examples:
  qe exec *.test.js             run test files, each until it passes
  qe hunt --preset=thorough login.test.js
  qe history                    what fails, is flaky, or takes long
  qe doctor                     what is missing here, and how to get it
${STATUSES}`;

function program(args, onEnd) {
  const { VERSION } = require('../addon');
  const qe = new Command('qe')
    .description(
      'Runs test files of any framework, finds those that are flaky, and tells what is ' +
        'remembered of them.',
    )
    .version(`qe ${VERSION}`, '--version', 'show the version')
    .helpOption('-h, --help', 'show this help')
    .addHelpText('after', HELP);
  const commands = [
    require('./executing').command(args, onEnd),
    require('./hunting').command(args, onEnd),
    require('./history').command(onEnd),
    require('./queueing').command(onEnd),
    ...require('./stored').commands(onEnd),
    require('./doctor').command(onEnd),
  ];
  for (const one of commands) qe.addCommand(one);
  qe.addCommand(require('./completion').command(qe, onEnd, args));
  const quiet = (command) => {
    command.exitOverride().configureOutput({ outputError: () => {} });
    command.commands.forEach(quiet);
  };
  quiet(qe);
  return qe;
}

function tell(text, status) {
  const { shown } = require('./screen');
  process.stderr.write(
    `error: ${shown(
      text
        .replace(/^error: /, '')
        .replace(/\s+/g, ' ')
        .trim(),
    )}\n`,
  );
  return status;
}

/** One line of what went wrong, and the status. */
function told(error) {
  if (error instanceof Refused) return tell(error.message, error.status);
  if (error instanceof GoneError) return tell(error.message, CANNOT);
  if (error instanceof UsageError) return tell(error.message, USAGE);
  if (error instanceof CommanderError) {
    if (error.exitCode === 0) return OK;
    return error.code === 'commander.help' ? USAGE : tell(error.message, USAGE);
  }
  if (error.code === 'EPIPE') return NO_READER;
  if (error.code === 'QE_EINVAL' || error.code === 'QE_ENOTFOUND') {
    return tell(error.message.replace(/^options\./, ''), USAGE);
  }
  return tell(error.message, CANNOT);
}

/** Runs one command; resolves with the exit status. */
async function main(argv) {
  const at = argv.indexOf('--');
  const [own, args] = at < 0 ? [argv, []] : [argv.slice(0, at), argv.slice(at + 1)];
  let status = OK;
  process.stdout.on('error', (error) => {
    if (error.code === 'EPIPE') process.exit(NO_READER);
  });
  try {
    await program(args, (ended) => (status = ended)).parseAsync(own, { from: 'user' });
    return status;
  } catch (error) {
    return told(error);
  }
}

module.exports = { main, program };
