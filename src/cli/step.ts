/** Steps and waits in a shell: what their commands write as it comes, or what was kept when they were done. */

import type { VerbData, VerbInput } from '../commands/registry.ts';
import type { StepBytes } from '../commands/shared/steps.ts';
import { EXIT, ForgeError } from '../lib/errors.ts';
import { plural } from '../lib/text.ts';
import type { Cli } from './view.ts';

/** With --json stdout is for the answer. */
function emitting({ context, screen }: Cli) {
  const emit = async ({ stream, bytes }: StepBytes) => {
    const name = screen.json ? 'stderr' : stream;
    await screen.output.pass(name, bytes);
    if (screen.output.hasLostReader(name)) throw new ForgeError('IO_ERROR', `nothing reads ${name} any more`);
  };
  return { ...context, emit };
}

export async function showStep(cli: Cli, input: VerbInput<'step'>): Promise<number> {
  const { screen } = cli;
  const { step } = await import('../commands/step.ts');
  const data = await step.run(emitting(cli), input);
  if (screen.json) screen.output.json({ ok: true, data });
  else if (data.recorded) {
    const kept = data.base64 === undefined ? Buffer.from(data.stdout) : Buffer.from(data.base64, 'base64');
    screen.output.bytes('stdout', kept);
    if (data.bytes > kept.length) {
      const where = data.file === null ? 'and the others are gone' : `and all are in ${data.file}`;
      screen.note(`step ${data.name} wrote ${data.bytes} bytes; these are the first ${kept.length}, ${where}`);
    }
  } else if (data.why !== null)
    screen.note(`step ${data.name} has failed after ${plural(data.tries, 'try', 'tries')}: ${data.why}`);
  return data.exit_code;
}

export async function showWaitUntil(cli: Cli, input: VerbInput<'wait-until'>): Promise<number> {
  const { waitUntil } = await import('../commands/wait-until.ts');
  return giveEnd(cli, await waitUntil.run(emitting(cli), input));
}

export async function showRepeat(cli: Cli, input: VerbInput<'repeat'>): Promise<number> {
  const { repeat } = await import('../commands/repeat.ts');
  return giveEnd(cli, await repeat.run(emitting(cli), input));
}

function giveEnd({ screen }: Cli, data: Pick<VerbData<'wait'>, 'name' | 'why' | 'exit_code'>): number {
  if (screen.json) screen.output.json({ ok: true, data });
  else if (data.why !== null && data.exit_code !== EXIT.ok) screen.note(`${data.name} has failed: ${data.why}`);
  return data.exit_code;
}

export async function showJoin({ context, screen }: Cli, input: VerbInput<'join'>): Promise<number> {
  const { join } = await import('../commands/join.ts');
  const data = await join.run(context, input);
  if (screen.json) screen.output.json({ ok: true, data });
  else if (data.why !== null) screen.note(`join has failed: ${data.why}`);
  // A child may be one of many.
  else for (const { fan_out: _, ...child } of data.children) screen.output.line('stdout', JSON.stringify(child));
  return data.exit_code;
}
