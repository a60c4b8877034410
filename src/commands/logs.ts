/** `logs`: what a task's worker wrote. */

import { LogReader } from '../engine/attempt/output.ts';
import { ForgeError } from '../lib/errors.ts';
import { requireUuid } from '../lib/ids.ts';
import { STREAMS, type StreamName } from '../store/port.ts';
import { requireRecord } from './shared/reads.ts';
import { type Call, openSession, type Session } from './shared/session.ts';

export interface LogsOptions {
  task: string;
  /** The current (or last) attempt when it is not given. */
  attempt?: string | undefined;
  /** Goes on until the attempt is over. */
  follow?: boolean | undefined;
  /** Both when it is not given. */
  stream?: StreamName | undefined;
}

export interface LogsData {
  task_id: string;
  attempt_id: string;
  files: Record<StreamName, string>;
}

export interface LogChunk {
  stream: StreamName;
  text: string;
}

/** How often a followed log is looked at, milliseconds. */
const FOLLOW_MS = 200;

/** Hands the logs to `emit`, from their beginning. Throws TASK_NOT_FOUND, STATE_NOT_FOUND when there was no such attempt. */
export async function logs(
  call: Call,
  options: LogsOptions,
  emit: (chunk: LogChunk) => void,
  stop?: { readonly aborted: boolean },
): Promise<LogsData> {
  const session = openSession(call);
  const { record } = await requireRecord(session, options.task);
  const current = record.state.current_attempt_id;
  const attemptId = options.attempt ?? current;
  if (attemptId === null) throw new ForgeError('STATE_NOT_FOUND', `task ${options.task} has had no attempt yet`);
  const id = attemptId === current ? current : requireUuid(attemptId, '--attempt');
  if ((await session.store.readDocument('manifest', options.task, id)) === null) {
    throw new ForgeError('STATE_NOT_FOUND', `task ${options.task} has no attempt ${id}`, {
      hint: `See its attempts with \`forge orchestrate show ${options.task}\`.`,
    });
  }
  const attempt = { taskId: options.task, attemptId: id };
  const reader = new LogReader(session.artifacts, attempt, options.stream === undefined ? STREAMS : [options.stream]);
  for (;;) {
    // Asked before reading: what the worker wrote until its end is still read after it.
    const goesOn = options.follow === true && stop?.aborted !== true && (await isCurrent(session, options.task, id));
    reader.drain(emit);
    if (!goesOn) break;
    await new Promise((resolve) => setTimeout(resolve, FOLLOW_MS));
  }
  return {
    task_id: options.task,
    attempt_id: id,
    files: {
      stdout: session.artifacts.logPath(attempt, 'stdout.log'),
      stderr: session.artifacts.logPath(attempt, 'stderr.log'),
    },
  };
}

async function isCurrent(session: Session, taskId: string, attemptId: string): Promise<boolean> {
  const { record } = await session.store.read(taskId);
  return record?.lease?.attempt_id === attemptId;
}
