/** `doctor`: is everything here as it should be? Looks only; never writes. */

import * as z from 'zod/mini';
import { newId } from '../domain/context.ts';
import type { Plan } from '../domain/plan/plan.ts';
import { workerWarnings } from '../domain/plan/task-command.ts';
import { reuseWarnings } from '../domain/reuse/reuse.ts';
import { unlimitedTexts } from '../domain/schedule/resources.ts';
import { DEFAULT_SETTINGS } from '../domain/settings/settings.ts';
import { aheadTexts } from '../domain/task/ahead.ts';
import { strayText } from '../domain/task/attempts.ts';
import { msUntil } from '../domain/task/deadlines.ts';
import { isTerminal } from '../domain/task/states.ts';
import type { TrackerIssue } from '../domain/tracker-issues.ts';
import { instantOf } from '../engine/env.ts';
import { readJournal } from '../engine/steps/task-journal.ts';
import { errorMessage, ForgeError } from '../lib/errors.ts';
import { asIoError } from '../lib/fs/io-errors.ts';
import { once } from '../lib/once.ts';
import { oneLine } from '../lib/text.ts';
import { tableFault } from '../process/processes.ts';
import { requireProject, shown } from '../project/find-project.ts';
import { refuseOverLimit } from '../project/over-limit.ts';
import { loadPlanned } from '../project/plan-file.ts';
import { loadSettings } from '../project/settings-file.ts';
import { openStores } from '../store/open.ts';
import type { HealthCheck } from '../store/port.ts';
import { type Check, type Facts, type Finding, fail, ok, warn } from './shared/checks.ts';
import { command } from './shared/command.ts';
import { notEnforced, textOrNull } from './shared/data.ts';
import { allLitter } from './shared/litter.ts';
import { accounts, forge, publishers, reviewer, worker } from './shared/program-checks.ts';

export const doctor = command({
  changes: false,
  examples: [
    ['doctor', 'every check, and what to do about those that fail'],
    ['doctor --json', 'the same for a script'],
  ],
  input: z.object({}),
  output: () =>
    z.strictObject({
      checks: z.array(
        z.strictObject({
          name: z.string(),
          status: z.enum(['ok', 'warn', 'fail']),
          message: z.string(),
          /** What to do about it; null when all is well. */
          fix: textOrNull(),
        }),
      ),
    }),
  /** Throws PHASES_NOT_FOUND when there is nothing to look at, FOREIGN_PROJECT. */
  async run({ ctx, dir }) {
    const paths = requireProject(ctx.cwd, dir, ctx.env);
    const { store } = openStores(paths);
    const snapshot = once(() => store.snapshot());
    const facts: Facts = { ctx, paths, settings: DEFAULT_SETTINGS, plan: null, store, snapshot };
    const first = [await checked('settings', facts, readSettings), await checked('plan', facts, readPlan)];
    const others = await Promise.all([
      checked('worker', facts, worker),
      checked('reviewer', facts, reviewer),
      checked('publishers', facts, publishers),
      checked('accounts', facts, accounts),
      checked('forge', facts, forge),
      // Settings that can't be read say nothing of what they limit.
      first[0]?.status === 'fail' ? null : checked('support', facts, supported),
      ...facts.store.healthChecks().map(({ name, look }) => checked(name, facts, look)),
      gitFindings(facts),
      checked('tracker', facts, tracker),
      checked('processes', facts, boot),
      checked('tasks', facts, tasks),
      checked('steps', facts, steps),
      checked('unfinished files', facts, unfinished),
    ]);
    const checks = [...first, ...others.flat()].filter((check) => check !== null);
    // What keeps several checks from looking is said once.
    const isNew = ({ status, message }: HealthCheck, at: number) =>
      status !== 'fail' || checks.findIndex((other) => other.message === message) === at;
    return { checks: checks.filter(isNew) };
  },
});

