/** What workers wrote last, as error rules and people look at it. */

import type { OutputTail } from '../../domain/run/events.ts';
import { readFrom } from '../../lib/fs/read.ts';
import { plainText } from '../../lib/text.ts';
import { logFile, type StreamName } from '../../store/file/attempt-files.ts';

/** How much of each stream's end is looked at for error rules and shown after a failure, bytes. */
const TAIL_BYTES = 16 * 1024;

/** The end of both logs, made safe to show; empty where there are none. */
export function tailOf(attemptDir: string): OutputTail {
  const tail = (stream: StreamName) => plainText(readFrom(logFile(attemptDir, stream), -TAIL_BYTES).text);
  return { stdout: tail('stdout'), stderr: tail('stderr') };
}
