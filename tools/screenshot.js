'use strict';

// Makes the README's picture of the report: node tools/screenshot.js OUT
// A suite is run, its report opened in Chromium, and two of its pages are put below each other.
const { mkdirSync, writeFileSync } = require('node:fs');
const path = require('node:path');

const { folder, launch, open, reportOf } = require('../tests/web/reports');

const WIDTH = 1100;
const MOST_BYTES = 150_000; // it is in the repository

/** Files of a shop's tests: most pass, each takes its own time. */
function suite() {
  const files = { 'pytest.ini': '[pytest]\nmarkers =\n    slow: takes long\n' };
  for (const [number, name] of ['cart', 'catalogue', 'login', 'payment', 'search'].entries()) {
    files[`test_${name}.py`] = `
import random, time
import pytest
DRAW = random.Random(${number})
@pytest.mark.parametrize("case", [DRAW.expovariate(12) for _ in range(28)],
                         ids=[f"case-{n}" for n in range(28)])
def test_${name}(case):
    time.sleep(min(case, 0.4))
`;
  }
  files['test_checkout.py'] = `
import ctypes, os, time
import pytest
def receipt(tax):
    return f"net     42.00\\ntax     {tax}\\ntotal   49.98"
def test_total_of_a_basket():
    time.sleep(0.3)
    print("basket 17: 3 articles")
    assert receipt(tax="7.89") == receipt(tax="7.98")
@pytest.mark.qe(retries=1)
def test_answer_of_the_bank():
    time.sleep(0.25)
    with open("asked", "a") as file: file.write("x")
    if os.path.getsize("asked") < 2: raise ConnectionError("no answer within 250 ms")
def test_native_codec():
    time.sleep(0.5)
    ctypes.string_at(0)
@pytest.mark.slow
def test_export():
    time.sleep(1.1)
`;
  return files;
}

/** A page as it is seen, from one place to the end of another. */
async function shot(page, first, last) {
  const begin = await page.locator(first).boundingBox();
  const end = await page.locator(last).boundingBox();
  const height = Math.ceil(end.y + end.height + 7 - begin.y);
  return page.screenshot({ clip: { x: 0, y: begin.y, width: WIDTH, height } });
}

/** Moves over the timeline until it tells of a test. */
async function hover(page, name) {
  const box = await page.getByRole('application').boundingBox();
  const tip = page.locator('.tip', { hasText: name });
  for (let y = 40; y < box.height; y += 30) {
    for (let x = 60; x < box.width; x += 8) {
      await page.mouse.move(box.x + x, box.y + y);
      await page.drawn();
      if ((await tip.count()) > 0) return;
    }
  }
  throw new Error(`the timeline does not show ${name}`);
}

async function main(out) {
  const ends = [];
  const run = { after: (end) => ends.push(end) };
  try {
    const browser = await launch(run);
    const args = ['--qe-parallel=4', '--qe-seed=1', '--qe-no-history'];
    const report = await reportOf(folder(run), suite(), args);
    const viewport = { width: WIDTH, height: 900 };
    const page = await open(browser, report, { viewport, colorScheme: 'light' });
    await page.show('timeline');
    await page.locator('canvas').waitFor();
    await hover(page, 'test_total_of_a_basket');
    const shots = [await shot(page, 'header', '.legend')];
    await page.show('failures');
    await page.locator('summary', { hasText: 'test_total_of_a_basket' }).click();
    await page.mouse.move(0, 0);
    shots.push(await shot(page, 'main', '.failure[open]'));
    const sheet = await browser.newPage({ viewport });
    const images = shots.map(
      (data) => `<img src="data:image/png;base64,${data.toString('base64')}">`,
    );
    await sheet.setContent(
      `<style>body{margin:0}img{display:block}img+img{border-top:1px solid #dce1e7}</style>${images.join('')}`,
    );
    const picture = await sheet.screenshot({ fullPage: true });
    if (page.troubles.length > 0) throw new Error(page.troubles.join('\n'));
    if (picture.length > MOST_BYTES) throw new Error(`the picture has ${picture.length} bytes`);
    mkdirSync(path.dirname(out), { recursive: true });
    writeFileSync(out, picture);
  } finally {
    for (const end of ends.reverse()) await end();
  }
}

main(path.resolve(process.argv[2])).catch((error) => {
  process.stderr.write(`screenshot: ${error.message}\n`);
  process.exitCode = 1;
});
