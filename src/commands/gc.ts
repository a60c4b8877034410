/** `gc`: find where the tree disagrees with itself, with git or with the tracker, and put it right. */

import * as z from 'zod/mini';
import {
  type GcPlan,
  type GcPlanRow,
  parseSavedPlan,
  plannedRows,
  reportedRows,
  type SavedPlan,
} from '../domain/gc/gc-plan.ts';
import { planGc, tasksNamedIn } from '../domain/gc/plan-gc.ts';
import { DEFAULT_RETENTION, keptFault, PrunedTaskSchema, type RetentionPolicy } from '../domain/gc/retention.ts';
import { GC_SEVERITIES } from '../domain/gc/severities.ts';
import type { PlannedTask } from '../domain/plan/plan.ts';
import { aheadTexts } from '../domain/task/ahead.ts';
import { CLEAN_EXIT } from '../engine/attempt/verdicts.ts';
import { instantOf, observerOf } from '../engine/env.ts';
import { SKIP_CODES } from '../engine/gc/admin-release.ts';
import { applyGc, type GcPorts, shownItem } from '../engine/gc/apply.ts';
import { buildSnapshot, ofOneMoment } from '../engine/gc/snapshot.ts';
import type { GitLook } from '../git/gc-look.ts';
import { errorMessage, ForgeError, invalidArgs } from '../lib/errors.ts';
import { removeLeft } from '../lib/fs/litter.ts';
import { requireTaskId } from '../lib/ids.ts';
import { parseJson } from '../lib/json.ts';
import { isoTime, parseDuration } from '../lib/time.ts';
import { checkoutAround } from '../project/look.ts';
import { loadPlan } from '../project/plan-file.ts';
import { readUserFile, writeUserFile } from '../project/user-files.ts';
import type { LegacyMove } from '../store/port.ts';
import { lookAtTracker, openTracker } from '../trackers/open.ts';
import type { Tracker } from '../trackers/port.ts';
import { command, flag, option, optional } from './shared/command.ts';
import { countSchema, textOrNull } from './shared/data.ts';
import { allLitter, litterOfInit } from './shared/litter.ts';
import { nearest, planUnlessInvalid } from './shared/planned.ts';
import { openSession, type Session } from './shared/session.ts';

const input = z.object({
  dry_run: flag('Only show what would be done'),
  out: optional.text('file', 'Only write the plan to a file, to apply it later'),
  plan: optional.text('file', 'Apply this plan; what has changed since is skipped'),
  task: optional.texts('id', 'Only this task; may be repeated', { id: 'task' }),
  row: option(
    z.optional(z.array(z.int().check(z.gte(1), z.lte(14)))),
    'n',
    'Only this row of the table, 1 to 14; may be repeated',
    { expected: 'a row of the table, 1 to 14' },
  ),
  remove_orphan_worktrees: flag('Also remove worktrees that belong to no task'),
  shipped: flag('Also remove worktrees of shipped tasks'),
  older_than: optional.text(
    'duration',
    'With --shipped: only of tasks that were shipped so long ago, such as 3d; with --prune: that ended so long ago (default: the settings, else 90d)',
  ),
  prune: flag('Instead: remove logs, earlier attempts, children and the like of tasks that ended long ago'),
  failed_older_than: optional.text(
    'duration',
    'With --prune: also of tasks that failed so long ago (default: the settings, else never)',
  ),
  detailed_exitcode: flag('Exit with 10 when something is left to do', { terminal: true }),
});
export type GcInput = z.infer<typeof input>;

/** Most of a saved plan that is read, bytes. */
const PLAN_MAX_BYTES = 256 * 1024 * 1024;

const itemFields = () => ({
  task_id: z.string(),
  row: z.int(),
  action: z.string(),
  severity: z.enum(GC_SEVERITIES),
  reason: z.string(),
  payload: z.unknown(),
});

const output = () => {
  const items = z.array(z.strictObject(itemFields()));
  return z.strictObject({
    planned: items,
    applied: items,
    /** `why` says more than the code, where there is more to say. */
    skipped: z.array(z.strictObject({ ...itemFields(), code: z.enum(SKIP_CODES), why: z.optional(z.string()) })),
    failed: z.array(z.strictObject({ ...itemFields(), code: z.string(), message: z.string() })),
    reported: items,
    /** Files of the first layout that were moved, or with `dry_run` would be; as seen from the project. */
    legacy: z.strictObject({ moved: z.array(z.strictObject({ from: z.string(), to: z.string() })) }),
    /** Files that killed processes left unfinished and that were removed, or with `dry_run` would be; as seen from the project. */
    litter: z.strictObject({ removed: z.array(z.string()) }),
    /** Null without `prune`. */
    pruned: z.nullable(prunedSchema()),
  });
};
/** What was removed, or with `dry_run` would be. `bytes`: room on the disk. */
const prunedSchema = () => {
  const room = { files: countSchema(), bytes: countSchema() };
  const why = z.array(z.strictObject({ task_id: z.string(), why: z.string() }));
  return z.strictObject({
    tasks: z.array(PrunedTaskSchema()),
    /** Ids. */
    runs: z.array(z.string()),
    ...room,
    /** Tasks that are old enough and that something keeps; and those that have changed since the look. */
    kept: why,
    skipped: why,
    /** `task_id` null: it is about the runs, or what a killed call has left. */
    failed: z.array(z.strictObject({ task_id: textOrNull(), code: z.string(), message: z.string() })),
  });
};

