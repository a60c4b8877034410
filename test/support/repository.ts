/** A real git repository around a project, and a git without the settings of the machine. */

import { execFileSync } from 'node:child_process';
import fs from 'node:fs';
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

export class Repository {
  readonly root: string;

  /** Makes a repository in `root`, whose branch is `main`; nothing is committed. */
  constructor(root: string) {
    this.root = root;
    fs.mkdirSync(root, { recursive: true });
    this.git('init', '--quiet', '--initial-branch=main');
    this.git('config', 'user.useConfigOnly', 'true');
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
    this.in(dir, 'commit', '--quiet', '--message', Object.keys(files).join(' '));
    return this.in(dir, 'rev-parse', 'HEAD');
  }

  /** Makes a branch with one more commit than `from`, without a checkout. Returns that commit. */
  branch(name: string, files: Record<string, string>, from = 'main'): string {
    const dir = fs.mkdtempSync(`${fs.realpathSync(path.dirname(this.root))}/branch-`);
    this.git('worktree', 'add', '--quiet', '--no-track', '-b', name, `${dir}/tree`, from);
    const commit = this.commit(files, `${dir}/tree`);
    this.git('worktree', 'remove', `${dir}/tree`);
    fs.rmSync(dir, { recursive: true });
    return commit;
  }

  /** The state of the repository: refs, worktrees and the status of the main checkout. */
  standing(): string {
    return [['for-each-ref'], ['worktree', 'list', '--porcelain'], ['status', '--porcelain', '--untracked-files=no']]
      .map((args) => this.git(...args))
      .join('\n');
  }
}
