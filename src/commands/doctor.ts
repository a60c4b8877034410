/** `doctor`: is everything here as it should be? Looks only; never writes. */

import * as z from 'zod/mini';
import { newId } from '../domain/context.ts';
import type { Plan } from '../domain/plan/plan.ts';
import { PRESETS, presetOf } from '../domain/plan/task-command.ts';
import type { ProjectPaths } from '../domain/project-paths.ts';
import { DEFAULT_SETTINGS, type Settings } from '../domain/settings/settings.ts';
import { strayAttempt } from '../domain/task/attempts.ts';
import type { TrackerIssue } from '../domain/tracker-issues.ts';
import { ForgeError } from '../lib/errors.ts';
import { asIoError } from '../lib/fs/io-errors.ts';
import { oneLine } from '../lib/text.ts';
import { missingProgram } from '../process/programs.ts';
import { requireProject } from '../project/find-project.ts';
import { loadPlan } from '../project/plan-file.ts';
import { loadSettings } from '../project/settings-file.ts';
import { openStores } from '../store/open.ts';
import type { HealthCheck, TaskStore } from '../store/port.ts';
import { command } from './shared/command.ts';
import { textOrNull } from './shared/data.ts';
import { notEnforced } from './shared/not-enforced.ts';
import type { CommandContext } from './shared/session.ts';

const output = () =>
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
  });
export type DoctorData = z.infer<ReturnType<typeof output>>;

export const doctor = command({
  changes: false,
  examples: [
    ['doctor', 'every check, and what to do about those that fail'],
    ['doctor --json', 'the same for a script'],
  ],
  input: z.object({}),
  output,
  run,
});

/** Throws PHASES_NOT_FOUND when there is nothing to look at. */
async function run(context: CommandContext): Promise<DoctorData> {
  const paths = requireProject(context.ctx.cwd, context.dir);
  const settings = await attempt('settings', () => loadSettings(paths), 'settings are fine');
  const plan = await attempt(
    'plan',
    () => loadPlan({ paths, settings: settings.value ?? DEFAULT_SETTINGS }),
    'the plan is fine',
  );
  if (plan.value === null && plan.check.status === 'ok') {
    plan.check = { name: 'plan', status: 'warn', message: 'there is no plan', fix: 'forge orchestrate init' };
  }
  const { store } = openStores(paths);
  return {
    checks: [
      settings.check,
      plan.check,
      ...worker(context, paths, settings.value ?? DEFAULT_SETTINGS),
      supported(settings.value ?? DEFAULT_SETTINGS),
      ...(await Promise.all(store.healthChecks().map(({ name, look }) => looked(name, look)))),
      ...(await workspaces(context, paths, settings.value ?? DEFAULT_SETTINGS)),
      ...(await merges(context, paths, settings.value ?? DEFAULT_SETTINGS)),
      ...(await trackers(context, paths, settings.value ?? DEFAULT_SETTINGS, plan.value?.plan ?? null)),
      boot(context),
      await looked('tasks', () => tasks(store)),
    ],
  };
}

function ok(name: string, message: string): HealthCheck {
  return { name, status: 'ok', message, fix: null };
}

async function attempt<T>(
  name: string,
  read: () => Promise<T>,
  fine: string,
): Promise<{ value: T | null; check: HealthCheck }> {
  try {
    return { value: await read(), check: ok(name, fine) };
  } catch (error) {
    if (!(error instanceof ForgeError)) throw error;
    const [first] = error.problems;
    const where =
      first === undefined ? '' : `; the first, at ${first.place.file}:${first.place.line ?? 1}: ${first.message}`;
    return { value: null, check: { name, status: 'fail', message: `${error.message}${where}`, fix: error.hint } };
  }
}

/** What can't even be looked at has failed; the other checks go on. */
async function looked(name: string, look: () => HealthCheck | Promise<HealthCheck>): Promise<HealthCheck> {
  try {
    return await look();
  } catch (error) {
    const known = asIoError(error, 'looking at the state tree');
    if (!(known instanceof ForgeError)) throw error;
    return { name, status: 'fail', message: known.message, fix: known.hint };
  }
}

/** The agent that the settings choose can be called; looked at only where they choose one. */
function worker({ ctx }: CommandContext, paths: ProjectPaths, { agents }: Settings): HealthCheck[] {
  const preset = presetOf(agents);
  if (preset === null) return [];
  const missing = missingProgram(agents, ctx.env, paths.project);
  if (missing === null) return [ok('worker', `tasks without run are done by ${PRESETS[preset].program}`)];
  const message = `agents.worker is ${preset}, and there is no ${missing} on PATH`;
  return [
    {
      name: 'worker',
      status: 'fail',
      message,
      fix: `Install ${missing}, put it on PATH, or set agents.worker_command.`,
    },
  ];
}

