'use strict';
// `qe-jest`: jest's own command line, with our runner in the place of its default one.

const inspector = require('node:inspector');
const path = require('node:path');
const { createRequire } = require('node:module');

const { command } = require('../command');
const { checkQueue, checkReports, help, huntOf, leftOut, parse } = require('../options');
const { findPeer } = require('../peer');
const { parse: parseToken } = require('../replay');
const { UsageError } = require('../usage');

const OLDEST = 29;

/** Why jest runs as it is, without us; null where it does not. */
function stockReason(argv) {
  if (process.platform !== 'linux') return 'workers of the core need Linux';
  if (argv.some((arg) => arg === '-i' || /^--(runInBand|run-in-band)(=true)?$/.test(arg)))
    return '';
  if (argv.some((arg) => /^--detectOpenHandles(=true)?$/.test(arg))) {
    return '--detectOpenHandles looks at one process';
  }
  return inspector.url() === undefined ? null : '';
}

/** What of jest's own is found there is ours. */
function replaceDefault(place, ours) {
  const exports = { ...require(place), default: ours };
  Object.defineProperty(exports, '__esModule', { value: true });
  require.cache[place].exports = exports;
}

/** Where jest's own configuration, and its core, find their parts. */
function partsOf(folder) {
  const project = createRequire(path.join(folder, '_'));
  const core = createRequire(createRequire(project.resolve('jest')).resolve('@jest/core'));
  return { project, core, config: createRequire(core.resolve('jest-config')) };
}

/**
 * Projects name the default runner by the path that it resolves to: what is found
 * there is ours. Projects with a runner of their own keep it.
 */
function replaceRunner(folder) {
  const Runner = require('./runner');
  const { project, core, config } = partsOf(folder);
  const places = new Set();
  for (const from of [project, core, config]) {
    try {
      places.add(from.resolve('jest-runner'));
    } catch {
      // not to be found from there
    }
  }
  for (const place of places) replaceDefault(place, Runner);
}

/** The sequencer chooses a shard's files: that of the project is most often jest's. */
function replaceSharding(folder, sharding) {
  const place = partsOf(folder).config.resolve('@jest/test-sequencer');
  const { default: Stock } = require(place);
  replaceDefault(
    place,
    class Sequencer extends Stock {
      constructor(options) {
        super(options);
        this.root = options?.globalConfig?.rootDir;
      }

      shard(tests) {
        const root = (test) => this.root ?? test.context.config.rootDir;
        const name = (test) => path.relative(root(test), test.path);
        const mine = sharding.select(tests.map(name));
        return tests.filter((test) => mine.has(name(test)));
      }
    },
  );
}

/** Options that say different things of the same. */
function checkTogether(options, rest) {
  if ((options.flaky || options.flakyBudget) && options.retries) {
    const flag = options.flaky ? '--flaky' : '--flaky-budget';
    throw new UsageError(`${flag} and --retries: takes one of them`);
  }
  huntOf(options);
  checkQueue(options);
  if (options.replay !== undefined) {
    if (options.retries) throw new UsageError('--replay and --retries: takes one of them');
    parseToken(options.replay, process.cwd());
  }
  if (options.queue && rest.some((arg) => /^--shard(=|$)/.test(arg))) {
    throw new UsageError('--queue and --shard: takes one of them');
  }
  if (options.shard && rest.some((arg) => /^--shard(=|$)/.test(arg))) {
    throw new UsageError('--shard-by-time and --shard: takes one of them');
  }
}

/** Makes the run one shard of several, or the one that measures for shards. */
function share({ shard, shardDurations }, rest) {
  if (!shard && shardDurations === undefined) return;
  const { Sharding } = require('../sharding');
  Sharding.current = new Sharding({ shard, durations: shardDurations });
  if (!shard) return;
  replaceSharding(process.cwd(), Sharding.current);
  rest.push(`--shard=${shard.join('/')}`);
}

function run(argv) {
  const { options, rest } = parse(argv);
  checkTogether(options, rest);
  const bin = path.join(findPeer('jest', OLDEST, process.cwd()), 'bin', 'jest.js');
  const reason = stockReason(rest);
  if (reason) process.stderr.write(`qe-jest: ${reason}: running jest as it is\n`);
  if (reason !== null) process.stderr.write(leftOut('qe-jest', options));
  if (rest.includes('--help') || rest.includes('-h')) process.stdout.write(`${help()}\n`);
  if (reason === null) {
    checkReports(options);
    // Whoever reads the environment of tests need not know the queue's address.
    const told = { ...options, queue: undefined, history: undefined };
    process.env.QE_JEST_OPTIONS = JSON.stringify(told);
    require('../recording').Recording.ask(options);
    if (options.queue !== undefined) {
      const { QueueNode } = require('../queue/node');
      const { wantedOf } = require('../queue/target');
      QueueNode.wanted = wantedOf(options, process.cwd());
    }
    replaceRunner(process.cwd());
    share(options, rest);
  }
  process.argv = [process.execPath, bin, ...rest];
  require(bin); // not jest.run: the command sets NODE_ENV, too
}

const main = (argv) => command('qe-jest', argv, run);

module.exports = { main };
