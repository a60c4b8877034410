/**
 * Reading YAML that people write: the value, or what is wrong and where; and afterwards the place of any part of it.
 *
 * Places are kept out of the value. Reading a plan costs no more than js-yaml itself, and only when something has to be
 * pointed at is the text gone through once more to build an index of places.
 */

import {
  CORE_SCHEMA,
  constructFromEvents,
  defineMappingTag,
  EVENT_ID,
  type Event,
  getScalarValue,
  mapTag,
  mergeTag,
  parseEvents,
  SCALAR_STYLE,
  type ScalarEvent,
  YAMLException,
} from 'js-yaml';
import type { Problem } from './errors.ts';
import { oneLine } from './text.ts';

/** Keys and list indexes from the root of a document to a part of it. */
export type YamlPath = readonly (string | number)[];

/** Line and column in a text, both from 1; columns count UTF-16 units, as editors do. */
interface Position {
  line: number;
  column: number;
}

/** How many nodes aliases may stand for, in total. Real plans need a few thousand; an alias bomb needs billions. */
const MAX_ALIASED_NODES = 1_000_000;

/** How many keys `<<` may copy, in total: enough for 10,000 tasks that share a block of settings. */
const MAX_MERGED_KEYS = 1_000_000;

const MAX_DEPTH = 100;

// A mapping becomes a plain object, where `__proto__` would be a trap for whatever copies it later.
const safeMapTag = defineMappingTag<Record<string, unknown>>(mapTag.tagName, {
  ...mapTag,
  addPair: (carrier, key, value) => (String(key) === '__proto__' ? PROTO_KEY : mapTag.addPair(carrier, key, value)),
});

const SCHEMA = CORE_SCHEMA.withTags(safeMapTag, mergeTag);

/**
 * Reads one YAML 1.2 document (core schema, and `<<` merges). The value is made of null, booleans, numbers, strings, arrays and plain objects;
 * an empty text is null. It holds no cycles and, aliases followed, at most a million nodes more than the text spells out.
 * `file` only goes into the problem, which is always exactly one: YAML can't be read on past its first error.
 */
export function parseYaml(
  text: string,
  file: string,
): { ok: true; value: unknown } | { ok: false; problems: Problem[] } {
  const source = withoutBom(text);
  try {
    const events = parseEvents(source, { maxDepth: MAX_DEPTH });
    if (events.some(({ type }) => type === EVENT_ID.ALIAS)) nodesOf(events, source);
    const documents = constructFromEvents(events, { source, schema: SCHEMA, maxTotalMergeKeys: MAX_MERGED_KEYS });
    if (documents.length > 1) YAMLException.throwAt(source, secondDocument(events), SECOND_DOCUMENT);
    return { ok: true, value: documents[0] ?? null };
  } catch (error) {
    return { ok: false, problems: [syntaxProblem(error, source, file)] };
  }
}

export interface Positions {
  /**
   * The place of the value at `path`, or of its key. When there is no such part (a key that is missing), the place of the nearest part around it.
   * What came through an alias or a `<<` merge is placed where it is spelled out. Null for a text without any content.
   */
  place(path: YamlPath, target?: 'key' | 'value'): Position | null;
  /** The text of the scalar at `path` as it is spelled, so that `1.10` is not `1.1`; null when there is no scalar. */
  spelling(path: YamlPath): string | null;
}

/** An index of the places in `text`, for many look-ups. A text that is not YAML has no places. */
export function positionsOf(text: string): Positions {
  const source = withoutBom(text);
  const root = nodesIn(source);
  const lines = [0, ...Array.from(source.matchAll(/\r\n?|\n/g), ({ index, 0: end }) => index + end.length)];
  return {
    place(path, target = 'value') {
      const way = wayTo(root, path);
      const offsets = way.flatMap(({ keyStart, node }) => [keyStart, node.start]);
      if (target === 'key' && way.length > path.length) offsets.pop();
      // A value that is not spelled out has no place.
      const offset = offsets.findLast((start) => start >= 0);
      if (offset === undefined) return null;
      // Halving: a plan may have thousands of problems.
      let line = 0;
      for (let step = 2 ** 30; step >= 1; step /= 2) {
        if ((lines[line + step] ?? Number.POSITIVE_INFINITY) <= offset) line += step;
      }
      return { line: line + 1, column: offset - (lines[line] ?? 0) + 1 };
    },
    spelling(path) {
      const way = wayTo(root, path);
      const scalar = way.length > path.length ? way.at(-1)?.node.scalar : undefined;
      return scalar === undefined ? null : getScalarValue(source, scalar);
    },
  };
}

