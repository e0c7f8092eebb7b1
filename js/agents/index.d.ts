/**
 * Agents: test files, each by its framework's own command; what they find is remembered, for
 * Python's agents as well.
 */

import type {
  FileOptions,
  Flakiness,
  Framework,
  FrameworkAlias,
  Limits,
  Memory,
  OutcomeName,
  TestCounts,
  TestFailure,
} from '..';

/** How commands are run; times in seconds. */
export interface Params {
  /** At once, 1 to 1024; default 10 (of a hunter's file 3). */
  maxConcurrent?: number;
  /** In all; 1 is no retry; default 3 (of a hunter 1). */
  retryAttempts?: number;
  /** For an attempt; 0: no limit; default 60 (of a hunter 30). */
  retryTimeout?: number;
  /** Before the second attempt; doubles with each; default 2. */
  retryBackoff?: number;
  /** Between two starts; default 0.1 (of a hunter 0.2). */
  throttlePeriod?: number;
  /** Whether waits are shortened by a random part, of up to a half. */
  jitter?: boolean;
  /** See {@link adaptive}. */
  adaptive?: { readonly most: number };
}

export type PresetName = 'default' | 'fast' | 'stability' | 'constrained';

/** Policies that have a name. */
export const presets: Readonly<{ [Name in PresetName]: Params }>;

/** Runs of each file, by name: 5, 20 and 50. */
export const iterationPresets: Readonly<{ quick: number; thorough: number; research: number }>;

/**
 * A policy whose `maxConcurrent` and `throttlePeriod` are only where it begins: by the load of
 * the machine, and by how much memory is left to it or its control group, more run at once, and
 * fewer when something is short. Results say what it did (`adaptions`).
 *
 * @param params `most`: never more than this at once, default 32; and the rest of the policy
 * @example
 * await new TestExecutor().executeTestsParallel(files, { params: adaptive({ most: 16 }) });
 */
export function adaptive(params?: Omit<Params, 'adaptive'> & { most?: number }): Readonly<Params>;

/** A change by an adaptive policy. */
export interface Adaption {
  /** Seconds since the beginning. */
  after: number;
  /** At once, from then on. */
  running: number;
  /** Seconds between two starts, from then on. */
  throttle: number;
  why: 'kept' | 'room' | 'cpu' | 'memory';
  /** Shares from 0 to 1 of the time in which somebody waited for it; null: not known. */
  cpu: number | null;
  memory: number | null;
  /** The share that is left; null: not known. */
  freeMemory: number | null;
  /** Tasks a processor. */
  load: number | null;
}

/** An attempt that has ended. */
export interface FileAttempt {
  /** From 1. */
  attempt: number;
  /** When it began, in seconds since the epoch. */
  started: number;
  /** Who ran it, from 0: of those, so many run at once. */
  worker: number;
  outcome: OutcomeName;
  /** The exit status; -N where the signal N ended it; null: there was no process. */
  returncode: number | null;
  /** By the clock. */
  seconds: number;
  /** Of processor time. */
  cpuSeconds: number;
  peakMemoryBytes: number;
  /** With the option `outputs`, of attempts in `history` before the last. */
  stdout?: string;
  stderr?: string;
  failures?: TestFailure[];
}

/** A test, as the report of its framework tells it. */
export interface TestCase {
  /** "": the framework does not tell it. */
  name: string;
  /** "errors": what failed outside of a test. */
  outcome: 'passed' | 'failed' | 'skipped' | 'errors';
  message: string;
  /** null: not told. */
  seconds: number | null;
}

/** What became of a file. */
export interface FileEnd {
  /** As it was given. */
  file: string;
  /**
   * "flaky": it passed on a retry; "interrupted" and "not_run": the run was stopped before it
   * ended, or began.
   */
  outcome: Exclude<OutcomeName, 'none' | 'skipped'> | 'interrupted' | 'not_run';
  passed: boolean;
  attempts: number;
  /** Of the last attempt, as the following. */
  returncode: number | null;
  /** Seconds by the clock. */
  duration: number;
  timedOut: boolean;
  stdout: string;
  stderr: string;
  rusage: { cpuSeconds: number; peakMemoryBytes: number };
  /** Its tests; null where they are not known. */
  tests: TestCounts | null;
  /** Seconds that the history knew a run of the file to take before; null: it knew none. */
  expected: number | null;
  failures: TestFailure[];
  /** Of every test, with the option `cases`. */
  cases?: TestCase[];
  /** All attempts. */
  history: FileAttempt[];
  /** How it ended, in words. */
  ended: string;
}

