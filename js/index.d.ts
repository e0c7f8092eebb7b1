/**
 * QE's core for programs: runs units of work in processes of their own, judges them,
 * and remembers them. Linux only; `require` and `import` both work.
 *
 * A wrong argument throws a `TypeError` that names it, with `code` "QE_EINVAL". What the
 * core or the system refuses throws an `Error` whose `code` is the core's ("QE_EBUSY").
 */

/** The version of the core. */
export const VERSION: string;

/** What can become of an attempt, or of a unit. */
export type OutcomeName =
  'none' | 'passed' | 'failed' | 'skipped' | 'error' | 'timeout' | 'crashed' | 'flaky';

/** The core's numbers of outcomes, as {@link Record} takes them. */
export const Outcome: Readonly<{ [Name in OutcomeName]: number }>;

/**
 * The processors that this process may use: its affinity mask, then the quota of its
 * cgroup (`cpu.max`, or `cpu.cfs_quota_us`), rounded up; at least 1.
 */
export function cpuCount(): number;

// ------------------------------------------------------------------ flakiness

/** How flaky a sequence of results is. */
export interface Flakiness {
  /** How many results passed. */
  passes: number;
  /** How many failed. */
  failures: number;
  /** 2 * min(passes, failures) / (passes + failures): 0 is stable, 1 a coin's toss. */
  score: number;
  /** True where some passed and some failed. */
  isFlaky: boolean;
  /** "INTERMITTENT": more than 70 % of neighbouring results are equal. */
  pattern: 'STABLE_PASS' | 'STABLE_FAIL' | 'INTERMITTENT' | 'RANDOM';
}

/**
 * Judges a test by its results, the oldest first: `true` or "passed", `false` or
 * "failed", "error", "timeout", "crashed"; other outcomes are not counted.
 *
 * @throws TypeError where one is something else, or none counts
 */
export function analyze(outcomes: Outcomes): Flakiness;

/** Outcomes of one test, the oldest first, as {@link analyze} takes them. */
export type Outcomes = ReadonlyArray<boolean | OutcomeName>;

/** Where a failure rate lies, from 0 to 1. */
export interface Interval {
  low: number;
  high: number;
}

/** Decides between two failure rates, one run after another (Wald 1945). */
export interface Sprt {
  readonly verdict: 'OPEN' | 'STABLE' | 'FLAKY';
  /** Failures and passes up to the decision. */
  readonly failures: number;
  readonly passes: number;
  /** ln of the likelihood of the runs under `rate1`, by that under `rate0`. */
  readonly lnRatio: number;
  /** Counts one run, and returns the verdict; once it is decided, nothing changes it. */
  step(failed: boolean): 'OPEN' | 'STABLE' | 'FLAKY';
}

/** Where the failure rate changed most. */
export interface Change {
  /** The likelihood ratio. */
  statistic: number;
  /** How often as many failures and passes, in any order, reach it. */
  p: number;
  /** Results before it. */
  at: number;
  /** Failure rates before and after it. */
  before: number;
  after: number;
}

/** What kind of sequence outcomes make. */
export interface Pattern {
  /**
   * "UNTYPED": less than 3 passes or failures. "NO_PATTERN": none seen, and so few results can
   * show none. "INTERMITTENT": failures come in bursts.
   */
  name:
    | 'UNTYPED'
    | 'NO_PATTERN'
    | 'RANDOM'
    | 'ALTERNATING'
    | 'INTERMITTENT'
    | 'DEGRADING'
    | 'IMPROVING';
  failures: number;
  passes: number;
  /** Runs of equal results. */
  runs: number;
  /** p-values by Holm over these three; 1 where untyped. */
  few: number;
  many: number;
  change: number;
  /** The smallest p that so few results can have. */
  least: number;
  changePoint: Change;
  /** Of a cluster: marginal likelihoods of bursts, and of one change. */
  lnMarkov: number;
  lnChange: number;
}

/** All that the outcomes of one test say. */
export interface Analysis {
  /** As {@link analyze} tells; all 0 where no outcome counts. */
  flakiness: Flakiness;
  /** Clamped. */
  jeffreys: Interval;
  clopperPearson: Interval;
  wilson: Interval;
  confidenceSequence: Interval;
  /** That of `evidenceFlaky`, by its defaults. */
  lnE: number;
  /** By `eBh`, over all tests of the call. */
  confirmed: boolean;
  pattern: Pattern;
}

/** Which rates are looked for, Beta(a, b), and the one above which they are. */
export interface EvidenceOptions {
  /** Default 0.5. */
  a?: number;
  /** Default 5. */
  b?: number;
  /** Default 0.001. */
  rate0?: number;
}

