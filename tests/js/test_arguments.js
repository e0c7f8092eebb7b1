'use strict';
// Wrong arguments throw what names them; none ends the process.

const assert = require('node:assert/strict');
const fs = require('node:fs');
const os = require('node:os');
const path = require('node:path');
const { after, test } = require('node:test');

const qe = require('../..');
const addon = require('../../js/addon');
const { told } = require('./helpers');

const folder = fs.mkdtempSync(path.join(os.tmpdir(), 'qe-test-'));
after(() => fs.rmSync(folder, { recursive: true }));

const ANYTHING = [
  undefined,
  null,
  true,
  NaN,
  Infinity,
  -1,
  1.5,
  2 ** 32,
  Number.MAX_VALUE,
  10n ** 40n,
  'text',
  '\0',
  '\ud800',
  Symbol('s'),
  () => {},
  {},
  [],
  new Array(2 ** 32 - 1),
  new Proxy([], {}),
  Object.create(null),
  new (class extends Array {})(),
  new Date(NaN),
  /x/,
  new Uint8Array(structuredClone(new ArrayBuffer(8), { transfer: [] })),
  Promise.resolve(),
];

/** That a call throws a TypeError whose message begins with the argument's name. */
function refuses(call, name) {
  assert.throws(call, (error) => {
    assert.ok(error instanceof TypeError, `${name}: ${error}`);
    assert.ok(error.message.startsWith(`${name}: takes `), error.message);
    assert.equal(error.code, 'QE_EINVAL');
    return true;
  });
}

const SECONDS = [NaN, Infinity, -1, 1e10, 'text', '1', {}, 5n, true, Symbol('s')];
const count = (...more) => [NaN, -1, 1.5, 2 ** 32, -Infinity, '1', [], 5n, true, ...more];
const TEXT = [1, {}, [], Symbol('s'), 'a\0b', () => {}];
// Of a test's name and its message any text is taken.
const ANY_TEXT = TEXT.filter((value) => typeof value !== 'string');
const FLAG = [0, 1, 'true', {}, NaN];

test('units: each property is named, with the place of its unit', () => {
  const { options } = told(['pass']);
  const wrong = {
    id: [undefined, null, ...TEXT],
    item: count(),
    scope: TEXT,
    pass: count(),
    retries: count(65536),
    timeout: SECONDS,
    expected: SECONDS,
    serial: FLAG,
  };
  for (const [name, values] of Object.entries(wrong)) {
    for (const value of values) {
      const units = [{ id: 'a' }, { id: 'b', [name]: value }];
      refuses(() => qe.runUnits(units, options), `units[1].${name}`);
    }
  }
  for (const value of [undefined, null, 1, 'a', [], () => {}]) {
    refuses(() => qe.runUnits([value], options), 'units[0]');
  }
  for (const value of [undefined, null, 1, 'ab', {}, new Set()]) {
    refuses(() => qe.runUnits(value, options), 'units');
  }
  refuses(() => qe.runUnits(new Array(2 ** 32 - 1), options), 'units[0]');
});

test('units that are commands: each property is named', () => {
  const fine = { id: 'a', argv: ['true'] };
  const wrong = {
    argv: [undefined, null, [], [''], {}, 'node', 3],
    cwd: TEXT,
    env: [1, 'A=1', [], () => {}, { '': 'x' }, { 'A=B': 'x' }],
  };
  for (const [name, values] of Object.entries(wrong)) {
    for (const value of values) {
      const units = [fine, { id: 'b', argv: ['true'], [name]: value }];
      refuses(() => qe.runUnits(units, {}), `units[1].${name}`);
    }
  }
  refuses(() => qe.runUnits([{ id: 'a', argv: ['true', 3] }], {}), 'units[0].argv[1]');
  refuses(() => qe.runUnits([{ ...fine, env: { A: 1 } }], {}), 'units[0].env.A');
  for (const more of [{ argv: ['true'] }, { cwd: '/' }, { env: {} }]) {
    const [name] = Object.keys(more);
    refuses(() => qe.runUnits([{ id: 'a', ...more }], { argv: ['true'] }), `units[0].${name}`);
  }
  const options = {
    exactBackoff: FLAG,
    grace: SECONDS,
    throttle: SECONDS,
    outputBytes: count(0, 1, 2 ** 26 + 1),
  };
  for (const [name, values] of Object.entries(options)) {
    for (const value of values) {
      refuses(() => qe.runUnits([fine], { [name]: value }), `options.${name}`);
    }
  }
});

