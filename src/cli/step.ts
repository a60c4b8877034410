/** `step` in a shell: what its command writes as it comes, or what it wrote when it was done. */

import type { VerbInput } from '../commands/registry.ts';
import { type StepBytes, step } from '../commands/step.ts';
import { plural } from './layout.ts';
import type { Cli } from './view.ts';

export async function showStep({ context, screen }: Cli, input: VerbInput<'step'>): Promise<number> {
  // With --json stdout is for the answer.
  const emit = ({ stream, bytes }: StepBytes) => screen.output.bytes(screen.json ? 'stderr' : stream, bytes);
  const data = await step.run({ ...context, emit }, input);
  if (screen.json) screen.output.json({ ok: true, data });
  else if (data.recorded) {
    const kept = data.base64 === undefined ? Buffer.from(data.stdout) : Buffer.from(data.base64, 'base64');
    screen.output.bytes('stdout', kept);
    if (data.bytes > kept.length)
      screen.note(`step ${data.name} wrote ${data.bytes} bytes; the first ${kept.length} were kept`);
  } else if (data.why !== null)
    screen.note(`step ${data.name} has failed after ${plural(data.tries, 'try', 'tries')}: ${data.why}`);
  return data.exit_code;
}
