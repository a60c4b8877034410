/** `step`: run a command once in the life of a task. */

import * as z from 'zod/mini';
import type { PolicyDeclaration, RetryDeclaration } from '../domain/retry/retry.ts';
import { retryProblems } from '../domain/retry/schema.ts';
import { STEP_STATUSES, type Step, stepKey, stepRepeated } from '../domain/steps/journal.ts';
import { requireName } from '../domain/steps/names.ts';
import { stepPolicy, stepTimeout } from '../domain/steps/tries.ts';
import { LastErrorSchema } from '../domain/task/records.ts';
import type { StepOutput } from '../engine/steps/run-step.ts';
import { openJournal } from '../engine/steps/task-journal.ts';
import { EXIT } from '../lib/errors.ts';
import { requireUuid } from '../lib/ids.ts';
import { isoTime } from '../lib/time.ts';
import { codeOf } from '../process/exit-code.ts';
import { attemptField, command, invalidArgs, operand, option, optional, rest } from './shared/command.ts';
import { countSchema, textOrNull } from './shared/data.ts';
import { interruptible, openSession, plannedOrNull, type Session } from './shared/session.ts';

/** What the command writes while it runs. */
export interface StepBytes {
  stream: 'stdout' | 'stderr';
  bytes: Uint8Array;
}

const FORGE_TASK = { env: 'FORGE_TASK_ID' };

export const step = command({
  changes: true,
  notes:
    'A step that is done is not run again by any attempt: its stdout is printed as it was. One that has failed is tried again in place, by\n' +
    'its policy. Exits with what the command exits with (128 + n when signal n ended it).',
  usage: '<name> --task <id> --attempt <id> [options] -- <command...>',
  examples: [
    ['step build -- make all', 'build once, whatever becomes of the attempt'],
    ["step upload --retry '{max_attempts: 5, base: 2s}' --timeout 10m -- ./upload.sh", 'with a policy and a limit'],
  ],
  input: z.object({
    name: operand(z.string(), 'Name of the step, one in the task'),
    task: option(z.string(), 'id', 'The task', FORGE_TASK),
    attempt: attemptField(),
    retry: optional.text('policy', 'When it is tried again: as in a plan, such as {max_attempts: 4, base: 1s}'),
    timeout: optional.text('duration', 'How long one try may take, such as 10m (default: no limit)'),
    command: rest('The command and its arguments; no shell is in between'),
  }),
  output: () =>
    z.strictObject({
      task_id: z.string(),
      name: z.string(),
      status: z.enum(STEP_STATUSES),
      /** It was done before; the command did not run. */
      recorded: z.boolean(),
      tries: countSchema(),
      started_at: z.string(),
      ended_at: z.string(),
      /** The first 64 KiB of what it has written; empty where it has failed. */
      stdout: z.string(),
      /** The same bytes, where they are no UTF-8. */
      base64: z.optional(z.string()),
      /** How much that was in all. */
      bytes: countSchema(),
      last_error: z.nullable(LastErrorSchema()),
      /** 0, the command's own code, or 128 + n for signal n. */
      exit_code: z.int(),
      why: textOrNull(),
    }),
  /** Throws INVALID_ID, INVALID_ARGS, STEP_REPEATED, LEASE_STOLEN, STALE_ATTEMPT, STATE_NOT_FOUND, TASK_NOT_FOUND, INTERRUPTED, IO_ERROR. */
  async run(context, options) {
    const name = requireName(options.name);
    if (options.command.length === 0)
      throw invalidArgs('say which command the step is', `forge orchestrate step ${name} -- make`);
    const declared = await policyIn(options.retry);
    const timeoutMs = stepTimeout(options.timeout, '--timeout');
    const session = await openSession(context);
    const attempt = { taskId: options.task, attemptId: requireUuid(options.attempt, '--attempt') };
    const { record, read } = await openJournal(session, attempt);
    const passes = await passesOf(session, attempt, name);
    const before = read.steps.get(name);
    if (before?.status === 'completed') {
      await passes.note();
      return shown(options.task, before, true);
    }
    const task = await plannedOrNull(session, options.task);
    const { runStep } = await import('../engine/steps/run-step.ts');
    const emit = (stream: StepBytes['stream'], bytes: Uint8Array) => void context.emit?.({ stream, bytes } as never);
    const request = {
      attempt: { ...attempt, claimId: record.lease?.claim_id ?? '' },
      task,
      name,
      key: stepKey(read.journal, read, name),
      argv: options.command,
      policy: stepPolicy(declared, task, session.settings),
      timeoutMs,
      timeoutText: options.timeout ?? null,
      emit,
    };
    const { lease } = record;
    const done = await interruptible(context, (interrupts) => runStep(session, request, read, { lease, interrupts }));
    if (done.status === 'completed') await passes.note();
    return shown(options.task, done, false);
  },
});

/** YAML, as in a plan. */
async function policyIn(text: string | undefined): Promise<RetryDeclaration | undefined> {
  if (text === undefined) return undefined;
  const { parseYaml } = await import('../lib/yaml.ts');
  const parsed = parseYaml(text, '--retry');
  const problems = parsed.ok
    ? retryProblems(parsed.value)
    : [{ message: parsed.problems[0]?.message ?? 'not valid YAML' }];
  const [first] = problems;
  if (first === undefined && parsed.ok) return parsed.value as PolicyDeclaration;
  throw invalidArgs(`--retry: ${first?.message}`, "For example: --retry '{max_attempts: 4, base: 1s}'");
}

/**
 * A name means one step: that an attempt comes to it again once it was done is a mistake of its script. One that was killed may repeat the
 * call, and so may each try of a step around it. Throws STEP_REPEATED.
 */
async function passesOf(session: Session, attempt: { taskId: string; attemptId: string }, name: string) {
  const log = { log: 'events' as const, ...attempt };
  const type = 'forge.step';
  const { FORGE_STEP: outer, FORGE_STEP_TRY: number } = session.ctx.env;
  const data = { name, within: outer === undefined ? null : `${outer} ${number}` };
  const isPassed = (await session.eventLog.read(log)).some((event) => {
    const passed = event['data'] as Partial<typeof data> | null;
    return event['type'] === type && passed?.name === name && passed.within === data.within;
  });
  if (isPassed) throw stepRepeated(name);
  return { note: () => session.eventLog.append(log, { ts: isoTime(session.now()), type, data }) };
}

function shown(
  task_id: string,
  { name, status, tries, started_at, ended_at, result, last_error }: Step,
  recorded: boolean,
) {
  const { stdout = '', base64, bytes = 0 } = (result ?? {}) as Partial<StepOutput>;
  return {
    task_id,
    name,
    status,
    recorded,
    tries,
    started_at,
    ended_at,
    stdout,
    ...(base64 === undefined ? {} : { base64 }),
    bytes,
    last_error,
    exit_code:
      status === 'completed'
        ? EXIT.ok
        : codeOf({ code: last_error?.exit_code ?? null, signal: last_error?.signal ?? null }),
    why: last_error?.message ?? null,
  };
}
