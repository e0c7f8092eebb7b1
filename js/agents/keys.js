'use strict';
// Keys of results: camelCase in JavaScript, snake_case in what is stored and in what `qe`
// writes, which pytest's side reads and writes alike. By a list, as a word for word
// translation would change keys that are data: names of patterns, of metrics.

const CAMEL = [
  'agentId', 'avgTimePerTest', 'cpuSeconds', 'executionTime', 'flakinessRate',
  'flakinessScore', 'flakyList', 'flakyTests', 'freeMemory', 'isFlaky', 'likelyCauses',
  'passRate', 'patternDistribution', 'peakMemoryBytes', 'taskId', 'taskType', 'timedOut',
  'totalRuns', 'totalTests', 'wallSeconds',
]; // prettier-ignore

const toSnake = new Map(
  CAMEL.map((key) => [key, key.replace(/[A-Z]/g, (letter) => `_${letter.toLowerCase()}`)]),
);
const toCamel = new Map([...toSnake].map(([camel, snake]) => [snake, camel]));

function renamed(value, names) {
  if (Array.isArray(value)) return value.map((one) => renamed(one, names));
  if (value === null || typeof value !== 'object') return value;
  return Object.fromEntries(
    Object.entries(value).map(([key, one]) => [names.get(key) ?? key, renamed(one, names)]),
  );
}

module.exports = {
  /** A result of JavaScript as it is stored. */
  snake: (value) => renamed(value, toSnake),
  /** What is stored as a result of JavaScript. */
  camel: (value) => renamed(value, toCamel),
};
