'use strict';
// `qe hunt`: runs test files many times, and judges them.

const { FlakyTestHunter } = require('../agents/hunter');
const { adaptive, iterationPresets } = require('../agents/params');
const { Command, Option } = require('commander');
const { drive, eachOf, printLine, statusOf, writeJson } = require('./driving');
const { STATUSES, wrong } = require('./ends');
const { chosen } = require('./files');
const { addShared, check, number, option, settings } = require('./options');
const { ofHunt, writePage } = require('./recorded');
const { Screen, many, seconds } = require('./screen');
const { STYLES, headOf, howItEnded, replayLine } = require('./summing');

const MOST = 32; // at once, where load decides

const HELP = `
Examples:
  qe hunt login.test.js                     10 runs of it
  qe hunt tests/ --preset=thorough          20 of each
  qe hunt login.test.js --iterations=100 --adaptive
  qe hunt tests/ --json=hunt.json -- --config jest.config.js

Files go two at a time, three runs of each at once. Which test of a suite is flaky, and why, is
found faster from within it: qe-jest --flaky-budget=60.
${STATUSES}`;

function paramsOf({ maxConcurrent, timeout, throttle, adaptive: adapts }) {
  const changes = { maxConcurrent, retryTimeout: timeout, throttlePeriod: throttle };
  const known = Object.entries(changes).filter(([, value]) => value !== undefined);
  const params = Object.fromEntries(known);
  if (!adapts) return params;
  // Where it begins is a hunter's own, as without it.
  const first = { maxConcurrent: 3, retryAttempts: 1, retryTimeout: 30, throttlePeriod: 0.2 };
  return adaptive({ ...first, ...params, most: Math.max(MOST, params.maxConcurrent ?? 0) });
}

const percent = (share) => `${Math.round(100 * share)}%`;

function rateOf({ failed, iterations, interval: [low, high] }) {
  return (
    `failed ${failed} of ${iterations} runs: ${percent(failed / iterations)}, ` +
    `${percent(low)} to ${percent(high)} with a confidence of 95 %`
  );
}

/** What a file is called that is not flaky. */
function steady({ iterations, passed }) {
  if (iterations === 0) return ['unknown', 'dim'];
  return passed === iterations ? ['stable', 'green'] : ['FAILING', 'red'];
}

/** What is said of an event: {text, style, important}, or null. */
function lineOf(event, verbose) {
  const { kind, file } = event;
  if (kind === 'judged') {
    if (event.isFlaky) {
      return { text: `FLAKY    ${file}  ${rateOf(event)}`, style: 'bold red', important: true };
    }
    const [word, style] = steady(event);
    const text = `${word.padEnd(8)} ${file}  ${event.passed} of ${event.iterations} passed`;
    return { text, style, important: true };
  }
  if (kind !== 'result' || !verbose) return null;
  const text =
    `${event.outcome.padEnd(8)} ${file}  run ${event.run + 1}, ` +
    `${seconds(event.duration)}${howItEnded(event)}`;
  return { text, style: STYLES[event.outcome] ?? '', important: true };
}

function flaky(screen, one, replay) {
  screen.say('');
  screen.say(`FLAKY ${one.file}`, 'bold red');
  screen.say(`  ${rateOf(one)}`);
  const marks = one.outcomes
    .slice(0, 200)
    .map((o) => (o === 'passed' || o === 'flaky' ? '.' : 'F'));
  screen.say(`  pattern: ${one.pattern}  ${marks.join('')}`);
  for (const { name, runs, message } of one.failures.slice(0, 10)) {
    screen.say(`  ${name}, failed in ${runs}: ${headOf(message)}`);
  }
  for (const { cause, says, culprits = [] } of one.likelyCauses.slice(0, 5)) {
    screen.say(`  likely cause: ${cause}, ${says}`, 'yellow');
    if (culprits.length > 0) screen.say(`    ${culprits.slice(0, 5).join(', ')}`);
  }
  const proofs = one.likelyCauses.flatMap(({ replay: proof }) => proof ?? []);
  if (proofs.length > 0) screen.say('  make it fail:', 'dim');
  for (const proof of proofs) screen.say(`    ${proof}`, 'cyan');
  if (replay !== null) {
    screen.say('  run it alone:', 'dim');
    screen.say(`    ${replay}`, 'cyan');
  }
}

