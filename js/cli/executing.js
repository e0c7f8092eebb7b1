'use strict';
// `qe exec`: runs test files, each until it passes or has no attempt left.

const fs = require('node:fs');

const path = require('node:path');

const { TestExecutor } = require('../agents/executor');
const { EXECUTE, adaptive, presets } = require('../agents/params');
const { Command, Option } = require('commander');
const { drive, eachOf, printLine, statusOf, writeJson } = require('./driving');
const { STATUSES, cannot } = require('./ends');
const { Expected } = require('./expected');
const { chosen } = require('./files');
const {
  addShared,
  check,
  checkOwn,
  checkWritable,
  number,
  option,
  settings,
} = require('./options');
const { OF_NODES, targetOf } = require('./queueoptions');
const { ofExecution, writePage } = require('./recorded');
const { Screen, many, seconds } = require('./screen');
const { STYLES, howItEnded, summary } = require('./summing');

const MOST = 32; // at once, where load decides

const HELP = `
Examples:
  qe exec login.test.js bank.test.js
  qe exec tests/                       its test files, as the framework calls them
  qe exec 'tests/**/*.test.js' --attempts=1 --timeout=120
  qe exec --preset=fast tests/ -- --config jest.config.js
  qe exec -f go pkg/bank pkg/login
  qe exec --command='sh {file}' checks/*.sh --junit=out.xml
  qe exec tests/ --queue=rediss://queue.example.org --run=4711   one node of several
  qe exec tests/ --json-lines | jq -r 'select(.kind == "result") | .file'

A folder stands for the framework's usual test files in it and below. What follows -- is for
the framework's program. A file that passes only on a retry counts as passed, and is called
flaky.
${STATUSES}`;

/** The policy, from a preset and what was given. */
function paramsOf(given) {
  const changes = {
    maxConcurrent: given.maxConcurrent,
    retryAttempts: given.attempts,
    retryTimeout: given.timeout,
    retryBackoff: given.backoff,
    throttlePeriod: given.throttle,
  };
  const known = Object.entries(changes).filter(([, value]) => value !== undefined);
  const params = { ...presets[given.preset ?? 'default'], ...Object.fromEntries(known) };
  if (!given.adaptive) return params;
  return adaptive({ ...params, most: Math.max(MOST, params.maxConcurrent ?? 0) });
}

/** What is said of an event: {text, style, important}, or null. */
function lineOf(event, verbose) {
  const told = (text) => (verbose ? { text, style: 'dim', important: true } : null);
  const { kind, file, attempt } = event;
  switch (kind) {
    case 'result': {
      const { outcome, passed, duration } = event;
      const word = passed ? outcome : outcome.toUpperCase();
      const text = `${word.padEnd(8)} ${file}  ${seconds(duration)}${howItEnded(event)}`;
      return { text, style: STYLES[outcome] ?? '', important: outcome !== 'passed' || verbose };
    }
    case 'start':
      return told(`start    ${file}`);
    case 'retry':
      return told(`retry    ${file}  attempt ${attempt} in ${seconds(event.delay)}`);
    case 'timeout':
      return told(`timeout  ${file}  attempt ${attempt}, ${seconds(event.limit)}`);
    case 'adapt': {
      const { running, throttle, why } = event;
      return told(`adapt    ${running} at once, ${throttle} s apart: ${why}`);
    }
    default:
      return null;
  }
}

/** The last execution; null: there is none. Nothing is made to look for it. */
async function lastOf(agent) {
  if (!fs.existsSync(agent.memory.path)) return null;
  return agent.remembered().catch(() => null); // what is stored there is not ours
}

async function execute(names, given, args) {
  check(given);
  if (given.junit !== undefined) {
    checkOwn('--junit', given.junit, [given.json, given.html]);
    checkWritable('--junit', given.junit);
  }
  const { files, framework, why } = chosen(names, given);
  const shared = targetOf(given);
  const made = { ...settings(given, args), cases: given.junit !== undefined, shared };
  const agent = new TestExecutor({ agentId: 'qe', ...made });
  const params = paramsOf(given);
  const expected = new Expected(
    await lastOf(agent),
    files,
    params.maxConcurrent ?? EXECUTE.maxConcurrent.is,
  );
  const taken = given.jsonLines || given.json === '-';
  const screen = new Screen(taken ? process.stderr : process.stdout, files.length, {
    title: `${many(files.length, 'file')} by ${framework} (${why})`,
    quiet: given.quiet,
    left: () => expected.words(),
  });
  const view = {
    note: (text) => screen.say(text, 'yellow'),
    take(event) {
      if (given.jsonLines) printLine(event);
      expected.take(event);
      screen.take(event, lineOf(event, given.verbose ?? false));
    },
  };
  let ended;
  try {
    const stream = agent.stream(files, { framework, params });
    ended = await drive(agent, stream, view, agent.settings.grace);
  } finally {
    screen.close();
  }
  const { result, signal } = ended;
  summary(screen, result, made);
  for (const line of result.shared?.lines ?? []) screen.say(line, 'yellow');
  const { json, junit, html } = given;
  const folder = path.resolve(given.cwd ?? '.');
  eachOf(
    () => json !== undefined && writeJson(json, result),
    () => junit !== undefined && require('./junitfile').writeJunit(junit, result, folder),
    () => html !== undefined && writePage(html, ofExecution(result, made)),
  );
  if (given.jsonLines) printLine({ kind: 'done', result });
  const { trouble = null } = result.shared ?? {};
  if (trouble !== null) throw cannot(`--queue: ${trouble}`);
  return statusOf(result.failed > 0 || isBadElsewhere(result), signal);
}

/** Whether the part of the others fails the run, as far as this node knows. */
const isBadElsewhere = ({ shared }) =>
  shared !== undefined && (shared.failures.length > 0 || shared.stopped || !shared.proven);

/** @param {(status: number) => void} onEnd */
function command(args, onEnd) {
  const made = new Command('exec')
    .description('run test files, each in a process of its own and until it passes, many at once')
    .argument('<FILES...>')
    .addOption(
      option('-n, --max-concurrent <N>', 'files at once (default: 10)', number(1, 1024, true)),
    )
    .addOption(
      option(
        '--attempts <N>',
        'attempts in all for a file; 1 is no retry (default: 3)',
        number(1, 10_000, true),
      ),
    )
    .addOption(
      option('--timeout <S>', 'seconds for an attempt; 0: no limit (default: 60)', number(0, 1e9)),
    )
    .addOption(
      option(
        '--backoff <S>',
        'seconds before the second attempt; doubles (default: 2)',
        number(0, 1e9),
      ),
    )
    .addOption(
      option('--throttle <S>', 'seconds between two starts (default: 0.1)', number(0, 1e9)),
    )
    .addOption(
      new Option('--preset <NAME>', 'where the five above begin').choices(Object.keys(presets)),
    )
    .option('--adaptive', 'more or fewer at once, as the machine has room')
    .option('--junit <PATH>', 'write the result as JUnit XML');
  for (const one of OF_NODES) made.addOption(one);
  made
    .addHelpText('after', HELP)
    .action(async (files, given) => onEnd(await execute(files, given, args)));
  return addShared(made);
}

module.exports = { command };
