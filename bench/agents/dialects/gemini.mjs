/** Gemini: generateContent, streamed or not. */

import { newId, sendEvents, sendJson, TOKENS } from './shared.mjs';

export const matches = (path) => /:(streamGenerateContent|generateContent|countTokens)$/.test(path);

export const tools = ({ tools: all = [] }) =>
  all
    .flatMap(({ functionDeclarations = [] }) => functionDeclarations)
    .map(({ name, parametersJsonSchema, parameters }) => ({ name, schema: parametersJsonSchema ?? parameters }));

export const resultsIn = ({ contents = [] }) =>
  contents.flatMap(({ parts = [] }) => parts).filter((part) => part.functionResponse !== undefined).length;

const CAUSES = {
  auth: ['UNAUTHENTICATED', 'API key not valid. Please pass a valid API key.'],
  limit: ['RESOURCE_EXHAUSTED', 'Resource has been exhausted (e.g. check quota).'],
  plan: ['RESOURCE_EXHAUSTED', 'You exceeded your current quota.'],
  overloaded: ['UNAVAILABLE', 'The model is overloaded. Please try again later.'],
  context: [
    'INVALID_ARGUMENT',
    'The input token count (1200000) exceeds the maximum number of tokens allowed (1048576).',
  ],
};

export function fail(response, { cause, status, resetS }) {
  const [name, message] = CAUSES[cause];
  const retry = { '@type': 'type.googleapis.com/google.rpc.RetryInfo', retryDelay: `${resetS}s` };
  const error = { code: status, message, status: name, details: resetS === undefined ? [] : [retry] };
  sendJson(response, status, { error });
}

export function answer(response, { path, body, call, text }) {
  if (path.endsWith(':countTokens')) return sendJson(response, 200, { totalTokens: TOKENS.input });
  const { responseJsonSchema, responseSchema } = body.generationConfig ?? {};
  const wanted = responseJsonSchema ?? responseSchema;
  // What asks in a schema decides something small, such as which model is to answer.
  const said = wanted === undefined ? text : JSON.stringify(least(wanted));
  const part =
    call === null ? { text: said } : { functionCall: { id: newId('call'), name: call.name, args: call.input } };
  const answered = {
    responseId: newId('resp'),
    modelVersion: 'scripted',
    candidates: [{ index: 0, content: { role: 'model', parts: [part] }, finishReason: 'STOP' }],
    usageMetadata: {
      promptTokenCount: TOKENS.input,
      candidatesTokenCount: TOKENS.output,
      totalTokenCount: TOKENS.input + TOKENS.output,
    },
  };
  if (!path.endsWith(':streamGenerateContent')) return sendJson(response, 200, answered);
  sendEvents(response, [answered]);
  response.end();
}

/** The least value that a schema takes. */
function least({ type, enum: choices, properties = {}, minimum = 1 }) {
  if (choices !== undefined) return choices[0];
  switch (String(type).toLowerCase()) {
    case 'object':
      return Object.fromEntries(Object.entries(properties).map(([key, schema]) => [key, least(schema)]));
    case 'array':
      return [];
    case 'number':
    case 'integer':
      return minimum;
    case 'boolean':
      return false;
    default:
      return 'none';
  }
}
