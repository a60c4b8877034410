/** `forge __complete -- WORDS`, which the scripts of `completion` call: what the last word may become. */

import { COMMANDS, HOME, loadCommand, type VerbName } from '../commands/registry.ts';
import { fieldsOf } from '../commands/shared/command.ts';
import { readAll } from '../commands/shared/reads.ts';
import { openSession } from '../commands/shared/session.ts';
import { oneLine } from '../lib/text.ts';
import { systemContext } from '../process/system-context.ts';
import { loadPlan } from '../project/plan-file.ts';
import { findVerb, nameOf, namesBelow } from './find-verb.ts';
import { type Flag, flagsOf, wordsOf } from './program.ts';

type Candidate = readonly [word: string, about: string];

/** Fields that take the id of a task or of a phase, and no other id. */
const PLAN_FIELDS = ['depends_on', 'discovered_from', 'blocked_by', 'phase'];

/** A candidate a line, with a tab before what it is; nothing when anything fails. */
export async function candidateLines(words: readonly string[]): Promise<string> {
  const { before, last, joined } = splitLast(words);
  const found = await candidates(before, last.startsWith('-')).catch(() => []);
  const fitting = found.filter(([word]) => word.startsWith(last));
  return fitting.map(([word, about]) => `${joined}${word}\t${oneLine(about, 80)}\n`).join('');
}

/** What is completed, and the words before it. Of `--output=pre` it is `pre`: bash hands that on as three words, other shells as one, of which `joined` is the rest. */
function splitLast(words: readonly string[]): { before: string[]; last: string; joined: string } {
  const last = words.at(-1) ?? '';
  const [, joined = '', option = '', value = ''] = /^((--[^=]+)=)(.*)$/.exec(last) ?? [];
  if (joined !== '') return { before: [...words.slice(0, -1), option], last: value, joined };
  if (last === '=') return { before: words.slice(0, -1), last: '', joined };
  const isParted = words.at(-2) === '=' && words.at(-3)?.startsWith('--') === true;
  return { before: words.slice(0, isParted ? -2 : -1), last, joined };
}

/** What may stand behind `before`: options when `dashed`, else the rest. Throws UNKNOWN_VERB, and what reading the plan does. */
async function candidates(before: readonly string[], dashed: boolean): Promise<Candidate[]> {
  if (before.includes('--')) return [];
  const { verb, args } = findVerb(before);
  const fields = verb === null ? [] : fieldsOf((await loadCommand(verb)).input);
  const flags = flagsOf(fields);
  const { unfinished, operands } = wordsOf(args, flags);
  const open = flags.find((flag) => nameOf(flag) === unfinished);
  if (open !== undefined) return valuesOf(open, before);
  if (dashed) {
    const left = flags.filter((flag) => flag.many || !args.includes(nameOf(flag)));
    return left.map((flag) => [nameOf(flag), flag.description]);
  }
  const places = fields.filter(({ form }) => form === 'operand');
  const last = places.at(-1);
  const operand = places[operands.length] ?? (last?.many === true ? last : undefined);
  const values = operand === undefined ? [] : await valuesOf(operand, before);
  const verbs = operands.length > 0 ? [] : verbsBehind(before, verb, args);
  return [...verbs, ...values.filter(([word]) => !operands.includes(word))];
}

function verbsBehind(before: readonly string[], verb: VerbName | null, args: readonly string[]): Candidate[] {
  if (verb === null && !before.includes('orchestrate')) {
    const verbs = namesBelow('').map((name) => [name, COMMANDS[name as VerbName].about] as const);
    return [['orchestrate', COMMANDS[HOME].about], ...verbs];
  }
  const above = verb === null || verb === HOME ? '' : `${verb} `;
  if (above !== '' && args.length > 0) return [];
  return namesBelow(above).map((name) => [name, COMMANDS[`${above}${name}` as VerbName].about]);
}

async function valuesOf({ key = '', id, choices = [] }: Flag, before: readonly string[]): Promise<Candidate[]> {
  const isOfPlan = id === 'task' || id === 'question' || PLAN_FIELDS.includes(key);
  if (!isOfPlan || choices.length > 0) return choices.map((choice) => [choice, '']);
  const dir = before.includes('--dir') ? before[before.indexOf('--dir') + 1] : process.env['FORGE_DIR'];
  const session = await openSession({ ctx: systemContext(), dir: dir || undefined, warn: () => {} });
  const { phases = [], tasks = [] } = (await loadPlan(session))?.plan ?? {};
  if (key === 'phase') return phases.map(({ id, name }) => [id, name]);
  const found = tasks.map(({ id, title }) => [id, title] as const);
  if (id !== 'question') return found;
  // A question is named by the task that asks it.
  const { reads } = await readAll(session);
  return found.filter(([task]) => reads.get(task)?.record?.state.state === 'blocked_on_question');
}
