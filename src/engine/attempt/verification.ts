/**
 * Verifies what a worker handed in: runs the commands that check it, each in a process group of its own that the record
 * names before it begins, and writes down what came of it. Loaded only where there is something to check.
 */

import { newId } from '../../domain/context.ts';
import { builtOn } from '../../domain/plan/plan.ts';
import type { ClassifiedError } from '../../domain/retry/classify.ts';
import { type Outcome, outcomeKey } from '../../domain/task/complete-attempt.ts';
import type { WorkerIdentity } from '../../domain/task/identity.ts';
import { type Lease, RECORD_MAX_BYTES, type TaskRecord, type Verdict } from '../../domain/task/records.ts';
import { isClaimable, isInFlight } from '../../domain/task/states.ts';
import { changed, repeated } from '../../domain/task/transition.ts';
import { type VerifyCommand, verifyCommands } from '../../domain/verify/commands.ts';
import { evidenceOf, type Finding, findingOf, NO_WORKTREE, verifiedEvidence } from '../../domain/verify/evidence.ts';
import {
  beginCheck,
  type CheckResult,
  changesWanted,
  checkedFor,
  checkFailure,
  movedFault,
  NO_WORK_FOUND,
  type PendingVerification,
  pendingVerification,
  verifiedOf,
  workFault,
  workFor,
} from '../../domain/verify/verification.ts';
import { kindOf } from '../../lib/errors.ts';
import { fromIso, isoTime } from '../../lib/time.ts';
import type { Interrupts } from '../../process/interrupts.ts';
import { changeTask, readToDecide } from '../../store/change.ts';
import { type Env, instantOf, ownIdentity, ttlOf } from '../env.ts';
import { Commands, runCheck } from './commands.ts';
import type { Completion } from './completion.ts';
import { notesOn } from './guardrails.ts';
import { keepLease } from './lease-keeper.ts';
import { stopOrphan } from './takeover.ts';
import { handedIn, refuseOtherVerdict, twinDigest, twinOf } from './verdicts.ts';
import { inspectAttempt, setupFaultOf, workOf } from './workspace.ts';

/** Interval of checks on a verification by another process, milliseconds. */
const OTHER_MS = 100;

/** What is known once a verdict is settled. `verified`: as the record has it; null when there was nothing to verify. */
export interface Settled {
  outcome: Outcome;
  /** The attempt had handed in a verdict that can't be read any more. */
  unreadable: boolean;
  verified: Finding | null;
  /** The verdict is there already, and need not be created. */
  isHandedIn: boolean;
  /** What the attempt fails with whatever its outcome says; null for nothing. */
  fault: ClassifiedError | null;
}

/**
 * Finds the outcome of the completion: hands the verdict in, and has it checked unless that was done before. Null when
 * it was stopped before its end. Throws STALE_ATTEMPT, LEASE_STOLEN, IO_ERROR.
 */
