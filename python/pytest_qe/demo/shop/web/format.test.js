const format = (cents) => `${(cents / 100).toFixed(2)} EUR`;

test('a price is shown', () => {
  expect(format(450)).toBe('4.50 EUR');
});

test('so is none', () => {
  expect(format(0)).toBe('0.00 EUR');
});