/**
 * What passes and failures say, and how sure one may be of it. The formulas and their sources
 * are in csrc/include/qe_stats.h.
 *
 * Counts are whole numbers up to 1e9. `alpha` is the chance of being wrong that one accepts,
 * 0.05 by default, from 1e-12 to 1 - 1e-12. Each throws a TypeError that names what is wrong.
 */
export interface Stats {
  /** The rate's interval, from a number of runs that was fixed before the first. */
  jeffreys(failures: number, passes: number, alpha?: number): Interval;
  /** The same for display: from 0 where nothing failed, to 1 where everything did. */
  jeffreysClamped(failures: number, passes: number, alpha?: number): Interval;
  /** Never less sure than 1 - alpha, and wider for that. */
  clopperPearson(failures: number, passes: number, alpha?: number): Interval;
  wilson(failures: number, passes: number, alpha?: number): Interval;
  /** Where one may look after every run, and stop when one likes. */
  confidenceSequence(failures: number, passes: number, alpha?: number): Interval;
  /** How many runs show a failure with 1 - alpha, of a test that fails with this rate. */
  runsToSee(rate: number, alpha?: number): number;
  /** The chance that so many runs show a failure. */
  power(rate: number, runs: number): number;
  /** The smallest rate of which so many passes would have shown a failure with 1 - alpha. */
  rateSeen(runs: number, alpha?: number): number;
  /** Rates are 0.001 and 0.05, alpha and beta 0.05 by default. */
  Sprt: new (options?: {
    /** What is still called healthy, and above it what must not be missed. */
    rate0?: number;
    rate1?: number;
    /** The chance to call `rate0` flaky, and that to call `rate1` stable. */
    alpha?: number;
    beta?: number;
  }) => Sprt;
  /** ln of the evidence that a test fails more often than `rate0`, whenever one stops. */
  evidence(failures: number, passes: number, options?: EvidenceOptions): number;
  /** That it fails, and passes, more often than `rate0`: that it is flaky. */
  evidenceFlaky(failures: number, passes: number, options?: EvidenceOptions): number;
  /**
   * Which tests are confirmed, at most alpha of them wrongly on average, also where tests fail
   * together. `tests` counts all of them, where `lnE` is of some only.
   */
  eBh(lnE: readonly number[], alpha?: number, tests?: number): boolean[];
  /** Adjusted p-values: with 1 - alpha none of those at most alpha is rejected wrongly. */
  holm(p: readonly number[]): number[];
  /** Of those at most alpha, a share of at most alpha is rejected wrongly on average. */
  benjaminiHochberg(p: readonly number[]): number[];
  /** Whether two conditions fail at different rates; `more`: the second more often. */
  fisher(
    failures1: number,
    passes1: number,
    failures2: number,
    passes2: number,
  ): { two: number; more: number; less: number };
  /** Whether chance makes so few, or so many, runs of equal results. */
  runsTest(failures: number, passes: number, runs: number): { few: number; many: number };
  /** How far each result depends on the last: failure rates after both, and a test of it. */
  markov(outcomes: Outcomes): {
    afterFailure: number;
    afterPass: number;
    lambda: number;
    lag1: number;
    g2: number;
    p: number;
  };
  /**
   * Whether the rate changed once. `p` is of all orders, counted exactly; of more than 1,048,576
   * outcomes 999 orders are drawn, from `seed`: 0 (default) to 2^32 - 1. With `permutations`, up
   * to 1e6, so many are, of any number of outcomes.
   */
  changePoint(outcomes: Outcomes, seed?: number, permutations?: number): Change;
  /** Types a sequence of outcomes of one test in one condition. */
  pattern(outcomes: Outcomes, alpha?: number, seed?: number, permutations?: number): Pattern;
  /**
   * Beta(a, b), the law of failure rates that counts of many tests, [failures, passes], follow
   * best; null where less than 3 of them failed and passed, or less than 1,000 runs are counted.
   */
  ratesFit(counts: ReadonlyArray<readonly [number, number]>): [number, number] | null;
  /** All of this of many tests; one without an outcome that counts is no error. */
  analyse(tests: ReadonlyArray<Outcomes>, alpha?: number): Analysis[];
}

export const stats: Readonly<Stats>;

// ---------------------------------------------------------------------- causes

/** What can be changed around a run; see csrc/include/qe_around.h. */
export type Surrounding =
  | 'one_cpu'
  | 'idle'
  | 'busy'
  | 'jitter'
  | 'no_network'
  | 'few_files'
  | 'small_files'
  | 'little_memory'
  | 'files'
  | 'clock'
  | 'partner'
  | 'entropy'
  | 'slow_threads'
  | 'slow_main'
  | 'c_locale'
  | 'zone';