/** A value as text: a number or a boolean as the text spells it, so that `1.10` does not become `1.1`. */
export type Spelling = (value: string | number | boolean, path: YamlPath) => string;

/** Builds the index of places only where it is needed. */
export function spellingIn(text: string): Spelling {
  let positions: Positions | null = null;
  return (value, path) => {
    if (typeof value === 'string') return value;
    positions ??= positionsOf(text);
    return positions.spelling(path) ?? String(value);
  };
}

// ---------------------------------------------------------------------------------------------- what can go wrong

function withoutBom(text: string): string {
  return text.startsWith('\ufeff') ? text.slice(1) : text;
}

function syntaxProblem(error: unknown, source: string, file: string): Problem {
  if (!(error instanceof YAMLException)) return { message: `not valid YAML: ${String(error)}`, place: { file } };
  if (error.mark === undefined) return { message: `not valid YAML: ${error.reason}`, place: { file } };
  const { position, line, column } = error.mark;
  // About keys and aliases js-yaml points behind the quote or the "*"; people expect the character itself.
  const isBehind =
    /^(unidentified alias|duplicated|the key)/.test(error.reason) && /["'*]/.test(source[position - 1] ?? '');
  const start = isBehind ? position - 1 : position;
  const rest = /^.*/.exec(source.slice(start))?.[0] ?? '';
  return { ...explain(error.reason, rest), place: { file, line: line + 1, column: column + 1 + start - position } };
}

const RECURSIVE_ALIAS = 'this alias stands for a part that contains itself';
const TOO_MANY_ALIASES = `the aliases up to here stand for more than ${MAX_ALIASED_NODES} values`;
const SECOND_DOCUMENT = 'a second YAML document starts here';
const PROTO_KEY = 'the key "__proto__" is not allowed';

const SUGGESTIONS: readonly [reason: RegExp, suggestion: string][] = [
  [/^a second YAML document/, 'Keep everything in one document: remove the line "---".'],
  [/^tab characters/, 'YAML is indented with spaces only.'],
  [/^end of the stream/, 'Look at the indentation here: it goes with the lines above, in spaces and never in tabs.'],
  [/^bad indentation/, 'Line the entry up with those beside it, and put a value that holds ": " in quotes.'],
  [
    /^deficient indentation/,
    'A quote or a bracket that is opened before this place may not be closed. If it is: what it holds, and its end, stand further right than its key.',
  ],
  [/^unexpected end of the/, 'A quote or a bracket that is opened before this place may not be closed.'],
];

/** js-yaml's reason in the words of a plan; `rest`: the line from the position of the error on. */
function explain(reason: string, rest: string): { message: string; suggestion?: string } {
  if (reason === 'duplicated mapping key')
    return { message: `the key ${quoteKey(rest)} is given twice in one mapping` };
  if (reason.startsWith('unidentified alias')) {
    const message = `${oneLine(rest, 40)} is read as an alias, because it starts with "*", and there is no anchor of that name`;
    return { message, suggestion: 'Put the value in quotes.' };
  }
  if (/^unknown \w+ tag !<!(?!<)/.test(reason) && !rest.startsWith('!<')) {
    const message = `${oneLine(rest.split(/[\s,\]}]/)[0] ?? '', 40)} is read as a tag, because it starts with "!"`;
    return { message, suggestion: 'Put the value in quotes.' };
  }
  const isOurs = [RECURSIVE_ALIAS, TOO_MANY_ALIASES, SECOND_DOCUMENT, PROTO_KEY].includes(reason);
  const suggestion = SUGGESTIONS.find(([pattern]) => pattern.test(reason))?.[1];
  return {
    message: isOurs ? reason : `not valid YAML: ${reason}`,
    ...(suggestion === undefined ? {} : { suggestion }),
  };
}

function quoteKey(rest: string): string {
  const key = /^(?:"([^"]*)"|'([^']*)'|([^:]*))/.exec(rest);
  return JSON.stringify(oneLine(key?.[1] ?? key?.[2] ?? key?.[3] ?? '', 60));
}

function secondDocument(events: readonly Event[]): number {
  const first = events.findIndex((event) => event.type === EVENT_ID.DOCUMENT);
  const second = events.findIndex((event, i) => i > first && event.type === EVENT_ID.DOCUMENT);
  return Math.max(0, startOf(events[second + 1]));
}

// ---------------------------------------------------------------------------------------------- the nodes of a text

