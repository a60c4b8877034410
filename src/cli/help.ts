/** The help, as text: of everything, or of one verb. */

import { COMMANDS, loadCommand, VERBS, type VerbName } from '../commands/registry.ts';
import type { FieldInfo } from '../commands/shared/command.ts';
import { columnOf, hang, pad, paragraphs, wrap } from './layout.ts';
import type { RenderContext } from './render-context.ts';
import { GLOBAL } from './words.ts';

const COMMAND = 'forge orchestrate';

export async function helpFor(verb: VerbName | null, context: RenderContext): Promise<string> {
  return paragraphs(verb === null ? overview(context) : await verbHelp(verb, context));
}

/** What `--help --json` prints about a verb. */
export async function schemaOf(verb: VerbName): Promise<Record<string, unknown>> {
  const { commandSchema } = await import('../commands/shared/json-schema.ts');
  return commandSchema(verb, COMMANDS[verb].about, await loadCommand(verb));
}

function overview(context: RenderContext): string[][] {
  const { bold } = context.palette;
  const groups = [...new Set(VERBS.map((name) => COMMANDS[name].group))];
  const verbs = VERBS.map((name) => [name, COMMANDS[name].about] as const);
  const column = columnOf(20, verbs, 0);
  const ofGroup = (group: string | null) => verbs.filter(([name]) => COMMANDS[name].group === group);
  return [
    wrap(
      'forge works through a plan of tasks with many workers and no server. All state is plain files under .forge/.',
      context.width,
    ),
    [
      `${bold('Usage:')} ${COMMAND} <verb> [options]`,
      `       ${COMMAND}            where things stand, and the next command`,
      '       forge <verb> [options]       the same, shorter',
    ],
    ...groups.map((group) => table(`${group}:`, ofGroup(group), column, context)),
    table('Options:', GLOBAL, columnOf(32, GLOBAL, 0), context),
    [`\`${COMMAND} <verb> --help\` says more about a verb and has examples.`],
  ];
}

async function verbHelp(verb: VerbName, context: RenderContext): Promise<string[][]> {
  const { palette, width } = context;
  const command = await loadCommand(verb);
  const { described, fieldsOf } = await import('../commands/shared/command.ts');
  const fields = fieldsOf(command.input);
  const rows = (of: FieldInfo['form']) =>
    fields
      .filter(({ form }) => form === of)
      .map((field) => [field.written, withEnv(described(field), field.env)] as const);
  const operands = rows('operand');
  const options = rows(undefined);
  const column = columnOf(32, [...operands, ...options, ...GLOBAL], 0);
  const examples = command.examples.flatMap(([line, about]) => [
    `  ${palette.dim(`# ${about}`)}`,
    `  ${[COMMAND, line].join(' ').trimEnd()}`,
  ]);
  const usage = [COMMAND, verb, command.usage ?? usageOf(fields)].filter((part) => part !== '').join(' ');
  return [
    [COMMANDS[verb].about, ...(command.notes === undefined ? [] : ['', ...wrap(command.notes, width)])],
    hang('Usage: ', usage, width, palette.bold),
    table('Arguments:', operands, column, context),
    table('Options:', options, column, context),
    table('For every verb:', GLOBAL, column, context),
    [palette.bold('Examples:'), ...examples],
  ];
}

/** Operands, the flags that it can't do without, and `[options]` where there are others. */
function usageOf(fields: readonly FieldInfo[]): string {
  const parts = fields.flatMap(({ form, written, required, many }) => {
    if (required) return [many ? `${written}...` : written];
    return form === 'operand' ? [`[${written}]`] : [];
  });
  const more = fields.some(({ form, required }) => form === undefined && !required);
  return [...parts, ...(more ? ['[options]'] : [])].join(' ');
}

function withEnv(description: string, env: string | undefined): string {
  if (env === undefined) return description;
  return description.includes(' (default: ')
    ? description.replace(' (default: ', ` (or ${env}; default: `)
    : `${description} (or ${env})`;
}

/** Two columns below a title; what does not fit beside its name goes below it. */
function table(
  title: string,
  rows: readonly (readonly [string, string])[],
  column: number,
  { palette, width }: RenderContext,
): string[] {
  if (rows.length === 0) return [];
  const lines = rows.flatMap(([name, about]) => {
    const [first = '', ...more] = wrap(about, Math.max(24, width - column - 4));
    return [`  ${pad(name, column)}  ${first}`, ...more.map((line) => ' '.repeat(column + 4) + line)];
  });
  return [palette.bold(title), ...lines];
}
