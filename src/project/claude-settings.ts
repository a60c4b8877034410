/** The hooks of Claude Code that forge adds to `.claude/settings.json`: each asks `forge orchestrate hook`. Source: its settings, 2.1. */

import { isDeepStrictEqual } from 'node:util';
import {
  memberOf,
  type Place,
  placesIn,
  type Style,
  styleOf,
  valueAt,
  wasEmpty,
  withLast,
  withoutMember,
  withValue,
} from '../lib/json-edit.ts';

export const CLAUDE_SETTINGS = '.claude/settings.json';

/** By this a hook is known for one of forge, also of another version. */
const OWN = 'orchestrate hook claude';

/** However it ends, the agent goes on: where forge is missing or is another program, and where it fails. */
const ASK = `"\${FORGE_CLI:-forge}" ${OWN} --event - 2>/dev/null || true`;
/** Outside of a task no process is started. */
const ASK_IN_TASK = `[ -z "$FORGE_ATTEMPT_ID" ] || ${ASK}`;

/** `timeout`: seconds. */
const group = (command: string, matcher?: string) => ({
  ...(matcher === undefined ? {} : { matcher }),
  hooks: [{ type: 'command', command, timeout: 20 }],
});

const HOOKS: Readonly<Record<string, object>> = {
  SessionStart: group(ASK),
  PreToolUse: group(ASK_IN_TASK, 'Edit|MultiEdit|Write|NotebookEdit'),
  PostToolUse: group(ASK_IN_TASK),
  Stop: group(ASK_IN_TASK),
};

const ALL = Object.fromEntries(Object.entries(HOOKS).map(([event, own]) => [event, [own]]));

/** Why a text can't take the hooks; null when it can. */
export function whyNoHooks(text: string): string | null {
  const root = placesIn(text);
  if (root === null) return 'it is not JSON';
  if (root.kind !== 'object') return 'it is not an object';
  const hooks = memberOf(root, 'hooks');
  if (hooks !== null && hooks.kind !== 'object') return '`hooks` is not an object';
  const wrong = Object.keys(HOOKS).find((event) => ((hooks && memberOf(hooks, event)?.kind) ?? 'list') !== 'list');
  return wrong === undefined ? null : `\`hooks.${wrong}\` is not a list`;
}

/** The text with the hooks, each once and as this version writes it; null when there is no file. */
export function withHooks(text: string | null): string {
  if (text === null) return `${JSON.stringify({ hooks: ALL }, null, 2)}\n`;
  const root = placesIn(text) as Place;
  const style = styleOf(text);
  if (memberOf(root, 'hooks') === null) return withLast(text, root, 'hooks', ALL, style);
  return Object.entries(HOOKS).reduce((before, [event, own]) => withHook(before, event, own, style), text);
}

function withHook(text: string, event: string, own: object, style: Style): string {
  const hooks = memberOf(placesIn(text) as Place, 'hooks') as Place;
  const list = memberOf(hooks, event);
  if (list === null) return withLast(text, hooks, event, [own], style);
  const known = list.members.find(({ value }) => isOwn(valueAt(text, value)));
  if (known === undefined) return withLast(text, list, null, own, style);
  return isDeepStrictEqual(valueAt(text, known.value), own) ? text : withValue(text, known.value, own, style);
}

/** The text without the hooks; null when nothing else was ever in the file. `left`: some are there that are not as written. */
export function withoutHooks(text: string): { text: string | null; left: boolean } {
  const root = placesIn(text);
  const hooks = root && memberOf(root, 'hooks');
  if (root === null || hooks?.kind !== 'object') return { text, left: false };
  if (isAsAdded(text, root, { hooks: ALL })) return { text: null, left: false };
  if (isAsAdded(text, hooks, ALL)) return { text: without(text, root, hooks), left: false };
  const rest = Object.entries(HOOKS).reduce((before, [event, own]) => withoutHook(before, event, own), text);
  return { text: rest, left: hasOwn(rest) };
}

function withoutHook(text: string, event: string, own: object): string {
  const hooks = memberOf(placesIn(text) as Place, 'hooks') as Place;
  const list = memberOf(hooks, event);
  if (list?.kind !== 'list') return text;
  if (isAsAdded(text, list, [own])) return without(text, hooks, list);
  const found = list.members.find(({ value }) => isDeepStrictEqual(valueAt(text, value), own));
  return found === undefined ? text : without(text, list, found.value);
}

function without(text: string, from: Place, value: Place): string {
  const index = from.members.findIndex((member) => member.value === value);
  return withoutMember(text, from, index);
}

/** There is nothing but what was added, and none of its objects and lists was there before. */
function isAsAdded(text: string, place: Place, added: unknown): boolean {
  const wereEmpty = (at: Place): boolean => wasEmpty(text, at) || at.members.some(({ value }) => wereEmpty(value));
  return isDeepStrictEqual(valueAt(text, place), added) && !wereEmpty(place);
}

function hasOwn(text: string): boolean {
  const hooks = memberOf(placesIn(text) as Place, 'hooks');
  const groups = hooks?.members.flatMap(({ value }) => value.members) ?? [];
  return groups.some(({ value }) => isOwn(valueAt(text, value)));
}

function isOwn(value: unknown): boolean {
  const { hooks } = Object(value) as { hooks?: unknown };
  if (!Array.isArray(hooks) || hooks.length !== 1) return false;
  const { command } = Object(hooks[0]) as { command?: unknown };
  return typeof command === 'string' && command.includes(OWN);
}
