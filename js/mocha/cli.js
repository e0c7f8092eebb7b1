'use strict';
// `qe-mocha`: mocha's own command line, in which spec files are loaded and run by
// workers of the core's. For mocha itself it is a serial run: all reporters work.

const inspector = require('node:inspector');
const net = require('node:net');
const path = require('node:path');
const { spawn } = require('node:child_process');
const { constants } = require('node:os');
const { pathToFileURL } = require('node:url');

const { command, refuse } = require('../command');
const { OPTIONS, checkQueue, checkReports, help, huntOf, leftOut, parse } = require('../options');
const { argsOf, parse: parseToken } = require('../replay');
const { UsageError } = require('../usage');
const { findMocha, mochaModules } = require('./modules');
const { typedOf } = require('./typed');

const KEYS = [
  'workers',
  'timeout',
  'flaky',
  'flakyMode',
  'flakyBudget',
  'flakyAlpha',
  'flakyCauses',
  'flakySeed',
  'replay',
  'maxWorkerRss',
  'shard',
  'shardDurations',
  'queue',
  'run',
  'queueProject',
  'queuePasswordFile',
  'queueCaFile',
  'queueLease',
  'history',
  'reportJson',
  'reportHtml',
  'reportTrace',
  'reportJunit',
];
const SEED_HELP = "of the hunt's orders and random numbers; alone: run once, in that order";
const OURS = OPTIONS.filter(({ key }) => KEYS.includes(key)).map((option) =>
  option.key === 'flakySeed' ? { ...option, help: SEED_HELP } : option,
);
const NODE_STARTED = 'QE_MOCHA_NODE'; // node's own flags have been given to this process
const PARENT_PIPE = 3;

/** Mocha takes any option for one of a plugin's: what is qe-jest's alone is refused. */
function refuseOthers(words) {
  const end = words.indexOf('--');
  for (const word of end < 0 ? words : words.slice(0, end)) {
    const flag = word.split('=', 1)[0];
    const known = OPTIONS.find((option) => option.flag === flag);
    if (!known || known.key === 'retries') continue; // that is mocha's own
    throw new UsageError(`${flag}: is an option of qe-jest alone`);
  }
}

/** Why mocha runs as it is, without us; null where it does not. */
function stockReason(options) {
  if (process.platform !== 'linux') return 'workers of the core need Linux';
  if (options.watch) return '--watch keeps one process';
  const looked = options.inspect || options['inspect-brk'] || options._?.includes('inspect');
  return looked || inspector.url() !== undefined ? '' : null;
}

/** Mocha's options, with those that are node's apart. */
function split(options, flags) {
  const node = {};
  const mocha = {};
  for (const [name, value] of Object.entries(options)) {
    if (flags.isNodeFlag(name)) node[name.replace(/^v8-(?!options)/, '')] = value;
    else mocha[name] = value;
  }
  const listed = mocha['node-option']?.map((flag) => `--${flag}`);
  delete mocha['node-option'];
  return { mocha, node: listed ?? flags.unparseNodeFlags(node) };
}

/** The same command in a process with node's flags, which mocha takes as its own. */
function restart(flags) {
  const child = spawn(process.execPath, [...flags, ...process.argv.slice(1)], {
    stdio: ['inherit', 'inherit', 'inherit', 'pipe'], // the last: see followParent
    env: { ...process.env, [NODE_STARTED]: '1' },
  });
  const signals = ['SIGINT', 'SIGTERM', 'SIGHUP'];
  for (const name of signals) process.on(name, () => child.kill(name));
  child.on('exit', (code, signal) => {
    for (const name of signals) process.removeAllListeners(name);
    if (signal) process.kill(process.pid, constants.signals[signal]);
    else process.exitCode = code;
  });
}

/** A process that was restarted with flags does not outlive the one that waits for it. */
function followParent() {
  const pipe = new net.Socket({ fd: PARENT_PIPE, readable: true, writable: false });
  pipe.on('close', () => process.kill(process.pid, 'SIGTERM'));
  pipe.on('error', () => {}); // 'close' follows
  pipe.resume();
  pipe.unref();
}

