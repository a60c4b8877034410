/** What an agent says in its output. */

import fs from 'node:fs';
import path from 'node:path';
import type { Adapter, AgentEvent } from '../../../src/domain/agents/events.ts';
import { AgentOutput } from '../../../src/domain/agents/output.ts';

/** The events in a whole output. */
export function eventsIn(adapter: Adapter, output: string): AgentEvent[] {
  const reader = new AgentOutput(adapter);
  return [...reader.read(output), ...reader.end()].filter((each) => typeof each !== 'string');
}

/** A recorded output of an agent. */
export function recording(name: string): string {
  return fs.readFileSync(path.join(import.meta.dirname, '../../domain/agents/recordings', name), 'utf8');
}

/** The events in a recorded output. */
export function recordedEvents(adapter: Adapter, name: string): AgentEvent[] {
  return eventsIn(adapter, recording(name));
}
