/** Qwen Code: the lines of `qwen -o stream-json`, which are those of Claude Code but for what fails. Tried with 0.15. */

import { claude } from './claude.ts';
import {
  type Adapter,
  type AgentEvent,
  type CauseWords,
  causeOfAnswer,
  causeSaid,
  countOf,
  type Fields,
  fieldsOf,
  textOf,
  type UsageEvent,
} from './events.ts';

/** How its own errors begin. */
const ERROR = /^(?:\[API Error: |Qwen OAuth )/;

/** Its own words for causes that it has no field for. */
const SAYS: CauseWords = [
  [/^\[API Error: Connection error\b/, 'network'],
  [/^Qwen OAuth quota exceeded:/, 'rate_limit'],
  [/^No auth type is selected\b|^Qwen OAuth free tier has been discontinued/, 'auth'],
];

export const qwen: Adapter = {
  countsOn: true,
  events(line) {
    const events = claude
      .events(line)
      .map((event) => (event.type === 'usage' && event.total === true ? used(event, line) : event));
    if (line['type'] === 'assistant' && isOwnWord(line)) {
      return events.map((event) => (event.type === 'message' && ERROR.test(event.text) ? gaveUp(event.text) : event));
    }
    const error = textOf(fieldsOf(line['error'])['message']);
    if (line['type'] !== 'result' || error === '') return events;
    return events.map((event) => (event.type === 'trouble' ? gaveUp(error) : event));
  },
  exits: { 41: 'auth', 53: 'max_turns' },
};

/** An error stands where the model's message would, but no token was used for it. The result is then a success. */
function isOwnWord(line: Fields): boolean {
  const usage = fieldsOf(fieldsOf(line['message'])['usage']);
  return countOf(usage['input_tokens']) + countOf(usage['output_tokens']) === 0;
}

/** Its input tokens hold those that were in the cache. */
function used(event: UsageEvent, line: Fields): AgentEvent {
  return { ...event, input_tokens: countOf(fieldsOf(line['usage'])['input_tokens']) };
}

function gaveUp(said: string): AgentEvent {
  const [, status, words = said] = /^\[API Error: (?:(\d{3}) )?(.*?)\](?:\n|$)/s.exec(said) ?? [];
  const cause = causeSaid(SAYS, said) ?? causeOfAnswer(Number(status), words);
  return { type: 'trouble', cause, text: words, until: null, ended: true };
}
