// Questions to qe ui, and actions with the token that it has printed.
import { useEffect, useReducer, useState } from 'preact/hooks';

import { timesFound } from './feed';

const KEY = 'qe-token';
let token = '';
const listeners = new Set<() => void>();

/** Takes the token out of the address, where it could be seen and be copied with it. */
function fromAddress(): void {
  const found = /^#token=([\w-]+)$/.exec(location.hash);
  if (found) {
    setToken(found[1]);
    history.replaceState(null, '', '#/now');
  }
}

/** Finds the token, now and whenever an address with one is put into the open page. */
export function takeToken(): void {
  try {
    token = sessionStorage.getItem(KEY) ?? '';
  } catch {
    // It is kept in this page then.
  }
  fromAddress();
  addEventListener('hashchange', fromAddress);
}

export function setToken(given: string): void {
  token = given;
  try {
    sessionStorage.setItem(KEY, given);
  } catch {
    // It is kept in this page then.
  }
  for (const listener of listeners) listener();
}

export function useToken(): string {
  const [, redraw] = useReducer((n: number) => n + 1, 0);
  useEffect(() => {
    const listener = () => redraw(null);
    listeners.add(listener);
    return () => {
      listeners.delete(listener);
    };
  }, []);
  return token;
}

async function answered<T>(response: Response): Promise<T> {
  const text = await response.text();
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch {
    value = { error: text.slice(0, 200) };
  }
  if (response.ok) return value as T;
  throw new Error((value as { error?: string }).error ?? `the answer is ${response.status}`);
}

export interface Asked<T> {
  value?: T;
  error?: string;
}

/**
 * What qe ui knows under a path; asked again when the server was lost and is there again.
 *
 * @param path below `api/`; undefined: nothing is asked
 * @param version asks again when it changes; what is known stays until the answer is there
 */
export function useAnswer<T>(path: string | undefined, version: unknown = 0): Asked<T> {
  const [known, know] = useState<Asked<T> & { path?: string }>({});
  const found = timesFound();
  useEffect(() => {
    if (path === undefined) return undefined;
    const stop = new AbortController();
    fetch(`api/${path}`, { signal: stop.signal })
      .then((response) => answered<T>(response))
      .then(
        (value) => know({ path, value }),
        (error: unknown) => {
          if (!stop.signal.aborted) know({ path, error: (error as Error).message });
        },
      );
    return () => stop.abort();
  }, [path, version, found]);
  return known.path === path ? known : {};
}

export async function act(name: string, asked: object): Promise<unknown> {
  const response = await fetch(`api/do/${name}`, {
    method: 'POST',
    headers: { 'Content-Type': 'application/json', 'X-QE-Token': token },
    body: JSON.stringify(asked),
  });
  // One of a qe ui that was here before: the right one is asked for.
  if (response.status === 403) setToken('');
  return answered(response);
}

/** An id for a part of an address. What is no UTF-8 comes as halves of surrogates. */
export function encodeId(id: string): string {
  return [...id]
    .map((c) => {
      const code = c.codePointAt(0) as number;
      if (code >= 0xdc80 && code <= 0xdcff) return `%${(code - 0xdc00).toString(16)}`;
      return code >= 0xd800 && code <= 0xdfff ? '%3F' : encodeURIComponent(c);
    })
    .join('');
}

export const linkToTest = (id: string): string => `#/test/${encodeId(id)}`;
