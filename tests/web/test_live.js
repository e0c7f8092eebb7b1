'use strict';
// The page of qe ui, over real runs, in a real browser.

const assert = require('node:assert/strict');
const fs = require('node:fs');
const path = require('node:path');
const { before, test } = require('node:test');

const axe = require('axe-core');

const { openLive, runPytest, startPytest, startUi, write } = require('./live');
const { folder, launch } = require('./reports');

const HOSTILE = '<img src=x onerror=alert(1)><script>alert(2)</script> a/b?c#d%20&\\x1b[31m';
const SUITE = `
import os, pytest
NAMES = ["${HOSTILE}", "plain"]
@pytest.mark.parametrize("name", NAMES, ids=NAMES)
def test_odd(name): assert name == "plain", "<b>boom</b>\\nsecond"
def test_turns():
    with open("turn", "a") as file: file.write("x")
    assert os.path.getsize("turn") % 2
@pytest.mark.parametrize("i", range(20))
def test_many(i): pass
`;
const WAITS = `
import os, time, pytest
def test_one(): pass
def test_two(): pass
@pytest.mark.parametrize("name", ["<script>alert(1)</script>", "b"])
def test_waits(name):
    while not os.path.exists("go"): time.sleep(0.02)
`;
const HELD = `[[quarantine]]
id = "test_it.py::test_turns"
owner = "<b>ann</b>"
reason = "slow & flaky"
expires = 2000-01-01
`;
const LAYERS = `
layers:
  quick:
    name: "<i>Quick</i>"
    categories:
      - {name: unit, framework: pytest, paths: [test_it.py]}
`;
const TURNS = 'test/test_it.py%3A%3Atest_turns';
const PAGES = ['now', 'runs', 'run/1', TURNS, 'flakiest', 'slowest', 'quarantine', 'layers'];

let browser;
let ui;
let cwd;
before(async (t) => {
  cwd = folder(t);
  browser = await launch(t);
  write(cwd, { 'test_it.py': SUITE, 'pytest.ini': '[pytest]\n', 'held.toml': HELD });
  write(cwd, { 'test_layers.yaml': LAYERS });
  for (let i = 0; i < 2; i++) await runPytest(t, cwd, 'test_it.py');
  ui = await startUi(t, cwd, '--quarantine=held.toml');
});

test('progress moves while tests run, and the end is told', async (t) => {
  const own = folder(t);
  write(own, { 'test_wait.py': WAITS, 'pytest.ini': '[pytest]\n' });
  const page = await openLive(browser, await startUi(t, own));
  await page.getByText('Nothing runs now').waitFor();
  const run = startPytest(t, own, 'test_wait.py');
  const card = page.getByRole('article');
  const bar = page.getByRole('progressbar');
  await card.getByText('2 of 4').waitFor();
  assert.equal(await bar.getAttribute('aria-valuenow'), '50');
  const rows = card.getByRole('row');
  await rows.nth(2).waitFor();
  assert.match(await card.innerText(), /test_waits\[<script>alert\(1\)<\/script>\]/);
  const time = () => rows.nth(1).locator('.number').first().innerText();
  const first = await time();
  await page.waitForFunction(
    (old) => document.querySelectorAll('tbody .number')[0].innerText !== old,
    first,
  );
  assert.match(await page.title(), /1 running/);
  assert.match(await page.locator('.heard').innerText(), /pytest: 50 % done/);
  await rows.nth(1).getByText(/MiB/).waitFor();
  fs.writeFileSync(path.join(own, 'go'), '');
  assert.deepEqual(await run.ended, [0, null]);
  await card.waitFor({ state: 'detached' });
  await page.locator('.latest', { hasText: '4 passed' }).getByRole('link').click();
  await page.locator('main.run canvas').waitFor();
  assert.deepEqual(page.troubles, []);
});

test('a run that is killed shows as dead, with what it ran, until it is forgotten', async (t) => {
  const own = folder(t);
  write(own, { 'test_wait.py': WAITS, 'pytest.ini': '[pytest]\n' });
  const server = await startUi(t, own);
  const page = await openLive(browser, server);
  const run = startPytest(t, own, 'test_wait.py');
  const card = page.getByRole('article');
  await card.getByRole('row', { name: /test_waits\[b\]/ }).waitFor();
  run.kill('SIGKILL');
  await card.getByText('was killed', { exact: true }).waitFor();
  assert.match(await card.innerText(), /what it was running at that moment/);
  assert.match(await card.innerText(), /test_waits\[b\]/);

  const refused = await page.request.post(`${server.url}api/do/dismiss`, { data: { id: 'x' } });
  assert.equal(refused.status(), 403);
  const without = await browser.newPage();
  await without.goto(server.url);
  const button = without.getByRole('button', { name: /Forget pytest/ });
  await button.waitFor();
  assert.ok(await button.isDisabled());
  await without.getByLabel(/Actions need the token/).fill('wrong');
  await without.getByRole('button', { name: 'use it' }).click();
  await without.getByText(/an action needs the token/).waitFor();
  assert.ok(await button.isDisabled());
  await without.getByLabel(/Actions need the token/).fill(server.token);
  await without.getByRole('button', { name: 'use it' }).click();
  await button.click();
  await card.waitFor({ state: 'detached' });
  await page.getByText('Nothing runs now').waitFor();
  await without.getByText('Nothing runs now').waitFor();
  assert.equal(await without.evaluate(() => document.activeElement.tagName), 'MAIN');
  assert.deepEqual(fs.readdirSync(path.join(own, '.qe', 'live')), []);
  assert.deepEqual(page.troubles, []);
});

