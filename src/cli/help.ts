/** The help, as text: of everything, or of one verb. */

import { GROUPS } from './catalog/index.ts';
import { flagOf } from './input.ts';
import { columnOf, hang, pad, wrap } from './layout.ts';
import type { Look } from './look.ts';
import type { OptionSpec, VerbSpec } from './spec.ts';

const COMMAND = 'forge orchestrate';

const GLOBAL: readonly [flag: string, about: string][] = [
  ['--json', 'One line of JSON on stdout instead of text'],
  ['--dir <dir>', 'The project folder or its .forge (or FORGE_DIR)'],
  ['--no-color', 'No colours, as with NO_COLOR'],
  ['--help', 'This help'],
  ['--version', 'The version of forge'],
];

export function helpFor(verb: VerbSpec | null, look: Look): string {
  const parts = verb === null ? overview(look) : verbHelp(verb, look);
  return parts.map((part) => part.join('\n')).join('\n\n');
}

function overview(look: Look): string[][] {
  const { bold } = look.palette;
  const rows = (verbs: readonly VerbSpec[]) => verbs.map(({ name, about }) => [name, about] as const);
  const column = columnOf(
    GROUPS.flatMap(({ verbs }) => verbs.map(({ name }) => name)),
    20,
  );
  return [
    wrap(
      'forge works through a plan of tasks with many workers and no server. All state is plain files under .forge/.',
      look.width,
    ),
    [
      `${bold('Usage:')} ${COMMAND} <verb> [options]`,
      `       ${COMMAND}            where things stand, and the next command`,
    ],
    ...GROUPS.map(({ title, verbs }) => [bold(`${title}:`), ...table(rows(verbs), look, column)]),
    [bold('Options:'), ...table(GLOBAL, look)],
    [`\`${COMMAND} <verb> --help\` says more about a verb and has examples.`],
  ];
}

function verbHelp(verb: VerbSpec, look: Look): string[][] {
  const { bold } = look.palette;
  const operands = (verb.operands ?? []).map(({ name, about, env }) => [`<${name}>`, withEnv(about, env)] as const);
  const options = (verb.options ?? []).map((option) => [flagOf(option), aboutOf(option)] as const);
  const column = columnOf(
    [...operands, ...options, ...GLOBAL].map(([flag]) => flag),
    32,
  );
  const examples = verb.examples.map(([command, about]) => [
    `  ${look.palette.dim(`# ${about}`)}`,
    `  ${[COMMAND, command].join(' ').trimEnd()}`,
  ]);
  return [
    [verb.about, ...(verb.notes === undefined ? [] : ['', ...wrap(verb.notes, look.width)])],
    usageLines(verb, look),
    ...(operands.length === 0 ? [] : [[bold('Arguments:'), ...table(operands, look, column)]]),
    ...(options.length === 0 ? [] : [[bold('Options:'), ...table(options, look, column)]]),
    [bold('For every verb:'), ...table(GLOBAL, look, column)],
    [bold('Examples:'), ...examples.flat()],
  ];
}

function usageLines(verb: VerbSpec, { palette, width }: Look): string[] {
  const parts = [COMMAND, verb.name, usageOf(verb)].filter((part) => part !== '');
  const [first = '', ...more] = hang('Usage: ', parts.join(' '), width);
  return [palette.bold('Usage:') + first.slice('Usage:'.length), ...more];
}

function usageOf({ usage, operands = [], options = [] }: VerbSpec): string {
  if (usage !== undefined) return usage;
  return [...operands.map(({ name }) => `<${name}>`), ...(options.length === 0 ? [] : ['[options]'])].join(' ');
}

function aboutOf({ about, env }: OptionSpec): string {
  return withEnv(about, env);
}

function withEnv(about: string, env: string | undefined): string {
  if (env === undefined) return about;
  return about.includes(' (default: ')
    ? about.replace(' (default: ', ` (or ${env}; default: `)
    : `${about} (or ${env})`;
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
