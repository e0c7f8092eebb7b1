// Numbers for people.

export function seconds(value: number): string {
  if (value === 0) return '0 s';
  if (value < 0.001) return `${Number((value * 1e6).toPrecision(2))} µs`;
  if (value < 0.9995) return `${(value * 1000).toPrecision(3).replace(/\.0+$/, '')} ms`;
  if (value < 60) return `${value.toFixed(value < 10 ? 2 : 1)} s`;
  const whole = Math.round(value);
  const parts = [Math.floor(whole / 3600), Math.floor((whole % 3600) / 60), whole % 60];
  const names = ['h', 'min', 's'];
  return parts
    .map((part, i) => (part > 0 ? `${part} ${names[i]}` : ''))
    .filter(Boolean)
    .join(' ');
}

export function bytes(value: number): string {
  if (value < 1024) return `${value} B`;
  const units = ['KiB', 'MiB', 'GiB', 'TiB'];
  let scaled = value;
  let unit = -1;
  do {
    scaled /= 1024;
    unit++;
  } while (scaled >= 1024 && unit < units.length - 1);
  return `${scaled < 10 ? scaled.toFixed(1) : Math.round(scaled)} ${units[unit]}`;
}

export function percent(share: number): string {
  const value = share * 100;
  if (value > 0 && value < 1) return `${Number(value.toPrecision(1))} %`;
  return `${Math.round(value)} %`;
}

const counted = new Intl.NumberFormat('en');

/** `1 test`, `2,000 tests`. */
export function count(n: number, one: string, many = `${one}s`): string {
  return `${counted.format(n)} ${n === 1 ? one : many}`;
}

export const whole = (n: number): string => counted.format(n);
