'use strict';

// Makes the one page of every HTML report: node tools/web.js OUT
// Code and styles stand in it, allowed by their hashes alone; a host puts a result in
// the place of @QE-RESULT@.
const { createHash } = require('node:crypto');
const { mkdirSync, readFileSync, renameSync, writeFileSync } = require('node:fs');
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

async function main(out) {
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
  mkdirSync(path.dirname(out), { recursive: true });
  writeFileSync(`${out}.tmp`, page);
  renameSync(`${out}.tmp`, out);
}

main(path.resolve(process.argv[2]));
