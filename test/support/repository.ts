/** A real git repository around a project, and a git without the settings of the machine. */

import { execFileSync } from 'node:child_process';
import fs from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';

/** The environment of git in tests, forge's own included: no identity, and only the repository's settings. */
export const GIT_ENV = {
  PATH: process.env['PATH'] ?? '',
  HOME: '/nonexistent',
  GIT_CONFIG_NOSYSTEM: '1',
  GIT_CONFIG_GLOBAL: '/dev/null',
  // git must not make up an identity from the names of the user and the machine.
  GIT_CONFIG_COUNT: '0',
};

const AUTHOR = ['-c', 'user.name=Ann', '-c', 'user.email=ann@example.org'];

/** A repository without a commit, made by git once in a test file: a copy takes less than the processes of another one. */
function template(): string {
  const home = path.join(tmpdir(), 'repository-without-a-commit');
  if (!fs.existsSync(home)) {
    fs.mkdirSync(home);
    const init = ['init', '--quiet', '--initial-branch=main', '--template='];
    execFileSync('git', init, { cwd: home, env: GIT_ENV, stdio: 'pipe' });
    // A commit starts no other process that tidies up.
    fs.appendFileSync(`${home}/.git/config`, '[user]\n\tuseConfigOnly = true\n[maintenance]\n\tauto = false\n');
    fs.mkdirSync(`${home}/.git/info`);
  }
  return `${home}/.git`;
}

export class Repository {
  readonly root: string;

  /** Makes a repository in `root`, whose branch is `main`; nothing is committed. One that is there already stays as it is. */
  constructor(root: string) {
    this.root = root;
    if (!fs.existsSync(this.path('.git'))) fs.cpSync(template(), this.path('.git'), { recursive: true });
  }

  /** What git prints, without the newline at the end. Fails when git does. */
  git(...args: string[]): string {
    return this.in(this.root, ...args);
  }

  /** The same in another folder. */
  in(dir: string, ...args: string[]): string {
    return execFileSync('git', [...AUTHOR, ...args], {
      cwd: dir,
      env: GIT_ENV,
      encoding: 'utf8',
      stdio: 'pipe',
    }).trimEnd();
  }

  /** The output of a shell script that uses this git. */
  sh(script: string, dir = this.root): string {
    return execFileSync('sh', [script], { cwd: dir, env: GIT_ENV, encoding: 'utf8', stdio: 'pipe' }).trimEnd();
  }

  path(...names: string[]): string {
    return path.join(this.root, ...names);
  }

  write(name: string, text: string, dir = this.root): void {
    fs.mkdirSync(path.dirname(path.join(dir, name)), { recursive: true });
    fs.writeFileSync(path.join(dir, name), text);
  }

  /** Writes and commits files in the main checkout, or in another folder. Returns the new commit. */
  commit(files: Record<string, string>, dir = this.root): string {
    for (const [name, text] of Object.entries(files)) this.write(name, text, dir);
    this.in(dir, 'add', '--', ...Object.keys(files));
    const said = this.in(dir, '-c', 'core.abbrev=no', 'commit', '--message', Object.keys(files).join(' '));
    const commit = /^\[.* ([0-9a-f]{40})\]/.exec(said)?.[1];
    if (commit === undefined) throw new Error(`git has not named its commit: ${said}`);
    return commit;
  }

  /** Makes a branch with one more commit than `from`, without a checkout. Returns that commit. */
  branch(name: string, files: Record<string, string>, from = 'main'): string {
    const data = (text: string) => `data ${Buffer.byteLength(text)}\n${text}\n`;
    const seconds = Math.floor(Date.now() / 1000);
    const input = [
      `commit refs/heads/${name}\nmark :1\ncommitter Ann <ann@example.org> ${seconds} +0000\n`,
      data(Object.keys(files).join(' ')),
      `from ${from}^0\n`,
      ...Object.entries(files).map(([file, text]) => `M 100644 inline ${file}\n${data(text)}`),
      'get-mark :1\n',
    ];
    return execFileSync('git', ['fast-import', '--quiet'], {
      cwd: this.root,
      env: GIT_ENV,
      encoding: 'utf8',
      input: input.join(''),
    }).trimEnd();
  }

  /** The state of the repository: refs, worktrees and the status of the main checkout. */
  standing(): string {
    return [['for-each-ref'], ['worktree', 'list', '--porcelain'], ['status', '--porcelain', '--untracked-files=no']]
      .map((args) => this.git(...args))
      .join('\n');
  }
}
