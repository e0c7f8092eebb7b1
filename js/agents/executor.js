'use strict';
// TestExecutor: test files by their framework's command, each until it passes.

const counts = require('../counts');
const { Agent, checkSignal, each, resultOf, secondsSince, share } = require('./agent');
const { checkNames, policyOf } = require('./params');
const { Remembering } = require('./remembering');
const { Run, filesOf } = require('./running');

const DAY_S = 24 * 3600;

/** What the results of a run come to. */
function summed(run, seconds) {
  const results = run.allResults();
  const passed = results.filter((one) => one.passed).length;
  return {
    total: results.length,
    passed,
    failed: results.length - passed,
    passRate: share(passed, results.length),
    results,
    executionTime: seconds,
    retries: run.retries,
    timeouts: run.timeouts,
    framework: run.framework,
    avgTimePerTest: each(seconds, results.length),
    flaky: results.filter(({ outcome }) => outcome === 'flaky').map(({ file }) => file),
    tests: counts.sum(results.map(({ tests }) => tests)),
    warnings: [...run.warnings],
  };
}

class TestExecutor extends Agent {
  static KEY = 'aqe/test-executor/last_parallel_execution';
  static ROUTES = [
    'execute_tests',
    'execute_tests_parallel',
    'parallel_execution',
    'test_execution',
  ];

  constructor(options = {}) {
    super(options, 'test-executor');
  }

  executeTestsParallel(files, options = {}) {
    return resultOf(this.stream(files, options));
  }

  _do(files, options) {
    return this.executeTestsParallel(files, options);
  }

  async *stream(files, options = {}) {
    checkNames('options', options, ['framework', 'params', 'signal']);
    const { framework = 'jest', params, signal } = options;
    checkSignal(signal);
    const policy = policyOf(params);
    const remembering = new Remembering(this.memory, this.settings.cwd, filesOf(files));
    const servers = this._servers();
    let run;
    try {
      const publish = remembering.publishing('qe exec');
      run = new Run(files, framework, policy, this.settings, { servers, publish });
    } catch (error) {
      await servers?.close();
      throw error;
    }
    run.expect(remembering.expected()); // while servers come up
    const began = performance.now();
    const started = Date.now() / 1000;
    yield* this._stream(run, {
      signal,
      ttl: DAY_S,
      end: async (interrupted) => {
        await servers?.close();
        run.close();
        const result = { ...summed(run, secondsSince(began)), started, interrupted };
        if (run.shared) result.shared = run.shared;
        if (policy.adaptive) result.adaptions = policy.adaptive.changes;
        remembering.save(run.resultsByFile(), started, result.executionTime);
        result.warnings.push(...(servers?.notes ?? []), ...remembering.warnings);
        return result;
      },
    });
  }
}

module.exports = { TestExecutor, summed };
