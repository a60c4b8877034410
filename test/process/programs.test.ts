import fs from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { afterAll, describe, expect, test } from 'vitest';
import { findProgram, workerEnvironment } from '../../src/process/programs.ts';

const dir = fs.realpathSync(fs.mkdtempSync(path.join(os.tmpdir(), 'forge-programs-')));
afterAll(() => fs.rmSync(dir, { recursive: true }));

const file = (name: string, mode: number) => {
  fs.mkdirSync(path.dirname(path.join(dir, name)), { recursive: true });
  fs.writeFileSync(path.join(dir, name), '', { mode });
};
file('a/tool', 0o644);
file('b/tool', 0o755);
file('c/tool', 0o755);
fs.mkdirSync(path.join(dir, 'd/tool'), { recursive: true });

describe('a program', () => {
  test.each([
    [`${dir}/a:${dir}/b:${dir}/c`, `${dir}/b/tool`, 'is the first that may be executed'],
    [`${dir}/d:${dir}/gone`, null, 'is no folder'],
    ['c', `${dir}/c/tool`, 'is looked for from the folder that its command runs in'],
    ['', null, 'may be looked for in that folder itself'],
  ])('by PATH %j is %j: it %s', (PATH, found, _why) => {
    expect(findProgram('tool', { PATH }, dir)).toBe(found);
  });

  test('is found without a PATH where programs usually are', () => {
    expect(findProgram('sh', {}, dir)).toMatch(/bin\/sh$/);
  });
});

test('a worker finds a forge, and one that PATH has counts', () => {
  const told = workerEnvironment({ PATH: `${dir}/a`, FORGE_TASK_ID: 'x', HOME: '/h' }, dir);
  expect(told).toEqual({ PATH: expect.stringMatching(new RegExp(`^${dir}/a:.+/bin$`)), HOME: '/h' });
  expect(findProgram('forge', told, dir)).toBe(path.join(import.meta.dirname, '../../bin/forge'));
  file('e/forge', 0o755);
  expect(workerEnvironment({ PATH: `${dir}/e` }, dir)).toEqual({ PATH: `${dir}/e` });
});
