'use strict';
// What a worker that takes a file over goes by.

const assert = require('node:assert/strict');
const fs = require('node:fs');
const os = require('node:os');
const path = require('node:path');
const { after, test } = require('node:test');

const { Journal, Progress, attemptOf, noteLoss } = require('../../js/progress');

const folder = fs.mkdtempSync(path.join(os.tmpdir(), 'qe-test-'));
after(() => fs.rmSync(folder, { recursive: true }));

let count = 0;
const fresh = () => path.join(folder, `${(count += 1)}.progress`);

function attempt(file, by, statuses, ends) {
  const journal = new Journal(file, by);
  for (const [name, status] of Object.entries(statuses)) {
    journal.start(name);
    if (status) journal.done(name, status);
  }
  if (ends) journal.end();
}

test('an attempt that ended is complete', () => {
  const file = fresh();
  attempt(file, attemptOf(7, 1), { a: 'passed', b: 'failed' }, true);
  const progress = new Progress(file);
  assert.equal(progress.complete, true);
  assert.deepEqual([...progress.failures], [['0:b', 1]]);
});

test('what the parent has not heard of a lost worker is not known', () => {
  const file = fresh();
  attempt(file, attemptOf(7, 1), { a: 'passed', b: 'passed', c: undefined }, false);
  assert.equal(new Progress(file).missing, true);
  noteLoss(file, attemptOf(7, 1), true, ['0:b'], [['0:a', 'passed']]);
  const progress = new Progress(file);
  assert.equal(progress.missing, false);
  assert.deepEqual([...progress.done.keys()], ['0:a']);
  assert.deepEqual([...progress.lost], ['0:b']);
});

test('nor is it where the worker had come to the end of the file', () => {
  const file = fresh();
  attempt(file, attemptOf(7, 1), { a: 'passed', b: 'passed' }, true);
  noteLoss(file, attemptOf(7, 1), true, [], [['0:a', 'passed']]);
  const progress = new Progress(file);
  assert.equal(progress.complete, false);
  assert.deepEqual([...progress.done.keys()], ['0:a']);
});

test('a loss belongs to one attempt of its process', () => {
  const file = fresh();
  attempt(file, attemptOf(7, 1), { a: 'failed' }, true);
  attempt(file, attemptOf(7, 2), { a: undefined }, false);
  noteLoss(file, attemptOf(7, 2), false, ['0:a'], [['0:a', 'failed']]);
  assert.deepEqual([...new Progress(file).failures], [['0:a', 2]]);
});

test('a line that was cut short is not there', () => {
  const file = fresh();
  attempt(file, undefined, { a: 'passed' }, false);
  fs.appendFileSync(file, '["done","0:b","pas');
  assert.deepEqual([...new Progress(file).done.keys()], ['0:a']);
});