test('the token leaves the address, and no other page gets at anything', async (t) => {
  const page = await openLive(browser, ui);
  assert.equal(new URL(page.url()).hash, '#/now');
  const other = await startUi(t, cwd); // another site on this machine: another port
  await page.goto(other.url);
  await page.getByText('connected', { exact: true }).waitFor();
  const tried = await page.evaluate(
    async ([url, token]) => {
      const get = await fetch(`${url}api/runs`, { mode: 'no-cors' }).catch(String);
      const headers = { 'X-QE-Token': token };
      const post = await fetch(`${url}api/do/check`, { method: 'POST', headers }).catch(String);
      return [String(get), String(post)];
    },
    [ui.url, ui.token],
  );
  assert.match(tried[0], /TypeError/, 'its own policy refuses');
  assert.match(tried[1], /TypeError/);
  for (const [headers, status] of [
    [{ Host: 'evil.example' }, 421],
    [{ Origin: 'http://evil.example' }, 403],
    [{ 'Sec-Fetch-Site': 'cross-site' }, 403],
  ]) {
    const answer = await page.request.get(`${ui.url}api/runs`, { headers });
    assert.equal(answer.status(), status, JSON.stringify(headers));
  }
  const evil = await browser.newPage();
  await evil.route('http://evil.example/', (route) =>
    route.fulfill({ contentType: 'text/html', body: `<iframe src="${ui.url}"></iframe>` }),
  );
  await evil.goto('http://evil.example/');
  const seen = await evil.evaluate(async (url) => {
    const read = await fetch(`${url}api/runs`).catch(String);
    return String(read);
  }, ui.url);
  assert.match(seen, /TypeError/);
  const frame = evil.frames()[1];
  assert.equal(await frame.locator('main').count(), 0);
});

