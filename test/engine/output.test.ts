import fs from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { beforeEach, expect, onTestFinished, test } from 'vitest';
import { tailOf } from '../../src/engine/attempt/output.ts';
import { logFile } from '../../src/store/file/attempt-files.ts';

let dir: string;
beforeEach(() => {
  dir = fs.mkdtempSync(path.join(os.tmpdir(), 'forge-output-'));
  onTestFinished(() => fs.rmSync(dir, { recursive: true, force: true }));
  fs.mkdirSync(path.join(dir, 'logs'));
});

test('is empty where nothing was written', () => {
  expect(tailOf(dir)).toEqual({ stdout: '', stderr: '' });
  fs.rmSync(path.join(dir, 'logs'), { recursive: true });
  expect(tailOf(dir)).toEqual({ stdout: '', stderr: '' });
});

test('is each stream by itself, safe to show', () => {
  fs.writeFileSync(logFile(dir, 'stdout'), 'out\r\n\u001b[31mred\u001b[0m\n');
  fs.writeFileSync(logFile(dir, 'stderr'), '\u001b]0;title\u0007err');
  expect(tailOf(dir)).toEqual({ stdout: 'out\nred\n', stderr: 'err' });
});

test('is the last 16 KiB of a long log', () => {
  fs.writeFileSync(logFile(dir, 'stdout'), `${'a'.repeat(20_000)}${'b'.repeat(16 * 1024)}`);
  expect(tailOf(dir).stdout).toBe('b'.repeat(16 * 1024));
});
