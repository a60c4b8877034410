/** One task in a real repository whose work is done: it waits for a review, or to be merged. */

import fs from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { expect } from 'vitest';
import { claim } from '../../../src/commands/claim.ts';
import { complete } from '../../../src/commands/complete.ts';
import { dispatch } from '../../../src/commands/dispatch.ts';
import type { CommandContext } from '../../../src/commands/shared/session.ts';
import type { TaskRecord, TaskState } from '../../../src/domain/task/records.ts';
import { auditTask, taskDir } from './audit.ts';
import { type Answer, callOn, commandLine, type LiveForge } from './forge.ts';
import { GitPlay } from './git-play.ts';
import { copyProject, dropProject, listing, planOf } from './project.ts';
import { MINE, TASK, VERDICT } from './scenarios.ts';

/** What the task has changed, and made. */
export const FILES = { 'file.txt': 'work\n', 'new.txt': 'work\n', 'ignored.txt': 'work\n' };

/**
 * Notes that it verifies a merge. Where there is a file `wait`, it waits for another, `gate`; where there is a file `deaf`, it
 * notes SIGTERM and goes on.
 */
const CHECK = `test "$FORGE_PHASE" = ship || exit 0
test ! -e "$FAULT_PLAY/deaf" || trap ': > "$FAULT_PLAY/termed"' TERM
echo $FORGE_COMMAND_PID >> "$FAULT_PLAY/checks"
cat file.txt > "$FAULT_PLAY/checked"
until test ! -e "$FAULT_PLAY/wait" || test -e "$FAULT_PLAY/gate"; do sleep 0.1; done
`;

/**
 * Notes that it reviews, and complains when another still does; leaves something in the background that must be stopped with
 * it. Where there is a file `wait`, it waits for another, `gate`; `deaf` is as above.
 */
const REVIEW = `test ! -e "$FAULT_PLAY/deaf" || trap ': > "$FAULT_PLAY/termed"' TERM
for other in $(cat "$FAULT_PLAY/reviews" 2> /dev/null); do
  if tr -d "\\\\0" < "/proc/$other/cmdline" 2> /dev/null | grep -q .; then echo "reviewer $other still works" >> "$FAULT_PLAY/violations"; fi
done
sleep 1000 &
echo $FORGE_COMMAND_PID >> "$FAULT_PLAY/reviews"
until test ! -e "$FAULT_PLAY/wait" || test -e "$FAULT_PLAY/gate"; do sleep 0.1; done
echo '{"verdict": "pass"}' > "$FORGE_REVIEW_FILE"
`;

export interface Waiting {
  /** `main`: the branch of the main checkout. `trunk`: a branch that is not checked out. */
  base?: 'main' | 'trunk';
  /** It waits for a review; otherwise to be merged. */
  review?: boolean;
  /** More settings, as YAML. */
  settings?: string;
  /** More files that the task makes. */
  files?: Readonly<Record<string, string>>;
  /** Where worktrees go, an absolute path; left out: where they go by themselves. */
  worktrees?: string;
}

/** Reviewers and checks that ignore SIGTERM are killed soon. */
export const SETTINGS = 'agents: {kill_grace_ms: 300}';

export interface ShipScenario {
  name: string;
  verb: 'review' | 'ship';
  waiting: Waiting;
  /** The state that it takes the task to. */
  to: 'reviewed' | 'shipped';
}

export const SHIP_SCENARIOS: readonly ShipScenario[] = [
  { name: 'a ship into the branch of the main checkout', verb: 'ship', waiting: { settings: SETTINGS }, to: 'shipped' },
  { name: 'a review', verb: 'review', waiting: { review: true, settings: SETTINGS }, to: 'reviewed' },
  {
    name: 'a ship into a branch that is not checked out',
    verb: 'ship',
    waiting: { settings: SETTINGS, base: 'trunk' },
    to: 'shipped',
  },
];

/** Plays that are copied, by what they wait for. */
const waitingPlays = new Map<string, Promise<ShipPlay>>();

export class ShipPlay extends GitPlay {
  readonly base: string;
  readonly waiting: Waiting;
  /** What the base was at. */
  start = '';
  /** The work of the task. */
  head = '';

  readonly #place: string | undefined;

