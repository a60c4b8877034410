import { expect, test } from 'vitest';
import { parseSize } from '../../src/lib/size.ts';

test.each([
  [1500, 1500],
  ['1500', 1500],
  ['1500B', 1500],
  ['500kB', 500_000],
  ['500KB', 500_000],
  ['50MB', 50_000_000],
  ['50 mb', 50_000_000],
  ['1GB', 1_000_000_000],
  ['2G', 2_000_000_000],
  ['64KiB', 65_536],
  ['1MiB', 1_048_576],
  ['1GiB', 1_073_741_824],
  [0, 0],
])('the size %j is %i bytes', (written, bytes) => {
  expect(parseSize(written)).toBe(bytes);
});

test.each(['', 'MB', '1.5GB', '-1', -1, 1.5, '1TB', '5 0MB', '50MBs', '999999999999999GB', null, true, '1Kib ', '1bB'])(
  '%j is no size',
  (written) => {
    expect(parseSize(written)).toBe(null);
  },
);
