// Compiled by test_types.js: what index.d.ts allows, and what it does not.
import {
  FlakyTestHunter,
  TestExecutor,
  adaptive,
  History,
  Inquiry,
  MemoryStore,
  Outcome,
  Record,
  VERSION,
  analyze,
  attemptSeed,
  cpuCount,
  detectFlaky,
  executeTests,
  runUnits,
  stats,
  work,
  type Analysis,
  type Cause,
  type Finding,
  type Flakiness,
  type HistoryAttempt,
  type HistoryRow,
  type HistoryRun,
  type Memory,
  type OutcomeName,
  type Pattern,
  type Probe,
  type RunEvent,
  type Unit,
} from 'qe-jest';

const version: string = VERSION;
const processors: number = cpuCount();
const found: Flakiness = analyze([true, 'failed']);
const pattern: 'STABLE_PASS' | 'STABLE_FAIL' | 'INTERMITTENT' | 'RANDOM' = found.pattern;

const interval: { low: number; high: number } = stats.jeffreys(1, 9);
const sprt = new stats.Sprt({ rate0: 0.01 });
const verdict: 'OPEN' | 'STABLE' | 'FLAKY' = sprt.step(true);
const shape: Pattern['name'] = stats.pattern([true, 'failed'], 0.05, 1).name;
const chosen: boolean[] = stats.eBh([stats.evidenceFlaky(1, 9, { rate0: 0.01 })]);
const analysed: Analysis = stats.analyse([[true, 'failed'], []], 0.05)[0]!;
const confirmed: boolean = analysed.confirmed && analysed.flakiness.isFlaky;
// @ts-expect-error many tests, not one
stats.analyse([true, false]);
// @ts-expect-error a count is a number
stats.fisher('1', 2, 3, 4);
// @ts-expect-error it is not to be changed
sprt.failures = 3;

const memory: Memory = new MemoryStore();
async function remember(store: MemoryStore): Promise<boolean> {
  await store.store('aqe/last', { passed: 3 }, 60);
  const found: { [key: string]: any } = await store.search('aqe/*');
  // @ts-expect-error a time to live is a number
  await store.store('aqe/last', 1, '60');
  return found['aqe/last'].passed === 3 && (await store.delete('aqe/last'));
}
void [memory, remember];

interface Mine extends Unit {
  file: string;
}

async function events(): Promise<void> {
  const units: Mine[] = [{ id: 'a', file: 'a.js', retries: 1, timeout: 0.5, scope: null }];
  const run = runUnits(units, { argv: ['node', 'worker.js'], workers: 2, isolate: true });
  for await (const event of run) {
    switch (event.kind) {
      case 'start': {
        const file: string = event.unit.file; // the caller's own type comes back
        const start: number = event.start;
        void [file, start];
        break;
      }
      case 'data': {
        const data: Buffer = event.data;
        const unit: Mine | undefined = event.unit;
        void [data, unit];
        break;
      }
      case 'finish':
      case 'lost': {
        const final: OutcomeName | null = event.final;
        void final;
        break;
      }
      case 'exit': {
        const status: number = event.status;
        // @ts-expect-error a worker's end belongs to no unit
        void event.unit;
        void status;
        break;
      }
      default: {
        const kind: 'worker' | 'refused' | 'giveUp' = event.kind;
        void kind;
      }
    }
  }
  run.stop();
  await run.return();
}

async function commands(): Promise<void> {
  const units = [{ id: 'a', argv: ['true'], env: { A: '1', B: null }, cwd: '/' }];
  for await (const event of runUnits(units, { grace: 1, throttle: 0.1, outputBytes: 1000 })) {
    if (event.kind === 'finish' || event.kind === 'lost') {
      const said: string = event.stdout + event.stderr + (event.signal ?? '');
      const status: number | null = event.exitCode;
      void [said, status];
    }
  }
}

async function files(): Promise<void> {
  const done = await executeTests(['a.js'], { framework: 'mocha', retryAttempts: 1 });
  const outcome: OutcomeName | undefined = done.results[0]?.outcome;
  const { flakyList, patternDistribution } = await detectFlaky(['a.js']);
  const score: number | undefined = flakyList[0]?.flakinessScore;
  const random: number | undefined = patternDistribution.RANDOM;
  // @ts-expect-error no such framework
  await executeTests(['a.js'], { framework: 'nose' });
  // @ts-expect-error no retries are made
  await detectFlaky(['a.js'], { retryAttempts: 2 });
  void [outcome, score, random];
}

