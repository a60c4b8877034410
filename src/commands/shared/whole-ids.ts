/** Writes out the ids that a person has shortened on the command line. */

import { idsIn } from '../../domain/plan/plan.ts';
import { attemptNumbered, mayBeginUuid, wholeId } from '../../domain/short-ids.ts';
import { attemptsThatHappened } from '../../domain/task/attempts.ts';
import { orNull } from '../../lib/errors.ts';
import { isTaskId, isUuid } from '../../lib/ids.ts';
import { loadPlan } from '../../project/plan-file.ts';
import type { FieldInfo } from './command.ts';
import type { Input } from './environment.ts';
import { type CommandContext, openSession, type Session } from './session.ts';

/**
 * `input` with whole ids in those of `fields` that may be shortened; what fits nothing stays as it is, for the command to refuse. `session`: what
 * was opened for that, if any. Throws INVALID_ARGS where it fits several, and what opening the project does.
 */
export async function withWholeIds(
  context: CommandContext,
  fields: readonly FieldInfo[],
  input: Input,
): Promise<{ input: Input; session?: Session }> {
  const short = fields.filter(
    ({ id, key }) => id !== undefined && [input[key]].flat().some((text) => mayBeShort(id, text)),
  );
  if (short.length === 0) return { input };
  const session = await openSession(context);
  const whole = { ...input };
  // What an attempt or a claim is of comes first.
  for (const { id, key } of short.sort((a, b) => Number(a.id !== 'task') - Number(b.id !== 'task'))) {
    const of = (text: string) => wholeOf(session, id, text, whole['task']);
    const value = whole[key];
    if (typeof value === 'string') whole[key] = await of(value);
    else if (Array.isArray(value)) whole[key] = await Promise.all(value.map((text) => of(String(text))));
  }
  return { input: whole, session };
}

function mayBeShort(kind: FieldInfo['id'], text: unknown): text is string {
  if (typeof text !== 'string' || text === '' || isUuid(text.toLowerCase())) return false;
  return kind === 'task' || kind === 'question' || kind === 'numbered attempt' || mayBeginUuid(text);
}

async function wholeOf(session: Session, kind: FieldInfo['id'], text: string, task: unknown): Promise<string> {
  if (!mayBeShort(kind, text)) return text;
  switch (kind) {
    case 'task':
      return wholeTask(session, text);
    case 'question':
      return (await isKnownTask(session, text))
        ? text
        : ((await wholeQuestion(session, text)) ?? wholeTask(session, text));
    case 'run':
      return wholeId(
        text.toLowerCase(),
        (await session.store.listRuns()).map(({ run_id }) => run_id),
        'runs',
      );
    default:
      return typeof task === 'string' && isTaskId(task) ? wholeOfTask(session, kind, text, task) : text;
  }
}

/** Whether something has happened to a task of exactly this id. */
async function isKnownTask({ store }: Session, text: string): Promise<boolean> {
  return isTaskId(text) && (await orNull(() => store.read(text)))?.origin !== 'none';
}

async function wholeTask(session: Session, text: string): Promise<string> {
  if (await isKnownTask(session, text)) return text;
  // Tasks that have a state are known without a plan that can be read.
  const plan = (await orNull(() => loadPlan(session)))?.plan;
  return wholeId(text, [...(plan === undefined ? [] : idsIn(plan)), ...(await session.store.list())], 'tasks');
}

/** Null where it is not the beginning of one. */
async function wholeQuestion({ store }: Session, text: string): Promise<string | null> {
  if (!mayBeginUuid(text)) return null;
  const given = text.toLowerCase();
  const asked = await Promise.all((await store.list()).map((id) => store.listQuestions(id)));
  const whole = wholeId(
    given,
    asked.flat().map(({ question }) => question.question_id),
    'questions',
  );
  return whole === given ? null : whole;
}

async function wholeOfTask(session: Session, kind: FieldInfo['id'], text: string, task: string): Promise<string> {
  const record = (await orNull(() => session.store.read(task)))?.record ?? null;
  if (kind === 'claim') return wholeId(text.toLowerCase(), record?.lease ? [record.lease.claim_id] : [], 'claims');
  const attempts = attemptsThatHappened(await session.store.listAttempts(task), record?.state);
  if (kind === 'numbered attempt' && /^\d{1,6}$/.test(text)) return attemptNumbered(Number(text), task, attempts);
  if (!mayBeginUuid(text)) return text;
  return wholeId(
    text.toLowerCase(),
    attempts.map(({ attempt_id }) => attempt_id),
    'attempts',
  );
}
