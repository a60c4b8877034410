/** A real repository with ten tasks whose work is verified, reviewed and merged, and the expected result. */

import fs from 'node:fs';
import { expect } from 'vitest';
import type { Reviewed, Shipped } from '../../../src/domain/review/reviews.ts';
import { auditTask, expectOlderViews, taskDir } from './audit.ts';
import { ask } from './forge.ts';
import { GitPlay } from './git-play.ts';
import { freshPlace, listing } from './project.ts';

const HELPERS = import.meta.dirname;

type Kind = 'plain' | 'line' | 'port' | 'wrong' | 'asking' | 'picky';

/** By phase. The second begins when all of the first is merged. */
const TASKS: Record<string, { kind: Kind; with?: string; after?: readonly string[] }>[] = [
  {
    left: { kind: 'line', with: 'right' },
    right: { kind: 'line', with: 'left' },
    'port-a': { kind: 'port', with: 'port-b' },
    'port-b': { kind: 'port', with: 'port-a' },
    wrong: { kind: 'wrong' },
  },
  {
    asking: { kind: 'asking' },
    picky: { kind: 'picky' },
    plain: { kind: 'plain', after: ['left', 'right'] },
    join: { kind: 'plain', after: ['asking', 'picky', 'port-b'] },
    last: { kind: 'wrong', after: ['join', 'plain', 'wrong'] },
  },
];

const IDS = TASKS.flatMap((phase) => Object.keys(phase));

/** What every commit of the base must pass: nothing is left in conflict, and no number is taken twice. */
const CHECK = `{ read -r _ && ! read -r _; } < shared.txt || exit 1
taken=' '
for file in ports/*; do
  test -e "$file" || continue
  read -r port < "$file"
  case $taken in *" $port "*) echo 'a port is taken twice'; exit 1 ;; esac
  taken="$taken$port "
done
`;

/** What git and forge change in the main checkout when they work beside it. */
const NOT_A_PERSONS = /^(\.git|\.forge)$/;

export class ShippingPlay extends GitPlay {
  /** The branch that is merged into. */
  readonly base: string;
  readonly ids = IDS;
  readonly #start: string;
  readonly #checkout: Record<string, string>;