/** Without a repository that worktrees can be made of there is nothing else to look for in it. */
async function gitFindings(facts: Facts): Promise<(HealthCheck | null)[]> {
  const { settings } = facts;
  if (settings.workspace !== 'worktree' && settings.ship.policy !== 'merge') return [];
  const found: (HealthCheck | null)[] = [];
  for (const [name, look] of (await import('./shared/git-checks.ts')).gitChecks(facts)) {
    found.push(await checked(name, facts, look));
    if (name === 'workspaces' && found[0]?.status === 'fail') break;
  }
  return found;
}

/** What can't even be looked at has failed; the other checks go on. Null where there is nothing to look at. */
async function checked(name: string, facts: Facts, look: Check): Promise<HealthCheck | null> {
  try {
    const finding = await look(facts);
    return finding && { name, ...finding };
  } catch (error) {
    const known = asIoError(error, 'looking at the state tree');
    if (!(known instanceof ForgeError)) throw error;
    const [first] = known.problems;
    const where =
      first === undefined ? '' : `; the first, at ${first.place.file}:${first.place.line ?? 1}: ${first.message}`;
    return { name, status: 'fail', message: `${known.message}${where}`, fix: known.hint };
  }
}

async function readSettings(facts: Facts): Promise<Finding> {
  const { settings, warnings } = await loadSettings(facts.paths);
  facts.settings = settings;
  return warned(warnings, shown(facts.paths, facts.paths.settings)) ?? ok('settings are fine');
}

async function readPlan(facts: Facts): Promise<Finding> {
  const loaded = await loadPlanned(facts);
  facts.plan = loaded?.plan ?? null;
  if (loaded === null) return warn('there is no plan', 'forge orchestrate init');
  await refuseOverLimit(loaded, facts.settings.limits);
  return warned(loaded.warnings, loaded.file) ?? ok('the plan is fine');
}

/** What other commands warn of as well. */
function warned(warnings: readonly string[], file: string): Finding | null {
  return warnings.length === 0
    ? null
    : warn(warnings.join('; '), `Change that in ${file}, or leave it if it is meant.`);
}

function supported({ settings, plan }: Facts): Finding {
  const tasks = plan?.tasks ?? [];
  const missing = [
    ...notEnforced(settings),
    ...workerWarnings(tasks, settings.agents),
    ...unlimitedTexts(tasks, settings.limits),
    ...reuseWarnings(tasks, settings),
  ];
  if (missing.length === 0) return ok('all that plan and settings ask for has an effect');
  return warn(missing.join('; '), 'Change that in plan or settings, or leave it if it is meant.');
}

/** The tracker answers, and names tasks that there are; asked only where the settings have one. */
async function tracker({ ctx, paths, settings, plan, snapshot }: Facts): Promise<Finding | null> {
  if (settings.tracker.type !== 'file') return null;
  const { lookAtTracker } = await import('../trackers/open.ts');
  const seen = await lookAtTracker({ paths, settings, now: ctx.now, newOp: () => newId(ctx) });
  if (seen.kind !== 'up') {
    const why = seen.kind === 'down' ? seen.why : 'it is not supported';
    return fail(why, `Fix ${settings.tracker.path}; see spec/PLAN.md.`);
  }
  const known = (await snapshot()).tasks.map(({ task_id }) => task_id);
  const strays = straysOf(seen.issues, plan, new Set(known));
  if (strays.length === 0) return ok(`${seen.issues.length} issues can be read`);
  return warn(strays.join('; '), `Fix task_id in ${settings.tracker.path}, or tracker_issue_id in the plan.`);
}

/** Issues of unknown tasks, and tasks with unknown issues. None without a plan. */
function straysOf(issues: readonly TrackerIssue[], plan: Plan | null, known: ReadonlySet<string>): string[] {
  if (plan === null) return [];
  const ids = new Set(issues.map(({ id }) => id));
  const ofIssues = issues.flatMap(({ id, task_id }) => {
    const there = task_id === null || plan.byId.has(task_id) || known.has(task_id);
    return there ? [] : [`issue ${oneLine(id, 80)} names task ${oneLine(task_id, 80)}, which is not in the plan`];
  });
  const ofTasks = plan.tasks.flatMap(({ id, tracker_issue_id: issue }) =>
    issue === null || ids.has(issue) ? [] : [`task ${id} names issue ${oneLine(issue, 80)}, which is not there`],
  );
  return [...ofIssues, ...ofTasks];
}

