/**
 * Globs: which files a task may write, which are locked, which are protected.
 *
 * Two questions are asked: does a glob match a path, and is there a path that several globs match. One automaton answers both
 * exactly, so the answers agree: the second is a search of the product of the automata. Libraries answer only the first.
 */

import { once } from '../once.ts';
import { ANY, type CharSet, codeOf, complement, holds, intersection, NOT_SLASH, sample, single } from './char-sets.ts';
import { nameOf, type Part, type PlainGlob, plainGlobOf, readGlob, textBeforeWildcards } from './syntax.ts';

export interface Glob {
  source: string;
  /** What every matching path begins with. */
  prefix: string;
  /** Made on first use. Throws where `globFault` finds a fault. */
  automaton(): Automaton;
}

/** States are numbered; 0 is the start. */
interface Automaton {
  edges: readonly (readonly Edge[])[];
  accepts: readonly boolean[];
}

interface Edge {
  on: CharSet;
  to: number;
}

export function globOf(source: string): Glob {
  return { source, prefix: textBeforeWildcards(source), automaton: once(() => automatonOf(readGlob(source))) };
}

const lists = new WeakMap<readonly string[], readonly Glob[]>();
const known = new Map<string, Glob>();

/** The same for a list. Thousands of tasks may have the same globs, so each is compiled once. */
export function globsOf(sources: readonly string[]): readonly Glob[] {
  const before = lists.get(sources);
  if (before !== undefined) return before;
  const globs = sources.map((source) => {
    const glob = known.get(source) ?? globOf(source);
    known.set(source, glob);
    return glob;
  });
  lists.set(sources, globs);
  return globs;
}

/** A glob for everything in the folder at `path`. */
export function globOfFolder(path: string): Glob {
  return {
    source: path,
    prefix: `${path}/`,
    automaton: once(() => automatonOf([{ ...plainGlobOf(path), folder: true }])),
  };
}

// ---------------------------------------------------------------------------------------------- the automaton

class Builder {
  readonly edges: Edge[][] = [[]];
  readonly accepting = new Set<number>();
  at = 0;

  edge(from: number, on: CharSet, to: number): void {
    this.edges[from]?.push({ on, to });
  }

  state(): number {
    return this.edges.push([]) - 1;
  }

  /** Adds a transition to a new state. */
  next(on: CharSet): void {
    const to = this.state();
    this.edge(this.at, on, to);
    this.at = to;
  }

  /** `**` before a slash: any number of folders. */
  folders(): void {
    const start = this.at;
    this.next(NOT_SLASH);
    this.edge(this.at, NOT_SLASH, this.at);
    this.edge(this.at, single('/'), start);
    this.at = start;
  }

  /** `**` at the end: everything below. */
  everything(): void {
    this.next(ANY);
    this.edge(this.at, ANY, this.at);
    this.accepting.add(this.at);
  }
}

function automatonOf(globs: readonly PlainGlob[]): Automaton {
  const builder = new Builder();
  const starts = globs.map((glob) => {
    // A new start state, which no transition of the part leads back to.
    const start = builder.state();
    builder.at = start;
    add(builder, glob);
    return start;
  });
  for (const start of starts) builder.edges[0]?.push(...(builder.edges[start] ?? []));
  return { edges: builder.edges, accepts: builder.edges.map((_, state) => builder.accepting.has(state)) };
}

/**
 * A name without a wildcard may be a folder, and then matches everything in it. One with a dot is taken for a file: otherwise
 * `a.ts` and `*.md` would both match `a.ts/b.md`.
 */
function mayBeFolder(part: Part): boolean {
  const name = nameOf(part);
  return name !== null && !name.slice(1).includes('.');
}

function add(builder: Builder, { parts, folder }: PlainGlob): void {
  for (const [i, part] of parts.entries()) {
    const isLast = i === parts.length - 1;
    if (part === 'deep') {
      if (isLast) builder.everything();
      else builder.folders();
      continue;
    }
    for (const token of part) {
      if ('on' in token) builder.next(token.on);
      else builder.edge(builder.at, NOT_SLASH, builder.at);
    }
    if (isLast && !folder) builder.accepting.add(builder.at);
    const goesOn = !isLast || folder || mayBeFolder(part);
    if (goesOn) builder.next(single('/'));
    if (goesOn && isLast) builder.everything();
  }
}

// ---------------------------------------------------------------------------------------------- the two questions