export async function settleVerdict(
  env: Env,
  completion: Completion,
  commands: readonly VerifyCommand[],
): Promise<Settled | null> {
  const { taskId, attemptId } = completion;
  const { record } = await readToDecide(env, taskId);
  const before = record === null || completion.yields !== true ? null : await handedIn(env, record, attemptId);
  const { outcome, unreadable } = before ?? { outcome: completion.outcome, unreadable: false };
  const nothing = { outcome, unreadable, verified: null, isHandedIn: before !== null, fault: null };
  // A repeat of what is done gets its answer from the record.
  if (record === null || record.memo.completion?.attempt_id === attemptId) return nothing;
  if (outcome.kind !== 'verdict' || outcome.verdict.verdict !== 'ready_for_review') {
    const own = outcome.kind === 'failed' ? outcome.error.message : outcome.verdict.summary;
    return { ...nothing, fault: await setupFaultOf(env, evidenceOf(record, attemptId) ?? NO_WORKTREE, own) };
  }
  const lease = workFor(record, completion);
  const pending = pendingVerification(record);
  if (pending?.attempt_id === attemptId && pending.outcome !== outcomeKey(outcome)) return nothing;
  const done = await findingOn(env, record, completion);
  if (done !== null) return { ...nothing, verified: done };
  const interrupts = completion.interrupts();
  try {
    const given = {
      outcome,
      verdict: outcome.verdict,
      claimId: lease.claim_id,
      lease,
      isNew: outcome.written && before === null,
    };
    const check = new Verification(env, completion, given);
    const verified = await check.run(commands, interrupts);
    if (verified !== null) return { ...nothing, verified, isHandedIn: !check.isNew };
    // Without an interrupt the commands were stopped because the lease was lost.
    if (interrupts.level === 0) await refuseLost(env, completion);
    else if (check.isNew) await check.handIn();
    return null;
  } catch (error) {
    // Another process has completed the attempt under the same claim meanwhile: the commit gives its answer again, or refuses.
    const now = kindOf(error) === 'lost' ? (await env.store.read(taskId, { thorough: true })).record : null;
    const { completion: done, ended_claim: ended } = now?.memo ?? {};
    if (done?.attempt_id !== attemptId || ended?.claim_id !== lease.claim_id) throw error;
    return nothing;
  } finally {
    interrupts.stop();
  }
}

/**
 * The result of the attempt's verification; null before its end. Where the record says nothing of the attempt, which an earlier
 * version started, its twin counts. gc verifies again what has a result but no twin. Throws IO_ERROR, SCHEMA_INVALID.
 */
async function findingOn(env: Env, record: TaskRecord, { attemptId, unheld }: Completion): Promise<Finding | null> {
  const evidence = evidenceOf(record, attemptId);
  if (evidence === null) {
    const twin = await env.store.readDocument('verified', record.state.task_id, attemptId);
    return twin && findingOf(twin, twinDigest(twin));
  }
  return unheld !== undefined && (await twinOf(env, record, attemptId)) === null ? null : evidence.verified;
}

/** Throws LEASE_STOLEN, STALE_ATTEMPT when another owner has the lease by now. */
async function refuseLost(env: Env, completion: Completion): Promise<void> {
  const { record } = await env.store.read(completion.taskId, { thorough: true });
  if (record !== null) checkedFor(record, completion);
}

/**
 * Verifies the verdict of a task without an owner, and writes its twin; the next claim moves the task by it. Null when it is
 * stopped, when the verdict is gone, or when another process has verified it meanwhile. Throws LEASE_EXISTS and
 * STALE_ATTEMPT when the task was claimed.
 */
export async function reverify(env: Env, completion: Completion): Promise<Finding | null> {
  const { taskId, attemptId, task } = completion;
  const verdict = await env.store.readDocument('verdict', taskId, attemptId);
  if (verdict === null) return null;
  const outcome: Outcome = { kind: 'verdict', verdict, written: true };
  const commands = verifyCommands(env.settings.verify.commands, task);
  const interrupts = completion.interrupts();
  try {
    const check = new Verification(env, completion, {
      outcome,
      verdict,
      claimId: newId(env.ctx),
      lease: null,
      isNew: false,
    });
    const verified = await check.run(commands, interrupts);
    if (verified === null && interrupts.level === 0) await refuseLost(env, completion);
    return check.isOwn ? verified : null;
  } finally {
    interrupts.stop();
  }
}

interface HandedIn {
  outcome: Outcome;
  verdict: Verdict;
  claimId: string;
  /** Null: the task has no owner. */
  lease: Lease | null;
  /** The verdict is still to be created. */
  isNew: boolean;
}

class Verification {
  readonly #env: Env;
  readonly #completion: Completion;
  readonly #handedIn: HandedIn;
  readonly #commands: Commands;
  /** Whether the result is this one's, and not another's who was first. */
  isOwn = false;
  /** The verdict is still to be created. */
  isNew: boolean;

