/** A git that would wait for a pipe is ended, and the pipe named. */

import { execFileSync } from 'node:child_process';
import fs from 'node:fs';
import path from 'node:path';
import { describe, expect, test } from 'vitest';
import { git } from '../../src/git/git.ts';
import { folder } from '../support/cli.ts';
import { varied } from '../support/faults/knobs.ts';
import { refused } from '../support/refused.ts';
import { GIT_ENV, Repository } from '../support/repository.ts';

/** A repository with a worktree, and a pipe in the place of `file`. `.git/w` stands for the git folder of the worktree. */
function withPipe(file: string) {
  const repo = new Repository(folder());
  repo.commit({ 'a.txt': 'a' });
  const worktree = `${folder()}/w`;
  repo.git('worktree', 'add', '--quiet', '-b', 'work', worktree);
  const pipe = file.startsWith('w/') ? `${worktree}/${file.slice(2)}` : repo.path(file.replace('/w/', '/worktrees/w/'));
  fs.mkdirSync(path.dirname(pipe), { recursive: true });
  fs.rmSync(pipe, { force: true });
  execFileSync('mkfifo', [pipe]);
  return { pipe, options: { cwd: worktree, env: GIT_ENV } };
}

describe('a git that waits for a pipe', () => {
  test.each(
    varied(
      [
        '.git/refs/heads/work',
        '.git/packed-refs',
        '.git/w/HEAD',
        '.git/w/commondir',
        '.git/objects/info/alternates',
        'w/.gitignore',
      ],
      2,
    ),
  )('is ended, and so is every later one while there is one in the place of %s', async (file) => {
    const { pipe, options } = withPipe(file);
    const status = () => git(['status', '--porcelain', '--branch'], options);
    const error = await refused(status);
    expect(error).toMatchObject({ code: 'IO_ERROR', message: expect.stringContaining(`wait for ${pipe}, a pipe`) });
    expect(await refused(status)).toMatchObject({ details: { pipe } });
    fs.rmSync(pipe);
    expect(await status()).toMatchObject({ stderr: expect.not.stringContaining('pipe') });
  });
});