  /** `main`: the branch of the main checkout. `trunk`: a branch that is not checked out. */
  constructor(base: 'main' | 'trunk') {
    super();
    this.base = base;
    this.#start = this.repository.commit({
      'plans/phases.yaml': planText(base),
      '.forge/settings.yaml': [
        'workspace: worktree',
        "verify: {commands: ['sh ./check.sh']}",
        `review: {command: 'sh ${HELPERS}/reviewer.sh'}`,
        base === 'main' ? 'ship: {policy: merge}' : `ship: {policy: merge, base: ${base}}`,
        'agents: {retry_attempts: 10000, retry_backoff_ms_max: 20, kill_grace_ms: 500}',
        '',
      ].join('\n'),
      'check.sh': CHECK,
      'shared.txt': 'shared: nobody\n',
      'README.md': 'Read this.\n',
      '.gitignore': 'local.env\n',
    });
    if (base !== 'main') this.git('branch', base);
    fs.writeFileSync(`${this.dir}/local.env`, 'here only\n');
    fs.writeFileSync(`${this.dir}/notes.md`, 'not committed\n');
    fs.appendFileSync(`${this.dir}/README.md`, 'A person writes here.\n');
    this.#checkout = listing(this.dir, NOT_A_PERSONS);
  }

  /** Fails unless every task is merged, each commit of the base passes, nothing else was touched, and nothing is left. */
  async expectShipped(): Promise<void> {
    expect(this.violations()).toBe('');
    for (const id of IDS) {
      const { record } = auditTask(this.dir, id);
      if (record === null) throw new Error(`task ${id} has no record`);
      expectOlderViews(this.dir, id, record);
      expect({ id, state: record.state.state, lease: record.lease }).toEqual({ id, state: 'shipped', lease: null });
      expect(this.repository.in(`${this.dir}/.forge/worktrees/${id}`, 'status', '--porcelain'), id).toBe('');
    }
    this.#expectCharged();
    this.#expectMergedOnce();
    this.#expectGreen();
    this.#expectCheckout();
    this.expectNothingLeft();
    const { code, answer } = await ask(this.dir, 'gc', '--dry-run');
    expect(code).toBe(0);
    const { planned } = answer.ok ? (answer.data as { planned: { action: string }[] }) : { planned: null };
    expect(planned?.filter(({ action }) => action !== 'report_orphan')).toEqual([]);
  }

  /** Whatever was killed: each task was charged for what did not pass, once, and for nothing else. */
  #expectCharged(): void {
    const failures = (...ids: string[]) =>
      ids.map((id) => auditTask(this.dir, id).record?.state.failure_count ?? 0).reduce((sum, count) => sum + count, 0);
    // Of two that can't both be merged, whichever came second.
    expect([failures('left', 'right'), failures('port-a', 'port-b')]).toEqual([1, 1]);
    expect({ wrong: failures('wrong'), last: failures('last'), picky: failures('picky') }).toEqual({
      wrong: 1,
      last: 1,
      picky: 1,
    });
    expect(failures(...IDS)).toBe(5);
  }

  #expectMergedOnce(): void {
    const range = `${this.#start}..${this.base}`;
    const merges = this.git('log', '--first-parent', '--format=%s', range).split('\n');
    expect(merges.sort()).toEqual(IDS.map((id) => `Merge branch 'forge/${id}' into ${this.base}`).sort());
    const all = this.git('log', '--format=%s', range).split('\n');
    for (const id of IDS)
      expect(all.filter((subject) => subject.startsWith(`${id}: done`)).length, id).toBe(id === 'picky' ? 2 : 1);
    expect(this.git('show', `${this.base}:shared.txt`)).toBe('shared: left right');
    expect(this.git('show', `${this.base}:work/picky.txt`)).toBe('done and polished');
    expect(this.git('show', `${this.base}:work/asking.txt`)).toMatch(/^done (keep|drop)$/);
  }

  /** Every commit that the base has been at passes the project's check. */
  #expectGreen(): void {
    const clone = freshPlace();
    this.git('clone', '--quiet', '--shared', '--no-checkout', this.dir, clone);
    const commits = this.git('rev-list', '--first-parent', this.base).split('\n');
    expect(commits).toHaveLength(IDS.length + 1);
    const lines = commits.map((sha) => `git checkout --quiet --force ${sha} && sh ./check.sh || echo ${sha}`);
    fs.writeFileSync(`${clone}.sh`, lines.join('\n'));
    expect(this.repository.sh(`${clone}.sh`, clone), 'commits that do not pass').toBe('');
    fs.rmSync(clone, { recursive: true });
  }

  /** What a person has in the main checkout is as it was, and the rest is what the base has. */
  #expectCheckout(): void {
    const now = listing(this.dir, NOT_A_PERSONS);
    const status = this.git('status', '--porcelain', '--untracked-files=all', '--', ':!.forge').split('\n').sort();
    expect(status).toEqual([' M README.md', '?? notes.md']);
    expect(this.git('symbolic-ref', 'HEAD')).toBe('refs/heads/main');
    if (this.base === 'main')
      for (const file of ['README.md', 'notes.md', 'local.env']) expect(now[file]).toBe(this.#checkout[file]);
    else {
      expect(now).toEqual(this.#checkout);
      expect(this.git('rev-parse', 'main')).toBe(this.#start);
    }
  }

  /** No process, no checkout for a moment, no ref that fences, no lock. */
  expectNothingLeft(): void {
    expect(this.leftovers() ?? []).toEqual([]);
    expect(fs.readdirSync(`${this.dir}/.forge/worktrees`).sort()).toEqual(['.gitignore', ...IDS].sort());
    expect(this.git('for-each-ref', '--format=%(refname)', 'refs/forge')).toBe('');
    const worktrees = this.git('worktree', 'list', '--porcelain');
    expect(worktrees).not.toMatch(/^(locked|prunable|detached)/m);
    expect(worktrees.match(/^worktree /gm)).toHaveLength(IDS.length + 1);
    const inGit = fs.readdirSync(`${this.dir}/.git`, { recursive: true, encoding: 'utf8' });
    expect(inGit.filter((name) => name.endsWith('.lock'))).toEqual([]);
    this.git('fsck', '--strict');
  }

  /** The classes of what reviews and merges have sent tasks back for, by task. */
  sentBack(): Record<string, string[]> {
    const found = IDS.map((id) => {
      const attempts = `${taskDir(this.dir, id)}/attempts`;
      const classes = fs.readdirSync(attempts).flatMap((attempt) => {
        const asks = read<Reviewed>(`${attempts}/${attempt}/review.json`)?.verdict === 'changes_requested';
        const error = read<Shipped>(`${attempts}/${attempt}/ship.json`)?.error ?? null;
        return [...(asks ? ['review.changes'] : []), ...(error === null ? [] : [error.class])];
      });
      return [id, classes] as const;
    });
    return Object.fromEntries(found.filter(([, classes]) => classes.length > 0));
  }
}

function read<T>(file: string): T | null {
  return fs.existsSync(file) ? (JSON.parse(fs.readFileSync(file, 'utf8')) as T) : null;
}

function planText(base: string): string {
  const phases = TASKS.map((tasks, at) => ({
    id: `phase-${at + 1}`,
    name: `Phase ${at + 1}`,
    ...(at === 0 ? {} : { blocked_by: `phase-${at}` }),
    tasks: Object.entries(tasks).map(([id, { kind, with: other = '', after = [] }]) => ({
      id,
      title: `Write ${id}.txt`,
      depends_on: after,
      verify: [`grep -q done work/${id}.txt`],
      env: { FAULT_KIND: kind, FAULT_AFTER: after.join(' '), FAULT_WITH: other, FAULT_BASE: base },
      run: `exec sh ${HELPERS}/shipper.sh`,
    })),
  }));
  return JSON.stringify({ project: 'shipping', phases });
}