function summary(screen, result, made, planned) {
  for (const one of result.flakyList) {
    flaky(screen, one, replayLine(one.file, result.framework, made));
  }
  for (const warning of result.warnings) screen.say(`warning: ${warning}`, 'yellow');
  screen.say('');
  if (result.interrupted) {
    screen.say(`interrupted: ${result.totalRuns} of ${many(planned, 'run')}`, 'yellow');
  }
  const words = result.files.filter(({ isFlaky }) => !isFlaky).map((one) => steady(one)[0]);
  const parts = [`${result.flakyTests} flaky`];
  for (const word of ['stable', 'FAILING', 'unknown']) {
    const count = words.filter((one) => one === word).length;
    if (count > 0) parts.push(`${count} ${word.toLowerCase()}`);
  }
  const calm = !result.interrupted && words.every((word) => word === 'stable');
  screen.say(
    `${many(result.totalTests, 'file')}: ${parts.join(', ')}; ` +
      `${many(result.totalRuns, 'run')}; ${seconds(result.executionTime)}`,
    result.flakyTests > 0 ? 'bold red' : calm ? 'bold green' : 'yellow',
  );
}

async function hunt(names, given, args) {
  check(given);
  if (given.iterations !== undefined && given.preset !== undefined) {
    throw wrong('--iterations and --preset: take one of them');
  }
  const count = given.iterations ?? iterationPresets[given.preset] ?? 10;
  const { files, framework, why } = chosen(names, given);
  const made = settings(given, args);
  const agent = new FlakyTestHunter({ agentId: 'qe', causes: given.causes, ...made });
  const taken = given.jsonLines || given.json === '-';
  const planned = files.length * count;
  const title = `${many(count, 'run')} of ${many(files.length, 'file')} by ${framework} (${why})`;
  const screen = new Screen(taken ? process.stderr : process.stdout, planned, {
    title,
    quiet: given.quiet,
  });
  const view = {
    note: (text) => screen.say(text, 'yellow'),
    take(event) {
      if (given.jsonLines) printLine(event);
      screen.take(event, lineOf(event, given.verbose ?? false));
    },
  };
  process.removeAllListeners('warning'); // the result has them
  let ended;
  try {
    const stream = agent.stream(files, { framework, iterations: count, params: paramsOf(given) });
    ended = await drive(agent, stream, view, agent.settings.grace);
  } finally {
    screen.close();
  }
  const { result, signal } = ended;
  summary(screen, result, made, planned);
  const { json, html } = given;
  eachOf(
    () => json !== undefined && writeJson(json, result),
    () => html !== undefined && writePage(html, ofHunt(result, made)),
  );
  if (given.jsonLines) printLine({ kind: 'done', result });
  return statusOf(result.flakyTests > 0, signal);
}

/** @param {(status: number) => void} onEnd */
function command(args, onEnd) {
  const made = new Command('hunt')
    .description('run each test file many times, and tell those that pass only sometimes')
    .argument('<FILES...>')
    .addOption(
      option('-i, --iterations <N>', 'runs of each file (default: 10)', number(1, 65536, true)),
    )
    .addOption(
      new Option('--preset <NAME>', 'runs of each file by name: 5, 20 or 50').choices(
        Object.keys(iterationPresets),
      ),
    )
    .addOption(
      option(
        '-n, --max-concurrent <N>',
        'runs of one file at once (default: 3)',
        number(1, 1024, true),
      ),
    )
    .addOption(
      option('--timeout <S>', 'seconds for a run; 0: no limit (default: 30)', number(0, 1e9)),
    )
    .addOption(
      option('--throttle <S>', 'seconds between two starts (default: 0.2)', number(0, 1e9)),
    )
    .option('--adaptive', 'runs of all files together, as many as the machine has room for')
    .option('--no-causes', 'do not look for causes by experiment: some 15 s for a flaky file')
    .addHelpText('after', HELP)
    .action(async (files, given) => onEnd(await hunt(files, given, args)));
  return addShared(made);
}

module.exports = { command };
