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
export interface Position {
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
    refuseAliasBombs(events, source);
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
  const root = buildIndex(source);
  const lines = lineStarts(source);
  return {
    place(path, target = 'value') {
      const found = root === null ? null : follow(root, path, target);
      return found === null ? null : positionOf(lines, found);
    },
    spelling(path) {
      const node = root === null ? null : descend(root, path);
      return node?.scalar === undefined ? null : getScalarValue(source, node.scalar);
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
    /^deficient indentation|^unexpected end of the/,
    'A quote or a bracket that is opened before this place may not be closed.',
  ],
];

/** js-yaml's reason in the words of a plan; `rest`: the line from the position of the error on. */
function explain(reason: string, rest: string): { message: string; suggestion?: string } {
  if (reason === 'duplicated mapping key')
    return { message: `the key ${quoteKey(rest)} is given twice in one mapping` };
  if (reason.startsWith('unidentified alias')) {
    const message = `${oneLine(rest, 40)} is read as an alias, because it starts with "*", and there is no anchor of that name`;
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

/**
 * Refuses aliases that stand for more than `MAX_ALIASED_NODES` nodes, and aliases inside the very node that they name.
 * The parsed value shares aliased parts and stays small, but walking it would take exponential time.
 */
function refuseAliasBombs(events: readonly Event[], source: string): void {
  if (!events.some((event) => event.type === EVENT_ID.ALIAS)) return;
  const anchors = new Map<string, { size: number; open: boolean }>();
  const open: { size: number; anchor: { size: number; open: boolean } | null }[] = [];
  let aliased = 0;
  for (const event of events) {
    let size = 1;
    if (event.type === EVENT_ID.ALIAS) {
      const anchor = anchors.get(source.slice(event.anchorStart, event.anchorEnd));
      if (anchor?.open) YAMLException.throwAt(source, startOf(event), RECURSIVE_ALIAS);
      aliased += anchor?.size ?? 0;
      size = anchor?.size ?? 0;
      if (aliased > MAX_ALIASED_NODES) YAMLException.throwAt(source, startOf(event), TOO_MANY_ALIASES);
    } else if (event.type === EVENT_ID.POP) {
      const closed = open.pop();
      size = closed?.size ?? 0;
      if (closed?.anchor) Object.assign(closed.anchor, { size, open: false });
    } else {
      const isScalar = event.type === EVENT_ID.SCALAR;
      const named = event.type !== EVENT_ID.DOCUMENT && event.anchorStart >= 0;
      const anchor = named ? { size, open: !isScalar } : null;
      if (named && anchor) anchors.set(source.slice(event.anchorStart, event.anchorEnd), anchor);
      if (event.type === EVENT_ID.DOCUMENT) anchors.clear();
      if (!isScalar) {
        open.push({ size, anchor });
        continue;
      }
    }
    const parent = open.at(-1);
    if (parent !== undefined) parent.size += size;
  }
}

// ---------------------------------------------------------------------------------------------- the index of places

interface IndexNode {
  /** Offset of the first character, or -1 for a value that is not spelled out (`key:`). */
  start: number;
  scalar?: ScalarEvent;
  items?: IndexNode[];
  entries?: Map<string, { keyStart: number; node: IndexNode }>;
  /** Where the `<<` of a mapping point to. */
  merged?: IndexNode[];
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

function buildIndex(source: string): IndexNode | null {
  let events: readonly Event[];
  try {
    events = parseEvents(source, { maxDepth: MAX_DEPTH });
    refuseAliasBombs(events, source);
  } catch {
    return null;
  }
  const anchors = new Map<string, IndexNode>();
  const open: { node: IndexNode; key: IndexNode | null }[] = [];
  let root: IndexNode | null = null;
  for (const event of events) {
    if (event.type === EVENT_ID.DOCUMENT) continue;
    if (event.type === EVENT_ID.POP) {
      open.pop();
      continue;
    }
    const node = indexNode(event, source, anchors);
    const parent = open.at(-1);
    if (parent === undefined) root ??= node;
    else addChild(parent, node, source);
    if (event.type === EVENT_ID.SEQUENCE || event.type === EVENT_ID.MAPPING) open.push({ node, key: null });
  }
  return root;
}

function indexNode(event: Exclude<Event, { type: 1 | 6 }>, source: string, anchors: Map<string, IndexNode>): IndexNode {
  const name = event.anchorStart < 0 ? null : source.slice(event.anchorStart, event.anchorEnd);
  const node: IndexNode = { start: startOf(event) };
  if (event.type === EVENT_ID.ALIAS) return anchors.get(name ?? '') ?? node;
  if (event.type === EVENT_ID.SCALAR) node.scalar = event;
  if (event.type === EVENT_ID.SEQUENCE) node.items = [];
  if (event.type === EVENT_ID.MAPPING) node.entries = new Map();
  if (name !== null) anchors.set(name, node);
  return node;
}

function addChild(parent: { node: IndexNode; key: IndexNode | null }, child: IndexNode, source: string): void {
  const { node, key } = parent;
  if (node.items) {
    node.items.push(child);
  } else if (key === null) {
    parent.key = child;
  } else {
    parent.key = null;
    const name = key.scalar === undefined ? '' : getScalarValue(source, key.scalar);
    const isMerge = name === '<<' && key.scalar?.style === SCALAR_STYLE.PLAIN;
    if (isMerge) node.merged = [...(node.merged ?? []), ...(child.items ?? [child])];
    else node.entries?.set(name, { keyStart: key.start, node: child });
  }
}

function entryOf(node: IndexNode, key: string | number): { keyStart: number; node: IndexNode } | null {
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

function descend(root: IndexNode, path: YamlPath): IndexNode | null {
  let node: IndexNode | null = root;
  for (const key of path) node = node === null ? null : (entryOf(node, key)?.node ?? null);
  return node;
}

/** Offset of the part at `path`, else of the last part on the way that has one. */
function follow(root: IndexNode, path: YamlPath, target: 'key' | 'value'): number | null {
  let node = root;
  let best = root.start;
  for (const [i, key] of path.entries()) {
    const entry = entryOf(node, key);
    if (entry === null) break;
    node = entry.node;
    const wantsKey = target === 'key' && i === path.length - 1;
    if (entry.keyStart >= 0) best = entry.keyStart;
    if (!wantsKey && node.start >= 0) best = node.start;
  }
  return best < 0 ? null : best;
}

function lineStarts(source: string): number[] {
  const starts = [0];
  for (const match of source.matchAll(/\r\n?|\n/g)) starts.push(match.index + match[0].length);
  return starts;
}

function positionOf(lines: readonly number[], offset: number): Position {
  let low = 0;
  let high = lines.length - 1;
  while (low < high) {
    const middle = Math.ceil((low + high) / 2);
    if ((lines[middle] ?? 0) <= offset) low = middle;
    else high = middle - 1;
  }
  return { line: low + 1, column: offset - (lines[low] ?? 0) + 1 };
}
