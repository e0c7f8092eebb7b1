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

export interface Condition {
  name: string;
  failed: number;
  runs: number;
}

/** Of a hunt by files: why one of a file's tests is flaky. */
export interface Inside extends Why {
  test: string;
  conditions: Condition[];
}

export interface Verdict {
  verdict: 'confirmed' | 'suspect' | 'stable-fail';
  failures: number;
  passes: number;
  interval?: [number, number];
  why?: Why;
  pattern?: string;
  command?: string;
  inside?: Inside[];
  likely?: { cause: string; says: string }[];
}

export interface Hunt {
  mode: string;
  executions?: number;
  passes: { number: number; condition: string; seed: number }[];
  tests?: Record<string, Verdict>;
}

/** A time in which a worker, or what has its track, waited. */
export interface Wait {
  worker: string;
  start: number;
  duration: number;
  what: string;
}

/** One of a project's layers, whose categories are the run's tests. */
export interface Layer {
  name: string;
  success: boolean;
  pass_rate: number | null;
  seconds: number;
  mode: string;
  after: string[];
  criteria: {
    min_pass_rate?: number;
    max_failures?: number;
    required_categories?: string[];
  };
  errors: string[];
  suggestions: string[];
  services: Record<string, string>;
  categories: {
    id: string;
    needs: string[];
    tests: Record<string, number> | null;
    waited: number;
  }[];
}

export interface Run {
  of?: 'test' | 'file' | 'category';
  hunt?: Hunt;
  commands?: Record<string, string>;
  lanes?: Record<string, string>;
  waits?: Wait[];
  layers?: Layer[];
  warnings?: string[];
  collection_errors?: { id: string; text: string }[];
  started?: number;
  wall?: number;
  test_time?: number;
  collection?: number;
  workers?: number;
  interrupted?: boolean;
  stopped?: string;
  [name: string]: unknown;
}

interface RawTest {
  id: string;
  outcome: Outcome;
  message?: string;
  quarantined?: boolean;
  marks?: string[];
  expected?: number;
  attempts: Attempt[];
  flakiness?: { passes: number; failures: number; is_flaky: boolean };
}

export interface Test extends RawTest {
  index: number;
  file: string;
  name: string;
  /** Seconds of all attempts. */
  time: number;
  /** Seconds of one attempt, to be held against `expected`. */
  took?: number;
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

/** What the run's tests are: files of `qe exec`, categories of layers. */
export function words({ run }: { run: Run }): { one: string; many: string; group: string } {
  if (run.of === 'file') return { one: 'file', many: 'files', group: '' };
  if (run.of === 'category') return { one: 'category', many: 'categories', group: 'layer' };
  return { one: 'test', many: 'tests', group: 'file' };
}

const SEPARATORS = { test: '::', file: '', category: '/' };

/** The file of a test and its name in it: ids are `file::name`; or layer and category. */
function split(id: string, separator: string): [string, string] {
  const at = separator === '' ? -1 : id.indexOf(separator);
  return at < 0 ? ['', id] : [id.slice(0, at), id.slice(at + separator.length)];
}

/** How long a test took when it ran to its end; of passes what is in their middle. */
function typical(attempts: Attempt[]): number | undefined {
  const ended = attempts.filter((a) => a.outcome === 'passed' || hasFailed(a.outcome));
  if (ended.length === 0) return undefined;
  if (ended[0].pass === undefined) return ended[ended.length - 1].duration;
  const sorted = ended.map((a) => a.duration).sort((a, b) => a - b);
  return sorted[sorted.length >> 1];
}

export function read(text: string): Result {
  const raw = JSON.parse(text) as Omit<Result, 'tests'> & { tests: RawTest[] };
  const separator = SEPARATORS[raw.run.of ?? 'test'];
  const tests = raw.tests.map((test, index) => {
    const [file, name] = split(test.id, separator);
    const time = test.attempts.reduce((sum, attempt) => sum + attempt.duration, 0);
    const took = typical(test.attempts);
    return { ...test, index, file, name, time, took, lower: test.id.toLowerCase() };
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