function boot({ ctx }: Facts): Finding {
  const fault = tableFault();
  if (fault !== null)
    return warn(`${fault.message}, so no owner's death is noticed and no worker can be started`, fault.hint);
  if (ctx.machine().boot_id !== '') return ok('dead owners are noticed at once');
  return warn(
    'this boot has no id, so a dead owner is only noticed when its lease runs out',
    'Nothing to do; leases still run out in time.',
  );
}

async function tasks({ ctx, store, snapshot }: Facts): Promise<Finding> {
  const { tasks, seen } = await snapshot();
  const problems = tasks.flatMap(({ task_id, problem }) => {
    const strays = seen.artifacts(task_id).attempts.flatMap((attempt) => strayText(attempt) ?? []);
    const found = [...(problem === null ? [] : [problem]), ...strays];
    return found.map((text) => `${task_id}: ${text}`);
  });
  const warnings = tasks.flatMap((read) => read.warnings.map((warning) => `${read.task_id}: ${warning}`));
  const ahead = tasks.flatMap(({ task_id, record }) =>
    record === null ? [] : aheadTexts(record, instantOf({ ctx })).map((text) => `${task_id}: ${text}`),
  );
  if (problems.length > 0) {
    const all = [...problems, ...ahead, ...warnings].join('; ');
    return fail(all, `Fix the named files in ${store.place}; spec/STATE.md says what they hold.`);
  }
  if (ahead.length > 0)
    return warn([...ahead, ...warnings].join('; '), 'Check that the clock of this machine is right.');
  if (warnings.length > 0) return warn(warnings.join('; '), 'The next change of each task puts it right.');
  return ok(`${tasks.length} task records can be read`);
}

/** How long a parked task may be due before that is odd, milliseconds: a run takes it within a second. */
const OVERDUE_MS = 60_000;

/** Journals of tasks that are not over can be read, and parked tasks go on when they are due. Null where there are none of either. */
async function steps({ ctx, store, plan, snapshot }: Facts): Promise<Finding | null> {
  const { tasks } = await snapshot();
  const open = tasks.filter(({ record }) => record !== null && !isTerminal(record.state.state));
  const reads = await Promise.all(open.map(({ task_id }) => store.read(task_id)));
  const records = reads.flatMap(({ record }) => record ?? []);
  const kept = records.filter(({ memo }) => memo.journal !== undefined);
  const broken: string[] = [];
  for (const record of kept) {
    const { task_id } = record.state;
    const fault = await readJournal({ store }, record).then(
      () => null,
      (error: unknown) => errorMessage(error),
    );
    if (fault !== null) broken.push(fault.startsWith(`task ${task_id}`) ? fault : `task ${task_id}: ${fault}`);
  }
  if (broken.length > 0)
    return fail(
      broken.join('; '),
      'Put the files back, or give the tasks other ids in the plan: their steps would run again.',
    );
  const now = instantOf({ ctx });
  const overdue = records.flatMap(({ state, memo }) => {
    const at = state.state === 'waiting' ? (state.wake_at ?? null) : null;
    const isOverdue = at !== null && msUntil(at, memo.backoff, now) < -OVERDUE_MS;
    return isOverdue && plan?.byId.has(state.task_id) !== false ? [`task ${state.task_id} has waited until ${at}`] : [];
  });
  if (overdue.length > 0) return warn(`${overdue.join('; ')}, and no run has gone on with it`, 'forge orchestrate run');
  return kept.length === 0 ? null : ok(`the journals of ${kept.length} tasks can be read`);
}

/** What killed processes were writing. The writer of such a file removes it, so there is rarely one. */
async function unfinished({ ctx, paths, store, snapshot }: Facts): Promise<Finding | null> {
  const litter = await allLitter({ paths, store }, await snapshot(), ctx.now());
  if (litter.length === 0) return null;
  return warn(`killed processes left unfinished files: ${litter.join(', ')}`, 'forge orchestrate gc');
}
