'use strict';
// What an adaptive hunt has found, as lines to print; and what is said of one test.

const { stats } = require('./addon');
const { tell } = require('./causes');
const { BAD, VERDICTS } = require('./hunting');
const { commandOf } = require('./retyping');

const MOST_ROWS = 50;
const SEEN = 0.95; // how likely what is called visible would have been seen
const HEAD = 'verdict          runs  failed   rate             test: failed in';

const percent = (share) => `${Math.round(100 * share)}`;

/** The failure rate, with an interval that holds whenever one stops. */
function rateOf({ failures, passes }) {
  const { low, high } = stats.confidenceSequence(failures, passes);
  const rate = percent(failures / (failures + passes)).padStart(3);
  return `${rate}% (${percent(low)}-${percent(high)} %)`;
}

/** The conditions in which a test failed: "reversed, shuffled 3x". */
function conditionsOf(hunting, { results }) {
  const counts = new Map();
  for (const [pass, passed] of results) {
    const name = hunting.condition(pass);
    if (!passed) counts.set(name, (counts.get(name) ?? 0) + 1);
  }
  return [...counts].map(([name, n]) => (n > 1 ? `${name} ${n}x` : name)).join(', ');
}

/** What is said of a test that failed and passed. */
function explain(hunting, test) {
  const { verdict, failures, passes } = hunting.verdict(test);
  return (
    `Flaky (${VERDICTS[verdict]}): failed in ${failures} of ${failures + passes} runs ` +
    `(${conditionsOf(hunting, test)})`
  );
}

/** The command that makes a test fail again, if one was found. */
function againOf(hunting, test) {
  const option = hunting.replayOf(test);
  const { program, typed } = hunting.host;
  return option && commandOf(program, typed?.(), option);
}

/** Why a test is flaky, and the command that shows it. */
function* why(hunting, test) {
  const finding = hunting.finding(test);
  if (!finding) return;
  const isCut = hunting.inquiries.unended.has(test.item);
  yield `    cause: ${tell(finding, hunting.nameOf)}${isCut ? ' (not asked to the end)' : ''}`;
  const command = finding.proofFailed > 0 ? againOf(hunting, test) : null;
  if (!command) return;
  const { proofFailed, proofRuns } = finding;
  yield `    again: ${command}  # failed ${proofFailed} of ${proofRuns}`;
}

/**
 * A hunt, or a replay, for the JSON result, with what a reader would have to compute: the
 * interval of each rate, and the whole command that shows a failure again.
 *
 * @param {(id: string) => number} numberOf the place of a test there
 */
function describe(hunting, numberOf) {
  const told = hunting.describe(numberOf);
  for (const [id, one] of Object.entries(told.tests ?? {})) {
    const { low, high } = stats.confidenceSequence(one.failures, one.passes);
    one.interval = [low, high];
    if (one.why?.replay) one.why.replay.command = againOf(hunting, hunting.tests.get(id));
  }
  return told;
}

/** What was spent on causes, and what could not be asked. */
function* asked({ inquiries }) {
  if (!inquiries) return;
  if (inquiries.cut > 0) {
    yield (
      `${inquiries.cut} tests were not asked for their cause to the end: ` +
      '--flaky-causes=SECONDS allows more'
    );
  }
  if (inquiries.refused.size > 0) {
    yield `this system does not allow to try: ${[...inquiries.refused].sort().join(', ')}`;
  }
}

function* rows(hunting, found) {
  const order = ({ verdict }) => BAD.indexOf(verdict);
  const bad = found.filter(([, one]) => order(one) >= 0);
  bad.sort(([, a], [, b]) => order(a) - order(b));
  if (bad.length > 0) yield HEAD;
  for (const [test, one] of bad.slice(0, MOST_ROWS)) {
    const runs = String(one.failures + one.passes).padStart(4);
    yield (
      `${VERDICTS[one.verdict].padEnd(15)}  ${runs}  ${String(one.failures).padStart(6)}   ` +
      `${rateOf(one).padEnd(15)}  ${test.name}: ${conditionsOf(hunting, test)}`
    );
    yield* why(hunting, test);
  }
  if (bad.length > MOST_ROWS) {
    yield `... and ${bad.length - MOST_ROWS} more (--report-json has all)`;
  }
}

/** What the tests that only passed allow to say. */
function* seen(found) {
  const clear = found.filter(([, { verdict }]) => verdict === 'clear');
  if (clear.length === 0) return;
  const runs = clear.map(([, { passes }]) => passes).sort((a, b) => a - b);
  const median = runs[Math.floor((runs.length - 1) / 2)];
  const times = Math.floor(1 / stats.rateSeen(median, 1 - SEEN));
  const text = `nothing seen in ${clear.length} tests: by ${median} run${median > 1 ? 's' : ''} (the median)`;
  yield times < 2
    ? `${text} few that fail now and then would have been seen`
    : `${text} one that fails 1 time in ${times} would have been seen with ${percent(SEEN)}%`;
}

function* lines(hunting, interrupted) {
  const found = [...hunting.tests.values()].map((test) => [test, hunting.verdict(test)]);
  yield interrupted ? 'Flaky hunt, interrupted: what is known so far' : 'Flaky hunt';
  yield* rows(hunting, found);
  yield* seen(found);
  const { renamed } = hunting;
  if (renamed.length > 0) {
    const [which, many] = renamed.length > 1 ? ['tests have', ', ...'] : ['test has', ''];
    yield (
      `${renamed.length} ${which} another name in each pass, and cannot be hunted: ` +
      `${renamed[0].name}${many}`
    );
  }
  const fails = found.filter(([, { verdict }]) => verdict === 'stable-fail').length;
  if (found.length > 0 && fails === found.length) {
    yield 'every test fails in each run: the rest of the budget was not spent';
  }
  const counts = Object.entries(VERDICTS).map(([verdict, called]) => {
    const count = found.filter(([, one]) => one.verdict === verdict).length;
    return count > 0 ? `${count} ${called}` : '';
  });
  const runs = found.reduce((sum, [test]) => sum + test.results.length, 0);
  const passes = Math.max(1, hunting.passes.length);
  const { inquiries } = hunting;
  const more = inquiries?.executions
    ? `; for causes and proofs ${inquiries.executions} runs in ${inquiries.seconds.toFixed(1)} s`
    : '';
  const spent = `${runs} runs in ${passes} passes${more}; --flaky-seed=${hunting.options.seed}`;
  yield `${counts.filter(Boolean).join(', ') || 'no tests'}; ${spent}`;
  yield* asked(hunting);
}

/** All of it, as text. `interrupted`: the hunt was ended before it was over. */
const table = (hunting, interrupted = false) =>
  [...lines(hunting, interrupted)].map((line) => `${line}\n`).join('');

/** What came of a replay, or of a hunt. */
const report = (found, interrupted) => found.table?.() ?? table(found, interrupted);

module.exports = { describe, explain, report, table };
