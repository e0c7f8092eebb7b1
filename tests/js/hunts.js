'use strict';
// Flaky tests of each kind that an order shows, for hunts in jest and mocha alike.

const fs = require('node:fs');
const path = require('node:path');

/**
 * A file's text. A victim of the order, across files in mocha; a test that pollutes itself;
 * one that goes by random numbers, and one by what was left behind; healthy ones.
 */
const suite = (it) => `
const fs = require('fs');
const seen = [];
describe('outer', () => {
  ${it}('sets up', () => { seen.push('set'); });
  ${it}('healthy', () => {});
});
describe('later', () => {
  ${it}('victim', () => { if (!seen.includes('set')) throw new Error('nobody has set up'); });
});
${it}('pollutes itself', () => {
  if (seen.includes('polluted')) throw new Error('once only');
  seen.push('polluted');
});
${it}('goes by chance', () => {
  const number = Math.random();
  fs.appendFileSync('numbers', number + '\\n');
  if (number < 0.3) throw new Error('unlucky');
});
${it}('goes by files', () => {
  fs.appendFileSync('left', 'x');
  if (fs.statSync('left').size % 3 === 2) throw new Error('every third time');
});
${it}('always fails', () => { throw new Error('always'); });
`;

/** A file's text: a test that fails where its temporary file is there, of another process. */
const leaver = (it) => `
const fs = require('fs');
const os = require('os');
fs.appendFileSync('temporary', os.tmpdir() + '\\n');
${it}('leaves a file', () => {
  const file = os.tmpdir() + '/left';
  const own = String(process.pid);
  if (fs.existsSync(file) && fs.readFileSync(file, 'utf8') !== own) throw new Error('left');
  fs.writeFileSync(file, own);
});
`;

/** A file's text: a test that fails every second time where a file says so. */
const known = (it) => `
const fs = require('fs');
${it}('steady', () => {});
${it}('failed before', () => {
  fs.appendFileSync('runs', 'x');
  if (fs.existsSync('broken') && fs.statSync('runs').size % 2) throw new Error('odd');
});
`;

/** The tests that ran alone in a hunt, of a result as of `readJson`. */
function aloneIn({ run, tests }) {
  const alone = run.hunt.passes.filter(({ condition }) => condition === 'alone');
  const numbers = new Set(alone.map(({ number }) => number));
  const ran = tests.filter(({ attempts }) => attempts.some(({ pass }) => numbers.has(pass)));
  return ran.map(({ id }) => id);
}

/**
 * Hunts a test that once was flaky: what is known of it is from the hunts before.
 *
 * @param {string} folder with the text of `known`
 * @param {() => Promise<object>} hunt gives the result
 */
async function huntKnown(folder, hunt) {
  const broken = path.join(folder, 'broken');
  fs.writeFileSync(broken, '');
  const [id] = Object.keys((await hunt()).run.hunt.tests);
  fs.rmSync(broken);
  const second = await hunt();
  fs.rmSync(path.join(folder, '.qe'), { recursive: true });
  const forgotten = await hunt();
  return { id, second, forgotten };
}

const VERDICTS = {
  'always fails': ['stable-fail'],
  'goes by chance': ['confirmed', 'suspect'],
  'goes by files': ['confirmed', 'suspect'],
  'later victim': ['confirmed', 'suspect'],
  'pollutes itself': ['confirmed', 'suspect'],
};

/** What is wrong with the verdicts of a JSON result on such a suite; [] where nothing is. */
function wrongVerdicts({ run }, file) {
  const found = Object.entries(run.hunt.tests);
  const wrong = found.filter(([id, { verdict }]) => {
    const name = id.startsWith(`${file}::`) ? id.slice(file.length + 2) : '';
    return !VERDICTS[name]?.includes(verdict);
  });
  const missing = Object.keys(VERDICTS).filter((name) => !run.hunt.tests[`${file}::${name}`]);
  return [...wrong, ...missing];
}

/** What a page could not tell of the suspects of a JSON result; [] where it could all. */
function untold({ run, tests }) {
  const failed = ({ outcome }) => outcome !== 'passed' && outcome !== 'skipped';
  return Object.entries(run.hunt.tests).flatMap(([id, one]) => {
    const { failures, passes, interval: [low, high] = [], why } = one;
    const rate = failures / (failures + passes);
    const found = tests.find((test) => test.id === id);
    if (!found) return [`${id} is not among the tests`];
    const told = [];
    if (!(low <= rate && rate <= high && high <= 1)) told.push(`${id}: interval ${low} ${high}`);
    const numbers = new Set(run.hunt.passes.map(({ number }) => number));
    const ran = found.attempts.filter(
      ({ pass, outcome }) => numbers.has(pass) && outcome !== 'skipped',
    );
    // Of a file that could not be run the passes in which it could are not kept.
    const all = id.includes('::') ? ran.length === failures + passes : true;
    if (!all || ran.filter(failed).length !== failures)
      told.push(`${id}: ${ran.length} of its runs`);
    const { option, command } = why?.replay ?? {};
    if (option && !(command.startsWith('npx qe-') && command.includes(option)))
      told.push(`${id}: ${command}`);
    return told;
  });
}

/** A test's outcomes by pass, each with how often: what two hunts can be compared by. */
const resultsOf = ({ tests }, name) =>
  tests.find(({ id }) => id.endsWith(`::${name}`)).attempts.map((one) => [one.pass, one.outcome]);

/** What each pass of a result ran, by ids, in its order. */
const ordersOf = ({ run, tests }) =>
  run.hunt.passes.map(({ order }) => order.map((number) => tests[number].id));

const readJson = (file) => JSON.parse(fs.readFileSync(file, 'utf8'));

/** Source of `nth`: the how manieth call it is, in whatever process: passes run at once. */
const NTH = `
const fs = require('fs');
const nth = (name) => {
  for (let n = 1; ; n++) {
    try { fs.closeSync(fs.openSync(name + n, 'wx')); return n; } catch {}
  }
};`;

module.exports = {
  NTH,
  aloneIn,
  huntKnown,
  known,
  leaver,
  ordersOf,
  readJson,
  resultsOf,
  suite,
  untold,
  wrongVerdicts,
};
