/** What counts of git's own files, which every worker can write: `gitSetup`, and how a change of it is named. */

import fs from 'node:fs';
import { beforeEach, describe, expect, test } from 'vitest';
import { openSession, type Session } from '../../src/commands/shared/session.ts';
import { gitSetup, setupChange } from '../../src/git/setup.ts';
import { ensureWorkspace } from '../../src/git/worktree.ts';
import { World } from '../support/commands/world.ts';
import { repositoryOf } from '../support/git/world.ts';
import { GIT_ENV, Repository } from '../support/repository.ts';

let world: World;
let repo: Repository;
let home: string;

beforeEach(() => {
  world = new World(null, null);
  repo = repositoryOf(world);
  home = repo.path('.forge/home');
  fs.mkdirSync(`${home}/.config/git`, { recursive: true });
  fs.writeFileSync(`${home}/.gitconfig`, '[alias]\n\tst = status\n');
});

function session(): Promise<Session> {
  const { GIT_CONFIG_GLOBAL: _, ...env } = GIT_ENV;
  const ctx = { ...world.context.ctx, env: { ...env, HOME: home }, cwd: repo.root };
  return openSession({ ...world.context, ctx });
}

/** What is reported of the change that the shell script `change` makes, in the project or in a worktree; null for none. */
async function told(change: string, inWorktree = false): Promise<string | null> {
  const env = await session();
  const place = inWorktree ? (await ensureWorkspace(env, { id: 'build', depends_on: [] })).cwd : null;
  const before = await gitSetup(env, place);
  repo.write('.forge/change.sh', `set -e\nexport HOME=${home}\nunset GIT_CONFIG_GLOBAL\n${change}\n`);
  repo.sh(repo.path('.forge/change.sh'), place ?? repo.root);
  return (await setupChange(env, place, before?.digests ?? {}))?.text ?? null;
}

