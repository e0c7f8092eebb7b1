'use strict';
// Pages of `qe exec`, `qe hunt` and `qe layer`.

const assert = require('node:assert/strict');
const { before, test } = require('node:test');

const { complaints, folder, launch, open, reportOfCommand } = require('./reports');

const ONCE = '[ -e once ] || { : > once; echo "<b>first</b>"; exit 1; }\n';
const FLIP = 'echo x >> n; [ $(($(wc -l < n) % 3)) != 0 ] || { echo third; exit 1; }\n';
const LAYERS = `
layers:
  unit:
    execution_mode: parallel
    success_criteria: {min_pass_rate: 50}
    categories:
      - {name: fast, command: [sleep, "0.3"]}
      - {name: then, command: [sh, -c, "echo words of then; exit 4"], depends_on: [fast]}
      - {name: never, command: ["true"], depends_on: [then]}
  slow:
    dependencies: [unit]
    categories: [{name: all, command: ["true"]}]
`;

let browser;
const files = {};
before(async (t) => {
  browser = await launch(t);
  const sh = '--command=sh {file}';
  const quick = ['--throttle=0'];
  files.exec = await reportOfCommand(
    folder(t),
    { 'good.sh': 'echo fine\n', 'once.sh': ONCE, 'bad.sh': 'echo no; exit 3\n' },
    ['exec', sh, 'good.sh', 'once.sh', 'bad.sh', '--attempts=2', '--backoff=0', ...quick],
  );
  files.hunt = await reportOfCommand(
    folder(t),
    { 'flip.sh': FLIP, 'good.sh': 'exit 0\n', 'bad.sh': 'exit 1\n' },
    ['hunt', sh, 'flip.sh', 'good.sh', 'bad.sh', '-n', '1', '-i', '6', ...quick],
  );
  files.layer = await reportOfCommand(folder(t), { 'test_layers.yaml': LAYERS }, [
    'layer',
    'unit',
    'slow',
  ]);
});

test('an execution: files, what each attempt printed, and a command to copy', async () => {
  const page = await open(browser, files.exec);
  assert.match(await page.locator('h1').innerText(), /1 file failed/);
  await page.show('failures');
  assert.equal(await page.locator('.failure').count(), 2);
  await page.locator('.failure summary', { hasText: 'bad.sh' }).click();
  assert.equal(await page.getByRole('group', { name: 'stdout' }).innerText(), 'no\n');
  await page.getByRole('button', { name: 'Copy' }).click();
  await page.getByText('copied').waitFor();
  const copied = await page.evaluate(() => navigator.clipboard.readText());
  assert.match(copied, /sh \S*bad\.sh$/);
  await page.show('tests');
  await page.getByRole('link', { name: 'once.sh' }).click();
  await page.locator('main.test').waitFor();
  for (const one of await page.locator('details:not([open]) summary').all()) await one.click();
  const outputs = await page.locator('pre').allInnerTexts();
  assert.ok(
    outputs.some((text) => text.includes('<b>first</b>')),
    'what the attempt before the last printed',
  );
  assert.deepEqual(page.troubles, []);
});

test('a hunt: each run of a file in its order, with rate and command', async () => {
  const page = await open(browser, files.hunt);
  assert.match(await page.locator('h1').innerText(), /1 file failed, 1 flaky$/);
  await page.show('flaky');
  const one = page.locator('.suspect', { hasText: 'flip.sh' });
  assert.match(await one.innerText(), /flaky flip\.sh\s+failed 2 of 6 \(33 %, between /);
  const runs = one.getByRole('img').locator('span');
  const classes = await runs.evaluateAll((all) => all.map((span) => span.className));
  const [good, bad] = ['is-passed', 'is-failed'];
  assert.deepEqual(classes, [good, good, bad, good, good, bad]);
  assert.match(await one.locator('code').innerText(), /sh \S*flip\.sh$/);
  assert.equal(await page.locator('.suspect').count(), 2);
  assert.deepEqual(page.troubles, []);
});

test('layers: gates, what categories waited for, and a track for each', async () => {
  const page = await open(browser, files.layer);
  assert.match(await page.locator('h1').innerText(), /2 layers failed/);
  await page.getByRole('navigation').getByRole('link', { name: 'Layers' }).click();
  const unit = page.locator('.layer', { hasText: 'succeeds if 50 % of its tests pass' });
  const row = unit.getByRole('row', { name: /^failed/ });
  assert.match(await row.innerText(), /failed\s+then\s+\d+ ms: needs unit\/fast/);
  assert.match(await unit.getByRole('row', { name: /never/ }).innerText(), /skipped[^]*unit\/then/);
  await row.getByRole('link').click();
  await page.locator('main.test').waitFor();
  assert.match(await page.locator('pre').innerText(), /^words of then/);
  await page.show('timeline');
  const canvas = page.getByRole('application');
  assert.match(await canvas.getAttribute('aria-label'), /of 4 tracks/);
  const box = await canvas.boundingBox();
  // The second track waits from the beginning for what the first one does.
  const tip = page.locator('.tip');
  for (let x = 40; x < 300 && (await tip.count()) === 0; x += 20) {
    await page.mouse.move(box.x + x, box.y + 26 + 45);
    await page.drawn();
  }
  assert.match(await tip.innerText(), /^waits \d+ ms: needs unit\/fast$/);
  await canvas.focus();
  for (const key of ['ArrowRight', 'ArrowDown']) await page.keyboard.press(key);
  await page.locator('.chosen', { hasText: 'failed: unit/then' }).waitFor();
  await page.keyboard.press('ArrowDown'); // no track below has an attempt
  await page.drawn();
  assert.match(await page.locator('.chosen').innerText(), /unit\/then/);
  assert.deepEqual(page.troubles, []);
});

for (const colorScheme of ['light', 'dark']) {
  test(`axe finds nothing serious in ${colorScheme} colours`, async () => {
    const routes = {
      exec: ['summary', 'failures'],
      hunt: ['flaky'],
      layer: ['layers', 'timeline'],
    };
    for (const [name, pages] of Object.entries(routes)) {
      const page = await open(browser, files[name], { colorScheme });
      for (const route of pages) {
        await page.show(route);
        assert.deepEqual(await complaints(page), [], `${name} ${route}`);
      }
    }
  });
}
