/**
 * Globs: which files a task may write, which are locked, which are protected.
 *
 * Two questions are asked of them: does one match a path, and is there a path that several match. Both are answered by the
 * same automaton, so they can't disagree, and exactly: the second searches the product of the automata for a path. There
 * are libraries that match; the other question is not theirs.
 */

import {
  ANY,
  type CharSet,
  codeOf,
  complement,
  holds,
  intersection,
  NOT_SLASH,
  onlyOne,
  sample,
  single,
} from './char-sets.ts';
import { nameOf, type Part, type PlainGlob, plainGlobOf, readGlob } from './glob-syntax.ts';

export interface Glob {
  source: string;
  /** One for each way to choose from the braces. */
  patterns: readonly Pattern[];
}

/** An automaton. States are numbered from 0, where it begins. */
interface Pattern {
  /** What every path that it accepts begins with. */
  prefix: string;
  edges: readonly (readonly Edge[])[];
  accepts: readonly boolean[];
}

interface Edge {
  on: CharSet;
  to: number;
}

/** Throws for a glob in which `globFault` finds a fault. */
export function globOf(source: string): Glob {
  return { source, patterns: readGlob(source).map(patternOf) };
}

const compiled = new WeakMap<readonly string[], readonly Glob[]>();

/** The same for a list, which is compiled once. */
export function globsOf(sources: readonly string[]): readonly Glob[] {
  const known = compiled.get(sources);
  if (known !== undefined) return known;
  const globs = sources.map(globOf);
  compiled.set(sources, globs);
  return globs;
}

/** A path as a glob that means just that file, or that folder and everything in it. */
export function globOfPath(path: string): Glob {
  return { source: path, patterns: [patternOf(plainGlobOf(path))] };
}

// ---------------------------------------------------------------------------------------------- the automaton

class Builder {
  readonly edges: Edge[][] = [[]];
  readonly accepting = new Set<number>();
  at = 0;

  edge(from: number, on: CharSet, to: number): void {
    this.edges[from]?.push({ on, to });
  }

  /** Goes on to a new state. */
  next(on: CharSet): void {
    const to = this.edges.push([]) - 1;
    this.edge(this.at, on, to);
    this.at = to;
  }

  /** `**` before a slash: no folder, or as many as there are. */
  folders(): void {
    const start = this.at;
    this.next(NOT_SLASH);
    this.edge(this.at, NOT_SLASH, this.at);
    this.edge(this.at, single('/'), start);
    this.at = start;
  }

  /** `**` at the end: whatever is there. */
  everything(): void {
    this.next(ANY);
    this.edge(this.at, ANY, this.at);
    this.accepting.add(this.at);
  }

  done(prefix: string): Pattern {
    return { prefix, edges: this.edges, accepts: this.edges.map((_, state) => this.accepting.has(state)) };
  }
}

function patternOf({ parts, folder }: PlainGlob): Pattern {
  const builder = new Builder();
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
    // A name without a wildcard may be that of a folder, and then means everything in it.
    const goesOn = !isLast || folder || nameOf(part) !== null;
    if (goesOn) builder.next(single('/'));
    if (goesOn && isLast) builder.everything();
  }
  return builder.done(prefixOf(parts));
}

function prefixOf(parts: readonly Part[]): string {
  let prefix = '';
  for (const [i, part] of parts.entries()) {
    if (i > 0) prefix += '/';
    for (const token of part === 'deep' ? [{ stars: 2 }] : part) {
      const char = 'on' in token ? onlyOne(token.on) : null;
      if (char === null) return prefix;
      prefix += char;
    }
  }
  return prefix;
}

// ---------------------------------------------------------------------------------------------- the two questions

/** Whether the glob means this file: a path relative to the project, with `/` between its folders. */
export function matches({ patterns }: Glob, path: string): boolean {
  return patterns.some((pattern) => accepts(pattern, path));
}

