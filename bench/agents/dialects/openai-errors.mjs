/** How an API in the manner of OpenAI refuses a request. */

import { sendJson } from './shared.mjs';

/** Code and message of each cause. */
export const CAUSES = {
  auth: ['invalid_api_key', 'Incorrect API key provided.'],
  limit: ['rate_limit_exceeded', 'Rate limit reached for requests.'],
  plan: ['rate_limit_exceeded', 'The usage limit has been reached.'],
  overloaded: ['server_is_overloaded', 'The server is overloaded. Please try again later.'],
  context: ['context_length_exceeded', 'Your input exceeds the context window of this model.'],
};

const TYPES = { auth: 'invalid_request_error', context: 'invalid_request_error', overloaded: 'server_error' };

export function failAsOpenAi(response, { cause, status, resetS }) {
  const [code, message] = CAUSES[cause];
  const headers = resetS === undefined ? {} : { 'retry-after': String(resetS) };
  sendJson(response, status, { error: { type: TYPES[cause] ?? code, code, message, param: null } }, headers);
}
