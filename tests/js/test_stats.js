'use strict';
// The statistics: the reference values of tests/golden, and what is refused.

const assert = require('node:assert/strict');
const fs = require('node:fs');
const path = require('node:path');
const { test } = require('node:test');

const { analyze, stats } = require('../..');
const { ROOT } = require('./helpers');

/** The lines of a file, by their columns; numbers where all of a value is one. */
function golden(name) {
  const text = fs.readFileSync(path.join(ROOT, 'tests', 'golden', name), 'utf8');
  const [head, ...lines] = text.trim().split('\n');
  const names = head.split(',');
  const value = (word) => (word === '' || Number.isNaN(Number(word)) ? word : Number(word));
  assert.ok(lines.length > 0);
  return lines.map((line) =>
    Object.fromEntries(line.split(',').map((word, i) => [names[i], value(word)])),
  );
}

const numbers = (text) =>
  String(text)
    .split(' ')
    .map((word) => Number(word.replace('inf', 'Infinity')));
const outcomes = (text) => [...text].map((letter) => letter === 'P');

function near(found, wanted, error = 1e-9) {
  const bound = error * Math.max(1, Math.abs(wanted));
  assert.ok(found === wanted || Math.abs(found - wanted) <= bound, `${found} is not ${wanted}`);
}

test('intervals, and runs that show a rate', () => {
  for (const line of golden('intervals.csv')) {
    const [failures, passes] = [line.f, line.n - line.f];
    for (const [name, short] of [
      ['jeffreys', 'jeffreys'],
      ['clopperPearson', 'cp'],
      ['wilson', 'wilson'],
      ['confidenceSequence', 'cs'],
    ]) {
      const { low, high } = stats[name](failures, passes);
      near(low, line[`${short}_lo`], short === 'cs' ? 1e-6 : 1e-9);
      near(high, line[`${short}_hi`], short === 'cs' ? 1e-6 : 1e-9);
    }
    if (line.n_detect95 !== '') {
      assert.equal(stats.runsToSee(failures / line.n), line.n_detect95);
    }
  }
  assert.deepEqual(stats.jeffreysClamped(0, 9), { low: 0, high: stats.jeffreys(0, 9).high });
  near(stats.power(0.05, 10), 1 - 0.95 ** 10);
  near(stats.rateSeen(10), 1 - 0.05 ** 0.1);
});

test('SPRT decides where the reference does', () => {
  for (const line of golden('sprt.csv')) {
    const sprt = new stats.Sprt(line);
    let verdict;
    for (const passed of outcomes(line.results)) verdict = sprt.step(!passed);
    assert.deepEqual([verdict, sprt.verdict], [line.verdict, line.verdict]);
    assert.equal(sprt.failures + sprt.passes, line.runs);
    near(sprt.lnRatio, line.ln_ratio);
  }
});

test('evidence, e-BH, Holm, Benjamini-Hochberg', () => {
  for (const { f, s, a, b, rate0, ...line } of golden('evidence.csv')) {
    near(stats.evidence(f, s, { a, b, rate0 }), line.ln_e);
    near(stats.evidenceFlaky(f, s, { a, b, rate0 }), line.ln_e_flaky);
  }
  assert.equal(stats.evidence(3, 5), stats.evidence(3, 5, { a: 0.5, b: 5, rate0: 0.001 }));
  for (const line of golden('ebh.csv')) {
    const found = stats.eBh(numbers(line.ln_e), line.alpha, line.tests);
    assert.deepEqual(found.map(Number), numbers(line.confirmed));
  }
  assert.deepEqual(stats.eBh([7, 0.5, 4.5]), [true, false, true]);
  for (const line of golden('holm.csv')) {
    const wanted = numbers(line.adjusted);
    stats.holm(numbers(line.p)).forEach((p, i) => near(p, wanted[i]));
  }
  const lines = golden('bh.csv');
  const found = stats.benjaminiHochberg(lines.map(({ p }) => p));
  lines.forEach((line, i) => near(found[i], line.adj_bh));
});

test('contrasts and patterns', () => {
  for (const line of golden('fisher.csv')) {
    const found = stats.fisher(line.k1, line.n1 - line.k1, line.k2, line.n2 - line.k2);
    near(found.two, line.p_two);
    near(found.more, line.p_greater2);
    near(found.less, line.p_less2);
  }
  for (const line of golden('runs.csv')) {
    const { few, many } = stats.runsTest(line.n1, line.n2, line.R);
    const found = stats.markov(outcomes(line.seq));
    near(few, line.p_low_exact);
    near(many, line.p_high_exact);
    near(found.lambda, line.markov_lambda);
    near(found.lag1, line.lag1);
    near(found.g2, line.markov_G2);
    near(found.p, line.markov_p);
  }
  for (const { results, seed, permutations, p_exact, ...wanted } of golden('change.csv')) {
    const found = stats.changePoint(outcomes(results), seed, permutations);
    if (p_exact !== '') near(stats.changePoint(outcomes(results)).p, p_exact);
    for (const name of Object.keys(wanted)) near(found[name], wanted[name]);
  }
  for (const line of golden('shape.csv')) {
    const found = stats.pattern(outcomes(line.results), 0.05, line.seed, 999);
    assert.equal(found.name, line.shape);
    near(found.few, line.p_few);
    near(found.many, line.p_many);
    near(found.change, line.p_change);
    near(found.lnMarkov, line.ln_markov);
    near(found.lnChange, line.ln_change);
    assert.equal(found.failures + found.passes, line.results.length);
  }
});

