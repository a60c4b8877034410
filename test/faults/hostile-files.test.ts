/** Where a plan, settings or a log should be there may be a device, a pipe or far too much: no command hangs or eats the memory. */

import { spawnSync } from 'node:child_process';
import fs from 'node:fs';
import path from 'node:path';
import { describe, expect, test } from 'vitest';
import { asIoError } from '../../src/lib/fs/io-errors.ts';
import { orchestrate, project } from '../support/cli.ts';

const pipe = (file: string) => spawnSync('mkfifo', [file]);
const zeros = (file: string) => fs.symlinkSync('/dev/zero', file);

describe('plan and settings that are no files', () => {
  test.each([
    ['settings', 'endless', '.forge/settings.yaml', zeros, ['status']],
    ['settings', 'endless', '.forge/settings.yaml', zeros, ['doctor']],
    ['settings', 'a pipe', '.forge/settings.yaml', pipe, ['status']],
    ['the plan', 'endless', 'plans/phases.yaml', zeros, ['phases', '--ready']],
    ['the plan', 'a pipe', 'plans/phases.yaml', pipe, ['run']],
  ] as const)('%s that is %s: %s is refused as no regular file', async (_, __, file, make, verb) => {
    const cwd = project(['id: a, title: A, run: "true"']);
    fs.mkdirSync(path.join(cwd, '.forge'), { recursive: true });
    fs.rmSync(path.join(cwd, file), { force: true });
    make(path.join(cwd, file));
    // The device is another user's unless root runs the tests.
    const { code, stdout, stderr } = await orchestrate(verb, { cwd, env: { FORGE_SAFE_DIRECTORY: cwd } });
    expect(code).not.toBe(0);
    expect(code).not.toBeNull();
    // A pipe or a device is no plan, so where there is no other plan there is none.
    expect((stdout + stderr).replace(/\s+/g, ' ')).toMatch(/not a regular file|PHASES_NOT_FOUND/);
  });
});

describe('pipes in the state tree', () => {
  test.each([
    ['claim-history.jsonl of a task', '.forge/orchestrator/tasks/a/claim-history.jsonl', ['cancel', 'a']],
    ['the journal', '.forge/logs/orchestrate.jsonl', ['cancel', 'a']],
    ['the name of the holder of the lock of gc', '.forge/orchestrator/.gc.lock.holder', ['gc']],
  ] as const)('a pipe in place of %s keeps no command waiting', async (_, file, verb) => {
    const cwd = project(['id: a, title: A']);
    expect((await orchestrate(['claim', 'a'], { cwd })).code).toBe(0);
    fs.rmSync(path.join(cwd, file), { force: true });
    pipe(path.join(cwd, file));
    expect((await orchestrate(verb, { cwd })).code).toBe(0);
  });
});

test('a plan with tens of thousands of mistakes is refused like any other', async () => {
  const tasks = Array.from({ length: 50_000 }, (_, i) => `id: "x y${i}", titel: A`);
  const { code, json } = await orchestrate(['status', '--json'], { cwd: project(tasks) });
  expect(code).toBe(2);
  expect(json().error.code).toBe('PHASES_PARSE_ERROR');
  expect(json().error.details.problems[0].message).toContain('"title" is missing');
});

describe('errors that rmSync of Node 24 gives no code', () => {
  test.each([
    ['Input/output error', 'EIO', 'free space'],
    ['Disk quota exceeded', 'EDQUOT', 'quota'],
    ['Read-only file system', 'EROFS', 'read-only'],
  ])('%s is IO_ERROR with %s', (words, code, hint) => {
    const thrown = Object.assign(new Error(`, Unknown error: ${words} '/x'`), {
      errno: -4094,
      code: '',
      syscall: 'rm',
    });
    expect(asIoError(thrown, 'removing /x')).toMatchObject({
      code: 'IO_ERROR',
      message: `removing /x: ${code}: ${words} '/x'`,
      hint: expect.stringContaining(hint),
      details: { errno: code },
    });
  });
});

describe.runIf(process.platform === 'linux')('errors that libuv has no name for', () => {
  test.each([
    [-122, 'EDQUOT', 'quota'],
    [-117, 'EUCLEAN', 'fsck'],
    [-116, 'ESTALE', 'network file system'],
    [-119, 'E119', 'free space'],
  ])('error %d is IO_ERROR with %s', (errno, code, hint) => {
    const message = `Unknown system error ${errno}: Unknown system error ${errno}, mkdir '/x'`;
    const thrown = Object.assign(new Error(message), {
      errno,
      code: `Unknown system error ${errno}`,
      syscall: 'mkdir',
    });
    expect(asIoError(thrown, 'making /x')).toMatchObject({
      code: 'IO_ERROR',
      message: `making /x: ${code}, mkdir '/x'`,
      hint: expect.stringContaining(hint),
      details: { errno: code },
    });
  });
});
