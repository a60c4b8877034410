/** The words that a command line begins with, before it is known what they mean. */

/** The flags of every verb. */
export const GLOBAL: readonly (readonly [written: string, about: string])[] = [
  ['--json', 'One line of JSON on stdout instead of text'],
  ['--dir <dir>', 'The project folder or its .forge (or FORGE_DIR)'],
  ['--no-color', 'No colours, as with NO_COLOR'],
  ['--help', 'This help (or -h)'],
  ['--version', 'The version of forge (or -v, -V)'],
];

/** Letters for some of them. */
export const LETTERS: Readonly<Record<string, string>> = { '-h': '--help', '-v': '--version', '-V': '--version' };

/** The words that may name a verb, and where they stand: only flags of every verb may come between them. */
export function leadingWords(argv: readonly string[]): { word: string; at: number }[] {
  const words: { word: string; at: number }[] = [];
  for (let at = 0; at < argv.length; at++) {
    const word = argv[at] ?? '';
    if (!word.startsWith('-')) words.push({ word, at });
    else if (word === '--dir') at++;
    else if (
      !Object.hasOwn(LETTERS, word) &&
      !word.startsWith('--dir=') &&
      !GLOBAL.some(([written]) => written === word)
    )
      break;
  }
  return words;
}
