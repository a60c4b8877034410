/**
 * Changes one issue in the text of a tracker's file and leaves every other byte as it is: comments, quotes, indentation and
 * line ends are people's. The places come from a parser; the text between them is never written anew.
 */

import type { Document, Pair, ParsedNode, Scalar, YAMLMap, YAMLSeq } from 'yaml';
import { lineEnd, lineStart, type Splice, spliced } from '../../lib/yaml-edit.ts';
import type { IssueChange } from './document.ts';

type Yaml = typeof import('yaml');
type Issue = YAMLMap.Parsed;

/**
 * `text` with `change` made to issue number `index`. Null when that issue cannot be changed in place, such as one written by
 * an alias. The caller compares the parsed result with the intended value.
 */
export async function changeIssue(text: string, index: number, change: IssueChange): Promise<string | null> {
  // Loaded here, so that only those pay for it who change a tracker's file.
  const yaml = await import('yaml');
  const mark = text.startsWith('\ufeff') ? '\ufeff' : '';
  const source = text.slice(mark.length);
  const document = yaml.parseDocument(source, { keepSourceTokens: true, logLevel: 'silent' });
  const issue = issueAt(yaml, document, index);
  if (issue === null) return null;
  const splices = new IssueEditor(yaml, source, issue).splicesFor(change);
  return splices === null ? null : mark + spliced(source, splices);
}

function issueAt(yaml: Yaml, document: Document.Parsed, index: number): Issue | null {
  if (document.errors.length > 0 || !yaml.isMap(document.contents)) return null;
  const issues: unknown = document.contents.get('issues', true);
  const issue = yaml.isSeq(issues) ? issues.items[index] : null;
  return yaml.isMap(issue) ? (issue as Issue) : null;
}

class IssueEditor {
  readonly #yaml: Yaml;
  readonly #source: string;
  readonly #issue: Issue;
  readonly #newline: string;

  constructor(yaml: Yaml, source: string, issue: Issue) {
    this.#yaml = yaml;
    this.#source = source;
    this.#issue = issue;
    this.#newline = source.includes('\r\n') ? '\r\n' : '\n';
  }

  splicesFor({ state, claimed_by, comment }: IssueChange): Splice[] | null {
    const wanted: (Splice | null)[] = [];
    if (state !== undefined) wanted.push(this.#put('state', state));
    if (claimed_by === null) wanted.push(this.#drop('claimed_by'));
    else if (claimed_by !== undefined) wanted.push(this.#put('claimed_by', plain(claimed_by)));
    if (comment !== undefined) wanted.push(this.#comment(comment));
    return wanted.every((splice) => splice !== null) ? wanted : null;
  }

  #pair(name: string): Pair<ParsedNode, ParsedNode | null> | undefined {
    return this.#issue.items.find(({ key }) => this.#yaml.isScalar(key) && key.value === name);
  }

  /** Sets a key to a scalar that is spelled `text`. */
  #put(name: string, text: string): Splice | null {
    const pair = this.#pair(name);
    if (pair === undefined) return this.#add([`${name}: ${text}`], `${name}: ${text}`);
    if (!this.#yaml.isScalar(pair.value)) return null;
    const [start, end] = (pair.value as Scalar.Parsed).range;
    if (start === end) return this.#afterColon(pair.key, text);
    const quote = this.#source[start] ?? '';
    return { start, end, text: /["']/.test(quote) && /^[\w-]+$/.test(text) ? quote + text + quote : text };
  }

  /** The value of a key that has none; what else is in its line, as a comment, stays behind it. */
  #afterColon(key: ParsedNode, text: string): Splice | null {
    const at = this.#source.indexOf(':', key.range[1]) + 1;
    return at === 0 ? null : { start: at, end: at, text: ` ${text}` };
  }

  /** Takes a key away with its line, or makes it null where the line holds more than that. */
  #drop(name: string): Splice | null {
    const pair = this.#pair(name);
    if (pair === undefined || !this.#yaml.isScalar(pair.value)) return null;
    const [start] = pair.key.range;
    const [valueStart, end] = (pair.value as Scalar.Parsed).range;
    const before = this.#source.slice(lineStart(this.#source, start), start);
    const after = this.#source.slice(end, lineEnd(this.#source, end));
    if (this.#issue.flow === true) {
      const comma = /,[ \t]*$/.exec(before);
      if (comma !== null) return { start: start - comma[0].length, end, text: '' };
    } else if (before.trim() === '' && after.trim() === '') {
      return this.#line(lineStart(this.#source, start));
    }
    return { start: valueStart, end, text: 'null' };
  }

  #comment({ ts, text }: { ts: string; text: string }): Splice | null {
    const spelled = [`ts: ${JSON.stringify(ts)}`, `text: ${JSON.stringify(text)}`];
    const flow = `{${spelled.join(', ')}}`;
    const pair = this.#pair('comments');
    const item = (indent: string) => [`${indent}- ${spelled[0]}`, `${indent}  ${spelled[1]}`];
    if (pair === undefined) return this.#add(['comments:', ...item('  ')], `comments: [${flow}]`);
    if (this.#yaml.isSeq(pair.value)) return this.#append(pair.value as YAMLSeq.Parsed, flow, item);
    if (!this.#yaml.isScalar(pair.value)) return null;
    const [start, end] = (pair.value as Scalar.Parsed).range;
    return start === end ? this.#afterColon(pair.key, `[${flow}]`) : { start, end, text: `[${flow}]` };
  }

  #append(list: YAMLSeq.Parsed, flow: string, item: (indent: string) => string[]): Splice | null {
    const last = list.items.at(-1);
    const token = list.srcToken;
    if (last === undefined) return { start: list.range[0], end: list.range[1], text: `[${flow}]` };
    const end = last.range[1];
    if (list.flow === true) return { start: end, end, text: `, ${flow}` };
    if (token?.type !== 'block-seq') return null;
    const lines = item(' '.repeat(token.indent)).join(this.#newline);
    // A block scalar ends with its line.
    if (this.#source[end - 1] === '\n') return { start: end, end, text: `${lines}${this.#newline}` };
    const at = lineEnd(this.#source, end);
    return { start: at, end: at, text: `${this.#newline}${lines}` };
  }

  /** A key that was not there, behind `state`, which every issue has. */
  #add(lines: readonly string[], flow: string): Splice | null {
    const state = this.#pair('state');
    if (state === undefined || !this.#yaml.isScalar(state.value)) return null;
    const end = (state.value as Scalar.Parsed).range[1];
    if (this.#issue.flow === true) return { start: end, end, text: `, ${flow}` };
    const at = lineEnd(this.#source, end);
    const [start] = state.key.range;
    const indent = ' '.repeat(start - lineStart(this.#source, start));
    return { start: at, end: at, text: lines.map((line) => `${this.#newline}${indent}${line}`).join('') };
  }

  /** All of the line that starts at `start`, with one line break. */
  #line(start: number): Splice {
    const end = this.#source.indexOf('\n', start) + 1;
    if (end > 0) return { start, end, text: '' };
    return { start: start - this.#newline.length, end: this.#source.length, text: '' };
  }
}

/** As it is where YAML reads it as text, in quotes otherwise. */
function plain(text: string): string {
  return /^[A-Za-z0-9][\w-]*$/.test(text) && text.includes('-') ? text : JSON.stringify(text);
}
