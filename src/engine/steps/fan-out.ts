/** Fan-outs of an attempt at work: a set of children is sealed once, by one commit. */

import { newId } from '../../domain/context.ts';
import { type Child, childId, type FanOut, fanOutsOf, whyNoFanOut } from '../../domain/fan-out/fan-outs.ts';
import { fanOutStep, sealedIn, sealing } from '../../domain/fan-out/seal.ts';
import type { Step } from '../../domain/steps/journal.ts';
import { rerunOf, restartChild } from '../../domain/task/by-hand.ts';
import { isoTime } from '../../lib/time.ts';
import { changeTask } from '../../store/change.ts';
import type { AttemptRef } from '../../store/port.ts';
import { type Env, instantOf } from '../env.ts';
import { addToJournal } from './task-journal.ts';

export type ChildrenFor = () => readonly Child[] | Promise<readonly Child[]>;

/**
 * Seals the set of that name with the children that `childrenFor` gives, which is not asked where there is one: of a step that was reset, the
 * set stays. Returns the step. Throws what that throws, INVALID_ID, INVALID_ARGS, STEP_REPEATED where another call was first, STALE_ATTEMPT,
 * LEASE_STOLEN, IO_ERROR.
 */
export async function sealFanOut(env: Env, attempt: AttemptRef, name: string, childrenFor: ChildrenFor): Promise<Step> {
  const { attemptId, taskId } = attempt;
  const { record } = await env.store.read(taskId);
  const fault = record && sealedIn(record, name) === undefined ? whyNoFanOut(fanOutsOf(record), name) : null;
  if (fault !== null) throw fault;
  const children = record && sealedIn(record, name) !== undefined ? [] : [...(await childrenFor())];
  if (record !== null && rerunOf(record) !== null) await restartChildren(env, taskId, name, children);
  const fanOut: FanOut = { version: 1, fan_out_id: newId(env.ctx), name, children };
  const startedAt = isoTime(env.now());
  let count = children.length;
  const view = await addToJournal(
    env,
    attempt,
    (now, generation) => {
      const looker = { name, attemptId, generation, instant: instantOf(env) };
      return [{ step: fanOutStep(now, looker, { startedAt, children: count }) }];
    },
    {
      also: (current) => {
        const { sealed, also } = sealing(current, attemptId, fanOut);
        count = sealed.children;
        return also;
      },
    },
  );
  return view.steps.get(name) as Step;
}

/**
 * Has the children begin again that a set of before has left, where the task was itself begun again. Before the new set is sealed they are in
 * no plan, so that nothing can claim them; a process that is killed here leaves the rest to the next attempt.
 */
async function restartChildren(env: Env, parent: string, fanOut: string, children: readonly Child[]): Promise<void> {
  const known = new Set(await env.store.list());
  for (const { name } of children) {
    const id = childId(parent, fanOut, name);
    if (known.has(id)) await changeTask(env, id, (record) => restartChild(record, env.now()));
  }
}
