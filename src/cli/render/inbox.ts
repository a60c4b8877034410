/** `inbox`: what waits for a person, each with the command that settles it. */

import type { VerbData } from '../../commands/registry.ts';
import { oneLine, plural } from '../../lib/text.ts';
import { hang, paragraphs } from '../layout.ts';
import type { Palette, RenderContext } from '../render-context.ts';
import type { Renderers } from '../view.ts';
import { ago } from './parts.ts';
import { questionLines } from './questions.ts';

type Item = VerbData<'inbox'>['items'][number];

/** Items of one kind that are shown. */
const SHOWN = 20;

const KINDS: Record<Item['kind'], readonly [sign: string, colour: keyof Palette, heading: string]> = {
  question: ['?', 'yellow', 'Questions'],
  signal: ['~', 'yellow', 'Signals'],
  checkpoint: ['▹', 'yellow', 'Checkpoints'],
  review: ['◆', 'yellow', 'To review'],
  merge: ['◆', 'green', 'To merge'],
  login: ['!', 'red', 'Agents that need you'],
  budget: ['!', 'red', 'Budgets'],
  held: ['!', 'red', 'Given up'],
  failed: ['✗', 'red', 'Failed'],
};

export const INBOX = {
  inbox({ items }, context) {
    if (items.length === 0) return 'Nothing waits for you.';
    const kinds = [...new Set(items.map(({ kind }) => kind))];
    return paragraphs([
      [`${plural(items.length, 'thing waits', 'things wait')} for you`],
      ...kinds.map((kind) =>
        section(
          kind,
          items.filter((item) => item.kind === kind),
          context,
        ),
      ),
    ]);
  },
} satisfies Partial<Renderers>;

function section(kind: Item['kind'], items: readonly Item[], context: RenderContext): string[] {
  const [, , heading] = KINDS[kind];
  const more = items.length - SHOWN;
  return [
    context.palette.bold(heading),
    ...items.slice(0, SHOWN).flatMap((item) => itemLines(item, context)),
    ...(more > 0 ? [`  and ${more} more: \`forge orchestrate inbox --json\``] : []),
  ];
}

function itemLines(item: Item, context: RenderContext): string[] {
  if (item.question !== null) return questionLines(item.question, context);
  const { palette, width } = context;
  const [sign, colour] = KINDS[item.kind];
  const when = item.since === null ? '' : palette.dim(`  ${ago(item.since, context)}`);
  const head =
    item.task_id === null ? 'the project' : `${palette.bold(item.task_id)}  ${oneLine(item.title ?? '', 60)}`;
  return [
    `${palette[colour](sign)} ${head}${when}`,
    ...hang('    ', item.message, width),
    ...item.commands.map((command) => `    ${palette.cyan(command)}`),
  ];
}