interface About {
  file: string;
  /** Which run of the file, from 0. */
  run: number;
}

/** What happens in a run of test files. */
export type FileEvent =
  /** A file's first attempt begins. */
  | ({ kind: 'start' } & About)
  /** An attempt has ended. */
  | ({ kind: 'attempt'; framework: Framework } & About & FileAttempt)
  /** That attempt was ended at its limit of so many seconds. */
  | ({ kind: 'timeout'; attempt: number; limit: number } & About)
  /** Another one follows, at the earliest after so many seconds. */
  | ({ kind: 'retry'; attempt: number; delay: number } & About)
  /** No attempt follows. */
  | ({ kind: 'result' } & About & FileEnd)
  /** What all attempts took, and what that costs where a price is known. */
  | ({
      kind: 'cost';
      cpuSeconds: number;
      wallSeconds: number;
      peakMemoryBytes: number;
      price: number | null;
    } & About)
  | ({ kind: 'adapt' } & Adaption);

type Hook<Kind> = (event: Extract<FileEvent, { kind: Kind }>) => unknown;

/** A run that nodes on several machines share through a Redis or Valkey server. */
export interface Shared {
  /**
   * redis://HOST[:PORT][/DATABASE], or rediss:// for TLS. The user comes from QE_QUEUE_USER, the
   * password from QE_QUEUE_PASSWORD or a file.
   */
  url: string;
  /** Which run that is; default: QE_QUEUE_RUN, or what the CI calls it. */
  run?: string;
  /** Whose; default: QE_QUEUE_PROJECT, or by git's remote `origin`, or the folder. */
  project?: string;
  /** Where the password is: nobody else may read it. */
  passwordFile?: string;
  /** Who vouches for the server; default: QE_QUEUE_CA_FILE, or the system's list. */
  caFile?: string;
  /** Seconds after which a node that is not heard of loses its files, 1 to 3600; default 10. */
  lease?: number;
}

/** What a node knows at its end of a run that several share. */
export interface SharedResult {
  /** In words. */
  lines: string[];
  /** What has failed on any node: only the last one knows, and who came too late. */
  failures: string[];
  /** Whether the run was stopped, on whatever node. */
  stopped: boolean;
  /** Whether each file has exactly one outcome, as far as this node knows. */
  proven: boolean;
  /** What went wrong with the server; null: nothing. */
  trouble: string | null;
}

/** How an agent works. */
export interface AgentOptions extends Omit<FileOptions, 'framework'> {
  /** Its name in results. */
  agentId?: string;
  /** Kept for those who give one; nothing here asks it. */
  model?: unknown;
  /** Where results are kept; default: a {@link MemoryStore} of the project. */
  memory?: Memory | null;
  /**
   * pytest files share a server that has imported pytest and forks for each of them: the same
   * results in much less time.
   */
  warm?: boolean;
  /** What each process may use. */
  limits?: Limits;
  /** Seconds from SIGTERM (at the limit) or SIGINT (stopped) to SIGKILL; default 2. */
  grace?: number;
  /** How much is kept of each stream of an attempt, half of it from its end; default 65,536. */
  outputBytes?: number;
  /** For the `price` of "cost" events. */
  pricePerCpuHour?: number | null;
  /** Results have `cases`, too: each test; default false. */
  cases?: boolean;
  /**
   * Results have what reports need: of attempts before the last what they printed and their
   * failures, of hunts `runs`; default false.
   */
  outputs?: boolean;
  /**
   * This is a node of a run that several share, by whatever host: results are of the files that
   * ran here. Of executions alone.
   */
  shared?: Shared | null;
  /** Called with each event of their kind, and awaited; what one throws ends the run. */
  onStart?: Hook<'start'>;
  onAttempt?: Hook<'attempt'>;
  onRetry?: Hook<'retry'>;
  onTimeout?: Hook<'timeout'>;
  onResult?: Hook<'result'>;
  onCost?: Hook<'cost'>;
}

/** How one call of an agent works. */
interface CallOptions {
  /** Default "jest". */
  framework?: Framework | FrameworkAlias;
  /** A policy, or the name of a preset. */
  params?: Params | PresetName;
  /**
   * Ends the call: what runs is interrupted and has its grace. It is rejected with an
   * `AbortError` whose `result` is what is known by then.
   */
  signal?: AbortSignal;
}

export interface ExecutorOptions extends CallOptions {}

