/** The children of a task at work, as its joins see them. */

import { childId, fanOutsOf } from '../../domain/fan-out/fan-outs.ts';
import { type JoinedChild, type JoinResult, type SeenChild, unknownFanOut } from '../../domain/fan-out/join.ts';
import { errorInfo, type TaskState } from '../../domain/task/records.ts';
import { isTerminal } from '../../domain/task/states.ts';
import { own } from '../../lib/own.ts';
import { readFanOut } from '../../project/fan-outs.ts';
import type { TaskStore } from '../../store/port.ts';

interface Member {
  id: string;
  fan_out: string;
  name: string;
  /** Its outcome, once its own record is removed. */
  was?: TaskState | undefined;
}

/** In the order of the sets. Throws UNKNOWN_FANOUT, SCHEMA_INVALID, IO_ERROR. */
async function membersOf(store: TaskStore, taskId: string, names: readonly string[]): Promise<Member[]> {
  const { record } = await store.read(taskId);
  const sets = record === null ? [] : fanOutsOf(record);
  const members: Member[] = [];
  for (const fan_out of names) {
    const sealed = sets.find(({ name }) => name === fan_out);
    if (sealed === undefined)
      throw unknownFanOut(
        taskId,
        fan_out,
        sets.map(({ name }) => name),
      );
    const { children } = await readFanOut(store, taskId, sealed);
    const { removed } = sealed;
    members.push(
      ...children.map(({ name }) => ({
        id: childId(taskId, fan_out, name),
        fan_out,
        name,
        was: removed && (own(removed.not_shipped, name) ?? 'shipped'),
      })),
    );
  }
  return members;
}

/** The children of these fan-outs; null while one is not over. Throws UNKNOWN_FANOUT, SCHEMA_INVALID, IO_ERROR. */
export async function seenChildren(
  store: TaskStore,
  taskId: string,
  names: readonly string[],
): Promise<SeenChild[] | null> {
  const seen: SeenChild[] = [];
  for (const { id, fan_out, name, was } of await membersOf(store, taskId, names)) {
    if (was !== undefined) {
      seen.push({ fan_out, name, state: was, error: null });
      continue;
    }
    const { record } = await store.read(id);
    if (record === null || !isTerminal(record.state.state)) return null;
    const { state, last_error } = record.state;
    seen.push({ fan_out, name, state, error: state === 'failed' ? errorInfo(last_error) : null });
  }
  return seen;
}

/** What a join that is done gives of its children. Throws UNKNOWN_FANOUT, SCHEMA_INVALID, IO_ERROR. */
export async function joinedChildren(
  store: TaskStore,
  taskId: string,
  names: readonly string[],
  { not_shipped }: Pick<JoinResult, 'not_shipped'>,
): Promise<JoinedChild[]> {
  const joined: JoinedChild[] = [];
  for (const { id, fan_out, name } of await membersOf(store, taskId, names)) {
    const state = not_shipped[`${fan_out}/${name}`] ?? 'shipped';
    joined.push({ fan_out, name, state, result: state === 'shipped' ? await resultOf(store, id) : null });
  }
  return joined;
}

async function resultOf(store: TaskStore, childId: string): Promise<unknown> {
  const attemptId = (await store.read(childId)).record?.memo.completion?.attempt_id;
  return attemptId === undefined ? null : ((await store.readDocument('result', childId, attemptId))?.value ?? null);
}