/** The passes of `--flaky-mode=fixed`; a seed alone is one of these. */
function passesOf({ flaky, flakyBudget, flakyMode, flakySeed: seed, replay }) {
  if (replay !== undefined) return null;
  if ((flaky !== undefined || flakyBudget !== undefined) && flakyMode !== 'fixed') return null;
  const count = flaky ?? (seed === undefined ? 0 : 1);
  const { planPasses } = require('../flaky');
  return count ? planPasses(count, { seed, randomize: seed !== undefined }) : null;
}

/** A hunt, or a replay; null: what runs is an ordinary run. */
function startHunt(options, reports, files) {
  const { cpuCount } = require('../addon');
  const { MochaHunt, MochaReplay } = require('./hunt');
  const { args, recipe, typed, workers = cpuCount() } = options;
  const hunts = huntOf(options);
  if (!hunts && !recipe) return null;
  const hunt = recipe
    ? new MochaReplay(recipe, workers, reports, files)
    : new MochaHunt(hunts, workers, reports, args, typed);
  reports.hunting = hunt.hunting;
  return hunt;
}

/** What is asked for wrongly is seen late here: mocha would show it with its stack. */
function orRefuse(make) {
  try {
    return make();
  } catch (error) {
    return orThrow(error);
  }
}

function orThrow(error) {
  if (!(error instanceof UsageError)) throw error;
  refuse('qe-mocha', error);
  return process.exit();
}

/** The first pass of a hunt, as of `planPasses`. */
function firstOf({ hunting }) {
  if (!hunting.first) return []; // a replay says itself what runs
  const { condition: order, seed, temporary } = hunting.first;
  return [{ pass: 0, seed, order, temporary }];
}

/** Puts our loading and our runner in the place of mocha's. */
function replace(root, { Mocha }, options) {
  const { makeFlakyRunner } = require('./flaky');
  const { makeParentRunner } = require('./runner');
  const { Reports } = require('./reports');
  const { Session } = require('./session');
  const { Builder } = require('./tree');
  const sessions = new WeakMap(); // by Mocha
  const nodes = new WeakMap(); // of runs that several share
  const { run: stockRun } = Mocha.prototype;

  // A global set-up that fails ends the run before our runner has begun.
  Mocha.prototype.run = function run(done) {
    return stockRun.call(this, (failures) => {
      sessions.get(this)?.close();
      done?.(failures);
      nodes.get(this)?.conclude(); // behind mocha's own exit status
    });
  };

  Mocha.prototype.loadFilesAsync = async function loadInWorkers() {
    this.lazyLoadFiles(true);
    const { sharding } = options;
    const mine = options.shard ? share(sharding, this.files, this.options.file) : null;
    const { grep, dryRun } = this.options;
    const { passes } = options;
    const reports = orRefuse(() => new Reports(options, sharding, !grep && !dryRun, passes));
    const hunt = dryRun ? null : orRefuse(() => startHunt(options, reports, this.files));
    if (mine?.size === 0) {
      reports.finish({ workers: 0, interrupted: false });
      return;
    }
    const all = hunt ? firstOf(hunt) : passes;
    const node = dryRun ? null : await join(options, this, reports).catch(orThrow);
    nodes.set(this, node);
    if (node?.isOver) {
      reports.finish({ workers: 0, interrupted: false });
      return;
    }
    const session = orRefuse(
      () => new Session(root, this.files, this.options, options, reports, mine, all, hunt, node),
    );
    sessions.set(this, session);
    let tree;
    try {
      tree = await session.tree;
    } catch (error) {
      session.close();
      await node?.finish();
      node?.conclude();
      throw error;
    }
    if (tree === null) {
      session.report(); // other nodes have run all of it
      return;
    }
    const { suite } = this;
    const things = new Builder(Mocha).build(suite, tree);
    if (suite.hasOnly()) reports.whole = false;
    if (mine) keep(suite, things, mine);
    const PlayingRunner = (session.passes ? makeFlakyRunner : makeParentRunner)(Mocha);
    this._runnerClass = class extends PlayingRunner {
      constructor(...args) {
        super(...args);
        this.attach(session, tree, things, Boolean(mine));
        orRefuse(() => hunt?.check?.(new Set(this.keys.values())));
      }
    };
  };
}