describe('the setup of git', () => {
  test.each([
    ['a filter', 'git config filter.x.clean cat', 'config filter.x.clean'],
    ['a text conversion', 'git config diff.x.textconv cat', 'config diff.x.textconv'],
    ['a merge driver', 'git config merge.x.driver true', 'config merge.x.driver'],
    ['an included file', 'git config include.path /dev/null', 'config include.path'],
    ['a conditional include', 'git config includeIf.onbranch:x.path /a', 'config includeif.onbranch:x.path'],
    ['options of a merge', 'git config branch.main.mergeOptions --strategy=ours', 'config branch.main.mergeoptions'],
    ['a program of a remote', 'git config remote.o.uploadpack /bin/x', 'config remote.o.uploadpack'],
    ['a command of a submodule', 'git config submodule.lib.update "!x"', 'config submodule.lib.update'],
    ['an alias', 'git config alias.st "!x"', 'config alias.st'],
    ['attributes', 'mkdir -p .git/info; echo "*.txt -diff" > .git/info/attributes', 'info/attributes'],
    ['a graft', 'mkdir -p .git/info; git rev-parse HEAD > .git/info/grafts', 'info/grafts'],
    ['a commit cut from its parents', 'git rev-parse HEAD > .git/shallow', 'shallow'],
    ['borrowed objects', 'echo /tmp > .git/objects/info/alternates', 'objects/info/alternates'],
    ['a hook', 'mkdir -p .git/hooks; echo > .git/hooks/pre-push; chmod +x .git/hooks/pre-push', 'hooks (now pre-push)'],
    ['another program that signs', 'git config gpg.program /bin/x', 'config gpg.program'],
    ['another key that signs', 'git config user.signingKey x', 'config user.signingkey'],
    ["the user's signing", 'git config --global commit.gpgsign false', 'config commit.gpgsign'],
    ["the user's program that signs", 'git config --global gpg.ssh.program /bin/x', 'config gpg.ssh.program'],
    ["the user's filter", 'git config --global filter.x.smudge cat', 'config filter.x.smudge'],
  ])('has changed with %s', async (_, change, text) => {
    expect(await told(change)).toBe(text);
  });

  test('the setup of git has changed with a replaced commit, named by its ref', async () => {
    const head = repo.git('rev-parse', 'HEAD');
    const other = repo.commit({ 'code.txt': 'two\n' });
    expect(await told(`git replace ${head} ${other}`)).toBe(`refs/replace (now refs/replace/${head})`);
  });

  test('the setup of git is the same when git packs the refs that replace objects', async () => {
    repo.git('replace', repo.git('rev-parse', 'HEAD'), repo.commit({ 'code.txt': 'two\n' }));
    expect(await told('git pack-refs --all')).toBeNull();
    expect(await told('git replace -d $(git replace)')).toBe('refs/replace');
  });

  test('the setup of git has changed with another folder of hooks and with what is in that folder', async () => {
    expect(await told(`git config core.hooksPath ${home}`)).toMatch(/^config core\.hookspath/);
    expect(await told(`echo > ${home}/pre-commit; chmod +x ${home}/pre-commit`)).toBe('hooks (now pre-commit)');
    expect(await told(`echo other > ${home}/pre-commit`)).toBe('hooks (now pre-commit)');
  });

  test("the setup of git has changed with the user's own attributes", async () => {
    const file = `${home}/.config/git/attributes`;
    expect(await told(`echo "*.txt -diff" > ${file}`)).toBe(file);
  });

  test('the setup of git has changed with settings that a worktree has alone', async () => {
    repo.git('config', 'extensions.worktreeConfig', 'true');
    expect(await told('git config --worktree filter.x.smudge cat', true)).toBe('config.worktree');
  });

  test('the setup of git has changed with a setting that is gone', async () => {
    repo.git('config', 'filter.x.clean', 'cat');
    expect(await told('git config --remove-section filter.x')).toBe('config filter.x.clean');
  });

  test('the setup of git is the same after changes that run nothing and change no bytes', async () => {
    const changes = [
      'git config user.name w',
      'git config branch.forge/build.remote origin',
      'git remote add fork https://example.org/x.git',
      'git config submodule.lib.url https://example.org/lib.git; git config submodule.lib.active true',
      'git config lfs.repositoryformatversion 0',
      'git config lfs.https://example.org/x.git/info/lfs.access basic',
      'git config --global alias.co checkout',
      'git config --global --add safe.directory /x',
      'mkdir -p .git/hooks; echo > .git/hooks/pre-push.sample',
      'git branch other; git tag t; git gc --quiet',
    ];
    expect(await told(changes.join('\n'))).toBeNull();
  });

  test.each([
    ['a folder in place of attributes', 'mkdir -p .git/info/attributes', 'info/attributes'],
    ['a pipe in place of attributes', 'mkdir -p .git/info; mkfifo .git/info/attributes', 'info/attributes'],
    ['attributes without end', 'mkdir -p .git/info; truncate -s 1T .git/info/attributes', 'info/attributes'],
    ['symlinks in a circle', 'mkdir -p .git/info; ln -s attributes .git/info/attributes', 'info/attributes'],
    ['a folder among the replaced objects', 'mkdir -p .git/refs/replace/x', 'refs/replace (now refs/replace/x)'],
    [
      'settings that git can not read',
      'echo "[x" >> .git/config',
      /^config \(now bad config line \d+ in file .git\/config\)/,
    ],
  ])('has changed with %s', async (_, change, text) => {
    expect(await told(change)).toEqual(typeof text === 'string' ? text : expect.stringMatching(text));
  });

  test.each(['config', 'index', 'HEAD'])(
    'has changed, and git is not asked, with a pipe in place of %s',
    async (file) => {
      expect(await told(`rm .git/${file}; mkfifo .git/${file}`)).toMatch(new RegExp(`\\b${file}\\b`));
    },
  );

  test('the setup of git has changed with a pipe in place of the index of a worktree', async () => {
    const pipe = 'I=$(git rev-parse --absolute-git-dir)/index; rm $I; mkfifo $I';
    expect(await told(pipe, true)).toContain('index of the worktree');
  });

  test.each(['gitdir:**/worktrees/**', 'onbranch:forge/**'])(
    'has changed with what %s includes in a worktree',
    async (condition) => {
      repo.git('config', `includeIf.${condition}.path`, `${home}/more`);
      expect(await told(`echo '[filter "x"] clean = cat' > ${home}/more`, true)).toBe(
        'config filter.x.clean of the worktree',
      );
    },
  );

  test('the setup of git is the same with a hook that can not be started, since it leads nowhere', async () => {
    expect(await told('mkdir -p .git/hooks; ln -s pre-push .git/hooks/pre-push')).toBeNull();
  });

  test('the setup of git has changed with a hook or a setting of a submodule, and not with a submodule that was just filled', async () => {
    const lib = new Repository(repo.path('.forge/lib'));
    lib.commit({ 'tool.sh': 'one\n' });
    const fill = `git -c protocol.file.allow=always submodule --quiet add ${lib.root} vendor/lib`;
    expect(await told(fill)).toBeNull();
    expect(
      await told('echo > .git/modules/vendor/lib/hooks/pre-push; chmod +x .git/modules/vendor/lib/hooks/pre-push'),
    ).toBe('submodule vendor/lib (now pre-push)');
    expect(await told('git -C vendor/lib config core.fsmonitor ./x')).toBe(
      'submodule vendor/lib (now core.fsmonitor, pre-push)',
    );
    expect(await told('git -C vendor/lib config core.worktree /tmp')).toContain('core.worktree');
    expect(await told('echo "* -text" > .git/modules/vendor/lib/info/attributes')).toContain('info/attributes');
    repo.git('commit', '--quiet', '--message', 'lib');
    const hook = 'C=$(git -C vendor/lib rev-parse --git-dir); echo > $C/hooks/pre-push; chmod +x $C/hooks/pre-push';
    expect(await told(hook, true)).toBe('submodule vendor/lib of the worktree (now pre-push)');
  });

  test('the setup of git is null outside of a repository', async () => {
    fs.rmSync(repo.path('.git'), { recursive: true });
    expect(await gitSetup(await session(), null)).toBeNull();
  });
});
