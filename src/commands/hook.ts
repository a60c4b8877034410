/** `hook`: what forge has to say to an event in the session of a coding agent. Never in the way: it has nothing to say where it fails. */

import * as z from 'zod/mini';
import {
  block,
  denyTool,
  type HookAnswer,
  type HookEvent,
  hookEvent,
  tellAtStart,
} from '../domain/agents/claude-hooks.ts';
import { heartbeatTask } from '../domain/task/operations.ts';
import type { TaskRecord } from '../domain/task/records.ts';
import { isInFlight } from '../domain/task/states.ts';
import { pendingVerification } from '../domain/verify/verification.ts';
import { instantOf, ttlOf } from '../engine/env.ts';
import { ForgeError, kindOf } from '../lib/errors.ts';
import { requireUuid } from '../lib/ids.ts';
import { fromIso } from '../lib/time.ts';
import { isThere } from '../project/user-files.ts';
import { command, operand, option, optional } from './shared/command.ts';
import { textOrNull } from './shared/data.ts';
import { checkGuardrails } from './shared/guardrails.ts';
import { plannedOrNull } from './shared/planned.ts';
import { changeKnown, requireRecord } from './shared/reads.ts';
import { type CommandContext, openSession } from './shared/session.ts';
import { type Standing, standingOf } from './shared/standing.ts';

/** The task that an agent was started for, as its environment says. */
interface Own {
  task: string;
  attempt: string;
}

export const hook = command({
  changes: true,
  notes:
    '`init --hooks` has Claude Code call it. As a session starts it says where things stand. For an agent that was started\n' +
    'for a task (FORGE_TASK_ID, FORGE_ATTEMPT_ID) it refuses to change protected files, sends heartbeats, and once does not\n' +
    'let the agent end without a verdict. Prints what the agent is to be told, or nothing, and never fails over the task.',
  examples: [
    ['hook claude --event -', 'the event from stdin, as Claude Code gives it'],
    [`hook claude --event '{"hook_event_name": "SessionStart"}'`, 'what an agent is told as its session begins'],
  ],
  input: z.object({
    agent: operand(z.enum(['claude']), 'The agent whose event it is'),
    event: option(z.string(), 'json', 'What the agent says of its event', { stdin: true }),
    task: optional.text('id', 'The task that the agent was started for', { env: 'FORGE_TASK_ID' }),
    attempt: optional.text('id', 'The attempt of it', { env: 'FORGE_ATTEMPT_ID' }),
  }),
  output: () =>
    z.strictObject({
      /** Null for an event that forge does not know. */
      event: textOrNull(),
      /** What the agent reads; null: nothing. */
      answer: z.nullable(z.record(z.string(), z.unknown())),
    }),
  async run(context, { event: text, task, attempt }) {
    const event = hookEvent(text);
    if (event === null) return { event: null, answer: null };
    const quiet: CommandContext = { ...context, warn: () => {}, note: () => {} };
    try {
      return { event: event.name, answer: await answerTo(event, ownTask(task, attempt, context.ctx.env), quiet) };
    } catch (error) {
      if (error instanceof ForgeError) return { event: event.name, answer: null };
      throw error;
    }
  },
});

/** Null for an agent that was started for no task, and for a reviewer, which does not decide about the attempt. */
function ownTask(
  task: string | undefined,
  attempt: string | undefined,
  { FORGE_PHASE: phase = '' }: CommandContext['ctx']['env'],
): Own | null {
  return task && attempt && ['', 'implement'].includes(phase) ? { task, attempt } : null;
}

function answerTo(event: HookEvent, own: Own | null, context: CommandContext): Promise<HookAnswer | null> {
  if (event.name === 'SessionStart') return own === null ? sayStanding(context) : sayTask(own, context);
  if (own === null) return Promise.resolve(null);
  if (event.name === 'PreToolUse') return event.path === null ? Promise.resolve(null) : guard(event.path, own, context);
  if (event.name === 'PostToolUse') return beat(own, context);
  return event.again ? Promise.resolve(null) : askForVerdict(own, context);
}