/** Whether the glob matches this file: a path relative to the project, with `/` between its folders. */
export function matches(glob: Glob, path: string): boolean {
  if (!path.startsWith(glob.prefix)) return false;
  const { edges, accepts } = glob.automaton();
  let states = new Set([0]);
  for (const char of path) {
    const next = new Set<number>();
    for (const state of states) for (const { on, to } of edges[state] ?? []) if (holds(on, codeOf(char))) next.add(to);
    if (next.size === 0) return false;
    states = next;
  }
  return [...states].some((state) => accepts[state]);
}

const NOT_DOT = intersection(NOT_SLASH, complement(single('.')));

/** Any path: names that are neither empty nor `.` nor `..`, with slashes in between. */
const PATHS: Automaton = {
  edges: [
    [
      { on: single('.'), to: 1 },
      { on: NOT_DOT, to: 3 },
    ],
    [
      { on: single('.'), to: 2 },
      { on: NOT_DOT, to: 3 },
    ],
    [{ on: NOT_SLASH, to: 3 }],
    [
      { on: NOT_SLASH, to: 3 },
      { on: single('/'), to: 0 },
    ],
  ],
  accepts: [false, false, false, true],
};

/**
 * A shortest path that all globs match; null when there is none. Searches the product of their automata breadth first and
 * visits each combination of states at most once.
 */
export function commonPath(globs: readonly Glob[]): string | null {
  if (!mayMeet(globs)) return null;
  return new Search([...globs.map((glob) => glob.automaton()), PATHS]).path();
}

/** False when the prefixes alone exclude a common path, as for most globs. */
export function mayMeet(globs: readonly Glob[]): boolean {
  for (const { prefix: a } of globs) {
    for (const { prefix: b } of globs) if (!a.startsWith(b) && !b.startsWith(a)) return false;
  }
  return true;
}

/** A state of each automaton, as the digits of one number. There may be millions, so no object is made for each. */
type Combination = number;

class Search {
  readonly #all: readonly Automaton[];
  /** What a step of each automaton's state adds to the number of a combination. */
  readonly #weights: readonly number[];
  /** The visited combinations: for each state of the first automaton a set of bits, made on first use. */
  readonly #met: (Uint32Array | undefined)[] = [];
  /** In visiting order: the combination, the index of its predecessor, and the character in between. */
  readonly #combinations: Combination[] = [];
  readonly #from: number[] = [];
  readonly #codes: number[] = [];

  constructor(all: readonly Automaton[]) {
    this.#all = all;
    this.#weights = all.map((_, i) => all.slice(i + 1).reduce((product, { edges }) => product * edges.length, 1));
  }

  path(): string | null {
    this.#meet(0, -1, 0);
    for (let at = 0; at < this.#combinations.length; at++) {
      const combination = this.#combinations[at] ?? 0;
      if (this.#all.every(({ accepts }, i) => accepts[this.#state(combination, i)])) return this.#pathTo(at);
      this.#step(at, combination, 0, 0, ANY);
    }
    return null;
  }

  #state(combination: Combination, i: number): number {
    const size = this.#all[i]?.edges.length ?? 1;
    return Math.floor(combination / (this.#weights[i] ?? 1)) % size;
  }

  /** Every transition of the automata from number `i` on by one character of `on`. */
  #step(at: number, combination: Combination, i: number, next: Combination, on: CharSet): void {
    const automaton = this.#all[i];
    if (automaton === undefined) {
      this.#meet(next, at, sample(on));
      return;
    }
    for (const edge of automaton.edges[this.#state(combination, i)] ?? []) {
      const both = intersection(on, edge.on);
      if (both.length > 0) this.#step(at, combination, i + 1, next + edge.to * (this.#weights[i] ?? 1), both);
    }
  }

  #meet(combination: Combination, from: number, code: number): void {
    const size = this.#weights[0] ?? 1;
    const first = Math.floor(combination / size);
    let bits = this.#met[first];
    if (bits === undefined) {
      bits = new Uint32Array(Math.ceil(size / 32));
      this.#met[first] = bits;
    }
    const rest = combination % size;
    const [word, bit] = [rest >>> 5, 1 << (rest & 31)];
    const before = bits[word] ?? 0;
    if ((before & bit) !== 0) return;
    bits[word] = before | bit;
    this.#combinations.push(combination);
    this.#from.push(from);
    this.#codes.push(code);
  }

  #pathTo(end: number): string {
    const codes: number[] = [];
    for (let at = end; at > 0; at = this.#from[at] ?? 0) codes.push(this.#codes[at] ?? 0);
    return String.fromCodePoint(...codes.reverse());
  }
}
