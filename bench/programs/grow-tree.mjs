/**
 * Makes the task folders of a project as `forge orchestrate run` leaves them, or as a person would write them.
 *
 * usage: node grow-tree.mjs PROJECT COUNT run|hand [FAN_OUT]. `FAN_OUT`: they are children of it, which is there, in place of tasks of the plan.
 *
 * The tree of a run goes through the product's own decisions and commits, so every byte is what a run writes; only fsync is
 * left out, which would take hours and changes nothing that can be read.
 */

import fs from 'node:fs';
import { newId } from '../../src/domain/context.ts';
import { coercePolicy } from '../../src/domain/retry/retry.ts';
import { TASK_RETRY_DEFAULT } from '../../src/domain/retry/schema.ts';
import { completeTask } from '../../src/domain/task/complete-attempt.ts';
import { claimTask, dispatchTask, heartbeatTask } from '../../src/domain/task/operations.ts';
import { freshRecord } from '../../src/domain/task/records.ts';
import { andThen } from '../../src/domain/task/transition.ts';
import { performSync } from '../../src/lib/fs/drivers.ts';
import { appendLines } from '../../src/lib/fs/json-lines.ts';
import { isoTime } from '../../src/lib/time.ts';
import { identifyOwner } from '../../src/process/processes.ts';
import { systemContext } from '../../src/process/system-context.ts';
import { withManifest } from '../../src/store/file/forms.ts';
import { commitTask } from '../../src/store/file/task-files.ts';
import { layoutOf } from '../../src/store/file/tree.ts';
import { taskId } from '../lib/plans.mjs';

const [project, count, kind, fanOut] = process.argv.slice(2);
const layout = layoutOf(project);
const ctx = systemContext();
const owner = identifyOwner(process.pid);
const runId = newId(ctx);
const policy = coercePolicy(undefined, TASK_RETRY_DEFAULT);

for (const dir of [layout.runs, layout.tasks]) fs.mkdirSync(dir, { recursive: true, mode: 0o700 });
const started = { version: 1, run_id: runId, started_at: isoTime(ctx.now()), name: null, host: owner.host, owner };
write(`${layout.run(runId)}/manifest.json`, started);
for (let index = 0; index < Number(count); index++) {
  const id = fanOut === undefined ? taskId(index) : `${fanOut}/${taskId(index)}`;
  if (kind === 'hand') writeByHand(id, index);
  else workThrough(id, index);
}

function unsynced(step) {
  let next = step.next();
  while (next.done !== true) {
    const call = next.value;
    let result;
    try {
      result = call.call === 'syncFile' || call.call === 'syncDir' ? undefined : performSync(call);
    } catch (error) {
      next = step.throw(error);
      continue;
    }
    next = step.next(result);
  }
  return next.value;
}

/** The two commits of an attempt. Nine in ten tasks are shipped, the others failed and wait for their next attempt. */
function workThrough(id, index) {
  const claimId = newId(ctx);
  const attemptId = newId(ctx);
  const instant = { nowMs: ctx.now(), monoMs: ctx.monotonicMs(), bootId: owner.boot_id };
  const observer = { ...instant, machine: owner, liveness: ctx.liveness, graceMs: 300_000 };
  const worker = { ...owner, pgid: owner.pid, claim_id: claimId, attempt_id: attemptId };
  const dir = layout.task(id);
  const attempt = layout.attempt(id, attemptId);
  fs.mkdirSync(attempt, { recursive: true, mode: 0o700 });
  const manifest = {
    version: 1,
    attempt_id: attemptId,
    task_id: id,
    run_id: runId,
    claim_id: claimId,
    generation: 1,
    phase: 'implement',
    worktree_path: null,
    dispatched_at: isoTime(instant.nowMs),
    attempt_number: 1,
    worker: { pid: worker.pid, pgid: worker.pgid, started_at: worker.started_at },
  };
  write(`${attempt}/manifest.json`, manifest);

  const fresh = freshRecord(id, isoTime(instant.nowMs));
  const ttlMs = 60_000;
  const claimed = claimTask(fresh, { claimId, runId, owner, ttlMs, instant, observer, abandonLimit: 10 });
  const dispatched = andThen(fresh, claimed, (record) =>
    dispatchTask(record, { claimId, runId, attemptId, worker, ttlMs, instant }),
  );
  const running = andThen(fresh, dispatched, (record) => heartbeatTask(record, { attemptId, ttlMs, instant }));
  const first = commit(id, dir, 0, { ...running, record: withManifest(running.record, manifest) });
  const outcome =
    index % 10 === 9
      ? { kind: 'failed', error: { class: 'exit.1', message: 'exited with code 1', exit_code: 1 } }
      : { kind: 'verdict', verdict: { version: 1, verdict: 'ready_for_review', summary: '' }, written: false };
  const route = { reviewed: true, shipped: true };
  const request = {
    attemptId,
    outcome,
    policy,
    route,
    workerGone: true,
    instant: { ...instant, nowMs: ctx.now() },
    random: Math.random,
  };
  commit(id, dir, 1, completeTask(first, request));
}

function commit(id, dir, expected, decision) {
  const done = unsynced(commitTask(dir, { expected, op: newId(ctx), record: decision.record }));
  if (done.kind !== 'committed' || done.warnings.length > 0) throw new Error(`${id}: ${JSON.stringify(done)}`);
  for (const entry of decision.history)
    appendLines(`${dir}/claim-history.jsonl`, [{ ts: isoTime(ctx.now()), ...entry }]);
  return done.record;
}

/** State and lease of a task that somebody claimed in a tree that forge has never changed. */
function writeByHand(id, index) {
  const now = isoTime(ctx.now());
  const later = isoTime(ctx.now() + 3_600_000);
  const claimId = newId(ctx);
  write(`${layout.task(id)}/state.json`, {
    version: 1,
    task_id: id,
    state: index % 2 === 0 ? 'claimed' : 'running',
    state_version: 1,
    attempt_count: 1,
    current_attempt_id: null,
    failure_count: 0,
    updated_at: now,
    updated_by: { run_id: runId, claim_id: claimId, generation: 1 },
  });
  write(`${layout.task(id)}/lease.json`, {
    version: 1,
    claim_id: claimId,
    task_id: id,
    attempt_id: null,
    owner_run_id: runId,
    generation: 1,
    acquired_at: now,
    expires_at: later,
    last_heartbeat_at: now,
    state_version: 1,
  });
}

function write(file, value) {
  fs.mkdirSync(file.slice(0, file.lastIndexOf('/')), { recursive: true, mode: 0o700 });
  fs.writeFileSync(file, `${JSON.stringify(value, null, 2)}\n`, { mode: 0o600 });
}
