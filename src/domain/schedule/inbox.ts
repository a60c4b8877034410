/** What waits for a person: questions, signals, checkpoints, reviews and merges, and what runs have given up. Pure. */

import * as z from 'zod/mini';
import { JOIN_FAILED } from '../fan-out/join.ts';
import { isOverByPlan, type PlanTask } from '../plan/plan.ts';
import { openQuestion } from '../question/questions.ts';
import { errorText } from '../retry/classify.ts';
import { parkedText } from '../steps/parking.ts';
import { heldOf, heldText } from '../task/held.ts';
import { readable } from '../task/records.ts';
import { budgetReasons, projectText } from './budgets.ts';
import { othersGoOn } from './fates.ts';
import { reasonsToWait, type SchedulingContext, type Survey, surveyOf } from './readiness.ts';
import { queueFor } from './run-order.ts';

/** In the order of the inbox. `login`: an agent that only a person can get to work again. `held`: a run has given the task up. */
const INBOX_KINDS = [
  'question',
  'signal',
  'checkpoint',
  'review',
  'merge',
  'login',
  'budget',
  'held',
  'failed',
] as const;

export const InboxItemSchema = () =>
  z.strictObject({
    kind: z.enum(INBOX_KINDS),
    /** Null for what is about the whole project. */
    task_id: z.nullable(z.string()),
    title: z.nullable(z.string()),
    /** Since when, ISO 8601; null where that is not known. */
    since: z.nullable(z.string()),
    /** What is wanted, or what went wrong. */
    message: z.string(),
    /** Command lines that settle it, one after the other; empty where a file has to be edited, as `message` says. */
    commands: z.array(z.string()),
  });
type InboxItem = z.infer<ReturnType<typeof InboxItemSchema>>;

/** Everything in the plan that a person has to do, by kind and then in the order of the plan. */
export function inboxOf(scheduling: SchedulingContext): InboxItem[] {
  const survey = surveyOf(scheduling);
  const items = [...logins(scheduling, survey), ...projectBudget(survey)];
  const known = new Set(items.flatMap(({ task_id }) => task_id ?? []));
  const reviews = new Set(scheduling.does.review ? [] : queueFor('review', scheduling).ready);
  const merges = new Set(scheduling.does.ship ? [] : queueFor('ship', scheduling).ready);
  for (const task of scheduling.plan.tasks) {
    if (known.has(task.id)) continue;
    const found =
      ofRecord(task, scheduling, survey) ??
      (reviews.has(task)
        ? wanting('review', 'its result waits for a review', [`review ${task.id} --file review.json`])
        : null) ??
      (merges.has(task) ? wanting('merge', 'it is reviewed and waits to be merged', [`ship ${task.id}`]) : null);
    if (found === null) continue;
    const since = found.kind === 'checkpoint' ? null : readable(scheduling.recordOf(task.id))?.state.updated_at;
    items.push({ ...found, task_id: task.id, title: task.title, since: since ?? null });
  }
  return items.sort((a, b) => INBOX_KINDS.indexOf(a.kind) - INBOX_KINDS.indexOf(b.kind));
}

type Found = Pick<InboxItem, 'kind' | 'message' | 'commands'>;

function wanting(kind: InboxItem['kind'], message: string, verbs: string[]): Found {
  return { kind, message, commands: verbs.map((verb) => `forge orchestrate ${verb}`) };
}

function ofRecord(task: PlanTask, scheduling: SchedulingContext, survey: Survey): Found | null {
  if (isOverByPlan(task)) return null;
  if (task.human) {
    const waits = reasonsToWait(task, scheduling, survey);
    return waits.every(({ code }) => code === 'TASK_HUMAN')
      ? wanting('checkpoint', 'a person does it', [`done ${task.id}`])
      : null;
  }
  const record = readable(scheduling.recordOf(task.id));
  if (record === null) return null;
  const { state, last_error } = record.state;
  if (state === 'blocked_on_question') {
    const asked = openQuestion(record);
    return wanting('question', `it asks about ${asked?.decision_key ?? 'something'}`, [`answer ${task.id} OPTION`]);
  }
  if (state === 'failed') {
    // Its children that have failed are there themselves, and it goes on with them. Nothing waits for one without which others go on.
    if (last_error?.class === JOIN_FAILED || othersGoOn(task, scheduling)) return null;
    return wanting('failed', last_error ? errorText(last_error) : 'it failed', [`retry ${task.id}`, 'run']);
  }
  const waits = reasonsToWait(task, scheduling, survey);
  const [signal, ...others] = record.state.waits_for ?? [];
  // What also waits for a time goes on by itself.
  const isSignal = [signal, ...others].every((each) => each?.kind === 'wait-for');
  if (signal && isSignal && waits.some(({ code }) => code === 'TASK_PARKED'))
    return wanting('signal', parkedText(record.state), [`signal ${task.id} ${signal.name}`, 'run']);
  if (waits.some(({ code }) => code === 'BUDGET')) {
    const [own] = budgetReasons(task, scheduling, () => null);
    if (own !== undefined) return wanting('budget', own.message, [`retry ${task.id}`, 'run']);
  }
  const held = heldOf(record);
  return held && wanting('held', heldText(held), ['run']);
}

/** Agents that can't be used, each once. */
function logins({ plan, recordOf }: SchedulingContext, survey: Survey): InboxItem[] {
  return [...survey.holds().values()].flatMap(({ task_id, until, message }) => {
    if (until !== null) return [];
    const record = readable(recordOf(task_id));
    const isReview = record !== null && record.state.state !== 'failed';
    const found = wanting('login', message, [`${isReview ? 'review' : 'retry'} ${task_id}`, 'run']);
    return [
      { ...found, task_id, title: plan.byId.get(task_id)?.title ?? null, since: record?.state.updated_at ?? null },
    ];
  });
}

function projectBudget(survey: Survey): InboxItem[] {
  const used = survey.projectUsedUp();
  if (used === null) return [];
  const message = projectText(used);
  return [{ kind: 'budget', task_id: null, title: null, since: null, message, commands: ['forge orchestrate run'] }];
}
