/** OpenAI Responses: codex. */

import { CAUSES, failAsOpenAi } from './openai-errors.mjs';
import { newId, sendEvents, sendJson, TOKENS } from './shared.mjs';

export const matches = (path) => path.endsWith('/responses') || path.endsWith('/models');

export const tools = ({ tools: all = [] }) =>
  all.flatMap((tool) => (tool.type === 'function' ? [{ name: tool.name, schema: tool.parameters }] : []));

export const resultsIn = ({ input }) =>
  (Array.isArray(input) ? input : []).filter(({ type }) => String(type).endsWith('_call_output')).length;

/** The limit of a plan is told apart from others by its type. */
export function fail(response, { cause, status, resetS }) {
  if (cause !== 'plan') return failAsOpenAi(response, { cause, status, resetS });
  const [, message] = CAUSES.plan;
  const resets_at = Math.floor(Date.now() / 1000) + resetS;
  const error = { type: 'usage_limit_reached', message, plan_type: 'plus', resets_at, resets_in_seconds: resetS };
  sendJson(response, status, { error });
}

export function answer(response, { path, call, text }) {
  if (path.endsWith('/models')) return sendJson(response, 200, { object: 'list', data: [], models: [] });
  const item =
    call === null
      ? {
          type: 'message',
          id: newId('msg'),
          role: 'assistant',
          status: 'completed',
          content: [{ type: 'output_text', text, annotations: [] }],
        }
      : {
          type: 'function_call',
          id: newId('fc'),
          call_id: newId('call'),
          name: call.name,
          arguments: JSON.stringify(call.input),
          status: 'completed',
        };
  const usage = {
    input_tokens: TOKENS.input,
    input_tokens_details: { cached_tokens: 0 },
    output_tokens: TOKENS.output,
    output_tokens_details: { reasoning_tokens: 0 },
    total_tokens: TOKENS.input + TOKENS.output,
  };
  const made = { id: newId('resp'), object: 'response' };
  const events = [
    { type: 'response.created', response: { ...made, status: 'in_progress', output: [] } },
    { type: 'response.output_item.added', output_index: 0, item: { ...item, status: 'in_progress' } },
    { type: 'response.output_item.done', output_index: 0, item },
    { type: 'response.completed', response: { ...made, status: 'completed', output: [item], usage } },
  ];
  sendEvents(response, events, ({ type }) => type);
  response.end();
}