function supported(settings: Settings): HealthCheck {
  const missing = notEnforced(settings);
  if (missing.length === 0) return ok('support', 'everything that plan and settings ask for is done');
  return {
    name: 'support',
    status: 'warn',
    message: missing.join('; '),
    fix: 'Leave it out, or do it by hand for now.',
  };
}

/** Worktrees can be had; asked only where the settings want them. */
async function workspaces({ ctx }: CommandContext, paths: ProjectPaths, settings: Settings): Promise<HealthCheck[]> {
  if (settings.workspace !== 'worktree') return [];
  const { baseOf, repositoryOf } = await import('../git/repository.ts');
  const look = async () => {
    const { root } = await repositoryOf({ ctx, paths, settings });
    const { branch, sha } = await baseOf({ ctx, paths, settings });
    return ok('workspaces', `worktrees are made of ${root}, from ${branch ?? sha.slice(0, 12)}`);
  };
  return [await looked('workspaces', look)];
}

/** What is reviewed can be merged; asked only where the settings want that. */
async function merges({ ctx }: CommandContext, paths: ProjectPaths, settings: Settings): Promise<HealthCheck[]> {
  if (settings.ship.policy !== 'merge') return [];
  const { baseOf, listWorktrees } = await import('../git/repository.ts');
  const look = async (): Promise<HealthCheck> => {
    const env = { ctx, paths, settings };
    if (settings.workspace === 'none') {
      const message =
        'with workspace: none tasks have no branch to merge, and what they did is shipped where it stands';
      return { name: 'merges', status: 'warn', message, fix: 'Set workspace: worktree in .forge/settings.yaml.' };
    }
    const { branch } = await baseOf(env);
    if (branch === null) {
      const fix = 'Check out the branch that tasks are merged into, or name it in ship.base.';
      return { name: 'merges', status: 'fail', message: `${paths.project} is on no branch to merge into`, fix };
    }
    const place = (await listWorktrees(env)).find((each) => each.branch === branch)?.path;
    const follows = place === undefined ? 'it is checked out nowhere' : `the files in ${place} follow`;
    return ok('merges', `what is reviewed is merged into ${branch}; ${follows}`);
  };
  return [await looked('merges', look)];
}

/** The tracker answers, and names tasks that there are; asked only where the settings have one. */
async function trackers(
  { ctx }: CommandContext,
  paths: ProjectPaths,
  settings: Settings,
  plan: Plan | null,
): Promise<HealthCheck[]> {
  if (settings.tracker.type !== 'file') return [];
  const { lookAtTracker } = await import('../trackers/open.ts');
  const look = async (): Promise<HealthCheck> => {
    const seen = await lookAtTracker({ paths, settings, now: ctx.now, newOp: () => newId(ctx) });
    if (seen.kind !== 'up') {
      const message = seen.kind === 'down' ? seen.why : 'it is not supported';
      return { name: 'tracker', status: 'fail', message, fix: `Fix ${settings.tracker.path}; see spec/PLAN.md.` };
    }
    const tasks = (await openStores(paths).store.snapshot()).tasks.map(({ task_id }) => task_id);
    const strays = straysOf(seen.issues, plan, new Set(tasks));
    if (strays.length === 0) return ok('tracker', `${seen.issues.length} issues can be read`);
    const fix = `Fix task_id in ${settings.tracker.path}, or tracker_issue_id in the plan.`;
    return { name: 'tracker', status: 'warn', message: strays.join('; '), fix };
  };
  return [await looked('tracker', look)];
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

function boot({ ctx }: CommandContext): HealthCheck {
  if (ctx.machine().boot_id !== '') return ok('processes', 'dead owners are noticed at once');
  const message = 'this boot has no id, so a dead owner is only noticed when its lease runs out';
  return { name: 'processes', status: 'warn', message, fix: 'Nothing to do; leases still run out in time.' };
}

async function tasks(store: TaskStore): Promise<HealthCheck> {
  const snapshot = await store.snapshot();
  const problems = snapshot.tasks.flatMap(({ task_id, problem }) => {
    const strays = snapshot.seen.artifacts(task_id).attempts.filter(({ verdict }) => verdict === 'stray');
    const found = [...(problem === null ? [] : [problem]), ...strays.map(({ attempt_id }) => strayAttempt(attempt_id))];
    return found.map((text) => `${task_id}: ${text}`);
  });
  const warnings = snapshot.tasks.flatMap((read) => read.warnings.map((warning) => `${read.task_id}: ${warning}`));
  if (problems.length > 0) {
    const fix = `Fix the named files in ${store.place}; spec/STATE.md says what they hold.`;
    return { name: 'tasks', status: 'fail', message: problems.join('; '), fix };
  }
  if (warnings.length > 0) {
    return {
      name: 'tasks',
      status: 'warn',
      message: warnings.join('; '),
      fix: 'The next change of each task puts it right.',
    };
  }
  return ok('tasks', `${snapshot.tasks.length} task records can be read`);
}
