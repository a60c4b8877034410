/** GitHub Copilot CLI: the lines of `copilot --output-format json`. Tried with 1.0. */

import {
  type Adapter,
  type AgentEvent,
  answerText,
  type Cause,
  causeOfAnswer,
  type Fields,
  fieldsOf,
  namedIn,
  textOf,
  toolText,
} from './events.ts';

/** What `errorType` names. Others, such as `query`, leave it to the status or to the calls before. */
const CAUSE: Readonly<Record<string, Cause>> = {
  authentication: 'auth',
  authorization: 'auth',
  quota: 'billing',
  rate_limit: 'rate_limit',
};

/** What it says on stderr instead, before a session has begun. */
const NO_LOGIN = /^Error: (?:No authentication information found|Classic Personal Access Tokens)/;

export const copilot: Adapter = {
  plain(line) {
    return NO_LOGIN.test(line) ? [{ type: 'trouble', cause: 'auth', text: line, until: null, ended: true }] : [];
  },
  events(line) {
    const data = fieldsOf(line['data']);
    switch (line['type']) {
      case 'assistant.message':
        return [{ type: 'message', text: textOf(data['content']) }];
      case 'tool.execution_start':
        return [{ type: 'tool_call', text: toolText(textOf(data['toolName']), fieldsOf(data['arguments'])) }];
      case 'tool.execution_complete':
        return [toolResult(data)];
      case 'model.call_failure':
        return [refused(data)];
      case 'session.error':
        return [gaveUp(data)];
      case 'result':
        // Only its last line names it.
        return [{ type: 'session', session_id: textOf(line['sessionId']), model: null }];
      default:
        return [];
    }
  },
};

function toolResult({ success, error, result, shellExecution }: Fields): AgentEvent {
  const { exitCode } = fieldsOf(shellExecution);
  const failed = success !== true || (typeof exitCode === 'number' && exitCode !== 0);
  return {
    type: 'tool_result',
    failed,
    text: textOf(fieldsOf(error)['message']) || textOf(fieldsOf(result)['content']),
  };
}

function refused({ statusCode, errorMessage, failureKind }: Fields): AgentEvent {
  const unreached = failureKind === 'transport' ? 'network' : null;
  const cause = causeOfAnswer(statusCode, textOf(errorMessage)) ?? unreached;
  return { type: 'trouble', cause, text: answerText(statusCode), until: null, ended: false };
}

function gaveUp({ errorType, message, statusCode }: Fields): AgentEvent {
  const text = textOf(message);
  const cause = causeOfAnswer(statusCode, text) ?? namedIn(CAUSE, errorType) ?? null;
  return { type: 'trouble', cause, text, until: null, ended: true };
}
