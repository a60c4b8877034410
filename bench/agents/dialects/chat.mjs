/** OpenAI Chat Completions: copilot, opencode, qwen. */

import { failAsOpenAi } from './openai-errors.mjs';
import { newId, sendEvents, sendJson, TOKENS } from './shared.mjs';

export const matches = (path) => path.endsWith('/chat/completions');

export const tools = ({ tools: all = [] }) =>
  all.map(({ function: { name, parameters } }) => ({ name, schema: parameters }));

export const resultsIn = ({ messages = [] }) => messages.filter(({ role }) => role === 'tool').length;

export const fail = failAsOpenAi;

export function answer(response, { body, call, text }) {
  const made = { id: newId('chatcmpl'), created: Math.floor(Date.now() / 1000), model: body.model };
  const finish_reason = call === null ? 'stop' : 'tool_calls';
  const said =
    call === null
      ? { content: text }
      : {
          content: null,
          tool_calls: [
            {
              index: 0,
              id: newId('call'),
              type: 'function',
              function: { name: call.name, arguments: JSON.stringify(call.input) },
            },
          ],
        };
  const usage = {
    prompt_tokens: TOKENS.input,
    completion_tokens: TOKENS.output,
    total_tokens: TOKENS.input + TOKENS.output,
  };
  if (body.stream !== true) {
    const choices = [{ index: 0, message: { role: 'assistant', ...said }, finish_reason }];
    return sendJson(response, 200, { ...made, object: 'chat.completion', choices, usage });
  }
  const chunk = (delta, end = null) => ({
    ...made,
    object: 'chat.completion.chunk',
    choices: [{ index: 0, delta, finish_reason: end }],
  });
  sendEvents(response, [chunk({ role: 'assistant', ...said }), { ...chunk({}, finish_reason), usage }]);
  response.end('data: [DONE]\n\n');
}
