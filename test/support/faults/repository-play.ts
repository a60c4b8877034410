/** A real repository with ten tasks whose workers edit and commit in worktrees of their own, and the expected result. */

import fs from 'node:fs';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { expect } from 'vitest';
import { auditTask, expectOlderViews } from './audit.ts';
import { GitPlay } from './git-play.ts';

const WORKER = path.join(path.dirname(fileURLToPath(import.meta.url)), 'editor.sh');

type Kind = 'plain' | 'wrong' | 'forgetful' | 'crashing' | 'asking' | 'hasty' | 'ignored' | 'completing';

/** By phase. The second waits for the first, and starts with its work. */
const TASKS: Record<string, { kind: Kind; after?: readonly string[] }>[] = [
  {
    plain: { kind: 'plain' },
    wrong: { kind: 'wrong' },
    asking: { kind: 'asking' },
    hasty: { kind: 'hasty' },
    forgetful: { kind: 'forgetful', after: ['plain'] },
  },
  {
    join: { kind: 'plain', after: ['wrong', 'forgetful'] },
    crashing: { kind: 'crashing', after: ['asking'] },
    completing: { kind: 'completing', after: ['hasty', 'plain'] },
    last: { kind: 'wrong', after: ['join', 'crashing'] },
    ignored: { kind: 'ignored' },
  },
];

/** The task whose question is never answered. */
export const UNANSWERED = 'ignored';

export class RepositoryPlay extends GitPlay {
  readonly #base: string;
  readonly ids = TASKS.flatMap((phase) => Object.keys(phase));

  constructor() {
    super();
    this.#base = this.repository.commit({
      'plans/phases.yaml': planText(),
      '.forge/settings.yaml': [
        'workspace: worktree',
        "verify: {commands: ['git log -1 --format=%s']}",
        'agents: {retry_attempts: 10000, retry_backoff_ms_max: 20, kill_grace_ms: 500, question_max_attempts: 2}',
        '',
      ].join('\n'),
      '.gitignore': 'local.env\n',
    });
    fs.writeFileSync(`${this.dir}/local.env`, 'here only\n');
  }

  /** Fails unless every task has come to its end, with its work on its branch and nothing else touched. */
  expectDone(): void {
    expect(this.violations()).toBe('');
    for (const [id, { kind, after = [] }] of TASKS.flatMap((phase) => Object.entries(phase))) {
      const { record } = auditTask(this.dir, id);
      if (record === null) throw new Error(`task ${id} has no record`);
      expectOlderViews(this.dir, id, record);
      const { state, failure_reason } = record.state;
      if (id === UNANSWERED) {
        expect({ id, state, failure_reason }).toEqual({ id, state: 'failed', failure_reason: 'decision_key_budget' });
        continue;
      }
      expect({ id, state, lease: record.lease }).toEqual({ id, state: 'shipped', lease: null });
      const tip = this.git('rev-parse', `forge/${id}`);
      const verified = this.#twin(id, record.memo.completion?.attempt_id ?? '');
      expect(verified, id).toMatchObject({ verdict: 'ready_for_review', target_sha: tip, branch: `forge/${id}` });
      expect(verified['files_changed'], id).toEqual([`${id}.txt`]);
      const files = this.git('ls-tree', '--name-only', tip).split('\n');
      expect(files, id).toEqual(expect.arrayContaining([id, ...after].map((name) => `${name}.txt`)));
      expect(this.git('show', `${tip}:${id}.txt`)).toMatch(
        kind === 'asking' || kind === 'hasty' ? /^done (keep|drop)$/ : /^done$/,
      );
      // However often it was begun anew, its work was committed once.
      const subjects = this.git('log', '--format=%s', `main..${tip}`).split('\n');
      const own = subjects.filter((subject) => subject.startsWith(`${id}: done`));
      expect(own, id).toHaveLength(1);
      expect(this.repository.in(`${this.dir}/.forge/worktrees/${id}`, 'status', '--porcelain'), id).toBe('');
    }
    expect(this.git('rev-parse', 'HEAD')).toBe(this.#base);
    expect(this.git('status', '--porcelain', '--untracked-files=no')).toBe('');
    expect(this.git('worktree', 'list').split('\n')).toHaveLength(11);
    this.git('fsck', '--strict');
  }

  #twin(id: string, attempt: string): Record<string, unknown> {
    const file = `${this.dir}/.forge/orchestrator/tasks/${id}/attempts/${attempt}/verdict.verified.json`;
    return JSON.parse(fs.readFileSync(file, 'utf8'));
  }
}

function planText(): string {
  const phases = TASKS.map((tasks, at) => ({
    id: `phase-${at + 1}`,
    name: `Phase ${at + 1}`,
    tasks: Object.entries(tasks).map(([id, { kind, after = [] }]) => ({
      id,
      title: `Write ${id}.txt`,
      depends_on: after,
      verify: [`grep -q done ${id}.txt`],
      env: { FAULT_KIND: kind, FAULT_AFTER: after.join(' ') },
      run: `exec sh ${WORKER}`,
    })),
  }));
  // A plan is YAML, and so JSON will do.
  return JSON.stringify({ project: 'show', phases });
}
