/**
 * Changes parts of a YAML text that a person has written, and leaves every other byte as it is: comments, quotes, indentation, line ends.
 * The places come from a parser; the text between them is never written anew.
 */

import type { Node, Pair, ParsedNode, YAMLMap, YAMLSeq } from 'yaml';
import { isMapping } from './json.ts';
import { parseYaml, type YamlPath } from './yaml.ts';
import { spelledFlow, spelledJson, spelledScalar } from './yaml-spelling.ts';

/** One change. `set` to undefined takes the key away; keys above it that are missing are made. `append` and `drop` change a list. */
export type YamlEdit = { path: YamlPath } & ({ set: unknown } | { append: unknown } | { drop: number });

/** Text to put in place of the characters from `start` to `end`. */
interface Splice {
  start: number;
  end: number;
  text: string;
}

/** How a value is spelled: behind its key or dash, and in the lines below. */
interface Spelled {
  head: string;
  /** Without indentation of the key. */
  body: readonly string[];
}

type Yaml = typeof import('yaml');
type MapPair = Pair<ParsedNode, ParsedNode | null>;

/**
 * `text` with the edits made, one after the other. Null where one can't be made in place: a part that is written by an alias, or shared through
 * an anchor. What comes out is compared with what was meant, so no other part ever changes.
 */
export async function editYaml(text: string, edits: readonly YamlEdit[]): Promise<string | null> {
  // Loaded here, so that only those pay for it who edit.
  const yaml = await import('yaml');
  let now = text;
  for (const edit of edits) {
    const next = edited(yaml, now, edit);
    if (next === null) return null;
    now = next;
  }
  return isEdited(text, now, edits) ? now : null;
}

function edited(yaml: Yaml, text: string, edit: YamlEdit): string | null {
  const mark = text.startsWith('\ufeff') ? '\ufeff' : '';
  const source = text.slice(mark.length);
  const document = yaml.parseDocument(source, { keepSourceTokens: true, logLevel: 'silent' });
  if (document.errors.length > 0) return null;
  const splices = splicesFor(yaml, source, document.contents, edit);
  return splices === null ? null : mark + spliced(source, splices);
}

function spliced(source: string, splices: readonly Splice[]): string {
  // From the end, so that the places before stay where they are; of two at one place the first stands first.
  return splices
    .toReversed()
    .sort((a, b) => b.start - a.start)
    .reduce((text, { start, end, text: put }) => text.slice(0, start) + put + text.slice(end), source);
}

// ---------------------------------------------------------------------------------------------- what was meant

function isEdited(before: string, after: string, edits: readonly YamlEdit[]): boolean {
  const [was, is] = [parseYaml(before, ''), parseYaml(after, '')];
  return was.ok && is.ok && canonical(is.value) === canonical(edits.reduce(withEdit, was.value));
}

/** Parts that aliases share are separate in it: an edit may reach one place only. */
function withEdit(value: unknown, edit: YamlEdit): unknown {
  const root = { value: JSON.parse(JSON.stringify(value)) as unknown };
  const path = ['value', ...edit.path];
  let holder: Record<string | number, unknown> = root;
  for (const key of path.slice(0, -1)) {
    holder[key] ??= {};
    holder = holder[key] as Record<string, unknown>;
  }
  const last = path.at(-1) ?? '';
  if ('set' in edit) holder[last] = edit.set;
  else {
    const list = [...((holder[last] ?? []) as unknown[])];
    if ('append' in edit) list.push(edit.append);
    else list.splice(edit.drop, 1);
    holder[last] = list;
  }
  return root.value;
}

/** JSON with sorted keys; null equals a missing key. */
function canonical(value: unknown): string {
  return JSON.stringify(value, (_key, part: unknown) => {
    if (typeof part !== 'object' || part === null || Array.isArray(part)) return part;
    const entries = Object.entries(part).filter(([, inner]) => inner !== null && inner !== undefined);
    return Object.fromEntries(entries.sort(([a], [b]) => (a < b ? -1 : 1)));
  });
}

// ---------------------------------------------------------------------------------------------- the places

