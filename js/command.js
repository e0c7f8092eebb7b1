'use strict';
// What the commands have in common: wrong usage is one line, and most often exit status 2.

const { UsageError } = require('./usage');

function refuse(program, { message, status }) {
  process.stderr.write(`${program}: ${message}\n`);
  process.exitCode = status;
}

/**
 * @param {string} program "qe-jest"
 * @param {string[]} argv its words
 * @param {(argv: string[]) => unknown} run what it does with them; throws UsageError
 */
async function command(program, argv, run) {
  try {
    if (argv[0] === '--verify-shards') {
      process.stdout.write(`${program}: ${require('./sharding').verify(argv.slice(1))}\n`);
    } else {
      await run(argv);
    }
  } catch (error) {
    if (!(error instanceof UsageError)) throw error;
    refuse(program, error);
  }
}

module.exports = { command, refuse };
