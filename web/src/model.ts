// The JSON result (docs/result.schema.json), and what pages look up in it.

export const OUTCOMES = [
  'failed',
  'error',
  'crashed',
  'timeout',
  'flaky',
  'skipped',
  'none',
  'passed',
] as const;
export type Outcome = (typeof OUTCOMES)[number];

/** Outcomes of which something is to be read. */
export const BAD: readonly Outcome[] = ['failed', 'error', 'crashed', 'timeout', 'flaky'];
const FAILED = new Set<Outcome>(['failed', 'error', 'crashed', 'timeout']);

export interface Text {
  kind: 'failure' | 'output';
  name: string;
  text: string;
}

export interface Attempt {
  outcome: Outcome;
  attempt: number;
  pass?: number;
  start: number;
  duration: number;
  worker: string;
  cpu: number;
  peak_memory: number;
  signal?: string;
  exit_status?: number;
  message?: string;
  texts?: Text[];
}

export interface Side {
  name: string;
  failed: number;
  passed: number;
}

export interface Why {
  cause: string;
  p: number;
  culprits: string[];
  with?: Side;
  without?: Side;
  replay?: { option: string; command?: string; failed: number; runs: number };
}

export interface Verdict {
  verdict: 'confirmed' | 'suspect' | 'stable-fail';
  failures: number;
  passes: number;
  interval?: [number, number];
  why?: Why;
}

export interface Hunt {
  mode: string;
  executions?: number;
  passes: { number: number; condition: string; seed: number }[];
  tests?: Record<string, Verdict>;
}

export interface Run {
  hunt?: Hunt;
  started?: number;
  wall?: number;
  test_time?: number;
  collection?: number;
  workers?: number;
  interrupted?: boolean;
  [name: string]: unknown;
}

interface RawTest {
  id: string;
  outcome: Outcome;
  message?: string;
  quarantined?: boolean;
  marks?: string[];
  attempts: Attempt[];
  flakiness?: { passes: number; failures: number; is_flaky: boolean };
}

export interface Test extends RawTest {
  index: number;
  file: string;
  name: string;
  /** Seconds of all attempts. */
  time: number;
  /** What a search looks at. */
  lower: string;
}

export interface Result {
  version: string;
  run: Run;
  summary: Record<string, number>;
  tests: Test[];
}

export const hasFailed = (outcome: Outcome): boolean => FAILED.has(outcome);

/** The file of a test and its name in it: ids are `file::name`. */
function split(id: string): [string, string] {
  const at = id.indexOf('::');
  return at < 0 ? ['', id] : [id.slice(0, at), id.slice(at + 2)];
}

export function read(text: string): Result {
  const raw = JSON.parse(text) as Omit<Result, 'tests'> & { tests: RawTest[] };
  const tests = raw.tests.map((test, index) => {
    const [file, name] = split(test.id);
    const time = test.attempts.reduce((sum, attempt) => sum + attempt.duration, 0);
    return { ...test, index, file, name, time, lower: test.id.toLowerCase() };
  });
  return { ...raw, tests };
}

/** Everything different that `of` gives, in order. */
export function distinct<T>(items: Iterable<T>, of: (item: T) => Iterable<string>): string[] {
  const found = new Set<string>();
  for (const item of items) for (const name of of(item)) found.add(name);
  return [...found].sort((a, b) => a.localeCompare(b, 'en', { numeric: true }));
}

/** The attempt whose texts a reader wants first: the last that failed. */
export function worstAttempt(test: Test): Attempt | undefined {
  return test.attempts.findLast((a) => a.texts?.length) ?? test.attempts.at(-1);
}

/**
 * The results that count, in the order of the passes: a retry takes the place of what it
 * repeats, while a pass that runs a test twice gives two.
 */
export function passesOf(test: Test): { pass: number; passed: boolean }[] {
  const last: Attempt[] = [];
  for (const attempt of test.attempts) {
    const before = last.at(-1);
    if (before && before.pass === attempt.pass && before.attempt < attempt.attempt) last.pop();
    last.push(attempt);
  }
  return last
    .filter(({ outcome }) => outcome === 'passed' || hasFailed(outcome))
    .map(({ pass, outcome }) => ({ pass: pass ?? 0, passed: outcome === 'passed' }));
}
