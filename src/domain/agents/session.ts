/** What the output of a coding agent says of its session: who it was, and what it has used. */

import * as z from 'zod/mini';
import { once } from '../../lib/once.ts';
import type { AgentEvent } from './events.ts';

/** `attempts/<attempt>/session.json`. */
export const AgentSessionSchema = once(() => {
  const count = z.int().check(z.gte(0));
  const text = z.nullable(z.string());
  return z.looseObject({
    version: z.literal(1),
    attempt_id: z.string(),
    /** The agent, by its preset. */
    agent: z.string(),
    /** By which the agent goes on with it; null where it has not said. */
    session_id: text,
    model: text,
    /** What was read and written by the model; 0 where the agent does not count. */
    input_tokens: count,
    output_tokens: count,
    /** US dollars, by the agent's own account; null where it does not say. */
    cost: z.nullable(z.number().check(z.gte(0))),
  });
});
export type AgentSession = z.infer<ReturnType<typeof AgentSessionSchema>>;

/** A session of which nothing is known yet. */
export function newSession(attempt_id: string, agent: string): AgentSession {
  return {
    version: 1,
    attempt_id,
    agent,
    session_id: null,
    model: null,
    input_tokens: 0,
    output_tokens: 0,
    cost: null,
  };
}

/** What of `session` was used since `before`: tokens of the same session that were counted already. */
export function usedSince(
  session: AgentSession,
  before: Pick<AgentSession, 'session_id' | 'input_tokens' | 'output_tokens'> | null,
): AgentSession {
  if (before === null || session.session_id !== before.session_id) return session;
  return {
    ...session,
    input_tokens: Math.max(0, session.input_tokens - before.input_tokens),
    output_tokens: Math.max(0, session.output_tokens - before.output_tokens),
  };
}

/** `session` after an event; what an agent has used is of all that it has done so far. */
export function sessionAfter(session: AgentSession, event: AgentEvent): AgentSession {
  if (event.type === 'session')
    return { ...session, session_id: event.session_id, model: event.model ?? session.model };
  if (event.type !== 'usage') return session;
  const { input_tokens, output_tokens, cost } = event;
  return { ...session, input_tokens, output_tokens, cost };
}