test('a suite is its tests one by one', () => {
  const tests = golden('shape.csv').map(({ results }) => outcomes(results));
  const { length } = tests;
  tests.push(['skipped'], ['passed', 'crashed', 'skipped'], []);
  const found = stats.analyse(tests, 0.1);
  assert.equal(found.length, tests.length);
  found.slice(0, length).forEach((one, i) => {
    const { failures, passes } = one.flakiness;
    assert.deepEqual(one.flakiness, analyze(tests[i]));
    assert.deepEqual(one.jeffreys, stats.jeffreysClamped(failures, passes, 0.1));
    for (const name of ['clopperPearson', 'wilson', 'confidenceSequence']) {
      assert.deepEqual(one[name], stats[name](failures, passes, 0.1));
    }
    assert.equal(one.lnE, stats.evidenceFlaky(failures, passes));
    assert.deepEqual(one.pattern, stats.pattern(tests[i], 0.1));
  });
  const confirmed = stats.eBh(
    found.map(({ lnE }) => lnE),
    0.1,
  );
  assert.deepEqual(
    found.map((one) => one.confirmed),
    confirmed,
  );
  assert.ok(confirmed.includes(true) && confirmed.includes(false));
  for (const i of [length, length + 2]) {
    assert.deepEqual(found[i].wilson, { low: 0, high: 1 });
    assert.equal(found[i].pattern.name, 'UNTYPED');
    assert.equal(found[i].flakiness.failures + found[i].flakiness.passes, 0);
  }
  assert.equal(found[length + 1].flakiness.isFlaky, true);
  assert.deepEqual(stats.analyse([]), []);
});

test('outcomes are named, or not counted', () => {
  const some = ['passed', 'skipped', true, 'failed', 'crashed', false, 'flaky', 'passed'];
  assert.equal(stats.changePoint(some).at, 3);
  assert.deepEqual(stats.pattern(['skipped', 'passed']).name, 'UNTYPED');
});

test('what makes no sense is a TypeError that names it', () => {
  const refused = [
    [() => stats.jeffreys(0, 0), /^failures, passes: takes at least one run/],
    [() => stats.wilson(-1, 3), /^failures: takes a whole number from 0/],
    [() => stats.wilson(NaN, 3), /^failures: takes a whole number from 0/],
    [() => stats.clopperPearson(1, 1.5), /^passes: takes a whole number/],
    [() => stats.clopperPearson(1, 1e10), /^passes: takes a whole number/],
    [() => stats.confidenceSequence(1, 1, NaN), /^alpha: takes a number from 1e-12/],
    [() => stats.runsToSee(0), /^rate: takes/],
    [() => stats.runsToSee(1e-200), /^rate: takes more than a billion runs/, 'QE_ETOOBIG'],
    [() => stats.power(NaN, 3), /^rate: takes/],
    [() => stats.rateSeen(0), /^runs: takes/],
    [() => new stats.Sprt({ rate0: 0.1, rate1: 0.05 }), /^options: takes a rate0 below rate1/],
    [() => new stats.Sprt({ beta: NaN }), /^options\.beta: takes/],
    [() => new stats.Sprt().step(1), /^failed: takes true or false/],
    [() => stats.evidence(1, 1, { a: 0 }), /^options\.a: takes/],
    [() => stats.evidenceFlaky(1, 1, { rate0: 1 }), /^options\.rate0: takes/],
    [() => stats.eBh([0, NaN]), /^lnE\[1\]: takes/],
    [() => stats.eBh([1, 2], 0.05, 1), /^tests: takes/],
    [() => stats.holm([1.1]), /^p\[0\]: takes/],
    [() => stats.benjaminiHochberg('0'), /^p: takes an array/],
    [() => stats.fisher(0, 0, 1, 1), /^failures, passes: takes at least one run of each/],
    [() => stats.runsTest(3, 3, 7), /^runs: takes/],
    [() => stats.markov([true]), /^results: takes some/],
    [() => stats.markov(['x']), /^outcomes\[0\]: takes/],
    [() => stats.changePoint([true, false]), /^results: takes at least 6/],
    [() => stats.changePoint(outcomes('PFPFPF'), -1), /^seed: takes/],
    [() => stats.changePoint(outcomes('PFPFPF'), 1, -1), /^permutations: takes/],
    [() => stats.pattern(['skipped']), /^outcomes: none of them counts/],
    [() => stats.pattern([true], 2), /^alpha: takes/],
    [() => stats.analyse('PF'), /^tests: takes an array, not string/],
    [() => stats.analyse([true]), /^tests\[0\]: takes an array/],
    [() => stats.analyse([[], [true, 'x']]), /^tests\[1\]\[1\]: takes true, false/],
    [() => stats.analyse([[true]], NaN), /^alpha: takes/],
  ];
  for (const [call, message, code = 'QE_EINVAL'] of refused) {
    assert.throws(call, { name: 'TypeError', message, code }, String(call));
  }
});