/** Why a test is flaky. */
export type Cause =
  | 'unknown'
  | 'order'
  | 'brittle'
  | 'self'
  | 'files'
  | 'hash'
  | 'random'
  | 'time'
  | 'timing'
  | 'neighbours'
  | 'network'
  | 'resources'
  | 'locale';

/** A run in which a test failed, or passed. */
export interface InquiryContext {
  /** What ran, by number, up to the test, which is the last. */
  items: readonly number[];
  /** Of its random numbers, 0 to 2^53 - 1. */
  seed: number;
  /** When the test began, in seconds since the epoch; 0 (default): unknown. */
  started?: number;
}

export interface InquiryOptions {
  test: number;
  failed?: InquiryContext | null;
  passed?: InquiryContext | null;
  /** All tests in their order. */
  all: readonly number[];
  /** Those that ran while it failed; of more than 8 the first. */
  neighbours?: readonly number[] | null;
  /** What cannot be done here. */
  forbidden?: readonly Surrounding[] | null;
  /** How often it fails, as far as that is known, 0 to 1. */
  rate: number;
  /** How often a healthy contrast may be called a cause. */
  alpha: number;
  /** 0 to 2^53 - 1. */
  seed: number;
  /** Runs before it gives up, default 1500. */
  most?: number;
  /** Looks for who ran before it alone. */
  orderOnly?: boolean;
}

/** One run that an inquiry wants. */
export interface Probe {
  number: number;
  /** Of the contrast's side: "alone", "twice". */
  name: string;
  /** What runs, in this order; the last is the test. */
  items: number[];
  /**
   * "then": `others` run, end, and `items` follow with their files; "meanwhile": both at
   * once; "exclusive": nothing else runs meanwhile.
   */
  beside: '' | 'then' | 'meanwhile' | 'exclusive';
  others: number[];
  seed: number;
  around: Surrounding[];
  /** Where `around` has "clock": the time at which the test is to begin. */
  clock: number;
  /** Its files are those that the run left in which the test failed, not new ones. */
  leftFiles: boolean;
}

/** What one side of a contrast did. */
export interface Side {
  name: string;
  failed: number;
  passed: number;
}

export interface Finding {
  cause: Cause;
  /** Of the contrast, adjusted for all; 1 where there is none. */
  p: number;
  with: Side | null;
  without: Side | null;
  /** Polluters, setters, or the neighbour. */
  culprits: number[];
  /** How to make it fail; null where that is not known. */
  proof: Probe | null;
  proofFailed: number;
  proofRuns: number;
  /** How many runs were asked for. */
  probes: number;
}

/**
 * Why a test is flaky: says which run it wants next, hears what came of it, and in the end
 * what it has found. It runs nothing itself. csrc/include/qe_cause.h tells how it goes on.
 *
 * @example
 * for (let probe; (probe = inquiry.next());) inquiry.result(probe.number, run(probe));
 * console.log(inquiry.finding().cause);
 */
export class Inquiry {
  /** @throws TypeError where an option is wrong */
  constructor(options: InquiryOptions);
  /** The next run; null: not before a result is there; false: it is over. */
  next(): Probe | null | false;
  /**
   * What the test did: true passed, false failed in the way that is asked about, undefined
   * neither. `started`: when it began, in seconds since the epoch.
   */
  result(probe: number, passed: boolean | undefined, started?: number): void;
  /** What is known by now. */
  finding(): Finding;
}

/**
 * The seed of an execution in a hunt's pass: from that of the pass (0 to 2^53 - 1), a key of
 * the test (0 to 2^32 - 1), and how often that ran in the pass before.
 */
export function attemptSeed(passSeed: number, key: number, nth?: number): bigint;

// ------------------------------------------------------------------------ runs

/** Something to run. */
export interface Unit {
  /** Unique in the run (with `pass`); UTF-8 without NUL. */
  id: string;
  /** The caller's number for it, 0 to 2^32 - 1; its index by default. */
  item?: number;
  /** Units of one scope are kept together where possible; each has its own by default. */
  scope?: string | null;
  /** Which pass over the same units, from 0. */
  pass?: number;
  /** Attempts after the first, 0 to 65535; default 0. */
  retries?: number;
  /** Seconds after which its worker is killed, 0 (default): none; at most 1e9. */
  timeout?: number;
  /** Seconds that it is expected to take: the longest start first. 0: not known. */
  expected?: number;
  /** It starts before those without, as it failed the last time, say. */
  first?: boolean;
  /** Runs when all others are done, while nothing else runs. */
  serial?: boolean;
}

