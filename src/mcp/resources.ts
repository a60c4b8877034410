/** What a client may read: the plan as it stands in its file, tasks, and what the worker of a task is told. */

import { loadCommand } from '../commands/registry.ts';
import { jsonError } from '../commands/shared/error-body.ts';
import { type CommandContext, openSession } from '../commands/shared/session.ts';
import { errorMessage, ForgeError, orNull } from '../lib/errors.ts';
import { asIoError } from '../lib/fs/io-errors.ts';
import { plainJson } from '../lib/text.ts';
import { loadPlan, readPlanText } from '../project/plan-file.ts';
import {
  type ListResourcesResult,
  ProtocolError,
  ProtocolErrorCode,
  type ReadResourceResult,
  ResourceNotFoundError,
} from './sdk.ts';

const PLAN = 'forge://plan';
const TASK = /^forge:\/\/task\/([^/]+)(\/prompt)?$/;

export const RESOURCE_TEMPLATES = [
  {
    uriTemplate: 'forge://task/{id}',
    name: 'task',
    title: 'A task',
    description: 'Everything about one task, as the tool `show` has it',
    mimeType: 'application/json',
  },
  {
    uriTemplate: 'forge://task/{id}/prompt',
    name: 'prompt',
    title: 'The prompt of a task',
    description: 'What the worker of a task is told',
    mimeType: 'text/markdown',
  },
];

/** Resources of one page. */
const PAGE = 500;

/** The plan, and the tasks in it. `cursor`: how many of the tasks were listed before. */
export async function listResources(context: CommandContext, cursor: string | undefined): Promise<ListResourcesResult> {
  const from = Number(cursor ?? 0);
  if (!Number.isSafeInteger(from) || from < 0)
    throw new ProtocolError(ProtocolErrorCode.InvalidParams, `${JSON.stringify(cursor)} is no cursor of this server`);
  // A plan with a mistake in it can still be read, to see the mistake.
  const loaded = await orNull(async () => loadPlan(await openSession(context)));
  const tasks = loaded?.plan.tasks ?? [];
  const resources = tasks.slice(from, from + PAGE).map(({ id, title }) => ({
    uri: `forge://task/${encodeURIComponent(id)}`,
    name: id,
    title,
    mimeType: 'application/json',
  }));
  const plan = { uri: PLAN, name: 'plan', title: 'The plan', mimeType: 'application/yaml' };
  return {
    resources: from === 0 ? [plan, ...resources] : resources,
    ...(from + PAGE < tasks.length ? { nextCursor: String(from + PAGE) } : {}),
  };
}

/** Rejects with an error of the protocol. */
export async function readResource(context: CommandContext, uri: string): Promise<ReadResourceResult> {
  try {
    const found = await contentOf(context, uri);
    if (found !== null) return { contents: [{ uri, ...found }] };
  } catch (error) {
    throw protocolError(uri, asIoError(error, `reading ${uri}`));
  }
  throw new ResourceNotFoundError(uri);
}

async function contentOf(context: CommandContext, uri: string): Promise<{ mimeType: string; text: string } | null> {
  if (uri === PLAN) {
    const source = readPlanText(await openSession(context));
    return source && { mimeType: 'application/yaml', text: source.text };
  }
  const [, id, prompt] = TASK.exec(uri) ?? [];
  const task = id === undefined ? null : decoded(id);
  if (task === null) return null;
  if (prompt !== undefined) {
    const data = await (await loadCommand('render-worker-prompt')).run(context, { task } as never);
    return { mimeType: 'text/markdown', text: (data as { prompt: string }).prompt };
  }
  const data = await (await loadCommand('show')).run(context, { task } as never);
  return { mimeType: 'application/json', text: plainJson(data as object) };
}

function decoded(text: string): string | null {
  try {
    return decodeURIComponent(text);
  } catch {
    return null;
  }
}

function protocolError(uri: string, error: unknown): ProtocolError {
  if (error instanceof ForgeError && ['TASK_NOT_FOUND', 'INVALID_ID'].includes(error.code))
    return new ResourceNotFoundError(uri, error.message);
  const { error: data } = jsonError(error, null);
  return new ProtocolError(ProtocolErrorCode.InternalError, `${data.code}: ${errorMessage(error)}`, data);
}
