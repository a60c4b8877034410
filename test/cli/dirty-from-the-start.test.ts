/** Files that git calls changed in an untouched worktree do not count as uncommitted work. */

import fs from 'node:fs';
import { describe, expect, test } from 'vitest';
import { type Finishing, finishing, WORK } from '../support/finishing.ts';

const SETTINGS = 'ship: {policy: merge}\nretry: {max_attempts: 2, base: 1ms}\nverify: {commands: [test -e build.txt]}';

function crlf({ repo }: Finishing): void {
  repo.commit({ 'win.txt': 'a\r\nb\r\n' });
  repo.commit({ '.gitattributes': '*.txt text eol=lf\n' });
}

function hook({ repo }: Finishing): void {
  repo.commit({ 'win.txt': 'a\n' });
  const file = '.git/hooks/post-checkout';
  repo.write(file, '#!/bin/sh\necho generated >> win.txt; echo new > made\n');
  fs.chmodSync(repo.path(file), 0o755);
}

async function run(prepare: (play: Finishing) => void, command: string) {
  const play = finishing([`id: build, title: B, run: '${command}'`], SETTINGS);
  prepare(play);
  const { code } = await play.forge('run');
  return { play, code };
}

// What a worker commits with `git add -A` would take what a hook has made along.
const OWN = WORK.replace('git add -A', 'git add build.txt');

describe.each([
  ['line endings', crlf],
  ['a hook', hook],
])('with %s', (_what, prepare) => {
  test('work is verified and merged although files differ from their commit from the start', async () => {
    const { play, code } = await run(prepare, `touch *; ${OWN}`);
    expect(code).toBe(0);
    expect(await play.state('build')).toMatchObject({ state: 'shipped', failure_count: 0 });
  });

  test('such a file that a worker has changed is uncommitted work', async () => {
    const { play, code } = await run(prepare, `echo mine >> win.txt; test -e build.txt || { ${OWN}; }`);
    expect(code).toBe(1);
    expect((await play.state('build'))['last_error']).toMatchObject({
      class: 'verify.uncommitted',
      message: expect.stringContaining('win.txt'),
    });
  });
});

test('what an earlier attempt has left uncommitted is not there from the start', async () => {
  const { play, code } = await run(() => {}, `test -e stray || echo x > stray; test -e build.txt || { ${OWN}; }`);
  expect(code).toBe(1);
  expect(await play.state('build')).toMatchObject({ failure_count: 2, last_error: { class: 'verify.uncommitted' } });
});

test('a git-lfs that is not installed is named with the way out, by the run and by doctor', async () => {
  const play = finishing([`id: build, title: B, run: '${WORK}'`], SETTINGS);
  for (const [key, value] of [
    ['clean', 'cat'],
    ['smudge', 'git-lfs-not-there smudge'],
    ['required', 'true'],
  ] as const)
    play.repo.git('config', `filter.lfs.${key}`, value);
  play.repo.commit({ '.gitattributes': '*.bin filter=lfs -text\n', 'big.bin': 'version 1\n' });
  const { code, stderr } = await play.forge('run');
  expect(code).toBe(4);
  expect(stderr.replaceAll(/\s+/g, ' ')).toContain("the filter git-lfs can't run here. Install git-lfs");
  const checks = (await play.forge('doctor', '--json')).json().data.checks as { name: string; status: string }[];
  expect(checks.find(({ name }) => name === 'filters')).toMatchObject({
    status: 'fail',
    message: expect.stringContaining('big.bin is stored by LFS'),
    fix: expect.stringContaining('Install git-lfs'),
  });
  play.repo.git('config', 'filter.lfs.required', 'false');
  expect((await play.forge('run')).code).toBe(0);
});
