/**
 * The Agent Client Protocol: the lines of forge's own client (`src/acp`), which has an agent of any maker do a task. Tried with Gemini CLI 0.61,
 * OpenCode 1.18, Qwen Code 0.15, GitHub Copilot CLI 1.0, and the adapter of Claude Code, claude-agent-acp 0.101.
 */

import { parseJson } from '../../lib/json.ts';
import { oneLine } from '../../lib/text.ts';
import { CAUSE, RESET, resetIn } from './claude.ts';
import {
  type Adapter,
  type AgentEvent,
  type Cause,
  type CauseWords,
  causeOfAnswer,
  causeSaid,
  countOf,
  type Fields,
  fieldsOf,
  listOf,
  namedIn,
  textOf,
  toolText,
  type UsageEvent,
} from './events.ts';

/** Why a turn has ended, where that is a cause. */
const STOPPED: Readonly<Record<string, Cause>> = {
  max_tokens: 'context',
  max_turn_requests: 'max_turns',
  refusal: 'refused',
};

/** Of JSON-RPC, as the protocol uses it. */
const AUTH_REQUIRED = -32000;

/** What agents and servers say in errors, which have no field for the cause. */
const SAYS: CauseWords = [
  [/ContextOverflowError|too large to compact|rejected the prompt as too long/, 'context'],
  [
    /ProviderAuthError|\bapi[- ]?key\b.*\b(?:invalid|missing)|\binvalid\b.*\bapi[- ]?key\b|unauthori[sz]ed|authentication failed/i,
    'auth',
  ],
  [/rate.?limit|too many requests/i, 'rate_limit'],
  [/\boverloaded\b|at capacity/i, 'overloaded'],
  [
    /connection error|error sending request|fetch failed|socket|ECONNREFUSED|ECONNRESET|ENOTFOUND|ETIMEDOUT/i,
    'network',
  ],
];

export const acp: Adapter = {
  events(line) {
    switch (line['type']) {
      case 'session':
        return [{ type: 'session', session_id: textOf(line['sessionId']), model: textOf(line['model']) || null }];
      case 'message':
        return [{ type: 'message', text: textOf(line['text']), partial: true }];
      case 'usage':
        return usageOf(fieldsOf(line['usage']), {}).map((used) => ({ ...used, part: '' }));
      case 'tool_call':
        return [{ type: 'tool_call', text: callText(line) }];
      case 'tool_result':
        return [result(line)];
      case 'refused':
        return [{ type: 'tool_result', failed: true, text: 'not allowed: it is outside of the workspace' }];
      case 'end':
        return ended(line);
      case 'error':
        return [failed(line)];
      default:
        return [];
    }
  },
};

/** What a kind of tool does with what the title names. */
const DOES: Readonly<Record<string, string>> = {
  execute: 'runs',
  edit: 'edits',
  delete: 'removes',
  move: 'moves',
  read: 'reads',
  fetch: 'fetches',
  search: 'searches',
};

function callText({ kind, title, rawInput, locations }: Fields): string {
  const name = textOf(kind);
  const input = fieldsOf(rawInput);
  const place = textOf(listOf(locations)[0]?.['path']);
  if (name === 'execute') return toolText(name, { command: textOf(input['command']) || textOf(title) });
  const does = namedIn(DOES, name);
  const what = (['edit', 'delete', 'read'].includes(name) && place) || textOf(title) || place || 'a file';
  return does === undefined ? toolText(textOf(title) || 'a tool', input) : `${does} ${oneLine(what, 200)}`;
}

function result({ status, content, rawOutput }: Fields): AgentEvent {
  const output = fieldsOf(rawOutput);
  const exits = [fieldsOf(output['metadata'])['exit'], ...listOf(output['contents']).map(({ exitCode }) => exitCode)];
  const failed = status === 'failed' || exits.some((code) => typeof code === 'number' && code !== 0);
  const text = listOf(content)
    .map((part) => textOf(fieldsOf(part['content'])['text']))
    .join('\n');
  return { type: 'tool_result', failed, text: text || textOf(rawOutput) };
}

function ended(line: Fields): AgentEvent[] {
  const { stopReason, usage, _meta, said } = line;
  const used = usageOf(fieldsOf(usage), fieldsOf(fieldsOf(fieldsOf(_meta)['quota'])['token_count']));
  const reason = textOf(stopReason);
  const words = textOf(said).replace(/^Error: /, '');
  if (reason === 'end_turn' && words === '') return used;
  const text = reason === 'end_turn' ? words : `its turn has ended with ${oneLine(reason, 60) || 'no reason'}`;
  const cause = reason === 'end_turn' ? causeIn(words) : (namedIn(STOPPED, reason) ?? null);
  return [...used, { type: 'trouble', cause, text, until: null, ended: true }];
}

/** `total` holds what was read from a cache, which some leave out of the input. */
function usageOf({ inputTokens, outputTokens, totalTokens }: Fields, gemini: Fields): UsageEvent[] {
  const output_tokens = countOf(outputTokens) || countOf(gemini['output_tokens']);
  const input = Math.max(countOf(inputTokens), countOf(totalTokens) - output_tokens);
  const input_tokens = input || countOf(gemini['input_tokens']);
  return input_tokens + output_tokens === 0 ? [] : [{ type: 'usage', input_tokens, output_tokens, cost: null }];
}

function failed({ step, code, message, data }: Fields): AgentEvent {
  const { details, errorName, errorKind } = fieldsOf(data);
  const said = answerIn(textOf(message)).replace(/^Internal error(?:: )?/, '');
  const text = [said, textOf(details)].filter((part) => part !== '').join(': ') || textOf(errorName) || textOf(message);
  // Gemini CLI passes the status of the server on as the code, and 500 for what it does not know.
  const status = typeof code === 'number' && code > 400 && code !== 500 ? `${code} ` : '';
  // The adapter of Claude Code names the cause as that does.
  const named = code === AUTH_REQUIRED ? 'auth' : namedIn(CAUSE, errorKind);
  const cause = named ?? causeIn(`${status}${text} ${textOf(errorName)}`);
  // Forge's own words name it already.
  const where = code === undefined || step === 'session/prompt' ? '' : ` (${textOf(step)})`;
  return { type: 'trouble', cause, text: `${text.replace(RESET, '')}${where}`, until: resetIn(text), ended: true };
}

/** The message of a server's answer, where that is passed on whole. */
function answerIn(message: string): string {
  return textOf(fieldsOf(fieldsOf(parseJson(message))['error'])['message']) || message;
}

/** By the words of the server, else by its status, which stands first or behind `HTTP`. */
function causeIn(text: string): Cause | null {
  const status = /^(\d{3})\b|\bHTTP (\d{3})\b|\berror: (\d{3})\b|\((\d{3})\)/.exec(text);
  const named = causeOfAnswer(Number(status?.slice(1).find((digits) => digits !== undefined)), text);
  return named ?? causeSaid(SAYS, text);
}
