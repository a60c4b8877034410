/** A repository that was just cloned is only looked at: nothing that it brought along is started. */

import { spawnSync } from 'node:child_process';
import fs from 'node:fs';
import path from 'node:path';
import { beforeAll, describe, expect, test } from 'vitest';
import { environment, FORGE, folder, orchestrate } from '../support/cli.ts';
import { Repository } from '../support/repository.ts';

const LOOKS = [
  [],
  ['status'],
  ['phases', '--ready'],
  ['why', 'a'],
  ['show', 'a'],
  ['logs', 'a'],
  ['questions'],
  ['doctor'],
  ['gc', '--dry-run'],
  ['run', '--dry-run'],
  ['run', 'list'],
  ['render-worker-prompt', 'a'],
] as const;

const PLAN = 'project: t\nphases:\n  - id: p\n    name: P\n    tasks:\n      - {id: a, title: A, run: "touch ran"}\n';

/** Runs `started`, which every trap below starts. */
interface Trap {
  project: string;
  started: string;
}

/** A clone whose folder `sub` is a bare repository: it names programs that git starts for objects that it lacks, and for its index. */
function embedded(): Trap {
  const at = folder();
  const started = path.join(at, 'started');
  const evil = new Repository(path.join(at, 'evil'));
  const trap = `touch ${started}; false`;
  const config = [
    '[core]\n repositoryformatversion = 1\n bare = false\n worktree = .',
    ` fsmonitor = "${trap}"\n hooksPath = hooks\n pager = "${trap}"\n sshCommand = "${trap}"`,
    `[extensions]\n partialClone = origin\n[remote "origin"]\n url = .\n promisor = true\n uploadpack = "${trap}"`,
    `[filter "x"]\n clean = "${trap}"\n smudge = "${trap}"\n[diff]\n external = "${trap}"\n[diff "x"]\n textconv = "${trap}"`,
  ].join('\n');
  const sha = '1234567890123456789012345678901234567890';
  const files: Record<string, string> = {
    config,
    HEAD: 'ref: refs/heads/main\n',
    'refs/heads/main': `${sha}\n`,
    'refs/heads/forge/a': `${sha}\n`,
    'objects/aa/.keep': '',
    'hooks/post-index-change': `#!/bin/sh\n${trap}\n`,
    'hooks/reference-transaction': `#!/bin/sh\n${trap}\n`,
    '.gitattributes': '* filter=x diff=x\n',
    'plans/phases.yaml': PLAN,
    'plans/tracker.yaml': 'issues:\n  - {id: M-1, task_id: a, state: done}\n',
    '.forge/settings.yaml': 'workspace: worktree\ntracker: {type: file}\n',
    '.forge/orchestrator/tasks/a/state.json': '{"version":1,"task_id":"a","state":"running","state_version":1}',
  };
  for (const [name, text] of Object.entries(files)) evil.write(`sub/${name}`, text);
  for (const hook of fs.readdirSync(evil.path('sub/hooks'))) fs.chmodSync(evil.path('sub/hooks', hook), 0o755);
  evil.git('add', '--all', '--force');
  evil.git('commit', '--quiet', '--message', 'x');
  evil.git('clone', '--quiet', evil.root, path.join(at, 'clone'));
  return { project: path.join(at, 'clone/sub'), started };
}

describe('a clone with a repository inside it', () => {
  let trap: Trap;
  beforeAll(() => {
    trap = embedded();
  });

  test('a clone with a repository inside it starts its programs when git is let loose on it, so that the trap works', () => {
    spawnSync('git', ['cat-file', '-p', 'HEAD'], { cwd: trap.project });
    expect(fs.existsSync(trap.started)).toBe(true);
    fs.rmSync(trap.started);
  });

  test.each(LOOKS.map((verb) => [verb.join(' ') || 'the bare command', verb] as const))(
    'nothing of it is started by %s',
    async (_, verb) => {
      await orchestrate([...verb], { cwd: trap.project });
      expect(fs.existsSync(trap.started)).toBe(false);
    },
  );
});

test('a repository inside a clone is not taken for that of the project by a git that knows no safe.bareRepository', async () => {
  const { project, started } = embedded();
  const bin = folder({
    git: '#!/bin/bash\nfor arg; do shift; [ "$arg" = safe.bareRepository=explicit ] && arg=a.b=c; set -- "$@" "$arg"; done\nPATH=$OWN exec git "$@"\n',
  });
  fs.chmodSync(path.join(bin, 'git'), 0o755);
  const own = process.env['PATH'] ?? '';
  const { stdout } = await orchestrate(['doctor'], { cwd: project, env: { PATH: `${bin}:${own}`, OWN: own } });
  expect(stdout.replaceAll(/\s+/g, ' ')).toContain('cannot use bare repository');
  expect(fs.existsSync(started)).toBe(false);
});

describe.runIf(spawnSync('strace', ['-V']).status === 0)('what a look starts', () => {
  test.each(LOOKS.map((verb) => [verb.join(' ') || 'the bare command', verb] as const))(
    '%s starts no program but node and git',
    (_, verb) => {
      const repo = new Repository(
        folder({ 'plans/phases.yaml': PLAN, '.forge/settings.yaml': 'workspace: worktree\n' }),
      );
      repo.git('add', '--all');
      repo.git('commit', '--quiet', '--message', 'x');
      repo.write('.git/hooks/post-index-change', '#!/bin/sh\n');
      fs.chmodSync(repo.path('.git/hooks/post-index-change'), 0o755);
      repo.git('config', 'core.fsmonitor', './fsmonitor.sh');
      repo.git('config', 'diff.external', './diff.sh');
      const log = repo.path('.git/trace');
      const args = ['-f', '-qq', '-e', 'trace=execve', '-o', log, process.execPath, FORGE, 'orchestrate', ...verb];
      spawnSync('strace', args, { cwd: repo.root, env: environment() });
      const started = [...fs.readFileSync(log, 'utf8').matchAll(/execve\("([^"]*)".* = 0$/gm)].map(([, file = '']) =>
        path.basename(file),
      );
      expect(started[0]).toBe('node');
      expect(started.filter((name) => !['node', 'git'].includes(name))).toEqual([]);
    },
  );
});