/** A command to run: its unit passes where that exits with 0. */
export interface CommandUnit extends Unit {
  /** A program and its arguments; one without a slash is looked up in PATH. No shell. */
  argv: readonly string[];
  /** Where it runs; default: where this process does. */
  cwd?: string | null;
  /** Changes of this process's environment; `null` takes a variable away. */
  env?: { readonly [name: string]: string | null | undefined } | null;
  /** What each of its processes may use; 0 and missing: no limit but the system's. */
  limits?: Limits | null;
  /**
   * The address of a warm server (a name in the abstract namespace of Unix sockets) that
   * starts the command in a fork of itself; where it cannot, it is executed as any other.
   */
  warm?: string | null;
}

/** What each process of a command may use; 0: no limit but the system's. */
export interface Limits {
  /** Bytes of private writable memory (RLIMIT_DATA): beyond, allocations fail. */
  memoryBytes?: number;
  /** Seconds of processor time: then SIGXCPU, a second later SIGKILL. */
  cpuSeconds?: number;
  /** Open descriptors; at least 3. */
  openFiles?: number;
}

/** How units are run: whatever they are. */
interface AnyRunOptions {
  /** How many attempts run at once, 1 (default) to 1024. */
  workers?: number;
  /** A fresh worker for every unit. */
  isolate?: boolean;
  /** The time limit covers what `work` is given to run alone; always so by default. */
  callOnly?: boolean;
  /** Units start in their order, not the longest first. */
  inOrder?: boolean;
  /** Measure each attempt's own peak of memory, not its worker's so far. */
  peakMemory?: boolean;
  /** The run is given up after more than so many crashed workers; default: no limit. */
  maxRestarts?: number;
  /** Seconds before a unit's first retry; doubles with each; varied by up to a half. */
  backoff?: number;
  /** Not varied. */
  exactBackoff?: boolean;
  /** Seconds that a worker may take to leave; 0 (default): no limit. */
  endTimeout?: number;
  /** From which each worker's own seed is made, 0 to 2^32 - 1. */
  seed?: number;
  /** What other processes are told while the run goes on: `qe ui` shows it. */
  publish?: Publishing;
}

/**
 * A file `live/<pid>-<n>.json` in `folder` (a project's .qe), renewed twice a second, says
 * what the run is doing, and goes with it. Where it cannot be written the run goes on.
 */
export interface Publishing {
  folder: string;
  /** A JSON object: what the run is; `qe ui` knows `kind`, `command`, `folder`, `name`. */
  about: string;
  /** Of units, by `item`; those past their end go by their id. */
  names?: readonly string[];
}

/** How units are run by a worker program. */
export interface RunOptions extends AnyRunOptions {
  /** What a worker executes: a program that calls {@link work}. At least one word. */
  argv: readonly string[];
}

/** How commands are run. */
export interface CommandOptions extends AnyRunOptions {
  argv?: null | undefined;
  /**
   * Seconds from SIGTERM, which a command's group gets at its time limit, to SIGKILL;
   * default 2. 0: SIGKILL at once.
   */
  grace?: number;
  /** Least seconds between the starts of two commands; default 0. */
  throttle?: number;
  /**
   * How much is kept of each stream of an attempt, half from its beginning and half from
   * its end, 2 to 2^26; default 262,144. Where more was printed, a line says so.
   */
  outputBytes?: number;
}

interface WorkerEvent {
  /** Which of the workers that run at once, from 0. */
  worker: number;
  /** Its process; 0 where there is none. */
  pid: number;
}

interface UnitEvent<U extends Unit> extends WorkerEvent {
  /** The very object that was given. */
  unit: U;
  /** From 1. */
  attempt: number;
}

interface AttemptEnd<U extends Unit> extends UnitEvent<U> {
  /** The attempt's outcome; "none": it is void, and runs as if it had never begun. */
  outcome: OutcomeName;
  /** Whether another attempt follows. */
  again: boolean;
  /** The unit's outcome, where none follows; otherwise null. */
  final: OutcomeName | null;
  /** As `wait(2)` gives it, of a command or where the process died; otherwise 0. */
  status: number;
  /** Seconds by the clock. */
  duration: number;
  /** Seconds of processor time; 0 where its process died. */
  cpu: number;
  /** The most memory that was resident. */
  peakBytes: number;
}

/** What the end of a command has besides. */
export interface CommandEnd {
  /** Its exit status; null where it did not exit by itself. */
  exitCode: number | null;
  /** The name of the signal that ended it; null where none did. */
  signal: string | null;
  /** What it printed; "" where its worker was lost. */
  stdout: string;
  stderr: string;
}

