'use strict';
// FlakyTestHunter: test files that pass in some runs and fail in others.

const { Agent, checkSignal, resultOf } = require('./agent');
const { Hunt } = require('./hunting');
const { FILES, checkNames, flagOf, iterationsOf, numbersOf } = require('./params');
const { Remembering } = require('./remembering');
const { filesOf } = require('./running');
const { refuse } = require('../units');

const WEEK_S = 7 * 24 * 3600;
const FEW = 10; // fewer iterations say little
const CAUSES_S = 15; // for experiments on one flaky file
const SEEDS = 5; // servers for one set of runs: each has its own hash seed

/** Seconds for experiments on a flaky file; 0: none. */
function secondsOf(causes) {
  if (typeof causes !== 'number') return flagOf('options.causes', causes) ? CAUSES_S : 0;
  const known = { causes: { is: CAUSES_S, least: 0, most: 1e6 } };
  return numbersOf({ causes }, known).causes;
}

class FlakyTestHunter extends Agent {
  static KEY = 'aqe/flaky-tests/alcall-detection';
  static ROUTES = ['detect_flaky', 'detect_flaky_tests', 'flaky_detection', 'flaky_test_detection'];

  constructor(options = {}) {
    super(options, 'flaky-hunter', ['causes']);
    this.causes = secondsOf(options.causes ?? true);
  }

  detectFlakyTests(files, options = {}) {
    return resultOf(this.stream(files, options));
  }

  _do(files, options) {
    return this.detectFlakyTests(files, options);
  }

  async *stream(files, options = {}) {
    checkNames('options', options, ['iterations', 'framework', 'params', 'signal']);
    const { iterations: given = 10, framework = 'jest', params, signal } = options;
    checkSignal(signal);
    if (this.settings.shared) {
      throw refuse('options.shared: is of executions; each node can hunt in files of its own');
    }
    const iterations = iterationsOf(given);
    const servers = this._servers(Math.min(SEEDS, iterations));
    const remembered = (some) => new Remembering(this.memory, this.settings.cwd, some);
    const more = { servers, causes: this.causes, remembered };
    let hunt;
    try {
      const policy = numbersOf({}, FILES);
      hunt = new Hunt(
        filesOf(files), iterations, framework, params, this.settings, policy, more,
      ); // prettier-ignore
    } catch (error) {
      await servers?.close();
      throw error;
    }
    const notes = [];
    if (iterations < FEW) {
      const missed = Math.round(100 * 0.9 ** iterations);
      notes.push(
        `${iterations} iterations say little: a file that fails 1 time in 10 passes them ` +
          `all with a chance of ${missed}%; 10 or more are better`,
      );
      process.emitWarning(notes[0], 'QeWarning');
    }
    yield* this._stream(hunt, {
      signal,
      ttl: WEEK_S,
      end: async (interrupted) => {
        await hunt.close();
        const result = { ...hunt.result(), interrupted };
        const remembering = remembered(files);
        remembering.save(hunt.results(), result.timestamp, result.executionTime);
        result.warnings.unshift(...notes);
        result.warnings.push(...remembering.warnings);
        return result;
      },
    });
  }
}

module.exports = { FlakyTestHunter };
