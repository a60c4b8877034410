import { execFileSync } from 'node:child_process';
import { mkdtempSync, rmdirSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { expect, test } from 'vitest';
import { newId } from '../../src/domain/context.ts';
import { isUuid } from '../../src/lib/ids.ts';
import { identifyOwner } from '../../src/process/processes.ts';
import { systemContext } from '../../src/process/system-context.ts';
import { bundle } from '../support/bundle.ts';

test('ids of one context are UUIDs, differ, and sort by time', () => {
  const context = systemContext();
  const ids = Array.from({ length: 100 }, () => newId(context));
  expect(ids.every(isUuid)).toBe(true);
  expect(new Set(ids).size).toBe(100);
  const later = newId({ ...context, now: () => context.now() + 2 });
  expect(later > (ids[99] ?? '')).toBe(true);
});

test('randomBytes returns the requested number of bytes and does not repeat', () => {
  const { randomBytes } = systemContext();
  expect(randomBytes(0)).toHaveLength(0);
  expect(randomBytes(1000)).toHaveLength(1000);
  expect(randomBytes(16)).not.toEqual(randomBytes(16));
});

test('the monotonic clock is the same for all processes', () => {
  const { monotonicMs } = systemContext();
  const before = monotonicMs();
  const other = Number(
    execFileSync(process.execPath, ['-p', 'process.hrtime.bigint() / 1000000n'], { encoding: 'utf8' }).replace('n', ''),
  );
  expect(Number.isInteger(before)).toBe(true);
  expect(other).toBeGreaterThanOrEqual(before);
  expect(other).toBeLessThanOrEqual(monotonicMs());
});

test('the context knows its own process', () => {
  const context = systemContext();
  const owner = identifyOwner(context.pid);
  expect(context.cwd).toBe(process.cwd());
  expect(owner).toMatchObject(context.machine());
  expect(owner !== null && context.liveness(owner)).toBe('alive');
});

test('a working directory that was removed is a user-facing error', async () => {
  const helper = await bundle(fileURLToPath(new URL('../support/process/nowhere.ts', import.meta.url)));
  const folder = mkdtempSync(join(tmpdir(), 'forge-test-'));
  const script = 'rmdir "$1" && shift && exec "$@"';
  const args = ['-c', script, 'sh', folder, process.execPath, helper];
  const answer = execFileSync('/bin/sh', args, { cwd: folder, encoding: 'utf8' });
  expect(JSON.parse(answer)).toEqual({ code: 'IO_ERROR', message: 'the current directory no longer exists' });
  expect(() => rmdirSync(folder)).toThrow();
});
