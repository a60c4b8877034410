/** Git as forge runs it: without prompts, without the caller's git environment, and with limits. */

import fs from 'node:fs';
import path from 'node:path';
import { beforeEach, describe, expect, test } from 'vitest';
import { git, gitOk } from '../../src/git/git.ts';
import { bundle } from '../support/bundle.ts';
import { startHelper } from '../support/processes.ts';
import { refused } from '../support/refused.ts';
import { GIT_ENV, Repository } from '../support/repository.ts';
import { emptyFolder } from '../support/store/tree.ts';

let repo: Repository;
beforeEach(() => {
  repo = new Repository(path.join(emptyFolder(), 'repo'));
});

const options = (env: Record<string, string> = {}) => ({ cwd: repo.root, env: { ...GIT_ENV, ...env } });

test('an exit code of git is a result', async () => {
  expect(await git(['rev-parse', '--show-toplevel'], options())).toEqual({
    code: 0,
    stdout: `${repo.root}\n`,
    stderr: '',
  });
  expect(await git(['rev-parse', '--verify', '--quiet', 'HEAD'], options())).toMatchObject({ code: 1, stdout: '' });
});

test("an unexpected exit code of git is an error with git's words", async () => {
  const error = await refused(() => gitOk(['rev-parse', 'nowhere', '--'], options()));
  expect(error).toMatchObject({ code: 'IO_ERROR', message: "git rev-parse nowhere --: bad revision 'nowhere'" });
  expect((await gitOk(['rev-parse', 'nowhere', '--'], options(), [128])).code).toBe(128);
});

test('a process without free file descriptors reports that git cannot be started', async () => {
  const helper = startHelper(
    await bundle(path.join(import.meta.dirname, '../support/git/git-without-files.ts')),
    repo.root,
  );
  expect(await helper.next()).toEqual({ code: 'IO_ERROR', message: expect.stringContaining('EMFILE') });
  expect(await helper.ended).toEqual({ code: 0, signal: null });
});

test('git ignores the repository that the environment names', async () => {
  const other = new Repository(path.join(emptyFolder(), 'other'));
  const hostile = {
    GIT_DIR: other.path('.git'),
    GIT_WORK_TREE: other.root,
    GIT_INDEX_FILE: '/nowhere',
    GIT_PREFIX: 'x/',
  };
  expect((await git(['rev-parse', '--show-toplevel'], options(hostile))).stdout).toBe(`${repo.root}\n`);
});

describe('git without prompts', () => {
  test('git gets no terminal that a signing program could prompt on', async () => {
    const shown = await git(['-c', 'alias.shown=!echo "<$GPG_TTY>"', 'shown'], options({ GPG_TTY: '/dev/tty' }));
    expect(shown.stdout).toBe('<>\n');
  });

  test('git does not prompt for a password, not even by a helper of the user', async () => {
    const asked = path.join(emptyFolder(), 'asked');
    const asker = path.join(path.dirname(asked), 'asker');
    fs.writeFileSync(asker, `#!/bin/sh\ntouch ${asked}\necho secret\n`, { mode: 0o755 });
    repo.git('config', 'core.askPass', asker);
    const env = { GIT_ASKPASS: asker, SSH_ASKPASS: asker, DISPLAY: ':9' };
    repo.git(
      'config',
      'alias.ask',
      "!printf 'protocol=https\\nhost=example.org\\nusername=ann\\n\\n' | git credential fill",
    );
    const { stdout } = await git(['-c', 'credential.helper=', 'ask'], options(env));
    // The helper that always agrees and says nothing.
    expect(stdout).toContain('password=\n');
    expect(stdout).not.toContain('secret');
    expect(fs.existsSync(asked)).toBe(false);
  });

  test('git does not open an editor for a message', async () => {
    repo.commit({ a: '1' });
    const env = {
      GIT_EDITOR: 'false',
      EDITOR: 'false',
      GIT_AUTHOR_NAME: 'a',
      GIT_AUTHOR_EMAIL: 'a',
      GIT_COMMITTER_NAME: 'a',
      GIT_COMMITTER_EMAIL: 'a',
    };
    expect((await git(['commit', '--amend', '--allow-empty'], options(env))).code).toBe(0);
  });

  test('git and its hooks have no terminal and an empty stdin', async () => {
    repo.commit({ a: '1' });
    repo.write('.git/hooks/post-checkout', '#!/bin/sh\ncat >stdin\n(: </dev/tty) 2>/dev/null && touch tty\nexit 0\n');
    fs.chmodSync(repo.path('.git/hooks/post-checkout'), 0o755);
    expect((await git(['checkout', '-b', 'x'], { ...options(), acts: true })).code).toBe(0);
    expect(fs.readFileSync(repo.path('stdin'), 'utf8')).toBe('');
    expect(fs.existsSync(repo.path('tty'))).toBe(false);
  });
});

test('git that only looks runs no hook of the repository', async () => {
  repo.commit({ a: '1' });
  repo.write('.git/hooks/reference-transaction', '#!/bin/sh\ntouch ran\n');
  fs.chmodSync(repo.path('.git/hooks/reference-transaction'), 0o755);
  const { stdout: head } = await git(['rev-parse', 'HEAD'], options());
  expect((await git(['update-ref', 'refs/forge/x', head.trim()], options())).code).toBe(0);
  expect(fs.existsSync(repo.path('ran'))).toBe(false);
});

describe('limits of git', () => {
  test('a git command that takes too long is killed with its children', async () => {
    repo.commit({ a: '1' });
    repo.git('config', 'alias.stuck', '!cat .git/fifo');
    repo.in(repo.root, '-c', 'alias.fifo=!mkfifo .git/fifo', 'fifo');
    const error = await refused(() => git(['stuck'], { ...options(), timeoutMs: 100 }));
    expect(error).toMatchObject({ code: 'IO_ERROR', message: 'git stuck: took longer than 0.1 s and was stopped' });
  });

  test('a git command that prints without end is killed', async () => {
    repo.git('config', 'alias.flood', '!yes');
    expect((await refused(() => git(['flood'], options()))).message).toContain('printed more than 16777216 bytes');
  });

  test('a killed git command is an error, not a result', async () => {
    repo.git('config', 'alias.dead', '!kill -9 $PPID');
    expect((await refused(() => git(['dead'], options()))).message).toBe('git dead: was ended by SIGKILL');
  });

  test('a hook with a background process does not delay the git command', async () => {
    repo.commit({ a: '1' });
    // It keeps stdout and stderr open, since the fifo is never opened.
    repo.write('.git/hooks/post-checkout', '#!/bin/sh\nmkfifo .git/fifo\n(cat .git/fifo; :) &\n');
    fs.chmodSync(repo.path('.git/hooks/post-checkout'), 0o755);
    try {
      expect((await git(['checkout', '-b', 'x'], { ...options(), acts: true })).code).toBe(0);
    } finally {
      fs.writeFileSync(repo.path('.git/fifo'), '', { flag: 'r+' });
    }
  });
});

describe('missing git or folder', () => {
  test('a missing git is reported', async () => {
    const error = await refused(() => git(['status'], { cwd: repo.root, env: { PATH: emptyFolder() } }));
    expect(error).toMatchObject({ code: 'IO_ERROR', message: expect.stringContaining('not installed') });
    expect(error.hint).toContain('workspace: none');
  });

  test('a missing folder is reported', async () => {
    const error = await refused(() => git(['status'], { cwd: repo.path('gone'), env: GIT_ENV }));
    expect(error.message).toBe(`git status: there is no folder ${repo.path('gone')}`);
  });
});
