/** `logs`: what a task's worker wrote. */

import * as z from 'zod/mini';
import { adapterOf } from '../domain/agents/output.ts';
import { prunedAt } from '../domain/gc/retention.ts';
import { isCut, MARK_MAX } from '../domain/log-cuts.ts';
import { LogReader } from '../engine/attempt/output.ts';
import { ForgeError, orNull } from '../lib/errors.ts';
import { requireUuid } from '../lib/ids.ts';
import { type AttemptRef, SETUP_LOG, SHOWN_LOGS, type ShownLog, STREAMS } from '../store/port.ts';
import { command, flag, optional, ownAttemptField, SAMPLE, taskField } from './shared/command.ts';
import { textOrNull } from './shared/data.ts';
import { requireRecord } from './shared/reads.ts';
import { type CommandContext, openSession, type Session } from './shared/session.ts';

/** Which logs are printed: emitted once, before any of their text. */
interface LogsOpened {
  task_id: string;
  attempt_id: string;
  /** Their paths. */
  files: Record<ShownLog, string>;
  /** When `gc --prune` has removed them; null: it has not. */
  pruned_at: string | null;
}

export type LogEvent = ({ type: 'opened' } & LogsOpened) | { type: 'text'; stream: ShownLog; text: string };

/** How often a followed log is looked at, milliseconds. */
const FOLLOW_MS = 200;

export const logs = command({
  changes: false,
  examples: [
    ['logs build', 'both logs of the current or last attempt'],
    ['logs build --follow', 'go on while the worker writes'],
    ['logs build --tail 20', 'only the last lines'],
    ['logs build --stream stderr', 'only the errors'],
    ['logs build --raw', 'the bytes that a coding agent has written'],
    ['logs build --stream setup', 'what has prepared its worktree'],
    ['logs build --attempt 2', 'its second attempt'],
    [`logs build --attempt ${SAMPLE.attempt}`, 'an attempt by its id'],
  ],
  input: z.object({
    task: taskField(),
    attempt: ownAttemptField('This attempt instead of the current or last one, by id or number', 'numbered attempt'),
    follow: flag('Go on until the attempt is over'),
    stream: optional.choice(SHOWN_LOGS, 'Only this one'),
    raw: flag('As a coding agent has written it, instead of in words'),
    tail: optional.integer('lines', [0], 'Only so many of the last lines of each'),
  }),
  output: () =>
    z.strictObject({
      task_id: z.string(),
      attempt_id: z.string(),
      files: z.strictObject({ setup: z.string(), stdout: z.string(), stderr: z.string() }),
      /** When `gc --prune` has removed them; null: it has not. */
      pruned_at: textOrNull(),
      /** Empty where the text was emitted as it came, and where it was not asked for. */
      setup: z.string(),
      stdout: z.string(),
      stderr: z.string(),
      /** Something is missing: before the lines of `tail`, or where the text has the mark of a cut. */
      truncated: z.boolean(),
    }),
  /** Emits the logs, from their beginning, each piece once the last one is taken. Throws TASK_NOT_FOUND, STATE_NOT_FOUND when there was no such attempt. */
  async run(context: CommandContext<LogEvent>, options) {
    const { signal } = context;
    const text = { setup: '', stdout: '', stderr: '' };
    const cuts = { setup: new CutWatch(), stdout: new CutWatch(), stderr: new CutWatch() };
    const keep = (event: LogEvent) => {
      if (event.type === 'text') text[event.stream] += event.text;
    };
    const emit = context.emit ?? keep;
    const session = await openSession(context);
    const { record } = await requireRecord(session, options.task);
    const current = record.state.current_attempt_id;
    // What prepares the worktree of the next attempt.
    const preparing = record.state.state === 'claimed' ? (record.worker?.attempt_id ?? null) : null;
    const attemptId = options.attempt ?? preparing ?? current;
    if (attemptId === null) {
      const hint = `See what it waits for: \`forge orchestrate why ${options.task}\`.`;
      throw new ForgeError('STATE_NOT_FOUND', `task ${options.task} has had no attempt yet`, { hint });
    }
    const id =
      attemptId === current || attemptId === preparing
        ? attemptId
        : requireUuid(attemptId, '--attempt', ', nor the number of an attempt');
    const manifest = await session.store.readDocument('manifest', options.task, id);
    if (id !== preparing && manifest === null) {
      throw new ForgeError('STATE_NOT_FOUND', `task ${options.task} has no attempt ${id}`, {
        hint: `See its attempts with \`forge orchestrate show ${options.task}\`.`,
      });
    }
    const attempt = { taskId: options.task, attemptId: id };
    const opened: LogsOpened = {
      task_id: options.task,
      attempt_id: id,
      files: {
        setup: session.artifacts.logPath(attempt, SETUP_LOG),
        stdout: session.artifacts.logPath(attempt, 'stdout.log'),
        stderr: session.artifacts.logPath(attempt, 'stderr.log'),
      },
      pruned_at: await prunedAtOf(session, attempt, manifest?.dispatched_at),
    };
    await emit({ type: 'opened', ...opened });
    // Where it has failed there was no worker, so it is all there is.
    const asked = STREAMS.some((stream) => hasLog(session, attempt, stream)) ? STREAMS : SHOWN_LOGS;
    const reader = new LogReader<ShownLog>(
      session.artifacts,
      attempt,
      options.stream === undefined ? asked : [options.stream],
      options.raw === true ? null : adapterOf(manifest?.agent),
    );
    const skipped = options.tail !== undefined && reader.skipTo(options.tail);
    const isCurrent = async () => {
      const { lease, worker } = (await session.store.read(options.task)).record ?? {};
      return (lease?.attempt_id ?? (lease && worker?.attempt_id)) === id;
    };
    for (;;) {
      // Asked before reading: what the worker wrote until its end is still read after it.
      const goesOn = options.follow === true && signal?.aborted !== true && (await isCurrent());
      for (const chunk of reader.chunks()) {
        if (signal?.aborted === true) break;
        cuts[chunk.stream].see(chunk.text);
        await emit({ type: 'text', ...chunk });
      }
      if (!goesOn) break;
      await new Promise((resolve) => setTimeout(resolve, FOLLOW_MS));
    }
    return { ...opened, ...text, truncated: skipped || SHOWN_LOGS.some((log) => cuts[log].found) };
  },
});

function hasLog({ artifacts }: Pick<Session, 'artifacts'>, attempt: AttemptRef, log: ShownLog): boolean {
  return artifacts.readLog(attempt, `${log}.log`, -1).next > 0;
}

/** Where there are logs, none was removed; or all that are left were made since. */
async function prunedAtOf(session: Session, attempt: AttemptRef, dispatchedAt?: string): Promise<string | null> {
  if (dispatchedAt === undefined || SHOWN_LOGS.some((log) => hasLog(session, attempt, log))) return null;
  const history = await orNull(() => session.eventLog.read({ log: 'claim-history', taskId: attempt.taskId }));
  return prunedAt(history ?? [], dispatchedAt);
}

/** Looks for the mark of a cut in a text that comes in pieces. */
class CutWatch {
  found = false;
  #end = '';

  see(piece: string): void {
    if (this.found) return;
    this.found = isCut(this.#end + piece);
    this.#end = piece.slice(-MARK_MAX);
  }
}
