/**
 * A model server without a model, for agents that are tried: it says what the situation of the request's path wants next, in the
 * API that the request speaks. It keeps no state: how far an agent is, shows in the results of tools that its request has.
 */

import { createServer } from 'node:http';
import * as anthropic from './dialects/anthropic.mjs';
import * as chat from './dialects/chat.mjs';
import * as gemini from './dialects/gemini.mjs';
import * as responses from './dialects/responses.mjs';
import { sendJson, shellCall } from './dialects/shared.mjs';
import { SITUATIONS } from './situations.mjs';

const DIALECTS = [anthropic, responses, chat, gemini];

/** Longest request that is read, bytes. */
const REQUEST_MAX_BYTES = 50 * 1024 * 1024;

/**
 * Listens on the loopback. The first part of a path names the try, such as `claude-done`; `onRequest` is told it with each request
 * that is about the situation itself. Returns the port, and what ends the server.
 */
export async function startServer(onRequest = () => {}) {
  const server = createServer((request, response) => {
    serve(request, response, onRequest).catch((error) => {
      if (response.headersSent) response.destroy();
      else sendJson(response, 400, { error: { message: String(error) } });
    });
  });
  await new Promise((resolve) => server.listen(0, '127.0.0.1', resolve));
  const stop = () => {
    server.closeAllConnections();
    server.close();
  };
  return { port: server.address().port, stop };
}

async function serve(request, response, onRequest) {
  const { pathname } = new URL(request.url, 'http://localhost');
  const [, name = '', ...rest] = pathname.split('/');
  const path = `/${rest.join('/')}`;
  const dialect = DIALECTS.find((each) => each.matches(path));
  const situation = SITUATIONS[name.slice(name.indexOf('-') + 1)];
  if (dialect === undefined || situation === undefined)
    return sendJson(response, 404, { error: { message: 'not found' } });
  const body = JSON.parse((await textOf(request)) || '{}');
  const tools = dialect.tools(body);
  if (situation.failure !== undefined) return dialect.fail(response, situation.failure);
  const [...steps] = situation.steps ?? [];
  const step = steps[dialect.resultsIn(body)];
  // A request without tools asks for something beside the work, such as a title.
  const call = step === undefined || tools.length === 0 ? null : shellCall(tools, step);
  if (tools.length > 0) {
    onRequest(name);
    // The agent waits until it is ended.
    if (situation.silent === true) return;
  }
  dialect.answer(response, { path, body, call, text: 'All is done.' });
}

async function textOf(request) {
  const parts = [];
  let bytes = 0;
  for await (const part of request) {
    bytes += part.length;
    if (bytes > REQUEST_MAX_BYTES) throw new Error('the request is too large');
    parts.push(part);
  }
  return Buffer.concat(parts).toString('utf8');
}