  constructor(waiting: Waiting = {}, place?: string) {
    super(place);
    this.#place = place;
    this.waiting = waiting;
    this.base = waiting.base ?? 'main';
  }

  /** The task worked on, up to where it waits: once in a test file, of which the others get copies. */
  async prepare(): Promise<this> {
    // A disk or worktrees of its own are part of what is tested.
    if (this.#place !== undefined || this.waiting.worktrees !== undefined) return this.#workedOn();
    // Each test file has a temporary folder of its own.
    const key = `${tmpdir()} ${JSON.stringify(this.waiting)}`;
    let first = waitingPlays.get(key);
    if (first === undefined) {
      first = new ShipPlay(this.waiting).#workedOn();
      waitingPlays.set(key, first);
    }
    this.#become(await first);
    return this;
  }

  async #workedOn(): Promise<this> {
    const { review = false, settings = '', worktrees } = this.waiting;
    fs.writeFileSync(`${this.folder}/review.sh`, REVIEW);
    fs.writeFileSync(`${this.folder}/check.sh`, CHECK);
    fs.writeFileSync(`${this.folder}/verdict.json`, VERDICT);
    this.repository.commit({ 'file.txt': 'begun\n' });
    this.start = this.repository.commit({
      'plans/phases.yaml': planOf([{ id: TASK }]),
      '.forge/settings.yaml': [
        'workspace: worktree',
        `verify: {commands: ['. "$FAULT_PLAY/check.sh"']}`,
        ...(review ? [`review: {command: '. "$FAULT_PLAY/review.sh"', timeout: 5m}`] : []),
        this.base === 'main' ? 'ship: {policy: merge}' : `ship: {policy: merge, base: ${this.base}}`,
        'retry: {max_attempts: 3, base: 0}',
        settings,
        ...(worktrees === undefined ? [] : [`agents: {worktree_root: ${worktrees}}`]),
        '',
      ].join('\n'),
      'file.txt': 'as it was\n',
      'other.txt': 'as it was\n',
      '.gitignore': 'ignored.txt\n',
    });
    if (this.base !== 'main') this.git('branch', this.base);
    const { call } = this;
    const { run_id } = await claim.run(call, { task: TASK, claim_id: MINE });
    const { attempt_id } = await dispatch.run(call, { task: TASK, claim: MINE, run: run_id, phase: 'implement' });
    const files = { ...FILES, ...this.waiting.files };
    for (const [name, text] of Object.entries(files)) fs.writeFileSync(`${this.tree}/${name}`, text);
    this.repository.in(this.tree, 'add', '--force', ...Object.keys(files));
    this.repository.in(this.tree, 'commit', '--quiet', '--message', 'work');
    this.head = this.git('rev-parse', `forge/${TASK}`);
    const verdict_file = `${this.folder}/verdict.json`;
    const { state } = await complete.run(call, { task: TASK, attempt: attempt_id, verdict_file });
    expect(state).toBe(review ? 'ready_for_review' : 'reviewed');
    return this;
  }

  /** The same in another place. */
  copy(): ShipPlay {
    const play = new ShipPlay(this.waiting);
    play.#become(this);
    return play;
  }

