'use strict';
// Results of `qe exec` and `qe hunt` as records, from which pages are made: as
// pytest_qe/cli/recorded.py, with the keys of docs/result.schema.json.

const path = require('node:path');

const { recordOf } = require('../agents/records');
const { writeHtml } = require('../htmlreport');
const { head } = require('../revision');
const { cannot } = require('./ends');
const { NOT_ENDED, replayLine } = require('./summing');

const AS_GIVEN = 'as given'; // the condition of a hunt's runs: each in a process of its own

/** What is said of either run as a whole. */
function runOf({ framework, executionTime, interrupted, warnings }, started, { cwd }) {
  const { revision, branch } = head(path.resolve(cwd ?? '.'));
  return {
    of: 'file',
    framework,
    started,
    wall: executionTime,
    ...(interrupted && { interrupted }),
    warnings,
    ...(revision && { revision }),
    ...(branch && { branch }),
  };
}

/** The result of an execution, with `outputs`. */
function ofExecution(result, settings) {
  const { framework, results, started } = result;
  const record = recordOf(
    results.map((one) => [one.file, one.outcome === 'not_run' ? [] : [one]]),
    { texts: true },
  );
  const failed = results.filter(({ passed, outcome }) => !passed && !NOT_ENDED.includes(outcome));
  const commands = failed.map(({ file }) => [file, replayLine(file, framework, settings)]);
  const run = {
    ...runOf(result, started, settings),
    commands: Object.fromEntries(commands.filter(([, line]) => line !== null)),
  };
  return { record, run, isFlaky: false };
}

/** Why one of a file's tests is flaky, as a hunt within the file has found it. */
function inside({ cause, p, culprits, test, conditions, replay, reached, ...sides }) {
  return {
    cause,
    p,
    culprits,
    test,
    conditions,
    ...(sides.with && { with: sides.with }),
    ...(sides.without && { without: sides.without }),
    ...(replay && {
      replay: { option: replay.slice(replay.indexOf('--')), command: replay, ...reached },
    }),
  };
}

function verdictOf(one, framework, settings) {
  const command = replayLine(one.file, framework, settings);
  return {
    verdict: one.isFlaky ? 'confirmed' : 'stable-fail',
    failures: one.failed,
    passes: one.passed,
    interval: one.interval,
    pattern: one.pattern,
    inside: one.likelyCauses.filter(({ test }) => test).map(inside),
    likely: one.likelyCauses
      .filter(({ test }) => !test)
      .map(({ cause, says }) => ({ cause, says })),
    ...(command !== null && { command }),
  };
}

/** The result of a hunt, with `outputs`: each run of a file is a pass. */
function ofHunt(result, settings) {
  const { files, framework, runs, timestamp, totalRuns } = result;
  const record = recordOf(
    files.map(({ file }, i) => [file, runs[i]]),
    { texts: true },
  );
  const most = Math.max(0, ...runs.map(({ length }) => length));
  const failed = files.filter((one) => one.failed > 0);
  const hunt = {
    mode: 'files',
    executions: totalRuns,
    passes: Array.from({ length: most }, (_, number) => ({
      number,
      condition: AS_GIVEN,
      seed: 0,
    })),
    tests: Object.fromEntries(failed.map((one) => [one.file, verdictOf(one, framework, settings)])),
  };
  return { record, run: { ...runOf(result, timestamp, settings), hunt }, isFlaky: true };
}

/** Writes the page of a result. */
function writePage(file, { record, run, isFlaky }) {
  try {
    writeHtml(path.resolve(file), (to) => record.writeJson(to, JSON.stringify(run), isFlaky));
  } catch (error) {
    throw cannot(`${file}: ${error.message}`);
  }
}

module.exports = { ofExecution, ofHunt, writePage };
