'use strict';
// The options that qe-jest adds to jest's own.

class UsageError extends Error {}

const number = (least, whole) => (text) => {
  const value = text.trim() === '' ? NaN : Number(text);
  if (!(value >= least) || !Number.isFinite(value) || (whole && !Number.isInteger(value))) {
    throw new UsageError(`a ${whole ? 'whole ' : ''}number from ${least}`);
  }
  return value;
};

/** Each: its name, what it takes, how that is read, its key, and what help says. */
const OPTIONS = [
  {
    flag: '--parallel',
    takes: '[=N]',
    optional: true,
    parse: number(1, true),
    key: 'workers',
    help: 'N workers; default: as many as this process may use processors',
  },
  {
    flag: '--test-timeout-hard',
    takes: '=SECONDS',
    parse: number(0.001),
    key: 'timeout',
    help: 'kill the worker of a test, hook or file load that takes longer, and go on',
  },
  {
    flag: '--retries',
    takes: '=N',
    parse: number(0, true),
    key: 'retries',
    help: 'run the failing tests of a file again, in a fresh worker, up to N times',
  },
  {
    flag: '--retry-backoff',
    takes: '=SECONDS',
    parse: number(0),
    key: 'backoff',
    help: 'wait before the first retry; doubles with each',
  },
  {
    flag: '--report-json',
    takes: '=PATH',
    parse: (text) => text,
    key: 'reportJson',
    help: 'write a JSON result, in the format of pytest-qe',
  },
  {
    flag: '--no-script-cache',
    takes: '',
    value: false,
    key: 'scriptCache',
    help: 'compile what tests require anew for each file, as jest does',
  },
];

/** Takes our options out of a command line; returns them, and what is the runner's own. */
function parse(argv, known = OPTIONS) {
  const rest = [];
  const options = {};
  for (let i = 0; i < argv.length; i++) {
    if (argv[i] === '--') {
      rest.push(...argv.slice(i));
      break;
    }
    const at = argv[i].indexOf('=');
    const flag = at < 0 ? argv[i] : argv[i].slice(0, at);
    const option = known.find((each) => each.flag === flag);
    if (!option) {
      rest.push(argv[i]);
      continue;
    }
    if ('value' in option) {
      if (at >= 0) throw new UsageError(`${argv[i]}: takes no value`);
      options[option.key] = option.value;
      continue;
    }
    let text = at < 0 ? undefined : argv[i].slice(at + 1);
    if (text === undefined && !option.optional) text = argv[++i];
    if (text === undefined && !option.optional) {
      throw new UsageError(`${flag}: takes a value: ${flag}${option.takes}`);
    }
    options[option.key] = text === undefined ? null : read(option, text);
  }
  return { options, rest };
}

function read(option, text) {
  try {
    return option.parse(text);
  } catch (error) {
    if (!(error instanceof UsageError)) throw error;
    throw new UsageError(`${option.flag}=${text}: takes ${error.message}`);
  }
}

function help(program = 'qe-jest', known = OPTIONS) {
  const lines = known.map(({ flag, takes, help: text }) => {
    return `  ${(flag + takes).padEnd(32)}${text}`;
  });
  return `Options of ${program}:\n${lines.join('\n')}\n`;
}

module.exports = { OPTIONS, UsageError, help, parse };
