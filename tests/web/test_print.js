'use strict';
// The page on paper: as Chromium prints it.

const assert = require('node:assert/strict');
const { before, test } = require('node:test');

const { folder, launch, open, synthetic } = require('./reports');

let browser;
let cwd;
before(async (t) => {
  cwd = folder(t);
  browser = await launch(t);
});

/** Prints a page; returns what stands in it then, and how many sheets it takes. */
async function printed(page) {
  await page.evaluate(() =>
    addEventListener('beforeprint', () => {
      globalThis.atPrint = {
        rows: document.querySelectorAll('.list .row').length,
        failures: document.querySelectorAll('.failure').length,
        said: [...document.querySelectorAll('.left-out')].map((p) => p.textContent),
      };
    }),
  );
  const pdf = await page.pdf();
  const sheets = pdf.toString('latin1').match(/\/Type\s*\/Page\b/g).length;
  return { ...(await page.evaluate(() => globalThis.atPrint)), sheets };
}

test('all rows of a list are printed, and the screen is as before', async () => {
  const page = await open(browser, await synthetic(cwd, 1000));
  await page.show('tests');
  const before = await page.locator('.row').count();
  assert.ok(before < 100);
  const { rows, said, sheets } = await printed(page);
  assert.equal(rows, 1000);
  assert.deepEqual(said, []);
  assert.ok(sheets > 10, `${sheets} sheets`);
  await page.drawn();
  assert.ok((await page.locator('.row').count()) < 100);
  // What is filtered is what is printed.
  await page.getByRole('searchbox').fill('test_0003');
  await page.getByText('50 of 1,000 tests').waitFor();
  assert.equal((await printed(page)).rows, 50);
  assert.deepEqual(page.troubles, []);
});

test('rows beyond what a browser prints are told', async () => {
  const page = await open(browser, await synthetic(cwd, 12_000));
  await page.show('tests');
  const { rows, said } = await printed(page);
  assert.equal(rows, 5000);
  assert.deepEqual(said, ['7,000 of 12,000 rows are left out: filter, then print again.']);
});

test('all failures are printed, and that their texts are folded', async () => {
  const page = await open(browser, await synthetic(cwd, 5000));
  await page.show('failures');
  assert.equal(await page.locator('.failure').count(), 50);
  const { failures, said } = await printed(page);
  assert.equal(failures, 100);
  assert.deepEqual(said, ['Texts that are folded are left out.']);
});
