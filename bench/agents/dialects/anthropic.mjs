/** Anthropic Messages: claude. */

import { newId, sendEvents, sendJson, TOKENS } from './shared.mjs';

export const matches = (path) => path.endsWith('/v1/messages') || path.endsWith('/v1/messages/count_tokens');

export const tools = ({ tools: all = [] }) => all.map(({ name, input_schema: schema }) => ({ name, schema }));

export const resultsIn = ({ messages = [] }) =>
  messages
    .flatMap(({ content }) => (Array.isArray(content) ? content : []))
    .filter(({ type }) => type === 'tool_result').length;

const CAUSES = {
  auth: ['authentication_error', 'invalid x-api-key'],
  limit: ['rate_limit_error', 'This request would exceed the rate limit of your organization.'],
  plan: ['rate_limit_error', 'You have reached the usage limit of your plan.'],
  overloaded: ['overloaded_error', 'Overloaded'],
  context: ['invalid_request_error', 'prompt is too long: 250000 tokens > 200000 maximum'],
};

export function fail(response, { cause, status, resetS }) {
  const [type, message] = CAUSES[cause];
  const reset = Math.floor(Date.now() / 1000) + (resetS ?? 0);
  const headers = {
    ...(resetS !== undefined && { 'retry-after': String(resetS) }),
    ...(cause === 'plan' && {
      'anthropic-ratelimit-unified-status': 'rejected',
      'anthropic-ratelimit-unified-representative-claim': 'five_hour',
      'anthropic-ratelimit-unified-reset': String(reset),
    }),
  };
  sendJson(response, cause === 'overloaded' ? 529 : status, { type: 'error', error: { type, message } }, headers);
}

export function answer(response, { path, body, call, text }) {
  if (path.endsWith('count_tokens')) return sendJson(response, 200, { input_tokens: TOKENS.input });
  const block = call === null ? { type: 'text', text } : { type: 'tool_use', id: newId('toolu'), ...call };
  const stop = { stop_reason: call === null ? 'end_turn' : 'tool_use', stop_sequence: null };
  const usage = { input_tokens: TOKENS.input, output_tokens: TOKENS.output };
  const { model } = body;
  const message = { id: newId('msg'), type: 'message', role: 'assistant', model, content: [], usage };
  if (body.stream !== true) return sendJson(response, 200, { ...message, content: [block], ...stop });
  const delta =
    call === null
      ? { type: 'text_delta', text }
      : { type: 'input_json_delta', partial_json: JSON.stringify(call.input) };
  const events = [
    { type: 'message_start', message: { ...message, stop_reason: null, stop_sequence: null } },
    {
      type: 'content_block_start',
      index: 0,
      content_block: call === null ? { ...block, text: '' } : { ...block, input: {} },
    },
    { type: 'content_block_delta', index: 0, delta },
    { type: 'content_block_stop', index: 0 },
    { type: 'message_delta', delta: stop, usage },
    { type: 'message_stop' },
  ];
  sendEvents(response, events, ({ type }) => type);
  response.end();
}
