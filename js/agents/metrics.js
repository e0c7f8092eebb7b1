'use strict';
// What agents count: as an object, and in OpenMetrics text for a scraper. The text is written
// by prom-client, an optional peer: it is what Node's world uses for the format.

const { refuse } = require('../units');

const KINDS = ['start', 'attempt', 'retry', 'timeout', 'result', 'cost'];
// Upper bounds in seconds: from a test of a moment to one that is stopped after minutes.
const BUCKETS = [0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 120, 300];

const HELP = {
  qe_attempts_total: 'Attempts that have ended.',
  qe_retries_total: 'Attempts that were followed by another.',
  qe_timeouts_total: 'Attempts that took too long.',
  qe_attempt_seconds: 'How long attempts took.',
  qe_cpu_seconds_total: 'Processor time of attempts.',
  qe_peak_memory_bytes: 'The most memory that an attempt has held.',
};

function number(event, name) {
  const value = event[name];
  if (value === undefined || value === null) return 0;
  if (typeof value === 'number' && Number.isFinite(value) && value >= 0) return value;
  throw refuse(`${name}: takes a number of 0 or more, not ${value}`);
}

class Metrics {
  #attempts = new Map(); // [framework, outcome, count], by both
  #retries = 0;
  #timeouts = 0;
  #cpuSeconds = 0;
  #peakBytes = 0;
  #counts = Array(BUCKETS.length + 1).fill(0); // of each bucket alone
  #seconds = 0;

  /** Counts one event; what it has beside its numbers is left alone. */
  feed(event) {
    const { kind, framework = '', outcome = '' } = event;
    if (!KINDS.includes(kind)) throw refuse(`kind: takes one of ${KINDS.join(', ')}, not ${kind}`);
    if (kind === 'attempt') {
      const seconds = number(event, 'seconds');
      const key = JSON.stringify([framework, outcome]);
      const [, , count] = this.#attempts.get(key) ?? [0, 0, 0];
      this.#attempts.set(key, [String(framework), String(outcome), count + 1]);
      const place = BUCKETS.findIndex((bound) => seconds <= bound);
      this.#counts[place < 0 ? BUCKETS.length : place]++;
      this.#seconds += seconds;
    } else if (kind === 'cost') {
      const peak = number(event, 'peakMemoryBytes');
      this.#cpuSeconds += number(event, 'cpuSeconds');
      this.#peakBytes = Math.max(this.#peakBytes, peak);
    }
    this.#retries += kind === 'retry';
    this.#timeouts += kind === 'timeout';
  }

  /** All that was counted, by the names of the metrics. */
  asObject() {
    let sum = 0;
    const buckets = [...BUCKETS, null].map((bound, i) => [bound, (sum += this.#counts[i])]);
    return {
      qe_attempts_total: [...this.#attempts.values()]
        .sort()
        .map(([framework, outcome, value]) => ({ framework, outcome, value })),
      qe_retries_total: this.#retries,
      qe_timeouts_total: this.#timeouts,
      qe_attempt_seconds: { buckets, sum: this.#seconds, count: sum },
      qe_cpu_seconds_total: this.#cpuSeconds,
      qe_peak_memory_bytes: this.#peakBytes,
    };
  }

  /** The metrics as prom-client asks each for what it has now. */
  collectors() {
    // The registry changes the names of counters, by the format.
    const metric = (name, type, values) => ({
      name,
      type,
      async get() {
        return { name: this.name, type, help: HELP[name], aggregator: 'sum', values: values() };
      },
    });
    const plain = (name, type) =>
      metric(name, type, () => [{ value: this.asObject()[name], labels: {} }]);
    const histogram = () => {
      const { buckets, sum, count } = this.asObject().qe_attempt_seconds;
      const value = (suffix, one, labels = {}) => {
        return { metricName: `qe_attempt_seconds${suffix}`, value: one, labels };
      };
      return [
        ...buckets.map(([bound, n]) => value('_bucket', n, { le: bound ?? '+Inf' })),
        value('_sum', sum),
        value('_count', count),
      ];
    };
    return [
      metric('qe_attempts_total', 'counter', () =>
        this.asObject().qe_attempts_total.map(({ value, ...labels }) => ({ value, labels })),
      ),
      plain('qe_retries_total', 'counter'),
      plain('qe_timeouts_total', 'counter'),
      metric('qe_attempt_seconds', 'histogram', histogram),
      plain('qe_cpu_seconds_total', 'counter'),
      plain('qe_peak_memory_bytes', 'gauge'),
    ];
  }

  /** All that was counted, as OpenMetrics text. */
  async openMetrics() {
    let prom;
    try {
      prom = require('prom-client');
    } catch {
      throw new Error('openMetrics: needs prom-client: npm install prom-client');
    }
    const registry = new prom.Registry(prom.Registry.OPENMETRICS_CONTENT_TYPE);
    for (const metric of this.collectors()) registry.registerMetric(metric);
    return registry.metrics();
  }
}

module.exports = { Metrics };
