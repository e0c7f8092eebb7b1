'use strict';
// What ran where and when in a remembered run, drawn with letters: as pytest_qe/cli/timeline.py
// has it, letter for letter. A line is a list of [text, style].

const { fixed } = require('../rounding');
const { many, seconds, shown } = require('./screen');
const { STYLES } = require('./summing');

const LEAST_CELLS = 20;
const MOST_CELLS = 200;
const LONGEST = 5;
/** What is drawn of an outcome, the least important first: of several in one cell the last. */
const LETTERS = new Map([
  ['skipped', '·'],
  ['none', '·'],
  ['passed', '█'],
  ['flaky', '~'],
  ['failed', 'F'],
  ['error', 'E'],
  ['timeout', 'T'],
  ['crashed', 'C'],
]);
const RANK = new Map([...LETTERS.keys()].map((outcome, rank) => [outcome, rank]));
const BAD = ['failed', 'error', 'timeout', 'crashed'];

const styleOf = (outcome) => STYLES[outcome] ?? 'dim';
const least = (numbers) => numbers.reduce((a, b) => Math.min(a, b));
const most = (numbers) => numbers.reduce((a, b) => Math.max(a, b));

/** The most important outcome in each cell; null: nothing ran. */
function cellsOf(track, begin, span, cells) {
  const found = Array(cells).fill(null);
  const cell = (time) => Math.min(cells - 1, Math.trunc(((time - begin) / span) * cells));
  for (const { outcome, start, duration } of track) {
    const first = cell(start);
    const behind = Math.max(first + 1, cell(start + duration));
    for (let at = first; at < behind; at++)
      if (found[at] === null || RANK.get(outcome) > RANK.get(found[at])) found[at] = outcome;
  }
  return found;
}

function trackLine(worker, track, { begin, span, cells, head }) {
  const line = [[`${`gw${worker}`.padEnd(head)}  `, '']];
  for (const outcome of cellsOf(track, begin, span, cells)) {
    const letter = outcome === null ? ' ' : LETTERS.get(outcome);
    const style = styleOf(outcome);
    if (line.length > 1 && line.at(-1)[1] === style) line.at(-1)[0] += letter;
    else line.push([letter, style]);
  }
  const busy = track.reduce((sum, { duration }) => sum + duration, 0) / span;
  line.push([`  ${fixed(Math.min(100, 100 * busy), 0).padStart(3)} %`, 'dim']);
  return line;
}

function legendOf(attempts) {
  const there = new Set(attempts.map(({ outcome }) => outcome));
  const shownOf = [...LETTERS].filter(([outcome]) => there.has(outcome) && outcome !== 'none');
  return shownOf.flatMap(([outcome, letter]) => [
    [letter, styleOf(outcome)],
    [` ${outcome}  `, ''],
  ]);
}

function row({ id, attempt, duration, start, worker, outcome }, begin) {
  const again = attempt > 1 ? `  attempt ${attempt}` : '';
  const when = `${seconds(duration).padStart(10)}  at ${seconds(start - begin).padEnd(9)}`;
  return [
    [`  ${when} gw${worker}  `, ''],
    [outcome, styleOf(outcome)],
    [`  ${shown(id)}${again}`, ''],
  ];
}

function* longest(attempts, begin) {
  yield [];
  yield [['what took longest:', 'bold']];
  const sorted = [...attempts].sort((a, b) => b.duration - a.duration);
  for (const one of sorted.slice(0, LONGEST)) yield row(one, begin);
  const bad = attempts.filter(({ outcome }) => BAD.includes(outcome));
  if (bad.length === 0) return;
  yield [];
  yield [[`${many(bad.length, 'attempt')} that failed:`, 'bold']];
  for (const one of bad.slice(0, LONGEST)) yield row(one, begin);
  if (bad.length > LONGEST) yield [[`  and ${bad.length - LONGEST} more`, 'dim']];
}

/**
 * Lines: a track for each worker, and what took longest.
 *
 * @param {object[]} attempts of one run, as of `History.attempts`; at least one
 * @param {number} width columns that there are
 */
function* timeline(attempts, width) {
  const begin = least(attempts.map(({ start }) => start));
  const end = most(attempts.map(({ start, duration }) => start + duration));
  const span = Math.max(end - begin, 1e-9);
  const tracks = new Map();
  for (const one of attempts) {
    if (!tracks.has(one.worker)) tracks.set(one.worker, []);
    tracks.get(one.worker).push(one);
  }
  const workers = [...tracks.keys()].sort((a, b) => a - b);
  const head = most(workers.map((worker) => `gw${worker}`.length));
  const room = width - head - '  100 %  '.length;
  const cells = Math.max(LEAST_CELLS, Math.min(MOST_CELLS, room));
  yield [[`${' '.repeat(head)}  0${seconds(span).padStart(cells - 1)}`, 'dim']];
  for (const worker of workers)
    yield trackLine(worker, tracks.get(worker), { begin, span, cells, head });
  const legend = legendOf(attempts);
  if (legend.length > 0) yield legend;
  yield* longest(attempts, begin);
}

module.exports = { timeline };
