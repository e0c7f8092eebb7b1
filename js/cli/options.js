'use strict';
// Arguments that `qe exec` and `qe hunt` share.

const fs = require('node:fs');
const path = require('node:path');
const { InvalidArgumentError, Option } = require('commander');

const { missing } = require('../htmlreport');
const { wrong } = require('./ends');

const UNITS = { '': 1, K: 2 ** 10, M: 2 ** 20, G: 2 ** 30, T: 2 ** 40 };

const number = (least, most, whole) => (text) => {
  const value = text.trim() === '' ? NaN : Number(text);
  if (value >= least && value <= most && (!whole || Number.isInteger(value))) return value;
  const what = `a ${whole ? 'whole ' : ''}number from ${least} to ${most}`;
  throw new InvalidArgumentError(`It takes ${what}.`);
};

function bytes(text) {
  const found = /^(\d+(?:\.\d+)?)\s*([KMGT]?)(?:i?B)?$/i.exec(text.trim());
  if (found) return Math.floor(Number(found[1]) * UNITS[found[2].toUpperCase()]);
  throw new InvalidArgumentError('It takes a number of bytes, or one such as 512M.');
}

function change(text, before = {}) {
  const at = text.indexOf('=');
  if (at > 0) return { ...before, [text.slice(0, at)]: text.slice(at + 1) };
  throw new InvalidArgumentError('It takes NAME=VALUE; --unset NAME takes one away.');
}

function name(text, before = []) {
  if (text !== '' && !text.includes('=')) return [...before, text];
  throw new InvalidArgumentError('It takes the name of a variable.');
}

/** A command line, split as a shell does; it is never given to one. */
const words = (text) => require('string-argv').default(text);

const option = (flags, help, parse) => {
  const made = new Option(flags, help);
  return parse ? made.argParser(parse) : made;
};

const SHARED = [
  option(
    '-f, --framework <NAME>',
    'who runs the files: pytest, jest, mocha, vitest, node, playwright, cypress, unittest, ' +
      'go, cargo, ctest or command (default: by the files, and package.json)',
  ),
  option(
    '--command <TEMPLATE>',
    'a command line for each file, with {file}, {dir}, {name}, {stem}, and {report} if it ' +
      'writes JUnit XML there; no shell reads it',
    words,
  ),
  option('-C, --cwd <DIR>', "the project's folder"),
  option('-e, --env <NAME=VALUE>', 'set a variable for the tests', change),
  option('--unset <NAME>', 'take a variable away', name),
  option('--warm', 'pytest: fork from an interpreter that is ready'),
  option('--memory <SIZE>', 'private memory of each process, such as 512M', bytes),
  option('--cpu-seconds <N>', 'processor time of each process', number(0, 1e9, true)),
  option('--open-files <N>', 'descriptors of each process', number(0, 2 ** 32 - 1, true)),
  option(
    '--grace <S>',
    'seconds between asking a process to end, and killing it (default: 2)',
    number(0, 1e6),
  ),
  option(
    '--output-bytes <SIZE>',
    'kept of what a file prints, from both ends (default: 64K)',
    bytes,
  ),
  option('--json <PATH>', 'write the result as JSON; - is standard output'),
  option('--html <PATH>', 'write the result as one page for a browser'),
  option('--json-lines', 'each event as a line of JSON on standard output, as it happens'),
  option('-v, --verbose', 'say each start, attempt and retry'),
  option('-q, --quiet', 'say only what failed, and the sum'),
];

/** Adds what both commands take. */
function addShared(command) {
  for (const one of SHARED) command.addOption(one);
  return command;
}

/** What a path leads to, also where there is nothing yet. */
function real(file) {
  const full = path.resolve(file);
  try {
    return fs.realpathSync(full);
  } catch {
    const folder = path.dirname(full);
    return folder === full ? full : path.join(real(folder), path.basename(full));
  }
}

/** A path that is no file's, or one that something else is written to, is refused. */
function checkOwn(flag, file, others) {
  const taken = others.filter((other) => other !== undefined && other !== '-').map(real);
  if (file === '-' || taken.includes(real(file)))
    throw wrong(`${flag}: takes the path of a file of its own`);
}

/** Where a file cannot be written is said before anything runs. */
function checkWritable(flag, file) {
  if (file === '-') return;
  const folder = path.dirname(path.resolve(file));
  const isFolder = (where) => fs.statSync(where, { throwIfNoEntry: false })?.isDirectory() ?? false;
  if (isFolder(file)) throw wrong(`${flag}: ${file} is a folder`);
  try {
    if (!isFolder(folder)) throw new Error('no folder');
    fs.accessSync(folder, fs.constants.W_OK);
  } catch {
    throw wrong(`${flag}: ${file} cannot be written in ${folder}`);
  }
}

/** What does not go together is refused. */
function check(given) {
  if (given.verbose && given.quiet) throw wrong('--verbose and --quiet: take one of them');
  if (given.jsonLines && given.json === '-') {
    throw wrong('--json-lines and --json=-: both want standard output');
  }
  if (given.json !== undefined) checkWritable('--json', given.json);
  if (given.html === undefined) return;
  checkOwn('--html', given.html, [given.json]);
  checkWritable('--html', given.html);
  const why = missing();
  if (why !== null) throw wrong(`--html: ${why}`);
}

/** How the files' commands are made, as agents take it. */
function settings(given, args) {
  const unset = Object.fromEntries((given.unset ?? []).map((one) => [one, null]));
  const { memory: memoryBytes = 0, cpuSeconds = 0, openFiles = 0 } = given;
  return {
    args,
    cwd: given.cwd,
    env: { ...given.env, ...unset },
    template: given.command,
    warm: given.warm ?? false,
    limits: { memoryBytes, cpuSeconds, openFiles },
    grace: given.grace,
    outputBytes: given.outputBytes,
    outputs: given.html !== undefined,
  };
}

module.exports = { addShared, check, checkOwn, checkWritable, number, option, settings };