interface TextNode {
  /** Offset of the first character, or -1 for a value that is not spelled out (`key:`). */
  start: number;
  /** How many nodes it stands for, aliases followed; null until its end. */
  size: number | null;
  scalar?: ScalarEvent;
  items?: TextNode[];
  entries?: Map<string, TextEntry>;
  /** Where the `<<` of a mapping point to. */
  merged?: TextNode[];
}

interface TextEntry {
  keyStart: number;
  node: TextNode;
}

function startOf(event: Event | undefined): number {
  if (event === undefined) return -1;
  if (event.type === EVENT_ID.ALIAS) return event.anchorStart - 1;
  if (event.type === EVENT_ID.SCALAR) {
    const quoted = event.style === SCALAR_STYLE.SINGLE_QUOTED || event.style === SCALAR_STYLE.DOUBLE_QUOTED;
    return quoted ? event.valueStart - 1 : event.valueStart;
  }
  return event.type === EVENT_ID.SEQUENCE || event.type === EVENT_ID.MAPPING ? event.start : -1;
}

/** The nodes of the first document; null for a text that is empty or not YAML. */
function nodesIn(source: string): TextNode | null {
  try {
    return nodesOf(parseEvents(source, { maxDepth: MAX_DEPTH }), source);
  } catch {
    return null;
  }
}

/**
 * The nodes of the first document, null without any. Refuses aliases that stand for more than `MAX_ALIASED_NODES` nodes, and aliases
 * inside the very node that they name: the parsed value shares aliased parts and stays small, but walking it would take
 * exponential time.
 */
function nodesOf(events: readonly Event[], source: string): TextNode | null {
  const anchors = new Map<string, TextNode>();
  /** Nodes so far, aliases followed; and how many of them aliases stand for. */
  let total = 0;
  let aliased = 0;
  // The first event begins the document.
  let at = 1;
  const isOver = () => events[at] === undefined || events[at]?.type === EVENT_ID.POP;
  const next = (): TextNode => {
    const event = events[at++] as Exclude<Event, { type: 1 | 6 }>;
    const start = startOf(event);
    const anchor = source.slice(event.anchorStart, event.anchorEnd);
    if (event.type === EVENT_ID.ALIAS) {
      const named = anchors.get(anchor) ?? { start, size: 0 };
      if (named.size === null) YAMLException.throwAt(source, start, RECURSIVE_ALIAS);
      total += named.size;
      aliased += named.size;
      if (aliased > MAX_ALIASED_NODES) YAMLException.throwAt(source, start, TOO_MANY_ALIASES);
      return named;
    }
    const node: TextNode = { start, size: null };
    if (event.anchorStart >= 0) anchors.set(anchor, node);
    const before = total;
    total += 1;
    if (event.type === EVENT_ID.SCALAR) {
      node.scalar = event;
    } else {
      if (event.type === EVENT_ID.SEQUENCE) for (node.items = []; !isOver(); ) node.items.push(next());
      else for (node.entries = new Map(); !isOver(); ) addEntry(node, next(), next(), source);
      at += 1;
    }
    node.size = total - before;
    return node;
  };
  return isOver() ? null : next();
}

function addEntry(node: TextNode, key: TextNode, value: TextNode, source: string): void {
  const name = key.scalar === undefined ? '' : getScalarValue(source, key.scalar);
  const isMerge = name === '<<' && key.scalar?.style === SCALAR_STYLE.PLAIN;
  if (isMerge) node.merged = [...(node.merged ?? []), ...(value.items ?? [value])];
  else node.entries?.set(name, { keyStart: key.start, node: value });
}

function entryOf(node: TextNode, key: string | number): TextEntry | null {
  const item = typeof key === 'number' ? node.items?.[key] : undefined;
  if (item !== undefined) return { keyStart: item.start, node: item };
  const own = node.entries?.get(String(key));
  if (own !== undefined) return own;
  for (const source of node.merged ?? []) {
    const inherited = entryOf(source, key);
    if (inherited !== null) return inherited;
  }
  return null;
}

/** The root and the parts below it that `path` leads through, as far as they are there. */
function wayTo(root: TextNode | null, path: YamlPath): TextEntry[] {
  const way: TextEntry[] = [];
  let entry = root && { keyStart: root.start, node: root };
  for (let depth = 0; entry !== null; depth++) {
    way.push(entry);
    const key = path[depth];
    entry = key === undefined ? null : entryOf(entry.node, key);
  }
  return way;
}