test('options: each is named', () => {
  const { units, options } = told(['pass']);
  const wrong = {
    argv: [undefined, null, [], {}, 'node', 3],
    workers: count(0, 1025),
    isolate: FLAG,
    callOnly: FLAG,
    inOrder: FLAG,
    peakMemory: FLAG,
    maxRestarts: count(),
    backoff: SECONDS,
    endTimeout: SECONDS,
    seed: count(),
  };
  for (const [name, values] of Object.entries(wrong)) {
    for (const value of values) {
      refuses(() => qe.runUnits(units, { ...options, [name]: value }), `options.${name}`);
    }
  }
  for (const value of [undefined, null, 1, 'a', [], () => {}]) {
    refuses(() => qe.runUnits(units, value), 'options');
  }
  refuses(() => qe.runUnits(units, { argv: ['node', 3] }), 'options.argv[1]');
  refuses(() => new addon.Session(units, options), 'callback');
});

test('what an argument throws itself comes through', () => {
  const { units, options } = told(['pass']);
  const trap = (name) => ({
    get [name]() {
      throw new RangeError('mine');
    },
  });
  assert.throws(() => qe.runUnits([trap('id')], options), /^RangeError: mine/);
  assert.throws(() => qe.runUnits(units, { ...options, __proto__: trap('seed') }), RangeError);
  const { proxy, revoke } = Proxy.revocable({}, {});
  revoke();
  assert.throws(() => qe.runUnits([proxy], options), TypeError);
});

test('analyze: outcomes', () => {
  for (const value of [undefined, null, 1, 'ab', {}]) refuses(() => qe.analyze(value), 'outcomes');
  for (const value of [undefined, null, 1, 'no', {}, 'toString', Symbol('s')]) {
    refuses(() => qe.analyze([true, value]), 'outcomes[1]');
  }
  for (const value of [[], ['skipped'], ['none']]) {
    assert.throws(() => qe.analyze(value), { name: 'TypeError', message: /^outcomes: none/ });
  }
});

test('work: its function, and that this process is a worker', async () => {
  await assert.rejects(qe.work(), { name: 'TypeError', message: /^run: takes a function/ });
  await assert.rejects(
    qe.work(() => {}),
    { code: 'QE_EFORMAT', message: /^this process is no worker/ },
  );
  for (const text of ['', 'x', '0:1', '0:-1:-1:-1:-1:-1', `${2 ** 40}:9:9:9:9:9`]) {
    process.env.QE_WORKER = text;
    assert.throws(() => new addon.Worker(), Error, text);
  }
  delete process.env.QE_WORKER;
});

test('Record: items, outcomes and numbers', () => {
  const record = new qe.Record();
  for (const value of [undefined, null, ...ANY_TEXT]) refuses(() => record.addTest(value), 'id');
  refuses(() => record.setOutcome(0, 1), 'item');
  refuses(() => record.addAttempt({ item: 0, outcome: 1 }), 'attempt.item');
  assert.equal(record.addTest('a'), 0);
  const wrong = {
    item: count(1, undefined),
    outcome: count(8),
    pass: count(),
    attempt: count(),
    worker: count(),
    start: [NaN, Infinity, 'now'],
    duration: [NaN, Infinity, '1', {}],
    cpu: [NaN, Infinity, '1', {}],
    peakBytes: [NaN, -1, Infinity, '1'],
    status: count(2 ** 31),
    message: ANY_TEXT,
  };
  for (const [name, values] of Object.entries(wrong)) {
    for (const value of values) {
      const attempt = { item: 0, outcome: 1, [name]: value };
      refuses(() => record.addAttempt(attempt), `attempt.${name}`);
    }
  }
  for (const value of count(1)) refuses(() => record.setOutcome(value, 1), 'item');
  for (const value of count(8)) refuses(() => record.setOutcome(0, value), 'outcome');
  for (const value of ANY_TEXT) refuses(() => record.setOutcome(0, 1, value), 'message');
  for (const value of [undefined, null, ...TEXT]) refuses(() => record.writeJson(value), 'path');
  const file = path.join(folder, 'result.json');
  for (const value of TEXT) refuses(() => record.writeJson(file, value), 'run');
  for (const value of FLAG) refuses(() => record.writeJson(file, '{}', value), 'flaky');
  assert.throws(() => record.writeJson(file, '{'), { code: /^QE_E/ });
  assert.throws(() => record.writeJson('/nonexistent/result.json'), { code: /^QE_E/ });
  assert.equal(fs.existsSync(file), false);
});

