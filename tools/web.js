'use strict';

// Makes the one page of every HTML report, and beside it, in `live/`, the page of qe ui:
// node tools/web.js OUT
// In a report code and styles stand in the page, allowed by their hashes alone; a host
// puts a result in the place of @QE-RESULT@. The live page is served, as files.
const { createHash } = require('node:crypto');
const { mkdirSync, readFileSync, renameSync, rmSync, writeFileSync } = require('node:fs');
const path = require('node:path');

const { build } = require('esbuild');

const WEB = path.join(__dirname, '..', 'web');

async function bundle(entry) {
  const made = await build({
    entryPoints: [path.join(WEB, 'src', entry)],
    bundle: true,
    charset: 'utf8',
    format: 'iife',
    jsx: 'automatic',
    jsxImportSource: 'preact',
    legalComments: 'none',
    logLevel: 'warning',
    minify: true,
    target: 'es2022',
    write: false,
  });
  return made.outputFiles[0].text.trim();
}

const hash = (text) => `sha256-${createHash('sha256').update(text).digest('base64')}`;

function write(file, text) {
  mkdirSync(path.dirname(file), { recursive: true });
  writeFileSync(`${file}.tmp`, text);
  renameSync(`${file}.tmp`, file);
}

async function makeLive(folder) {
  rmSync(folder, { recursive: true, force: true });
  write(path.join(folder, 'live.js'), await bundle('live/main.tsx'));
  write(path.join(folder, 'live.css'), await bundle('live/live.css'));
  for (const [from, to] of [
    ['live.html', 'index.html'],
    ['icon.svg', 'icon.svg'],
  ]) {
    write(path.join(folder, to), readFileSync(path.join(WEB, from)));
  }
}

async function makeReport(out) {
  const script = await bundle('main.tsx');
  const style = await bundle('style.css');
  for (const [text, end] of [
    [script, /<\/script|<!--/i],
    [style, /<\/style/i],
  ]) {
    if (end.test(text)) throw new Error(`a bundle holds ${end}, which would end it`);
  }
  const parts = {
    '@SCRIPT-HASH@': hash(script),
    '@STYLE-HASH@': hash(style),
    '@STYLE@': style,
    '@SCRIPT@': script,
  };
  const page = readFileSync(path.join(WEB, 'page.html'), 'utf8').replace(
    /@(SCRIPT|STYLE)(-HASH)?@/g,
    (marker) => parts[marker],
  );
  if (page.split('@QE-RESULT@').length !== 2) throw new Error('the page needs one @QE-RESULT@');
  write(out, page);
}

async function main(out) {
  await makeReport(out);
  await makeLive(path.join(path.dirname(out), 'live'));
}

main(path.resolve(process.argv[2]));