/** What {@link TestExecutor} found. */
export interface ExecutorResult {
  /** Files. */
  total: number;
  passed: number;
  failed: number;
  /** Percent, to two decimals. */
  passRate: number;
  /** In the order of the files. */
  results: FileEnd[];
  /** Seconds by the clock. */
  executionTime: number;
  retries: number;
  timeouts: number;
  framework: Framework;
  avgTimePerTest: number;
  /** Files that passed only on a retry: they count as passed. */
  flaky: string[];
  /** The sum of what is known of tests; null where nothing is. */
  tests: TestCounts | null;
  /** Seconds since the epoch. */
  started: number;
  /** Whether the run was ended before its time. */
  interrupted: boolean;
  warnings: string[];
  /** Of an adaptive policy. */
  adaptions?: Adaption[];
  /** Of a run that several share: what is known of the whole. */
  shared?: SharedResult;
}

/** What an agent is asked to do; it is told how far it has got. */
export interface QETask {
  taskId?: string;
  /** Such as "parallel_execution" or "flaky_detection". */
  taskType: string;
  /** Arguments of the agent's method: `testFiles`, and its options. */
  context?: { testFiles?: readonly string[]; [option: string]: unknown };
  status?: 'pending' | 'in_progress' | 'completed' | 'failed';
  createdAt?: unknown;
  result?: unknown;
  error?: string | null;
}

export interface TaskResult<Result> {
  taskId: string;
  taskType: string;
  agentId: string;
  status: 'completed' | 'failed';
  result: Result | null;
  /** One line. */
  error: string | null;
}

declare class Agent<Result> {
  constructor(options?: AgentOptions);
  readonly agentId: string;
  readonly model: unknown;
  readonly memory: Memory;
  readonly metrics: Metrics;
  /** Of the last call; also where that was ended before its time. */
  readonly lastResult: Result | null;
  /**
   * Has what runs end: it is interrupted, given its grace, and what is known by then is
   * returned, with `interrupted` set. `atOnce`: without grace, it is killed.
   */
  stop(options?: { atOnce?: boolean }): void;
  /**
   * Holds all that runs (SIGSTOP), or lets it go on; its time limits stand still meanwhile. It
   * takes effect within some hundredths of a second.
   */
  pause(on: boolean): void;
  /** What was found last, by any process of the project, in Python too; null: not known. */
  remembered(): Promise<Result | null>;
  /** Does a task; what goes wrong in it is its `error`. */
  execute(task: QETask): Promise<TaskResult<Result>>;
}

/**
 * Runs test files, each in a process of its own, with retry, timeout and throttle.
 *
 * @example
 * const agent = new TestExecutor();
 * const { passRate, flaky } = await agent.executeTestsParallel(['a.test.js', 'b.test.js']);
 */
export class TestExecutor extends Agent<ExecutorResult> {
  /** Where the result is remembered, for 24 hours: with keys as Python has them. */
  static readonly KEY: string;
  /**
   * Runs each file until it passes, or has no attempt left.
   *
   * @throws (rejects) before anything starts: TypeError where an argument is wrong; Error
   *   (QE_ENOTFOUND) where a file or the framework's program is missing; of a run that is shared
   *   QE_EFORMAT where it has other files, QE_EGONE where no server answers, QE_EUNSUPPORTED
   *   where it will not have us
   */
  executeTestsParallel(
    files: readonly string[],
    options?: ExecutorOptions,
  ): Promise<ExecutorResult>;
  /** The same as it happens. Leaving the loop ends what runs. */
  stream(
    files: readonly string[],
    options?: ExecutorOptions,
  ): AsyncGenerator<FileEvent | { kind: 'done'; result: ExecutorResult }, void, void>;
}

/** Why a file may be flaky. */
export interface LikelyCause {
  /** As in the result of a hunt: "network", "order" and so on. */
  cause: string;
  /** In words. */
  says: string;
  /** By the text of failures: a lead; or by experiment ("hunt"). */
  source: 'message' | 'hunt';
  /** "message": the line that suggests it, and how many failures have such a one. */
  evidence?: string;
  failures?: number;
  /** "hunt": the test, how sure it is, who makes it fail, and what shows it again. */
  test?: string;
  p?: number | null;
  culprits?: string[];
  replay?: string | null;
  /** What that came to. */
  reached?: { failed: number; runs: number } | null;
  /** Under which conditions the test ran, and how often it failed there. */
  conditions?: { name: string; failed: number; runs: number }[];
  /** Both sides of what shows the cause. */
  with?: { name: string; failed: number; passed: number };
  without?: { name: string; failed: number; passed: number };
}

