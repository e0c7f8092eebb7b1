'use strict';
// The thread of a Watchdog.

const fs = require('node:fs');
const inspector = require('node:inspector');
const { SourceMap } = require('node:module');
const { fileURLToPath } = require('node:url');
const { workerData } = require('node:worker_threads');

const { deadline, file } = workerData;
const MOST_FRAMES = 20;
const PATIENCE = 2000; // ms; by then the process has been killed
const INLINE = /^data:application\/json[^,]*;base64,/;

/** The place in the source that was transformed into this, where the code has a map. */
function original(script, line, column) {
  if (!INLINE.test(script.sourceMapURL ?? '')) return null;
  try {
    const json = Buffer.from(script.sourceMapURL.replace(INLINE, ''), 'base64');
    const entry = new SourceMap(JSON.parse(json)).findEntry(line, column);
    return entry.originalLine === undefined ? null : [entry.originalLine, entry.originalColumn];
  } catch {
    return null;
  }
}

function lineOf(frame, scripts) {
  const script = scripts.get(frame.location.scriptId) ?? {};
  const url = frame.url || script.url || '';
  if (url === '' || url.startsWith('node:')) return null;
  const name = url.startsWith('file:') ? fileURLToPath(url) : url;
  const { lineNumber, columnNumber = 0 } = frame.location;
  const [line, column] = original(script, lineNumber, columnNumber) ?? [lineNumber, columnNumber];
  const place = `${name}:${line + 1}:${column + 1}`;
  return frame.functionName ? `    at ${frame.functionName} (${place})` : `    at ${place}`;
}

/** Stops the main thread and writes where it is; resolves when that is done, or in vain. */
function look() {
  return new Promise((resolve) => {
    const session = new inspector.Session();
    const scripts = new Map();
    const timer = setTimeout(finish, PATIENCE);
    function finish() {
      clearTimeout(timer);
      session.disconnect();
      resolve();
    }
    session.on('Debugger.scriptParsed', ({ params }) => scripts.set(params.scriptId, params));
    session.on('Debugger.paused', ({ params }) => {
      const frames = params.callFrames.slice(0, MOST_FRAMES);
      const lines = frames.map((frame) => lineOf(frame, scripts)).filter(Boolean);
      if (lines.length > 0) fs.writeFileSync(file, `${lines.join('\n')}\n`, { mode: 0o600 });
      session.post('Debugger.resume', finish);
    });
    session.connectToMainThread();
    session.post('Debugger.enable');
    session.post('Debugger.pause');
  });
}

/** Whether the time of what runs now is over; sleeps until it may be. */
function isOverdue() {
  const until = Atomics.load(deadline, 0);
  if (until === 0n) {
    Atomics.wait(deadline, 0, 0n);
    return false;
  }
  const left = Number(until - process.hrtime.bigint()) / 1e6;
  if (left > 0) {
    Atomics.wait(deadline, 0, until, left);
    return false;
  }
  // What ended just now is not looked at.
  return Atomics.compareExchange(deadline, 0, until, 0n) === until;
}

async function watch() {
  for (;;) if (isOverdue()) await look();
}

watch();
