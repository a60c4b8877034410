/** What an attempt has written: against what its task was to write, and against the files that are protected. */

import type { PlanTask } from '../../domain/plan/plan.ts';
import {
  checkedIn,
  guardrailFindings,
  NOTHING_NOTED,
  outsideGlobs,
  type WorkWritten,
  type WrittenNotes,
} from '../../domain/verify/guardrails.ts';
import type { WorkFound } from '../../domain/verify/verification.ts';
import { orNull } from '../../lib/errors.ts';
import type { Env } from '../env.ts';

/** `found` is the work as it is to be verified. Nothing is known of work in a place that is not the task's own. */
export async function notesOn(
  env: Env,
  taskId: string,
  task: PlanTask | null,
  found: WorkFound,
): Promise<WrittenNotes> {
  const { files_changed: files, prefix } = found;
  if (files === null) return NOTHING_NOTED;
  const preflight = env.settings.agents.preflight_globs;
  const work: WorkWritten = {
    files,
    prefix,
    writeGlobs: task?.write_globs ?? [],
    preflight,
    checked: [],
    record: null,
  };
  const outside = outsideGlobs(work);
  // Events are read only where they could clear something.
  if (guardrailFindings(work).length === 0) return { outside, findings: [] };
  const { record } = await env.store.read(taskId);
  return { outside, findings: guardrailFindings({ ...work, record, checked: await checkedBy(env, taskId) }) };
}

/** What the attempts of a task have asked about. A log that can't be read says nothing. */
async function checkedBy({ store, eventLog }: Env, taskId: string): Promise<string[]> {
  const checked: string[] = [];
  for (const { attempt_id: attemptId } of await store.listAttempts(taskId)) {
    const events = await orNull(() => eventLog.read({ log: 'events', taskId, attemptId }));
    checked.push(...checkedIn(events ?? []));
  }
  return checked;
}
