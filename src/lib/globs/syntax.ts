/** Parses a glob, or finds what is wrong with it. `spec/PLAN.md` describes the dialect. */

import { type CharSet, codeOf, complement, intersection, merged, NOT_SLASH, onlyOne, single } from './char-sets.ts';

/** Limit of a glob, and of all its brace expansions together, in characters. Both bound the search in `globs.ts`. */
export const GLOB_MAX_CHARS = 200;
export const GLOB_MAX_EXPANDED = 1000;

interface GlobFault {
  message: string;
  /** What to do about it, a sentence. */
  suggestion?: string;
}

/** One character of a set, or a run of asterisks: one, or more. */
type Token = CharSet | '*' | '**';
type Node = Token | '/' | { either: Node[][] };

/** What is between two slashes. */
export type Part = '**' | readonly Token[];

/** A glob without braces. */
export interface PlainGlob {
  parts: readonly Part[];
  /** It ends with a slash: it matches what is in a folder. */
  folder: boolean;
}

class Fault extends Error {
  readonly fault: GlobFault;

  constructor(message: string, suggestion?: string) {
    super(message);
    this.fault = { message, ...(suggestion === undefined ? {} : { suggestion }) };
  }
}

/** What is wrong with a glob; null when nothing is. */
export function globFault(text: string): GlobFault | null {
  try {
    readGlob(text);
    return null;
  } catch (error) {
    if (error instanceof Fault) return error.fault;
    throw error;
  }
}

