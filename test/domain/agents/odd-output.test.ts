/** Output of agents in which fields are missing or of another kind is read without an error, and says nothing impossible. */

import fs from 'node:fs';
import path from 'node:path';
import { expect, test } from 'vitest';
import { untilMs } from '../../../src/domain/agents/clock-time.ts';
import { eventText, failureIn, stillTrying } from '../../../src/domain/agents/events.ts';
import { AgentOutput, adapterOf, saidText } from '../../../src/domain/agents/output.ts';
import { AgentSessionSchema, newSession, sessionAfter } from '../../../src/domain/agents/session.ts';
import fc from '../../support/properties.ts';

const DIR = path.join(import.meta.dirname, 'recordings');
const RECORDINGS = fs.readdirSync(DIR);
const ODD = [null, -1, 1e308, '12', '', [], {}, true, [null], [1, 'x'], { a: 1 }, '\u0000', 1.5, '1e308', '-rf'];
const NOW = Date.parse('2030-01-01T00:00:00Z');

/** `value` with some of its parts replaced, as the numbers say in turn. */
function changed(value: unknown, next: () => number): unknown {
  const number = next();
  if (number < ODD.length) return ODD[number];
  if (Array.isArray(value)) return value.map((part) => changed(part, next));
  if (typeof value !== 'object' || value === null) return value;
  return Object.fromEntries(Object.entries(value).map(([name, part]) => [name, changed(part, next)]));
}

test('a recording with odd values in any place, in pieces of any size', () => {
  const numbers = fc.array(fc.nat({ max: 200 }), { minLength: 1, maxLength: 400 });
  fc.assert(
    fc.property(fc.constantFrom(...RECORDINGS), numbers, fc.integer({ min: 1, max: 5000 }), (name, values, size) => {
      const agent = name.split('-')[0] ?? '';
      const adapter = adapterOf(agent);
      if (adapter === null) throw new Error(`there is no adapter for ${name}`);
      let at = 0;
      const next = () => values[at++ % values.length] ?? 0;
      const lines = fs.readFileSync(path.join(DIR, name), 'utf8').trimEnd().split('\n');
      const text = lines
        .map((line) => `${line.startsWith('{') ? JSON.stringify(changed(JSON.parse(line), next)) : line}\n`)
        .join('');
      const output = new AgentOutput(adapter);
      const pieces = text.match(new RegExp(`[^]{1,${size}}`, 'g')) ?? [];
      const said = [...pieces.flatMap((piece) => output.read(piece)), ...output.end()];
      saidText(said);
      const events = said.filter((each) => typeof each !== 'string');
      stillTrying(events);
      const session = events.reduce(sessionAfter, newSession('a', agent));
      expect(AgentSessionSchema().safeParse(session)).toMatchObject({ success: true });
      const until = untilMs(failureIn(events)?.until ?? null, NOW);
      expect(until === null || !Number.isNaN(new Date(until).getTime())).toBe(true);
    }),
  );
});

/** `value` with one of its strings replaced, for each of them. */
function* replacedOnce(value: unknown, by: string): Generator<unknown> {
  if (typeof value === 'string') yield by;
  if (typeof value !== 'object' || value === null) return;
  for (const [name, part] of Object.entries(value)) {
    for (const other of replacedOnce(part, by))
      yield Object.assign(Array.isArray(value) ? [...value] : { ...value }, { [name]: other });
  }
}

test.each(['constructor', 'toString'])(
  'an agent that names %s, as every object has it, names no cause and no tool',
  (name) => {
    for (const recording of RECORDINGS) {
      const adapter = adapterOf(recording.split('-')[0]);
      for (const line of fs.readFileSync(path.join(DIR, recording), 'utf8').split('\n')) {
        if (!line.startsWith('{')) continue;
        for (const odd of replacedOnce(JSON.parse(line), name)) {
          for (const said of adapter?.events(odd as Record<string, unknown>) ?? []) {
            if (typeof said === 'string') continue;
            expect(said).toEqual(JSON.parse(JSON.stringify(said)));
            expect(eventText(said) ?? '').not.toContain('native code');
          }
        }
      }
    }
  },
);
