/** `doctor`: is everything here as it should be? Looks only; never writes. */

import * as z from 'zod/mini';
import { type Context, newId } from '../domain/context.ts';
import type { Plan } from '../domain/plan/plan.ts';
import { PRESETS, presetOf } from '../domain/plan/task-command.ts';
import type { ProjectPaths } from '../domain/project-paths.ts';
import { DEFAULT_SETTINGS, type Settings } from '../domain/settings/settings.ts';
import { aheadTexts } from '../domain/task/ahead.ts';
import { strayAttempt } from '../domain/task/attempts.ts';
import { branchFor, inTheWayText } from '../domain/task/workspaces.ts';
import type { TrackerIssue } from '../domain/tracker-issues.ts';
import { instantOf } from '../engine/env.ts';
import { ForgeError } from '../lib/errors.ts';
import { diskUse } from '../lib/fs/folders.ts';
import { asIoError, whileDoing } from '../lib/fs/io-errors.ts';
import { once } from '../lib/once.ts';
import { sizeText } from '../lib/size.ts';
import { oneLine } from '../lib/text.ts';
import { tableFault } from '../process/processes.ts';
import { missingProgram } from '../process/programs.ts';
import { requireProject } from '../project/find-project.ts';
import { loadPlan } from '../project/plan-file.ts';
import { loadSettings } from '../project/settings-file.ts';
import { openStores } from '../store/open.ts';
import type { HealthCheck, Snapshot, TaskStore } from '../store/port.ts';
import { command } from './shared/command.ts';
import { notEnforced, textOrNull } from './shared/data.ts';
import { allLitter } from './shared/litter.ts';

/** What the checks look at. */
interface Facts {
  ctx: Context;
  paths: ProjectPaths;
  /** The defaults where they can't be read, and no plan. */
  settings: Settings;
  plan: Plan | null;
  store: TaskStore;
  /** Made once, for all checks. */
  snapshot(): Promise<Snapshot>;
}

type Finding = Omit<HealthCheck, 'name'>;

const ok = (message: string): Finding => ({ status: 'ok', message, fix: null });
const warn = (message: string, fix: string): Finding => ({ status: 'warn', message, fix });
const fail = (message: string, fix: string): Finding => ({ status: 'fail', message, fix });

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
      checked('support', facts, supported),
      ...facts.store.healthChecks().map(({ name, look }) => checked(name, facts, look)),
      checked('workspaces', facts, workspaces),
      checked('branches', facts, branches),
      checked('worktrees', facts, finishedWorktrees),
      checked('filters', facts, filters),
      checked('copies', facts, copies),
      checked('merges', facts, merges),
      checked('tracker', facts, tracker),
      checked('processes', facts, boot),
      checked('tasks', facts, tasks),
      checked('unfinished files', facts, unfinished),
    ]);
    return { checks: [...first, ...others].filter((check) => check !== null) };
  },
});

/** What can't even be looked at has failed; the other checks go on. Null where there is nothing to look at. */
async function checked(
  name: string,
  facts: Facts,
  look: (facts: Facts) => Finding | null | Promise<Finding | null>,
): Promise<HealthCheck | null> {
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
  facts.settings = (await loadSettings(facts.paths)).settings;
  return ok('settings are fine');
}

async function readPlan(facts: Facts): Promise<Finding> {
  const loaded = await loadPlan(facts);
  facts.plan = loaded?.plan ?? null;
  return loaded === null ? warn('there is no plan', 'forge orchestrate init') : ok('the plan is fine');
}

/** The agent that the settings choose can be called; looked at only where they choose one. */
function worker({ ctx, paths, settings: { agents } }: Facts): Finding | null {
  const preset = presetOf(agents);
  if (preset === null) return null;
  const missing = missingProgram(agents, ctx.env, paths.project);
  if (missing === null) return ok(`tasks without run are done by ${PRESETS[preset].program}`);
  return fail(
    `agents.worker is ${preset}, and there is no ${missing} on PATH`,
    `Install ${missing}, put it on PATH, or set agents.worker_command.`,
  );
}

function supported({ settings }: Facts): Finding {
  const missing = notEnforced(settings);
  if (missing.length === 0) return ok('everything that plan and settings ask for is done');
  return warn(missing.join('; '), 'Leave it out, or do it by hand for now.');
}

/** Worktrees can be had; asked only where the settings want them. */
async function workspaces(facts: Facts): Promise<Finding | null> {
  if (facts.settings.workspace !== 'worktree') return null;
  const { baseOf, repositoryOf } = await import('../git/repository.ts');
  const { root } = await repositoryOf(facts);
  const { branch, sha } = await baseOf(facts);
  return ok(`worktrees are made of ${root}, from ${branch ?? sha.slice(0, 12)}`);
}

/** Git can make the branches of tasks; asked only where the settings want worktrees. */
async function branches(facts: Facts): Promise<Finding | null> {
  const { settings, plan } = facts;
  if (settings.workspace !== 'worktree') return null;
  const { takenNames } = await import('../git/repository.ts');
  const ids = plan?.tasks.map(({ id }) => id) ?? [];
  const wanted = (ids.length === 0 ? ['task'] : ids).map((id) => branchFor(settings, id));
  const taken = await takenNames(facts, wanted);
  const [first] = taken;
  if (first === undefined) return ok(`the branches of tasks are ${settings.agents.branch_prefix}/<task>`);
  const { message, hint } = inTheWayText(first, `${settings.agents.branch_prefix}/<task>`);
  return fail(taken.length === 1 ? message : `${message}; and so are ${oneLine(taken.slice(1).join(', '), 200)}`, hint);
}

