'use strict';
// Durations against history.

const assert = require('node:assert/strict');
const fs = require('node:fs');
const path = require('node:path');
const { before, test } = require('node:test');

const { complaints, folder, launch, open, reportOf } = require('./reports');

const SUITE = `
import json, time
import pytest
NAPS = json.load(open("naps.json"))
@pytest.mark.parametrize("name", ["slower", "faster", "steady", "new"])
def test_it(name):
    if name not in NAPS: pytest.skip("not yet")
    time.sleep(NAPS[name])
`;

let browser;
let file;
before(async (t) => {
  browser = await launch(t);
  const cwd = folder(t);
  const runWith = (naps) => {
    fs.writeFileSync(path.join(cwd, 'naps.json'), JSON.stringify(naps));
    return reportOf(cwd, { 'test_it.py': SUITE }, ['--qe-parallel=1', '--qe-history=h.db']);
  };
  await runWith({ slower: 0.05, faster: 1.5, steady: 0 });
  file = await runWith({ slower: 1, faster: 0.05, steady: 0, new: 0.1 });
});

test('the slowest are held against what they took before', async () => {
  const page = await open(browser, file);
  await page.show('slowest');
  const row = async (table, name) =>
    page.getByRole('table', { name: table }).getByRole('row', { name }).innerText();
  assert.match(await row('Slower than before', /\[slower\]/), /\d+ ms slower \(\d+(\.\d)?×\)$/);
  assert.match(await row('Faster than before', /\[faster\]/), /1\.\d+ s faster \(\d+(\.\d)?×\)/);
  assert.match(await row('Slowest tests', /\[steady\]/), /as before/);
  assert.match(await row('Slowest tests', /\[new\]/), /\s-\s+-$/);
  assert.equal(await page.getByRole('table').count(), 4);
  assert.deepEqual(await complaints(page), []);
  assert.deepEqual(page.troubles, []);
});

test('a test tells what it took before', async () => {
  const page = await open(browser, file);
  await page.show('slowest');
  await page
    .getByRole('link', { name: /slower/ })
    .first()
    .click();
  await page.locator('main.test').waitFor();
  const said = await page.locator('.against').innerText();
  assert.match(
    said,
    /^1\.\d+ s, where the history had \d+(\.\d)? ms: \d+ ms slower \(\d+(\.\d)?×\)$/,
  );
  await page.show('slowest');
  await page.getByRole('link', { name: /new/ }).first().click();
  await page.locator('main.test').waitFor();
  assert.equal(await page.locator('.against').count(), 0);
});
