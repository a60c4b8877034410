/** OpenCode: the lines of `opencode run --format json`. Tried with 1.18. */

import {
  type Adapter,
  type AgentEvent,
  type Cause,
  causeOfAnswer,
  costOf,
  countOf,
  type Fields,
  fieldsOf,
  namedIn,
  textOf,
  toolText,
} from './events.ts';

/** What the name of an error says. */
const CAUSE: Readonly<Record<string, Cause>> = {
  ProviderAuthError: 'auth',
  ContextOverflowError: 'context',
  ContentFilterError: 'refused',
};

export const opencode: Adapter = {
  events(line) {
    const part = fieldsOf(line['part']);
    switch (line['type']) {
      case 'step_start':
        return [session(line)];
      case 'text':
        return [{ type: 'message', text: textOf(part['text']) }];
      case 'tool_use':
        return tool(textOf(part['tool']), fieldsOf(part['state']));
      case 'step_finish':
        return [used(part)];
      case 'error':
        return [session(line), trouble(line)];
      default:
        return [];
    }
  },
  /** Its log, which says what it tries again over. Without a status the words of the server are all that there is. */
  plain(line) {
    const text = LOGGED.exec(line)?.[1];
    if (text === undefined) return [];
    const cause = causeOfAnswer(undefined, text) ?? (LIMIT.test(text) ? 'rate_limit' : null);
    return [{ type: 'trouble', cause, text, until: null, ended: false }];
  },
};

const LOGGED = /\blevel=ERROR\b.* error\.error="?(?:AI_\w+: )?([^"]+)"?$/;
const LIMIT = /\b(?:usage|rate) limit\b|too many requests/i;

/** Each line names it, the first one included. */
function session(line: Fields): AgentEvent {
  return { type: 'session', session_id: textOf(line['sessionID']), model: null };
}

/** A call is told once it is over. */
function tool(name: string, { status, input, output, error, metadata }: Fields): AgentEvent[] {
  const { exit } = fieldsOf(metadata);
  const failed = status === 'error' || (typeof exit === 'number' && exit !== 0);
  return [
    { type: 'tool_call', text: toolText(name, fieldsOf(input)) },
    { type: 'tool_result', failed, text: textOf(error) || textOf(output) },
  ];
}

function used({ id, reason, tokens, cost }: Fields): AgentEvent {
  const { input, output, reasoning, cache } = fieldsOf(tokens);
  const { read, write } = fieldsOf(cache);
  return {
    type: 'usage',
    input_tokens: countOf(input) + countOf(read) + countOf(write),
    output_tokens: countOf(output) + countOf(reasoning),
    cost: costOf(cost) || null,
    // Each step has its own.
    ...(reason === 'tool-calls' && { part: textOf(id) }),
  };
}

function trouble(line: Fields): AgentEvent {
  const { name, data } = fieldsOf(line['error']);
  const { message, statusCode, responseBody, responseHeaders, isRetryable } = fieldsOf(data);
  const text = textOf(message) || textOf(name);
  // Without a status there was no answer.
  const unreached = statusCode === undefined && isRetryable === true ? 'network' : null;
  const cause = namedIn(CAUSE, name) ?? causeOfAnswer(statusCode, `${text} ${textOf(responseBody)}`) ?? unreached;
  const until = Number(line['timestamp']) + Number(fieldsOf(responseHeaders)['retry-after']) * 1000;
  return { type: 'trouble', cause, text, until: Number.isNaN(until) ? null : until, ended: true };
}