/** What to put where in `source`, whose document is `root`; null where the edit can't be made in place. */
function splicesFor(yaml: Yaml, source: string, root: ParsedNode | null, edit: YamlEdit): Splice[] | null {
  const newline = source.includes('\r\n') ? '\r\n' : '\n';
  if ('set' in edit) return setting(edit.path, edit.set);
  const list = nodeAt(edit.path);
  if (!isList(list)) return 'append' in edit ? setting(edit.path, [edit.append]) : null;
  return 'append' in edit ? appending(list, edit.append, edit.path) : dropItem(list, edit.drop, edit.path);

  function setting(path: YamlPath, value: unknown): Splice[] | null {
    const key = path.at(-1);
    if (key === undefined) return null;
    const holder = nodeAt(path.slice(0, -1));
    if (!isMap(holder)) {
      if (holder !== undefined && !isNull(holder)) return null;
      return value === undefined ? [] : setting(path.slice(0, -1), { [key]: value });
    }
    const pair = pairOf(holder, key);
    // One without a value stands before that of a merge.
    if (pair === undefined && value === undefined)
      return pairOf(holder, '<<') === undefined ? [] : addPair(holder, String(key), null);
    if (pair === undefined) return addPair(holder, String(key), value);
    return value === undefined ? dropPair(holder, pair) : replacing(holder, pair, value);
  }

  /** The node at `path`; undefined without one. An alias on the way ends it: what it names stands elsewhere too. */
  function nodeAt(path: YamlPath): ParsedNode | null | undefined {
    let node: ParsedNode | null | undefined = root;
    for (const key of path) {
      if (isMap(node)) node = pairOf(node, key)?.value;
      else if (isList(node)) node = node.items[Number(key)] as ParsedNode | undefined;
      else return undefined;
    }
    return node;
  }

  function pairOf(map: YAMLMap.Parsed, name: string | number): MapPair | undefined {
    return map.items.find(({ key }) => yaml.isScalar(key) && String(key.source ?? key.value) === String(name));
  }

  function isMap(node: unknown): node is YAMLMap.Parsed {
    return yaml.isMap(node);
  }

  function isList(node: unknown): node is YAMLSeq.Parsed {
    return yaml.isSeq(node);
  }

  function isNull(node: unknown): boolean {
    return node === null || (yaml.isScalar(node) && node.value === null);
  }

  // -------------------------------------------------------------------------------------------- pairs
  function replacing(map: YAMLMap.Parsed, pair: MapPair, value: unknown): Splice[] | null {
    const colon = source.indexOf(':', pair.key.range[1]);
    if (colon < 0) return null;
    const old = pair.value;
    const { head: plain, body } = spelledIn(value, map, pair.key);
    const quote = old === null || old.range[0] === old.range[1] ? '' : source.charAt(old.range[0]);
    const keepsQuotes = /["']/.test(quote) && typeof value === 'string' && /^[\w-]+$/.test(plain);
    const head = keepsQuotes ? quote + plain + quote : plain;
    const spaced = head === '' ? '' : ` ${head}`;
    const below = linesOf(body, columnOf(pair.key.range[0]));
    if (old === null || old.range[0] === old.range[1]) {
      const end = map.flow === true ? colon + 1 : lineEnd(source, colon);
      return [...put(colon + 1, spaced), ...put(end, below)];
    }
    const end = endOf(old);
    const between = source.slice(colon + 1, old.range[0]);
    const comments = between.includes('\n') ? between.slice(0, between.lastIndexOf('\n')).trimEnd() : null;
    const start = comments === null && head !== '' ? old.range[0] : colon + 1;
    // The comment behind the sign of a text of several lines.
    const note = /^[|>]\S*([ \t]+#[^\r\n]*)/.exec(source.slice(old.range[0]))?.[1] ?? '';
    const text = (comments === null ? head : spaced + comments) + note;
    return [{ start, end, text }, ...(below === '' ? [] : put(Math.max(end, lineEnd(source, end)), below))];
  }

  function addPair(map: YAMLMap.Parsed, key: string, value: unknown): Splice[] | null {
    const last = map.items.at(-1);
    const { head, body } = spelledIn(value, map, last?.key ?? null);
    const line = `${isJson(last?.key) ? spelledJson(key) : spelledScalar(key, true)}: ${head}`.trimEnd();
    if (map.flow === true) return addToFlow(map, last?.key.range[0], last && pairEnd(last), line);
    if (last === undefined) return null;
    const column = columnOf((map.items[0] ?? last).key.range[0]);
    return put(lineEnd(source, pairEnd(last)), linesOf([line, ...body], column));
  }

  function dropPair(map: YAMLMap.Parsed, pair: MapPair): Splice[] | null {
    const at = map.items.indexOf(pair);
    const [before, next] = [map.items[at - 1], map.items[at + 1]];
    const [start, end] = [pair.key.range[0], pairEnd(pair)];
    if (map.flow === true) {
      if (before !== undefined) return [{ start: pairEnd(before), end, text: '' }];
      return [{ start, end: next?.key.range[0] ?? end, text: '' }];
    }
    if (source.slice(lineStart(source, start), start).trim() === '') return dropLines(start, end);
    // It stands behind the dash of a list.
    return next === undefined ? null : [{ start, end: next.key.range[0], text: '' }];
  }

  function pairEnd({ key, value }: MapPair): number {
    if (value !== null && value.range[0] !== value.range[1]) return endOf(value);
    const colon = /^\s*:/.exec(source.slice(key.range[1], key.range[1] + 100));
    return key.range[1] + (colon?.[0].length ?? 0);
  }

  // -------------------------------------------------------------------------------------------- lists
  function appending(list: YAMLSeq.Parsed, value: unknown, path: YamlPath): Splice[] | null {
    const last = list.items.at(-1) as ParsedNode | undefined;
    // An empty list is written anew, a line for each item where its map is.
    if (last === undefined) return setting(path, [value]);
    if (list.flow === true) {
      const inJson = isMap(last) ? isJson(last.items[0]?.key) : source[last.range[0]] === '"';
      const text = inJson ? spelledJson(value) : spelledFlow(value);
      return addToFlow(list, last.range[0], endOf(last), text);
    }
    if (list.srcToken?.type !== 'block-seq') return null;
    const { indent } = list.srcToken;
    const inFlow = isMap(last) && last.flow === true;
    const first = isMap(last) && !inFlow ? last.items[0]?.key.range[0] : undefined;
    const offset = first === undefined ? 2 : columnOf(first) - indent;
    return put(lineEnd(source, endOf(last)), linesOf(itemLines(value, { inFlow, offset }), indent));
  }

  function dropItem(list: YAMLSeq.Parsed, at: number, path: YamlPath): Splice[] | null {
    const [before, item, next] = [at - 1, at, at + 1].map((index) => list.items[index] as ParsedNode | undefined);
    if (item === undefined) return null;
    if (list.items.length === 1) return setting(path, []);
    const [start, end] = [item.range[0], endOf(item)];
    if (list.flow === true) {
      if (before !== undefined) return [{ start: endOf(before), end, text: '' }];
      return [{ start, end: next?.range[0] ?? end, text: '' }];
    }
    const dash = /^[ \t]*-[ \t]+$/.test(source.slice(lineStart(source, start), start));
    return dash ? dropLines(start, end) : null;
  }

  /** Behind the last part of what stands in brackets: in its line, or in one of its own where that part has one. */
  function addToFlow(holder: Node, lastStart: number | undefined, lastEnd: number | undefined, text: string): Splice[] {
    const [start = 0] = holder.range ?? [];
    if (lastStart === undefined || lastEnd === undefined) return put(start + 1, text);
    const hasComma = /^\s*,/.test(source.slice(lastEnd, lastEnd + 100));
    const alone = source.slice(lineStart(source, lastStart), lastStart).trim() === '';
    if (!alone || lineStart(source, lastStart) === 0) return put(lastEnd, `, ${text}`);
    const comma = hasComma ? [] : put(lastEnd, ',');
    // Between brackets it may be tabs.
    const indent = source.slice(lineStart(source, lastStart), lastStart);
    const line = newline + indent + text + (hasComma ? ',' : '');
    return source.slice(lastEnd, lineEnd(source, lastEnd)).replace(/^,/, '').replace(/#.*/, '').trim() === ''
      ? [...comma, ...put(lineEnd(source, lastEnd), line)]
      : put(lastEnd, `, ${text}`);
  }

  // -------------------------------------------------------------------------------------------- text
  /** How a value of a key in `map` is spelled: a list of mappings, and text of several lines, in lines of their own where there may be some. */
  function spelledIn(value: unknown, map: YAMLMap.Parsed, key: ParsedNode | null): Spelled {
    if (map.flow === true) return { head: isJson(key) ? spelledJson(value) : spelledFlow(value), body: [] };
    return spelledBlock(value);
  }

  function isJson(key: ParsedNode | null | undefined): boolean {
    return key !== null && key !== undefined && source[key.range[0]] === '"';
  }

  /** Where the last character of a node is, without the line breaks that a block ends with. */
  function endOf(node: ParsedNode): number {
    if (isMap(node) && node.flow !== true) {
      const last = node.items.at(-1);
      if (last !== undefined) return pairEnd(last);
    }
    if (isList(node) && node.flow !== true) {
      const last = node.items.at(-1) as ParsedNode | undefined;
      if (last !== undefined) return endOf(last);
    }
    const [start, end] = node.range;
    const written = source.slice(start, end);
    // A text may keep the empty lines that it ends with.
    if (/^[|>]\d?\+/.test(written)) return start + written.replace(/\r?\n$/, '').length;
    return start + written.trimEnd().length;
  }

  function dropLines(start: number, end: number): Splice[] {
    const from = lineStart(source, start);
    const next = source.indexOf('\n', end) + 1;
    if (next > 0) return [{ start: from, end: next, text: '' }];
    return [{ start: Math.max(0, from - newline.length), end: source.length, text: '' }];
  }

  function linesOf(lines: readonly string[], column: number): string {
    const indent = ' '.repeat(column);
    return lines.map((line) => newline + (line === '' ? '' : indent + line)).join('');
  }

  function columnOf(at: number): number {
    return at - lineStart(source, at);
  }
}

/** Where the line that `at` is in begins. */
function lineStart(source: string, at: number): number {
  return source.lastIndexOf('\n', at - 1) + 1;
}

/** Where it ends, before its line break. */
function lineEnd(source: string, at: number): number {
  const end = source.indexOf('\n', at);
  if (end < 0) return source.length;
  return source[end - 1] === '\r' && end > at ? end - 1 : end;
}

function put(at: number, text: string): Splice[] {
  return [{ start: at, end: at, text }];
}

const isLong = (value: unknown): value is string => typeof value === 'string' && value.includes('\n');

function spelledBlock(value: unknown): Spelled {
  if (isLong(value)) {
    // Whether a last line break is kept; what the two can't say is spelled in quotes.
    const kept = /^[^\s][^\r\t\p{Cc}]*$/u.test(value.replaceAll('\n', ' ')) && !/\n\n$/.test(value);
    if (!kept) return { head: spelledJson(value), body: [] };
    const lines = value.replace(/\n$/, '').split('\n');
    return { head: value.endsWith('\n') ? '|' : '|-', body: lines.map((line) => (line === '' ? '' : `  ${line}`)) };
  }
  if (Array.isArray(value) && value.some(isMapping)) {
    const lines = value.flatMap((item) => itemLines(item, { inFlow: false, offset: 2 }));
    return { head: '', body: lines.map((line) => (line === '' ? '' : `  ${line}`)) };
  }
  if (typeof value === 'string') return { head: spelledScalar(value, false), body: [] };
  return { head: spelledFlow(value), body: [] };
}

/** The lines of an item of a list, the first with its dash; `offset`: of its keys, from the dash. */
function itemLines(value: unknown, { inFlow, offset }: { inFlow: boolean; offset: number }): string[] {
  const dash = '-'.padEnd(offset);
  if (!isMapping(value)) return [`- ${spelledFlow(value)}`];
  const entries = Object.entries(value).filter(([, part]) => part !== undefined);
  if (inFlow && !entries.some(([, part]) => isLong(part))) return [dash + spelledFlow(value)];
  const lines = entries.flatMap(([key, part]) => {
    const { head, body } = spelledBlock(part);
    return [`${spelledScalar(key, true)}: ${head}`.trimEnd(), ...body];
  });
  return lines.map((line, i) => (line === '' ? '' : (i === 0 ? dash : ' '.repeat(offset)) + line));
}
