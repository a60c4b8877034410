/** What an agent says in its output. */

import type { Adapter, AgentEvent } from '../../../src/domain/agents/events.ts';
import { AgentOutput } from '../../../src/domain/agents/output.ts';

/** The events in a whole output. */
export function eventsIn(adapter: Adapter, output: string): AgentEvent[] {
  const reader = new AgentOutput(adapter);
  return [...reader.read(output), ...reader.end()].filter((each) => typeof each !== 'string');
}