  /** Git, and the attempt, name the worktree by its path. */
  #become(other: ShipPlay): void {
    const [from, to] = [path.dirname(other.dir), path.dirname(this.dir)];
    dropProject(to);
    copyProject(from, to);
    const attempts = `${taskDir(`${to}/repository`, TASK)}/attempts`;
    for (const file of [
      `${to}/repository/.git/worktrees/${TASK}/gitdir`,
      `${to}/repository/.forge/worktrees/${TASK}/.git`,
      ...fs.readdirSync(attempts).map((attempt) => `${attempts}/${attempt}/manifest.json`),
    ]) {
      fs.writeFileSync(file, fs.readFileSync(file, 'utf8').replaceAll(from, to));
    }
    this.start = other.start;
    this.head = other.head;
  }

  /** The command line of a verb, with all that it is given. */
  command(...args: string[]): string[] {
    const variables = Object.entries(this.env).map(([name, value]) => `${name}=${value}`);
    return ['env', '-i', ...variables, ...commandLine(this.dir, args)];
  }

  /** Lets ten seconds pass, after which the locks of a killed process are stale. */
  endLocks(): void {
    const locks = [`${this.dir}/.git/forge-landing.lock`];
    const folder = `${this.dir}/.forge/worktrees`;
    for (const name of fs.readdirSync(folder)) if (name.endsWith('.lock')) locks.push(`${folder}/${name}`);
    for (const lock of locks) if (fs.existsSync(lock)) fs.utimesSync(lock, 1, 1);
  }

  get call(): CommandContext {
    const call = callOn(this.dir);
    return { ...call, ctx: { ...call.ctx, env: this.env } };
  }

  get #worktrees(): string {
    return this.waiting.worktrees ?? `${this.dir}/.forge/worktrees`;
  }

  /** The worktree of the task. */
  get tree(): string {
    return `${this.#worktrees}/${TASK}`;
  }

  get record(): TaskRecord {
    const { record } = auditTask(this.dir, TASK);
    if (record === null) throw new Error('the record is gone');
    return record;
  }

  /** The files of the main checkout, and what git says of them. */
  checkout(): unknown {
    return [
      listing(this.dir, /^(\.git|\.forge|filler)$/),
      this.git('status', '--porcelain=v2', '--branch', '--untracked-files=all', '--', ':!.forge', ':!filler'),
      this.git('ls-files', '--stage'),
    ];
  }

  /** What the base is at. */
  get tip(): string {
    return this.git('rev-parse', this.base);
  }

  /** The commits that the base has gained, the oldest first: what each is on, and what it says. */
  gained(since: string = this.start): { on: string; subject: string }[] {
    const log = this.git('log', '--first-parent', '--reverse', '--format=%P%x09%s', `${since}..${this.base}`);
    const lines = log === '' ? [] : log.split('\n');
    return lines.map((line) => {
      const [parents = '', subject = ''] = line.split('\t');
      return { on: parents.split(' ')[0] ?? '', subject };
    });
  }

  /** The subject of the commit that merges the task. */
  get merge(): string {
    return `Merge branch 'forge/${TASK}' into ${this.base}`;
  }

  /** Fails unless the task is in `state` without a lease, and nothing of a review or a merge is left. */
  expectStanding(state: TaskState, failures = 0): void {
    const { record } = this;
    expect({ state: record.state.state, failures: record.state.failure_count, lease: record.lease }).toEqual({
      state,
      failures,
      lease: null,
    });
    this.expectNothingLeft();
  }

  expectNothingLeft(): void {
    expect(this.leftovers() ?? []).toEqual([]);
    expect(fs.readdirSync(this.#worktrees).sort()).toEqual(['.gitignore', TASK]);
    expect(this.git('for-each-ref', '--format=%(refname)', 'refs/forge')).toBe('');
    expect(this.git('worktree', 'list', '--porcelain')).not.toMatch(/scratch/);
    const inGit = fs.readdirSync(`${this.dir}/.git`, { recursive: true, encoding: 'utf8' });
    expect(inGit.filter((name) => name.endsWith('.lock'))).toEqual([]);
  }

  /** Fails unless the base has the task's work by one merge, and the main checkout is what it was, or what the base is. */
  expectShipped(): void {
    this.expectStanding('shipped');
    expect(this.gained().filter(({ subject }) => subject === this.merge)).toHaveLength(1);
    for (const [name, text] of Object.entries(FILES))
      expect(this.git('show', `${this.base}:${name}`)).toBe(text.trim());
    expect(this.repository.in(this.tree, 'status', '--porcelain')).toBe('');
    this.git('fsck', '--strict');
  }
}

/** How a command ended that has given one answer. */
export async function ended(live: LiveForge): Promise<{ code: number | null; answer: Answer }> {
  const { code } = await live.ended;
  const [answer] = live.events as unknown as Answer[];
  if (answer === undefined) throw new Error(`no answer: ${live.stderr}`);
  return { code, answer };
}

/** The error of a command that must have been refused with this exit code. */
export async function refusal(live: LiveForge, code: number) {
  const end = await ended(live);
  expect(end, live.stderr).toMatchObject({ code, answer: { ok: false } });
  if (end.answer.ok) throw new Error('it was not refused');
  return end.answer.error;
}
