/** What a worker says that it does: the line that it wrote last, or the step or wait that it is at. */

import type { Adapter } from '../../domain/agents/events.ts';
import { AgentOutput, saidText } from '../../domain/agents/output.ts';
import { lastLine } from '../../lib/text.ts';
import { type AttemptArtifacts, type AttemptRef, STREAMS, type StreamName } from '../../store/port.ts';

/** The end of a log that is read, bytes. */
const TAIL_BYTES = 4096;
/** The same of an agent's structured output: what a tool has printed is one line of it. */
const AGENT_TAIL_BYTES = 64 * 1024;

export class LastLine {
  readonly #artifacts: AttemptArtifacts;
  readonly #attempt: AttemptRef;
  readonly #agent: Adapter | null;
  readonly #ends = new Map<StreamName, number>();
  #line = '';

  /** `agent`: whose structured output stdout is. Default: it is text. */
  constructor(artifacts: AttemptArtifacts, attempt: AttemptRef, agent: Adapter | null = null) {
    this.#artifacts = artifacts;
    this.#attempt = attempt;
    this.#agent = agent;
  }

  /** As it is now; empty where there is none. */
  look(): string {
    for (const stream of STREAMS) {
      const agent = stream === 'stdout' ? this.#agent : null;
      const most = agent === null ? TAIL_BYTES : AGENT_TAIL_BYTES;
      const { text, next } = this.#artifacts.readLog(this.#attempt, `${stream}.log`, -most);
      if (next === (this.#ends.get(stream) ?? 0)) continue;
      this.#ends.set(stream, next);
      // A line that began before is cut.
      const whole = next > most ? text.slice(text.indexOf('\n') + 1) : text;
      this.#line = lastLine(agent === null ? text : saidText(new AgentOutput(agent).read(whole))) || this.#line;
    }
    return this.#artifacts.doing(this.#attempt) || this.#line;
  }
}
