'use strict';
// The options that qe-jest adds to jest's own.

const { whyNot } = require('./files');
const { missing } = require('./htmlreport');
const { UsageError } = require('./usage');

const number = (least, most, whole) => (text) => {
  const value = text.trim() === '' ? NaN : Number(text);
  if (!(value >= least && value <= most) || (whole && !Number.isInteger(value))) {
    throw new UsageError(`a ${whole ? 'whole ' : ''}number from ${least} to ${most}`);
  }
  return value;
};

const UNITS = { '': 1, K: 1024, M: 1024 ** 2, G: 1024 ** 3 };

function bytes(text) {
  const found = /^(\d+(?:\.\d+)?)([KMG]?)i?B?$/i.exec(text.trim());
  const value = found ? Math.round(Number(found[1]) * UNITS[found[2].toUpperCase()]) : 0;
  if (!(value >= 1)) throw new UsageError('bytes from 1, or such as 512M or 1.5G');
  return value;
}

function file(text) {
  if (text === '') throw new UsageError('the path of a file');
  return text;
}

const MODES = ['fixed', 'adaptive'];

const oneOf = (names) => (text) => {
  if (!names.includes(text)) throw new UsageError(`one of ${names.join(', ')}`);
  return text;
};

/** Seconds for causes; undefined: as a rule. */
function causes(text) {
  if (text === 'auto') return undefined;
  if (text === 'off') return 0;
  const value = text.trim() === '' ? NaN : Number(text);
  if (!(value >= 0 && value <= 1e6)) throw new UsageError('seconds up to 1000000, auto or off');
  return value;
}

/** The text of "I/N" as [I, N]. */
function shard(text) {
  const found = /^([1-9]\d{0,5})\/([1-9]\d{0,5})$/.exec(text);
  const [index, of] = (found ?? []).slice(1).map(Number);
  if (!found || index > of) throw new UsageError('I/N, such as 1/3: the first of three shards');
  return [index, of];
}

/** Seconds of a lease. */
function lease(text) {
  const value = text.trim() === '' ? NaN : Number(text);
  if (!(value >= 1 && value <= 3600)) throw new UsageError('seconds from 1 to 3600');
  return value;
}

/** Each: its name, what it takes, how that is read, its key, and what help says. */
const OPTIONS = [
  {
    flag: '--parallel',
    takes: '[=N]',
    optional: true,
    parse: number(1, 1024, true),
    key: 'workers',
    help: 'N workers; default: as many as this process may use processors',
  },
  {
    flag: '--test-timeout-hard',
    takes: '=SECONDS',
    parse: number(0.001, 1e6),
    key: 'timeout',
    help: 'kill the worker of a test, hook or file load that takes longer, and go on',
  },
  {
    flag: '--retries',
    takes: '=N',
    parse: number(0, 1000, true),
    key: 'retries',
    help: 'run the failing tests of a file again, in a fresh worker, up to N times',
  },
  {
    flag: '--retry-backoff',
    takes: '=SECONDS',
    parse: number(0, 1e6),
    key: 'backoff',
    help: 'wait before the first retry; doubles with each',
  },
  {
    flag: '--flaky',
    takes: '=N',
    parse: number(2, 10_000, true),
    key: 'flaky',
    help: 'hunt flaky tests with N runs of each, on average; fail where results differ',
  },
  {
    flag: '--flaky-mode',
    takes: '=MODE',
    parse: oneOf(MODES),
    key: 'flakyMode',
    help: 'adaptive (default): runs go where they show most; fixed: N passes over all tests',
  },
  {
    flag: '--flaky-budget',
    takes: '=SECONDS',
    parse: number(0.001, 1e6),
    key: 'flakyBudget',
    help: 'hunt for about so many seconds instead, most often what shows most a second',
  },
  {
    flag: '--flaky-alpha',
    takes: '=A',
    parse: number(1e-9, 0.5),
    key: 'flakyAlpha',
    help: 'of the tests that are confirmed, how many may be healthy on average; default 0.05',
  },
  {
    flag: '--flaky-causes',
    takes: '=SECONDS',
    parse: causes,
    key: 'flakyCauses',
    help: 'ask why for so long: auto (default: as long as the hunt, at least 30 s), or off',
  },
  {
    flag: '--replay',
    takes: '=TOKEN',
    parse: file,
    key: 'replay',
    help: "run once more what a hunt's token says, and fail as the test did",
  },
  {
    flag: '--flaky-seed',
    takes: '=SEED',
    parse: number(-(2 ** 31), 2 ** 31 - 1, true),
    key: 'flakySeed',
    help: "of the hunt's orders and random numbers, and with --flaky-mode=fixed of its first pass",
  },
  {
    flag: '--max-worker-rss',
    takes: '=BYTES',
    parse: bytes,
    key: 'maxWorkerRss',
    help: 'replace a worker that holds more memory, between files; takes 512M, too',
  },
  {
    flag: '--shard-by-time',
    takes: '=I/N',
    parse: shard,
    key: 'shard',
    help: 'run the I-th of N parts of the files: by path, or even by --shard-durations',
  },
  {
    flag: '--shard-durations',
    takes: '=FILE',
    parse: file,
    key: 'shardDurations',
    help: 'seconds by file, for all shards the same; written by runs of all files',
  },
  {
    flag: '--queue',
    takes: '=URL',
    parse: file,
    key: 'queue',
    help: 'share the run with other nodes through a Redis or Valkey server: redis://HOST/',
  },
  {
    flag: '--run',
    takes: '=ID',
    parse: file,
    key: 'run',
    help: "which run of --queue this is a node of; default: by the CI's own variables",
  },
  {
    flag: '--queue-project',
    takes: '=NAME',
    parse: file,
    key: 'queueProject',
    help: 'whose runs these are on the server; default: the name of the repository',
  },
  {
    flag: '--queue-password-file',
    takes: '=FILE',
    parse: file,
    key: 'queuePasswordFile',
    help: "the server's password, which is better there or in QE_QUEUE_PASSWORD",
  },
  {
    flag: '--queue-ca-file',
    takes: '=FILE',
    parse: file,
    key: 'queueCaFile',
    help: "certificates that vouch for a rediss:// server; default: the system's",
  },
  {
    flag: '--queue-lease',
    takes: '=SECONDS',
    parse: lease,
    key: 'queueLease',
    help: 'who is not heard of for so long loses its files to other nodes; default 10',
  },
  {
    flag: '--history',
    takes: '=PATH',
    parse: file,
    key: 'history',
    help: 'where runs are remembered: a file, or redis://HOST/; default: QE_HISTORY, .qe/history.db',
  },
  {
    flag: '--report-json',
    takes: '=PATH',
    parse: file,
    key: 'reportJson',
    help: 'write a JSON result, in the format of pytest-qe',
  },
  {
    flag: '--report-html',
    takes: '=PATH',
    parse: file,
    key: 'reportHtml',
    help: 'write the result as one page for a browser',
  },
  {
    flag: '--report-trace',
    takes: '=PATH',
    parse: file,
    key: 'reportTrace',
    help: 'write what ran where and when, for Perfetto or chrome://tracing',
  },
  {
    flag: '--report-junit',
    takes: '=PATH',
    parse: file,
    key: 'reportJunit',
    help: 'write JUnit XML, in the format of pytest',
  },
  {
    flag: '--no-script-cache',
    takes: '',
    value: false,
    key: 'scriptCache',
    help: 'compile what tests require anew for each file, as jest does',
  },
];