/** A file by its runs. */
export interface FileVerdict {
  file: string;
  /** Runs that have ended. */
  iterations: number;
  passed: number;
  failed: number;
  isFlaky: boolean;
  /** From 0 to 1. */
  flakinessScore: number;
  /** From 0 to 1; null where it did not run, as the following. */
  passRate: number | null;
  pattern: Flakiness['pattern'] | null;
  /** Of the failure rate, at 95 % (Jeffreys). */
  interval: [low: number, high: number] | null;
  /** Of each run, in their order. */
  outcomes: OutcomeName[];
  likelyCauses: LikelyCause[];
  /** Each test that failed, with its first message, and in how many runs. */
  failures: (TestFailure & { runs: number })[];
}

export interface HunterOptions extends CallOptions {
  /** Runs of each file, or the name of a preset; default 10: fewer say little. */
  iterations?: number | 'quick' | 'thorough' | 'research';
}

/** What {@link FlakyTestHunter} found. */
export interface HunterResult {
  /** Files. */
  totalTests: number;
  flakyTests: number;
  flakyList: FileVerdict[];
  /** Percent, to two decimals. */
  flakinessRate: number;
  /** Seconds by the clock. */
  executionTime: number;
  totalRuns: number;
  avgTimePerTest: number;
  framework: Framework;
  /** How many files have each pattern. */
  patternDistribution: { [Name in Flakiness['pattern']]?: number };
  /** All files. */
  files: FileVerdict[];
  /**
   * With the option `outputs`, of each of these the results of its runs, in the order in which
   * they began; what a run that passed has printed is left out.
   */
  runs?: FileEnd[][];
  /** Seconds since the epoch. */
  timestamp: number;
  interrupted: boolean;
  warnings: string[];
  adaptions?: Adaption[];
}

/**
 * Runs each test file many times and judges it.
 *
 * @example
 * const agent = new FlakyTestHunter();
 * const { flakyList } = await agent.detectFlakyTests(['a.test.js'], { iterations: 20 });
 * for (const { file, passRate, likelyCauses } of flakyList) console.log(file, passRate, likelyCauses);
 */
export class FlakyTestHunter extends Agent<HunterResult> {
  /**
   * @param options `causes`: seconds for experiments on each flaky file, about; true (default)
   *   is 15, false none
   */
  constructor(options?: AgentOptions & { causes?: boolean | number });
  /** Where the result is remembered, for 7 days: with keys as Python has them. */
  static readonly KEY: string;
  /**
   * Runs each file `iterations` times: files two at a time, begun half a second apart; of each
   * three runs at a time, 0.2 s apart, of at most 30 s, without retries. No run of a file begins
   * when it has had 300 s. With {@link adaptive} the runs of all files are taken together.
   *
   * @throws (rejects) as {@link TestExecutor.executeTestsParallel} does
   */
  detectFlakyTests(files: readonly string[], options?: HunterOptions): Promise<HunterResult>;
  /** The same as it happens. Leaving the loop ends what runs. */
  stream(
    files: readonly string[],
    options?: HunterOptions,
  ): AsyncGenerator<
    FileEvent | ({ kind: 'judged' } & FileVerdict) | { kind: 'done'; result: HunterResult },
    void,
    void
  >;
}

/** Counts events; every agent has its own. */
export class Metrics {
  /** Counts an event of an agent; its hooks have seen it. */
  feed(event: { kind: string; [name: string]: unknown }): void;
  /**
   * All that was counted, by the names of the metrics. `buckets` are pairs of an upper bound in
   * seconds, null for none, and how many attempts took no longer.
   */
  asObject(): {
    qe_attempts_total: { framework: string; outcome: string; value: number }[];
    qe_retries_total: number;
    qe_timeouts_total: number;
    qe_attempt_seconds: {
      buckets: [bound: number | null, count: number][];
      sum: number;
      count: number;
    };
    qe_cpu_seconds_total: number;
    qe_peak_memory_bytes: number;
  };
  /** The metrics, for a registry of prom-client: `registry.registerMetric(each)`. */
  collectors(): { name: string; type: string; get(): Promise<object> }[];
  /**
   * All that was counted, as OpenMetrics text.
   *
   * @throws (rejects) where prom-client is not installed
   */
  openMetrics(): Promise<string>;
}