export type RunEvent<U extends Unit = Unit, End = unknown> =
  /** A worker began. */
  | ({ kind: 'worker' } & WorkerEvent)
  /** An attempt began, at `start` (seconds since the epoch). */
  | ({ kind: 'start'; start: number } & UnitEvent<U>)
  /** Something that the unit sent. */
  | ({ kind: 'data'; dataKind: number; data: Buffer } & Partial<UnitEvent<U>> & WorkerEvent)
  /**
   * An attempt ended by itself; `message` says what it threw, "" where nothing. Every end
   * of a command is one; `message` says why it could not be started ("error").
   */
  | ({ kind: 'finish'; message: string } & AttemptEnd<U> & End)
  /** An attempt ended with its process: killed at its limit, or crashed. */
  | ({ kind: 'lost' } & AttemptEnd<U> & End)
  /** A worker ended; `status` is as `wait(2)` gives it. */
  | ({ kind: 'exit'; status: number } & WorkerEvent)
  /** The system would start no worker (`status` is errno); told once, the run goes on. */
  | ({ kind: 'refused'; status: number } & WorkerEvent)
  /** The run ends: too many workers crashed, or none can be started. */
  | ({ kind: 'giveUp' } & WorkerEvent);

/** A run's events, in their order. Leaving its loop early ends all that runs, at once. */
export interface Run<U extends Unit = Unit, End = unknown> extends AsyncIterableIterator<
  RunEvent<U, End>
> {
  return(value?: unknown): Promise<IteratorResult<RunEvent<U, End>>>;
  /**
   * Nothing new starts; what runs is let finish, and its events still come.
   *
   * @param interrupt what runs gets SIGINT, and a command its grace
   */
  stop(interrupt?: boolean): void;
  /** Of commands: from now on at most `running` at once, `throttle` seconds between starts. */
  limit(running: number, throttle: number): void;
  /**
   * Of commands: holds what runs (SIGSTOP), or lets it go on; its time limits stand still
   * meanwhile. It takes effect within some hundredths of a second.
   */
  pause(on: boolean): void;
}

/**
 * Runs units in worker processes; starts at once. Nothing is left running once the
 * iterator is done, left, or collected, or this process ends, however it ends.
 *
 * Events wait in memory until they are read.
 *
 * @example
 * for await (const event of runUnits([{ id: 'a' }], { argv: [process.execPath, 'worker.js'] })) {
 *   if (event.kind === 'finish') console.log(event.unit.id, event.outcome);
 * }
 * @throws TypeError where an argument is wrong; Error where no run can be started
 */
export function runUnits<U extends Unit>(units: readonly U[], options: RunOptions): Run<U>;
/**
 * Runs commands: units that each have their own, and need no worker program.
 *
 * A command runs in a process group of its own, reads from /dev/null, and inherits no
 * other descriptor. What it leaves behind in that group is killed when it has ended.
 *
 * @example
 * for await (const event of runUnits([{ id: 'a', argv: ['make', 'test'], timeout: 60 }], {})) {
 *   if (event.kind === 'finish') console.log(event.outcome, event.exitCode, event.stdout);
 * }
 */
export function runUnits<U extends CommandUnit>(
  units: readonly U[],
  options: CommandOptions,
): Run<U, CommandEnd>;

/** An attempt, as the function given to {@link work} sees it. */
export interface Attempt {
  /** The unit's index. */
  unit: number;
  /** The caller's number for the unit. */
  item: number;
  pass: number;
  /** From 1. */
  attempt: number;
  /** As in the events. */
  worker: number;
  /** For random generators: by the run's seed and this worker. */
  seed: bigint;
  /** Sends a "data" event; `kind` is the caller's own number, at most 256 MiB of data. */
  send(kind: number, data: Uint8Array): void;
}

/**
 * The worker's side: runs `run` for each unit that it claims, until none is left.
 * What that throws makes the unit fail; its result names the outcome ("passed" where
 * there is none). To be called once, in a process that {@link runUnits} started.
 *
 * @throws Error (rejects) elsewhere
 */
export function work(run: (attempt: Attempt) => Promise<Result | undefined>): Promise<void>;
export function work(run: (attempt: Attempt) => Result | undefined): Promise<void>;
export function work(run: (attempt: Attempt) => void | Promise<void>): Promise<void>;

/** What a unit may make of itself. */
export type Result = Exclude<OutcomeName, 'none'>;

// ------------------------------------------------------------------ test files

/** Whose command runs a test file. */
export type Framework =
  | 'pytest'
  | 'jest'
  | 'mocha'
  | 'vitest'
  | 'node'
  | 'playwright'
  | 'cypress'
  | 'unittest'
  | 'go'
  | 'cargo'
  | 'ctest'
  | 'command';