export type GcData = z.infer<ReturnType<typeof output>>;

export const gc = command({
  changes: true,
  notes:
    'Compares records, leases, attempts, questions, worktrees, branches and the tracker, and applies what each divergence\n' +
    'calls for, only where it is still as it was seen. spec/ORCHESTRATOR.md has the table of rows. Exits with 1 when an\n' +
    'action failed, else with 0; with --detailed-exitcode with 10 when something is left to do.\n' +
    'With --prune it does none of that, and removes what tasks that ended long ago have no use for: logs, prompts, drafts,\n' +
    'earlier attempts, old versions, and children of shipped tasks; records, results and what is still in use stay.',
  examples: [
    ['gc --dry-run', 'what would be done, and why'],
    ['gc', 'do it'],
    ['gc --shipped --older-than 3d', 'also remove worktrees of tasks that were shipped three days ago or before'],
    ['gc --prune --dry-run', 'how much room old logs take that nothing needs any more'],
    ['gc --prune --older-than 30d --failed-older-than 180d', 'remove those of tasks that ended so long ago'],
    ['gc --out plan.json', 'keep the plan'],
    ['gc --plan plan.json', 'apply exactly that'],
    ['gc --dry-run --detailed-exitcode --json', 'for CI: 10 when there is something to do'],
  ],
  input,
  output,
  /** Throws STALE_PLAN, INVALID_ARGS, INVALID_ID, TASK_NOT_FOUND, SETTINGS_INVALID, IO_ERROR. */
  async run(context, options) {
    removeAfterOf(options);
    const given = retentionOf(options);
    const session = await openSession(context);
    const { gc: store } = session.store;
    const now = isoTime(session.now());
    const inTurn = (work: () => Promise<GcData>) =>
      store.takeTurn(
        `process ${session.ctx.pid} on ${session.ctx.machine().host}, since ${now}`,
        (holder) => session.warn(`another gc is at work${holder === '' ? '' : ` (${holder})`}; going on beside it`),
        work,
      );
    if (given !== null) {
      const policy = { ...(session.settings.retention ?? DEFAULT_RETENTION), ...given };
      const work = () => pruneBy(session, options, policy);
      return isPreview(options) || (await store.identity()) === null ? work() : inTurn(work);
    }
    const moves = options.plan === undefined ? await store.legacyMoves(now.replace(/[:.]/g, '-')) : [];
    if (isPreview(options)) return preview(session, options, moves);
    const isClean = moves.length === 0 && litterOfInit(session.paths, session.now()).length === 0;
    if (isClean && (await store.identity()) === null) {
      await requireKnown(options.task, () => plannedIds(session));
      return NOTHING;
    }
    session.store.ensureTree();
    return inTurn(() => apply(session, options, moves));
  },
});

const NOTHING: GcData = {
  planned: [],
  applied: [],
  skipped: [],
  failed: [],
  reported: [],
  legacy: { moved: [] },
  litter: { removed: [] },
  pruned: null,
};

/** How long after they were shipped tasks lose their worktrees, milliseconds; null: never. Throws INVALID_ARGS. */
function removeAfterOf({ shipped, prune, older_than: text }: GcInput): number | null {
  if (shipped === true) return text === undefined ? 0 : durationOf('--older-than', text);
  if (text === undefined || prune === true) return null;
  throw invalidArgs('--older-than is about what --shipped or --prune removes', 'Add --shipped or --prune.');
}

function durationOf(name: string, text: string): number {
  const ms = parseDuration(text);
  const fault = ms === null ? 'it is not a duration' : keptFault(ms);
  if (ms === null || fault !== null) throw invalidArgs(`${name} ${text}: ${fault}`, 'Write one such as 12h or 3d.');
  return ms;
}

/** What `--prune` has no meaning for. */
const NOT_PRUNED = ['out', 'plan', 'row', 'remove_orphan_worktrees', 'shipped'] as const;