test('runs over time lead to one run, its timeline, and a test', async () => {
  const page = await openLive(browser, ui);
  await page.getByRole('navigation').getByRole('link', { name: 'Runs' }).click();
  await page.locator('.chart rect').nth(1).waitFor();
  const rows = page.locator('tbody tr');
  assert.equal(await rows.count(), 2);
  assert.match(await rows.nth(0).innerText(), /^2\s[^]*2 failed, 21 passed/);
  await page.getByRole('link', { name: '1', exact: true }).click();
  await page.locator('main.run .tools').waitFor();
  assert.equal(await page.evaluate(() => document.activeElement.innerText), 'Run 1');
  const canvas = page.getByRole('application');
  await canvas.focus();
  await page.keyboard.press('ArrowRight');
  await page.locator('.chosen:not(:empty)').waitFor();
  assert.match(await page.locator('.chosen').innerText(), / on gw\d, \d+ MiB/);
  await page.keyboard.press('Enter');
  await page.locator('main.test h3').first().waitFor();
  await page.goBack();
  await page.locator('main.run').waitFor();
  await page.getByRole('group', { name: 'What failed' }).getByRole('link').click();
  await page.getByRole('heading', { name: /test_odd\[<img src=x onerror=alert\(1\)>/ }).waitFor();
  await page.getByRole('cell', { name: '<b>boom</b>' }).first().waitFor();
  assert.equal(await page.locator('main img, main script').count(), 0);
  assert.deepEqual(page.troubles, []);
});

test('a test has its rates with intervals, durations, commits and executions', async () => {
  const page = await openLive(browser, ui);
  await page.show('flakiest');
  const row = page.getByRole('region', { name: 'Flakiest' }).getByRole('row').nth(1);
  assert.match(
    await row.innerText(),
    /test_turns\s+[\d.]+ [mµ]?s\s+50 % \(\d+ % to \d+ %\)\s+1\s+2/,
  );
  await row.getByRole('link').click();
  await page.locator('main.test .chart').nth(1).waitFor();
  const text = await page.locator('main').innerText();
  assert.match(text, /Executions\s+2\s+Failures\s+1\s[^]*50 % \(\d+ % to \d+ %\)/);
  assert.equal(await page.locator('.chart circle.is-passed').count(), 1);
  assert.equal(await page.locator('.chart rect.is-failed').count(), 1);
  const label = await page.getByRole('img').first().getAttribute('aria-label');
  assert.match(label, /Durations of the last 2 executions; the last took\s+[\d.]+ /);
  await page.show('slowest');
  assert.ok((await page.locator('tbody tr').count()) >= 22);
  assert.deepEqual(page.troubles, []);
});

test('a test is held and released with the token', async () => {
  const page = await openLive(browser, ui);
  await page.show('quarantine');
  const entry = page.getByRole('row', { name: /test_turns/ });
  assert.match(await entry.innerText(), /expired\s+2000-01-01 [\d,]+ days ago/);
  assert.match(await entry.innerText(), /<b>ann<\/b>\s+slow & flaky/);
  await page.getByLabel('Id of the test').fill('test_it.py::test_many[3]');
  await page.getByLabel('Owner').fill('ann');
  await page.getByLabel('Reason').fill('why not');
  await page.getByLabel('Days').fill('3');
  await page.getByRole('button', { name: 'hold' }).click();
  const held = page.getByRole('row', { name: /test_many\[3\]/ });
  await held.waitFor();
  assert.match(await held.innerText(), /held\s+\S+ in 3 days\s+2 of 59/);
  await held.getByRole('button', { name: /^Release/ }).click();
  await held.getByRole('button', { name: /^Yes: Release/ }).click();
  await held.waitFor({ state: 'detached' });
  assert.equal(fs.readFileSync(path.join(cwd, 'held.toml'), 'utf8').trim(), HELD.trim());
  await page.show('layers');
  await page.getByText('<i>Quick</i>').waitFor();
  assert.deepEqual(page.troubles, []);
});

test('a server that ends is told, and found again', async (t) => {
  const own = folder(t);
  write(own, { 'test_it.py': '', 'test_layers.yaml': LAYERS });
  const server = await startUi(t, own);
  const page = await openLive(browser, server);
  await page.getByText(/there is no history yet/).waitFor();
  server.child.kill('SIGINT');
  assert.deepEqual(await server.child.ended, [130, null]);
  await page.getByText('not connected').waitFor();
  await page.getByRole('link', { name: 'Layers' }).click();
  await page.getByText('Failed to fetch').waitFor();
  const { port } = new URL(server.url);
  const again = await startUi(t, own, `--port=${port}`);
  await page.getByText('connected', { exact: true }).waitFor();
  assert.equal(again.url, server.url);
  await page.getByText('<i>Quick</i>').waitFor();
});

test('a token of a server that has ended is asked for again, or taken from the address', async (t) => {
  const own = folder(t);
  write(own, { 'held.toml': HELD });
  const server = await startUi(t, own, '--quarantine=held.toml');
  const page = await openLive(browser, server);
  await page.show('quarantine');
  const release = page.getByRole('button', { name: /^Release/ });
  assert.ok(await release.isEnabled());
  server.child.kill('SIGINT');
  await server.child.ended;
  await page.getByText('not connected').waitFor();
  const { port } = new URL(server.url);
  const again = await startUi(t, own, '--quarantine=held.toml', `--port=${port}`);
  await page.getByText('connected', { exact: true }).waitFor();
  await release.click();
  await page.getByText(/an action needs the token/).waitFor();
  await page.getByLabel(/Actions need the token/).waitFor();
  assert.ok(await release.isDisabled());
  await page.goto(`${again.url}#token=${again.token}`); // the page stays: it is another fragment
  await page.locator('main.now').waitFor();
  assert.equal(new URL(page.url()).hash, '#/now');
  await page.show('quarantine');
  await release.click();
  await release.waitFor({ state: 'detached' });
  assert.doesNotMatch(fs.readFileSync(path.join(own, 'held.toml'), 'utf8'), /test_turns/);
});

for (const [colorScheme, width] of [
  ['light', 420],
  ['dark', 1280],
]) {
  test(`axe finds nothing serious in ${colorScheme} colours, ${width} wide`, async () => {
    const viewport = { width, height: 900 };
    const page = await openLive(browser, ui, { colorScheme, viewport });
    await page.evaluate(axe.source);
    for (const name of PAGES) {
      await page.show(name);
      const found = await page.evaluate(() => globalThis.axe.run());
      const told = found.violations.map((v) => `${v.id}: ${v.nodes.map((n) => n.html)}`);
      assert.deepEqual(told, [], name);
    }
    assert.deepEqual(page.troubles, []);
  });
}
