/** Claude Code: the lines of `claude -p --output-format stream-json --verbose`. Tried with 2.1. Qwen Code writes the same. */

import { type ClockTime, minutesOf, monthOf } from './clock-time.ts';
import {
  type Adapter,
  type AgentEvent,
  answerText,
  type Cause,
  type CauseWords,
  causeOfStatus,
  causeSaid,
  costOf,
  countOf,
  type Fields,
  fieldsOf,
  listOf,
  namedIn,
  textOf,
  toolText,
} from './events.ts';

/** What its `error` fields name. */
export const CAUSE: Readonly<Record<string, Cause>> = {
  authentication_failed: 'auth',
  oauth_org_not_allowed: 'auth',
  billing_error: 'billing',
  rate_limit: 'rate_limit',
  overloaded: 'overloaded',
};

/** Why a session has ended, where that is a cause. */
const ENDED: Readonly<Record<string, Cause>> = { prompt_too_long: 'context', max_turns: 'max_turns' };

/** A plan's limit ends with the second at which it is over, with the time of day, or where that is more than a day away with the date too. */
export const RESET = /\|(\d{10})\b/;
const RESETS_AT =
  /\bresets (?:(?<month>[A-Z][a-z]{2}) (?<day>\d{1,2}), (?:(?<year>\d{4}), )?)?(?<hour>\d{1,2})(?::(?<minute>\d{2}))?\s?(?<half>am|pm) \((?<zone>[\w/+-]+)\)/i;

export function resetIn(text: string): number | ClockTime | null {
  const second = RESET.exec(text)?.[1];
  if (second !== undefined) return Number(second) * 1000;
  const { month, day, year, hour = '', minute = '0', half = '', zone } = RESETS_AT.exec(text)?.groups ?? {};
  if (zone === undefined) return null;
  const date =
    month === undefined ? null : { year: year ? Number(year) : null, month: monthOf(month), day: Number(day) };
  return { minutes: minutesOf(hour, minute, half), zone, date };
}

/** What it writes as text where it ends before it begins. */
const PLAIN: CauseWords = [
  [/^(?:You've hit your .*\blimit\b|Claude AI usage limit reached)/, 'rate_limit'],
  [/^(?:Invalid API key|Please run \/login|Not logged in)/, 'auth'],
  [/^Credit balance is too low/, 'billing'],
];

export const claude: Adapter = {
  plain(line) {
    const cause = causeSaid(PLAIN, line);
    return cause === null ? [] : [{ type: 'trouble', cause, text: line, until: resetIn(line), ended: true }];
  },
  events(line) {
    switch (line['type']) {
      case 'system':
        return system(line);
      case 'assistant':
        return assistant(line);
      case 'user':
        return listOf(fieldsOf(line['message'])['content']).flatMap((part) =>
          part['type'] === 'tool_result'
            ? { type: 'tool_result' as const, failed: part['is_error'] === true, text: contentText(part['content']) }
            : [],
        );
      case 'result':
        return result(line);
      case 'rate_limit_event':
        return planLimit(fieldsOf(line['rate_limit_info']));
      default:
        return [];
    }
  },
};

function system(line: Fields): AgentEvent[] {
  if (line['subtype'] === 'init') {
    return [{ type: 'session', session_id: textOf(line['session_id']), model: textOf(line['model']) || null }];
  }
  if (line['subtype'] !== 'api_retry') return [];
  const { error_status: status, error } = line;
  // Without a status there was no answer.
  const cause = namedIn(CAUSE, error) ?? causeOfStatus(status) ?? (status === null ? 'network' : null);
  return [{ type: 'trouble', cause, text: answerText(status), until: null, ended: false }];
}

/** How much of a plan is left. Its result says whether that was the end. */
function planLimit({ status, resetsAt }: Fields): AgentEvent[] {
  if (status !== 'rejected') return [];
  const until = countOf(resetsAt) * 1000 || null;
  return [{ type: 'trouble', cause: 'rate_limit', text: 'the limit of its plan is reached', until, ended: false }];
}

function assistant(line: Fields): AgentEvent[] {
  const events = listOf(fieldsOf(line['message'])['content']).flatMap((part): AgentEvent[] => {
    if (part['type'] === 'text') return [{ type: 'message', text: textOf(part['text']) }];
    if (part['type'] !== 'tool_use') return [];
    return [{ type: 'tool_call', text: toolText(textOf(part['name']), fieldsOf(part['input'])) }];
  });
  const error = textOf(line['error']);
  // Each block of a message is a line, and all of them say what the message has used up to its first.
  const { id, usage } = fieldsOf(line['message']);
  const tokens = tokensIn(usage);
  if (error === '' && tokens.input_tokens + tokens.output_tokens > 0)
    return [...events, { type: 'usage', ...tokens, cost: null, part: textOf(id) }];
  if (error === '') return events;
  // It says in its own words what has gone wrong; the result that follows says whether that was the end.
  const said = events.flatMap((event) => (event.type === 'message' ? event.text : [])).join(' ');
  return [{ type: 'trouble', cause: namedIn(CAUSE, error) ?? null, text: said || error, until: null, ended: false }];
}

function tokensIn(usage: unknown): { input_tokens: number; output_tokens: number } {
  const counts = fieldsOf(usage);
  const cached = countOf(counts['cache_read_input_tokens']) + countOf(counts['cache_creation_input_tokens']);
  return { input_tokens: countOf(counts['input_tokens']) + cached, output_tokens: countOf(counts['output_tokens']) };
}

function result(line: Fields): AgentEvent[] {
  const cost = costOf(line['total_cost_usd']);
  const used: AgentEvent = { type: 'usage', ...tokensIn(line['usage']), cost, total: true };
  // Also with `subtype: success`, where the server has refused.
  if (line['is_error'] !== true) return [used];
  const errors = Array.isArray(line['errors']) ? line['errors'].map(textOf) : [];
  const text = textOf(line['result']) || errors.join('; ') || textOf(line['subtype']);
  const cause = namedIn(ENDED, line['terminal_reason']) ?? causeOfStatus(line['api_error_status']);
  return [used, { type: 'trouble', cause, text: text.replace(RESET, ''), until: resetIn(text), ended: true }];
}

function contentText(content: unknown): string {
  return typeof content === 'string'
    ? content
    : listOf(content)
        .map(({ text }) => textOf(text))
        .join('\n');
}
