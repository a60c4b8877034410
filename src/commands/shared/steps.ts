/** What the verbs of steps share: their fields, their answers, and how a call gets to its step. */

import * as z from 'zod/mini';
import type { PolicyDeclaration, RetryDeclaration } from '../../domain/retry/retry.ts';
import { retryProblems } from '../../domain/retry/schema.ts';
import { requireKind, STEP_STATUSES, type Step, type StepKind } from '../../domain/steps/journal.ts';
import { requireName } from '../../domain/steps/names.ts';
import { LastErrorSchema } from '../../domain/task/records.ts';
import { callsOf } from '../../engine/steps/calls.ts';
import { isMistake, noteMistake } from '../../engine/steps/mistakes.ts';
import type { CommandOfStep, EndedCommand } from '../../engine/steps/step-command.ts';
import { alone, type Place } from '../../engine/steps/through.ts';
import { attemptJournal, confirmed } from '../../engine/steps/worker-journal.ts';
import { EXIT, ForgeError, invalidArgs, orNull } from '../../lib/errors.ts';
import { requireUuid } from '../../lib/ids.ts';
import { parseJson } from '../../lib/json.ts';
import { codeOf } from '../../process/exit-code.ts';
import type { AttemptRef } from '../../store/port.ts';
import { attemptField, type Command, command, option } from './command.ts';
import { countSchema, textOrNull } from './data.ts';
import { plannedOrNull } from './planned.ts';
import { type CommandContext, interruptible, openSession, type Session } from './session.ts';

/** What a command of a step writes while it runs. */
export interface StepBytes {
  stream: 'stdout' | 'stderr';
  bytes: Uint8Array;
}

/** Who calls: the worker of a task. */
export const workerFields = () => ({
  task: option(z.string(), 'id', 'The task', { env: 'FORGE_TASK_ID', id: 'task' }),
  attempt: attemptField(),
});

/** A verb with `workerFields`. What it refuses however often it is called is noted for the attempt. */
export function workerCommand<I extends z.ZodMiniObject, O extends z.ZodMiniType>(
  made: Command<I, O, CommandContext>,
): Command<I, O, CommandContext> {
  const run: typeof made.run = async (context, input) => {
    try {
      return await made.run(context, input);
    } catch (error) {
      const { task, attempt } = input as { task: string; attempt: string };
      if (error instanceof ForgeError && error.code === 'STALE_ATTEMPT') await refuseUnknown(context, task);
      if (isMistake(error))
        await orNull(async () =>
          noteMistake(await openSession(context), { taskId: task, attemptId: attempt }, error, EXIT.usage),
        );
      throw error;
    }
  };
  return command({ ...made, run });
}

/** No attempt of a task that there is not is stale. Throws TASK_NOT_FOUND. */
async function refuseUnknown(context: CommandContext<never>, task: string): Promise<void> {
  const session = await openSession(context);
  const { record, problem } = await session.store.read(task);
  if (record !== null || problem !== null) return;
  const { orUnknown } = await import('./reads.ts');
  const missing = await orUnknown(session, task).unknown?.();
  if (missing) throw missing;
}

/** A step or a wait that is over. */
export const stepFields = () => ({
  task_id: z.string(),
  name: z.string(),
  status: z.enum(STEP_STATUSES),
  /** It was done before. */
  recorded: z.boolean(),
  tries: countSchema(),
  started_at: z.string(),
  ended_at: textOrNull(),
  last_error: z.nullable(LastErrorSchema()),
  /** 0, the command's own code, or 128 + n for signal n. */
  exit_code: z.int(),
  why: textOrNull(),
});

export function shownStep(task_id: string, step: Step, recorded: boolean) {
  const { name, status, tries, started_at, ended_at, last_error } = step;
  const ended = { code: last_error?.exit_code ?? null, signal: last_error?.signal ?? null };
  const exit_code = status === 'completed' ? EXIT.ok : codeOf(ended);
  return {
    task_id,
    name,
    status,
    recorded,
    tries,
    started_at,
    ended_at,
    last_error,
    exit_code,
    why: last_error?.message ?? null,
  };
}

export interface AtStep {
  session: Session;
  place: Place;
  attempt: AttemptRef;
  /** Runs a command of the step to its end, and passes on what it writes. Throws why `lost` of `place` was aborted. */
  run(request: Pick<CommandOfStep, 'argv' | 'variables' | 'timeoutMs' | 'timeoutText' | 'log'>): Promise<EndedCommand>;
}

/**
 * Does what has this name in the worker that calls, unless it was done before. Throws INVALID_ID, STEP_REPEATED, LEASE_STOLEN, STALE_ATTEMPT,
 * STATE_NOT_FOUND, TASK_NOT_FOUND, PARKED, INTERRUPTED, IO_ERROR.
 */
export async function atStep(
  context: CommandContext<never>,
  options: { name: string; task: string; attempt: string },
  kind: StepKind,
  work: (at: AtStep) => Promise<Step>,
): Promise<{ step: Step; recorded: boolean }> {
  const { name } = options;
  // That of a join is made of its fan-outs' names.
  if (kind !== 'join') requireName(name);
  const session = await openSession(context);
  const attempt = { taskId: options.task, attemptId: requireUuid(options.attempt, '--attempt') };
  return interruptible(context, async (interrupts) => {
    const calls = callsOf(session, attempt);
    const journal = await attemptJournal(session, attempt, () => plannedOrNull(session, attempt.taskId), {
      interrupts,
      calls,
    });
    const before = (await journal.read()).steps.get(name);
    requireKind(before, kind);
    if (before?.status === 'completed') {
      await calls.refuseDone(name);
      await confirmed(before, journal);
      await calls.end(name, true);
      return { step: before, recorded: true };
    }
    await calls.begin(name, kind);
    let step: Step | null = null;
    try {
      const claimId = journal.record.lease?.claim_id ?? '';
      const emit = async (stream: 'stdout' | 'stderr', bytes: Uint8Array) => context.emit?.({ stream, bytes } as never);
      step = await alone(journal, (place) => {
        const run: AtStep['run'] = async (request) => {
          // Most waits need none of it.
          const { runCommand } = await import('../../engine/steps/step-command.ts');
          const of = { attempt: { ...attempt, claimId }, emit, starts: calls.runs };
          return runCommand(session, { ...request, ...of }, place.lost);
        };
        return work({ session, place, attempt, run });
      });
      return { step, recorded: false };
    } finally {
      await calls.end(name, step?.status === 'completed');
    }
  });
}

/** YAML, as in a plan. */
export async function policyIn(text: string | undefined): Promise<RetryDeclaration | undefined> {
  if (text === undefined) return undefined;
  const { parseYaml } = await import('../../lib/yaml.ts');
  const parsed = parseYaml(text, '--retry');
  const problems = parsed.ok
    ? retryProblems(parsed.value)
    : [{ message: parsed.problems[0]?.message ?? 'not valid YAML' }];
  const [first] = problems;
  if (first === undefined && parsed.ok) return parsed.value as PolicyDeclaration;
  throw invalidArgs(`--retry: ${first?.message}`, "For example: --retry '{max_attempts: 4, base: 1s}'");
}

/** Throws INVALID_ARGS. */
export function jsonOf(text: string, what: string): unknown {
  const value = parseJson(text);
  if (value !== undefined) return value;
  throw invalidArgs(
    `${what} takes JSON, and ${JSON.stringify(text.slice(0, 60))} is none`,
    `Text is written with quotes: '"yes"'.`,
  );
}
