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

describe('findProgram', () => {
  test.each([
    [`${dir}/a:${dir}/b:${dir}/c`, `${dir}/b/tool`, 'takes the first executable'],
    [`${dir}/d:${dir}/gone`, null, 'skips folders and missing folders'],
    ['c', `${dir}/c/tool`, 'resolves PATH from the working directory'],
    ['', null, 'searches the working directory for an empty entry'],
  ])('findProgram with PATH %j finds %j: it %s', (PATH, found, _why) => {
    expect(findProgram('tool', { PATH }, dir)).toBe(found);
  });

  test('findProgram uses the usual folders when there is no PATH', () => {
    expect(findProgram('sh', {}, dir)).toMatch(/bin\/sh$/);
  });
});

test("a worker's PATH gets forge's own folder, and that of its node, where it has no such programs", () => {
  const own = path.join(import.meta.dirname, '../../bin');
  const told = workerEnvironment({ PATH: `${dir}/a`, FORGE_TASK_ID: 'x', HOME: '/h' }, dir);
  const PATH = `${dir}/a:${own}:${path.dirname(process.execPath)}`;
  expect(told).toEqual({ PATH, HOME: '/h', FORGE_CLI: `${own}/forge.cjs` });
  expect(findProgram('forge', told, dir)).toBe(`${own}/forge`);
  for (const name of ['forge', 'node']) file(`e/${name}`, 0o755);
  expect(workerEnvironment({ PATH: `${dir}/e` }, dir)).toMatchObject({ PATH: `${dir}/e` });
});