/** Other names of theirs. */
export type FrameworkAlias =
  | 'py.test'
  | 'node:test'
  | 'node-test'
  | 'nodejs'
  | '@playwright/test'
  | 'go test'
  | 'go-test'
  | 'gotest'
  | 'cargo test'
  | 'cargo-test'
  | 'rust';

/** How test files are run, all of them alike. */
export interface FileOptions {
  /**
   * Default "jest". Its program is the project's own (`node_modules/.bin`, or `bin` in the
   * virtual environment, of `cwd` and above), otherwise one in PATH. docs/agents.md has what
   * each is given.
   */
  framework?: Framework | FrameworkAlias;
  /**
   * For "command" alone: its words, of which `{file}`, `{dir}`, `{name}` and `{stem}` (at
   * least one of them) are filled in, and `{report}`, where it writes JUnit XML there.
   */
  template?: readonly string[];
  /**
   * What the program is given before its file, such as `['--config', 'other.json']`; what
   * follows `--` comes behind it.
   */
  args?: readonly string[];
  /** The project's folder, from which files are named; default: the current one. */
  cwd?: string;
  /** Changes of this process's environment; `null` takes a variable away. */
  env?: CommandUnit['env'];
}

/** A test that failed. */
export interface TestFailure {
  name: string;
  message: string;
}

export interface ExecuteOptions extends FileOptions {
  /** How many files run at once, 1 to 1024; default 10. */
  maxConcurrent?: number;
  /** How often a failing file runs in all, from 1; default 3. */
  retryAttempts?: number;
  /** Seconds that an attempt may take; default 60; 0: no limit. */
  retryTimeout?: number;
  /** Seconds before the second attempt; doubles with each; default 2. */
  retryBackoff?: number;
  /** Least seconds between two starts; default 0.1. */
  throttlePeriod?: number;
}

/** Tests by what became of them. */
export interface TestCounts {
  /** The sum of the others. */
  total: number;
  passed: number;
  failed: number;
  /** Expected failures, and what is yet to do, among them. */
  skipped: number;
  /** What failed outside of a test: a file that cannot be loaded, a hook. */
  errors: number;
}

/** What became of a file. All but `attempts` and `outcome` is of its last attempt. */
export interface FileResult {
  /** As it was given. */
  file: string;
  /** "flaky": it failed, then passed on a retry. */
  outcome: OutcomeName;
  /** Whether it passed, if only on a retry. */
  passed: boolean;
  attempts: number;
  /** The exit status; -N where the signal N ended it; null where neither is known. */
  returncode: number | null;
  timedOut: boolean;
  /** Seconds by the clock. */
  duration: number;
  /** What it printed: 256 KiB of each, from the beginning and the end. */
  stdout: string;
  stderr: string;
  /** Seconds of processor time, of the command and the processes that it waited for. */
  cpu: number;
  /** The most memory that one of them had resident. */
  peakBytes: number;
  /** Its tests; null where they are not known: it was killed, say, or prints none. */
  tests: TestCounts | null;
  /** What failed, the first 20; of each text at most 2,000 characters. */
  failures: TestFailure[];
}

export interface ExecuteResult {
  total: number;
  passed: number;
  failed: number;
  /** Percent of the files, to two decimals; 0 where there is none. */
  passRate: number;
  /** In the order of the files. */
  results: FileResult[];
  /** The sum of the files' tests, of those that are known; null where none is. */
  tests: TestCounts | null;
  /** Seconds by the clock. */
  executionTime: number;
  /** Attempts after a file's first. */
  retries: number;
  /** Attempts that were ended at their limit. */
  timeouts: number;
  framework: Framework;
  /** Seconds by the clock, divided by the number of files. */
  avgTimePerTest: number;
}

/**
 * Runs test files, each by its framework's own command.
 *
 * @example
 * const { passed, total } = await executeTests(['a.test.js', 'b.test.js'], { maxConcurrent: 4 });
 * @throws (rejects) before anything starts: TypeError where an argument is wrong; Error
 *   (QE_ENOTFOUND) where a file or the framework's program is missing
 */
export function executeTests(
  files: readonly string[],
  options?: ExecuteOptions,
): Promise<ExecuteResult>;

