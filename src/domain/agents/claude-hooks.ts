/** What Claude Code says of an event to a hook, and what a hook may answer. Source: its hooks, 2.1. */

import { parseJson } from '../../lib/json.ts';

const HOOK_EVENTS = ['SessionStart', 'PreToolUse', 'PostToolUse', 'Stop'] as const;

export interface HookEvent {
  name: (typeof HOOK_EVENTS)[number];
  /** The file that a tool is about to change; null for any other. */
  path: string | null;
  /** The agent goes on because a hook has kept it from ending before. */
  again: boolean;
}

/** Null for anything that is none of these events. */
export function hookEvent(text: string): HookEvent | null {
  const said = Object(parseJson(text)) as Record<string, unknown>;
  const name = HOOK_EVENTS.find((event) => event === said['hook_event_name']);
  const tool = Object(said['tool_input']) as Record<string, unknown>;
  const path = [tool['file_path'], tool['notebook_path']].find((each) => typeof each === 'string') ?? null;
  return name === undefined ? null : { name, path: path as string | null, again: said['stop_hook_active'] === true };
}

export type HookAnswer = Record<string, unknown>;

/** What the model is told as its session begins. */
export function tellAtStart(additionalContext: string): HookAnswer {
  return { hookSpecificOutput: { hookEventName: 'SessionStart', additionalContext } };
}

/** The tool is not called; the model is told why. */
export function denyTool(permissionDecisionReason: string): HookAnswer {
  return { hookSpecificOutput: { hookEventName: 'PreToolUse', permissionDecision: 'deny', permissionDecisionReason } };
}

/** After a tool: the model is told. At its end: it goes on. */
export function block(reason: string): HookAnswer {
  return { decision: 'block', reason };
}
