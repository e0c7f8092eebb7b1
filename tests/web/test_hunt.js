'use strict';
// The flaky page, of a real hunt.

const assert = require('node:assert/strict');
const { before, test } = require('node:test');

const { complaints, folder, launch, open, reportOf } = require('./reports');

const SUITE = `
STATE = []
def test_sets(): STATE.append(1)
def test_victim(): assert not STATE
def test_always(): assert 0
def test_fine(): pass
`;

let browser;
let file;
before(async (t) => {
  browser = await launch(t);
  const args = ['--qe-flaky=20', '--qe-seed=1', '--qe-parallel=1'];
  file = await reportOf(folder(t), { 'test_it.py': SUITE }, args);
});

test('a suspect has its rate, passes, cause, polluter and command', async () => {
  const page = await open(browser, file);
  await page.getByRole('navigation').getByRole('link', { name: 'Flaky' }).click();
  const one = page.locator('.suspect', { hasText: 'test_victim' });
  const text = await one.innerText();
  const [, failed, runs] = /failed (\d+) of (\d+) \(\d+ %, between \d+ % and \d+ %\)/.exec(text);
  const sequence = one.getByRole('img');
  assert.equal(await sequence.locator('span').count(), Number(runs));
  assert.equal(await sequence.locator('.is-failed').count(), Number(failed));
  assert.match(text, /Cause: it fails after other tests/);
  assert.equal(await one.locator('.culprits li').innerText(), 'test_it.py::test_sets');
  assert.match(await one.locator('.conditions').innerText(), /shuffled\s+\d+\s+\d+/);
  const command = await one.locator('.command code').first().innerText();
  assert.match(command, /^pytest .*--qe-replay=\S+$/);
  await one.getByRole('button', { name: 'Copy' }).first().click();
  await one.getByText('copied').waitFor();
  assert.equal(await page.evaluate(() => navigator.clipboard.readText()), command);
  const always = page.locator('.suspect', { hasText: 'test_always' });
  assert.match(await always.innerText(), /^always fails/);
  assert.match(await always.locator('.command code').innerText(), /^pytest .*::test_always$/);
  assert.deepEqual(page.troubles, []);
});

test('suspects against conditions are one table', async () => {
  const page = await open(browser, file);
  await page.show('flaky');
  const table = page.locator('.matrix table');
  const heads = await table.getByRole('columnheader').allInnerTexts();
  assert.ok(heads.length > 2 && heads.includes('shuffled'), heads);
  const cells = table.getByRole('row', { name: /test_always/ }).getByRole('cell');
  const always = (await cells.allInnerTexts()).filter(Boolean);
  for (const text of always) assert.match(text, /^(\d+)\/\1$/, 'each of its runs failed');
  const victim = await table.getByRole('row', { name: /test_victim/ }).innerText();
  assert.match(victim, /\d\/\d/);
});

for (const colorScheme of ['light', 'dark']) {
  test(`axe finds nothing serious in ${colorScheme} colours`, async () => {
    const page = await open(browser, file, { colorScheme });
    await page.show('flaky');
    assert.deepEqual(await complaints(page), []);
  });
}
