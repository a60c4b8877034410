/** Gemini CLI: the lines of `gemini -o stream-json`. Tried with 0.61. */

import { parseJson } from '../../lib/json.ts';
import {
  type Adapter,
  type AgentEvent,
  type Cause,
  type CauseWords,
  causeOfAnswer,
  causeSaid,
  type Fields,
  fieldsOf,
  listOf,
  namedIn,
  textOf,
  tokensOf,
  toolText,
} from './events.ts';

/** What the `type` of an error names. */
const CAUSE: Readonly<Record<string, Cause>> = {
  FatalAuthenticationError: 'auth',
  FatalTurnLimitedError: 'max_turns',
};

/** Its own words for causes that it has no field for. */
const SAYS: CauseWords = [
  [/^Please wait and try again later\. To increase your limits|^Possible quota limitations in place/m, 'rate_limit'],
  [/fetch failed|ECONNREFUSED|ECONNRESET|ENOTFOUND|ETIMEDOUT/, 'network'],
  [/^Maximum session turns exceeded$/, 'max_turns'],
];

export const gemini: Adapter = {
  events(line) {
    switch (line['type']) {
      case 'init':
        return [{ type: 'session', session_id: textOf(line['session_id']), model: textOf(line['model']) || null }];
      case 'message': {
        if (line['role'] !== 'assistant') return [];
        const text = textOf(line['content']);
        return [{ type: 'message', text, ...(line['delta'] === true && { partial: true }) }];
      }
      case 'tool_use':
        return [{ type: 'tool_call', text: toolText(textOf(line['tool_name']), fieldsOf(line['parameters'])) }];
      case 'tool_result': {
        const text = textOf(fieldsOf(line['error'])['message']) || textOf(line['output']);
        return [{ type: 'tool_result', failed: line['status'] === 'error', text }];
      }
      case 'error':
        return stopped(line);
      case 'result':
        return result(line);
      default:
        return [];
    }
  },
  // Its own; and the status of an answer, of which a process can say the last eight bits.
  exits: {
    41: 'auth',
    53: 'max_turns',
    [401 & 255]: 'auth',
    [403 & 255]: 'auth',
    [429 & 255]: 'rate_limit',
    [500 & 255]: 'overloaded',
    [503 & 255]: 'overloaded',
  },
};

/** It ends over these, and its result is a success all the same. Other warnings change nothing. */
function stopped({ severity, message }: Fields): AgentEvent[] {
  const text = textOf(message);
  if (severity !== 'error' && !text.startsWith('Loop detected')) return [];
  return [{ type: 'trouble', cause: causeSaid(SAYS, text), text, until: null, ended: true }];
}

function result(line: Fields): AgentEvent[] {
  const used = tokensOf(fieldsOf(line['stats']));
  if (line['status'] !== 'error') return [used];
  const { type, message } = fieldsOf(line['error']);
  const said = textOf(message);
  const answer = answerIn(said);
  const { code, message: words } = answer;
  // It calls any limit a quota.
  const ofAnswer = code === 429 ? 'rate_limit' : causeOfAnswer(code, JSON.stringify(answer));
  const cause = namedIn(CAUSE, type) ?? ofAnswer ?? causeSaid(SAYS, said);
  const text = textOf(words) || said.replace(/^\[API Error: (.*?)\](?:\n.*)?$/s, '$1');
  return [used, { type: 'trouble', cause, text, until: retryAt(answer, said, line['timestamp']), ended: true }];
}

/** What the server has answered: `[API Error: {"error":{…}}]`. Empty where it is not told. */
function answerIn(message: string): Fields {
  const [, json = ''] = /^\[API Error: (\{.*\})\]/s.exec(message) ?? [];
  return fieldsOf(fieldsOf(parseJson(json))['error']);
}

/** When to try again, from when it was told: the answer's `retryDelay`, such as `2s`, or where only words are left of it, those. */
function retryAt(answer: Fields, said: string, timestamp: unknown): number | null {
  const delays = [...listOf(answer['details']).map(({ retryDelay }) => textOf(retryDelay)), said];
  const seconds = delays.flatMap((delay) => /^([\d.]+)s$|\nSuggested retry after ([\d.]+)s/.exec(delay) ?? []);
  const at = Date.parse(textOf(timestamp)) + Number(seconds[1] ?? seconds[2]) * 1000;
  return Number.isNaN(at) ? null : at;
}