/** What the flags say of how long tasks keep what `--prune` removes; null without it. Throws INVALID_ARGS. */
function retentionOf(options: GcInput): Partial<RetentionPolicy> | null {
  const { prune, older_than, failed_older_than } = options;
  if (prune !== true) {
    if (failed_older_than === undefined) return null;
    throw invalidArgs('--failed-older-than is about what --prune removes', 'Add --prune.');
  }
  const other = NOT_PRUNED.find((key) => options[key] !== undefined && options[key] !== false);
  if (other !== undefined) {
    const name = `--${other.replaceAll('_', '-')}`;
    throw invalidArgs(`--prune does not go with ${name}`, `Call gc twice: with --prune, and with ${name}.`);
  }
  return {
    ...(older_than === undefined ? {} : { olderThanMs: durationOf('--older-than', older_than) }),
    ...(failed_older_than === undefined
      ? {}
      : { failedOlderThanMs: durationOf('--failed-older-than', failed_older_than) }),
  };
}

async function pruneBy(session: Session, options: GcInput, policy: RetentionPolicy): Promise<GcData> {
  const { prune } = await import('./shared/prune.ts');
  const { task: tasks = [] } = options;
  const requireTasks = async (known: Iterable<string>) =>
    requireKnown(tasks, async () => [...known, ...(await plannedIds(session))]);
  return { ...NOTHING, pruned: await prune(session, { policy, tasks, dryRun: isPreview(options) }, requireTasks) };
}

/** Something is to be done, or is left to be done: a claim that the tracker has taken again is put right by that. */
export function isDivergent(data: GcData, input: GcInput): boolean {
  const { tasks = [], runs = [], skipped = [], failed = [] } = data.pruned ?? {};
  const left = isPreview(input)
    ? [...data.planned, ...data.legacy.moved, ...data.litter.removed, ...tasks, ...runs]
    : [...data.failed, ...withoutReclaimed(data.skipped), ...failed, ...skipped];
  return left.length > 0;
}

/** Nothing is applied. */
export function isPreview({ dry_run, out }: GcInput): boolean {
  return dry_run === true || out !== undefined;
}

function withoutReclaimed<T extends { code: string }>(skipped: readonly T[]): T[] {
  return skipped.filter(({ code }) => code !== 'reclaimed');
}

async function preview(session: Session, options: GcInput, moved: LegacyMove[]): Promise<GcData> {
  await openTracker(session);
  const { plan, litter: removed } = await planFor(session, options);
  if (options.out !== undefined) await writePlan(session, options.out, plan);
  return { ...NOTHING, ...shownRows(plan), legacy: { moved }, litter: { removed } };
}

async function apply(session: Session, options: GcInput, moves: LegacyMove[]): Promise<GcData> {
  // What is refused is refused before anything has changed.
  const tracker = await openTracker(session);
  const { plan, litter } = await planFor(session, options);
  const moved = await session.store.gc.moveLegacy(moves);
  const result = await applyGc(session, plan, portsOf(session, tracker));
  const left = withoutReclaimed(result.skipped);
  if (options.plan !== undefined && result.applied.length + result.failed.length === 0 && left.length > 0) {
    throw new ForgeError('STALE_PLAN', `everything in ${options.plan} has changed since`, {
      details: { skipped: result.skipped },
    });
  }
  try {
    session.store.gc.emptyTrash();
  } catch (error) {
    // What was done is told all the same.
    session.warn(errorMessage(error));
  }
  const removed = litter.filter((file) => removeLeft(`${session.paths.project}/${file}`));
  return { ...NOTHING, ...shownRows(plan), ...result, legacy: { moved }, litter: { removed } };
}

function shownRows(plan: GcPlan) {
  return { planned: plannedRows(plan).map(shownItem), reported: reportedRows(plan).map(shownItem) };
}

/** What is to be done, and what to be cleared away; a saved plan has nothing of the latter. */
async function planFor(session: Session, options: GcInput): Promise<{ plan: GcPlan; litter: string[] }> {
  const { plan: whole, litter } =
    options.plan === undefined
      ? await freshPlan(session, options)
      : { plan: await savedPlan(session, options), litter: [] };
  const tasks = new Set(options.task ?? []);
  const rows = new Set<number>(options.row ?? []);
  const wanted = ({ task_id, row }: GcPlanRow) =>
    (tasks.size === 0 || tasks.has(task_id)) && (rows.size === 0 || rows.has(row));
  return { plan: { version: 1, rows: whole.rows.filter(wanted) }, litter };
}

