'use strict';
// The frameworks' own hunts, asked why a file is flaky.

const fs = require('node:fs');
const path = require('node:path');

const { scratch } = require('../scratch');
const { runUnits } = require('../units');

const FINDING = 0.2; // of the time, before all of it goes into asking why
const BIN = path.join(__dirname, '..', 'bin');

/** How a hunt is asked for: words before those of the file's own command. */
const HUNTS = {
  pytest: (tool, seconds, report) => [
    tool,
    `--qe-flaky-budget=${seconds}`,
    `--qe-json=${report}`,
    '--qe-no-history',
  ],
  jest: (_, seconds, report) => ours('qe-jest', seconds, report),
  mocha: (_, seconds, report) => ours('qe-mocha', seconds, report),
};

/** What a cause is proved by again. */
const PROGRAMS = { pytest: 'pytest', jest: 'npx qe-jest', mocha: 'npx qe-mocha' };

const ours = (program, seconds, report) => [
  process.execPath,
  path.join(BIN, `${program}.js`),
  `--flaky-budget=${FINDING * seconds}`, // the file is known to be flaky
  `--flaky-causes=${seconds}`,
  `--report-json=${report}`,
];

/** How often a test failed under each condition: {name, failed, runs}. */
function conditionsOf({ run, tests }, id) {
  const names = new Map(run.hunt.passes.map(({ number, condition }) => [number, condition]));
  const found = new Map();
  const attempts = tests.find((test) => test.id === id)?.attempts ?? [];
  for (const { pass = -1, outcome } of attempts) {
    const name = names.get(pass);
    if (name === undefined || outcome === 'skipped' || outcome === 'none') continue;
    const row = found.get(name) ?? { name, failed: 0, runs: 0 };
    row.failed += outcome === 'passed' ? 0 : 1;
    row.runs += 1;
    found.set(name, row);
  }
  return [...found.values()];
}

function causesIn(framework, report) {
  const result = JSON.parse(fs.readFileSync(report, 'utf8'));
  const { tests = {} } = result.run.hunt ?? {};
  return Object.entries(tests)
    .filter(([, { why }]) => (why?.cause ?? 'unknown') !== 'unknown')
    .map(([test, { why }]) => ({
      cause: why.cause,
      says: `by experiment on ${test}`,
      test,
      p: why.p ?? null,
      culprits: why.culprits ?? [],
      replay: why.replay ? `${PROGRAMS[framework]} ${why.replay.option}` : null,
      reached: why.replay ? { failed: why.replay.failed, runs: why.replay.runs } : null,
      conditions: conditionsOf(result, test),
      source: 'hunt',
      ...(why.with && { with: why.with }),
      ...(why.without && { without: why.without }),
    }));
}

/**
 * Why a file is flaky, by experiment: the hunt of the framework's own runner, in processes of
 * its own. Nothing where there is none, or it finds nothing.
 *
 * @param {object} command runs the file, and writes no results
 * @param {number} seconds for all of it, about
 * @param {(run: object) => void} onRun is given the run, to be ended before its time
 */
async function causesOf({ framework, argv, cwd, env }, seconds, onRun = () => {}) {
  if (!Object.hasOwn(HUNTS, framework)) return [];
  const folder = scratch('qe-files');
  try {
    const report = path.join(folder, 'hunt.json');
    const words = HUNTS[framework](argv[0], seconds, report);
    const run = runUnits(
      [
        {
          id: 'hunt',
          argv: [...words, ...argv.slice(1)],
          cwd,
          env,
          timeout: 3 * seconds + 30,
        },
      ],
      {},
    );
    onRun(run);
    for await (const event of run) if (event.kind === 'giveUp') return [];
    return causesIn(framework, report);
  } catch (error) {
    if (error.code === 'ENOENT' || error instanceof SyntaxError) return []; // nothing written
    throw error;
  } finally {
    fs.rmSync(folder, { recursive: true, force: true });
  }
}

module.exports = { causesOf };
