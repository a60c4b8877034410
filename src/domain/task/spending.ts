/** What the attempts at a task have used: counted in its record, each once. Pure. */

import * as z from 'zod/mini';
import { once } from '../../lib/once.ts';
import type { AgentSession } from '../agents/session.ts';
import { classCovers } from '../retry/classify.ts';
import { memoPart, type TaskRecord, type TaskSummary } from './records.ts';

const SpentShape = () => {
  const count = z.number().check(z.gte(0));
  return {
    attempts: z.int().check(z.gte(0)),
    /** How long they took. */
    wall_clock_ms: count,
    /** Read and written by models. */
    tokens: count,
    /** US dollars; null: no agent has said. */
    cost: z.nullable(count),
  };
};

export const SpentSchema = once(() => z.strictObject(SpentShape()));
export type Spent = z.infer<ReturnType<typeof SpentSchema>>;

const SpendingSchema = once(() => {
  const spent = z.looseObject(SpentShape());
  const session = z.looseObject({
    agent: z.string(),
    session_id: z.string(),
    cwd: z.string(),
    /** By all attempts that went on with it. */
    input_tokens: z._default(z.number(), 0),
    output_tokens: z._default(z.number(), 0),
  });
  return z.looseObject({
    /** The attempt that was counted last; '' where none was. */
    attempt_id: z.string(),
    /** Since a person has retried the task last, or since its beginning. */
    spent,
    /** Before that. */
    before: z._default(z.nullable(spent), null),
    /** By all reviews of agents; null: none. They are no attempts at the task. */
    reviews: z._default(z.nullable(spent), null),
    /** The last attempt's, which the next one may go on with, and where it was at work; null where it had none. */
    session: z._default(z.nullable(session), null),
  });
});
export type Spending = z.infer<ReturnType<typeof SpendingSchema>>;

export const NOTHING_SPENT: Spent = { attempts: 0, wall_clock_ms: 0, tokens: 0, cost: null };

/** What is counted of a task; null for nothing. */
export function spendingOf({ memo }: Pick<TaskSummary, 'memo'>): Spending | null {
  return memoPart(SpendingSchema, memo.spending);
}

/** Since the beginning. */
export function spentInAll(record: Pick<TaskSummary, 'memo'>): Spent {
  const spending = spendingOf(record);
  if (spending === null) return NOTHING_SPENT;
  return sumOf([spending.spent, spending.before ?? NOTHING_SPENT, spending.reviews ?? NOTHING_SPENT]);
}

export function sumOf(parts: readonly Spent[]): Spent {
  return parts.reduce(
    (sum, part) => ({
      attempts: sum.attempts + part.attempts,
      wall_clock_ms: sum.wall_clock_ms + part.wall_clock_ms,
      tokens: sum.tokens + part.tokens,
      // To a millionth of a dollar: three times 0.1 is 0.3.
      cost:
        sum.cost === null && part.cost === null ? null : Math.round(((sum.cost ?? 0) + (part.cost ?? 0)) * 1e6) / 1e6,
    }),
    NOTHING_SPENT,
  );
}

/** `isParked`: the attempt has only given the task back to wait, and the next one goes on with it. */
export function spentBy(session: AgentSession | null, wallClockMs: number, isParked = false): Spent {
  const tokens = session === null ? 0 : session.input_tokens + session.output_tokens;
  return { attempts: isParked ? 0 : 1, wall_clock_ms: wallClockMs, tokens, cost: session?.cost ?? null };
}

export interface EndedAttempt {
  attemptId: string;
  /** Null for a worker whose output is not understood. */
  session: AgentSession | null;
  /** Where it was at work. */
  cwd: string;
  wallClockMs: number;
}

/** What to keep of an attempt that has ended; null where it is counted, or another has begun since. */
export function withSpent(record: TaskRecord, ended: EndedAttempt): Pick<TaskRecord['memo'], 'spending'> | null {
  const { attemptId, session, cwd } = ended;
  const known = spendingOf(record);
  if (known?.attempt_id === attemptId || record.state.current_attempt_id !== attemptId) return null;
  const spending: Spending = {
    attempt_id: attemptId,
    spent: sumOf([
      known?.spent ?? NOTHING_SPENT,
      spentBy(session, ended.wallClockMs, record.state.state === 'waiting'),
    ]),
    before: known?.before ?? null,
    reviews: known?.reviews ?? null,
    session: session && resumable(session, cwd, known?.session ?? null),
  };
  return { spending };
}

/** What a review by an agent has used. */
export function spentByReview(session: AgentSession): Spent {
  return { ...spentBy(session, 0), attempts: 0 };
}

/** What to keep of a review by an agent. */
export function withReview(record: TaskRecord, session: AgentSession): Pick<TaskRecord['memo'], 'spending'> {
  const known = spendingOf(record) ?? {
    attempt_id: '',
    spent: NOTHING_SPENT,
    before: null,
    reviews: null,
    session: null,
  };
  const spending: Spending = { ...known, reviews: sumOf([known.reviews ?? NOTHING_SPENT, spentByReview(session)]) };
  return { spending };
}

function resumable(session: AgentSession, cwd: string, last: Spending['session']): Spending['session'] {
  const { agent, session_id, input_tokens, output_tokens } = session;
  if (session_id === null) return null;
  const before = last?.session_id === session_id ? last : { input_tokens: 0, output_tokens: 0 };
  return {
    agent,
    session_id,
    cwd,
    input_tokens: input_tokens + before.input_tokens,
    output_tokens: output_tokens + before.output_tokens,
  };
}

/** What a person's retry leaves of it: the next attempts are counted from nothing. */
export function spendingAfterRetry(record: TaskRecord): Pick<TaskRecord['memo'], 'spending'> {
  const known = spendingOf(record);
  if (known === null || known.spent.attempts === 0) return {};
  const before = sumOf([known.spent, known.before ?? NOTHING_SPENT]);
  return { spending: { ...known, spent: NOTHING_SPENT, before } };
}

/**
 * The session that the next attempt at a task by `agent` goes on with in `cwd`; null: it begins a new one. A context that was full would be
 * so again.
 */
export function sessionToResume(record: TaskRecord, agent: string | null, cwd: string): string | null {
  const session = spendingOf(record)?.session ?? null;
  const isFull = classCovers('context', record.state.last_error?.class ?? '');
  if (session === null || isFull || session.agent !== agent || session.cwd !== cwd) return null;
  return session.session_id;
}

/** `$0.03`; of less than a cent `$0.0042`. */
export function costText(cost: number): string {
  return `$${cost.toFixed(cost > 0 && cost < 0.01 ? 4 : 2)}`;
}

/** As people read a number of tokens: `640`, `6.2k`, `3.1M`. */
export function tokensText(tokens: number): string {
  if (tokens < 1000) return String(tokens);
  const [value, unit] = tokens < 999_500 ? [tokens / 1000, 'k'] : [tokens / 1_000_000, 'M'];
  return `${value < 9.95 ? value.toFixed(1) : Math.round(value)}${unit}`;
}

/** `6.2k tokens, $0.03`; empty where no agent has said what it used. */
export function usedText({ tokens, cost }: Pick<Spent, 'tokens' | 'cost'>): string {
  return [tokens === 0 ? '' : `${tokensText(tokens)} tokens`, cost === null ? '' : costText(cost)]
    .filter((part) => part !== '')
    .join(', ');
}