/** Refuses an unknown task: "no divergences" would hide a typing error. Throws INVALID_ID, TASK_NOT_FOUND. */
async function requireKnown(
  tasks: readonly string[] = [],
  known: () => Iterable<string> | Promise<Iterable<string>>,
): Promise<void> {
  if (tasks.length === 0) return;
  const all = new Set(await known());
  for (const id of tasks) {
    if (all.has(requireTaskId(id))) continue;
    const message = `there is no task ${id}, neither in the plan nor anywhere else`;
    throw new ForgeError('TASK_NOT_FOUND', message, nearest(id, all));
  }
}

async function freshPlan(session: Session, options: GcInput): Promise<{ plan: GcPlan; litter: string[] }> {
  // git is started first, and works while this process reads the tree and the plan, which leaves it no time for anything else. The plan comes
  // last: what was claimed is in it by then, also where it was added just now.
  const [tracker, git, [found, plan]] = await Promise.all([
    lookAtTracker(session),
    gitLook(session),
    new Promise((resolve) => setImmediate(resolve)).then(
      async () => [await session.store.snapshot(), await plannedTasks(session)] as const,
    ),
  ]);
  if (tracker.kind === 'down') session.warn(`${tracker.why}; going on without the tracker`);
  const { tasks, runs, seen } = found;
  for (const { task_id, record } of tasks)
    if (record !== null)
      for (const text of aheadTexts(record, instantOf(session))) session.warn(`task ${task_id}: ${text}`);
  const snapshot = await buildSnapshot(session, { plan, tasks, runs, seen, tracker, git });
  const litter = await allLitter(session, found, session.now());
  seen.keep();
  await requireKnown(options.task, () => tasksNamedIn(snapshot));
  const removeShippedAfterMs = removeAfterOf(options);
  const removeOrphanWorktrees = options.remove_orphan_worktrees === true;
  const { rows } = planGc(snapshot, { removeOrphanWorktrees, removeShippedAfterMs });
  return { plan: { version: 1, rows: await ofOneMoment(session, rows) }, litter };
}

/** Throws STALE_PLAN when the plan belongs to another tree, INVALID_ARGS when it is none. */
async function savedPlan(session: Session, { plan: file = '', task: tasks }: GcInput): Promise<GcPlan> {
  const saved = parseSavedPlan(parseJson(readUserFile(file, '--plan', PLAN_MAX_BYTES)));
  if (saved === null) {
    throw invalidArgs(
      `--plan ${file}: it is not a plan that gc has written`,
      'Make one with `forge orchestrate gc --dry-run --out plan.json`.',
    );
  }
  const tree = await session.store.gc.identity();
  if (tree?.path !== saved.tree.path || tree.inode !== saved.tree.inode) {
    throw new ForgeError('STALE_PLAN', `${file} was made for another tree, ${saved.tree.path}`);
  }
  await requireKnown(tasks, async () => [
    ...saved.rows.map(({ task_id }) => task_id),
    ...(await session.store.list()),
    ...(await plannedIds(session)),
  ]);
  return { version: 1, rows: saved.rows };
}

/** What asks git is loaded only where there is a repository: it would be felt. */
async function gitLook(session: Session): Promise<GitLook | undefined> {
  const checkout = checkoutAround(session.paths.project);
  return checkout === null ? undefined : (await import('../git/gc-look.ts')).lookAtGit(session, checkout);
}

/** gc works without a plan; one that can't be read is told, and then counts as none. */
async function plannedTasks(session: Session): Promise<readonly PlannedTask[] | null> {
  return (await planUnlessInvalid(session, 'going on without a plan'))?.tasks ?? null;
}

async function plannedIds(session: Session): Promise<string[]> {
  return ((await plannedTasks(session)) ?? []).map(({ id }) => id);
}

function portsOf(session: Session, tracker: Tracker | null): GcPorts {
  return {
    tracker,
    reverify: async (taskId, attemptId) => {
      const { reverify } = await import('../engine/attempt/verification.ts');
      const verified = await reverify(session, {
        taskId,
        attemptId,
        // Without its plan a task has no known checks, and its result does not pass.
        task: (await loadPlan(session))?.plan.byId.get(taskId) ?? null,
        outcome: CLEAN_EXIT,
        workerGone: false,
        unheld: observerOf(session),
        onCheck: ({ command }) => session.note(`verifying ${taskId}: ${command}`),
        interrupts: session.interrupts,
      });
      return verified !== null;
    },
  };
}

async function writePlan(session: Session, file: string, { rows }: GcPlan): Promise<void> {
  const tree = await session.store.gc.identity();
  if (tree === null) throw invalidArgs(`--out ${file}: there is no tree to make a plan of`);
  const saved: SavedPlan = { version: 1, made_at: isoTime(session.now()), tree, rows: [...rows] };
  writeUserFile(file, '--out', `${JSON.stringify(saved, null, 2)}\n`);
}
