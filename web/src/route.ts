// Which page is shown: the fragment of the address, split at slashes.
import { useEffect, useState } from 'preact/hooks';

export const routeOf = (hash: string): string[] => hash.replace(/^#\/?/, '').split('/');

export function useRoute(): string[] {
  const [route, setRoute] = useState(() => routeOf(location.hash));
  useEffect(() => {
    const change = () => setRoute(routeOf(location.hash));
    addEventListener('hashchange', change);
    return () => removeEventListener('hashchange', change);
  }, []);
  return route;
}