function accepts(pattern: Pattern, path: string): boolean {
  if (!path.startsWith(pattern.prefix)) return false;
  let states = new Set([0]);
  for (const char of path) {
    const next = new Set<number>();
    for (const state of states)
      for (const { on, to } of pattern.edges[state] ?? []) if (holds(on, codeOf(char))) next.add(to);
    if (next.size === 0) return false;
    states = next;
  }
  return [...states].some((state) => pattern.accepts[state]);
}

/** The shortest path that all of them match; null when there is none. */
export function commonPath(globs: readonly Glob[]): string | null {
  let shortest: string | null = null;
  for (const patterns of choices(globs)) {
    const path = meeting(patterns);
    if (path !== null && (shortest === null || path.length < shortest.length)) shortest = path;
  }
  return shortest;
}

/** One pattern of each glob, in every way in which their beginnings agree. */
function choices(globs: readonly Glob[]): Pattern[][] {
  return globs.reduce<Pattern[][]>(
    (ways, { patterns }) =>
      ways.flatMap((way) =>
        patterns.flatMap((pattern) => (way.every((other) => mayMeet(other, pattern)) ? [[...way, pattern]] : [])),
      ),
    [[]],
  );
}

function mayMeet({ prefix: a }: Pattern, { prefix: b }: Pattern): boolean {
  return a.startsWith(b) || b.startsWith(a);
}

const NOT_DOT = intersection(NOT_SLASH, complement(single('.')));

/** What any path is: names that are neither empty nor `.` nor `..`, with slashes in between. */
const PATHS: Pattern = {
  prefix: '',
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

/** Where the search has come to: a state of each automaton, the step before, and the character that led here. */
interface Visit {
  states: readonly number[];
  from: number;
  code: number;
}

/** Searches the product breadth first. Each combination of states is visited at most once, so the cost is bounded by their number. */
function meeting(patterns: readonly Pattern[]): string | null {
  const all = [...patterns, PATHS];
  const seen = new Seen(all.map(({ edges }) => edges.length));
  const visits: Visit[] = [];
  const visit = (states: readonly number[], from: number, code: number) => {
    if (seen.isNew(states)) visits.push({ states, from, code });
  };
  visit(
    all.map(() => 0),
    -1,
    0,
  );
  for (let at = 0; at < visits.length; at++) {
    const states = visits[at]?.states ?? [];
    if (states.every((state, i) => all[i]?.accepts[state])) return spelled(visits, at);
    forEachStep(all, states, (next, on) => visit(next, at, sample(on)));
  }
  return null;
}

class Seen {
  readonly #sizes: readonly number[];
  readonly #bits: Uint32Array;

  constructor(sizes: readonly number[]) {
    this.#sizes = sizes;
    this.#bits = new Uint32Array(Math.ceil(sizes.reduce((product, size) => product * size, 1) / 32));
  }

  isNew(states: readonly number[]): boolean {
    const index = states.reduce((sum, state, i) => sum * (this.#sizes[i] ?? 1) + state, 0);
    const [word, bit] = [Math.floor(index / 32), 1 << (index % 32)];
    const before = this.#bits[word] ?? 0;
    this.#bits[word] = before | bit;
    return (before & bit) === 0;
  }
}

/** Every way in which all of them go on by one character, and the characters that do. */
function forEachStep(
  all: readonly Pattern[],
  states: readonly number[],
  found: (next: readonly number[], on: CharSet) => void,
): void {
  const choose = (next: readonly number[], on: CharSet): void => {
    const pattern = all[next.length];
    if (pattern === undefined) {
      found(next, on);
      return;
    }
    for (const edge of pattern.edges[states[next.length] ?? 0] ?? []) {
      const both = intersection(on, edge.on);
      if (both.length > 0) choose([...next, edge.to], both);
    }
  };
  choose([], ANY);
}

function spelled(visits: readonly Visit[], at: number): string {
  const codes: number[] = [];
  for (let visit = visits[at]; visit !== undefined && visit.from >= 0; visit = visits[visit.from]) {
    codes.push(visit.code);
  }
  return String.fromCodePoint(...codes.reverse());
}
