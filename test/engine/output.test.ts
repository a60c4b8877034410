import fs from 'node:fs';
import path from 'node:path';
import { beforeEach, expect, test } from 'vitest';
import { tailOf } from '../../src/engine/attempt/output.ts';
import type { AttemptArtifacts } from '../../src/store/port.ts';
import { id, Tree } from '../support/store/tree.ts';

const ATTEMPT = { taskId: 'build', attemptId: id(11) };

let artifacts: AttemptArtifacts;
beforeEach(() => {
  artifacts = new Tree().artifacts;
  artifacts.openLogs(ATTEMPT).close();
});

test('the tail of an attempt that has written nothing is empty', () => {
  expect(tailOf(artifacts, ATTEMPT)).toEqual({ stdout: '', stderr: '' });
  fs.rmSync(path.dirname(artifacts.logPath(ATTEMPT, 'stdout.log')), { recursive: true });
  expect(tailOf(artifacts, ATTEMPT)).toEqual({ stdout: '', stderr: '' });
});

test('the tail of an attempt has each stream separately, without control characters', () => {
  fs.writeFileSync(artifacts.logPath(ATTEMPT, 'stdout.log'), 'out\r\n\u001b[31mred\u001b[0m\n');
  fs.writeFileSync(artifacts.logPath(ATTEMPT, 'stderr.log'), '\u001b]0;title\u0007err');
  expect(tailOf(artifacts, ATTEMPT)).toEqual({ stdout: 'out\nred\n', stderr: 'err' });
});

test('the tail of an attempt has of a line that was drawn again and again what it showed last', () => {
  const clear = '\u001b[2K\u001b[1G';
  fs.writeFileSync(artifacts.logPath(ATTEMPT, 'stdout.log'), `10%\r20%\rdone\r\r\n${clear}| a${clear}/ a${clear}ok\n`);
  fs.writeFileSync(artifacts.logPath(ATTEMPT, 'stderr.log'), 'one\r\n1%\r2%\r');
  expect(tailOf(artifacts, ATTEMPT)).toEqual({ stdout: 'done\nok\n', stderr: 'one\n2%' });
});

test('the tail of a long log is its last 16 KiB', () => {
  const text = `${'a'.repeat(20_000)}${'b'.repeat(16 * 1024)}`;
  fs.writeFileSync(artifacts.logPath(ATTEMPT, 'stdout.log'), text);
  expect(tailOf(artifacts, ATTEMPT).stdout).toBe('b'.repeat(16 * 1024));
});
