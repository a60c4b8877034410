/** What a worker says that it does: the line that it wrote last, or the step or wait that it is at. */

import type { Adapter } from '../../domain/agents/events.ts';
import { AgentOutput, saidText } from '../../domain/agents/output.ts';
import { lastLine } from '../../lib/text.ts';
import { type AttemptArtifacts, type AttemptRef, STREAMS, type StreamName } from '../../store/port.ts';

/** The end of a log that is read, bytes. */
const TAIL_BYTES = 4096;
/** The same of an agent's structured output: what a tool has printed is one line of it. */
const AGENT_TAIL_BYTES = 64 * 1024;

/** Says it as it is at each call; empty where there is none. `agent`: whose structured output stdout is. Default: it is text. */
export function lastLineOf(
  artifacts: AttemptArtifacts,
  attempt: AttemptRef,
  agent: Adapter | null = null,
): () => string {
  const ends = new Map<StreamName, number>();
  let line = '';
  return () => {
    for (const stream of STREAMS) {
      const of = stream === 'stdout' ? agent : null;
      const most = of === null ? TAIL_BYTES : AGENT_TAIL_BYTES;
      const { text, next } = artifacts.readLog(attempt, `${stream}.log`, -most);
      if (next === (ends.get(stream) ?? 0)) continue;
      ends.set(stream, next);
      // A line that began before is cut.
      const whole = next > most ? text.slice(text.indexOf('\n') + 1) : text;
      line = lastLine(of === null ? text : saidText(new AgentOutput(of).read(whole))) || line;
    }
    return artifacts.doing(attempt) || line;
  };
}
