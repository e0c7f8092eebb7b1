'use strict';
// Record and History: what they remember.

const assert = require('node:assert/strict');
const fs = require('node:fs');
const os = require('node:os');
const path = require('node:path');
const { after, test } = require('node:test');

const qe = require('../..');

const { failed, flaky, passed } = qe.Outcome;
const folder = fs.mkdtempSync(path.join(os.tmpdir(), 'qe-test-'));
after(() => fs.rmSync(folder, { recursive: true }));

function recorded(duration = 0.25) {
  const record = new qe.Record();
  const item = record.addTest('a.test.js: adds');
  record.addAttempt({ item, outcome: failed, start: 1000, duration: 0.5, message: 'no' });
  record.addAttempt({ item, attempt: 2, outcome: passed, start: 1001, duration, cpu: 0.1 });
  record.setOutcome(item, flaky, 'no');
  return record;
}

test('Outcome has every name once, from 0', () => {
  assert.deepEqual(Object.entries(qe.Outcome), [
    ['none', 0],
    ['passed', 1],
    ['failed', 2],
    ['skipped', 3],
    ['error', 4],
    ['timeout', 5],
    ['crashed', 6],
    ['flaky', 7],
  ]);
  assert.ok(Object.isFrozen(qe.Outcome));
});

test('tests are numbered in the order in which they are added', () => {
  const record = new qe.Record();
  assert.deepEqual(
    ['a', 'b', 'c'].map((id) => record.addTest(id)),
    [0, 1, 2],
  );
  record.addAttempt({ item: 2, outcome: passed });
  record.setOutcome(2, passed);
  const file = path.join(folder, 'three.json');
  record.writeJson(file);
  const { tests } = JSON.parse(fs.readFileSync(file, 'utf8'));
  fs.rmSync(file);
  assert.deepEqual(
    tests.map(({ id, attempts }) => [id, attempts.length]),
    [
      ['a', 0],
      ['b', 0],
      ['c', 1],
    ],
  );
});

test('a NUL in a name and a clock that was set back cost no result', () => {
  const record = new qe.Record();
  const item = record.addTest('a\0b');
  record.addAttempt({ item, outcome: failed, duration: -1, message: 'c\0\0d' });
  record.setOutcome(item, failed, 'e\0');
  const file = path.join(folder, 'nul.json');
  record.writeJson(file);
  const [found] = JSON.parse(fs.readFileSync(file, 'utf8')).tests;
  fs.rmSync(file);
  assert.equal(found.id, 'a\ufffdb');
  assert.equal(found.attempts[0].duration ?? 0, 0);
});

test('writeJson writes what was recorded', () => {
  const file = path.join(folder, 'result.json');
  recorded().writeJson(file, '{"seed": 7}', true);
  const result = JSON.parse(fs.readFileSync(file, 'utf8'));
  assert.equal(result.run.seed, 7);
  assert.equal(result.tests.length, 1);
  assert.equal(result.tests[0].id, 'a.test.js: adds');
  assert.equal(result.tests[0].outcome, 'flaky');
  assert.equal(result.tests[0].attempts.length, 2);
  assert.deepEqual(fs.readdirSync(folder), ['result.json']); // and nothing beside it
});

test('a history knows durations, the median of what passed, and keyed values', () => {
  const file = path.join(folder, 'history.db');
  const history = new qe.History(file);
  for (const duration of [0.25, 4, 0.5]) history.save(recorded(duration), 1000, 2, 1);
  history.put('key', 'ü'.repeat(1000));
  history.put('short', 'v', 0.05);
  history.close();
  const again = new qe.History(file);
  assert.deepEqual(again.durations(['a.test.js: adds', 'unknown']), [0.5, 0]);
  assert.deepEqual(again.durations([]), []);
  assert.equal(again.get('key'), 'ü'.repeat(1000));
  assert.equal(again.get('none'), null);
  again.gc(1);
  assert.deepEqual(again.durations(['a.test.js: adds']), [0.5]); // the newest run's
  again.close();
});

test('a history knows how often tests failed and passed, at the first attempt', () => {
  const history = new qe.History(path.join(folder, 'counts.db'));
  assert.deepEqual(history.counts(), []);
  const { passed, failed, skipped, timeout } = qe.Outcome;
  const saved = { 'a ü': [passed, failed, passed], b: [timeout, skipped], c: [skipped] };
  const record = new qe.Record();
  for (const [id, outcomes] of Object.entries(saved)) {
    const item = record.addTest(id);
    for (const [pass, outcome] of outcomes.entries()) record.addAttempt({ item, pass, outcome });
    record.addAttempt({ item, attempt: 2, outcome: passed });
  }
  history.save(record, 1000, 2, 1);
  history.save(record, 1001, 2, 1);
  const found = [
    ['a ü', 2, 4],
    ['b', 2, 0],
  ];
  assert.deepEqual(history.counts().sort(), found);
  history.close();
});

test('a history that is open in two places serves both', () => {
  const file = path.join(folder, 'two.db');
  const one = new qe.History(file);
  const two = new qe.History(file);
  one.put('from', 'one');
  assert.equal(two.get('from'), 'one');
  two.save(recorded(), 1000, 2, 1);
  assert.deepEqual(one.durations(['a.test.js: adds']), [0.25]);
  one.close();
  assert.equal(two.get('from'), 'one');
  two.close();
});

test('marks and a quarantine of a test are in the result', () => {
  const record = recorded();
  record.setMarks(0, ['slow', 'two\nlines']);
  record.setQuarantined(0);
  const file = path.join(folder, 'marks.json');
  record.writeJson(file);
  const [one] = JSON.parse(fs.readFileSync(file, 'utf8')).tests;
  assert.deepEqual(one.marks, ['slow', 'two lines']);
  assert.equal(one.quarantined, true);
});
