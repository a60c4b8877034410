/** `fan-out`: make children of a task, once. */

import * as z from 'zod/mini';
import { ChildLineSchema, parseChildren } from '../domain/fan-out/parse.ts';
import { requireName } from '../domain/steps/names.ts';
import { sealFanOut } from '../engine/steps/fan-out.ts';
import { readUserFile } from '../project/user-files.ts';
import { content, operand, option } from './shared/command.ts';
import { countSchema } from './shared/data.ts';
import { atStep, workerCommand, workerFields } from './shared/steps.ts';

/** Most of the children, bytes. */
const MAX_BYTES = 64 * 1024 * 1024;

export const fanOut = workerCommand({
  changes: true,
  notes:
    'A line a child, as JSON: {"name": "a", "run": "./one.sh a"}, and title, env, retry, timeout and input where they are wanted. Each is a\n' +
    'task <task>/<fan-out>/<name> from now on. The set is made once: an attempt that reaches it again gets the one that is there.',
  examples: [
    ['fan-out files --from children.jsonl', 'the children of a file'],
    ['fan-out files --from -', 'from stdin'],
  ],
  input: z.object({
    name: operand(z.string(), 'Name of the fan-out, one in the task'),
    from: option(z.string(), 'file', 'The children, a line of JSON each', { stdin: 'content' }),
    children: content('from', () => z.array(ChildLineSchema()), 'The children'),
    ...workerFields(),
  }),
  output: () =>
    z.strictObject({
      task_id: z.string(),
      name: z.string(),
      /** It was made before; what was given now does not count. */
      recorded: z.boolean(),
      children: countSchema(),
    }),
  /** Throws what `atStep` throws, and INVALID_ARGS or INVALID_ID with all problems. */
  async run(context, options) {
    const { name, task, from } = options;
    requireName(name, 'a fan-out');
    const { step, recorded } = await atStep(context, options, 'fan-out', ({ session, attempt }) =>
      sealFanOut(session, attempt, name, () => {
        const { text, file } = linesOf(options.children, from);
        return parseChildren(text, file, { parent: task, fanOut: name });
      }),
    );
    return { task_id: task, name, recorded, children: (step.result as { children: number }).children };
  },
});

/**
 * A line of JSON for each child: those of the file `from`; `children` where there are some, a text of such lines or a list. `file` is what
 * problems are told to be in. Throws INVALID_ARGS.
 */
function linesOf(children: unknown, from: string): { text: string; file: string } {
  if (children === undefined) return { text: readUserFile(from, '--from', MAX_BYTES), file: from };
  if (typeof children === 'string') return { text: children, file: from === '-' ? 'stdin' : from };
  const lines = Array.isArray(children) ? children : [children];
  return { text: lines.map((line) => JSON.stringify(line)).join('\n'), file: 'children' };
}
