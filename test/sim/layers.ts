/**
 * The two depths at which the protocol is simulated. Most schedules run its core alone, versions and nothing else: they
 * are short, so that many fit. The others run all that a changing command does, with views, edits and adoption.
 */

import { errorCode } from '../../src/lib/fs/io-errors.ts';
import type { Step } from '../../src/lib/fs/operations.ts';
import { commit, compact, type KnownVersion, type Retention, readHead, settle } from '../../src/store/file/protocol.ts';
import {
  addTo,
  commitTask,
  type FolderCommit,
  type FolderRead,
  readTask,
  settleTask,
  type TaskCommitRequest,
} from '../../src/store/file/task-files.ts';
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
  commit(change: TaskCommitRequest, retention: Retention, memory: Memory): Step<FolderCommit>;
  settle(op: string, memory: Memory): Step<void>;
}

export const WHOLE: Layer = {
  views: true,
  read: (thorough, { known }) => readTask(DIR, TASK, thorough, known),
  commit: (change, retention, { known, shown }) => commitTask(DIR, { ...change, on: known?.version, shown }, retention),
  settle: (op, { known }) => settleTask(DIR, op, known?.version),
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
  *commit(change, retention, { known }) {
    const request = { ...change, on: known?.version };
    const result = (yield* addTo(DIR, request)) ?? (yield* commit(DIR, request));
    if (result.kind === 'conflict') return result;
    const { version: whole, durable, versions } = result;
    const warnings = durable ? [] : ['a power cut may undo it'];
    if (durable && versions >= retention.compactAt) {
      try {
        yield* compact(DIR, whole.n, retention);
      } catch (error) {
        warnings.push(`not compacted: ${errorCode(error)}`);
      }
    }
    return { kind: 'committed', version: whole.n, record: change.record, whole, warnings };
  },
  settle: (_op, { known }) => settle(DIR, known?.version),
};
