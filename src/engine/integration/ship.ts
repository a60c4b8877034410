/**
 * Ships a task: merges the commit that was verified and reviewed into the base. The merge is made and verified beside every
 * checkout, and the base moves to it only from the commit that it was made on.
 */

import type { ClassifiedError } from '../../domain/retry/classify.ts';
import { SETUP_FAILED } from '../../domain/retry/schema.ts';
import { conflictError, mergeVerifyError, type Shipped } from '../../domain/review/reviews.ts';
import type { WorkerIdentity } from '../../domain/task/identity.ts';
import { verifyCommands } from '../../domain/verify/commands.ts';
import {
  type CheckResult,
  checkFailure,
  heldFor,
  movedFault,
  NO_WORK_FOUND,
} from '../../domain/verify/verification.ts';
import { advance, type BaseBranch, clearCandidates, dropCandidate, keepCandidate } from '../../git/base-branch.ts';
import { changesFromStart, modifiedIn } from '../../git/changes.ts';
import { baseOf, headOf, isAncestor, makeCommit, mergeTrees, repositoryOf } from '../../git/repository.ts';
import { clearScratches, inScratch } from '../../git/scratch.ts';
import { topOf } from '../../git/worktree-files.ts';
import { ForgeError } from '../../lib/errors.ts';
import { oneLine } from '../../lib/text.ts';
import { isoTime } from '../../lib/time.ts';
import type { NewDocument } from '../../store/port.ts';
import { runCheck, runSetup } from '../attempt/commands.ts';
import { doesItself, type Env } from '../env.ts';
import {
  type IntegrationEnd,
  type IntegrationLease,
  type IntegrationRequest,
  integrate,
  movedFailure,
  note,
  type StepEnd,
  targetOf,
} from './integration.ts';

/** Ships a task. One that can't be merged for a reason that is not its own stays where it is. Throws as `integrate` does. */
export function shipOne(env: Env, request: IntegrationRequest): Promise<IntegrationEnd> {
  return integrate(env, request, 'ship', async (held) => {
    if (!doesItself(env.settings).ship) return { error: null };
    if (held.target.head !== null) {
      // A former owner may only be paused before it moves the base; without its ref it cannot.
      await clearCandidates(env, request.taskId);
      await clearScratches(env);
    }
    const moved = movedFailure('ship', held.target);
    return moved === null ? merge(held) : { error: moved };
  });
}

/** What is known of a merge, as it goes into the attempt's file. */
type Facts = Pick<Shipped, 'base' | 'base_sha' | 'merge_sha' | 'commands' | 'conflicts'>;

async function merge(held: IntegrationLease): Promise<StepEnd | null> {
  const { env, request, target } = held;
  const { head } = target;
  if (head === null) {
    throw new ForgeError('NOT_READY', `there is no commit of task ${request.taskId} that could be merged`, {
      hint: 'ship.policy: merge needs a repository. Set `workspace: worktree`, or `ship: {policy: none}`.',
    });
  }
  for (;;) {
    const base = await requireBase(env, target.base);
    const facts: Facts = { base: base.branch, base_sha: base.sha, merge_sha: null, commands: [], conflicts: [] };
    if (await isAncestor(env, head, base.sha)) return { error: null, documents: [shipOf(held, facts, null)] };
    const tree = await mergeTrees(env, base.sha, head);
    if (tree.kind === 'unknown')
      throw new ForgeError('IO_ERROR', `merging task ${request.taskId}: ${tree.why}`, {
        hint: `Fix what git says above. Then: \`forge orchestrate ship ${request.taskId}\`.`,
      });
    if (tree.kind === 'conflicts') {
      const error = conflictError(target.branch ?? head, base.branch, tree.files);
      return { error, documents: [shipOf(held, { ...facts, conflicts: tree.files }, error)] };
    }
    const merge_sha = await makeCommit(env, {
      tree: tree.tree,
      parents: [base.sha, head],
      message: messageOf(held, base),
      merge: true,
    });
    const checks = await verifyMerge(held, merge_sha);
    if (checks === null) return null;
    const made = { ...facts, merge_sha, commands: checks.results };
    const failed = checks.setup ?? checkFailure(checks.results) ?? checks.changed;
    if (failed !== null) {
      const error = mergeVerifyError(base.branch, failed);
      return { error, documents: [shipOf(held, made, error)] };
    }
    const end = await land(held, base, merge_sha);
    if (end === null) return null;
    if (typeof end === 'object') return { error: end };
    if (end === 'done') return { error: null, documents: [shipOf(held, made, null)] };
    // The base is elsewhere, or one who is late has cleared away what names the merge: it is made and verified anew.
  }
}

