/** Which verb a command line is about. */

import { HOME, VERBS, type VerbName } from '../commands/registry.ts';
import { ForgeError } from '../lib/errors.ts';
import { own } from '../lib/own.ts';
import { closest } from '../lib/text.ts';
import { leadingWords } from './words.ts';

/** `--limit`, of `--limit <n>`. */
export function nameOf({ written }: { written: string }): string {
  return written.replace(/ .*/, '');
}

interface Found {
  /** Null: none was asked for; HOME: bare `forge orchestrate`. */
  verb: VerbName | null;
  /** The command line without the words that name the verb. */
  args: string[];
  /** `help` stood in front of the verb. */
  help: boolean;
}

/** The verb is found before anything else is read, so that only this verb's code is loaded. Throws UNKNOWN_VERB. */
export function findVerb(argv: readonly string[]): Found {
  const words = leadingWords(argv);
  const args = new Map(argv.entries());
  const next = () => words[0]?.word;
  const take = (word: string | undefined) => word === next() && args.delete(words.shift()?.at ?? -1);
  const takeVerb = (before: string): VerbName => {
    const word = next() ?? '';
    const verb = VERBS.find((name) => name === `${before}${word}`);
    if (verb === undefined) throw unknownVerb(word, `forge orchestrate ${before}`.trimEnd(), namesBelow(before));
    take(word);
    return verb;
  };
  const found = (verb: VerbName | null, help: boolean): Found => ({ verb, args: [...args.values()], help });

  const helpFirst = take('help');
  const word = next();
  if (word === undefined) return found(null, helpFirst);
  // A verb may also stand right behind `forge`.
  if (!take('orchestrate') && !namesBelow('').includes(word))
    throw unknownVerb(word, 'forge', ['orchestrate', ...namesBelow('')]);
  const help = take('help') || helpFirst;
  if (next() === undefined) return found(help ? null : HOME, help);
  const verb = takeVerb('');
  const hasMore = namesBelow(`${verb} `).length > 0 && next() !== undefined;
  return found(hasMore ? takeVerb(`${verb} `) : verb, help);
}

/** The verbs below `before`, such as `start` below `run `; with '', those that stand right behind `orchestrate`. */
export function namesBelow(before: string): string[] {
  const names = VERBS.flatMap((name) => (name.startsWith(before) ? [name.slice(before.length)] : []));
  return names.filter((name) => name !== '' && !name.includes(' '));
}

/** Words that other tools have for what a verb does here. One that is like another verb may do what is not wanted at all: `ship` for `skip`. */
const ELSEWHERE: Readonly<Record<string, string>> = {
  ...{ ls: 'status', list: 'status', ps: 'status', tasks: 'status' },
  ...{ start: 'run', resume: 'run', continue: 'run', next: 'phases --ready', ready: 'phases --ready' },
  ...{ stop: 'cancel', kill: 'cancel', abort: 'cancel', restart: 'rerun', redo: 'rerun', reset: 'rerun' },
  ...{ info: 'show', inspect: 'show', describe: 'show', tail: 'logs --follow' },
  ...{
    new: 'add',
    create: 'add',
    set: 'edit',
    update: 'edit',
    rm: 'drop',
    remove: 'drop',
    delete: 'drop',
    skip: 'drop',
  },
  ...{ finish: 'done', check: 'doctor', lint: 'doctor', validate: 'doctor', clean: 'gc', prune: 'gc --prune' },
};

function unknownVerb(word: string, before: string, verbs: readonly string[]): ForgeError {
  const begun = verbs.filter((verb) => word.length > 1 && verb.startsWith(word));
  const isFirst = /^forge( orchestrate)?$/.test(before);
  const elsewhere = isFirst ? (own(ELSEWHERE, word) ?? null) : null;
  const near = elsewhere ?? closest(word, verbs) ?? (begun.length === 1 ? (begun[0] ?? null) : null);
  const verb = before === 'forge' && near !== 'orchestrate' ? `forge orchestrate ${near}` : `${before} ${near}`;
  const named = before.endsWith(' run') ? `A task is named by an option: \`${before} --task ${word}\`. ` : '';
  return new ForgeError('UNKNOWN_VERB', `${before} has no verb ${JSON.stringify(word)}`, {
    hint: `${near === null ? named : `Did you mean \`${verb}\`? `}See \`forge orchestrate --help\` for the verbs.`,
    details: { verb: word },
  });
}
