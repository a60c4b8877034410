/** The help, as text: of everything, or of one verb. */

import { COMMANDS, loadCommand, VERBS, type VerbName } from '../commands/registry.ts';
import type { FieldInfo } from '../commands/shared/command.ts';
import { columnOf, hang, pad, wrap } from './layout.ts';
import type { Look } from './look.ts';

const COMMAND = 'forge orchestrate';

export const GLOBAL: readonly [flag: string, about: string][] = [
  ['--json', 'One line of JSON on stdout instead of text'],
  ['--dir <dir>', 'The project folder or its .forge (or FORGE_DIR)'],
  ['--no-color', 'No colours, as with NO_COLOR'],
  ['--help', 'This help'],
  ['--version', 'The version of forge'],
];

export async function helpFor(verb: VerbName | null, look: Look): Promise<string> {
  const parts = verb === null ? overview(look) : await verbHelp(verb, look);
  return parts.map((part) => part.join('\n')).join('\n\n');
}

/** What `--help --json` prints about a verb. */
export async function schemaOf(verb: VerbName): Promise<Record<string, unknown>> {
  const { commandSchema } = await import('../commands/shared/json-schema.ts');
  return commandSchema(verb, COMMANDS[verb].about, await loadCommand(verb));
}

function overview(look: Look): string[][] {
  const { bold } = look.palette;
  const groups = [...new Set(VERBS.map((name) => COMMANDS[name].group))];
  const rows = (group: string | null) =>
    VERBS.filter((name) => COMMANDS[name].group === group).map((name) => [name, COMMANDS[name].about] as const);
  const column = columnOf(VERBS, 20);
  return [
    wrap(
      'forge works through a plan of tasks with many workers and no server. All state is plain files under .forge/.',
      look.width,
    ),
    [
      `${bold('Usage:')} ${COMMAND} <verb> [options]`,
      `       ${COMMAND}            where things stand, and the next command`,
    ],
    ...groups.map((group) => [bold(`${group}:`), ...table(rows(group), look, column)]),
    [bold('Options:'), ...table(GLOBAL, look)],
    [`\`${COMMAND} <verb> --help\` says more about a verb and has examples.`],
  ];
}

async function verbHelp(verb: VerbName, look: Look): Promise<string[][]> {
  const { bold } = look.palette;
  const command = await loadCommand(verb);
  const { fieldsOf, flagOf } = await import('../commands/shared/command.ts');
  const fields = fieldsOf(command.input);
  const operands = fields
    .filter(({ form }) => form === 'operand')
    .map((field) => [`<${field.key}>`, withEnv(field)] as const);
  const flags = fields.filter(({ form }) => form === undefined);
  const options = flags.map((field) => [flagOf(field), withEnv(field)] as const);
  const column = columnOf(
    [...operands, ...options, ...GLOBAL].map(([flag]) => flag),
    32,
  );
  const examples = command.examples.map(([line, about]) => [
    `  ${look.palette.dim(`# ${about}`)}`,
    `  ${[COMMAND, line].join(' ').trimEnd()}`,
  ]);
  const usage = command.usage ?? usageOf(fields, flagOf);
  return [
    [COMMANDS[verb].about, ...(command.notes === undefined ? [] : ['', ...wrap(command.notes, look.width)])],
    usageLines([COMMAND, verb, usage].filter((part) => part !== '').join(' '), look),
    ...(operands.length === 0 ? [] : [[bold('Arguments:'), ...table(operands, look, column)]]),
    ...(options.length === 0 ? [] : [[bold('Options:'), ...table(options, look, column)]]),
    [bold('For every verb:'), ...table(GLOBAL, look, column)],
    [bold('Examples:'), ...examples.flat()],
  ];
}

function usageLines(usage: string, { palette, width }: Look): string[] {
  const [first = '', ...more] = hang('Usage: ', usage, width);
  return [palette.bold('Usage:') + first.slice('Usage:'.length), ...more];
}

/** Operands, the flags that it can't do without, and `[options]` where there are others. */
function usageOf(fields: readonly FieldInfo[], flagOf: (field: FieldInfo) => string): string {
  const parts = fields.map((field) => {
    if (field.form === 'operand') return field.required ? `<${field.key}>` : `[<${field.key}>]`;
    return field.required ? `${flagOf(field)}${field.many ? '...' : ''}` : null;
  });
  const more = fields.some(({ form, required }) => form === undefined && !required);
  return [...parts.filter((part) => part !== null), ...(more ? ['[options]'] : [])].join(' ');
}

function withEnv({ description, env }: FieldInfo): string {
  if (env === undefined) return description;
  return description.includes(' (default: ')
    ? description.replace(' (default: ', ` (or ${env}; default: `)
    : `${description} (or ${env})`;
}

/** Two columns; what does not fit beside its name goes below it. */
function table(
  rows: readonly (readonly [string, string])[],
  look: Look,
  column = columnOf(
    rows.map(([name]) => name),
    32,
  ),
): string[] {
  return rows.flatMap(([name, about]) => {
    const [first = '', ...more] = wrap(about, Math.max(24, look.width - column - 4));
    return [`  ${pad(name, column)}  ${first}`, ...more.map((line) => ' '.repeat(column + 4) + line)];
  });
}
