/**
 * Globs: which files a task may write, which are locked, which are protected.
 *
 * Two questions are asked: does a glob match a path, and is there a path that several globs match. One automaton answers both
 * exactly, so the answers agree: the second is a search of the product of the automata. Libraries answer only the first.
 */

import { madeIn, once } from '../once.ts';
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
  return madeIn(lists, sources, () => sources.map((source) => madeIn(known, source, () => globOf(source))));
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

function automatonOf(globs: readonly PlainGlob[]): Automaton {
  const edges: Edge[][] = [[]];
  const accepting = new Set<number>();
  const connect = (from: number, on: CharSet, to: number) => edges[from]?.push({ on, to });
  /** A new state that `from` leads to. */
  const next = (from: number, on: CharSet) => {
    const to = edges.push([]) - 1;
    connect(from, on, to);
    return to;
  };
  const everythingBelow = (from: number) => {
    const below = next(from, ANY);
    connect(below, ANY, below);
    accepting.add(below);
  };
  for (const { parts, folder } of globs) {
    // A start of its own, since folders lead back to it.
    const start = edges.push([]) - 1;
    let at = start;
    for (const [i, part] of parts.entries()) {
      const isLast = i === parts.length - 1;
      if (part === '**') {
        if (isLast) everythingBelow(at);
        else {
          const name = next(at, NOT_SLASH);
          connect(name, NOT_SLASH, name);
          connect(name, single('/'), at);
        }
        continue;
      }
      for (const token of part) {
        if (typeof token === 'string') connect(at, NOT_SLASH, at);
        else at = next(at, token);
      }
      if (isLast && !folder) accepting.add(at);
      const goesOn = !isLast || folder || mayBeFolder(part);
      if (goesOn) at = next(at, single('/'));
      if (goesOn && isLast) everythingBelow(at);
    }
    edges[0]?.push(...(edges[start] ?? []));
  }
  return { edges, accepts: edges.map((_, state) => accepting.has(state)) };
}

/**
 * A name without a wildcard may be a folder, and then matches everything in it. One with a dot is taken for a file: otherwise
 * `a.ts` and `*.md` would both match `a.ts/b.md`.
 */
function mayBeFolder(part: Part): boolean {
  const name = nameOf(part);
  return name !== null && !name.slice(1).includes('.');
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

/** A combination of states, one of each automaton, and how it was reached: from which one, by which character. */
interface Reached {
  states: readonly number[];
  from: Reached | null;
  code: number;
}

/** Combinations of states that one search visits at most, some 0.4 s; globs that people write need some hundred. */
const MAX_COMBINATIONS = 100_000;

/**
 * A shortest path that all globs match; null when there is none. Searches the product of their automata breadth first and
 * visits each combination of states at most once. Globs that are too complex to decide about count as matching a path, whose
 * unknown part is `…`.
 */
export function commonPath(globs: readonly Glob[]): string | null {
  if (!mayMeet(globs)) return null;
  const all = [...globs.map((glob) => glob.automaton()), PATHS];
  const queue: Reached[] = [{ states: all.map(() => 0), from: null, code: 0 }];
  // A combination is known by a number that has the states as its digits.
  const known = new Set([0]);
  for (const reached of queue) {
    if (queue.length > MAX_COMBINATIONS) return `${longestPrefix(globs)}…`;
    if (all.every(({ accepts }, i) => accepts[reached.states[i] ?? 0])) return pathTo(reached);
    /** Every transition of the automata from number `states.length` on by one character of `on`. */
    const step = (states: readonly number[], number: number, on: CharSet) => {
      const i = states.length;
      const automaton = all[i];
      if (automaton === undefined) {
        if (!known.has(number)) queue.push({ states, from: reached, code: sample(on) });
        known.add(number);
        return;
      }
      for (const edge of automaton.edges[reached.states[i] ?? 0] ?? []) {
        const both = intersection(on, edge.on);
        if (both.length > 0) step([...states, edge.to], number * automaton.edges.length + edge.to, both);
      }
    };
    step([], 0, ANY);
  }
  return null;
}

function longestPrefix(globs: readonly Glob[]): string {
  return globs.reduce((longest, { prefix }) => (prefix.length > longest.length ? prefix : longest), '');
}

function pathTo(end: Reached): string {
  const codes: number[] = [];
  for (let at = end; at.from !== null; at = at.from) codes.push(at.code);
  return String.fromCodePoint(...codes.reverse());
}

/** False when the prefixes alone exclude a common path, as for most globs. */
export function mayMeet(globs: readonly Glob[]): boolean {
  for (const { prefix: a } of globs) {
    for (const { prefix: b } of globs) if (!a.startsWith(b) && !b.startsWith(a)) return false;
  }
  return true;
}