/** The indexes of this shard's files; what `--file` names is every shard's. */
function share(sharding, files, everywhere = []) {
  const name = (file) => path.relative('', file);
  const all = new Set(everywhere.map(name));
  const mine = sharding.select(files.map(name).filter((file) => !all.has(file)));
  const indexes = [...files.keys()];
  return new Set(indexes.filter((i) => all.has(name(files[i])) || mine.has(name(files[i]))));
}

/** Leaves of the root suite what some files define, once `.only` has been obeyed. */
function keep(suite, things, mine) {
  if (suite.hasOnly()) suite.filterOnly();
  const kept = new Set([...mine].flatMap((index) => [...things[index].values()]));
  suite.tests = suite.tests.filter((test) => kept.has(test));
  suite.suites = suite.suites.filter((each) => kept.has(each));
}

/** This node's part in a run of several; null: there is no queue. */
async function join({ queueWanted, workers }, { files, options: { bail } }, reports) {
  if (!queueWanted) return null;
  const { cpuCount } = require('../addon');
  const { QueueNode } = require('../queue/node');
  const most = Math.max(1, Math.min(workers ?? cpuCount(), files.length));
  const units = reports.shared(files);
  const node = new QueueNode(queueWanted, units, {
    workers: most,
    maxFailures: bail ? 1 : 0,
    program: 'qe-mocha',
  });
  await node.join();
  return node;
}

async function run(argv) {
  const { options, rest } = parse(argv, OURS);
  huntOf(options);
  checkQueue(options, OURS);
  refuseOthers(rest);
  const root = findMocha(process.cwd());
  const parts = mochaModules(root);
  const bin = path.join(root, 'bin', 'mocha.js');
  const loaded = parts.loadOptions(rest);
  const reason = stockReason(loaded);
  if (reason) process.stderr.write(`qe-mocha: ${reason}: running mocha as it is\n`);
  if (reason !== null) {
    process.stderr.write(leftOut('qe-mocha', options, OURS));
    process.argv = [process.execPath, bin, ...rest];
    await import(pathToFileURL(bin));
    return;
  }
  checkReports(options);
  if (options.replay !== undefined) {
    const recipe = (options.recipe = parseToken(options.replay, process.cwd()));
    // All that was loaded, also by a configuration: by other names it would be loaded twice.
    if (recipe.args.length > 0) loaded._ = recipe.args;
  }
  options.args = argsOf(loaded._, process.cwd());
  options.typed = () => typedOf(rest, parts, options.timeout);
  const { mocha, node } = split(loaded, parts.flags);
  if (node.length > 0 && !process.env[NODE_STARTED]) {
    restart(node);
    return;
  }
  if (process.env[NODE_STARTED]) followParent();
  delete process.env[NODE_STARTED];
  if (loaded.help) process.stdout.write(`${help('qe-mocha', OURS)}\n`);
  // Mocha's own parallel mode forbids what serial runs allow: ours is in its place.
  const workers = options.workers ?? mocha.jobs ?? undefined;
  for (const name of ['parallel', 'p', 'jobs', 'j']) delete mocha[name];
  if (options.shard || options.shardDurations !== undefined) {
    const { Sharding } = require('../sharding');
    const { shard, shardDurations: durations } = options;
    options.sharding = new Sharding({ shard, durations });
  }
  if (options.queue !== undefined) {
    const { wantedOf } = require('../queue/target');
    options.queueWanted = wantedOf(options, process.cwd());
  }
  require('../recording').Recording.ask(options);
  replace(root, parts, { timeout: 0, ...options, workers, passes: passesOf(options) });
  process.argv = [process.execPath, bin, ...rest];
  await parts.main([], mocha);
}

const main = (argv) => command('qe-mocha', argv, run);

module.exports = { main };
