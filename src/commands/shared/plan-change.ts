/** What the verbs that change the plan have in common. */

import * as z from 'zod/mini';
import { type PlanPlace, taskPlace } from '../../domain/plan/places.ts';
import { ForgeError } from '../../lib/errors.ts';
import { ancestorsOf, requireTaskId } from '../../lib/ids.ts';
import { positionsOf } from '../../lib/yaml.ts';
import { lockOwner } from '../../process/lock-owner.ts';
import { editPlan, type PlanChange, type PlanToEdit } from '../../project/plan-edit.ts';
import { nearest } from './planned.ts';
import type { Session } from './session.ts';

export const changedTaskFields = () => ({
  task_id: z.string(),
  /** Where the task stands now, from the project; the line counts from 1. */
  file: z.string(),
  line: z.int(),
});

/** Changes the plan as `editPlan` does, and says where a task stands after it. */
export async function changedPlan<T extends { task_id: string }>(
  session: Session,
  decide: (seen: PlanToEdit) => PlanChange<T> | Promise<PlanChange<T>>,
): Promise<T & { file: string; line: number }> {
  const { file, at, result, text } = await editPlan(session, lockOwner(session.ctx), decide);
  return { ...result, file, line: positionsOf(text).place(at)?.line ?? 1 };
}

/** Where a task stands that is to be changed. Throws INVALID_ID, TASK_NOT_FOUND. */
export function placeToChange({ plan, texts }: PlanToEdit, taskId: string): PlanPlace {
  const found = taskPlace(texts, requireTaskId(taskId));
  if (found !== null) return found;
  const parent = ancestorsOf(taskId)[0];
  if (parent !== undefined && plan.byId.has(taskId)) {
    throw new ForgeError(
      'TASK_NOT_FOUND',
      `task ${taskId} is not written in the plan: it is a child that ${parent} has made`,
      { hint: `To end it: forge orchestrate cancel ${taskId}` },
    );
  }
  const { matrix = null } = plan.byId.get(taskId) ?? {};
  if (matrix !== null) {
    throw new ForgeError(
      'TASK_NOT_FOUND',
      `task ${taskId} is made by the matrix of ${matrix.task}, and is not written in the plan`,
      { hint: `Change ${matrix.task}; \`exclude\` of its matrix leaves a combination out.` },
    );
  }
  throw new ForgeError(
    'TASK_NOT_FOUND',
    `there is no task ${taskId} in ${texts[0]?.file}`,
    nearest(taskId, plan.byId.keys()),
  );
}
