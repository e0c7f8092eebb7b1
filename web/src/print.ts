// What a printed page has that one on a screen has not.
import { options } from 'preact';
import { useEffect, useState } from 'preact/hooks';

/** More rows take a browser minutes to lay out, and nobody reads thousands of sheets. */
export const MOST_PRINTED = 5000;

/** Draws at once: a page is printed as it stands when `beforeprint` returns. */
function now(change: () => void): void {
  const before = options.debounceRendering;
  options.debounceRendering = (draw) => draw();
  change();
  options.debounceRendering = before;
}

/** Whether the page is being printed. */
export function usePrinting(): boolean {
  const [printing, print] = useState(false);
  useEffect(() => {
    const begin = () => now(() => print(true));
    const end = () => now(() => print(false));
    addEventListener('beforeprint', begin);
    addEventListener('afterprint', end);
    return () => {
      removeEventListener('beforeprint', begin);
      removeEventListener('afterprint', end);
    };
  }, []);
  return printing;
}