async function agents(): Promise<void> {
  const agent = new TestExecutor({ limits: { openFiles: 64 }, onRetry: ({ delay }) => delay });
  const { flaky, results } = await agent.executeTestsParallel(['a.js'], {
    params: adaptive({ most: 4, maxConcurrent: 2 }),
    signal: AbortSignal.timeout(1000),
  });
  const peak: number | undefined = results[0]?.rusage.peakMemoryBytes;
  for await (const event of agent.stream(['a.js'], { framework: 'mocha', params: 'fast' })) {
    if (event.kind === 'result' && event.outcome !== 'not_run') console.log(event.ended);
    if (event.kind === 'done') console.log(event.result.passRate);
  }
  const hunter = new FlakyTestHunter({ causes: false, memory: agent.memory });
  const found = await hunter.detectFlakyTests(['a.js'], { iterations: 'thorough' });
  const cause: string | undefined = found.flakyList[0]?.likelyCauses[0]?.cause;
  const text: string = await agent.metrics.openMetrics();
  const shared = { url: 'rediss://queue.example.org', run: '1', lease: 5 };
  const node = await new TestExecutor({ shared }).executeTestsParallel(['a.js']);
  const elsewhere: string[] = node.shared?.failures ?? [];
  // @ts-expect-error it is no address alone
  new TestExecutor({ shared: 'redis://queue.example.org' });
  // @ts-expect-error a preset of executions is none of iterations
  await hunter.detectFlakyTests(['a.js'], { iterations: 'fast' });
  // @ts-expect-error it has another name
  new TestExecutor({ agent_id: 'a' });
  void [flaky, peak, cause, text, elsewhere];
}

void agents;

void work(({ unit, seed, send }) => {
  const index: number = unit;
  const own: bigint = seed;
  send(1, new Uint8Array(1));
  void [index, own];
});
void work(async () => 'skipped');
void work(({ attempt }) => (attempt > 1 ? 'skipped' : undefined));
void work(async () => {});
void work(async ({ attempt }) => {
  if (attempt > 1) return 'skipped';
  return undefined;
});

const record = new Record();
const item: number = record.addTest('a');
record.addAttempt({ item, outcome: Outcome.passed, duration: 1 });
record.setCode(null, 'main');
record.addPass(0, 'shuffled', 7);
record.setOutcome(item, Outcome.flaky, null);
record.writeJson('result.json', '{}', true);
const history = new History('history.db');
history.save(record, 1, 2, 3);
const durations: number[] = history.durations(['a']);
const counts: [string, number, number][] = history.counts();
const daily: HistoryRow[] = history.rates('test', 'day');
const newest: HistoryRun | undefined = history.runs(1)[0];
const ran: HistoryAttempt[] = history.attempts(newest?.id ?? 1);
const value: string | null = history.get('key');
history.put('key', 'value', 1);
history.gc(10);
history.close();

// @ts-expect-error an id is needed
runUnits([{ item: 1 }], { argv: ['node'] });
// @ts-expect-error argv is needed
runUnits([{ id: 'a' }], {});
// @ts-expect-error a grace is for commands
runUnits([{ id: 'a' }], { argv: ['node'], grace: 1 });
// @ts-expect-error no such option
runUnits([], { argv: ['node'], worker: 2 });
// @ts-expect-error no such outcome
analyze(['splendid']);
// @ts-expect-error "none" is no result of a unit
void work(async () => 'none');
// @ts-expect-error not a record
history.save({}, 1, 2, 3);
// @ts-expect-error the numbers are fixed
Outcome.passed = 2;

void [version, processors, pattern, durations, counts, daily, ran, value, events, commands, files];
void [interval, verdict, shape, chosen, confirmed];
export type { RunEvent };

const inquiry = new Inquiry({ test: 0, all: [0, 1], rate: 0.5, alpha: 0.05, seed: 1 });
const probe: Probe | null | false = inquiry.next();
if (probe) inquiry.result(probe.number, probe.items.at(-1) === 0);
const finding: Finding = inquiry.finding();
const cause: Cause = finding.cause;
const drawn: bigint = attemptSeed(1, 2);
const law: [number, number] | null = stats.ratesFit([[1, 2]]);
void [cause, drawn, law];
// @ts-expect-error: there is no such change
new Inquiry({ test: 0, all: [0], rate: 0.5, alpha: 0.05, seed: 1, forbidden: ['noise'] });