export interface DetectOptions extends FileOptions {
  /** How often each file runs, from 1; default 10. */
  iterations?: number;
  /** How many runs of a file at once, 1 to 1024; default 3. */
  maxConcurrent?: number;
  /** Seconds that a run may take; default 30; 0: no limit. */
  retryTimeout?: number;
  /** Least seconds between the starts of two runs of a file; default 0.2. */
  throttlePeriod?: number;
  /** How many files at once, 1 to 1024; default 2. */
  maxConcurrentFiles?: number;
  /** Seconds after which no more runs of a file start, from 1; default 300. */
  fileTimeout?: number;
  /** Least seconds between the starts of two files; default 0.5. */
  filePeriod?: number;
}

/** A file by its runs. */
export interface FlakyFile {
  /** As it was given. */
  file: string;
  /** How often it ran. */
  iterations: number;
  passed: number;
  failed: number;
  isFlaky: boolean;
  /** As in {@link Flakiness}. */
  flakinessScore: number;
  /** From 0 to 1. */
  passRate: number;
  pattern: Flakiness['pattern'];
}

export interface DetectResult {
  totalTests: number;
  flakyTests: number;
  /** The flaky ones. */
  flakyList: FlakyFile[];
  /** Percent of the files, to two decimals. */
  flakinessRate: number;
  /** Seconds by the clock. */
  executionTime: number;
  /** Of all files. */
  totalRuns: number;
  /** Seconds by the clock, divided by the number of files. */
  avgTimePerTest: number;
  framework: Framework;
  /** How many files have each pattern, flaky or not. */
  patternDistribution: { [Name in Flakiness['pattern']]?: number };
}

/**
 * Runs each test file many times, without retries, and says which are flaky.
 *
 * @throws (rejects) as {@link executeTests} does
 */
export function detectFlaky(
  files: readonly string[],
  options?: DetectOptions,
): Promise<DetectResult>;

export * from './agents';

// --------------------------------------------------------------------- results

/** An attempt, as it is remembered. */
export interface RecordedAttempt {
  /** What `addTest` returned. */
  item: number;
  /** Of {@link Outcome}. */
  outcome: number;
  pass?: number;
  /** From 1, the default. */
  attempt?: number;
  worker?: number;
  /** Seconds since the epoch. */
  start?: number;
  /** Seconds by the clock. */
  duration?: number;
  /** Seconds of processor time. */
  cpu?: number;
  peakBytes?: number;
  /** As `wait(2)` gives it. */
  status?: number;
  /** One line. */
  message?: string | null;
}

/** How an attempt failed, or what it printed. */
export interface RecordedText {
  /** The number of its test. */
  item: number;
  /** Default 0. */
  pass?: number;
  /** Default 1. */
  attempt?: number;
  /** 0 (default): how it failed; 1: what it printed. */
  kind?: 0 | 1;
  /** Where: the phase, or what the output was captured from. */
  name: string;
  /** Bytes that are no UTF-8 stay what they are (see the schema of the result). */
  text: string | Buffer;
}

/** What happened in a run, by test. A NUL in a name or a message becomes U+FFFD. */
export class Record {
  /** Adds a test; returns its number. */
  addTest(id: string): number;
  addAttempt(attempt: RecordedAttempt): void;
  /** What an attempt that was added left for people to read, in the order that they are added. */
  addText(text: RecordedText): void;
  /** The test's outcome, of {@link Outcome}, and what failed in it. */
  setOutcome(item: number, outcome: number, message?: string | null): void;
  /** Seconds that the history knew an attempt to take before this run; 0: not known. */
  setExpected(item: number, expected: number): void;
  /** The names of the test's marks. */
  setMarks(item: number, marks: readonly string[]): void;
  /** The test's failures are known, and do not fail the run. */
  setQuarantined(item: number): void;
  /** What was tested: the code's revision and branch; null where unknown. */
  setCode(revision: string | null, branch: string | null): void;
  /** The condition of a pass ("shuffled", say), and the seed that repeats it, at most 2^53. */
  addPass(pass: number, condition: string, seed: number): void;
  /**
   * Writes the result as JSON, whole or not at all.
   *
   * @param run a JSON object as text, what the result has as "run"
   * @param flaky whether each test gets its flakiness
   */
  writeJson(path: string, run?: string | null, flaky?: boolean): void;
  /** Writes the attempts as a trace for Perfetto; `started` in seconds since the epoch. */
  writeTrace(path: string, started: number): void;
}

/** What an agent remembers by; each method may give its result or a promise of it. */
export interface Memory {
  store(key: string, value: unknown, ttl?: number | null): unknown;
  retrieve(key: string): unknown;
  delete(key: string): unknown;
  search(pattern: string): unknown;
}

/**
 * Values under keys in the project's history, with a time to live, for every process of the
 * project: `pytest_qe.memory.MemoryStore` reads and writes the same. Opens at the first use.
 *
 * Every promise may be rejected as `new History` and its methods throw (QE_EBUSY where another
 * process holds the file for 2 seconds).
 */