/** Moves the base. Null when it was stopped; an error when the task's branch has moved. Throws LEASE_STOLEN, and what `advance` throws. */
async function land(held: IntegrationLease, base: BaseBranch, merge: string) {
  const { env, request, commands, claimId } = held;
  const candidate = { taskId: request.taskId, claimId, sha: merge };
  await keepCandidate(env, candidate);
  try {
    // Checked after the ref exists: an owner that takes the task later finds the ref and removes it.
    const since = await stillMine(held);
    if (since !== null) return since;
    if (commands.stopped) return null;
    return await advance(env, base, candidate);
  } finally {
    await dropCandidate(env, candidate);
  }
}

/** Looks once more whether the task is ours and at the reviewed commit. Throws LEASE_STOLEN. */
async function stillMine({ env, request, attemptId, claimId }: IntegrationLease) {
  const { record } = await env.store.read(request.taskId, { thorough: true });
  if (record === null) throw new ForgeError('LEASE_STOLEN', `the record of task ${request.taskId} is gone`);
  heldFor(record, { attemptId, claimId });
  return movedFailure('ship', await targetOf(env, record));
}

async function requireBase(env: Env, begunFor: string | null): Promise<BaseBranch> {
  const { branch, sha } = await baseOf(env, begunFor);
  if (branch !== null) return { branch, sha };
  throw new ForgeError('NOT_READY', `${env.paths.project} is on no branch, so there is none to merge into`, {
    hint: 'Check out the branch that tasks are merged into, or name it in .forge/settings.yaml: `ship: {base: main}`.',
  });
}

function messageOf({ request, target }: IntegrationLease, { branch }: BaseBranch): string {
  const what = target.branch === null ? `the work of ${request.taskId}` : `branch '${target.branch}'`;
  const title = oneLine(request.task?.title ?? '', 300);
  return `Merge ${what} into ${branch}${title === '' ? '' : `\n\n${title}`}`;
}

/** What came of the commands; `changed`: they have changed what they checked, so it is not what passed. */
interface MergeChecks {
  results: CheckResult[];
  changed: ClassifiedError | null;
  /** Why there was nothing to run them in; null: there was. */
  setup: ClassifiedError | null;
}

/** Runs what verifies the task on the result of the merge. Null when it was stopped. */
async function verifyMerge(held: IntegrationLease, merge_sha: string): Promise<MergeChecks | null> {
  const { env, request } = held;
  const commands = verifyCommands(env.settings.verify.commands, request.task);
  if (commands.length === 0) return { results: [], changed: null, setup: null };
  return inScratch(env, { taskId: request.taskId, claimId: held.claimId, commit: merge_sha }, async (cwd) => {
    const { prefix } = await repositoryOf(env);
    const { digests } = await changesFromStart(env, topOf(cwd, prefix));
    const results: CheckResult[] = [];
    const setup = await prepare(held, cwd, (who) => changedIn(env, cwd, merge_sha, digests, who));
    if (setup !== 'done') return setup && { results, changed: null, setup };
    for (const command of commands) {
      const check = await runCheck(held.commands, {
        command,
        index: results.length + 1,
        cwd,
        facts: { phase: 'ship' },
        timeoutMs: env.settings.verify.timeout_ms,
        note: async (worker) => {
          await note(held, worker);
          request.onCommand?.(command.command);
        },
      });
      if (check === null) return null;
      results.push(check);
    }
    return { results, changed: await changedIn(env, cwd, merge_sha, digests), setup: null };
  });
}

/**
 * Null when it was stopped. What is installed is installed by what the branch says: like a check, that may not change what is checked;
 * `changedBy` looks for it.
 */
async function prepare(
  held: IntegrationLease,
  cwd: string,
  changedBy: (who: string) => Promise<ClassifiedError | null>,
): Promise<ClassifiedError | 'done' | null> {
  const { commands, env, request } = held;
  if (env.settings.agents.setup.length === 0) return 'done';
  const onCommand = request.onSetup;
  const noted = (worker: WorkerIdentity | null) => note(held, worker);
  const end = await runSetup(commands, { cwd, facts: { phase: 'ship' }, note: noted, onCommand });
  const changed = end === 'done' ? await changedBy('agents.setup has') : null;
  return changed === null ? end : { ...changed, class: SETUP_FAILED };
}

async function changedIn(
  env: Env,
  cwd: string,
  commit: string,
  fromStart: readonly string[],
  who?: string,
): Promise<ClassifiedError | null> {
  const head = (await headOf(env, cwd))?.head ?? null;
  const modified = await modifiedIn(env, cwd, fromStart);
  const found = { ...NO_WORK_FOUND, files_changed: [] };
  return movedFault({ ...found, head: commit }, { ...found, head, modified }, who);
}

/** What came of it, for the commit that moves the task by it. */
function shipOf(
  { env, attemptId, target }: IntegrationLease,
  facts: Facts,
  error: ClassifiedError | null,
): NewDocument {
  const value: Shipped = {
    version: 1,
    attempt_id: attemptId,
    merged: error === null,
    ...facts,
    head: target.head,
    error: error && { ...error },
    shipped_at: isoTime(env.now()),
  };
  return { kind: 'ship', attemptId, value };
}
