/** Codex: the lines of `codex exec --json`. Tried with 0.171. */

import { oneLine } from '../../lib/text.ts';
import { type ClockTime, minutesOf, monthOf } from './clock-time.ts';
import {
  type Adapter,
  type AgentEvent,
  type CauseWords,
  causeOfStatus,
  causeSaid,
  type Fields,
  fieldsOf,
  listOf,
  namedIn,
  textOf,
  tokensOf,
} from './events.ts';

/** It names no cause in a field of its own; these are its own words for them. */
const SAYS: CauseWords = [
  [/ran out of room in the model's context window/, 'context'],
  [/hit your usage limit/, 'rate_limit'],
  [/^quota exceeded/i, 'billing'],
  [/stream disconnected|error sending request|connection failed/i, 'network'],
  [/at capacity|server is overloaded/i, 'overloaded'],
];

export const codex: Adapter = {
  countsOn: true,
  events(line) {
    switch (line['type']) {
      case 'thread.started':
        return [{ type: 'session', session_id: textOf(line['thread_id']), model: null }];
      case 'item.started':
        return doing(fieldsOf(line['item']));
      case 'item.completed':
        return done(fieldsOf(line['item']));
      case 'turn.completed':
        return [tokensOf(fieldsOf(line['usage']))];
      case 'error':
        return [trouble(textOf(line['message']), false)];
      case 'turn.failed':
        return [trouble(textOf(fieldsOf(line['error'])['message']), true)];
      default:
        return [];
    }
  },
};

/** What takes long is told when it begins. */
function doing(item: Fields): AgentEvent[] {
  switch (item['type']) {
    case 'command_execution':
      return [{ type: 'tool_call', text: `runs ${oneLine(withoutShell(textOf(item['command'])), 200)}` }];
    case 'mcp_tool_call':
      return [{ type: 'tool_call', text: `uses ${oneLine(`${textOf(item['server'])} ${textOf(item['tool'])}`, 200)}` }];
    case 'web_search':
      return [{ type: 'tool_call', text: `searches the web for ${oneLine(textOf(item['query']), 200)}` }];
    default:
      return [];
  }
}

const CHANGES: Readonly<Record<string, string>> = { add: 'writes', delete: 'removes' };

function done(item: Fields): AgentEvent[] {
  switch (item['type']) {
    case 'agent_message':
      return [{ type: 'message', text: textOf(item['text']) }];
    case 'command_execution':
    case 'mcp_tool_call': {
      const { status, aggregated_output: output, exit_code: code } = item;
      const text = textOf(output) || (typeof code === 'number' ? `exit code ${code}` : textOf(status));
      return [{ type: 'tool_result', failed: status === 'failed', text }];
    }
    case 'file_change':
      return listOf(item['changes']).map(({ kind, path }) => {
        const text = `${namedIn(CHANGES, kind) ?? 'edits'} ${oneLine(textOf(path), 200)}`;
        return { type: 'tool_call', text };
      });
    default:
      // Its items of type error are warnings: it goes on.
      return [];
  }
}

function trouble(text: string, ended: boolean): AgentEvent {
  const status = /\bstatus:? (\d{3})\b/.exec(text)?.[1];
  const cause = causeSaid(SAYS, text) ?? causeOfStatus(Number(status));
  return { type: 'trouble', cause, text: text.replace(/^Reconnecting\.\.\. /, ''), until: resetIn(text), ended };
}

/** `try again at Mar 17th, 2030 5:46 PM`, or of today `try again at 5:46 PM`, in the time zone of the machine. */
function resetIn(text: string): ClockTime | null {
  const [, month, day, year, hour, minute = '', half = ''] =
    /try again at (?:(\w{3}) (\d{1,2})\w{2}, (\d{4}) )?(\d{1,2}):(\d{2}) ([AP]M)/.exec(text) ?? [];
  if (hour === undefined) return null;
  const date = month === undefined ? null : { year: Number(year), month: monthOf(month), day: Number(day) };
  return { minutes: minutesOf(hour, minute, half), zone: null, date };
}

/** `npm test` of `/bin/bash -lc 'npm test'`. */
function withoutShell(command: string): string {
  const [, script = command] = /^\S*\/(?:ba|z|da)?sh -l?c (.*)$/s.exec(command) ?? [];
  const quote = script[0];
  return (quote === "'" || quote === '"') && script.length > 1 && script.endsWith(quote) ? script.slice(1, -1) : script;
}
