/** Which processes may hold a lock of git. Root sees the files of all of them, so tests that root runs ask as another user. */

import { execFileSync, spawn, spawnSync } from 'node:child_process';
import { chmodSync, chownSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import type { Writable } from 'node:stream';
import { expect, onTestFinished, test } from 'vitest';
import { bundle } from '../support/bundle.ts';
import { describeUnless } from '../support/possible.ts';
import { until } from '../support/processes.ts';

const NOBODY = { uid: 65534, gid: 65534 };
const user = process.geteuid?.() === 0 ? NOBODY : {};

function noOther(): string | null {
  if (process.platform !== 'linux') return 'Linux only';
  return spawnSync(process.execPath, ['--version'], { ...user, cwd: '/' }).status === 0 ? null : 'no other user';
}

describeUnless(noOther(), 'a lock of git', () => {
  test('a git that has ended, and that its parent has not waited for, holds no lock', async () => {
    // Beside the folder of this test file, which is closed to others.
    const folder = mkdtempSync(path.join(path.dirname(tmpdir()), 'forge-lock-'));
    onTestFinished(() => rmSync(folder, { recursive: true }));
    const lock = path.join(folder, 'index.lock');
    writeFileSync(lock, '');
    chmodSync(folder, 0o755);
    if (user === NOBODY) chownSync(lock, NOBODY.uid, NOBODY.gid);

    const script = 'git hash-object --stdin <&3 > /dev/null & echo $!; kill -STOP $$';
    const stdio = ['ignore', 'pipe', 'inherit', 'pipe'] as const;
    const parent = spawn('/bin/sh', ['-c', script], { ...user, cwd: '/', stdio: [...stdio] });
    onTestFinished(() => void parent.kill('SIGKILL'));
    let said = '';
    parent.stdout?.on('data', (text) => {
      said += text;
    });
    const stateOf = (pid: unknown) => /^State:\s+(\w)/m.exec(readFileSync(`/proc/${pid}/status`, 'latin1'))?.[1];
    const pid = await until('the id of the git', () => /^\d+\n/.test(said) && said.trim());
    await until('its parent is stopped', () => stateOf(parent.pid) === 'T');
    (parent.stdio[3] as Writable).end();
    await until('its end', () => stateOf(pid) === 'Z');

    const asking = readFileSync(await bundle(path.join(import.meta.dirname, '../support/process/holding.ts')), 'utf8');
    const args = ['--input-type=module', '-', JSON.stringify({ lock, folders: [folder] })];
    const answer = execFileSync(process.execPath, args, { ...user, cwd: '/', input: asking, encoding: 'utf8' });
    expect(answer).toBe('free\n');
  });
});