/** Most entries of worktrees that are looked at to say how much room they take. */
const ENTRIES_SEEN = 200_000;

/** Room that worktrees of shipped tasks may take without a warning, bytes. */
const ROOM_TO_WARN_OF = 1e9;

/** Worktrees of shipped tasks, and the room that they take; asked only where the settings want worktrees. */
async function finishedWorktrees(facts: Facts): Promise<Finding | null> {
  if (facts.settings.workspace !== 'worktree') return null;
  const { listWorktrees } = await import('../git/repository.ts');
  const { nameBelow, worktreesFolder } = await import('../git/worktree-files.ts');
  const root = worktreesFolder(facts);
  const { tasks: reads } = await facts.snapshot();
  const shipped = new Set(reads.flatMap(({ task_id, record }) => (record?.state.state === 'shipped' ? [task_id] : [])));
  const places = (await listWorktrees(facts)).map(({ path }) => path);
  const finished = places.filter((place) => root !== null && shipped.has(nameBelow(root, place) ?? ''));
  if (finished.length === 0) return ok('there are no worktrees of shipped tasks');
  const room = whileDoing(`looking at ${root}`, () => finished.map((place) => diskUse(place, ENTRIES_SEEN)));
  const bytes = room.reduce((sum, each) => sum + each.bytes, 0);
  const least = room.every(({ all }) => all) ? '' : 'at least ';
  const found = `shipped tasks have ${finished.length} ${finished.length === 1 ? 'worktree' : 'worktrees'}, which take ${least}${sizeText(bytes)}`;
  if (facts.settings.worktrees.keep_ms !== null) return ok(`${found}; a run removes them when their time is over`);
  if (bytes < ROOM_TO_WARN_OF) return ok(`${found}; \`forge orchestrate gc --shipped\` removes them`);
  return warn(found, 'Remove them with `forge orchestrate gc --shipped`, or set `worktrees: {keep: 3d}`.');
}

/** Files that git has stored by LFS are there in worktrees; asked only where the settings want worktrees. */
async function filters(facts: Facts): Promise<Finding | null> {
  if (facts.settings.workspace !== 'worktree') return null;
  const { LFS_HINT, lfsFault } = await import('../git/filters.ts');
  const fault = await lfsFault(facts);
  return fault && (fault.fails ? fail : warn)(fault.message, LFS_HINT);
}

/** What worktrees get copies of is not committed with everything else; asked only where the settings want worktrees. */
async function copies(facts: Facts): Promise<Finding | null> {
  if (facts.settings.workspace !== 'worktree') return null;
  const { untracked } = await import('../git/repository.ts');
  const open = await untracked(facts, facts.paths.project, { ignored: false });
  if (open.length === 0) return ok('git ignores what worktrees get copies of');
  const what = `${oneLine(open.slice(0, 3).join(', '), 200)}${open.length > 3 ? ` and ${open.length - 3} more` : ''}`;
  return warn(
    `${what}: copied into worktrees and not ignored by git, so a worker that commits everything commits it, and fails`,
    'Add it to .gitignore, commit it, or leave it out of agents.worktree_copy.',
  );
}

/** What is reviewed can be merged; asked only where the settings want that. */
async function merges(facts: Facts): Promise<Finding | null> {
  const { settings, paths } = facts;
  if (settings.ship.policy !== 'merge') return null;
  if (settings.workspace === 'none') {
    return warn(
      'with workspace: none tasks have no branch to merge, and what they did is shipped where it stands',
      'Set workspace: worktree in .forge/settings.yaml.',
    );
  }
  const { baseOf, listWorktrees } = await import('../git/repository.ts');
  const { branch } = await baseOf(facts);
  if (branch === null) {
    const fix = 'Check out the branch that tasks are merged into, or name it in ship.base.';
    return fail(`${paths.project} is on no branch to merge into`, fix);
  }
  const place = (await listWorktrees(facts)).find((each) => each.branch === branch)?.path;
  const follows = place === undefined ? 'it is checked out nowhere' : `the files in ${place} follow`;
  return ok(`what is reviewed is merged into ${branch}; ${follows}`);
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
    const strays = seen.artifacts(task_id).attempts.filter(({ verdict }) => verdict === 'stray');
    const found = [...(problem === null ? [] : [problem]), ...strays.map(({ attempt_id }) => strayAttempt(attempt_id))];
    return found.map((text) => `${task_id}: ${text}`);
  });
  if (problems.length > 0)
    return fail(problems.join('; '), `Fix the named files in ${store.place}; spec/STATE.md says what they hold.`);
  const warnings = tasks.flatMap((read) => read.warnings.map((warning) => `${read.task_id}: ${warning}`));
  const ahead = tasks.flatMap(({ task_id, record }) =>
    record === null ? [] : aheadTexts(record, instantOf({ ctx })).map((text) => `${task_id}: ${text}`),
  );
  if (ahead.length > 0)
    return warn([...ahead, ...warnings].join('; '), 'Check that the clock of this machine is right.');
  if (warnings.length > 0) return warn(warnings.join('; '), 'The next change of each task puts it right.');
  return ok(`${tasks.length} task records can be read`);
}

/** What killed processes were writing. The writer of such a file removes it, so there is rarely one. */
async function unfinished({ ctx, paths, store, snapshot }: Facts): Promise<Finding | null> {
  const litter = await allLitter({ paths, store }, await snapshot(), ctx.now());
  if (litter.length === 0) return null;
  return warn(`killed processes left unfinished files: ${litter.join(', ')}`, 'forge orchestrate gc');
}