export class MemoryStore implements Memory {
  /** @param path the database; default: .qe/history.db here or above, otherwise made here */
  constructor(path?: string | null);
  readonly path: string;
  /**
   * Keeps a value, in place of what was there.
   *
   * @param ttl seconds until it is gone; null (default): never
   * @throws TypeError where JSON cannot say it; RangeError for a wrong ttl
   */
  store(key: string, value: unknown, ttl?: number | null): Promise<void>;
  /** The value of a key; null where there is none, or it has expired. */
  retrieve(key: string): Promise<any>;
  /** Takes a key away; whether it was there. */
  delete(key: string): Promise<boolean>;
  /**
   * All that is alive under keys that match.
   *
   * @param pattern `*` stands for any letters, `?` for one, `[a-z]` for one of a set
   */
  search(pattern: string): Promise<{ [key: string]: any }>;
  /** Takes all that has expired off the disk; each `store` takes a part. */
  gc(): Promise<void>;
  /** Closes the file. What is called after it is rejected, but for this. */
  close(): void;
}

/** A test's executions of one day (local time), commit, branch or condition. */
export interface HistoryRow {
  /** Which; "": not known. */
  label: string;
  /** First attempts that failed. */
  failures: number;
  /** ... and that passed. */
  passes: number;
  /** Passes on a retry. */
  recovered: number;
  /** When the first of its runs began: seconds since the epoch. */
  first: number;
  /** ... and the last. */
  last: number;
  /** Seconds that its passes took; 0: there are none. */
  mean: number;
  longest: number;
}

/** A run that the history knows; times are seconds, `started` since the epoch. */
export interface HistoryRun {
  id: number;
  started: number;
  wall: number;
  workers: number;
  /** What was tested; "" where unknown. */
  revision: string;
  branch: string;
  /** How many tests had each outcome, by its name. */
  outcomes: { [outcome: string]: number };
}

/** An execution of a test that the history knows; times are seconds, `start` since the epoch. */
export interface HistoryAttempt {
  id: string;
  pass: number;
  attempt: number;
  /** The slot that ran it. */
  worker: number;
  outcome: string;
  start: number;
  duration: number;
  cpu: number;
  peakBytes: number;
  /** As `wait(2)` gives it. */
  status: number;
  message: string | null;
}

/** What happened in earlier runs: a database in one file, which several may hold open. */
export class History {
  /**
   * Opens the file, or makes it.
   *
   * @throws Error QE_ECORRUPT: no database of ours; QE_EUNSUPPORTED: a newer version's;
   *   QE_EBUSY: held by another process for 2 seconds; QE_EREADONLY: not to be written
   */
  constructor(path: string);
  /** Expected seconds of each id, by the last passed attempts; 0 where not known. */
  durations(ids: readonly string[]): number[];
  /**
   * How often each test that is known has failed and passed, in first attempts, and in no
   * order. `stats.ratesFit` takes the numbers.
   */
  counts(): [id: string, failures: number, passes: number][];
  /**
   * How often a test has failed and passed, for each day, commit, branch or condition, the
   * oldest first; nothing where it is not known.
   *
   * @example history.rates('bank.test.js::rate', 'day').map(({ label, failures }) => ...)
   */
  rates(id: string, by: 'day' | 'commit' | 'branch' | 'condition'): HistoryRow[];
  /** Runs, the newest first, at most so many. */
  runs(most: number): HistoryRun[];
  /**
   * Who ran what in a run, by when it began.
   *
   * @throws Error QE_ENOTFOUND: there is no such run
   */
  attempts(run: number): HistoryAttempt[];
  /**
   * Saves a run, whole or not at all.
   *
   * @param started seconds since the epoch
   * @param wall seconds by the clock
   */
  save(record: Record, started: number, wall: number, workers: number): void;
  /** Drops what has expired, and runs but the newest `keep`. */
  gc(keep: number): void;
  /** Keeps a value for `ttl` seconds; 0 (default): for ever. */
  put(key: string, value: string, ttl?: number): void;
  /** The value of a key; null where there is none, or it has expired. */
  get(key: string): string | null;
  /** Takes a key away; whether it was there. */
  delete(key: string): boolean;
  /**
   * The keys that match a pattern, in order, each with the seconds since the epoch when it
   * expires, 0 for never.
   *
   * @param pattern `*` stands for any letters, `?` for one, `[a-z]` for one of a set
   */
  keys(pattern: string): [key: string, expires: number][];
  /** Closes the file. What is called after it throws (QE_ESTATE), but for this. */
  close(): void;
}