async function sayStanding(context: CommandContext): Promise<HookAnswer | null> {
  const standing = await standingOf(context);
  return standing.plan === null ? null : tellAtStart(standingText(standing));
}

function standingText({ project, plan, counts, ready, in_flight, waiting, next }: Standing): string {
  const states = Object.entries(counts).map(([state, count]) => `${count} ${state}`);
  return [
    `forge gives out the tasks of ${plan} (project ${project}): ${states.join(', ') || 'none yet'}.`,
    `${ready} can start, ${in_flight} in flight, ${waiting} waiting. Next for the user: \`${next.command}\` (${next.why}).`,
    'You were started for none of these tasks. The skill forge, or AGENTS.md, says how to take one.',
  ].join('\n');
}

async function sayTask({ task, attempt }: Own, context: CommandContext): Promise<HookAnswer | null> {
  const session = await openSession(context);
  const { record } = await requireRecord(session, task);
  if (!isAtWork(record, attempt)) return null;
  const title = (await plannedOrNull(session, task))?.title;
  const file = context.ctx.env['FORGE_PROMPT_FILE'];
  return tellAtStart(
    [
      `You were started for task ${task} of forge${title === undefined ? '' : `: ${title}`}. This is attempt ${record.state.attempt_count}.`,
      ...(file ? [`The task in full is in ${file}.`] : []),
      'Do that task and claim no other. End with a verdict, a failure or a question, as the prompt says.',
    ].join('\n'),
  );
}

/** The attempt has the task, and has handed nothing in. */
function isAtWork(record: TaskRecord, attempt: string): boolean {
  const isHeld = isInFlight(record.state.state) && record.lease?.attempt_id === attempt;
  return isHeld && pendingVerification(record) === null;
}

async function guard(path: string, own: Own, context: CommandContext): Promise<HookAnswer | null> {
  try {
    await checkGuardrails(await openSession(context), { ...own, path: [path] });
    return null;
  } catch (error) {
    if (!(error instanceof ForgeError) || error.code !== 'PATH_PROTECTED') throw error;
    return denyTool(`${error.message}. ${error.hint}`);
  }
}

/** Renews the lease when half of it is over: a commit after every tool would take longer than many tools. */
async function beat({ task, attempt }: Own, context: CommandContext): Promise<HookAnswer | null> {
  const session = await openSession(context);
  const attemptId = requireUuid(attempt, 'FORGE_ATTEMPT_ID');
  try {
    const { record } = await requireRecord(session, task);
    const { lease, state, memo } = record;
    // It has handed the task in, asked or given it back: then it knows.
    if (memo.completion?.attempt_id === attemptId || (lease === null && state.state !== 'cancelled')) return null;
    const left = lease?.attempt_id === attemptId ? fromIso(lease.expires_at) - session.now() : 0;
    if (left > ttlOf(session, record) / 2) return null;
    await changeKnown(session, task, (record) =>
      heartbeatTask(record, { attemptId, ttlMs: ttlOf(session, record), instant: instantOf(session) }),
    );
    return null;
  } catch (error) {
    if (!(error instanceof ForgeError) || kindOf(error) !== 'lost') throw error;
    return block(`${error.code}: ${error.message}. ${error.hint}`);
  }
}

async function askForVerdict({ task, attempt }: Own, context: CommandContext): Promise<HookAnswer | null> {
  const session = await openSession(context);
  const { record } = await requireRecord(session, task);
  const file = context.ctx.env['FORGE_VERDICT_FILE'];
  if (!isAtWork(record, attempt) || (file && isThere(file))) return null;
  const where = file ? `to ${file}` : 'to a file, and call `forge orchestrate complete --verdict-file FILE`';
  return block(
    `Task ${task} has no verdict yet. Write one, such as {"verdict": "ready_for_review", "summary": "what you did"}, ${where}. ` +
      "When it can't be done: `forge orchestrate complete --failed --error-class CLASS --message TEXT`. When a person must decide: " +
      '`forge orchestrate question`. Call "$FORGE_CLI" in place of `forge` where that is set.',
  );
}
