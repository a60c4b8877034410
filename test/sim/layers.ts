/**
 * The two depths at which the protocol is simulated. Most schedules run its core alone, versions and nothing else: they
 * are short, so that many fit. The others run all that a changing command does, with views, edits and adoption.
 */

import { errorCode } from '../../src/lib/fs/io-errors.ts';
import type { Step } from '../../src/lib/fs/operations.ts';
import * as io from '../../src/lib/fs/operations.ts';
import {
  type CommitRequest,
  commit,
  compact,
  type KnownVersion,
  type Retention,
  readHead,
} from '../../src/store/file/protocol.ts';
import { commitTask, type FolderRead, readTask, settleTask } from '../../src/store/file/task-files.ts';
import type { RecordCommit } from '../../src/store/port.ts';
import { TASK } from './requests.ts';
import { DIR } from './world.ts';

export type Seen = Pick<FolderRead, 'version' | 'record' | 'problem' | 'warnings' | 'whole'>;

/** What a process remembers of the task, as the store does. */
export interface Memory {
  known: KnownVersion | null;
  /** The `state_version` that it has shown. */
  shown: number | undefined;
}

export interface Layer {
  readonly views: boolean;
  read(thorough: boolean, memory: Memory): Step<Seen>;
  commit(change: CommitRequest, retention: Retention, memory: Memory): Step<RecordCommit>;
  settle(op: string): Step<void>;
}

export const WHOLE: Layer = {
  views: true,
  read: (thorough, { known }) => readTask(DIR, TASK, thorough, known),
  commit: (change, retention, { shown }) => commitTask(DIR, { ...change, shown }, retention),
  settle: (op) => settleTask(DIR, op),
};

export const CORE: Layer = {
  views: false,
  *read(_thorough, { known }) {
    const head = yield* readHead(DIR, known);
    return {
      version: head.n,
      record: head.version?.record ?? null,
      problem: null,
      warnings: [],
      whole: head.version,
    };
  },
  *commit(change, retention) {
    const result = yield* commit(DIR, change);
    if (result.kind === 'conflict') return result;
    const warnings = result.durable ? [] : ['a power cut may undo it'];
    if (result.durable && result.versions >= retention.compactAt) {
      try {
        yield* compact(DIR, result.n, retention);
      } catch (error) {
        warnings.push(`not compacted: ${errorCode(error)}`);
      }
    }
    return { kind: 'committed', version: result.n, record: change.record, warnings };
  },
  settle: () => io.syncDir(DIR),
};