/** What every matching path begins with, as far as the text shows. */
export function textBeforeWildcards(source: string): string {
  const text = source.replace(START, '');
  const at = text.search(/[*?[{\\]/);
  return at < 0 ? text.replace(/\/$/, '') : text.slice(0, at);
}

/** A leading `./`, which means nothing. */
const START = /^(?:\.\/)+(?=.)/;

/** One glob for each brace expansion. Throws where `globFault` finds a fault. */
export function readGlob(source: string): PlainGlob[] {
  if (source.length > GLOB_MAX_CHARS) throw new Fault(`has more than ${GLOB_MAX_CHARS} characters`);
  if (source.trim() === '') throw new Fault('is empty');
  if (source.trim() !== source) throw new Fault('begins or ends with a space', 'Leave it out.');
  if (/[\u0000-\u001f\u007f-\u009f]/.test(source)) throw new Fault('may not hold control characters');
  if (source.startsWith('!'))
    throw new Fault('cannot be negated', 'List what is meant. For a name that begins with !, write \\!.');
  const nodes = new Reader(source.replace(START, '')).sequence(false);
  return expanded(nodes).map(partsOf);
}

/** A glob without wildcards for a path, whatever its characters. */
export function plainGlobOf(path: string): PlainGlob {
  return partsOf([...path].map((char) => (char === '/' ? char : single(char))));
}

class Reader {
  readonly #chars: readonly string[];
  #at = 0;

  constructor(text: string) {
    this.#chars = [...text];
  }

  #peek(ahead = 0): string {
    return this.#chars[this.#at + ahead] ?? '';
  }

  /** Up to the end, or within braces to the next comma or closing brace. */
  sequence(inBraces: boolean): Node[] {
    const nodes: Node[] = [];
    while (this.#at < this.#chars.length) {
      const char = this.#peek();
      if (inBraces && (char === ',' || char === '}')) return nodes;
      if ('?*+@!'.includes(char) && this.#peek(1) === '(')
        throw new Fault(`has ${char}(...), which is not supported`, 'Write {a,b}; for the character itself, \\(.');
      nodes.push(this.#node(char));
    }
    return nodes;
  }

  #node(char: string): Node {
    this.#at += 1;
    switch (char) {
      case '/':
        return char;
      case '*': {
        const first = this.#at;
        while (this.#peek() === '*') this.#at += 1;
        return this.#at === first ? '*' : '**';
      }
      case '?':
        return NOT_SLASH;
      case '[':
        return this.#class();
      case '{':
        return { either: this.#braces() };
      case '\\':
        return single(this.#escaped());
      default:
        return single(char);
    }
  }

  #escaped(): string {
    const char = this.#peek();
    if (char === '') throw new Fault('ends with a backslash', 'Separate folders with /.');
    if (/[\p{L}\p{N}/]/u.test(char))
      throw new Fault(
        `has a backslash before ${char}`,
        'Separate folders with /. A \\ makes a wildcard an ordinary character.',
      );
    this.#at += 1;
    return char;
  }

  #braces(): Node[][] {
    const branches: Node[][] = [];
    for (;;) {
      branches.push(this.sequence(true));
      const end = this.#peek();
      this.#at += 1;
      if (end === '') throw new Fault('has a { that is not closed', 'For the character itself, write \\{.');
      if (end === '}') break;
    }
    if (branches.length < 2)
      throw new Fault('has braces without a comma', 'Write {a,b}; for the character itself, \\{.');
    return branches;
  }

  #class(): CharSet {
    const negated = this.#peek() === '!' || this.#peek() === '^';
    if (negated) this.#at += 1;
    const ranges: [number, number][] = [];
    for (let first = true; first || this.#peek() !== ']'; first = false) {
      const from = this.#member();
      const isRange = this.#peek() === '-' && this.#peek(1) !== ']';
      if (isRange) this.#at += 1;
      const to = isRange ? this.#member() : from;
      if (to < from) throw new Fault('has a range in [...] that goes backwards', 'Write it from low to high.');
      ranges.push([from, to]);
    }
    this.#at += 1;
    const set = merged(ranges);
    const kept = intersection(negated ? complement(set) : set, NOT_SLASH);
    if (kept.length === 0) throw new Fault('has a [...] that matches nothing');
    return kept;
  }

  #member(): number {
    const char = this.#next();
    if (char === '/') throw new Fault('has a / in [...], which never matches', 'Write {a,b} with whole names.');
    if (char === '[' && [':', '.', '='].includes(this.#peek()))
      throw new Fault(`has [${this.#peek()} in [...], which is not supported`, 'Write the characters, such as a-z.');
    return codeOf(char === '\\' ? this.#next() : char);
  }

  #next(): string {
    const char = this.#peek();
    if (char === '') throw new Fault('has a [ that is not closed', 'For the character itself, write \\[.');
    this.#at += 1;
    return char;
  }
}

/** Every brace expansion. */
function expanded(nodes: readonly Node[]): (Token | '/')[][] {
  let ways: (Token | '/')[][] = [[]];
  for (const node of nodes) {
    const choices = typeof node === 'object' && 'either' in node ? node.either.flatMap(expanded) : [[node]];
    ways = ways.flatMap((way) => choices.map((choice) => [...way, ...choice]));
    if (ways.reduce((sum, way) => sum + way.length, ways.length) > GLOB_MAX_EXPANDED)
      throw new Fault(`has braces that expand to more than ${GLOB_MAX_EXPANDED} characters`, 'Write several globs.');
  }
  return ways;
}

function partsOf(tokens: readonly (Token | '/')[]): PlainGlob {
  const parts: Token[][] = [[]];
  for (const token of tokens) {
    if (token === '/') parts.push([]);
    else parts.at(-1)?.push(token);
  }
  if (tokens.length === 0)
    throw new Fault('has braces that may expand to nothing', 'Name a file in every alternative.');
  if (parts[0]?.length === 0) throw new Fault('must name files below the project', 'Leave out / at the start.');
  const endsWithSlash = parts.at(-1)?.length === 0;
  if (endsWithSlash) parts.pop();
  const read = parts.map(partOf);
  return { parts: read, folder: endsWithSlash && read.at(-1) !== '**' };
}

function partOf(tokens: readonly Token[]): Part {
  if (tokens.length === 0) throw new Fault('has two / in a row', 'Leave one out.');
  const name = nameOf(tokens);
  if (name === '..') throw new Fault('must name files below the project', 'Leave out every `..`.');
  if (name === '.') throw new Fault('has a part that is only a dot', 'Leave it out; ** is all files.');
  const isDeep = tokens.every((token) => typeof token === 'string') && tokens.join('') !== '*';
  return isDeep ? '**' : tokens;
}

/** The name that a part matches; null when it has a wildcard. */
export function nameOf(part: Part): string | null {
  if (part === '**') return null;
  const chars = part.map((token) => (typeof token === 'string' ? null : onlyOne(token)));
  return chars.every((char) => char !== null) ? chars.join('') : null;
}
