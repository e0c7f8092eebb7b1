'use strict';
// What the history knows of tests, in words: as pytest_qe/remembered.py has it, word for word.

const fs = require('node:fs');

const { History } = require('./addon');
const { historyOfProject } = require('./places');
const { historyFile } = require('./sharedhistory');
const { UsageError } = require('./usage');
const { fixed } = require('./rounding');
const { stats } = require('./stats');

const ALPHA = 0.05;
const BY = ['branch', 'commit', 'condition', 'day'];
const WIDTH = 20; // of a label
const NEWER = 'it was made by a newer version of qe';

class RememberedError extends Error {}

const percent = (share) => `${fixed(share * 100, 1)}%`;
const seconds = (value) => `${fixed(value, 2).padStart(6)} s`;

/** Text with what a terminal would obey, or not show, as "?". */
const plain = (text) => text.replace(/[\p{C}\p{Z}]/gu, (c) => (c === ' ' ? c : '?'));

/** Padded by what is seen of it: a letter may be two of a string's units. */
const padded = (text, width) => text + ' '.repeat(Math.max(0, width - [...text].length));
const labelOf = (row) => padded([...plain(row.label)].slice(0, WIDTH).join('') || 'unknown', WIDTH);

/** The first that tells two apart. */
function ordered(rows, ...keys) {
  const difference = (a, b) => (a < b ? -1 : Number(a > b));
  return rows.sort((a, b) => keys.reduce((known, key) => known || difference(key(a), key(b)), 0));
}

const isFile = (file) => fs.statSync(file, { throwIfNoEntry: false })?.isFile() ?? false;

/** What the core says of a history is told as one line. */
function told(call, words = (message) => message) {
  try {
    return call();
  } catch (error) {
    if (!error.code?.startsWith?.('QE_')) throw error;
    const newer = error.code === 'QE_EUNSUPPORTED';
    throw new RememberedError(words(newer ? NEWER : error.message));
  }
}

/** Where the history is, by an option; undefined: nothing says so. */
function asked(option) {
  try {
    return historyFile(option);
  } catch (error) {
    if (error instanceof UsageError) throw new RememberedError(`--history: ${error.message}`);
    throw error;
  }
}

/** Calls with the history that is there, and its path. */
function withHistory(option, call) {
  const given = asked(option);
  const file = given ?? historyOfProject();
  if (!isFile(file)) {
    const here = 'there is no .qe/history.db here or above: --history says where';
    throw new RememberedError(given === undefined ? here : `${given}: there is no such history`);
  }
  const history = told(
    () => new History(file),
    (message) => `${file}: ${message}`,
  );
  try {
    return told(() => call(history, file));
  } finally {
    history.close();
  }
}

function counted(failures, passes) {
  const runs = failures + passes;
  if (runs === 0) return { runs, failures };
  const { low, high } = stats.jeffreysClamped(failures, passes, ALPHA);
  return { runs, failures, rate: failures / runs, low, high };
}

// --------------------------------------------------------------- of one test

function rowOf({ label, failures, passes, recovered }) {
  const { runs, failures: failed, ...rates } = counted(failures, passes);
  return { label, runs, failures: failed, recovered, ...rates };
}

function rateLine(row) {
  const { runs, failures, recovered, rate, low, high } = row;
  const line =
    `${labelOf(row)} ${`${runs}`.padStart(6)}  ${`${failures}`.padStart(8)}` +
    `  ${`${recovered}`.padStart(9)}`;
  if (runs === 0) return line;
  return `${line}  ${percent(rate).padStart(6)}  ${percent(low)} to ${percent(high)}`;
}

function timesLine(row) {
  const passes = row.passes + row.recovered;
  const times = passes > 0 ? `  ${seconds(row.mean)}  ${seconds(row.longest)}` : '';
  return `${labelOf(row)}  ${`${passes}`.padStart(6)}${times}`;
}

/**
 * What is told of a test.
 *
 * @param {string} by a word of BY
 * @param {boolean} options.durations how long its passes took, and not how often it failed
 */