test('History: paths, records, keys; and a closed one', () => {
  for (const value of [undefined, null, ...TEXT]) refuses(() => new qe.History(value), 'path');
  assert.throws(() => new qe.History('/nonexistent/history.db'), { code: /^QE_E/ });
  fs.writeFileSync(path.join(folder, 'text'), 'no database, but some text '.repeat(100));
  assert.throws(() => new qe.History(path.join(folder, 'text')), { code: 'QE_ECORRUPT' });
  const history = new qe.History(path.join(folder, 'history.db'));
  const record = new qe.Record();
  for (const value of [undefined, {}, 1, history, qe.Record]) {
    refuses(() => history.save(value, 1, 1, 1), 'record');
  }
  for (const value of [undefined, NaN, Infinity, '1']) {
    refuses(() => history.save(record, value, 1, 1), 'started');
    refuses(() => history.save(record, 1, value, 1), 'wall');
  }
  for (const value of count(undefined)) refuses(() => history.save(record, 1, 1, value), 'workers');
  for (const value of count(undefined)) refuses(() => history.gc(value), 'keep');
  for (const value of [undefined, null, ...TEXT]) {
    refuses(() => history.put(value, 'v'), 'key');
    refuses(() => history.put('k', value), 'value');
    refuses(() => history.get(value), 'key');
    refuses(() => history.durations([value]), 'ids[0]');
  }
  for (const value of [NaN, -1, '1']) refuses(() => history.put('k', 'v', value), 'ttl');
  refuses(() => history.durations(), 'ids');
  history.close();
  history.close();
  const closed = { code: 'QE_ESTATE' };
  assert.throws(() => history.counts(), closed);
  assert.throws(() => history.durations([]), closed);
  assert.throws(() => history.save(record, 1, 1, 1), closed);
  assert.throws(() => history.gc(1), closed);
  assert.throws(() => history.put('k', 'v'), closed);
  assert.throws(() => history.get('k'), closed);
});

test('methods of another object, and classes called without new, are refused', () => {
  for (const one of [addon.Session, addon.Record, addon.History, addon.Worker]) {
    assert.throws(() => one(), TypeError);
    for (const name of Object.getOwnPropertyNames(one.prototype)) {
      if (name === 'constructor') continue;
      for (const self of [{}, null, 1, Object.create(one.prototype), new Date()]) {
        assert.throws(() => one.prototype[name].call(self), Error, name);
      }
      const other = one === addon.Record ? addon.History.prototype : new addon.Record();
      assert.throws(() => one.prototype[name].call(other), Error, name);
    }
  }
});

test('anything at all, anywhere, either works or throws an error', () => {
  const record = new addon.Record();
  const history = new addon.History(path.join(folder, 'anything.db'));
  record.addTest('a');
  const calls = [
    (a, b, c) => new addon.Session(a, b, c).close(),
    (a, b) => addon.flakiness(a, b),
    (a) => new addon.Worker(a),
    (a, b, c) => record.setOutcome(a, b, c),
    (a) => record.addAttempt(a),
    (a) => record.addTest(a),
    (a, b, c) => history.put(a, b, c),
    (a, b, c) => history.save(record, a, b, c),
    (a) => history.get(a),
    (a) => history.durations(a),
  ];
  let thrown = 0;
  for (const call of calls) {
    for (const a of ANYTHING.filter((value) => value?.length !== 2 ** 32 - 1)) {
      for (const b of [undefined, {}, 'x', NaN, -1, 1]) {
        for (const c of [undefined, () => {}, 2 ** 40]) {
          try {
            call(a, b, c);
          } catch (error) {
            assert.ok(error instanceof Error);
            thrown += 1;
          }
        }
      }
    }
  }
  assert.ok(thrown > 1000);
  history.close();
});
