/** Which verbs are tools, and what a client gets to know of their effects. All else about a tool is made from its command. */

import { COMMANDS, loadCommand, VERBS, type VerbName } from '../commands/registry.ts';
import { type Command, fieldsOf } from '../commands/shared/command.ts';
import type { Input } from '../commands/shared/environment.ts';
import { type CallSchema, callSchema } from '../commands/shared/json-schema.ts';
import type { Variables } from '../lib/variables.ts';

/** Hints of the protocol, each as it says; `readOnlyHint` comes from the command unless a tool is more harmless than its verb. */
interface Effects {
  readOnlyHint?: boolean;
  destructiveHint: boolean;
  idempotentHint: boolean;
  openWorldHint: boolean;
}

interface Variant {
  /** Default: that of the verb. */
  name?: string;
  title?: string;
  effects: Effects;
  /** Fields that have this value, whatever a client sends. */
  fixed?: Input;
  /** Fields that have this value unless a client sends another. */
  defaults?: Input;
  /** Fields that a client can't use. */
  without?: readonly string[];
  /** Which calls it waits for, when it changes something: those about the same task (default), those that merge, or none. */
  turn?: 'merge' | 'none';
}

const safe: Effects = { destructiveHint: false, idempotentHint: true, openWorldHint: false };
const once: Effects = { ...safe, idempotentHint: false };
/** Takes something away, and reaches branches, trackers or programs outside of forge. */
const grave: Effects = { destructiveHint: true, idempotentHint: true, openWorldHint: true };

/** Lines of a log that a client gets unless it asks for others: what a model can read. */
const LOG_LINES = 200;

/** A text says why a verb is no tool. */
const VARIANTS: Record<VerbName, readonly Variant[] | string> = {
  '': '`status` and `ready` say the same',
  init: 'it sets a project up, which is for its user',
  run: 'it goes on for hours',
  exec: 'it starts any command, and goes on as long as that',
  'run start': [{ effects: once }],
  'run end': [{ effects: safe }],
  status: [{ effects: safe }],
  phases: [
    { title: 'The progress of the phases', effects: safe, without: ['ready', 'phase', 'blocked_by', 'limit'] },
    { name: 'ready', title: 'What can start now, and what the rest waits for', effects: safe, fixed: { ready: true } },
  ],
  why: [{ effects: safe }],
  show: [{ effects: safe }],
  logs: [{ effects: safe, without: ['follow'], defaults: { tail: LOG_LINES } }],
  'render-worker-prompt': [{ effects: safe }],
  steps: [{ effects: once }],
  'run list': [{ effects: safe }],
  doctor: [{ effects: safe }],
  graph: [{ effects: safe }],
  add: [{ effects: once, turn: 'none' }],
  edit: [{ effects: safe }],
  drop: [{ effects: { ...safe, destructiveHint: true } }],
  claim: [{ effects: once }],
  dispatch: [{ effects: safe }],
  'ensure-worktree': [{ effects: safe }],
  heartbeat: [{ effects: safe, turn: 'none' }],
  event: [{ effects: once, turn: 'none' }],
  'guardrail-check': [{ effects: safe, turn: 'none' }],
  step: 'it starts any command, and goes on as long as that',
  wait: 'it waits as long as it is told to',
  'wait-until': 'it starts any command, and goes on as long as that',
  repeat: 'it starts any command, and goes on as long as that',
  'wait-for': 'it waits as long as it is told to',
  signal: [{ effects: safe }],
  context: [{ effects: safe }],
  'fan-out': [{ effects: safe }],
  join: [{ effects: safe }],
  complete: [{ effects: safe }],
  release: [{ effects: safe }],
  mcp: 'it is this server',
  hook: 'it is for the settings of an agent',
  review: [{ effects: { ...safe, openWorldHint: true }, turn: 'merge' }],
  ship: [{ effects: grave, turn: 'merge' }],
  inbox: [{ effects: safe }],
  question: [{ effects: safe }],
  answer: [{ effects: safe }],
  questions: [{ effects: safe }],
  attach: 'it goes on until the run is over; `questions` lists them',
  cancel: [{ effects: { ...safe, destructiveHint: true } }],
  retry: [{ effects: once }],
  rerun: [{ effects: safe }],
  done: [{ effects: safe }],
  forget: [{ effects: { ...safe, destructiveHint: true } }],
  gc: [
    {
      name: 'gc_dry_run',
      title: 'Show what gc would put right',
      effects: { ...safe, readOnlyHint: true },
      fixed: { dry_run: true },
      without: ['out', 'plan'],
    },
    { effects: grave, without: ['dry_run', 'out', 'plan'], turn: 'merge' },
  ],
  uninit: 'it takes forge out of a project, which is for its user',
  completion: 'it is for a shell',
};

export interface Tool extends Omit<Variant, 'effects'> {
  verb: VerbName;
  name: string;
  title: string;
  description: string;
  effects: Required<Effects>;
  command: Command;
  schema: CallSchema;
}

/** All tools, in the order of the help. `env`: its FORGE_* stand in for arguments, which need not be given then. */
export async function loadTools(env: Variables): Promise<Tool[]> {
  const tools: Tool[] = [];
  for (const verb of VERBS) {
    const variants = VARIANTS[verb];
    if (typeof variants === 'string') continue;
    const command = await loadCommand(verb);
    for (const variant of variants) tools.push(toolOf(verb, command, variant, env));
  }
  return tools;
}

function toolOf(verb: VerbName, command: Command, variant: Variant, env: Variables): Tool {
  const { name = verb.replaceAll(/[ -]/g, '_'), title = COMMANDS[verb].about, fixed = {}, defaults = {} } = variant;
  const named = fieldsOf(command.input).flatMap(({ key, env: variable }) =>
    variable !== undefined && env[variable] ? [[key, env[variable]] as const] : [],
  );
  const without = [...(variant.without ?? []), ...Object.keys(fixed)];
  return {
    ...variant,
    verb,
    name,
    title,
    description: [title, command.notes?.replaceAll('\n', ' ')].filter((text) => text !== undefined).join('. '),
    effects: { ...variant.effects, readOnlyHint: variant.effects.readOnlyHint ?? !command.changes },
    command,
    schema: callSchema(command, without, { ...Object.fromEntries(named), ...defaults }),
    fixed,
    defaults,
    without,
  };
}