  constructor(env: Env, completion: Completion, given: HandedIn) {
    this.#env = env;
    this.#completion = completion;
    this.#handedIn = given;
    this.isNew = given.isNew;
    const { taskId, task, attemptId } = completion;
    this.#commands = new Commands(env, { taskId, task, attemptId, claimId: given.claimId });
  }

  /**
   * Notes the verification of a task without an owner in its record, so that the next claim finds it. False when another
   * process has noted its own: a second one would run the same checks at the same time.
   */
  async #takeUp(): Promise<boolean> {
    return this.#completion.unheld === undefined || this.#begin(null, null, (pending) => !this.#isAtWork(pending));
  }

  /** Notes the verdict although nothing has begun that checks it. */
  async handIn(): Promise<void> {
    await this.#begin(null, null);
  }

  /** Null when it was stopped before its end. */
  async run(commands: readonly VerifyCommand[], interrupts: Interrupts): Promise<Finding | null> {
    const stopListening = this.#commands.heed(interrupts);
    const keeper = this.#completion.leaseKept
      ? null
      : keepLease(this.#env, this.#completion, this.#handedIn.lease, () => this.#commands.stop(0));
    try {
      do {
        const other = await this.#awaitOther();
        if (other !== null) return other;
      } while (!this.#commands.stopped && !(await this.#takeUp()));
      return await this.#check(commands);
    } finally {
      keeper?.stop();
      stopListening();
    }
  }

  async #check(commands: readonly VerifyCommand[]): Promise<Finding | null> {
    const { taskId, attemptId } = this.#completion;
    const { verdict } = this.#handedIn;
    const startedMs = this.#env.ctx.monotonicMs();
    const { record } = await this.#env.store.read(taskId, { thorough: true });
    const workspace = await workOf(this.#env, taskId, record, attemptId);
    const worktreePath = workspace.worktree_path;
    // Inspecting a worktree takes long: a crash meanwhile must not lose the result.
    if (worktreePath !== null) await this.#begin(null, null);
    const { task } = this.#completion;
    const dependsOn = task ? builtOn(task) : [];
    const place = await inspectAttempt(this.#env, taskId, workspace, dependsOn);
    const found = 'found' in place ? place.found : NO_WORK_FOUND;
    let failure =
      'found' in place ? workFault(found, verdict, changesWanted(this.#completion.task, this.#env.settings)) : place;
    const checks: CheckResult[] = [];
    if ('found' in place && failure === null) {
      for (const command of commands) {
        const check = await this.#runOne(command, checks.length + 1, place.cwd);
        if (check === null) return null;
        checks.push(check);
      }
      failure = checkFailure(checks);
      if (failure === null && worktreePath !== null) {
        const after = await inspectAttempt(this.#env, taskId, workspace, dependsOn);
        failure = 'found' in after ? movedFault(found, after.found) : after;
      }
    }
    // A takeover commits its claim before it stops our commands, so the record shows it.
    if (this.#commands.stopped) {
      await refuseLost(this.#env, this.#completion);
      return null;
    }
    const finding = {
      attemptId,
      verdict,
      found,
      notes: await notesOn(this.#env, taskId, this.#completion.task, found),
      worktreePath,
      checks,
      failure,
      session: this.#completion.session,
      verifiedAt: isoTime(this.#env.now()),
      durationMs: this.#env.ctx.monotonicMs() - startedMs,
    };
    const twin = verifiedOf(finding, RECORD_MAX_BYTES);
    const own = findingOf(twin, twinDigest(twin));
    const { result } = await changeTask(this.#env, taskId, async (record) => {
      const held = checkedFor(record, this.#completion);
      const before = await findingOn(this.#env, record, this.#completion);
      if (before !== null) return repeated(before);
      const memo = verifiedEvidence(attemptId, workspace, own);
      const next = changed(record, own, { moves: [], lease: record.lease, memo, by: held, nowMs: this.#env.now() });
      return { ...next, documents: [{ kind: 'verified', attemptId, value: twin }], history: [] };
    });
    this.isOwn = result === own;
    return result;
  }

  /** Runs one command to its end. Null when it was stopped before. */
  #runOne(command: VerifyCommand, index: number, cwd: string): Promise<CheckResult | null> {
    return runCheck(this.#commands, {
      command,
      index,
      cwd,
      facts: {},
      timeoutMs: this.#env.settings.verify.timeout_ms,
      note: async (worker) => {
        await this.#begin(command, worker);
        this.#completion.onCheck?.(command);
      },
    });
  }

  /** Notes in the record what is about to run. False where `follows` refuses to follow what is noted there. */
  async #begin(
    command: VerifyCommand | null,
    worker: WorkerIdentity | null,
    follows: (pending: PendingVerification) => boolean = () => true,
  ): Promise<boolean> {
    const { taskId, attemptId } = this.#completion;
    const { outcome } = this.#handedIn;
    const written = outcome.kind === 'verdict' && outcome.written;
    const pending: PendingVerification = {
      attempt_id: attemptId,
      outcome: outcomeKey(outcome),
      written,
      since: isoTime(this.#env.now()),
      verifier: ownIdentity(this.#env),
      command: command?.name ?? null,
      worker,
    };
    const documents = this.isNew ? [{ kind: 'verdict' as const, attemptId, value: this.#handedIn.verdict }] : [];
    const { result } = await changeTask(this.#env, taskId, (record, _, standing) => {
      refuseOtherVerdict(standing, taskId);
      const noted = pendingVerification(record);
      if (noted !== null && !follows(noted)) return repeated(false);
      // A task in another state is not claimed, so no later owner would stop a check that is still running.
      const { state } = record.state;
      if (!isInFlight(state) && !isClaimable(state)) return { ...repeated(true), documents };
      const ttlMs = ttlOf(this.#env, record);
      const begun = beginCheck(record, { holder: this.#completion, pending, ttlMs, instant: instantOf(this.#env) });
      return { ...begun, documents, result: true };
    });
    if (result) this.isNew = false;
    return result;
  }

  /**
   * Waits for another process that verifies the same verdict, such as a worker's own `complete`, and returns its result. When
   * that process dies its checks are stopped. Null when there is none.
   */
  async #awaitOther(): Promise<Finding | null> {
    const { taskId } = this.#completion;
    // A takeover has stopped the former verifier's checks, so there is nothing to wait for.
    const alone = this.#completion.claimId !== undefined;
    for (;;) {
      const { record } = await this.#env.store.read(taskId, { thorough: true });
      if (record === null || this.#commands.stopped) return null;
      checkedFor(record, this.#completion);
      const pending = pendingVerification(record);
      const done = await findingOn(this.#env, record, this.#completion);
      if (done !== null) return done;
      if (pending === null || alone || !this.#isAtWork(pending)) {
        if (pending?.worker) await stopOrphan(this.#env, taskId, pending.worker);
        return null;
      }
      await new Promise((resolve) => setTimeout(resolve, OTHER_MS));
    }
  }

  #isAtWork({ verifier, since }: PendingVerification): boolean {
    const { ctx, settings } = this.#env;
    if (verifier.pid === ctx.pid && verifier.started_at === ownIdentity(this.#env).started_at) return false;
    const liveness = ctx.liveness(verifier);
    // A live verifier may be paused for good. A new claim need not wait: its commands are stopped, and it starts no more.
    if (liveness === 'alive') return this.#completion.claimId === undefined;
    if (liveness === 'dead') return false;
    // Nothing is known of a process on another machine, but how long its command may take.
    return ctx.now() < fromIso(since) + settings.verify.timeout_ms + settings.agents.kill_grace_ms;
  }
}
