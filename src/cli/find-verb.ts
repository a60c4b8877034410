/** Which verb a command line is about. */

import { HOME, VERBS, type VerbName } from '../commands/registry.ts';
import { ForgeError } from '../lib/errors.ts';
import { closest } from '../lib/text.ts';

/** Options that may stand in front of a verb. The value of `--dir` may also be joined to it. */
const GLOBAL_OPTIONS = ['--json', '--no-color', '--help', '-h', '--version', '--dir'];
/** Verbs that also stand right behind `forge`, for who comes to set a project up. */
export const SHORT = ['init', 'uninit', 'completion'] as const;

interface Found {
  /** Null: none was asked for; HOME: bare `forge orchestrate`. */
  verb: VerbName | null;
  /** The command line without the words that name the verb. */
  args: string[];
  /** `help` stood in front of the verb. */
  help: boolean;
}

/**
 * The verb is found before commander sees anything, so that only this verb's options are set up: making all commands, one
 * below the other, would take longer than most verbs. Throws UNKNOWN_VERB.
 */
export function findVerb(argv: readonly string[]): Found {
  const words = new Words(argv);
  const helpFirst = words.take('help');
  const word = words.next();
  if (word === null) return { verb: null, args: words.rest(), help: helpFirst };
  if (!words.take('orchestrate') && !SHORT.some((name) => name === word))
    throw unknownVerb(word, 'forge', ['orchestrate', ...namesBelow('')]);
  const help = words.take('help') || helpFirst;
  if (words.next() === null) return { verb: help ? null : HOME, args: words.rest(), help };
  const above = takeVerb(words, '');
  const below = namesBelow(`${above} `);
  const verb = below.length === 0 || words.next() === null ? above : takeVerb(words, `${above} `);
  return { verb, args: words.rest(), help };
}

function takeVerb(words: Words, before: string): VerbName {
  const word = words.next() ?? '';
  const verb = VERBS.find((name) => name === `${before}${word}`);
  if (verb === undefined) throw unknownVerb(word, `forge orchestrate ${before}`.trimEnd(), namesBelow(before));
  words.take(word);
  return verb;
}

/** The words at the beginning of a command line that may name a verb. Only options of all verbs may stand between them. */
class Words {
  readonly #argv: readonly string[];
  readonly #taken = new Set<number>();
  #at = 0;

  constructor(argv: readonly string[]) {
    this.#argv = argv;
  }

  /** The next word; null when an option of a verb, `--` or the end comes first. */
  next(): string | null {
    let word = this.#argv[this.#at];
    while (word !== undefined && (GLOBAL_OPTIONS.includes(word) || word.startsWith('--dir='))) {
      this.#at += word === '--dir' ? 2 : 1;
      word = this.#argv[this.#at];
    }
    return word === undefined || word.startsWith('-') ? null : word;
  }

  /** Takes the next word when it is this one. */
  take(word: string): boolean {
    if (this.next() !== word) return false;
    this.#taken.add(this.#at);
    this.#at++;
    return true;
  }

  /** The command line without what was taken. */
  rest(): string[] {
    return this.#argv.filter((_, index) => !this.#taken.has(index));
  }
}

/** The verbs below `before`, such as `start` below `run `; with '', those that stand right behind `orchestrate`. */
export function namesBelow(before: string): string[] {
  const names = VERBS.flatMap((name) => (name.startsWith(before) ? [name.slice(before.length)] : []));
  return names.filter((name) => name !== '' && !name.includes(' '));
}

function unknownVerb(word: string, before: string, verbs: readonly string[]): ForgeError {
  const begun = verbs.filter((verb) => word.length > 1 && verb.startsWith(word));
  const near = closest(word, verbs) ?? (begun.length === 1 ? (begun[0] ?? null) : null);
  const verb = before === 'forge' && near !== 'orchestrate' ? `forge orchestrate ${near}` : `${before} ${near}`;
  return new ForgeError('UNKNOWN_VERB', `${before} has no verb ${JSON.stringify(word)}`, {
    hint: `${near === null ? '' : `Did you mean \`${verb}\`? `}See \`forge orchestrate --help\` for the verbs.`,
    details: { verb: word },
  });
}