const QUEUE = ['run', 'queueProject', 'queuePasswordFile', 'queueCaFile', 'queueLease'];
const REPORTS = ['reportJson', 'reportHtml', 'reportTrace', 'reportJunit'];

/** What cannot be written at the end is refused, not told after an hour of tests. */
function checkReports(options) {
  const none = options.reportHtml === undefined ? null : missing();
  if (none !== null) throw new UsageError(`--report-html: ${none}`);
  for (const { flag, key } of OPTIONS.filter((one) => REPORTS.includes(one.key))) {
    const why = options[key] === undefined ? null : whyNot(options[key]);
    if (why !== null) throw new UsageError(`${flag}=${options[key]}: ${why}`);
  }
}

const isOnServer = (history) => /^rediss?:\/\//.test(history ?? process.env.QE_HISTORY ?? '');

const HARMLESS = new Set(['workers', 'scriptCache', 'history']); // results are the same without them

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

/**
 * The adaptive hunt that is asked for; null: none is. What says different things of one is
 * refused.
 *
 * @param {number} [seed] where no option says it
 */
function huntOf(options, seed) {
  const { flaky, flakyMode, flakyBudget, flakyAlpha, flakyCauses, flakySeed } = options;
  if (options.replay !== undefined && (flaky ?? flakyBudget ?? options.shard) !== undefined) {
    throw new UsageError('--replay: runs what its token says, without --flaky and --shard-by-time');
  }
  if (flakyBudget !== undefined) {
    if (flaky !== undefined) throw new UsageError('--flaky-budget: is instead of --flaky=N');
    if (flakyMode === 'fixed') throw new UsageError('--flaky-budget: takes --flaky-mode=adaptive');
  }
  if ((flaky === undefined && flakyBudget === undefined) || flakyMode === 'fixed') return null;
  return {
    executions: flaky ?? 1,
    seconds: flakyBudget ?? 0,
    alpha: flakyAlpha ?? 0.05,
    causes: flakyCauses,
    seed: flakySeed ?? seed ?? Math.floor(Math.random() * 2 ** 31),
  };
}

/** Options that are of no use without `--queue`, or that cannot go with it. */
function checkQueue(options, known = OPTIONS) {
  const flags = (keys) =>
    known.filter(({ key }) => keys.includes(key) && options[key] !== undefined);
  if (options.queue === undefined) {
    const [alone] = flags(isOnServer(options.history) ? ['run', 'queueLease'] : QUEUE);
    if (alone) throw new UsageError(`${alone.flag}: takes --queue, too`);
    return;
  }
  const [other] = flags(['flaky', 'flakyBudget', 'flakySeed', 'replay', 'shard', 'shardDurations']);
  if (other) throw new UsageError(`--queue and ${other.flag}: takes one of them`);
}

/** A line for a run in which the runner runs as it is; "" where nothing is left out. */
function leftOut(program, options, known = OPTIONS) {
  const given = known.filter(({ key }) => key in options && !HARMLESS.has(key));
  const flags = given.map(({ flag }) => flag).join(', ');
  return flags && `${program}: ${flags}: not heeded, as ${program.slice(3)} runs as it is\n`;
}

function help(program = 'qe-jest', known = OPTIONS) {
  const lines = known.map(({ flag, takes, help: text }) => {
    return `  ${(flag + takes).padEnd(32)}${text}`;
  });
  return `Options of ${program}:\n${lines.join('\n')}\n`;
}

module.exports = { OPTIONS, checkQueue, checkReports, help, huntOf, leftOut, number, parse };
