/** What forge makes of the situations that an agent can come into, with small programs in the place of agents. */

import fs from 'node:fs';
import path from 'node:path';
import { expect, test } from 'vitest';
// @ts-expect-error: the bench is plain JavaScript.
import { SITUATIONS } from '../../bench/agents/situations.mjs';
// @ts-expect-error: the bench is plain JavaScript.
import { Try } from '../../bench/agents/try.mjs';
import { folder } from '../support/cli.ts';
import { varied } from '../support/faults/knobs.ts';

const RECORDINGS = path.join(import.meta.dirname, '../domain/agents/recordings');

interface Situation {
  steps?: readonly string[];
  killed?: boolean;
  silent?: boolean;
  outcome: { state: string; class: string | null };
}

/** It writes what it once wrote, and goes on trying. */
const WAITS = { silent: true, outcome: { state: 'failed', class: 'network' } };

/** What the program in the place of an agent does. `recording`: what the agent once wrote of that. */
function program({ steps, killed, silent }: Situation, recording: string): string {
  const does = killed ? ['kill -9 -$FORGE_COMMAND_PID'] : (steps ?? []);
  const ends = silent ? 'exec sleep 600' : `exit ${steps === undefined ? 1 : 0}`;
  return ['#!/bin/sh', ...does, `cat '${RECORDINGS}/${recording}.jsonl'`, ends, ''].join('\n');
}

test.each(
  varied(
    [
      ['done', 'qwen', 'ok'],
      ['dirty', 'claude', 'ok'],
      ['liar', 'codex', 'ok'],
      ['asks', 'copilot', 'ok'],
      ['hang', 'gemini', 'ok'],
      ['refused, and waits', 'codex', 'waits-for-network'],
      ['kill', 'opencode', 'ok'],
      ['used-up', 'claude', 'usage'],
      ['401', 'copilot', '401'],
      ['429', 'codex', '429'],
      ['overloaded', 'gemini', '529'],
      ['refused', 'opencode', 'connection-lost'],
      ['overflow', 'qwen', 'overflow'],
    ],
    8,
  ),
)('the situation "%s" of an agent (%s) comes to what the table says', async (name, agent, recording) => {
  const situation: Situation = SITUATIONS[name] ?? WAITS;
  const bin = folder();
  fs.writeFileSync(path.join(bin, agent), program(situation, `${agent}-${recording}`), { mode: 0o755 });
  const place = folder();
  const one = new Try(agent, situation, { place, bins: [bin], set: { env: {}, files: {} }, stallS: 1 });
  const { state, class: errorClass } = await one.outcome();
  const log = fs.readFileSync(path.join(place, 'run.log'), 'utf8');
  expect({ state, class: errorClass }, log).toEqual(situation.outcome);
});
