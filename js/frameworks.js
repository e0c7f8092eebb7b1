'use strict';
// How a test file is run by its framework's own command. The table is frameworks.json,
// which pytest's side reads as well; everything is looked at before anything starts.

const fs = require('node:fs');
const path = require('node:path');

const { isFolder, locate, missing, slug, upwards } = require('./targets');
const { refuse } = require('./units');

const HERE = path.join(__dirname, '..', 'python', 'pytest_qe');
const IN_FILES = new Set(['pytest', 'playwright', 'junit', 'ctest', 'jest', 'list']);

let table;

/** {frameworks: by name, names: of these and their aliases, places}. */
function read() {
  if (table !== undefined) return table;
  const { frameworks, places } = JSON.parse(
    fs.readFileSync(path.join(HERE, 'frameworks.json'), 'utf8'),
  );
  const names = new Map();
  for (const [name, { aliases = [] }] of Object.entries(frameworks)) {
    for (const one of [name, ...aliases]) names.set(one, name);
  }
  return (table = { frameworks, names, places });
}

function shown(value) {
  if (typeof value === 'string') return JSON.stringify(value);
  return value !== null && typeof value === 'object' ? 'an object' : String(value);
}

/** An entry of the table by a name or an alias: {name, ...}. */
function lookup(framework) {
  const { frameworks, names } = read();
  const name = names.get(framework);
  if (name === undefined) {
    const known = Object.keys(frameworks).join(', ');
    throw refuse(`options.framework: takes one of ${known}, not ${shown(framework)}`);
  }
  return { name, tools: [], options: [], start: [], env: {}, ...frameworks[name] };
}

function isProgram(file) {
  try {
    fs.accessSync(file, fs.constants.X_OK);
    return fs.statSync(file).isFile();
  } catch {
    return false;
  }
}

/** The folders that may hold a tool, the project's own first. */
function searched({ places: kinds = [] }, folder, environ) {
  const { places } = read();
  const active = kinds.includes('python') ? environ.VIRTUAL_ENV : undefined;
  const own = upwards(folder).flatMap((above) => [
    ...(active && path.dirname(active) === above ? [path.join(active, 'bin')] : []),
    ...kinds.flatMap((kind) => places[kind]).map((place) => path.join(above, place)),
  ]);
  const others = (environ.PATH ?? '').split(path.delimiter).filter((place) => place !== '');
  return [...own, ...others.map((place) => path.resolve(folder, place))];
}

/** The path of a framework's program: the project's own, or one in PATH; null: none. */
function findTool(entry, folder, environ, tools = entry.tools) {
  for (const place of searched(entry, folder, environ)) {
    const found = tools.map((tool) => path.join(place, tool)).find(isProgram);
    if (found !== undefined) return found;
  }
  return null;
}

function toolOf(entry, word, folder, environ) {
  let found = word?.includes(path.sep) ? path.resolve(folder, word) : null;
  if (found === null) {
    found = findTool(entry, folder, environ, word === undefined ? entry.tools : [word]);
  } else if (!isProgram(found)) {
    found = null;
  }
  if (found !== null) return found;
  throw missing(
    `${word ?? entry.name} is not found, neither in ${folder} and above nor in PATH: ` +
      entry.install,
  );
}

function wordsOf(name, given) {
  if (!Array.isArray(given)) throw refuse(`options.${name}: takes an array, not ${shown(given)}`);
  for (const [i, word] of given.entries()) {
    if (typeof word !== 'string') {
      throw refuse(`options.${name}[${i}]: takes a string, not ${shown(word)}`);
    }
  }
  return given;
}

/** The words of a command's template, for `command` alone. */
function templateOf({ name }, given) {
  if (name !== 'command') {
    if (given === undefined) return undefined;
    throw refuse(`options.template: goes with the framework command, not with ${name}`);
  }
  const words = wordsOf('template', given);
  if (!words[0]) throw refuse('options.template: has no program');
  if (!words.some((word) => /\{(file|dir|name|stem)\}/.test(word))) {
    throw refuse('options.template: names no file: put {file} where it belongs');
  }
  return words;
}

const isNamed = (word, args) => args.some((arg) => arg === word || arg.startsWith(`${word}=`));

/** The groups of options that a command gets, and how its results are read. */
function optionsOf(entry, shape, before, reads) {
  let kind = reads ? entry.results : 'none';
  const groups = entry.options.filter((group) => {
    const named = (group.unless ?? []).some((word) => isNamed(word, before));
    if (named || (group.for !== undefined && !reads)) {
      if (group.for === 'results') kind = 'none';
      return false;
    }
    return (group.only ?? shape) === shape;
  });
  return { groups, kind };
}

/**
 * The commands of one framework in one project: {framework, commandFor(given, run)}. What
 * that gives is {framework, argv, cwd, env, report, kind}: `report` is where the command
 * writes its results, or null; `kind` says how `counts` reads them ("none": it cannot).
 * `run` is which run of the file it is, from 0: those that run at one time differ.
 *
 * @param {string | null} reports the folder for files with results; null: none are read
 */
function commandsIn({ framework = 'jest', cwd = process.cwd(), ...options }, reports = null) {
  const entry = lookup(framework);
  if (typeof cwd !== 'string') throw refuse(`options.cwd: takes a string, not ${shown(cwd)}`);
  const own = wordsOf('args', options.args ?? []);
  const words = templateOf(entry, options.template);
  const folder = path.resolve(cwd);
  if (!isFolder(folder)) throw missing(`options.cwd: there is no folder ${folder}`);
  const environ = { ...process.env, ...options.env };
  const end = own.indexOf('--'); // what follows comes last
  const [before, after] = end < 0 ? [own, []] : [own.slice(0, end), own.slice(end)];
  const tool = toolOf(entry, words?.[0], folder, environ);
  let reported = 0;

  function commandFor(given, run = 0) {
    const { file, shape, holes } = locate(entry.name, entry, given, folder);
    const report = reports === null ? null : path.join(reports, `${++reported}.report`);
    Object.assign(holes, {
      report: report ?? '/dev/null',
      reporters: path.join(HERE, 'reporters'),
      slug: slug(file, folder) + (run > 0 ? `-${run}` : ''),
    });
    const fill = (word) =>
      word.replace(/\{(\w+)\}/g, (hole, name) => (Object.hasOwn(holes, name) ? holes[name] : hole));
    const { groups, kind: usual } = optionsOf(entry, shape, before, report !== null);
    const writes = report !== null && words?.some((word) => word.includes('{report}'));
    const kind = writes ? 'junit' : usual;
    const middle = [...entry.start, ...groups.flatMap((group) => group.args)];
    const env = { ...entry.env };
    for (const group of groups) {
      for (const [name, value] of Object.entries(group.env ?? {})) env[name] = fill(value);
    }
    return {
      framework: entry.name,
      argv: [
        tool,
        ...(words ?? []).slice(1).map(fill),
        ...middle.map(fill),
        ...before,
        ...entry.target[shape].map(fill),
        ...after,
      ],
      cwd: entry.cwd ? fill(entry.cwd) : folder,
      env: { ...env, ...options.env },
      report: IN_FILES.has(kind) ? report : null,
      kind,
    };
  }
  return { framework: entry.name, commandFor };
}

/** The names of all frameworks. */
const frameworkNames = () => Object.keys(read().frameworks);

module.exports = { commandsIn, findTool, frameworkNames, lookup, shown };
