'use strict';
// What is said of a file, and at the end of an execution.

const path = require('node:path');

const { commandsIn } = require('../frameworks');
const { firstLines, lastLines, many, seconds, shown } = require('./screen');

const LINES = 20; // of the output of a failure
const MOST_TESTS = 10; // named of a file
const PLAIN = /^[\w@%+=:,./-]+$/; // what a shell takes as it is

const STYLES = {
  passed: 'green',
  flaky: 'yellow',
  failed: 'bold red',
  crashed: 'bold red',
  timeout: 'bold red',
  error: 'bold red',
  interrupted: 'yellow',
  not_run: 'dim',
};
const NOT_ENDED = ['not_run', 'interrupted'];

/** Counts of tests in words; "" where there are none. */
function counted(tests) {
  if (!tests) return '';
  const names = ['passed', 'failed', 'errors', 'skipped'].filter((name) => tests[name]);
  return names.map((name) => `${tests[name]} ${name}`).join(', ') || 'no tests';
}

/** What is to be said of a file beside its outcome. */
function howItEnded({ tests, outcome, passed, ended, attempts }) {
  const parts = [];
  if (tests) parts.push(outcome === 'passed' ? many(tests.total, 'test') : counted(tests));
  if (!passed && !NOT_ENDED.includes(outcome)) parts.push(ended);
  if (attempts > 1) parts.push(many(attempts, 'attempt'));
  return parts.map((part) => `, ${part}`).join('');
}

const quoted = (word) => (PLAIN.test(word) ? word : `'${word.replaceAll("'", `'"'"'`)}'`);

/** The command line that runs a file alone, to be copied; null: it has gone since. */
function replayLine(file, framework, settings) {
  let command;
  try {
    command = commandsIn({ ...settings, framework }).commandFor(file);
  } catch {
    return null;
  }
  const changes = Object.entries(command.env).filter(([, value]) => value !== undefined);
  const without = changes.filter(([, value]) => value === null).flatMap(([name]) => ['-u', name]);
  const set = changes.filter(([, value]) => value !== null).map(([name, v]) => `${name}=${v}`);
  const words = [...(changes.length > 0 ? ['env', ...without, ...set] : []), ...command.argv];
  const line = words.map(quoted).join(' ');
  const elsewhere = path.resolve(command.cwd) !== process.cwd();
  return elsewhere ? `(cd ${quoted(command.cwd)} && ${line})` : line;
}

/**
 * What to show of what a failed file printed: titles, and lines. Where tests are named, what was
 * printed adds to it, and one stream will do; where none is, as after a crash, the reason may be
 * in either.
 */
function said({ stdout, stderr, failures, outcome }) {
  const crashed = outcome === 'crashed'; // stacks begin with what happened, and where
  const told = [
    ['stdout, last', lastLines(stdout, LINES)],
    crashed
      ? ['stderr, first', firstLines(stderr, LINES)]
      : ['stderr, last', lastLines(stderr, LINES)],
  ].filter(([, lines]) => lines.length > 0);
  if (failures.length === 0 || told.length < 2) return told;
  // Programs that complain on the standard error, and say little beside it.
  return stdout.trim().split('\n').length < 3 ? told.slice(1) : told.slice(0, 1);
}

/** The first line of a message. */
const headOf = (message) => lastLines(message.split('\n', 1)[0], 1, 200)[0] ?? '';

function failure(screen, one, framework, settings) {
  const word = one.outcome.toUpperCase();
  screen.say('');
  screen.say(`${word} ${one.file}  ${seconds(one.duration)}${howItEnded(one)}`, 'bold red');
  for (const { name, message } of one.failures.slice(0, MOST_TESTS)) {
    const head = headOf(message);
    screen.say(`  ${name}${head && `: ${head}`}`);
  }
  const more = one.failures.length - MOST_TESTS;
  if (more > 0) screen.say(`  and ${more} more`);
  for (const [title, lines] of said(one)) {
    screen.say(`  ${title} ${many(lines.length, 'line')}:`, 'dim');
    for (const line of lines) screen.say(`  | ${line}`);
  }
  const replay = replayLine(one.file, framework, settings);
  if (replay !== null) {
    screen.say('  run it alone:', 'dim');
    screen.say(`    ${replay}`, 'cyan');
  }
}

function sum(result, failed, stopped, flaky) {
  const parts = [`${result.passed} passed${flaky ? ` (${flaky} flaky)` : ''}`];
  if (failed) parts.push(`${failed} failed`);
  if (stopped) parts.push(`${stopped} not run to the end`);
  let text = `${many(result.total, 'file')}: ${parts.join(', ')}`;
  const { tests, retries, timeouts } = result;
  if (tests) text += `; ${many(tests.total, 'test')}: ${counted(tests)}`;
  if (retries) text += `; ${many(retries, 'retry', 'retries')}`;
  if (timeouts) text += `; ${many(timeouts, 'timeout')}`;
  return `${text}; ${seconds(result.executionTime)}`;
}

/** Prints each failure, and the sum of all. */
function summary(screen, result, settings) {
  for (const one of result.results) {
    if (!one.passed && !NOT_ENDED.includes(one.outcome)) {
      failure(screen, one, result.framework, settings);
    }
  }
  const stopped = result.results.filter(({ outcome }) => NOT_ENDED.includes(outcome)).length;
  const flaky = result.results.filter(({ outcome }) => outcome === 'flaky');
  if (flaky.length > 0) screen.say('');
  for (const { file, attempts } of flaky) {
    screen.say(`flaky: ${file} passed on attempt ${attempts}`, 'yellow');
  }
  for (const warning of result.warnings) screen.say(`warning: ${warning}`, 'yellow');
  screen.say('');
  if (result.interrupted) {
    const known = result.total - stopped;
    screen.say(`interrupted: ${known} of ${many(result.total, 'file')} ran to the end`, 'yellow');
  }
  const failed = result.failed - stopped;
  const calm = flaky.length === 0 && stopped === 0;
  const style = failed > 0 ? 'bold red' : calm ? 'bold green' : 'bold yellow';
  screen.say(sum(result, failed, stopped, flaky.length), style);
}

module.exports = { NOT_ENDED, STYLES, headOf, howItEnded, replayLine, said, shown, summary };