function historyOf(test, by, { json = false, durations = false, history: given }) {
  const [found, file] = withHistory(given, (history, file) => [history.rates(test, by), file]);
  if (found.length === 0) throw new RememberedError(`${file} knows no run of ${test}`);
  const sum = (key) => found.reduce((all, row) => all + row[key], 0);
  const rows = found.map((row) => rowOf({ ...row, label: plain(row.label) }));
  const [failures, passes, recovered] = ['failures', 'passes', 'recovered'].map(sum);
  const all = rowOf({ label: 'all', failures, passes, recovered });
  if (json) {
    const told = rows.map((row, i) => {
      const { first, last, mean, longest } = found[i];
      const passed = found[i].passes + found[i].recovered > 0;
      const times = { mean_s: passed ? mean : null, longest_s: passed ? longest : null };
      return { ...row, first, last, ...times };
    });
    return JSON.stringify({ test, by, alpha: ALPHA, rows: told, all }, null, 2);
  }
  if (durations) {
    return [`${padded(by, WIDTH)}  passes      mean   longest`, ...found.map(timesLine)].join('\n');
  }
  const head = `${padded(by, WIDTH)}   runs  failures  recovered    rate  95 % interval`;
  return [head, ...[...rows, all].map(rateLine)].join('\n');
}

// -------------------------------------------------------------- of all tests

const TITLES = { flakiest: 'Flakiest', failing: 'Most often failing', slowest: 'Slowest' };
const ALL_HEAD = '   rate  95 % interval     failures    runs    median  test';

/** How flaky: what of the rarer result is sure to come again. */
const mix = ({ low, high }) => Math.min(low, 1 - high);

function tablesOf(tests) {
  const test = (one) => one.test;
  return {
    // The nearer to even, the flakier; of two that are alike the better known.
    flakiest: ordered(
      tests.filter(({ failures, runs }) => failures > 0 && failures < runs),
      (one) => -mix(one),
      (one) => -one.runs,
      test,
    ),
    failing: ordered(
      tests.filter(({ failures }) => failures > 0),
      (one) => -one.failures,
      (one) => -one.rate,
      test,
    ),
    slowest: ordered(
      tests.filter(({ median_s: median }) => median),
      (one) => -one.median_s,
      test,
    ),
  };
}

function overviewLine({ test, runs, failures, rate, low, high, median_s: median }) {
  const interval = `${percent(low)} to ${percent(high)}`.padEnd(16);
  const counts = `${`${failures}`.padStart(8)}  ${`${runs}`.padStart(6)}`;
  const time = median ? seconds(median) : '       ?';
  return `${percent(rate).padStart(7)}  ${interval}  ${counts}  ${time}  ${plain(test)}`;
}

/**
 * What is told without a test: those that are the flakiest, that fail most often, and that
 * take longest.
 *
 * @param {number} limit rows of each table
 */
function overview(limit, { json = false, history: given }) {
  const [counts, times, file] = withHistory(given, (history, file) => {
    const ran = history.counts().filter(([, failures, passes]) => failures + passes > 0);
    return [ran, history.durations(ran.map(([id]) => id)), file];
  });
  if (counts.length === 0) throw new RememberedError(`${file} knows no test that ran to its end`);
  const tests = counts.map(([test, failures, passes], i) => {
    return { test, ...counted(failures, passes), median_s: times[i] || null };
  });
  const tables = tablesOf(tests);
  if (json) {
    const cut = Object.entries(tables).map(([name, rows]) => [name, rows.slice(0, limit)]);
    const told = { tests: tests.length, alpha: ALPHA, ...Object.fromEntries(cut) };
    return JSON.stringify(told, null, 2);
  }
  const lines = Object.entries(TITLES).flatMap(([name, title]) => {
    const rows = tables[name];
    if (rows.length === 0) return [`${title}: none`, ''];
    const more = rows.length > limit ? `, ${limit} of ${rows.length}` : '';
    return [`${title}${more}`, ALL_HEAD, ...rows.slice(0, limit).map(overviewLine), ''];
  });
  return [...lines, `${tests.length} tests in ${file}`].join('\n');
}

module.exports = { BY, RememberedError, asked, historyOf, overview, withHistory };
