/** What an agent says and does, from its updates, as the lines that `domain/agents/acp.ts` reads: each call once, and each of its results. */

import { type Fields, fieldsOf, listOf, textOf } from '../domain/agents/events.ts';

interface Call {
  fields: Fields;
  isWritten: boolean;
  isOver: boolean;
}

export class AgentUpdates {
  readonly #write: (line: object) => void;
  readonly #calls = new Map<string, Call>();
  /** Its last message, where that begins as an error. GitHub Copilot CLI says its own so, and ends its turn without a count of tokens. */
  errorSaid: string | null = null;

  constructor(write: (line: object) => void) {
    this.#write = write;
  }

  /** A `session/update`. Others than these say nothing of the work, and are long. */
  update(update: Fields): void {
    const kind = textOf(update['sessionUpdate']);
    if (kind === 'tool_call' || kind === 'tool_call_update') this.#seen(update);
    if (kind !== 'agent_message_chunk') return;
    const text = textOf(fieldsOf(update['content'])['text']);
    if (text !== '') this.#say(text);
    // Qwen Code says here what each step has used.
    const { usage } = fieldsOf(update['_meta']);
    if (usage !== undefined) this.#write({ type: 'usage', usage });
  }

  #say(text: string): void {
    this.errorSaid = text.startsWith('Error: ') ? text : null;
    this.#write({ type: 'message', text });
  }

  /** It asks whether it may do this, of which it may have said more before. Returns the answer. */
  asked(toolCall: Fields, mayDo: (call: Fields) => boolean): boolean {
    const call = this.#noted(toolCall);
    const allowed = mayDo(call.fields);
    this.#tell(call);
    if (!allowed) this.#write({ type: 'refused', title: textOf(call.fields['title']) });
    return allowed;
  }

  #seen(update: Fields): void {
    const call = this.#noted(update);
    const { status, rawInput, locations } = call.fields;
    const isOver = status === 'completed' || status === 'failed';
    // It is told when it is known what it is: some name the command only once it runs.
    const isKnown = Object.keys(fieldsOf(rawInput)).some((name) => name !== 'cwd') || listOf(locations).length > 0;
    if (isOver || status === 'in_progress' || (isKnown && textOf(call.fields['kind']) !== 'execute')) this.#tell(call);
    if (!isOver || call.isOver) return;
    call.isOver = true;
    const { content, rawOutput } = call.fields;
    this.#write(bounded({ type: 'tool_result', status, content, rawOutput }, ['content', 'rawOutput']));
    // A session may last for hours.
    call.fields = {};
  }

  #noted(update: Fields): Call {
    const id = textOf(update['toolCallId']);
    const call = this.#calls.get(id) ?? { fields: {}, isWritten: false, isOver: false };
    const given = Object.entries(update).filter(([, value]) => value !== null && value !== undefined);
    call.fields = { ...call.fields, ...Object.fromEntries(given) };
    this.#calls.set(id, call);
    return call;
  }

  #tell(call: Call): void {
    if (call.isWritten) return;
    call.isWritten = true;
    const { kind, title, rawInput, locations } = call.fields;
    this.#write(bounded({ type: 'tool_call', kind, title, rawInput, locations }, ['rawInput']));
  }
}

/** Most of a line, characters: what is edited, and what tools print, may be whole files. */
const LINE_MAX_CHARS = 64 * 1024;

/** A line without these fields where it would be too long with them. */
function bounded(line: Fields, less: readonly string[]): Fields {
  if (JSON.stringify(line).length <= LINE_MAX_CHARS) return line;
  return Object.fromEntries(Object.entries(line).filter(([name]) => !less.includes(name)));
}
